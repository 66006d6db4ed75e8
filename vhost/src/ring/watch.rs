//! Writes to eventfds that a front end has, too.
//!
//! Whether such a write waits is a flag of the open file (`O_NONBLOCK`), which the front end can clear, and then fill
//! the counter: the next write would wait for ever, and with it a worker. Linux has no write to an eventfd that
//! never waits whatever the flag. So each thread says which descriptor it is writing to, which costs two stores, and
//! one thread of the process looks every [`TICK`]. A write that has not ended since the last look is released by
//! emptying the counter; its descriptor becomes one that nobody else has; and the session that it came from finds it
//! [stalled](is_stalled), and closes its port for good. So a front end can do this once.

#![allow(unsafe_code, reason = "replaces the file behind a descriptor")]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{OFlags, fcntl_setfl},
};
use tracing::error;

/// How often writes are looked at. One that is stuck ends after two of these at most.
const TICK: Duration = Duration::from_millis(100);
/// The bits of a [`Slot`] that hold a descriptor, plus one; above them is the number of the write.
const DESCRIPTOR: u64 = 0xffff_ffff;

/// What a thread is writing to now.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    now: AtomicU64,
    /// What the watching thread saw last.
    seen: AtomicU64,
}

thread_local! {
    static SLOT: Arc<Slot> = {
        let slot = Arc::new(Slot::default());
        lock(&SLOTS).push(Arc::downgrade(&slot));
        slot
    };
}

static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());
/// All descriptors that may be written to.
static WATCHED: Mutex<Vec<Weak<OwnedFd>>> = Mutex::new(Vec::new());
/// Those of them that a write was stuck in.
static STALLED: Mutex<Vec<Weak<OwnedFd>>> = Mutex::new(Vec::new());
/// Whether there are any, to be asked without a lock.
static ANY: AtomicBool = AtomicBool::new(false);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a descriptor one that [`signal`] may write to.
///
/// # Errors
/// If the thread that watches cannot be started.
pub(super) fn register(fd: &Arc<OwnedFd>) -> io::Result<()> {
    static START: Once = Once::new();
    let mut started = Ok(());
    START.call_once(|| {
        started = thread::Builder::new().name("vu-watch".into()).spawn(watch).map(|_| ());
    });
    let mut watched = lock(&WATCHED);
    watched.retain(|other| other.strong_count() > 0);
    if !watched.iter().any(|other| other.as_ptr() == Arc::as_ptr(fd)) {
        watched.push(Arc::downgrade(fd));
    }
    started
}

/// Adds one to an eventfd's counter. A write that waits is ended by the watching thread.
pub(super) fn signal(fd: &Arc<OwnedFd>) {
    // A thread that is ending, whose slot is gone, has nobody to wake any more.
    let _ = SLOT.try_with(|slot| {
        let number = (slot.now.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        let descriptor = u64::from(fd.as_raw_fd().unsigned_abs()) + 1;
        slot.now.store(number | descriptor, Ordering::Release);
        // Refused only if the counter is full, and then the other side has a wake-up to come.
        let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
        slot.now.store(number, Ordering::Release);
    });
}

/// Whether a write to this descriptor was stuck, so that nobody listens to it any more.
pub(crate) fn is_stalled(fd: &Arc<OwnedFd>) -> bool {
    ANY.load(Ordering::Acquire)
        && lock(&STALLED).iter().any(|other| other.as_ptr() == Arc::as_ptr(fd))
}

/// The watching thread: as long as the process.
fn watch() {
    loop {
        thread::sleep(TICK);
        let slots: Vec<Arc<Slot>> = {
            let mut slots = lock(&SLOTS);
            slots.retain(|slot| slot.strong_count() > 0);
            slots.iter().filter_map(Weak::upgrade).collect()
        };
        for slot in slots {
            let now = slot.now.load(Ordering::Acquire);
            let before = slot.seen.swap(now, Ordering::Relaxed);
            if now & DESCRIPTOR != 0 && now == before {
                release(&slot, now);
            }
        }
    }
}

/// Ends a write that is stuck, if it is the same write still.
fn release(slot: &Slot, stuck: u64) {
    let is_stuck = || slot.now.load(Ordering::Acquire) == stuck;
    let is = |fd: &Arc<OwnedFd>| u64::from(fd.as_raw_fd().unsigned_abs()) + 1 == stuck & DESCRIPTOR;
    let found = lock(&WATCHED).iter().filter_map(Weak::upgrade).find(is);
    // A thread that is still in the same write has had its descriptor open all the time: it is this one.
    let Some(fd) = found.filter(|_| is_stuck()) else { return };
    let blocked = match replace(&fd) {
        Ok(blocked) => blocked,
        Err(error) => {
            error!(
                "a front end keeps the switch from interrupting its guest, and cannot be helped: {error}"
            );
            return;
        }
    };
    {
        let mut stalled = lock(&STALLED);
        stalled.retain(|other| other.strong_count() > 0);
        stalled.push(Arc::downgrade(&fd));
    }
    ANY.store(true, Ordering::Release);
    // The front end may fill it again, but each time the writer has a chance to come first.
    while is_stuck() {
        // Nothing to read is as good: the writer is on its way.
        let _ = fcntl_setfl(&blocked, OFlags::NONBLOCK);
        let _ = rustix::io::read(&blocked, &mut [0; 8]);
        thread::yield_now();
    }
}

/// Puts an eventfd of our own behind a descriptor, and returns another descriptor of what was behind it.
fn replace(fd: &OwnedFd) -> io::Result<OwnedFd> {
    let before = fd.try_clone()?;
    let own = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    // SAFETY: `fd` stays open, under its number and with its owner; all that changes is which eventfd it is, and
    // nobody in this process relies on that: it is only written to.
    let result = unsafe { libc::dup3(own.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(before) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_waits_is_ended_once_and_never_waits_again() {
        let fd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let theirs = fd.try_clone().unwrap();
        register(&fd).unwrap();
        signal(&fd);
        assert!(!is_stalled(&fd));
        let mut count = [0; 8];
        rustix::io::read(&theirs, &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
        // Full, and still a file that waits.
        rustix::io::write(&theirs, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        signal(&fd);
        assert!(is_stalled(&fd));
        rustix::io::write(&theirs, &(u64::MAX - 2).to_ne_bytes()).unwrap();
        for _ in 0..1000 {
            signal(&fd);
        }
    }
}
