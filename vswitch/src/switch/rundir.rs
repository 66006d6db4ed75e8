//! The run directory: made when missing, and one daemon's at a time.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::{fs::FlockOperation, io::Errno};
use thiserror::Error;

/// The control socket's name in it.
pub const CONTROL_SOCKET: &str = "control.sock";
const LOCK: &str = "lock";

/// Why a run directory could not be taken.
#[derive(Debug, Error)]
pub enum RundirError {
    /// It cannot be made or written to.
    #[error("cannot use the run directory {path}: {error}", path = path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Another daemon has it.
    #[error("the run directory {path} belongs to a switch that is running; stop it or give another by --rundir", path = .0.display())]
    InUse(PathBuf),
}

/// A run directory that is ours until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Rundir {
    path: PathBuf,
    _lock: File,
}

impl Rundir {
    /// Makes the directory if there is none, and locks it. Removes what a killed predecessor left.
    ///
    /// # Errors
    /// If it cannot be made or another daemon has it.
    pub fn take(path: &Path) -> Result<Self, RundirError> {
        let unusable = |error| RundirError::Unusable { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(unusable)?;
        // The lock's file stays behind: removing it would let two daemons lock two files.
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(unusable)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(RundirError::InUse(path.to_owned())),
            Err(error) => return Err(unusable(error.into())),
        }
        match fs::remove_file(path.join(CONTROL_SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
            _ => Ok(Self { path: path.to_owned(), _lock: lock }),
        }
    }

    /// Where the control socket belongs.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.path.join(CONTROL_SOCKET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{fs::PermissionsExt, net::UnixListener};

    #[test]
    fn a_second_daemon_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = Rundir::take(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        let error = Rundir::take(&path).unwrap_err();
        assert!(error.to_string().contains("belongs to a switch that is running"), "{error}");
        drop(first);
        Rundir::take(&path).unwrap();
    }

    #[test]
    fn a_stale_control_socket_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join(CONTROL_SOCKET);
        drop(UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        assert_eq!(Rundir::take(dir.path()).unwrap().control_socket(), socket);
        assert!(!socket.exists());
    }

    #[test]
    fn a_file_in_its_place_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        assert!(matches!(Rundir::take(&path).unwrap_err(), RundirError::Unusable { .. }));
    }
}
