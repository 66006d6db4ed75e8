//! The front end: what QEMU does for a guest.

use std::{os::fd::BorrowedFd, path::Path};

use crate::{
    Channel, Error, Memory, Receive, Received, Region, Request, Ring, Settings, Transmit,
    VnetHeader,
    features::{self, protocol},
};

/// The bit of a ring message that no descriptor comes with.
const NO_FD: u64 = 1 << 8;
/// Virtio's device status when the driver runs: acknowledge, driver, features, driver ok.
const DRIVER_OK: u64 = 0xf;

/// The two rings of a queue pair.
#[derive(Debug)]
pub struct Pair {
    /// Frames out of the switch; ring 2n.
    pub receive: Receive,
    /// Frames into the switch; ring 2n + 1.
    pub transmit: Transmit,
}

/// A front end with its guest: connected, negotiated, rings running.
#[derive(Debug)]
pub struct FrontEnd {
    channel: Channel,
    settings: Settings,
    memory: Memory,
    features: u64,
    protocol: u64,
    most_pairs: u64,
    pairs: Vec<Pair>,
}

impl FrontEnd {
    /// Connects to a switch that listens at a path, or will soon, and starts all rings.
    ///
    /// # Errors
    /// If anything of it does not work.
    pub fn connect(path: impl AsRef<Path>, settings: Settings) -> Result<Self, Error> {
        Self::start(Channel::connect(path)?, settings)
    }

    /// Negotiates over a connected channel, shares memory, and starts all rings.
    ///
    /// # Errors
    /// If anything of it does not work.
    pub fn start(mut channel: Channel, settings: Settings) -> Result<Self, Error> {
        let offered = channel.ask_number(Request::GetFeatures)?;
        let memory = Memory::new(settings.memory(), settings.regions, settings.huge_pages)?;
        let mut this = Self {
            channel,
            memory,
            features: settings.features & offered,
            protocol: 0,
            most_pairs: 1,
            pairs: Vec::new(),
            settings,
        };
        this.negotiate()?;
        this.make_rings()?;
        this.start_rings()?;
        Ok(this)
    }

    /// Starts again on another connection, as QEMU does when its back end was restarted: same guest, same memory,
    /// rings from their used index on, so that what was in flight is done again.
    ///
    /// # Errors
    /// If anything of it does not work.
    pub fn restart(&mut self, channel: Channel) -> Result<(), Error> {
        self.channel = channel;
        let offered = self.channel.ask_number(Request::GetFeatures)?;
        if self.features & !offered != 0 {
            return Err(Error::Protocol("the back end offers less than before".into()));
        }
        self.protocol = 0;
        self.negotiate()?;
        self.start_rings()
    }

    fn negotiate(&mut self) -> Result<(), Error> {
        if self.has(features::PROTOCOL_FEATURES) {
            let offered = self.channel.ask_number(Request::GetProtocolFeatures)?;
            let taken = self.settings.protocol & offered;
            self.channel.send(Request::SetProtocolFeatures as u32, 0, &taken.to_ne_bytes(), &[])?;
            self.protocol = taken;
        }
        if self.speaks(protocol::MQ) {
            self.most_pairs = self.channel.ask_number(Request::GetQueueNum)?;
        }
        if u64::from(self.settings.pairs) > self.most_pairs {
            return Err(Error::Protocol(format!("there are only {} queue pairs", self.most_pairs)));
        }
        self.request(Request::SetOwner, &[], &[])?;
        self.request(Request::SetFeatures, &self.features.to_ne_bytes(), &[])
    }

    fn make_rings(&mut self) -> Result<(), Error> {
        let modern = self.has(features::VERSION_1) || self.has(features::MRG_RXBUF);
        let header = if modern { 12 } else { 10 };
        let event_idx = self.has(features::EVENT_IDX);
        let mut settings = self.settings.clone();
        settings.indirect &= self.has(features::INDIRECT_DESC);
        let ring = || Ring::new(&self.memory, settings.ring_size, event_idx);
        let mergeable = self.has(features::MRG_RXBUF);
        for _ in 0..settings.pairs {
            let receive = Receive::new(&self.memory, &settings, header, mergeable, ring()?)?;
            let transmit = Transmit::new(&self.memory, &settings, header, ring()?)?;
            self.pairs.push(Pair { receive, transmit });
        }
        Ok(())
    }

