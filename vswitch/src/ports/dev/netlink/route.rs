//! Interfaces, as rtnetlink(7) tells of them and changes them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use super::{Heard, Message, Socket, attributes, text, u16_at, u32_at};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
/// `RTMGRP_LINK`.
const LINK_GROUP: u32 = 1;
/// `struct ifinfomsg`: family u8, padding u8, type u16, index i32, flags u32, mask of changes u32.
const INFO: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const ETHERNET: u16 = 1;

/// `IFF_UP`.
pub(in super::super) const UP: u32 = 1;
/// `IFF_RUNNING`: it has a carrier.
const RUNNING: u32 = 0x40;
/// `IFF_NOARP`.
pub(in super::super) const NO_ARP: u32 = 0x80;

/// An interface of this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Interface {
    /// Its number, which no other gets as long as the namespace lives.
    pub(in super::super) index: u32,
    pub(in super::super) name: String,
    /// `IFF_*`.
    pub(in super::super) flags: u32,
    pub(in super::super) mtu: u32,
    pub(in super::super) mac: [u8; 6],
    pub(in super::super) is_ethernet: bool,
}

impl Interface {
    /// Whether it is set up and has a carrier.
    pub(in super::super) fn is_up(&self) -> bool {
        self.flags & (UP | RUNNING) == UP | RUNNING
    }

    /// Reads the body of a message about an interface.
    fn read(body: &[u8]) -> Option<Self> {
        let mut interface = Self {
            is_ethernet: u16_at(body, 2)? == ETHERNET,
            index: u32_at(body, 4)?,
            flags: u32_at(body, 8)?,
            ..Self::default()
        };
        for (kind, value) in attributes(body.get(INFO..)?) {
            match kind {
                IFLA_IFNAME => interface.name = text(value),
                IFLA_MTU => interface.mtu = u32_at(value, 0)?,
                IFLA_ADDRESS => {
                    interface.mac = value.try_into().unwrap_or_default();
                }
                _ => {}
            }
        }
        Some(interface)
    }
}

/// Asks and tells about interfaces.
#[derive(Debug)]
pub(in super::super) struct Route(Socket);

impl Route {
    pub(in super::super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(None, 0)?))
    }

    /// The interface of that name, if there is one.
    pub(in super::super) fn find(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let message = Message::new(GETLINK, 0, &[0; INFO]).with_text(IFLA_IFNAME, name);
        match self.0.request(message) {
            Ok(answers) => Ok(answers
                .iter()
                .find_map(|body| Interface::read(body))
                // Names of another kind (`altname`) lead to it, too: the port's is the one that it is shown by.
                .filter(|found| found.name == name)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets those flags of an interface that `mask` names.
    pub(in super::super) fn set_flags(
        &mut self,
        index: u32,
        flags: u32,
        mask: u32,
    ) -> io::Result<()> {
        let mut info = [0; INFO];
        info[4..8].copy_from_slice(&index.to_ne_bytes());
        info[8..12].copy_from_slice(&flags.to_ne_bytes());
        info[12..16].copy_from_slice(&mask.to_ne_bytes());
        self.0.request(Message::new(NEWLINK, 0, &info)).map(drop)
    }
}

/// Hears what becomes of interfaces.
#[derive(Debug)]
pub(in super::super) struct Events(Socket);

impl Events {
    pub(in super::super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(None, LINK_GROUP)?))
    }

    /// Calls `each` with the interfaces that something happened to since the last call.
    pub(in super::super) fn hear(&mut self, mut each: impl FnMut(Interface)) -> Heard {
        self.0.hear(|received| {
            if let NEWLINK | DELLINK = received.kind
                && let Some(interface) = Interface::read(received.body)
            {
                each(interface);
            }
        })
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
