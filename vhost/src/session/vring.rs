//! One ring as the front end describes it piece by piece, and whether the switch runs it.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use strowger_guestmem::Memory;

use super::error::RequestError;
use crate::{
    Host, RxQueue, TxQueue,
    protocol::{Features, payload::VringAddresses},
    ring::{RingConfig, RingError, watch},
};

/// The largest ring of virtio (virtio 1.2, 2.7).
const MAX_SIZE: u32 = 32768;

/// How the switch learns of new descriptors. `None` until the front end has said; that also keeps a ring stopped.
#[derive(Debug)]
pub(super) enum Kick {
    /// The guest kicks an eventfd.
    Event(Arc<OwnedFd>),
    /// There is no eventfd: the ring is polled (`VHOST_USER_VRING_NOFD_MASK`).
    Polled,
}

/// A ring. It runs when it has a size, addresses and a kick; a base that was never set is 0.
#[derive(Debug)]
pub(super) struct Vring {
    index: u16,
    size: Option<u16>,
    addresses: Option<VringAddresses>,
    base: u16,
    kick: Option<Kick>,
    call: Option<Arc<OwnedFd>>,
    error: Option<Arc<OwnedFd>>,
    enabled: Arc<AtomicBool>,
    running: bool,
}

impl Vring {
    pub(super) fn new(index: u16) -> Self {
        Self {
            index,
            size: None,
            addresses: None,
            base: 0,
            kick: None,
            call: None,
            error: None,
            enabled: Arc::default(),
            running: false,
        }
    }

    /// Whether frames go through it: started and enabled.
    pub(super) fn is_up(&self) -> bool {
        self.running && self.enabled.load(Ordering::Relaxed)
    }

    /// Whether its front end made a write to one of its descriptors wait.
    pub(super) fn is_stalled(&self) -> bool {
        [&self.call, &self.error].into_iter().flatten().any(watch::is_stalled)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn base(&self) -> u16 {
        self.base
    }

    /// Whether it runs only while it is enabled: the guest's receive ring. The host chooses among the rings that it
    /// has, so it has none that would discard what it is given. A transmit ring runs all the same, for what the guest
    /// sends meanwhile is discarded.
    pub(super) fn starts_when_enabled(&self) -> bool {
        self.index.is_multiple_of(2)
    }

    /// Says whether the ring is enabled. A transmit ring's frames are forwarded, or discarded, from the next batch
    /// on; a receive ring is stopped before and started after.
    pub(super) fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
    }

    pub(super) fn set_size(&mut self, size: u32) -> Result<(), RequestError> {
        if !size.is_power_of_two() || size > MAX_SIZE {
            return Err(RequestError::RingSize(size));
        }
        self.size = Some(size as u16);
        Ok(())
    }

    pub(super) fn set_addresses(&mut self, addresses: VringAddresses) {
        self.addresses = Some(addresses);
    }

    pub(super) fn set_base(&mut self, base: u16) {
        self.base = base;
    }

    pub(super) fn set_kick(&mut self, kick: Option<Arc<OwnedFd>>) {
        self.kick = Some(kick.map_or(Kick::Polled, Kick::Event));
    }

    pub(super) fn set_call(&mut self, call: Option<Arc<OwnedFd>>) {
        self.call = call;
    }

    pub(super) fn set_error(&mut self, error: Option<Arc<OwnedFd>>) {
        self.error = error;
    }

    /// Keeps it stopped until the next kick descriptor (`GET_VRING_BASE`).
    pub(super) fn forget_kick(&mut self) {
        self.kick = None;
    }

    /// Forgets everything but what the front end sends only once: whom to call, and whom to tell of errors. The
    /// base stays too: QEMU 7.2 sets the status to 0 and then asks where each ring stopped; when it starts one it
    /// always says where.
    pub(super) fn reset(&mut self) {
        self.size = None;
        self.addresses = None;
        self.kick = None;
    }

    /// Hands the ring to the host if it is complete, and enabled where that is needed. Does nothing if it runs already.
    pub(super) fn start(
        &mut self,
        memory: &Memory,
        features: Features,
        host: &dyn Host,
    ) -> Result<(), RequestError> {
        let (Some(size), Some(addresses), Some(kick), false) =
            (self.size, self.addresses, &self.kick, self.running)
        else {
            return Ok(());
        };
        if self.starts_when_enabled() && !self.enabled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let config = RingConfig {
            pair: self.index / 2,
            size,
            base: self.base,
            descriptors: addresses.descriptors,
            available: addresses.available,
            used: addresses.used,
            memory: memory.clone(),
            features: features.0,
            enabled: Arc::clone(&self.enabled),
            kick: match kick {
                Kick::Event(fd) => Some(Arc::clone(fd)),
                Kick::Polled => None,
            },
            call: self.call.clone(),
            error: self.error.clone(),
        };
        self.hand_over(config, host)
            .map_err(|source| RequestError::NotStarted { index: u32::from(self.index), source })?;
        self.running = true;
        Ok(())
    }

    /// Even rings are the guest's receive rings, odd ones its transmit rings (virtio 1.2, 5.1.2).
    fn hand_over(&self, config: RingConfig, host: &dyn Host) -> Result<(), RingError> {
        if self.index.is_multiple_of(2) {
            host.start_tx(TxQueue::new(config)?);
        } else {
            host.start_rx(RxQueue::new(config)?);
        }
        Ok(())
    }

    /// Takes the ring back from the host, which no worker touches any more, and keeps where it stands.
    pub(super) fn stop(&mut self, host: &dyn Host) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        let pair = self.index / 2;
        let base = if self.index.is_multiple_of(2) {
            host.stop_tx(pair).map(|queue| queue.base())
        } else {
            host.stop_rx(pair).map(|queue| queue.base())
        };
        self.base = base.unwrap_or(self.base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_virtio_does_not_know_are_refused() {
        let mut ring = Vring::new(0);
        for size in [0, 3, 65536, u32::MAX] {
            assert!(ring.set_size(size).is_err(), "{size}");
        }
        for size in [1, 2, 256, 32768] {
            assert!(ring.set_size(size).is_ok(), "{size}");
        }
    }
}