    fn start_rings(&mut self) -> Result<(), Error> {
        self.share_memory()?;
        for index in 0..self.rings() {
            let base = match self.pairs.get(usize::from(index / 2)) {
                Some(pair) if index % 2 == 0 => pair.receive.base(),
                Some(pair) => pair.transmit.base(),
                None => 0,
            };
            self.set_call(index)?;
            self.start_ring(index, base)?;
        }
        if self.has(features::PROTOCOL_FEATURES) {
            for index in 0..self.rings() {
                self.enable(index, true)?;
            }
        }
        if self.speaks(protocol::STATUS) {
            self.request(Request::SetStatus, &DRIVER_OK.to_ne_bytes(), &[])?;
        }
        for index in 0..self.rings() {
            // Shows the buffers that were posted before; the switch looks at a started ring without a kick.
            self.ring_mut(index).show();
        }
        Ok(())
    }

    /// Shares all memory, as a table or region by region.
    ///
    /// # Errors
    /// If it is refused.
    pub fn share_memory(&mut self) -> Result<(), Error> {
        let memory = self.memory.clone();
        if self.settings.slots && self.speaks(protocol::CONFIGURE_MEM_SLOTS) {
            for (region, file) in memory.regions() {
                self.add_region(region, file)?;
            }
            return Ok(());
        }
        let regions: Vec<_> = memory.regions().collect();
        self.set_memory_table(&regions)
    }

