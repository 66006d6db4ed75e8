//! A bounded queue of lines between those who write and the pipe that somebody may or may not read.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use super::limit::Limiter;

/// Lines that wait for whoever reads the log.
const QUEUED_LINES: usize = 1024;
/// The bytes of a line that are kept: with [`QUEUED_LINES`] 8 MiB at most.
const LINE_BYTES: usize = 8192;

/// What a cut line ends with.
const CUT: &[u8] = "…\n".as_bytes();

/// What goes through the queue.
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
    Wake,
}

/// What the log's thread does next.
pub(super) enum Turn {
    /// Write this.
    Line(Vec<u8>),
    /// Say so when all before it is written.
    Flush(SyncSender<()>),
    /// Look whether lines were suppressed.
    Wake,
    /// Nobody can log any more.
    End,
}

/// The end into which lines go.
#[derive(Clone)]
pub(super) struct Lines {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    limiter: Limiter,
}

/// The end out of which they come.
pub(super) struct Queue {
    queue: Receiver<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

/// A new queue.
pub(super) fn queue() -> (Lines, Queue) {
    let (send, receive) = mpsc::sync_channel(QUEUED_LINES);
    let shared = Arc::new(Shared::default());
    let lines = Lines { queue: send, shared: Arc::clone(&shared), limiter: Limiter::default() };
    (lines, Queue { queue: receive, shared })
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn limiter(&self) -> Limiter {
        self.limiter.clone()
    }

    /// Lines that did not fit.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }

    /// Has the log's thread look for suppressed lines. It looks anyway if there is no room.
    pub(super) fn wake(&self) {
        if self.queue.try_send(Message::Wake).is_ok() {
            self.shared.waiting.fetch_add(1, Relaxed);
        }
    }

    /// Waits until everything before this is written.
    pub(super) fn flush(&self, bound: Duration) {
        let until = Instant::now() + bound;
        let (done, wait) = mpsc::sync_channel(1);
        loop {
            match self.queue.try_send(Message::Flush(done.clone())) {
                Ok(()) => {
                    self.shared.waiting.fetch_add(1, Relaxed);
                    break;
                }
                Err(_) if Instant::now() >= until => return,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        // Whoever reads the log has stopped if this is an error.
        let _stuck = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }

    fn push(&self, line: &[u8]) {
        let line = match line.get(..LINE_BYTES - CUT.len()) {
            Some(start) if line.len() > LINE_BYTES => {
                let whole = match std::str::from_utf8(start) {
                    Ok(_) => start.len(),
                    Err(error) => error.valid_up_to(),
                };
                [&start[..whole], CUT].concat()
            }
            _ => line.to_owned(),
        };
        match self.queue.try_send(Message::Line(line)) {
            Ok(()) => self.shared.waiting.fetch_add(1, Relaxed),
            Err(_) => self.shared.lost.fetch_add(1, Relaxed) as usize,
        };
    }
}

/// The formatter writes whole lines.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    /// Waits for the next thing to do, until that moment if there is one.
    pub(super) fn next(&self, until: Option<Instant>) -> Turn {
        let message = match until {
            None => self.queue.recv().map_err(RecvTimeoutError::from),
            Some(until) => self.queue.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        if message.is_ok() {
            // The sender counts after the message is there: it may be behind, which wraps and is made good.
            self.shared.waiting.fetch_sub(1, Relaxed);
        }
        match message {
            Ok(Message::Line(line)) => Turn::Line(line),
            Ok(Message::Flush(done)) => Turn::Flush(done),
            Ok(Message::Wake) | Err(RecvTimeoutError::Timeout) => Turn::Wake,
            Err(RecvTimeoutError::Disconnected) => Turn::End,
        }
    }

    /// Whether the queue is at most half full.
    pub(super) fn has_room(&self) -> bool {
        (self.shared.waiting.load(Relaxed) as isize) < (QUEUED_LINES / 2) as isize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_time() {
        let (lines, queue) = queue();
        for number in 0..QUEUED_LINES + 7 {
            (&lines).write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(lines.lost(), 7);
        assert!(!queue.has_room());
        let mut read = 0;
        while let Turn::Line(_) = queue.next(Some(Instant::now())) {
            read += 1;
        }
        assert_eq!(read, QUEUED_LINES);
        assert!(queue.has_room());
    }

    #[test]
    fn a_long_line_is_cut_at_a_letter() {
        let (lines, queue) = queue();
        let line = format!("x{}\n", "é".repeat(LINE_BYTES));
        (&lines).write_all(line.as_bytes()).unwrap();
        let Turn::Line(cut) = queue.next(None) else { panic!("there is a line") };
        assert!(cut.len() <= LINE_BYTES && cut.len() > LINE_BYTES - 4);
        assert!(std::str::from_utf8(&cut).unwrap().ends_with("é…\n"));
        (&lines).write_all(b"short\n").unwrap();
        assert!(matches!(queue.next(None), Turn::Line(line) if line == b"short\n"));
    }

    #[test]
    fn the_end_comes_when_nobody_can_log() {
        let (lines, queue) = queue();
        drop(lines);
        assert!(matches!(queue.next(None), Turn::End));
    }

    #[test]
    fn a_flush_does_not_wait_for_ever() {
        let (lines, queue) = queue();
        lines.flush(Duration::from_millis(1));
        assert!(matches!(queue.next(None), Turn::Flush(_)));
    }
}
