//! Messages, well-formed or not.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        recvmsg, sendmsg, socket_with, socketpair,
    },
};

use crate::{Error, wait};

/// The version in a message's flags.
pub const VERSION: u32 = 1;
/// The flag of a reply.
pub const REPLY: u32 = 1 << 2;
/// The flag that asks for an acknowledgement.
pub const NEED_REPLY: u32 = 1 << 3;

/// Requests by their numbers (vhost-user, "Front-end message types").
#[expect(missing_docs, reason = "the specification's names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Request {
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    ResetOwner = 4,
    SetMemTable = 5,
    SetLogBase = 6,
    SetLogFd = 7,
    SetVringNum = 8,
    SetVringAddr = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    SetVringErr = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    SendRarp = 19,
    NetSetMtu = 20,
    SetBackendReqFd = 21,
    IotlbMsg = 22,
    ResetDevice = 34,
    GetMaxMemSlots = 36,
    AddMemReg = 37,
    RemMemReg = 38,
    SetStatus = 39,
    GetStatus = 40,
}

/// A message that came from the back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request's number.
    pub request: u32,
    /// Version and flags.
    pub flags: u32,
    /// The payload.
    pub body: Vec<u8>,
}

/// A listening socket of a front end, for a back end that connects. Dropping it removes the socket.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: std::path::PathBuf,
}

