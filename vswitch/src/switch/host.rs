//! What a vhost-user port asks of the switch, answered by the engine and the port's own tx slots.

use std::sync::Arc;

use strowger_packet::MacAddress;
use strowger_vhost as vhost;
use tracing::{info, warn};

use crate::{
    engine::{Engine, clock},
    ports::{RxQueue, TxQueue},
    snapshot::PortEntry,
};

/// The switch as one vhost-user port sees it.
#[derive(Debug)]
pub(super) struct PortHost {
    entry: Arc<PortEntry>,
    engine: Arc<Engine>,
}

impl PortHost {
    pub(super) fn new(entry: Arc<PortEntry>, engine: Arc<Engine>) -> Self {
        Self { entry, engine }
    }
}

impl vhost::Host for PortHost {
    fn start_rx(&self, queue: vhost::RxQueue) {
        self.engine.add_rx(self.entry.id, RxQueue::Vhost(queue));
    }

    fn stop_rx(&self, pair: u16) -> Option<vhost::RxQueue> {
        match self.engine.remove_rx(self.entry.id, pair)? {
            RxQueue::Vhost(queue) => Some(queue),
            _ => None,
        }
    }

    fn start_tx(&self, queue: vhost::TxQueue) {
        if let Some(refused) = self.entry.tx.start(TxQueue::Vhost(queue)) {
            warn!(
                "port {}: queue pair {} has no place or was started twice",
                self.entry.name,
                refused.pair()
            );
        }
    }

    fn stop_tx(&self, pair: u16) -> Option<vhost::TxQueue> {
        match self.entry.tx.stop(pair)? {
            TxQueue::Vhost(queue) => Some(queue),
            _ => None,
        }
    }

    /// A guest that was moved here stays silent until it has something to say: what is sent to it must not go on
    /// to where it was. Its VLAN is that of its untagged frames.
    fn announce(&self, mac: [u8; 6]) {
        let mac = MacAddress(mac);
        let snapshot = self.engine.snapshot();
        let bridge = snapshot.bridge(self.entry.bridge).filter(|_| mac.is_station());
        let Some((bridge, vid)) = bridge.zip(self.entry.vlan.admit(None)) else { return };
        bridge.stations.learn(vid, mac, self.entry.id, clock::now().seconds());
        info!("port {}: station {mac} has moved here", self.entry.name);
    }
}
