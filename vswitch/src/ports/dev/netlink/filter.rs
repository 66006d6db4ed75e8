//! The filter that keeps the host's stack away from an interface: a table of nf_tables for each, family `netdev`, with
//! one base chain at the interface's ingress that drops everything. Packet sockets receive before it.
//!
//! From Linux 6.9 on a table can belong to a process and outlive it: `nft flush ruleset`, which firewall services do
//! when they load, passes it by, and another switch cannot take it. From 6.16 on a chain is bound to the interface's
//! name and closes a new interface of that name from its first moment; before, the chain goes with the interface.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::net::netlink::NETFILTER;

use super::{CREATE, Heard, Message, Socket, attributes, text};

/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message's type.
const NF_TABLES: u16 = 10;
const NEW_TABLE: u16 = NF_TABLES << 8;
const GET_TABLE: u16 = NF_TABLES << 8 | 1;
const DELETE_TABLE: u16 = NF_TABLES << 8 | 2;
const NEW_CHAIN: u16 = NF_TABLES << 8 | 3;
const GET_CHAIN: u16 = NF_TABLES << 8 | 4;
const DELETE_CHAIN: u16 = NF_TABLES << 8 | 5;
/// `NFNL_MSG_BATCH_BEGIN` and `_END`: what is between them happens at once or not at all.
const BEGIN: u16 = 16;
const END: u16 = 17;
/// `1 << (NFNLGRP_NFTABLES - 1)`.
const GROUP: u32 = 1 << 6;

/// `struct nfgenmsg` of the family `NFPROTO_NETDEV`.
const NETDEV: [u8; 4] = [5, 0, 0, 0];

/// Attributes of a table.
mod table {
    pub(super) const NAME: u16 = 1;
    pub(super) const FLAGS: u16 = 2;
    pub(super) const USERDATA: u16 = 6;
    /// `NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST`.
    pub(super) const OURS: u32 = 2 | 4;
}

/// Attributes of a chain.
mod chain {
    pub(super) const TABLE: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const HOOK: u16 = 4;
    pub(super) const POLICY: u16 = 5;
    pub(super) const TYPE: u16 = 7;
    pub(super) const HOOK_NUMBER: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const HOOK_DEVICE: u16 = 3;
    /// `NF_NETDEV_INGRESS`.
    pub(super) const INGRESS: u32 = 0;
    /// `NF_DROP`.
    pub(super) const DROP: u32 = 0;
    /// Before any other.
    pub(super) const FIRST: i32 = i32::MIN;
}

const CHAIN: &str = "ingress";
const PREFIX: &str = "strowger_";
/// How libnftnl marks a comment among a table's user data.
const COMMENT: u8 = 0;

/// Closes interfaces and opens them. The tables belong to its socket.
#[derive(Debug)]
pub(in super::super) struct Filter(Socket);