impl Listener {
    /// Listens, in place of whatever socket was there.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn bind(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove the old socket")(error));
            }
            _ => {}
        }
        let socket = stream()?;
        let address = SocketAddrUnix::new(&path).map_err(Error::io("socket path"))?;
        bind(&socket, &address).map_err(Error::io("bind"))?;
        listen(&socket, 8).map_err(Error::io("listen"))?;
        Ok(Self { socket, path })
    }

    /// The next back end that connects.
    ///
    /// # Errors
    /// If none does before the deadline.
    pub fn accept(&self) -> Result<Channel, Error> {
        if !wait::ready(self.socket.as_fd(), PollFlags::IN, wait::DEADLINE)? {
            return Err(Error::Deadline("a connection of the back end".into()));
        }
        let socket = accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            .map_err(Error::io("accept"))?;
        Ok(Channel::new(socket))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A test may have removed it itself.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A connection to a back end.
#[derive(Debug)]
pub struct Channel {
    socket: Option<OwnedFd>,
    /// Messages that may still be sent before the connection is cut, and the bytes of the next that still go out.
    cut: Option<(usize, usize)>,
}

impl Channel {
    /// Connects to a back end that listens, or will soon.
    ///
    /// # Errors
    /// If nobody listens before the deadline.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        let address = SocketAddrUnix::new(path.as_ref()).map_err(Error::io("socket path"))?;
        wait::until("a back end that listens", || {
            let socket = stream().ok()?;
            connect(&socket, &address).ok()?;
            Some(Self::new(socket))
        })
    }

    /// A channel over a connected socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket: Some(socket), cut: None }
    }

    /// A channel, and the socket of its other end.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn pair() -> Result<(Self, OwnedFd), Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(Error::io("socketpair"))?;
        Ok((Self::new(ours), theirs))
    }

    /// After `messages` more messages the connection is closed in the middle of the next: after `bytes` of it.
    /// What is sent then, and later, fails with [`Error::Closed`].
    pub fn cut_after(&mut self, messages: usize, bytes: usize) {
        self.cut = Some((messages, bytes));
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Sends a well-formed message.
    ///
    /// # Errors
    /// If the connection is closed, or full until the deadline.
    pub fn send(
        &mut self,
        request: u32,
        flags: u32,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        let mut bytes = Vec::with_capacity(12 + body.len());
        for word in [request, VERSION | flags, body.len() as u32] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(body);
        match &mut self.cut {
            Some((0, keep)) => {
                bytes.truncate(*keep);
                // The back end may have closed first.
                let _ = self.send_bytes(&bytes, fds);
                self.close();
                Err(Error::Closed)
            }
            Some((messages, _)) => {
                *messages -= 1;
                self.send_bytes(&bytes, fds)
            }
            None => self.send_bytes(&bytes, fds),
        }
    }

    /// Sends any bytes with any descriptors.
    ///
    /// # Errors
    /// If the connection is closed, or full until the deadline.
    pub fn send_bytes(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let socket = self.socket.as_ref().ok_or(Error::Closed)?;
        let mut rest = bytes;
        let mut fds = fds;
        while !rest.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(fds));
            }
            match sendmsg(socket, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    rest = &rest[sent..];
                    fds = &[];
                }
                Err(Errno::AGAIN) => {
                    if !wait::ready(socket.as_fd(), PollFlags::OUT, wait::DEADLINE)? {
                        return Err(Error::Deadline("room in the socket".into()));
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Error::Closed),
                Err(error) => return Err(Error::io("sendmsg")(error)),
            }
        }
        Ok(())
    }

    /// The next message of the back end.
    ///
    /// # Errors
    /// If the connection is closed, or nothing comes before the deadline.
    pub fn receive(&mut self) -> Result<Message, Error> {
        let mut header = [0; 12];
        self.receive_bytes(&mut header)?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let size = word(8) as usize;
        if size > 1 << 16 {
            return Err(Error::Protocol(format!("a reply of {size} bytes")));
        }
        let mut body = vec![0; size];
        self.receive_bytes(&mut body)?;
        Ok(Message { request: word(0), flags: word(4), body })
    }

    fn receive_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let socket = self.socket.as_ref().ok_or(Error::Closed)?;
        let mut filled = 0;
        while filled < buffer.len() {
            if !wait::ready(socket.as_fd(), PollFlags::IN, wait::DEADLINE)? {
                return Err(Error::Deadline("a reply of the back end".into()));
            }
            let room = &mut [IoSliceMut::new(&mut buffer[filled..])];
            match recvmsg(socket, room, &mut RecvAncillaryBuffer::default(), RecvFlags::DONTWAIT) {
                Ok(message) if message.bytes == 0 => return Err(Error::Closed),
                Ok(message) => filled += message.bytes,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(Error::Closed),
                Err(error) => return Err(Error::io("recvmsg")(error)),
            }
        }
        Ok(())
    }

    /// Sends a request and returns its reply's payload.
    ///
    /// # Errors
    /// As for [`send`](Self::send) and [`receive`](Self::receive), or if the reply is to something else.
    pub fn ask(&mut self, request: Request, body: &[u8]) -> Result<Vec<u8>, Error> {
        self.send(request as u32, 0, body, &[])?;
        self.reply(request as u32)
    }

    /// Sends a request whose reply is a number.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn ask_number(&mut self, request: Request) -> Result<u64, Error> {
        number(&self.ask(request, &[])?)
    }

    /// Sends a request and returns what it is acknowledged by: 0 if it was done. Needs REPLY_ACK.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn acknowledged(
        &mut self,
        request: u32,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<u64, Error> {
        self.send(request, NEED_REPLY, body, fds)?;
        number(&self.reply(request)?)
    }

    fn reply(&mut self, request: u32) -> Result<Vec<u8>, Error> {
        let message = self.receive()?;
        if message.request != request || message.flags != VERSION | REPLY {
            return Err(Error::Protocol(format!("{message:?} is no reply to request {request}")));
        }
        Ok(message.body)
    }

    /// Waits until the back end closes the connection; a reply that still comes is discarded.
    ///
    /// # Errors
    /// If it does not before the deadline.
    pub fn wait_closed(&mut self) -> Result<(), Error> {
        loop {
            match self.receive() {
                Err(Error::Closed) => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
    }

    /// Whether nothing is to be read now: neither a message nor the end.
    ///
    /// # Errors
    /// If the kernel refuses to say.
    pub fn is_silent(&self) -> Result<bool, Error> {
        let Some(socket) = &self.socket else { return Ok(false) };
        wait::ready(socket.as_fd(), PollFlags::IN, Duration::ZERO).map(|ready| !ready)
    }
}

fn number(body: &[u8]) -> Result<u64, Error> {
    let bytes = body
        .try_into()
        .map_err(|_| Error::Protocol(format!("a reply of {} bytes instead of 8", body.len())))?;
    Ok(u64::from_ne_bytes(bytes))
}

fn stream() -> Result<OwnedFd, Error> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(Error::io("socket"))
}
