//! Segments as iovecs: the kernel copies straight from guest memory into a file or socket.

#![allow(unsafe_code, reason = "the kernel reads raw addresses")]

use std::io::{self, IoSlice};
use std::marker::PhantomData;
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

/// The most messages that one call sends.
pub const MAX_MESSAGES: usize = 64;

/// The most bytes that go before a message's own.
pub const MAX_PREFIX: usize = 16;

/// Room for messages that leave by one sendmmsg(2), each of private bytes and then borrowed ones. Made once, used
/// again and again.
#[derive(Debug)]
pub struct Messages {
    /// What goes before each message; never moved, since vectors name it.
    prefixes: Box<[[u8; MAX_PREFIX]; MAX_MESSAGES]>,
    vectors: Vec<libc::iovec>,
    /// Where the vectors of each message end.
    ends: Vec<u32>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the addresses in it are used only by a `Sending`, which is made empty and borrows what it was given;
// what an earlier one left is never read again.
unsafe impl Send for Messages {}

impl Messages {
    /// Room for [`MAX_MESSAGES`] of `pieces` pieces in all.
    #[must_use]
    pub fn new(pieces: usize) -> Self {
        Self {
            prefixes: Box::new([[0; MAX_PREFIX]; MAX_MESSAGES]),
            vectors: Vec::with_capacity(pieces),
            ends: Vec::with_capacity(MAX_MESSAGES),
            headers: Vec::with_capacity(MAX_MESSAGES),
        }
    }

    /// Begins with no message.
    pub fn start<'bytes>(&mut self) -> Sending<'_, 'bytes> {
        let mut sending = Sending { messages: self, bytes: PhantomData };
        sending.clear();
        sending
    }
}

/// Messages that are about to be sent, and borrow their private bytes.
#[derive(Debug)]
pub struct Sending<'messages, 'bytes> {
    messages: &'messages mut Messages,
    bytes: PhantomData<&'bytes [u8]>,
}

impl<'bytes> Sending<'_, 'bytes> {
    /// How many messages there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.ends.len()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.ends.is_empty()
    }

    /// Forgets all messages.
    pub fn clear(&mut self) {
        self.messages.vectors.clear();
        self.messages.ends.clear();
    }

    /// Adds a message: a prefix that is copied, private bytes, borrowed ones. `false`, and nothing added, if there is
    /// no room for it.
    #[inline]
    pub fn push(&mut self, prefix: &[u8], head: &'bytes [u8], tail: &[Segment]) -> bool {
        let Messages { prefixes, vectors, ends, .. } = &mut *self.messages;
        let count = 2 + tail.len();
        if count > MAX_IOVECS || vectors.capacity() - vectors.len() < count {
            return false;
        }
        let Some(copy) = prefixes.get_mut(ends.len()).and_then(|room| room.get_mut(..prefix.len()))
        else {
            return false;
        };
        copy.copy_from_slice(prefix);
        let private = [&*copy, head].map(|slice| (slice.as_ptr(), slice.len())).into_iter();
        let borrowed = tail.iter().map(|segment| (segment.as_ptr(), segment.len()));
        vectors.extend(
            private
                .chain(borrowed)
                .map(|(base, len)| libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len }),
        );
        ends.push(vectors.len() as u32);
        true
    }

    /// Sends the messages from the `first` on, in order, by one call that does not wait. Returns how many were sent,
    /// at least one; the next one is told of by the next call.
    ///
    /// # Errors
    /// What sendmmsg(2) says of message `first`; `EFAULT` if its borrowed memory was truncated.
    pub fn send(&mut self, socket: BorrowedFd<'_>, first: usize) -> io::Result<usize> {
        let Messages { vectors, ends, headers, .. } = &mut *self.messages;
        headers.clear();
        let mut from = match first.checked_sub(1) {
            None => 0,
            Some(before) => ends.get(before).copied().unwrap_or_default() as usize,
        };
        for &end in ends.get(first..).unwrap_or_default() {
            // SAFETY: all-zero bytes are a valid `mmsghdr`: null pointers and lengths of nothing.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vectors.as_mut_ptr().wrapping_add(from);
            header.msg_hdr.msg_iovlen = (end as usize - from) as _;
            headers.push(header);
            from = end as usize;
        }
        // SAFETY: each header names vectors that `push` wrote, of memory that is mapped: prefixes by `messages`,
        // other slices by the borrow `'bytes`, segments by the promise of their maker. The kernel only reads it, and
        // writes nothing but the headers' own `msg_len`.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
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
    fn messages_leave_in_order_and_an_error_is_told_of_the_one_that_has_it() {
        let (here, there) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let mut buffer = Buffer::new(10).unwrap();
        buffer.as_mut_slice().copy_from_slice(b"0123456789");
        // SAFETY: `buffer` lives to the end of this test, and no slice of it is in use.
        let tail = unsafe { [buffer.segment(2, 3).unwrap(), buffer.segment(8, 2).unwrap()] };
        let mut messages = Messages::new(10);
        let too_long = vec![0; 4 << 20];
        for _ in 0..2 {
            let mut sending = messages.start();
            assert!(sending.is_empty());
            assert!(sending.push(b"ab", b"c", &tail));
            assert!(sending.push(b"", &too_long, &[]));
            assert!(!sending.push(&[0; MAX_PREFIX + 1], b"", &[]));
            assert!(sending.push(b"l", b"ast", &[]));
            assert!(!sending.push(b"no", b"room left", &tail[..1]));
            assert_eq!(sending.len(), 3);
            assert_eq!(sending.send(here.as_fd(), 0).unwrap(), 1);
            let error = sending.send(here.as_fd(), 1).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
            assert_eq!(sending.send(here.as_fd(), 2).unwrap(), 1);
            let mut bytes = [0; 16];
            for expected in [&b"abc23489"[..], b"last"] {
                let len = there.recv(&mut bytes).unwrap();
                assert_eq!(&bytes[..len], expected);
            }
        }
    }

    #[test]
    fn more_pieces_than_one_call_takes_are_refused() {
        let (_reader, writer) = io::pipe().unwrap();
        let head = vec![IoSlice::new(b"x"); MAX_IOVECS + 1];
        let error = writev(writer.as_fd(), &head, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
