//! One thread that watches the sockets of all ports that listen.
//!
//! A port without a front end is a descriptor in an epoll set and nothing more. When somebody connects, the port gets
//! a thread, which accepts and serves one front end after another, and ends when nobody waits any more. So a front
//! end that stalls still stalls its own thread only: the reception accepts nothing and reads nothing.
//!
//! A socket is watched once at a time (`EPOLLONESHOT`): while its port's thread runs, who connects stands in the
//! socket's queue.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    io::Errno,
};
use tracing::{error, warn};

use crate::{
    listener::{Listener, Next},
    port::Shared,
};

/// Sockets that one wait reports. More are found by the next.
const EVENTS: usize = 64;
/// How long a port rests whose thread could not be started.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket's name in the epoll set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(u64);

/// All listening sockets of the process, and who is behind them.
#[derive(Debug)]
pub(crate) struct Reception {
    epoll: OwnedFd,
    next: AtomicU64,
    desks: Mutex<HashMap<Token, Arc<Desk>>>,
}

/// Where the front ends of one port arrive.
#[derive(Debug)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
    /// `None` once the port is closed.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    /// `None` once a front end stalled the port, which then takes no other.
    listener: Option<Arc<Listener>>,
    /// The thread that serves, or has just ended.
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reception {
    /// That of the process, whose thread is started by the first who asks.
    ///
    /// # Errors
    /// If the system has no descriptor or no thread left.
    pub(crate) fn get() -> io::Result<&'static Self> {
        static RECEPTION: OnceLock<Arc<Reception>> = OnceLock::new();
        static START: Mutex<()> = Mutex::new(());
        let _one_at_a_time = lock(&START);
        if let Some(running) = RECEPTION.get() {
            return Ok(running);
        }
        let reception = Arc::new(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            next: AtomicU64::new(0),
            desks: Mutex::default(),
        });
        let own = Arc::clone(&reception);
        thread::Builder::new().name("vu-reception".into()).spawn(move || own.run())?;
        Ok(RECEPTION.get_or_init(|| reception))
    }

    /// Makes room for a socket, which is not watched yet. It leaves when it is closed.
    ///
    /// # Errors
    /// If the system watches as many as it may (`fs.epoll.max_user_watches`).
    pub(crate) fn add(&self, socket: &OwnedFd) -> io::Result<Token> {
        let token = Token(self.next.fetch_add(1, Ordering::Relaxed));
        epoll::add(&self.epoll, socket, EventData::new_u64(token.0), EventFlags::ONESHOT)?;
        Ok(token)
    }

    /// Watches a socket until somebody connects, or who waits there already is seen.
    pub(crate) fn watch(&self, listener: &Listener) {
        let data = EventData::new_u64(listener.token().0);
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        if let Err(error) = epoll::modify(&self.epoll, listener.socket(), data, flags) {
            error!("cannot watch {}: {error}", listener.path().display());
        }
    }

    /// From now on a port's front ends are served.
    pub(crate) fn open(&self, listener: &Arc<Listener>, shared: Arc<Shared>) -> Arc<Desk> {
        let open = Open { listener: Some(Arc::clone(listener)), thread: None };
        let desk = Arc::new(Desk { shared, open: Mutex::new(Some(open)) });
        lock(&self.desks).insert(listener.token(), Arc::clone(&desk));
        self.watch(listener);
        desk
    }

    fn run(&self) {
        let mut resting: Vec<(Instant, Token)> = Vec::new();
        let mut events = [MaybeUninit::uninit(); EVENTS];
        loop {
            let rest = resting.iter().map(|&(until, _)| until).min().map(|until| {
                let left = until.saturating_duration_since(Instant::now());
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
            });
            match epoll::wait(&self.epoll, &mut events, rest.as_ref()) {
                Ok((events, _)) => {
                    for event in events {
                        let token = Token(event.data.u64());
                        if !self.admit(token) {
                            resting.push((Instant::now() + PAUSE, token));
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    // Cannot happen with a descriptor of our own. If it does, do not try as fast as one can.
                    error!("cannot wait for front ends: {error}");
                    thread::sleep(PAUSE);
                }
            }
            let now = Instant::now();
            resting.retain(|&(until, token)| {
                if until <= now
                    && let Some(desk) = self.desk(token)
                {
                    desk.watch(self);
                }
                until > now
            });
        }
    }

    fn desk(&self, token: Token) -> Option<Arc<Desk>> {
        lock(&self.desks).get(&token).cloned()
    }

    /// Starts the thread of a port that somebody connected to. `false` if the system has none left.
    fn admit(&self, token: Token) -> bool {
        let Some(desk) = self.desk(token) else { return true };
        let Err(error) = desk.admit() else { return true };
        let text = format!("cannot start a thread for a front end: {error}");
        warn!(port = desk.shared.config().name, "{text}");
        desk.shared.update(|status| status.last_error = Some(text));
        false
    }
}

impl Desk {
    fn admit(self: &Arc<Self>) -> io::Result<()> {
        let mut open = lock(&self.open);
        let Some(open) = open.as_mut() else { return Ok(()) };
        let Some(listener) = open.listener.clone() else { return Ok(()) };
        if let Some(ended) = open.thread.take() {
            // It asked to be told of the next front end, which was the last that it did.
            join(ended, &self.shared);
        }
        let desk = Arc::clone(self);
        // The kernel shows 15 bytes of a thread's name.
        let thread = thread::Builder::new().name(format!("vu-{}", self.shared.config().name));
        open.thread = Some(thread.spawn(move || desk.attend(&listener))?);
        Ok(())
    }

    fn watch(&self, reception: &Reception) {
        if let Some(listener) = self.listener() {
            reception.watch(&listener);
        }
    }

    /// The socket, for the port that takes its place.
    pub(crate) fn listener(&self) -> Option<Arc<Listener>> {
        lock(&self.open).as_ref().and_then(|open| open.listener.clone())
    }

    /// The port's thread: serves who waits, one after another.
    fn attend(&self, listener: &Listener) {
        loop {
            match listener.next(&self.shared) {
                Next::FrontEnd(socket) => {
                    if !self.shared.serve(socket) {
                        return self.give_up();
                    }
                }
                Next::Nobody => break,
                Next::Stopped => return,
            }
        }
        if let Ok(reception) = Reception::get() {
            reception.watch(listener);
        }
    }

    /// Takes no front end any more, though the port is not closed yet.
    fn give_up(&self) {
        if let Some(listener) = lock(&self.open).as_mut().and_then(|open| open.listener.take()) {
            forget(&listener);
        }
    }

    /// Ends the thread, which has been told to stop, and gives the socket up.
    pub(crate) fn close(&self) {
        let Some(Open { listener, thread }) = lock(&self.open).take() else { return };
        if let Some(listener) = listener {
            forget(&listener);
        }
        if let Some(thread) = thread {
            join(thread, &self.shared);
        }
    }
}

fn join(thread: JoinHandle<()>, shared: &Shared) {
    if thread.join().is_err() {
        error!(port = shared.config().name, "the port's thread panicked");
    }
}

/// Serves nobody at a socket any more.
fn forget(listener: &Listener) {
    if let Ok(reception) = Reception::get() {
        lock(&reception.desks).remove(&listener.token());
    }
}