    /// Replaces all memory (`SET_MEM_TABLE`) by any regions with any files.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_memory_table(&mut self, regions: &[(Region, BorrowedFd<'_>)]) -> Result<(), Error> {
        let mut body = (regions.len() as u64).to_ne_bytes().to_vec();
        regions.iter().for_each(|(region, _)| body.extend_from_slice(&region.emit()));
        let files: Vec<_> = regions.iter().map(|&(_, file)| file).collect();
        self.request(Request::SetMemTable, &body, &files)
    }

    /// Adds a region (`ADD_MEM_REG`) with any file.
    ///
    /// # Errors
    /// If it is refused.
    pub fn add_region(&mut self, region: Region, file: BorrowedFd<'_>) -> Result<(), Error> {
        let body = [&[0; 8], region.emit().as_slice()].concat();
        self.request(Request::AddMemReg, &body, &[file])
    }

    /// Removes a region (`REM_MEM_REG`).
    ///
    /// # Errors
    /// If it is refused.
    pub fn remove_region(&mut self, region: Region) -> Result<(), Error> {
        let body = [&[0; 8], region.emit().as_slice()].concat();
        self.request(Request::RemMemReg, &body, &[])
    }

    /// Describes a ring and starts it at `base`; its call descriptor is set already.
    ///
    /// # Errors
    /// If it is refused.
    pub fn start_ring(&mut self, index: u16, base: u16) -> Result<(), Error> {
        let size = u32::from(self.ring(index).size());
        self.request(Request::SetVringNum, &state(index, size), &[])?;
        self.request(Request::SetVringBase, &state(index, u32::from(base)), &[])?;
        let layout = self.ring(index).layout();
        let body: Vec<u8> = [
            u64::from(index),
            self.memory.user(layout.descriptors),
            self.memory.user(layout.used),
            self.memory.user(layout.available),
            0,
        ]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
        self.request(Request::SetVringAddr, &body, &[])?;
        self.set_kick(index)
    }

    /// Gives the back end a ring's kick descriptor, which starts it.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_kick(&mut self, index: u16) -> Result<(), Error> {
        let kick = self.ring(index).kick_fd().try_clone_to_owned().map_err(Error::io("dup"))?;
        let kick = self.settings.kicks.then_some(kick);
        self.ring_fd(Request::SetVringKick, index, kick.as_ref().map(std::os::fd::AsFd::as_fd))
    }

    /// Gives the back end a ring's call descriptor.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_call(&mut self, index: u16) -> Result<(), Error> {
        let call = self.ring(index).call_fd().try_clone_to_owned().map_err(Error::io("dup"))?;
        let call = self.settings.calls.then_some(call);
        self.ring_fd(Request::SetVringCall, index, call.as_ref().map(std::os::fd::AsFd::as_fd))
    }

    /// Gives the back end any descriptor for a ring, or none.
    ///
    /// # Errors
    /// If it is refused.
    pub fn ring_fd(
        &mut self,
        request: Request,
        index: u16,
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        let body = u64::from(index) | if fd.is_some() { 0 } else { NO_FD };
        self.request(request, &body.to_ne_bytes(), fd.as_slice())
    }

    /// Stops a ring; the available index that would have been taken next.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn stop_ring(&mut self, index: u16) -> Result<u16, Error> {
        let reply = self.channel.ask(Request::GetVringBase, &state(index, 0))?;
        let [a, b, c, d, e, f, g, h] = reply[..] else {
            return Err(Error::Protocol(format!("GET_VRING_BASE was answered by {reply:?}")));
        };
        if u32::from_ne_bytes([a, b, c, d]) != u32::from(index) {
            return Err(Error::Protocol("GET_VRING_BASE was answered for another ring".into()));
        }
        u16::try_from(u32::from_ne_bytes([e, f, g, h]))
            .map_err(|_| Error::Protocol("a base beyond 16 bits".into()))
    }

    /// Enables or disables a ring.
    ///
    /// # Errors
    /// If it is refused.
    pub fn enable(&mut self, index: u16, enabled: bool) -> Result<(), Error> {
        self.request(Request::SetVringEnable, &state(index, u32::from(enabled)), &[])
    }

    /// Sends a request and waits until the back end has done it: by its acknowledgement if there are any, else by
    /// the answer to a question that comes after it.
    ///
    /// # Errors
    /// [`Error::Refused`] or, without acknowledgements, [`Error::Closed`] if the back end refuses.
    pub fn request(
        &mut self,
        request: Request,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Error> {
        let request = request as u32;
        if !self.speaks(protocol::REPLY_ACK) {
            self.channel.send(request, 0, body, fds)?;
            return self.channel.ask_number(Request::GetFeatures).map(|_| ());
        }
        match self.channel.acknowledged(request, body, fds)? {
            0 => Ok(()),
            code => Err(Error::Refused { request, code }),
        }
    }

    /// The connection.
    pub fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// The guest's memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether device features were negotiated.
    #[must_use]
    pub fn has(&self, features: u64) -> bool {
        self.features & features == features
    }

    /// Whether protocol features were negotiated.
    #[must_use]
    pub fn speaks(&self, protocol: u64) -> bool {
        self.protocol & protocol == protocol
    }

    /// The queue pairs that the back end could have.
    #[must_use]
    pub fn most_pairs(&self) -> u64 {
        self.most_pairs
    }

    /// How many rings it has.
    #[must_use]
    pub fn rings(&self) -> u16 {
        self.settings.pairs * 2
    }

    /// A queue pair.
    ///
    /// # Panics
    /// If there is none of that number.
    pub fn pair(&mut self, pair: u16) -> &mut Pair {
        &mut self.pairs[usize::from(pair)]
    }

    /// Takes the queue pairs out, so that other threads may drive them. The connection stays open while the rest
    /// of the front end lives, but its rings can no longer be named.
    pub fn take_pairs(&mut self) -> Vec<Pair> {
        std::mem::take(&mut self.pairs)
    }

    /// A ring by its number in the protocol.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn ring(&self, index: u16) -> &Ring {
        let pair = &self.pairs[usize::from(index / 2)];
        if index.is_multiple_of(2) { pair.receive.ring() } else { pair.transmit.ring() }
    }

    /// The same, to be misused.
    ///
    /// # Panics
    /// If there is none.
    pub fn ring_mut(&mut self, index: u16) -> &mut Ring {
        let pair = &mut self.pairs[usize::from(index / 2)];
        if index.is_multiple_of(2) { pair.receive.ring_mut() } else { pair.transmit.ring_mut() }
    }

    /// Sends a frame by the first queue pair, with nothing left to do.
    ///
    /// # Errors
    /// As for [`Transmit::send`].
    pub fn send(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.pair(0).transmit.send(VnetHeader::default(), frame)
    }

    /// The next frame of the first queue pair.
    ///
    /// # Errors
    /// As for [`Receive::receive`].
    pub fn receive(&mut self) -> Result<Received, Error> {
        self.pair(0).receive.receive()
    }
}

/// The payload of a ring's number.
fn state(index: u16, value: u32) -> [u8; 8] {
    let [a, b, c, d] = u32::from(index).to_ne_bytes();
    let [e, f, g, h] = value.to_ne_bytes();
    [a, b, c, d, e, f, g, h]
}
