//! Segments as iovecs: the kernel copies straight from guest memory into a file or socket.

#![allow(unsafe_code, reason = "the kernel reads raw addresses")]

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Segment;

/// The most pieces that one write has: Linux's `IOV_MAX`.
pub const MAX_IOVECS: usize = 1024;

/// Writes private bytes, then borrowed ones, in one call. Returns how many bytes were written.
///
/// # Errors
/// What writev(2) says; `EFAULT` if the borrowed memory was truncated; `InvalidInput` above [`MAX_IOVECS`].
pub fn writev(fd: BorrowedFd<'_>, head: &[IoSlice<'_>], tail: &[Segment]) -> io::Result<usize> {
    let count = head.len() + tail.len();
    if count > MAX_IOVECS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more pieces than one write has"));
    }
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MAX_IOVECS];
    let private = head.iter().map(|slice| (slice.as_ptr(), slice.len()));
    let borrowed = tail.iter().map(|segment| (segment.as_ptr(), segment.len()));
    for (vector, (base, len)) in vectors.iter_mut().zip(private.chain(borrowed)) {
        vector.write(libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len });
    }
    // SAFETY: the first `count` vectors are initialised and name memory that is mapped: slices by their
    // borrow, segments by the promise of their maker. The kernel only reads it.
    let written =
        unsafe { libc::writev(fd.as_raw_fd(), vectors.as_ptr().cast(), count as libc::c_int) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;
    use crate::Buffer;

    #[test]
    fn private_and_borrowed_bytes_arrive_as_one() {
        let mut buffer = Buffer::new(10).unwrap();
        buffer.as_mut_slice().copy_from_slice(b"0123456789");
        let (mut reader, writer) = io::pipe().unwrap();
        // SAFETY: `buffer` lives to the end of this test, and no slice of it is in use.
        let tail = unsafe { [buffer.segment(2, 3).unwrap(), buffer.segment(8, 2).unwrap()] };
        let head = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
        assert_eq!(writev(writer.as_fd(), &head, &tail).unwrap(), 8);
        drop(writer);
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(all, "abc23489");
    }

    #[test]
    fn more_pieces_than_one_call_takes_are_refused() {
        let (_reader, writer) = io::pipe().unwrap();
        let head = vec![IoSlice::new(b"x"); MAX_IOVECS + 1];
        let error = writev(writer.as_fd(), &head, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
