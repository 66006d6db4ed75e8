//! The signals that end the daemon.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};

/// SIGTERM and SIGINT: the first is for the daemon to end in order, a second ends it at once.
#[derive(Debug)]
pub struct Ending {
    arrived: UnixStream,
    once: Arc<AtomicBool>,
}

impl Ending {
    /// From now on the signals are kept for [`wait`](Self::wait).
    ///
    /// # Errors
    /// If the kernel refuses a handler or a socket pair.
    pub fn catch() -> io::Result<Self> {
        let (arrived, tell) = UnixStream::pair()?;
        let once = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: a handler that ends the process if the flag is set, then the one that sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, once.clone())?;
            flag::register(signal, once.clone())?;
            low_level::pipe::register(signal, tell.try_clone()?)?;
        }
        Ok(Self { arrived, once })
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.once.load(Ordering::Relaxed)
    }

    /// Waits for the first signal.
    ///
    /// # Errors
    /// If the socket pair fails.
    pub fn wait(&mut self) -> io::Result<()> {
        self.arrived.read_exact(&mut [0])
    }
}
