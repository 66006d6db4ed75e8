//! A port that listens: its socket in the file system, and one front end after another.
//!
//! The [reception](crate::reception) watches the socket; the port has a thread only while somebody is connected.
//!
//! **A second front end waits.** One session at a time runs on the port's thread; whoever connects meanwhile stands
//! in the socket's queue and is served when the first is gone. So a front end that restarts faster than the switch
//! sees the old one go is never turned away, which would end a QEMU without `reconnect`. DPDK accepts every
//! connection on a path and makes a device of each; a switch port has but one guest.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    event::Timespec,
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        socket_with,
    },
};
use tracing::warn;

use crate::{
    PortConfig, PortError,
    event::Woken,
    port::Shared,
    reception::{Reception, Token},
};

/// Front ends that may wait for the first to go.
const BACKLOG: i32 = 8;
/// Owner and group may connect. A directory with its set-group-ID bit gives the socket its group.
const MODE: u32 = 0o660;
/// How long to wait before accepting again when the process has no descriptor left.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// No time at all.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A bound, listening socket; dropping it removes its file.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    file: SocketFile,
    token: Token,
}

/// What a port's thread finds at its socket.
pub(crate) enum Next {
    /// Somebody connected.
    FrontEnd(OwnedFd),
    /// Nobody waits.
    Nobody,
    /// The port is being closed.
    Stopped,
}

/// The socket's file, known by its inode so that nobody else's is removed.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at the port's path. A socket that nobody listens on is replaced; anything else there is an error.
    pub(crate) fn bind(config: &PortConfig, address: &SocketAddrUnix) -> Result<Self, PortError> {
        let path = config.path.clone();
        let failed = |action| PortError::io(config, action);
        let socket = stream_socket().map_err(failed("create a socket for"))?;
        match bind(&socket, address) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(config, address)?;
                bind(&socket, address)
            }
            other => other,
        }
        .map_err(|error| failed("bind")(error.into()))?;
        let mut file = SocketFile { path: path.clone(), identity: None };
        file.identity = Some(identity(&path).map_err(failed("inspect"))?);
        // Nobody can connect before `listen`, so there is no moment with other permissions.
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE))
            .map_err(failed("set the permissions of"))?;
        listen(&socket, BACKLOG).map_err(|error| failed("listen on")(error.into()))?;
        let token = Reception::get()
            .and_then(|reception| reception.add(&socket))
            .map_err(failed("watch"))?;
        Ok(Self { socket, file, token })
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// The next connection, if one waits.
    pub(crate) fn next(&self, shared: &Shared) -> Next {
        let mut pause = NOW;
        loop {
            if matches!(shared.stop().wait(None, Some(pause)), Ok(Woken::Stopped)) {
                return Next::Stopped;
            }
            match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => return Next::FrontEnd(socket),
                Err(Errno::AGAIN) => return Next::Nobody,
                Err(Errno::INTR | Errno::CONNABORTED) => pause = NOW,
                Err(error) => {
                    pause = PAUSE;
                    self.report(shared, error);
                }
            }
        }
    }

    fn report(&self, shared: &Shared, error: Errno) {
        let text = format!("cannot accept on {}: {error}", self.file.path.display());
        warn!(port = shared.config().name, "{text}");
        shared.update(|status| status.last_error = Some(text));
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path).ok() == self.identity {
            // It may have gone in between, which is what we want.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A stream socket that never blocks.
pub(crate) fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Removes a socket that nobody listens on.
fn remove_stale(config: &PortConfig, address: &SocketAddrUnix) -> Result<(), PortError> {
    let (name, path) = (config.name.clone(), config.path.clone());
    let failed = |action| PortError::io(config, action);
    let kind = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("inspect")(error)),
    };
    if !kind.is_socket() {
        return Err(PortError::NotASocket { name, path });
    }
    let probe = stream_socket().map_err(failed("create a socket to probe"))?;
    match connect(&probe, address) {
        Err(Errno::CONNREFUSED) => {
            fs::remove_file(&path).map_err(failed("remove the stale socket"))
        }
        Err(Errno::NOENT) => Ok(()),
        // A full queue means that somebody listens, too; so does a socket of another type.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(PortError::InUse { name, path }),
        Err(error) => Err(failed("find out who listens on")(error.into())),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
