//! A front end that sends anything: messages with any payload and all kinds of descriptors, at a session with rings
//! that run. Whatever it sends, the session ends with the connection, and no ring is left.
//!
//! The input is a row of messages: request, flags, descriptors, length of the payload (a byte each), payload.
#![no_main]

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, LazyLock, Mutex},
};

use libfuzzer_sys::fuzz_target;
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
        SocketFlags, SocketType, recv, sendmsg, shutdown, socketpair,
    },
};
use strowger_packet::{Batch, PortCounters, PortId};
use strowger_vhost::{Host, Port, PortConfig, Role, RxQueue, TxQueue};

/// The first bits of a message's flags byte: it asks for an acknowledgement; its version is wrong.
const NEED_REPLY: u8 = 1;
const BAD_VERSION: u8 = 2;

/// A switch that looks once at each ring that starts.
struct Switch(Mutex<(Vec<RxQueue>, Vec<TxQueue>)>);

impl Host for Switch {
    fn start_rx(&self, mut queue: RxQueue) {
        let counters = PortCounters::new(1);
        let mut batch = Batch::default();
        queue.rx_burst(PortId(1), &mut batch, counters.shard(0));
        batch.clear();
        queue.release();
        queue.notify();
        self.0.lock().unwrap().0.push(queue);
    }

    fn stop_rx(&self, pair: u16) -> Option<RxQueue> {
        let queues = &mut self.0.lock().unwrap().0;
        let at = queues.iter().position(|queue| queue.pair() == pair)?;
        Some(queues.swap_remove(at))
    }

    fn start_tx(&self, queue: TxQueue) {
        self.0.lock().unwrap().1.push(queue);
    }

    fn stop_tx(&self, pair: u16) -> Option<TxQueue> {
        let queues = &mut self.0.lock().unwrap().1;
        let at = queues.iter().position(|queue| queue.pair() == pair)?;
        Some(queues.swap_remove(at))
    }

    fn announce(&self, _mac: [u8; 6]) {}
}

/// What can be sent: two events, memory of 1 MiB, and something of no use.
static FDS: LazyLock<[OwnedFd; 4]> = LazyLock::new(|| {
    let memory = memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memory, 1 << 20).unwrap();
    let event = || eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    [event(), memory, event(), std::fs::File::open("/dev/null").unwrap().into()]
});

/// Sends one message. `false` if the socket is full.
fn send(socket: &OwnedFd, head: [u8; 4], body: &[u8]) -> bool {
    let [request, flags, fds, _] = head;
    // Two bits a descriptor, after two bits of their number.
    let fds: Vec<BorrowedFd<'_>> =
        (1..=fds & 3).map(|at| FDS[usize::from(fds >> (at * 2) & 3)].as_fd()).collect();
    let version = if flags & BAD_VERSION == 0 { 1 } else { 2 };
    let flags = version | u32::from(flags & NEED_REPLY) << 3;
    let header = [u32::from(request), flags, body.len() as u32].map(u32::to_ne_bytes).concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let parts = [IoSlice::new(&header), IoSlice::new(body)];
    sendmsg(socket, &parts, &mut control, flags).is_ok()
}

fuzz_target!(|bytes: &[u8]| {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let mut rest = bytes;
    while let Some((&head, payload)) = rest.split_first_chunk::<4>() {
        let (body, then) = payload.split_at(payload.len().min(head[3].into()));
        rest = then;
        if !send(&ours, head, body) {
            break;
        }
    }
    shutdown(&ours, Shutdown::Write).unwrap();
    let switch = Arc::new(Switch(Mutex::default()));
    let config = PortConfig { queue_pairs: 2, ..PortConfig::new("fuzz", "/", Role::Server) };
    let status = std::thread::scope(|scope| {
        // Somebody reads the answers, or the session waits for that.
        scope.spawn(|| {
            while !matches!(
                recv(&ours, &mut [0; 4096], RecvFlags::empty()),
                Ok((_, 0)) | Err(Errno::CONNRESET)
            ) {}
        });
        Port::serve(config, Arc::clone(&switch) as Arc<dyn Host>, theirs).unwrap()
    });
    assert!(!status.connected && !status.up && status.last_error.is_some());
    let queues = switch.0.lock().unwrap();
    assert!(queues.0.is_empty() && queues.1.is_empty(), "rings run without a connection");
});
