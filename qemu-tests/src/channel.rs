//! The line to a guest's command loop (`scripts/guest-init`): one request, one framed answer.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::wait::until_some;
use crate::{DEADLINE, Error, Output, Result};

/// How long a command may run in the guest before it is killed there.
const COMMAND_SECONDS: u64 = DEADLINE.as_secs();
/// How long its answer may take: longer, so that the guest's own limit strikes first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(COMMAND_SECONDS + 60);
/// After how much silence a request is sent again.
const RESEND: Duration = Duration::from_secs(20);
/// How often a silent line is looked up from, to see if QEMU still runs.
const GLANCE: Duration = Duration::from_millis(200);

/// A socket on which QEMU will call; made before QEMU starts, so that no byte is lost.
pub(crate) struct Awaited(UnixListener);

impl Awaited {
    pub(crate) fn listen(path: &Path) -> Result<Awaited> {
        let doing = || format!("listen on {}", path.display());
        let listener = UnixListener::bind(path).map_err(Error::io(doing()))?;
        listener.set_nonblocking(true).map_err(Error::io(doing()))?;
        Ok(Awaited(listener))
    }

    pub(crate) fn accept(&self, qemu: &Process) -> Result<UnixStream> {
        let stream = until_some("QEMU opens its control lines", || match self.0.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => qemu.check().map(|()| None),
            Err(error) => Err(Error::io("accept QEMU's control line")(error)),
        })?;
        stream.set_nonblocking(false).map_err(Error::io("set up a control line"))?;
        stream.set_read_timeout(Some(GLANCE)).map_err(Error::io("set up a control line"))?;
        stream.set_write_timeout(Some(DEADLINE)).map_err(Error::io("set up a control line"))?;
        Ok(stream)
    }
}

/// Reads lines and counted bytes from a stream, with a deadline, as long as QEMU lives.
pub(crate) struct Lines {
    pub(crate) stream: UnixStream,
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(stream: UnixStream) -> Lines {
        Lines { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result {
        self.stream.write_all(bytes).map_err(Error::io("write to a guest's control line"))
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self, qemu: &Process, end: Instant) -> Result<String> {
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.more(qemu, end)?;
        }
    }

    fn bytes(&mut self, count: usize, qemu: &Process, end: Instant) -> Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more(qemu, end)?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn more(&mut self, qemu: &Process, end: Instant) -> Result {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => {
                // The line closes a moment before the process is gone.
                until_some("QEMU ends after it closed its control line", || {
                    qemu.check().map(|()| None)
                })
            }
            Ok(count) => {
                self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                qemu.check()?;
                if Instant::now() < end {
                    return Ok(());
                }
                let seen = String::from_utf8_lossy(&self.buffer).into_owned();
                Err(Error::Deadline {
                    what: format!("an answer on a control line (so far: {seen:?})"),
                })
            }
            Err(error) => Err(Error::io("read a guest's control line")(error)),
        }
    }
}

/// The line to the command loop.
pub(crate) struct Channel {
    lines: Lines,
    boot: String,
    requests: u64,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Channel {
        Channel { lines: Lines::new(stream), boot: String::new(), requests: 0 }
    }

    /// Waits until the guest's command loop runs, after a boot that was not seen before.
    pub(crate) fn await_boot(&mut self, qemu: &Process) -> Result {
        let end = Instant::now() + DEADLINE;
        loop {
            let line = self.lines.line(qemu, end)?;
            if let Some(boot) = line.strip_prefix("ready ")
                && boot != self.boot
            {
                self.boot = boot.to_owned();
                return Ok(());
            }
        }
    }

    /// Sends a command and waits until it runs, not until it ends.
    pub(crate) fn begin(&mut self, command: &str, qemu: &Process) -> Result<u64> {
        self.requests += 1;
        let id = self.requests;
        let command = base64(command.as_bytes());
        let request = format!("{id} {COMMAND_SECONDS} {} {command}\n", command.len());
        let (begun, end) = (format!("begin {id}"), Instant::now() + DEADLINE);
        // A serial line may lose bytes: the guest asks again for what is not whole, and what it
        // never saw is sent again. It runs each number once.
        loop {
            self.lines.send(request.as_bytes())?;
            let patience = (Instant::now() + RESEND).min(end);
            loop {
                match self.lines.line(qemu, patience) {
                    Ok(line) if line == begun => return Ok(id),
                    Ok(line) if line == "again" => break,
                    Ok(line) if line.starts_with("ready ") => return Err(rebooted()),
                    Ok(_) => {}
                    Err(Error::Deadline { .. }) if patience < end => {
                        self.lines.send(b"\n")?;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Runs a command to its end.
    pub(crate) fn run(&mut self, command: &str, qemu: &Process) -> Result<Output> {
        let id = self.begin(command, qemu)?;
        let end = Instant::now() + ANSWER_DEADLINE;
        loop {
            let line = self.lines.line(qemu, end)?;
            if line.starts_with("ready ") {
                return Err(rebooted());
            }
            // An answer to an older request is one that nobody waited for.
            let Some((code, length)) = answer_to(id, &line) else { continue };
            let text = self.lines.bytes(length, qemu, end)?;
            while self.lines.line(qemu, end)? != format!("end {id}") {}
            return Ok(Output { code, text: String::from_utf8_lossy(&text).into_owned() });
        }
    }
}

fn rebooted() -> Error {
    Error::Wrong("the guest rebooted when it was to run a command".to_owned())
}

/// `answer ID CODE LENGTH` → code and length, if the line is one and the id is this.
fn answer_to(id: u64, line: &str) -> Option<(i32, usize)> {
    let mut words = line.strip_prefix("answer ")?.split(' ');
    let (found, code, length) = (words.next()?, words.next()?, words.next()?);
    if found.parse::<u64>().ok()? != id {
        return None;
    }
    Some((code.parse().ok()?, length.parse().ok()?))
}

/// Base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit > group.len() { '=' } else { char::from(DIGITS[index]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn only_the_answer_with_the_right_number_counts() {
        assert_eq!(answer_to(7, "answer 7 1 22"), Some((1, 22)));
        assert_eq!(answer_to(7, "answer 6 1 22"), None);
        assert_eq!(answer_to(7, "answer 7 1"), None);
        assert_eq!(answer_to(7, "noise"), None);
    }
}
