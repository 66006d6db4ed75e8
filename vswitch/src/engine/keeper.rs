//! What has to be done now and then and is no worker's business: free old snapshots, age stations.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock;
use super::publication::Publication;
use crate::snapshot::{BridgeEntry, Snapshot};
use crate::tables::loops::Loop;
use crate::tables::mac::MacTable;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);
/// Stations of a bridge that are looked at each time, at least; or an eighth of all.
const STATIONS: usize = 8192;

/// The keeper's thread. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(publication: Arc<Publication>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                publication.collect();
                let now = clock::now().seconds();
                let snapshot = publication.current();
                for bridge in snapshot.bridges() {
                    bridge.stations.age(now, share(&bridge.stations));
                    for found in bridge.stations.take_loops() {
                        report(&snapshot, bridge, found);
                    }
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn share(stations: &MacTable) -> usize {
    (stations.limits().stations / 8).max(STATIONS)
}

/// Writes that a station goes to and fro. The table bounds how many there are, and the log how many of a port.
fn report(snapshot: &Snapshot, bridge: &BridgeEntry, found: Loop) {
    let name = |id| snapshot.port(id).map_or("(gone)", |port| port.name.as_str());
    let (home, other, counted) =
        (name(found.home), name(found.other), bridge.stations.statistics());
    let held = match found.held {
        Some(seconds) => format!("it is held at {home} for {seconds} s"),
        None => "nothing is done about it".to_owned(),
    };
    tracing::warn!(
        bridge = bridge.name,
        vlan = found.vid.get(),
        mac = %found.mac,
        port = home,
        other,
        moves = counted.moves,
        loops = counted.loops,
        "bridge {}: station {} in VLAN {} goes to and fro between ports {home} and {other}, and {held}: look for a \
         loop between them, or for two stations with one address",
        bridge.name,
        found.mac,
        found.vid,
    );
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the keeper ended by a panic");
        }
    }
}
