//! The kernel's side of a TAP interface: every `ioctl` of the switch is in this file.

#![allow(unsafe_code, reason = "ioctl(2) takes pointers of any kind")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketFlags, SocketType},
};

use super::TapError;
use crate::ports::vnet::HEADER;

/// What a TAP port is: Ethernet frames without packet information, an offload header before each, many queues.
const FLAGS: libc::c_int =
    libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
/// What the interface's sender may leave to us.
const OFFLOADS: libc::c_uint =
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;

/// An interface that was made.
#[derive(Debug)]
pub(super) struct Device {
    /// One for each queue.
    pub(super) files: Vec<OwnedFd>,
    pub(super) mac: [u8; 6],
    /// Any socket of the interface's namespace.
    pub(super) socket: OwnedFd,
}

/// Makes an interface of that name in the namespace of the calling thread, with a file for each queue, and
/// sets it up. Also says its address. Whatever fails, closing the files removes the interface.
pub(super) fn create(name: &str, queues: u16) -> Result<Device, TapError> {
    let fits = (1..libc::IFNAMSIZ).contains(&name.len())
        && name != "."
        && name != ".."
        && !name
            .bytes()
            .any(|byte| b"/:%".contains(&byte) || byte.is_ascii_whitespace() || byte == 0);
    if !fits {
        return Err(TapError::BadName(name.to_owned()));
    }
    let mut files = Vec::new();
    for pair in 0..queues.max(1) {
        let file = open_tun()?;
        // The first one makes the interface and must not find one; the others join it.
        attach(&file, name, if pair == 0 { FLAGS | libc::IFF_TUN_EXCL } else { FLAGS })?;
        if pair == 0 {
            set(
                &file,
                libc::TUNSETVNETHDRSZ,
                "set the size of the offload header",
                &(HEADER as libc::c_int),
            )?;
            set(&file, libc::TUNSETVNETLE, "set the byte order of the offload header", &1)?;
            switch_offloads_on(&file)?;
        }
        files.push(file);
    }
    let mac = match files.first() {
        Some(first) => address(first)?,
        None => [0; 6],
    };
    let socket = set_up(name)?;
    Ok(Device { files, mac, socket })
}

/// More files for queues of an interface that is there, in the namespace of the calling thread.
pub(super) fn join(name: &str, queues: u16) -> Result<Vec<OwnedFd>, TapError> {
    (0..queues)
        .map(|_| open_tun().and_then(|file| attach(&file, name, FLAGS).map(|()| file)))
        .collect()
}

/// The interface's MTU, asked by a socket of its namespace.
pub(super) fn mtu(socket: &OwnedFd, name: &str) -> io::Result<u32> {
    let mut request = Request::new(name);
    interface_request(socket.as_fd(), libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU succeeded, so that this member of the union is the one that the kernel filled.
    Ok(unsafe { request.0.ifr_ifru.ifru_mtu }.unsigned_abs())
}

/// Whether the file still has an interface. By poll(2): an `ioctl` would wait for the kernel's lock over all
/// interfaces, which others may hold for seconds.
pub(super) fn is_attached(file: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(file, PollFlags::empty())];
    match rustix::event::poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => !asked[0].revents().contains(PollFlags::ERR),
        // Not known, and so not said: the next one who asks will hear.
        Err(_) => true,
    }
}

fn open_tun() -> Result<OwnedFd, TapError> {
    rustix::fs::open(
        "/dev/net/tun",
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| TapError::Kernel { step: "open /dev/net/tun", error: error.into() })
}

fn attach(file: &OwnedFd, name: &str, flags: libc::c_int) -> Result<(), TapError> {
    let mut request = Request::new(name);
    request.0.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which is what `request` is and owns.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request.0) };
    match refusal(result) {
        Ok(()) => Ok(()),
        // EBUSY is a TAP of that name, EINVAL or EEXIST an interface of another kind: asked only then.
        Err(_) if flags & libc::IFF_TUN_EXCL != 0 && exists(name) => {
            Err(TapError::Exists(name.to_owned()))
        }
        Err(error) => Err(TapError::Kernel { step: "create the interface", error }),
    }
}

fn set(
    file: &OwnedFd,
    request: libc::Ioctl,
    step: &'static str,
    value: &libc::c_int,
) -> Result<(), TapError> {
    // SAFETY: the requests that `create` passes read one `int` behind the pointer, which `value` is.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_ref(value)) };
    refusal(result).map_err(|error| TapError::Kernel { step, error })
}

fn switch_offloads_on(file: &OwnedFd) -> Result<(), TapError> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory of ours.
    let result = unsafe {
        libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(OFFLOADS))
    };
    refusal(result)
        .map_err(|error| TapError::Kernel { step: "switch the interface's offloads on", error })
}

fn address(file: &OwnedFd) -> Result<[u8; 6], TapError> {
    let mut request = Request::new("");
    interface_request(file.as_fd(), libc::SIOCGIFHWADDR, &mut request)
        .map_err(|error| TapError::Kernel { step: "read the interface's address", error })?;
    // SAFETY: SIOCGIFHWADDR succeeded, so that this member of the union is the one that the kernel filled.
    let bytes = unsafe { request.0.ifr_ifru.ifru_hwaddr }.sa_data;
    Ok(std::array::from_fn(|index| bytes.get(index).map_or(0, |&byte| byte as u8)))
}

/// Sets the interface's link up, in the namespace of the calling thread, by a socket there, which is returned.
fn set_up(name: &str) -> Result<OwnedFd, TapError> {
    let refused = |error| TapError::Kernel { step: "set the interface up", error };
    let socket = any_socket().map_err(refused)?;
    let mut request = Request::new(name);
    interface_request(socket.as_fd(), libc::SIOCGIFFLAGS, &mut request).map_err(refused)?;
    // SAFETY: SIOCGIFFLAGS succeeded, so that this member of the union is the one that the kernel filled.
    let flags = unsafe { request.0.ifr_ifru.ifru_flags };
    request.0.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    interface_request(socket.as_fd(), libc::SIOCSIFFLAGS, &mut request).map_err(refused)?;
    Ok(socket)
}

/// Whether an interface of that name is in the namespace of the calling thread.
fn exists(name: &str) -> bool {
    any_socket().is_ok_and(|socket| {
        interface_request(socket.as_fd(), libc::SIOCGIFINDEX, &mut Request::new(name)).is_ok()
    })
}

/// A socket to ask about interfaces with; any will do.
fn any_socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// One of the requests `SIOC[GS]IF…` of netdevice(7).
fn interface_request(
    file: BorrowedFd<'_>,
    number: libc::c_ulong,
    request: &mut Request,
) -> io::Result<()> {
    // SAFETY: all requests of netdevice(7) read and write one `ifreq` at most, which `request` is.
    refusal(unsafe { libc::ioctl(file.as_raw_fd(), number, &raw mut request.0) })
}

fn refusal(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An `ifreq` with a name and zeroes.
struct Request(libc::ifreq);

impl Request {
    /// The name must fit, which `create` has seen to.
    fn new(name: &str) -> Self {
        let mut ifr_name = [0; libc::IFNAMSIZ];
        for (to, from) in ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let ifr_ifru = libc::__c_anonymous_ifr_ifru {
            ifru_hwaddr: libc::sockaddr { sa_family: 0, sa_data: [0; 14] },
        };
        Self(libc::ifreq { ifr_name, ifr_ifru })
    }
}
