//! testpmd's own vhost ports in io mode: what two rings and two copies cost, without any switching.

use serde_json::Value;

use super::{Figures, Place, Switch};
use crate::{
    Result, SWITCH_CORE,
    testpmd::{Setup, Testpmd},
};

/// How long it may take to set itself up.
const READY_SECONDS: u64 = 60;

/// testpmd as a forwarder.
#[derive(Debug)]
pub(super) struct Forwarder {
    testpmd: Testpmd,
}

impl Forwarder {
    /// Starts it; its ports try again and again to connect.
    pub(super) fn start(place: &Place) -> Result<Self> {
        let device = |index: usize| {
            let socket = place.sockets[index].display();
            format!("--vdev=net_vhost{index},iface={socket},client=1,queues=1")
        };
        let mut testpmd = Testpmd::start(Setup {
            name: "forwarder",
            core: SWITCH_CORE,
            devices: [device(0), device(1)],
            options: &["--auto-start", "--record-core-cycles"],
            run: &place.run,
            log: place.logs.join("forwarder.log"),
        })?;
        testpmd.until_ready(READY_SECONDS)?;
        Ok(Self { testpmd })
    }
}

impl Switch for Forwarder {
    fn before(&mut self) -> Result<Value> {
        self.testpmd.tell("clear fwd stats all")?;
        Ok(Value::Null)
    }

    fn after(&mut self, _: &Value) -> Result<Figures> {
        let forwarded = self.testpmd.forwarded()?;
        Ok(Figures { dropped: forwarded.dropped, batch: None, cycles: forwarded.cycles })
    }
}
