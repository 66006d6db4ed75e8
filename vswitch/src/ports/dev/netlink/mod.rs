//! Netlink as far as a dev port needs it (netlink(7)): messages of headers and attributes, requests with their
//! answers, notifications.
//!
//! ```text
//! message:   0 length: u32  4 type: u16  6 flags: u16  8 sequence: u32  12 port: u32  16 fixed part, attributes
//! attribute: 0 length: u16  2 type: u16  4 value, padded to a multiple of 4
//! ```
//! All in the machine's byte order but for values that nf_tables has in big-endian.

pub(super) mod filter;
pub(super) mod route;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::SocketAddrNetlink,
    },
};

const HEADER: usize = 16;
/// More than any answer has that is asked for here: an interface's is a few thousand bytes.
const MOST_BYTES: usize = 64 * 1024;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
const ACK: u16 = 4;
/// `NLM_F_CREATE`.
pub(super) const CREATE: u16 = 0x400;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// A message to the kernel.
#[derive(Debug)]
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend(fixed);
        Self(bytes)
    }

    /// Appends an attribute.
    fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let len = (value.len() + 4) as u16;
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a string with its final zero.
    fn with_text(self, kind: u16, text: &str) -> Self {
        self.with(kind, &[text.as_bytes(), b"\0"].concat())
    }

    /// Appends attributes in an attribute.
    fn with_nested(self, kind: u16, inner: &Self) -> Self {
        self.with(kind | NESTED, inner.0.get(HEADER..).unwrap_or_default())
    }

    /// Attributes alone, for [`with_nested`](Self::with_nested).
    fn inner() -> Self {
        Self::new(0, 0, &[])
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    pub(super) kind: u16,
    sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages of a datagram, as far as they are whole.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0)? as usize;
        let body = bytes.get(HEADER..len)?;
        let (kind, sequence) = (u16_at(bytes, 4)?, u32_at(bytes, 8)?);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Received { kind, sequence, body })
    })
}

/// The attributes in `bytes`, as far as they are whole: types without flags, and values.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(4..len)?;
        let kind = u16_at(bytes, 2)? & 0x3fff;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A string attribute's text.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What a socket had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All that there was.
    Everything,
    /// The kernel had no room for more: something is missing.
    NotEverything,
}

impl Socket {
    /// One that hears the notifications of `groups`, a bit each.
    pub(super) fn open(protocol: Option<Protocol>, groups: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; MOST_BYTES] })
    }

    /// Sends a request and gives the bodies of what answers it.
    ///
    /// # Errors
    /// What the kernel says to it.
    fn request(&mut self, message: Message) -> io::Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.exchange(&acknowledged(message).finish(self.sequence), self.sequence, 1)
    }

    /// Sends bytes whose messages of the sequence numbers from `first` on each want an acknowledgement, `count` in
    /// all. The kernel answers while it takes them, so that all answers are there when that is done.
    fn exchange(&mut self, bytes: &[u8], first: u32, count: u32) -> io::Result<Vec<Vec<u8>>> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty()))?;
        let (mut bodies, mut acknowledged, mut refusal) = (Vec::new(), 0, None);
        while acknowledged < count && refusal.is_none() {
            let len = match self.receive() {
                Ok(len) => len,
                Err(Errno::AGAIN) => {
                    return Err(io::Error::other("the kernel did not answer a netlink request"));
                }
                Err(error) => return Err(error.into()),
            };
            for received in messages(self.buffer.get(..len).unwrap_or_default()) {
                // An earlier request's answer, if that one failed before it was read.
                if received.sequence.wrapping_sub(first) >= count {
                    continue;
                }
                if received.kind != ERROR {
                    bodies.push(received.body.to_vec());
                    continue;
                }
                match u32_at(received.body, 0).unwrap_or_default().cast_signed() {
                    0 => acknowledged += 1,
                    error => {
                        refusal = refusal.or(Some(io::Error::from_raw_os_error(-error)));
                    }
                }
            }
        }
        refusal.map_or(Ok(bodies), Err)
    }

    /// Reads the notifications that there are.
    pub(super) fn hear(&mut self, mut each: impl FnMut(Received<'_>)) -> Heard {
        let mut heard = Heard::Everything;
        loop {
            match self.receive() {
                Ok(len) => messages(self.buffer.get(..len).unwrap_or_default()).for_each(&mut each),
                Err(Errno::AGAIN) => return heard,
                // ENOBUFS, and whatever else it may be: once a loss, and then it is read on.
                Err(_) if heard == Heard::Everything => heard = Heard::NotEverything,
                Err(_) => return heard,
            }
        }
    }

    fn receive(&mut self) -> Result<usize, Errno> {
        let buffer = &mut self.buffer[..];
        let (len, _) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty())
        })?;
        Ok(len)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The same message, to be acknowledged.
fn acknowledged(mut message: Message) -> Message {
    let flags = u16_at(&message.0, 6).unwrap_or_default() | ACK;
    message.0[6..8].copy_from_slice(&flags.to_ne_bytes());
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let inner = Message::inner().with(1, &7u32.to_be_bytes());
        let message =
            Message::new(30, CREATE, &[9; 4]).with_text(3, "veth0").with_nested(4, &inner);
        let mut bytes = message.finish(5);
        bytes.extend(Message::new(31, 0, &[]).finish(6));
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].kind, all[0].sequence, all[1].kind, all[1].body), (30, 5, 31, &[][..]));
        let parts: Vec<_> = attributes(&all[0].body[4..]).collect();
        assert_eq!((parts[0].0, text(parts[0].1).as_str(), parts[1].0), (3, "veth0", 4));
        let inside: Vec<_> = attributes(parts[1].1).collect();
        assert_eq!(inside, [(1, &[0, 0, 0, 7][..])]);
    }

    proptest! {
        #![proptest_config(crate::properties::config())]
        #[test]
        fn noise_ends(bytes in prop::collection::vec(0u8..20, 0..200)) {
            prop_assert!(messages(&bytes).count() <= bytes.len());
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }
    }
}
