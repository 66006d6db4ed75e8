//! The connections that are served at a time.
//!
//! There is a bounded number of places. A newcomer who finds none free is given that of the connection that has
//! been silent longest: one that was accepted and said nothing, sends its request slowly, or keeps itself open
//! after an answer. So clients that only hold connections push out each other, and one that asks is answered. A
//! connection that the switch works for, or that a capture streams to, keeps its place; if all do, newcomers wait.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of one listening socket.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    /// In the order in which they were heard of last. The value ends the connection.
    silent: BTreeMap<u64, Arc<Notify>>,
}

/// A connection's place. Cloning it does not take another one.
#[derive(Clone, Debug)]
pub(in super::super) struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    places: Arc<Places>,
    pushed_out: Arc<Notify>,
    turn: Mutex<Turn>,
    _permit: OwnedSemaphorePermit,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It may be pushed out; its key in the table.
    Silent(u64),
    /// Something works for it, this many times.
    Busy(usize),
}

/// While this lives, its connection keeps its place.
#[derive(Debug)]
pub(in super::super) struct Busy(Place);

impl Places {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(places)), table: Mutex::default() })
    }

    /// A place for a newcomer: a free one, or that of who was silent longest, as soon as it has gone.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Place> {
        let free = Arc::clone(&self.free);
        let permit = match Arc::clone(&free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.push_out();
                // Fails only if the semaphore were closed, which nobody does.
                free.acquire_owned().await.ok()?
            }
        };
        let pushed_out = Arc::new(Notify::new());
        let turn = Mutex::new(Turn::Silent(self.enter(&pushed_out)));
        let places = Arc::clone(self);
        Some(Place(Arc::new(Held { places, pushed_out, turn, _permit: permit })))
    }

    /// Ends the connection that was silent longest, if one may be ended.
    fn push_out(&self) {
        if let Some((_, pushed_out)) = self.lock().silent.pop_first() {
            pushed_out.notify_one();
        }
    }

    fn enter(&self, pushed_out: &Arc<Notify>) -> u64 {
        let mut table = self.lock();
        table.last += 1;
        let key = table.last;
        table.silent.insert(key, Arc::clone(pushed_out));
        key
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Resolves when the connection has to end.
    pub(super) fn pushed_out(&self) -> impl Future<Output = ()> + use<> {
        let pushed_out = Arc::clone(&self.0.pushed_out);
        async move { pushed_out.notified().await }
    }

    /// Keeps the place until what is returned is dropped.
    pub(in super::super) fn busy(&self) -> Busy {
        let mut turn = self.0.turn();
        *turn = match *turn {
            Turn::Silent(key) => {
                self.0.places.lock().silent.remove(&key);
                Turn::Busy(1)
            }
            Turn::Busy(times) => Turn::Busy(times + 1),
        };
        Busy(self.clone())
    }
}

impl Held {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let held = &self.0.0;
        let mut turn = held.turn();
        *turn = match *turn {
            Turn::Busy(times) if times > 1 => Turn::Busy(times - 1),
            _ => Turn::Silent(held.places.enter(&held.pushed_out)),
        };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Turn::Silent(key) = *self.turn() {
            self.places.lock().silent.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn take(places: &Arc<Places>) -> Option<Place> {
        now(places.take()).flatten()
    }

    #[test]
    fn a_newcomer_pushes_out_who_was_silent_longest() {
        let places = Places::new(2);
        let (first, second) = (take(&places).unwrap(), take(&places).unwrap());
        // The first was heard of after the second.
        drop(first.busy());
        assert!(take(&places).is_none(), "the place is taken until its connection has gone");
        assert!(now(first.pushed_out()).is_none());
        assert!(now(second.pushed_out()).is_some());
        drop(second);
        assert!(take(&places).is_some());
    }

    #[test]
    fn who_is_worked_for_keeps_the_place() {
        let places = Places::new(1);
        let first = take(&places).unwrap();
        let (busy, too) = (first.busy(), first.busy());
        assert!(take(&places).is_none());
        drop(busy);
        assert!(take(&places).is_none());
        assert!(now(first.pushed_out()).is_none());
        drop(too);
        assert!(take(&places).is_none());
        assert!(now(first.pushed_out()).is_some());
    }

    #[test]
    fn nothing_is_left_of_who_has_gone() {
        let places = Places::new(3);
        for _ in 0..100 {
            let place = take(&places).unwrap();
            let busy = place.busy();
            drop(place);
            drop(busy);
        }
        assert!(places.lock().silent.is_empty());
        assert_eq!(places.free.available_permits(), 3);
    }
}
