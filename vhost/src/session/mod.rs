//! What a front end's messages do: one session a connection, on the port's own thread.
//!
//! * [`vring`]: a ring, described piece by piece, started when it is whole.
//! * [`memory`]: the guest's memory, replaced only while no ring runs.
//! * [`error`]: why a request is refused.
//!
//! **Rings stop for every change.** A message that changes what a running ring was made of stops it, makes the
//! change, and starts it at the base where it stopped; the ring itself never sees a change. Only
//! `SET_VRING_ENABLE` works on a running ring. A ring that cannot start again stays stopped until a later message
//! makes it whole.
//!
//! **Refusals.** A request that cannot be served is answered by an error if the front end asked for an
//! acknowledgement (REPLY_ACK); else the connection ends, with one line in the log, since the two sides no longer
//! agree. A refused request has changed nothing.

#![forbid(unsafe_code)]

mod error;
mod memory;
mod vring;

use std::{os::fd::OwnedFd, sync::Arc};

use strowger_guestmem::Memory;
use tracing::{debug, warn};

use crate::{
    port::Shared,
    protocol::{
        Channel, ChannelError, Features, Message, ProtocolFeatures, Request,
        payload::{self, VringAddresses, VringFd, VringState},
    },
    ring::notifier::Notifier,
};
use error::RequestError;
pub(crate) use error::SessionEnd;
use vring::Vring;

/// The least MTU of IPv4 (RFC 791) and the greatest that its field holds.
const MTU: std::ops::RangeInclusive<u64> = 68..=65535;

/// What a request is answered by.
enum Answer {
    /// By an acknowledgement, if one was asked for.
    Done,
    /// By a payload of its own; all of them have eight bytes.
    Reply([u8; 8]),
}

impl Answer {
    fn number(value: u64) -> Self {
        Self::Reply(value.to_ne_bytes())
    }
}

/// A message without its header, and without the descriptors that nothing can be done with.
struct Parts {
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
    /// Descriptors that came.
    got: usize,
    /// Those of them that were closed.
    closed: usize,
}

/// The state of one connection.
pub(crate) struct Session<'a> {
    shared: &'a Shared,
    channel: Channel<'a>,
    memory: Memory,
    slots: Vec<memory::Slot>,
    features: Features,
    protocol: ProtocolFeatures,
    rings: Vec<Vring>,
    device_status: u64,
}

impl<'a> Session<'a> {
    pub(crate) fn new(shared: &'a Shared, socket: OwnedFd) -> Self {
        Self {
            channel: Channel::new(socket, shared.stop()),
            memory: Memory::default(),
            slots: Vec::new(),
            features: Features::default(),
            protocol: ProtocolFeatures::default(),
            rings: (0..shared.config().queue_pairs * 2).map(Vring::new).collect(),
            device_status: 0,
            shared,
        }
    }

    /// Serves the front end until it goes, fails, or the port is closed. Then no ring runs.
    pub(crate) fn run(mut self) -> SessionEnd {
        let end = loop {
            if let Err(end) = self.serve_one() {
                break end;
            }
        };
        self.stop_rings();
        self.publish();
        if self.is_stalled() { SessionEnd::Stalled } else { end }
    }

    fn is_stalled(&self) -> bool {
        self.rings.iter().any(Vring::is_stalled)
    }

    fn serve_one(&mut self) -> Result<(), SessionEnd> {
        let disposal = self.shared.disposal();
        let Message { header, body, fds } = self.channel.receive(|fds| disposal.close(fds))?;
        let got = fds.len();
        let (fds, closed) = disposal.sort(fds, self.shared.stop())?;
        // Before it can give the ring other descriptors.
        if self.is_stalled() {
            return Err(SessionEnd::Stalled);
        }
        let message = Parts { body, fds, got, closed };
        let request = Request::from_code(header.request);
        let acknowledge = header.needs_reply()
            && self.protocol.has(ProtocolFeatures::REPLY_ACK)
            && !request.is_some_and(Request::has_reply);
        let result = match request {
            Some(request) => self.perform(request, message),
            None => Err(RequestError::Unknown(header.request)),
        };
        self.publish();
        match result {
            Ok(Answer::Reply(body)) => self.channel.reply(header.request, &body)?,
            Ok(Answer::Done) if acknowledge => self.acknowledge(header.request, 0)?,
            Ok(Answer::Done) => {}
            Err(error) if acknowledge => {
                self.complain(&error);
                self.acknowledge(header.request, 1)?;
            }
            Err(error) if error.ends_session() => return Err(SessionEnd::Refused(error)),
            Err(error) => self.complain(&error),
        }
        Ok(())
    }

    fn acknowledge(&self, request: u32, value: u64) -> Result<(), ChannelError> {
        self.channel.reply(request, &value.to_ne_bytes())
    }

