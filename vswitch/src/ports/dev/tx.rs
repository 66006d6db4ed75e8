//! What the interface receives: from the switch into the kernel, as many frames with one call as there are.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use strowger_guestmem::{MAX_MESSAGES, Messages, Sending};
use strowger_packet::{
    Batch, DropReason, Frame, FrameRef, Lost, batch::MAX_SEGMENTS, counters::Shard, ethernet,
};

use super::Link;
use crate::ports::vnet;

/// Pieces of all frames that leave by one call: what a batch borrows, and two for each frame.
const PIECES: usize = MAX_SEGMENTS + 2 * MAX_MESSAGES;

/// The sending side of a queue pair. Has one user at a time.
#[derive(Debug)]
pub struct TxQueue {
    pair: u16,
    socket: OwnedFd,
    link: Arc<Link>,
    messages: Messages,
    /// The frames of the messages.
    ready: Vec<FrameRef>,
}

/// What becomes of a burst's frames.
struct Burst<'a> {
    batch: &'a Batch,
    counters: &'a Shard,
    lost: Option<&'a mut Lost>,
    frames: usize,
    bytes: usize,
}

impl Burst<'_> {
    fn drop(&mut self, frames: &[FrameRef], reason: DropReason) {
        self.counters.drop(reason, frames.len());
        if let Some(lost) = &mut self.lost {
            lost.extend(frames.iter().map(|&at| (at, reason)));
        }
    }

    /// Sends what is ready, passing over what the kernel refuses.
    fn deliver(&mut self, socket: &OwnedFd, sending: &mut Sending<'_, '_>, ready: &[FrameRef]) {
        let mut rest = ready;
        while let Some(first) = rest.get(..1) {
            let count = match sending.send(socket.as_fd(), ready.len() - rest.len()) {
                // Never 0; were it, this would not end.
                Ok(count) => count.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let reason = reason(&error);
                    if reason == DropReason::PortDown {
                        // The others would fare no better.
                        return self.drop(rest, reason);
                    }
                    self.drop(first, reason);
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
            };
            let (sent, behind) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            self.frames += sent.len();
            self.bytes += sent.iter().map(|&at| self.batch.frame(at).len()).sum::<usize>();
            rest = behind;
        }
    }
}

impl TxQueue {
    pub(super) fn new(pair: u16, socket: OwnedFd, link: Arc<Link>) -> Self {
        let messages = Messages::new(PIECES);
        Self { pair, socket, link, messages, ready: Vec::with_capacity(MAX_MESSAGES) }
    }

    /// Which queue pair of its port this is.
    #[must_use]
    pub fn pair(&self) -> u16 {
        self.pair
    }

    /// Delivers frames in order, offloads and all, since the kernel takes every offload. Counts what it delivered
    /// and what it dropped, which is appended to `lost`. Never waits.
    pub fn tx_burst(
        &mut self,
        batch: &Batch,
        frames: &[FrameRef],
        counters: &Shard,
        lost: Option<&mut Lost>,
    ) {
        let mut burst = Burst { batch, counters, lost, frames: 0, bytes: 0 };
        if !self.link.is_up() {
            return burst.drop(frames, DropReason::PortDown);
        }
        let mtu = self.link.mtu();
        for frames in frames.chunks(MAX_MESSAGES) {
            self.send(frames, mtu, &mut burst);
        }
        counters.tx(burst.frames, burst.bytes);
    }

    /// Sends as many frames as one call takes.
    fn send(&mut self, frames: &[FrameRef], mtu: usize, burst: &mut Burst<'_>) {
        let Self { socket, messages, ready, .. } = self;
        ready.clear();
        let batch = burst.batch;
        let mut sending = messages.start();
        for &at in frames {
            let (frame, tail) = (batch.frame(at), batch.tail(at));
            if longest(frame) > mtu {
                burst.drop(&[at], DropReason::TooLong);
                continue;
            }
            let header = vnet::encode(frame.offload);
            let header = header.get(..vnet::SHORT).unwrap_or_default();
            if !sending.push(header, frame.head(), tail) {
                // Copies of one frame share its pieces, which makes them more than a batch has.
                burst.deliver(socket, &mut sending, ready);
                ready.clear();
                sending.clear();
                if !sending.push(header, frame.head(), tail) {
                    burst.drop(&[at], DropReason::BadDescriptor);
                    continue;
                }
            }
            ready.push(at);
        }
        burst.deliver(socket, &mut sending, ready);
    }

    /// The kernel wakes whom it has to by itself.
    pub fn notify(&mut self) {}
}

/// Bytes behind the Ethernet header and its tags, of a frame that is to be cut those of its largest piece.
fn longest(frame: &Frame) -> usize {
    let len = match frame.offload.gso {
        None => frame.len(),
        Some(gso) => usize::from(gso.headers) + usize::from(gso.size),
    };
    len.saturating_sub(usize::from(frame.layers.l3).max(ethernet::HEADER_LEN))
}

/// What the kernel's refusal means.
fn reason(error: &io::Error) -> DropReason {
    match error.raw_os_error() {
        // The link is down, or the interface is gone.
        Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => DropReason::PortDown,
        Some(libc::EINVAL) => DropReason::BadOffload,
        Some(libc::EMSGSIZE) => DropReason::TooLong,
        // A tail whose memory went away while the kernel read it.
        Some(libc::EFAULT) => DropReason::BadDescriptor,
        _ => DropReason::QueueFull,
    }
}
