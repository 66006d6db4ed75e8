//! Messages over a socket: never more read than announced, never waiting where the port cannot be closed.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
    },
};

use super::header::{HEADER, Header};
use crate::event::{Event, Woken};

/// The most bytes of payload that are read, known request or not.
pub(crate) const MAX_BODY: usize = 4096;
/// The most file descriptors that a message may carry.
pub(crate) const MAX_FDS: usize = 8;

/// A message as it came, its descriptors owned: what nobody takes is closed.
#[derive(Debug)]
pub(crate) struct Message {
    /// The twelve bytes.
    pub(crate) header: Header,
    /// The payload, as long as the header says.
    pub(crate) body: Vec<u8>,
    /// The descriptors, in the order they were sent.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Why no message comes any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// Between two messages, as it should.
    #[error("the front end closed the connection")]
    Closed,
    /// Within a message.
    #[error("the front end closed the connection in the middle of a message")]
    Cut,
    /// By [`Event::signal`].
    #[error("the port was closed")]
    Stopped,
    /// Another protocol, or a stream out of step.
    #[error(
        "a message is not of version 1 of vhost-user (request {0}); the peer may be no vhost-user front end"
    )]
    Version(u32),
    /// The peer is a back end, too.
    #[error(
        "the peer sent a reply where a request was due (request {0}); it may be another back end"
    )]
    Reply(u32),
    /// Longer than anything known.
    #[error("request {request} announces {size} bytes; no message has more than {MAX_BODY}")]
    TooLong {
        /// Its number.
        request: u32,
        /// What it announces.
        size: u32,
    },
    /// More descriptors than anything known, or the process has no descriptors left.
    #[error(
        "a message carries more than {MAX_FDS} file descriptors, or the process may not open so many"
    )]
    TooManyFds,
    /// The kernel refused.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for ChannelError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::CONNRESET | Errno::PIPE => Self::Closed,
            other => Self::Io(other.into()),
        }
    }
}

/// A connected socket and the event that ends all waiting on it.
#[derive(Debug)]
pub(crate) struct Channel<'a> {
    socket: OwnedFd,
    stop: &'a Event,
}

impl<'a> Channel<'a> {
    pub(crate) fn new(socket: OwnedFd, stop: &'a Event) -> Self {
        Self { socket, stop }
    }

    /// The next message, whole. If there is none, `unwanted` takes the descriptors that came with a part of one: to
    /// close them may stall.
    pub(crate) fn receive(
        &self,
        unwanted: impl FnOnce(Vec<OwnedFd>),
    ) -> Result<Message, ChannelError> {
        let mut fds = Vec::new();
        match self.receive_with(&mut fds) {
            Ok((header, body)) => Ok(Message { header, body, fds }),
            Err(error) => {
                if !fds.is_empty() {
                    unwanted(fds);
                }
                Err(error)
            }
        }
    }

    /// A message's header and body; its descriptors go to `fds`.
    fn receive_with(&self, fds: &mut Vec<OwnedFd>) -> Result<(Header, Vec<u8>), ChannelError> {
        let mut bytes = [0; HEADER];
        if self.fill(&mut bytes, fds)? < HEADER {
            return Err(ChannelError::Closed);
        }
        let header = Header::parse(bytes);
        let request = header.request;
        if !header.is_version_1() {
            return Err(ChannelError::Version(request));
        }
        if header.is_reply() {
            return Err(ChannelError::Reply(request));
        }
        let size = header.size as usize;
        if size > MAX_BODY {
            return Err(ChannelError::TooLong { request, size: header.size });
        }
        let mut body = vec![0; size];
        if self.fill(&mut body, fds)? < size {
            return Err(ChannelError::Cut);
        }
        Ok((header, body))
    }

    /// Answers a request.
    pub(crate) fn reply(&self, request: u32, body: &[u8]) -> Result<(), ChannelError> {
        let mut bytes = Vec::with_capacity(HEADER.saturating_add(body.len()));
        bytes.extend_from_slice(&Header::reply(request, body.len() as u32).emit());
        bytes.extend_from_slice(body);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match send(&self.socket, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                // A UNIX socket is ready only when three quarters of its buffer are free, so this comes second.
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads all of `buffer`; fewer bytes only if the stream ended before the first of them.
    fn fill(&self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> Result<usize, ChannelError> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            // Waiting first, even when bytes are there: a front end that never pauses must not keep the port open.
            self.wait(PollFlags::IN)?;
            match self.receive_some(room, fds)? {
                Some(0) if filled == 0 => return Ok(0),
                Some(0) => return Err(ChannelError::Cut),
                Some(bytes) => filled = filled.saturating_add(bytes),
                None => {}
            }
        }
        Ok(filled)
    }

    /// One call to the kernel: `None` if nothing was there after all.
    fn receive_some(
        &self,
        room: &mut [u8],
        fds: &mut Vec<OwnedFd>,
    ) -> Result<Option<usize>, ChannelError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received =
            match recvmsg(&self.socket, &mut [IoSliceMut::new(room)], &mut control, flags) {
                Ok(received) => received,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || fds.len() > MAX_FDS {
            return Err(ChannelError::TooManyFds);
        }
        Ok(Some(received.bytes))
    }

    fn wait(&self, flags: PollFlags) -> Result<(), ChannelError> {
        match self.stop.wait(Some((self.socket.as_fd(), flags)), None)? {
            Woken::Stopped => Err(ChannelError::Stopped),
            Woken::Ready | Woken::TimedOut => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