    fn complain(&self, error: &RequestError) {
        warn!(port = self.shared.config().name, "refused a request: {error}");
    }

    /// Checks a message's form, then does what it asks.
    fn perform(&mut self, request: Request, message: Parts) -> Result<Answer, RequestError> {
        let Parts { body, fds, got, closed } = message;
        debug!(
            port = self.shared.config().name,
            request = request.name(),
            fds = fds.len(),
            "message"
        );
        let wrong_size = || RequestError::Size { request: request.name(), got: body.len() };
        if !request.sizes().contains(&body.len()) {
            return Err(wrong_size());
        }
        if !request.fds().contains(&got) {
            return Err(RequestError::Fds { request: request.name(), got });
        }
        if closed > 0 && request.uses_fds() {
            return Err(RequestError::Foreign(request.name()));
        }
        let number = || payload::u64(&body).ok_or_else(wrong_size);
        let state = || VringState::parse(&body).ok_or_else(wrong_size);
        match request {
            Request::GetFeatures => return Ok(Answer::number(self.offered().0)),
            Request::GetProtocolFeatures => {
                return Ok(Answer::number(ProtocolFeatures::OFFERED.0));
            }
            Request::GetQueueNum => {
                return Ok(Answer::number(u64::from(self.shared.config().queue_pairs)));
            }
            Request::GetMaxMemSlots => return Ok(Answer::number(memory::MAX_SLOTS)),
            Request::GetStatus => return Ok(Answer::number(self.device_status)),
            Request::GetVringBase => return self.stop_ring(state()?),
            Request::SetFeatures => self.set_features(Features(number()?))?,
            Request::SetProtocolFeatures => self.set_protocol(ProtocolFeatures(number()?))?,
            Request::SetMemTable => self.set_memory(&body, fds)?,
            Request::AddMemReg => self.add_memory(&body, fds)?,
            Request::RemMemReg => self.remove_memory(&body)?,
            Request::SetVringNum => {
                let VringState { index, value } = state()?;
                self.change(request, index, |ring| ring.set_size(value))?;
            }
            Request::SetVringAddr => {
                let addresses = VringAddresses::parse(&body).ok_or_else(wrong_size)?;
                self.change(request, addresses.index, |ring| {
                    ring.set_addresses(addresses);
                    Ok(())
                })?;
            }
            Request::SetVringBase => {
                let VringState { index, value } = state()?;
                let base = u16::try_from(value).map_err(|_| RequestError::Range {
                    what: "a ring's base",
                    value: u64::from(value),
                })?;
                self.change(request, index, |ring| {
                    ring.set_base(base);
                    Ok(())
                })?;
            }
            Request::SetVringKick | Request::SetVringCall | Request::SetVringErr => {
                let (index, fd) = ring_fd(request, &body, fds)?;
                self.change(request, index, |ring| {
                    match request {
                        Request::SetVringKick => ring.set_kick(fd),
                        Request::SetVringCall => ring.set_call(fd),
                        _ => ring.set_error(fd),
                    }
                    Ok(())
                })?;
            }
            Request::SetVringEnable => {
                let VringState { index, value } = state()?;
                if value > 1 {
                    return Err(RequestError::Range {
                        what: "SET_VRING_ENABLE",
                        value: u64::from(value),
                    });
                }
                let enabled = value == 1;
                if self.ring(index)?.starts_when_enabled() {
                    self.change(request, index, |ring| {
                        ring.enable(enabled);
                        Ok(())
                    })?;
                } else {
                    self.ring(index)?.enable(enabled);
                }
            }
            Request::SendRarp => {
                let mac = payload::mac(&body).ok_or_else(wrong_size)?;
                self.shared.host().announce(mac);
            }
            Request::NetSetMtu => self.set_mtu(number()?)?,
            Request::SetStatus => self.set_status(number()?)?,
            Request::ResetDevice => self.reset(),
            Request::ResetOwner => {
                self.stop_rings();
                self.rings.iter().for_each(|ring| ring.enable(false));
                self.start_rings();
            }
            Request::SetOwner
            | Request::SetLogBase
            | Request::SetLogFd
            | Request::SetBackendReqFd => {}
        }
        Ok(Answer::Done)
    }

    fn offered(&self) -> Features {
        Features::offered(self.shared.config().queue_pairs)
    }

    fn set_features(&mut self, features: Features) -> Result<(), RequestError> {
        let unknown = features.without(self.offered());
        if !unknown.is_empty() {
            return Err(RequestError::Features(unknown.0));
        }
        // A front end with several queue pairs says it once for each, when the first run already.
        if features != self.features {
            self.stop_rings();
            self.features = features;
        }
        if !features.has(Features::PROTOCOL_FEATURES) {
            self.rings.iter().for_each(|ring| ring.enable(true));
        }
        self.start_rings();
        Ok(())
    }

