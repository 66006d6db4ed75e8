//! Frames as an interface of the kernel has them, tags and all.

use std::{
    io, mem,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Namespace;

/// A packet socket on an interface.
#[derive(Debug)]
pub(crate) struct Raw(OwnedFd);

impl Raw {
    /// On an interface in a namespace.
    pub(crate) fn open(namespace: &Namespace, interface: &str) -> Self {
        Self::open_as(namespace, interface, &[libc::PACKET_AUXDATA, libc::PACKET_IGNORE_OUTGOING])
    }

    /// The same, with a virtio-net header before each frame.
    pub(crate) fn open_with_header(namespace: &Namespace, interface: &str) -> Self {
        Self::open_as(namespace, interface, &[libc::PACKET_VNET_HDR])
    }

    fn open_as(namespace: &Namespace, interface: &str, options: &[libc::c_int]) -> Self {
        let options = options.to_vec();
        let interface = interface.to_owned();
        namespace.within(move || {
            let socket = rustix::net::socket_with(
                AddressFamily::PACKET,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                None,
            )
            .unwrap();
            let index = rustix::net::netdevice::name_to_index(&socket, &interface).unwrap();
            // SAFETY: all-zero bytes are a valid address of this family.
            let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
            address.sll_ifindex = index as i32;
            // SAFETY: the address is as long as is said.
            let bound = unsafe {
                libc::bind(
                    socket.as_raw_fd(),
                    (&raw const address).cast(),
                    size_of::<libc::sockaddr_ll>() as u32,
                )
            };
            assert_eq!(bound, 0, "{}", io::Error::last_os_error());
            for option in options {
                let one: libc::c_int = 1;
                // SAFETY: the option is an `int`, which is as long as is said.
                let set = unsafe {
                    libc::setsockopt(
                        socket.as_raw_fd(),
                        libc::SOL_PACKET,
                        option,
                        (&raw const one).cast(),
                        4,
                    )
                };
                assert_eq!(set, 0, "{}", io::Error::last_os_error());
            }
            let patience = Some(Duration::from_secs(1));
            rustix::net::sockopt::set_socket_timeout(
                &socket,
                rustix::net::sockopt::Timeout::Recv,
                patience,
            )
            .unwrap();
            Self(socket)
        })
    }

    /// Sends a frame as it is.
    #[track_caller]
    pub(crate) fn send(&self, frame: &[u8]) {
        assert_eq!(rustix::io::write(&self.0, frame).unwrap(), frame.len());
    }

    /// The next frame, with the tag that the kernel took out in its place. `None` if none comes for a second.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 70_000];
        let mut control = [0u64; 16];
        let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
        // SAFETY: all-zero bytes are a valid header without anything.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the header names memory of the lengths that it says, all of it alive.
        let len = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, 0) };
        frame.truncate(usize::try_from(len).ok()?);
        // SAFETY: the kernel filled the control data that the header names.
        let mut message = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        while !message.is_null() {
            // SAFETY: not null, and so a whole control message; of this kind its data is a `tpacket_auxdata`.
            let auxiliary = unsafe {
                let is_it = (*message).cmsg_level == libc::SOL_PACKET
                    && (*message).cmsg_type == libc::PACKET_AUXDATA;
                is_it.then(|| {
                    libc::CMSG_DATA(message).cast::<libc::tpacket_auxdata>().read_unaligned()
                })
            };
            if let Some(auxiliary) = auxiliary.filter(|aux| aux.tp_status & 16 != 0) {
                let tag =
                    [auxiliary.tp_vlan_tpid.to_be_bytes(), auxiliary.tp_vlan_tci.to_be_bytes()];
                frame.splice(12..12, tag.concat());
            }
            // SAFETY: the message is one of this header's.
            message = unsafe { libc::CMSG_NXTHDR(&raw const header, message) };
        }
        Some(frame)
    }
}

/// Has the kernel take what a socket sends for datagrams of this length in one (`UDP_SEGMENT`).
pub(crate) fn send_uncut(socket: &std::net::UdpSocket, datagram: u16) {
    let len = libc::c_int::from(datagram);
    // SAFETY: the option is an `int`, which is as long as is said.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const len).cast(),
            4,
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// A frame of TCP over IPv4 with `payload` bytes, behind a virtio-net header that leaves checksum and cutting to others.
pub(crate) fn uncut(payload: usize, size: u16) -> Vec<u8> {
    let [s0, s1] = size.to_le_bytes();
    let mut bytes = vec![1, 1, 54, 0, s0, s1, 34, 0, 16, 0];
    bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    let [l0, l1] = ((40 + payload) as u16).to_be_bytes();
    let mut ip = [0x45, 0, l0, l1, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let sum = !ones(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(ip);
    let mut tcp = [0; 20];
    tcp[..4].copy_from_slice(&[0x1b, 0x58, 0x1b, 0x59]);
    tcp[12..16].copy_from_slice(&[0x50, 0x18, 0xff, 0xff]);
    let [n0, n1] = ((20 + payload) as u16).to_be_bytes();
    let pseudo = ones(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 6, n0, n1]);
    tcp[16..18].copy_from_slice(&pseudo.to_be_bytes());
    bytes.extend(tcp);
    bytes.extend((0..payload).map(|at| (at ^ (at >> 8)) as u8));
    bytes
}

/// RFC 1071, not complemented.
pub(crate) fn ones(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
