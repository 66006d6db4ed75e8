//! The traffic: testpmd with two virtio-user ports, a vhost-user front end that nobody of this project wrote.
//! Frames circle from one port through the switch to the other and back for ever.

use std::{path::PathBuf, time::Duration};

use crate::{
    Result, TRAFFIC_CORE,
    peer::{Figures, Place, Switch},
    testpmd::{Setup, Testpmd},
    wait,
};

/// Bursts of 32 frames that each port sends to begin with; they are all that ever circles.
const FIRST_BURSTS: usize = 8;
/// The time before the measurement, for caches, page tables and MAC tables to fill.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the switch may take to connect to the two sockets; Open vSwitch tries once a second.
const CONNECT_SECONDS: u64 = 60;

/// What the traffic's side saw in one measurement, both directions together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Frames received a second, by testpmd's own clock.
    pub rx_pps: f64,
    /// Frames received between start and end of the measurement.
    pub received: u64,
    /// Frames that testpmd itself dropped meanwhile, because the switch had not emptied its ring.
    pub dropped: u64,
}

/// A testpmd with its two ports connected.
#[derive(Debug)]
pub struct Traffic {
    testpmd: Testpmd,
}

impl Traffic {
    /// Starts testpmd, listening on the place's sockets, and waits until the switch has connected.
    ///
    /// # Errors
    /// If testpmd is missing or ends, or nobody connects.
    pub fn start(place: &Place, log: PathBuf) -> Result<Self> {
        let device = |index: usize| {
            format!(
                "--vdev=net_virtio_user{index},path={},server=1,queues=1,mac=02:00:00:00:00:0{}",
                place.sockets[index].display(),
                index + 1
            )
        };
        let mut testpmd = Testpmd::start(Setup {
            name: "traffic",
            core: TRAFFIC_CORE,
            devices: [device(0), device(1)],
            // Each port's frames are for the other port's address, so that a learning switch finds it.
            options: &["--eth-peer=0,02:00:00:00:00:02", "--eth-peer=1,02:00:00:00:00:01"],
            run: &place.run,
            log,
        })?;
        testpmd.until_ready(CONNECT_SECONDS)?;
        Ok(Self { testpmd })
    }

    /// Sends frames of `size` bytes round, lets caches warm up, then measures for `time`.
    ///
    /// # Errors
    /// If testpmd or the switch ends or says something else, or nothing comes back.
    pub fn measure(
        &mut self,
        size: usize,
        time: Duration,
        switch: &mut dyn Switch,
    ) -> Result<(Seen, Figures)> {
        self.testpmd.tell(&format!("set txpkts {size}"))?;
        self.testpmd.tell(&format!("start tx_first {FIRST_BURSTS}"))?;
        wait::pass(WARM_UP)?;
        let before = self.testpmd.forwarded()?;
        let state = switch.before()?;
        self.testpmd.rate()?;
        wait::pass(time)?;
        let rx_pps = self.testpmd.rate()?;
        let figures = switch.after(&state)?;
        let after = self.testpmd.forwarded()?;
        if rx_pps == 0.0 {
            return Err(self.testpmd.unexpected("no frame came back through the switch"));
        }
        let seen = Seen {
            rx_pps,
            received: after.received.saturating_sub(before.received),
            dropped: after.dropped.saturating_sub(before.dropped),
        };
        Ok((seen, figures))
    }
}