    fn set_protocol(&mut self, features: ProtocolFeatures) -> Result<(), RequestError> {
        if !ProtocolFeatures::OFFERED.has(features) {
            return Err(RequestError::Features(features.0 & !ProtocolFeatures::OFFERED.0));
        }
        self.protocol = features;
        Ok(())
    }

    fn set_mtu(&self, mtu: u64) -> Result<(), RequestError> {
        let out_of_range = || RequestError::Range { what: "an MTU", value: mtu };
        if !MTU.contains(&mtu) {
            return Err(out_of_range());
        }
        let mtu = u16::try_from(mtu).map_err(|_| out_of_range())?;
        self.shared.update(|status| status.mtu = Some(mtu));
        Ok(())
    }

    /// The device status (virtio 1.2, 2.1); 0 is a reset of the device.
    fn set_status(&mut self, status: u64) -> Result<(), RequestError> {
        if status > 0xff {
            return Err(RequestError::Range { what: "a device status", value: status });
        }
        if status == 0 {
            self.reset();
        }
        self.device_status = status;
        Ok(())
    }

    /// Stops all rings and forgets what they were made of. Memory, features and call descriptors stay: QEMU sends
    /// them only when they change.
    fn reset(&mut self) {
        self.stop_rings();
        let enabled = !self.features.has(Features::PROTOCOL_FEATURES);
        for ring in &mut self.rings {
            ring.reset();
            ring.enable(enabled);
        }
        self.device_status = 0;
    }

    fn ring(&mut self, index: u32) -> Result<&mut Vring, RequestError> {
        let rings = self.rings.len();
        usize::try_from(index)
            .ok()
            .and_then(|at| self.rings.get_mut(at))
            .ok_or(RequestError::NoRing { index, rings })
    }

    /// Stops a ring, changes it, and starts it again if it is whole. A refused change leaves it as it was.
    /// That it cannot start is an error of the message that stopped it or would start it, not of those on the way.
    fn change(
        &mut self,
        request: Request,
        index: u32,
        change: impl FnOnce(&mut Vring) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let host = self.shared.host();
        let (memory, features) = (self.memory.clone(), self.features);
        let ring = self.ring(index)?;
        let ran = ring.is_running();
        ring.stop(host);
        let changed = change(ring);
        let started = ring.start(&memory, features, host);
        let starts = matches!(request, Request::SetVringKick | Request::SetVringEnable);
        changed.and(if ran || starts { started } else { Ok(()) })
    }

    /// `GET_VRING_BASE`: stops a ring until its next kick descriptor, and says where it stands.
    fn stop_ring(&mut self, state: VringState) -> Result<Answer, RequestError> {
        let host = self.shared.host();
        let ring = self.ring(state.index)?;
        ring.stop(host);
        ring.forget_kick();
        let value = u32::from(ring.base());
        Ok(Answer::Reply(VringState { value, ..state }.emit()))
    }

    fn stop_rings(&mut self) {
        for ring in &mut self.rings {
            ring.stop(self.shared.host());
        }
    }

    /// Starts every ring that is whole. One that cannot start is reported and stays stopped.
    fn start_rings(&mut self) {
        let host = self.shared.host();
        let mut failed = Vec::new();
        for ring in &mut self.rings {
            failed.extend(ring.start(&self.memory, self.features, host).err());
        }
        failed.iter().for_each(|error| self.complain(error));
    }

    /// Shows outside how the rings are.
    fn publish(&self) {
        let pairs = self.rings.chunks(2).filter(|pair| pair.iter().all(Vring::is_up)).count();
        self.shared.update(|status| {
            status.queue_pairs = pairs as u16;
            status.up = pairs > 0;
            status.features = self.features.0;
        });
    }
}

/// The index of a message that may carry a descriptor, and the descriptor: there exactly if the payload says so,
/// and an eventfd, the one kind whose reads and writes can be kept from blocking a worker.
fn ring_fd(
    request: Request,
    body: &[u8],
    fds: Vec<OwnedFd>,
) -> Result<(u32, Option<Arc<OwnedFd>>), RequestError> {
    let (got, name) = (fds.len(), request.name());
    let VringFd { index, has_fd } =
        VringFd::parse(body).ok_or(RequestError::Size { request: name, got: body.len() })?;
    if has_fd != (got == 1) {
        return Err(RequestError::Fds { request: name, got });
    }
    let fd = fds.into_iter().next().map(Arc::new);
    if let Some(fd) = &fd {
        Notifier::new(fd, name).map_err(|source| RequestError::Descriptor {
            request: name,
            index,
            source,
        })?;
    }
    Ok((index, fd))
}
