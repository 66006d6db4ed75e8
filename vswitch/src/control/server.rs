//! The answering side: one thread, one client after the other.

use std::{
    fs, io,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags},
    fs::Mode,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use serde::Serialize;
use thiserror::Error;
use tracing::{debug, warn};

use super::{Refused, Request, Source};

/// The most bytes of a request, with its newline.
const MAX_REQUEST: usize = 4096;
/// How long a client may take, from its connection to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clients that may wait for their turn.
const BACKLOG: i32 = 16;

/// Why the server could not be started.
#[derive(Debug, Error)]
#[error("cannot listen on the control socket {path}: {error}", path = path.display())]
pub struct ServerError {
    path: PathBuf,
    error: io::Error,
}

/// A control socket that is being served. Dropping it stops the thread and removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the socket, at a path where none is, and answers from `source`.
    ///
    /// # Errors
    /// If the socket or the thread cannot be made. No socket is left then.
    pub fn start(path: &Path, source: impl Source) -> Result<Self, ServerError> {
        let failed = |error: io::Error| ServerError { path: path.to_owned(), error };
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        let listener = listen(path).map_err(|error| failed(error.into()))?;
        let mut server = Self { path: path.to_owned(), stop, thread: None };
        let stop = server.stop.try_clone().map_err(failed)?;
        let serve = move || serve(&listener, &stop, &source);
        server.thread =
            Some(std::thread::Builder::new().name("control".into()).spawn(serve).map_err(failed)?);
        Ok(server)
    }
}

impl std::ops::Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = rustix::io::write(&self.stop, &1_u64.to_ne_bytes()) {
            warn!("cannot stop the control thread: {error}");
            return;
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the control thread panicked");
        }
        if let Err(error) = fs::remove_file(&self.path) {
            warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// A listening socket that only its owner may connect to, from its first moment on: Linux gives a bound socket
/// the mode that it had before.
fn listen(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&listener, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

fn serve(listener: &OwnedFd, stop: &OwnedFd, source: &impl Source) {
    loop {
        let mut waiting = [PollFd::new(stop, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        match rustix::event::poll(&mut waiting, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return warn!("the control thread ends: {error}"),
        }
        let [stopped, _] = waiting;
        if !stopped.revents().is_empty() {
            return;
        }
        let client = match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(client) => UnixStream::from(client),
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => {
                // Out of descriptors, most likely: wait for them, or for the end.
                warn!("cannot accept a control client: {error}");
                let rest = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
                match rustix::event::poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&rest)) {
                    Ok(0) | Err(_) => continue,
                    Ok(_) => return,
                }
            }
        };
        if let Err(error) = answer(client, stop, source) {
            debug!("a control client was not answered: {error}");
        }
    }
}

/// Reads one request and answers it.
fn answer(mut client: UnixStream, stop: &OwnedFd, source: &impl Source) -> io::Result<()> {
    client.set_nonblocking(true)?;
    let until = Instant::now() + PATIENCE;
    let refused = |error: String| json(&Refused { error });
    let mut document = match request(&mut client, stop, until)? {
        None => refused(format!("a request is one line of at most {MAX_REQUEST} bytes"))?,
        Some(line) => match serde_json::from_slice(&line) {
            Ok(Request::Status) => json(&source.status())?,
            Ok(Request::Drops) => json(&source.drops())?,
            Err(error) => refused(format!("the request was not understood: {error}"))?,
        },
    };
    document.push(b'\n');
    let mut rest = document.as_slice();
    while !rest.is_empty() {
        match client.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) => wait(&client, stop, PollFlags::OUT, error, until)?,
        }
    }
    Ok(())
}

/// The request up to its newline, or the end of what the client sends. `None` if it is too long.
fn request(client: &mut UnixStream, stop: &OwnedFd, until: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut part = [0; 512];
    loop {
        match client.read(&mut part) {
            Ok(0) => return Ok(Some(line)),
            Ok(read) => {
                let part = part.get(..read).unwrap_or_default();
                let end = part.iter().position(|&byte| byte == b'\n');
                line.extend_from_slice(part.get(..end.unwrap_or(read)).unwrap_or_default());
                if line.len() >= MAX_REQUEST {
                    return Ok(None);
                }
                if end.is_some() {
                    return Ok(Some(line));
                }
            }
            Err(error) => wait(client, stop, PollFlags::IN, error, until)?,
        }
    }
}

/// Waits until the client goes on, if that is what the error asks for. Fails when its time is over or the server ends.
fn wait(
    client: &UnixStream,
    stop: &OwnedFd,
    flags: PollFlags,
    error: io::Error,
    until: Instant,
) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => return Ok(()),
        io::ErrorKind::WouldBlock => {}
        _ => return Err(error),
    }
    let left = until.saturating_duration_since(Instant::now());
    let left = rustix::event::Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: left.subsec_nanos().into(),
    };
    let stop_fd = stop.as_fd();
    let mut waiting = [PollFd::new(&stop_fd, PollFlags::IN), PollFd::new(client, flags)];
    match rustix::event::poll(&mut waiting, Some(&left)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) if !waiting[0].revents().is_empty() => Err(io::Error::other("the switch ends")),
        Ok(_) => Ok(()),
    }
}

fn json(document: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(document)?)
}

#[cfg(test)]
mod tests {
    use super::super::{AskError, Drop, Status, ask};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Fixed;
    impl Source for Fixed {
        fn status(&self) -> Status {
            Status { version: "7".into(), pid: 42, ..Status::default() }
        }
    }

    fn server() -> (tempfile::TempDir, PathBuf, Server) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let server = Server::start(&path, Fixed).unwrap();
        (dir, path, server)
    }

    fn raw(path: &Path, request: &[u8]) -> String {
        let mut client = UnixStream::connect(path).unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn status_and_drops_are_answered() {
        let (_dir, path, server) = server();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ask::<Status>(&path, Request::Status).unwrap().pid, 42);
        assert_eq!(ask::<Vec<Drop>>(&path, Request::Drops).unwrap(), []);
        assert!(raw(&path, b"{\"command\":\"status\"}\n").contains("\"pid\":42"));
        drop(server);
        assert!(!path.exists());
        assert!(matches!(ask::<Status>(&path, Request::Status), Err(AskError::NoDaemon { .. })));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let (_dir, path, _server) = server();
        for request in [&b"hello\n"[..], b"{\"command\":\"fly\"}\n", b"{}\n", b"\n", b"\xff\n"] {
            assert!(raw(&path, request).contains("not understood"), "{}", request.escape_ascii());
        }
        assert!(raw(&path, &[b'x'; MAX_REQUEST]).contains("at most 4096 bytes"));
    }

    #[test]
    fn a_silent_client_does_not_hold_up_others_for_ever_nor_the_end() {
        let (_dir, path, server) = server();
        let _silent = UnixStream::connect(&path).unwrap();
        assert_eq!(ask::<Status>(&path, Request::Status).unwrap().pid, 42);
        let _silent = UnixStream::connect(&path).unwrap();
        drop(server);
        assert!(!path.exists());
    }
}
