//! The kernel's side of a dev port: packet sockets (packet(7)), made and asked. Every call by raw pointers is here.

#![allow(unsafe_code, reason = "the options and addresses of packet sockets are structs of C")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use strowger_guestmem::KernelMemory;

/// Bytes that frames may take that do not fit a slot of the ring, and wait in the socket itself: some hundred uncut
/// segments. The kernel doubles it for its own bookkeeping.
const RECEIVE_BYTES: libc::c_int = 4 << 20;
/// Bytes of frames that were sent and are not done with yet.
const SEND_BYTES: libc::c_int = 4 << 20;
/// The ring is allocated in runs of this many bytes: as few as the kernel finds easily, and a multiple of every slot.
const BLOCK: usize = 32 * 1024;

/// How a ring is cut into slots, one for each frame. Both are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of a slot, at most [`BLOCK`].
    pub(super) slot: usize,
    /// How many there are.
    pub(super) slots: usize,
}

/// The receiving sockets of an interface, each with its ring; several share its frames by the hash of their flow.
/// Nothing is received before all of them are there, so that nothing comes twice.
pub(super) fn receivers(
    index: u32,
    shape: Shape,
    count: u16,
) -> io::Result<Vec<(OwnedFd, KernelMemory)>> {
    let mut all = Vec::new();
    let mut group = None;
    for _ in 0..count.max(1) {
        let (socket, ring) = receiver(shape)?;
        refuse_all(&socket)?;
        bind(&socket, index, libc::ETH_P_ALL as u16)?;
        if count > 1 {
            group = Some(join(&socket, group)?);
        }
        all.push((socket, ring));
    }
    for (socket, _) in &all {
        // It has no value; the kernel wants an `int` all the same.
        set(socket, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0)?;
    }
    if let Some((first, _)) = all.first() {
        be_promiscuous(first, index)?;
    }
    Ok(all)
}

/// A socket that only sends by an interface.
pub(super) fn sender(index: u32) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BYTES)?;
    bind(&socket, index, 0)?;
    Ok(socket)
}

/// Frames that the kernel received for this socket and dropped since the last call.
pub(super) fn dropped(socket: &OwnedFd) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes behind the pointer, which are `statistics`, and then `len`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut len,
        )
    };
    refusal(result)?;
    Ok(statistics.tp_drops)
}

fn packet_socket() -> io::Result<OwnedFd> {
    // Without a protocol it receives nothing until it is bound with one.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1)?;
    Ok(socket)
}

/// A socket with its ring, not yet bound.
fn receiver(shape: Shape) -> io::Result<(OwnedFd, KernelMemory)> {
    let socket = packet_socket()?;
    set(
        &socket,
        libc::SOL_PACKET,
        libc::PACKET_VERSION,
        &(libc::tpacket_versions::TPACKET_V2 as libc::c_int),
    )?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
    // A frame that does not fit its slot waits whole in the socket beside it.
    set(&socket, libc::SOL_PACKET, libc::PACKET_COPY_THRESH, &1)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BYTES)?;
    let bytes = shape.slot * shape.slots;
    let request = libc::tpacket_req {
        tp_block_size: BLOCK.min(bytes) as libc::c_uint,
        tp_block_nr: bytes.div_ceil(BLOCK) as libc::c_uint,
        tp_frame_size: shape.slot as libc::c_uint,
        tp_frame_nr: shape.slots as libc::c_uint,
    };
    set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
    let ring = KernelMemory::map(socket.as_fd(), bytes)?;
    Ok((socket, ring))
}

/// Has a filter drop all that comes, until it is detached.
fn refuse_all(socket: &OwnedFd) -> io::Result<()> {
    // `BPF_RET | BPF_K`: nothing of the frame is kept.
    let mut program = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 }];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // The kernel copies the program before the call returns.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

fn bind(socket: &OwnedFd, index: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads as many bytes behind the pointer as the third argument says, which are `address`.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    refusal(result)
}

/// Joins the sockets of a group, or begins one that nobody has; gives its number.
fn join(socket: &OwnedFd, group: Option<u16>) -> io::Result<u16> {
    let mut kind = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    if group.is_none() {
        kind |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
    }
    let request = kind << 16 | libc::c_uint::from(group.unwrap_or_default());
    set(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &request)?;
    if let Some(group) = group {
        return Ok(group);
    }
    let mut value: libc::c_uint = 0;
    let mut len = size_of::<libc::c_uint>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes behind the pointer, which are `value`, and then `len`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    refusal(result)?;
    Ok(value as u16)
}

/// Has the interface receive frames for every address, as long as the socket lives.
fn be_promiscuous(socket: &OwnedFd, index: u32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: index.cast_signed(),
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Sets an option whose value is a struct of C.
fn set<T>(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads at most as many bytes behind the pointer as the last argument says, which are `value`;
    // a pointer in it (of a filter) leads to what lives until after the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    refusal(result)
}

fn refusal(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
