//! Doing something inside another network namespace.

use std::{fs::File, io, os::fd::AsFd, os::unix::fs::OpenOptionsExt, path::Path};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::TapError;

/// Calls `work` with the calling thread's namespace being the one of that file: in a thread of its own, which
/// ends with the work, so that no other thread is ever in that namespace. Without a file, calls it here.
pub(super) fn within<T: Send>(
    netns: Option<&Path>,
    work: impl FnOnce() -> Result<T, TapError> + Send,
) -> Result<T, TapError> {
    let Some(path) = netns else { return work() };
    let missing = |error| TapError::NetnsMissing { path: path.to_owned(), error };
    // Non-blocking: a FIFO in its place must not hold us up.
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(missing)?;
    if !is_namespace(&file) {
        return Err(TapError::NotNetns(path.to_owned()));
    }
    let inside = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(
            |error| match error {
                rustix::io::Errno::INVAL => TapError::NotNetns(path.to_owned()),
                error => {
                    TapError::Kernel { step: "enter the network namespace", error: error.into() }
                }
            },
        )?;
        work()
    };
    let died = |_| TapError::Kernel {
        step: "work inside the network namespace",
        error: io::Error::other("the thread for it panicked"),
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, inside)
            .map_err(|error| TapError::Kernel { step: "start a thread", error })?
            .join()
            .map_err(died)?
    })
}

/// Whether the file is on the kernel's file system of namespaces.
fn is_namespace(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|on| on.f_type == libc::NSFS_MAGIC)
}
