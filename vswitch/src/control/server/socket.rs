//! The listening sockets.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Gid, Mode},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use super::{ServerError, limits::BACKLOG};

/// A UNIX socket that clients find at its path. Dropping it removes it.
#[derive(Debug)]
pub(super) struct LocalSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl LocalSocket {
    /// Listens at a path where no socket is, or one that nobody listens at. Whoever finds it finds it with its mode
    /// and group: it is made beside its place, for its owner alone, and moved there when all is done.
    pub(super) fn listen(path: &Path, mode: u32, group: Option<Gid>) -> Result<Self, ServerError> {
        let failed = |error: io::Error| ServerError::Socket { path: path.to_owned(), error };
        let made = path.with_extension("new");
        remove(&made).map_err(failed)?;
        let listener = bind(&made).map_err(failed)?;
        let finish = || -> Result<(), ServerError> {
            if let Some(group) = group {
                rustix::fs::chown(&made, None, Some(group)).map_err(|error| {
                    ServerError::Group { group: group.as_raw(), error: error.into() }
                })?;
            }
            rustix::fs::chmod(&made, Mode::from_raw_mode(mode))
                .map_err(|error| failed(error.into()))?;
            rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
            fs::rename(&made, path).map_err(failed)
        };
        match finish() {
            Ok(()) => Ok(Self { path: path.to_owned(), listener }),
            Err(error) => {
                // What went wrong first is what matters.
                let _also = remove(&made);
                Err(error)
            }
        }
    }

    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// A bound socket that only its owner may connect to: Linux gives it the mode that it had before.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixListener::from(socket))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A TCP socket, to be spoken to by TLS.
pub(super) fn listen_tcp(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let failed = |error| ServerError::Listen { address, error };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// A group by its name in `/etc/group`, or by its number.
pub(super) fn group(name: &str) -> Result<Gid, ServerError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    find_group(&groups, name)
        .map(Gid::from_raw)
        .ok_or_else(|| ServerError::NoGroup(name.to_owned()))
}

/// Looks through lines of `name:password:number:members`.
fn find_group(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt, net::UnixStream};

    use super::*;

    #[test]
    fn the_socket_has_its_mode_whatever_the_umask_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        for mode in [0o600, 0o660, 0o666] {
            let socket = LocalSocket::listen(&path, mode, None).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
            UnixStream::connect(&path).unwrap();
            drop(socket);
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        }
    }

    #[test]
    fn nothing_is_left_of_a_socket_that_could_not_be_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        fs::create_dir(&path).unwrap();
        let error = LocalSocket::listen(&path, 0o600, None).unwrap_err().to_string();
        assert!(error.contains("control.sock"), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn groups_are_found_by_name_or_number() {
        let groups = "root:x:0:\nvirt:x:107:a,b\nbroken\n:x:9:\n";
        assert_eq!(find_group(groups, "virt"), Some(107));
        assert_eq!(find_group(groups, "vir"), None);
        assert_eq!(find_group(groups, "broken"), None);
        assert_eq!(group("4242").unwrap().as_raw(), 4242);
        assert_eq!(group("root").unwrap().as_raw(), 0);
        let error = group("no such group").unwrap_err().to_string();
        assert!(error.contains("'no such group'"), "{error}");
    }
}
