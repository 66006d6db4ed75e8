//! What a port asks of the switch that starts and stops its queues by itself, answered by the engine and the port's own
//! tx slots.

use std::sync::Arc;

use strowger_packet::{MacAddress, PortId};
use strowger_vhost as vhost;
use tracing::{info, warn};

use crate::{
    engine::{Engine, clock},
    ports::{RxQueue, TxQueue, TxSlots, dev},
};

/// The switch as one port sees it. What is set of the port may change meanwhile; what it was opened with does not.
#[derive(Clone, Debug)]
pub(super) struct PortHost {
    pub(super) id: PortId,
    pub(super) name: String,
    pub(super) tx: Arc<TxSlots>,
    pub(super) engine: Arc<Engine>,
}

impl PortHost {
    /// Lets workers use a queue pair.
    pub(super) fn start_pair(&self, rx: RxQueue, tx: TxQueue) {
        self.start(tx);
        self.engine.add_rx(self.id, rx);
    }

    /// Takes a queue pair from the workers. Its queues are gone when this returns.
    pub(super) fn stop_pair(&self, pair: u16) {
        drop(self.engine.remove_rx(self.id, pair));
        drop(self.tx.stop(pair));
    }

    fn start(&self, queue: TxQueue) {
        if let Some(refused) = self.tx.start(queue) {
            warn!(
                port = self.name,
                "queue pair {} has no place or was started twice",
                refused.pair()
            );
        }
    }
}

impl dev::Host for PortHost {
    fn start(&self, rx: dev::RxQueue, tx: dev::TxQueue) {
        self.start_pair(RxQueue::Dev(rx), TxQueue::Dev(tx));
    }

    fn stop(&self, pair: u16) {
        self.stop_pair(pair);
    }
}

impl vhost::Host for PortHost {
    fn start_rx(&self, queue: vhost::RxQueue) {
        self.engine.add_rx(self.id, RxQueue::Vhost(queue));
    }

    fn stop_rx(&self, pair: u16) -> Option<vhost::RxQueue> {
        match self.engine.remove_rx(self.id, pair)? {
            RxQueue::Vhost(queue) => Some(queue),
            _ => None,
        }
    }

    fn start_tx(&self, queue: vhost::TxQueue) {
        self.start(TxQueue::Vhost(queue));
    }

    fn stop_tx(&self, pair: u16) -> Option<vhost::TxQueue> {
        match self.tx.stop(pair)? {
            TxQueue::Vhost(queue) => Some(queue),
            _ => None,
        }
    }

    /// A guest that was moved here stays silent until it has something to say: what is sent to it must not go on
    /// to where it was. Its VLAN is that of its untagged frames.
    fn announce(&self, mac: [u8; 6]) {
        let mac = MacAddress(mac);
        let snapshot = self.engine.snapshot();
        let Some(entry) = snapshot.port(self.id) else { return };
        let bridge = snapshot.bridge(entry.bridge).filter(|_| mac.is_station());
        let Some((bridge, vid)) = bridge.zip(entry.vlan.admit(None)) else { return };
        bridge.stations.learn(vid, mac, self.id, clock::now().seconds());
        info!(port = self.name, "station {mac} has moved here");
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};
    use strowger_packet::{PortCounters, vlan::Vid};
    use strowger_vhost::Host;

    use super::*;
    use crate::{
        engine::{EngineConfig, Poll},
        snapshot::{Extras, PortEntry, Snapshot},
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
        let (id, name, tx) = (entry.id, entry.name, entry.tx);
        let host = PortHost { id, name, tx, engine: Arc::new(engine) };
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
