//! What a port asks of the switch that it belongs to.

use crate::{RxQueue, TxQueue};

/// The switch as a port sees it. All methods are called from the port's own thread, one at a time for each port.
///
/// A queue goes to the host when its ring starts and comes back when it stops: while the host has it, one worker
/// at a time touches it, and after `stop_…` has returned no worker does, so that the port may unmap its memory
/// and answer `GET_VRING_BASE`.
pub trait Host: Send + Sync + 'static {
    /// Takes the guest's transmit ring of a queue pair. The host polls it once even without a kick.
    fn start_rx(&self, queue: RxQueue);

    /// Gives the queue back when no worker touches it any more. `None` if the host does not have it.
    fn stop_rx(&self, pair: u16) -> Option<RxQueue>;

    /// Takes the guest's receive ring of a queue pair.
    fn start_tx(&self, queue: TxQueue);

    /// Gives the queue back when no worker touches it any more. `None` if the host does not have it.
    fn stop_tx(&self, pair: u16) -> Option<TxQueue>;

    /// Tells the network that a station has moved behind this port (`VHOST_USER_SEND_RARP`, after a migration).
    fn announce(&self, mac: [u8; 6]);
}
