//! What has to be done now and then and is no worker's business: free old snapshots, age stations.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock;
use super::publication::Publication;
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
                for bridge in publication.current().bridges() {
                    bridge.stations.age(now, share(&bridge.stations));
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn share(stations: &MacTable) -> usize {
    (stations.limits().stations / 8).max(STATIONS)
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the keeper ended by a panic");
        }
    }
}