impl Filter {
    pub(in super::super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(Some(NETFILTER), 0)?))
    }

    /// Closes an interface, in place of whatever a predecessor left, with a comment for successors.
    ///
    /// # Errors
    /// What the kernel says; `EPERM` also if another process has it closed.
    pub(in super::super) fn close(&mut self, interface: &str, comment: &str) -> io::Result<()> {
        match self.close_as(interface, comment, table::OURS) {
            // This kernel has no tables that belong to a process and outlive it.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                self.close_as(interface, comment, 0)
            }
            done => done,
        }
    }

    fn close_as(&mut self, interface: &str, comment: &str, flags: u32) -> io::Result<()> {
        let name = name(interface);
        let mut data = vec![COMMENT, (comment.len() + 1) as u8];
        data.extend(comment.as_bytes());
        data.push(0);
        let hook = Message::inner()
            .with(chain::HOOK_NUMBER, &chain::INGRESS.to_be_bytes())
            .with(chain::HOOK_PRIORITY, &chain::FIRST.to_be_bytes())
            .with_text(chain::HOOK_DEVICE, interface);
        let closed = Message::new(NEW_CHAIN, CREATE, &NETDEV)
            .with_text(chain::TABLE, &name)
            .with_text(chain::NAME, CHAIN)
            .with_nested(chain::HOOK, &hook)
            .with(chain::POLICY, &chain::DROP.to_be_bytes())
            .with_text(chain::TYPE, "filter");
        let new = Message::new(NEW_TABLE, CREATE, &NETDEV)
            .with_text(table::NAME, &name)
            .with(table::FLAGS, &flags.to_be_bytes())
            .with(table::USERDATA, &data);
        match self.comment(interface)? {
            Some(_) => self.batch([delete(&name), new, closed]),
            None => self.batch([new, closed]),
        }
    }

    /// The comment of an interface's table, if there is one.
    pub(in super::super) fn comment(&mut self, interface: &str) -> io::Result<Option<String>> {
        let message = Message::new(GET_TABLE, 0, &NETDEV).with_text(table::NAME, &name(interface));
        let answers = match self.0.request(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            answers => answers?,
        };
        let comment = |body: &Vec<u8>| {
            let mut all = attributes(body.get(NETDEV.len()..)?);
            let (_, data) = all.find(|&(kind, _)| kind == table::USERDATA)?;
            let [COMMENT, len, rest @ ..] = data else { return None };
            Some(text(rest.get(..usize::from(*len))?))
        };
        Ok(Some(answers.iter().find_map(comment).unwrap_or_default()))
    }

    /// Whether an interface is closed.
    pub(in super::super) fn is_closed(&mut self, interface: &str) -> io::Result<bool> {
        let message = Message::new(GET_CHAIN, 0, &NETDEV)
            .with_text(chain::TABLE, &name(interface))
            .with_text(chain::NAME, CHAIN);
        match self.0.request(message) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens an interface again.
    pub(in super::super) fn reopen(&mut self, interface: &str) -> io::Result<()> {
        match self.batch([delete(&name(interface))]) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            done => done,
        }
    }

    fn batch<const N: usize>(&mut self, messages: [Message; N]) -> io::Result<()> {
        let subsystem = [0, 0, 0, NF_TABLES as u8];
        let first = self.0.sequence.wrapping_add(1);
        let count = messages.len() as u32;
        // A batch that is refused as a whole is answered in the name of its beginning.
        let mut bytes = Message::new(BEGIN, 0, &subsystem).finish(first);
        for (message, sequence) in messages.into_iter().zip(first..) {
            bytes.extend(super::acknowledged(message).finish(sequence));
        }
        bytes.extend(Message::new(END, 0, &subsystem).finish(first));
        self.0.sequence = first.wrapping_add(count);
        self.0.exchange(&bytes, first, count).map(drop)
    }
}

fn delete(name: &str) -> Message {
    Message::new(DELETE_TABLE, 0, &NETDEV).with_text(table::NAME, name)
}

/// The name of an interface's table.
fn name(interface: &str) -> String {
    format!("{PREFIX}{interface}")
}

/// Hears when tables or chains go.
#[derive(Debug)]
pub(in super::super) struct Losses(Socket);

impl Losses {
    pub(in super::super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(Some(NETFILTER), GROUP)?))
    }

    /// Calls `each` with the interfaces that something was taken from since the last call.
    pub(in super::super) fn hear(&mut self, mut each: impl FnMut(&str)) -> Heard {
        self.0.hear(|received| {
            // The table's name has the same place in both.
            if let DELETE_TABLE | DELETE_CHAIN = received.kind
                && received.body.first() == NETDEV.first()
                && let Some(rest) = received.body.get(NETDEV.len()..)
                && let Some((_, value)) = attributes(rest).find(|&(kind, _)| kind == chain::TABLE)
                && let Some(interface) = text(value).strip_prefix(PREFIX)
            {
                each(interface);
            }
        })
    }
}

impl AsFd for Losses {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
