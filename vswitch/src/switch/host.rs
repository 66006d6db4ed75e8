//! What a port asks of the switch that starts and stops its queues by itself, answered by the engine and the port's own
//! tx slots.

use std::sync::Arc;

use strowger_packet::MacAddress;
use strowger_vhost as vhost;
use tracing::{info, warn};

use crate::{
    engine::{Engine, clock},
    ports::{RxQueue, TxQueue, dev},
    snapshot::PortEntry,
};

/// The switch as one port sees it.
#[derive(Debug)]
pub(super) struct PortHost {
    entry: Arc<PortEntry>,
    engine: Arc<Engine>,
}

impl PortHost {
    pub(super) fn new(entry: Arc<PortEntry>, engine: Arc<Engine>) -> Self {
        Self { entry, engine }
    }

    fn start(&self, queue: TxQueue) {
        if let Some(refused) = self.entry.tx.start(queue) {
            warn!(
                "port {}: queue pair {} has no place or was started twice",
                self.entry.name,
                refused.pair()
            );
        }
    }
}

impl dev::Host for PortHost {
    fn start(&self, rx: dev::RxQueue, tx: dev::TxQueue) {
        self.start(TxQueue::Dev(tx));
        self.engine.add_rx(self.entry.id, RxQueue::Dev(rx));
    }

    fn stop(&self, pair: u16) {
        drop(self.engine.remove_rx(self.entry.id, pair));
        drop(self.entry.tx.stop(pair));
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
        self.start(TxQueue::Vhost(queue));
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

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};
    use strowger_packet::{PortCounters, PortId, vlan::Vid};
    use strowger_vhost::Host;

    use super::*;
    use crate::{
        engine::{EngineConfig, Poll},
        ports::TxSlots,
        snapshot::{Extras, Snapshot},
        tables::mac::{MacLimits, MacTable},
        vlan::Mode,
    };

    #[test]
    fn a_station_that_moved_here_is_known_in_the_ports_own_vlan() {
        let allowed = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).unwrap();
        let engine =
            Engine::start(EngineConfig { cores: vec![core], poll: Poll::Adaptive }).unwrap();
        let stations = Arc::new(MacTable::new(MacLimits::default()));
        let mut snapshot = Snapshot::default();
        let bridge = snapshot.add_bridge("br0", stations.clone());
        let vid = Vid::new(5).unwrap();
        let entry = PortEntry {
            id: PortId(3),
            name: "vm1".into(),
            number: 1,
            bridge,
            vlan: Mode::Access(vid),
            counters: Arc::new(PortCounters::new(1)),
            tx: Arc::new(TxSlots::new(1)),
            extras: Extras::default(),
        };
        assert!(snapshot.put_port(entry.clone()));
        engine.publish(snapshot);
        let host = PortHost::new(Arc::new(entry), Arc::new(engine));
        let behind = |mac| stations.lookup(vid, MacAddress(mac), clock::now().seconds()).0;

        let mac = [2, 0, 0, 0, 0, 1];
        host.announce(mac);
        assert_eq!(behind(mac), Some(PortId(3)));
        for nobody in [[0; 6], [0xff; 6], [1, 0, 0, 0, 0, 1]] {
            host.announce(nobody);
            assert_eq!(behind(nobody), None);
        }
        assert!(host.stop_rx(0).is_none() && host.stop_tx(0).is_none());
    }
}
