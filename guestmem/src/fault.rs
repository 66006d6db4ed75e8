//! SIGBUS: what happens when a guest truncates the file that its memory is.
//!
//! The handler looks the address up in a fixed table, maps zeroes over the page, marks the mapping and
//! returns, so that the instruction is done again and reads or writes zeroes. It calls nothing but mmap(2)
//! and touches nothing but atomics, so it is safe at any instruction. A fault elsewhere goes to the handler
//! that was there before.

#![allow(unsafe_code, reason = "a signal handler")]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Once, OnceLock};

/// The most mappings that all ports together have.
const MAX_MAPPINGS: usize = 4096;

/// A mapping as the handler sees it. `sequence` is odd while the rest changes: such a slot belongs to nobody
/// who could fault.
struct Slot {
    taken: AtomicBool,
    broken: AtomicBool,
    sequence: AtomicUsize,
    start: AtomicUsize,
    len: AtomicUsize,
    page: AtomicUsize,
}

static SLOTS: [Slot; MAX_MAPPINGS] = [const { Slot::new() }; MAX_MAPPINGS];
/// Whether there was ever a fault, so that the usual question costs one load.
static ANY_FAULT: AtomicBool = AtomicBool::new(false);
/// The action that was there before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

impl Slot {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            sequence: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            page: AtomicUsize::new(1),
        }
    }

    fn set(&self, start: usize, len: usize, page: usize) {
        self.sequence.fetch_add(1, SeqCst);
        self.start.store(start, SeqCst);
        self.len.store(len, SeqCst);
        self.page.store(page, SeqCst);
        self.broken.store(false, SeqCst);
        self.sequence.fetch_add(1, SeqCst);
    }

    /// The page of `address` and its size, if it lies within.
    fn page_of(&self, address: usize) -> Option<(usize, usize)> {
        let before = self.sequence.load(SeqCst);
        let (start, len) = (self.start.load(SeqCst), self.len.load(SeqCst));
        let page = self.page.load(SeqCst);
        let settled = before & 1 == 0 && before == self.sequence.load(SeqCst);
        if !settled || address.wrapping_sub(start) >= len {
            return None;
        }
        Some((address & !(page - 1), page))
    }
}

/// A place in the table, given back when dropped.
#[derive(Debug)]
pub(crate) struct Watch(usize);

impl Watch {
    /// Watches `len` bytes at `start`, both multiples of `page`, a power of two. `None` if the table is full.
    pub(crate) fn new(start: usize, len: usize, page: usize) -> Option<Self> {
        let index = SLOTS
            .iter()
            .position(|slot| slot.taken.compare_exchange(false, true, SeqCst, SeqCst).is_ok())?;
        SLOTS[index].set(start, len, page);
        Some(Self(index))
    }

    pub(crate) fn is_broken(&self) -> bool {
        ANY_FAULT.load(SeqCst) && SLOTS[self.0].broken.load(SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        SLOTS[self.0].set(0, 0, 1);
        SLOTS[self.0].taken.store(false, SeqCst);
    }
}

/// Whether any mapping was ever truncated; if not, none is broken.
#[inline]
pub(crate) fn any() -> bool {
    ANY_FAULT.load(SeqCst)
}

/// Has SIGBUS handled: a fault in a guest's memory becomes zeroes there and a mark on the mapping; any other
/// goes to the handler that was there before. Once a process; further calls do nothing.
///
/// # Panics
/// If the system refuses the handler, which it does not for SIGBUS.
pub fn install_fault_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: an action of all zeroes is a valid one (SIG_DFL), read and then filled below. The handler
        // has the signature that SA_SIGINFO asks for. What was there before is stored before it is replaced.
        let done = unsafe {
            let known = libc::sigaction(libc::SIGBUS, ptr::null(), action.as_mut_ptr());
            let _ = PREVIOUS.set(action.assume_init()); // Only set here, once.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                on_sigbus;
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            libc::sigemptyset(&mut action.sa_mask);
            known == 0 && libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) == 0
        };
        assert!(done, "the system refuses a handler for SIGBUS");
    });
}

extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid siginfo to a handler that was installed with SA_SIGINFO; errno is the
    // thread's own, and restored, since the interrupted code may be about to read it.
    let repaired = unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        let repaired = repair((*info).si_code, (*info).si_addr() as usize);
        *errno = saved;
        repaired
    };
    if !repaired {
        // SAFETY: the very arguments that the kernel passed.
        unsafe { chain(signal, info, context) };
    }
}

/// Maps zeroes over the page of `address` if it is a guest's.
fn repair(code: libc::c_int, address: usize) -> bool {
    if code != libc::BUS_ADRERR && code != libc::BUS_MCEERR_AR {
        return false;
    }
    let found = SLOTS.iter().find_map(|slot| Some((slot, slot.page_of(address)?)));
    let Some((slot, (page, size))) = found else { return false };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: the page lies within a mapping of ours, whose length is a multiple of its page size, and which
    // cannot go away since this thread was using it when it faulted. Nothing else is replaced.
    let zeroes = unsafe { libc::mmap(page as *mut _, size, access, flags, -1, 0) };
    if zeroes == libc::MAP_FAILED {
        return false;
    }
    slot.broken.store(true, SeqCst);
    ANY_FAULT.store(true, SeqCst);
    true
}

/// Does what would have happened without us.
///
/// # Safety
/// The arguments are those that the kernel passed to a handler of this signal.
unsafe fn chain(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous = PREVIOUS.get().filter(|action| {
        action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
    });
    // SAFETY: the address was registered as a handler of the kind that its flags say; the default action is
    // restored with an action of all zeroes, and the instruction, done again, then ends the process.
    unsafe {
        match previous {
            Some(action) if action.sa_flags & libc::SA_SIGINFO != 0 => {
                type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                std::mem::transmute::<usize, Handler>(action.sa_sigaction)(signal, info, context);
            }
            Some(action) => {
                type Handler = extern "C" fn(libc::c_int);
                std::mem::transmute::<usize, Handler>(action.sa_sigaction)(signal);
            }
            None => {
                let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                libc::sigaction(signal, &default, ptr::null_mut());
            }
        }
    }
}
