//! What the service manager that started the switch is told (sd_notify(3)): that it forwards, that it ends, and, as
//! often as it wants to hear it, that the workers move. Without a service manager nothing happens here.
//!
//! A worker that hangs is one that has not passed a point where it holds nothing between two looks, and does not
//! sleep. Then nothing is said, and systemd starts the switch anew when its `WatchdogSec=` are over: a switch that
//! does not forward is worth less than one that begins again.

use std::{
    io,
    sync::{
        Weak,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use sd_notify::NotifyState;
use tracing::{error, info, warn};

use crate::engine::{Engine, Pulse};

/// Looks within the time that systemd waits: one may be late.
const LOOKS: u32 = 3;

/// Tells the service manager until it is dropped.
#[derive(Debug)]
pub struct Service {
    watchdog: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Service {
    /// Says that the switch forwards, and watches its workers if systemd wants that.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn ready(engine: Weak<Engine>) -> io::Result<Self> {
        let mut watchdog = Watchdog { engine, before: Vec::new(), said: String::new() };
        watchdog.begin();
        tell(&[NotifyState::Ready, NotifyState::Status(&watchdog.said)]);
        let Some(bound) = sd_notify::watchdog_enabled() else {
            return Ok(Self { watchdog: None });
        };
        let (end, ended) = mpsc::channel();
        let tick = (bound / LOOKS).max(Duration::from_millis(1));
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while ended.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                watchdog.look();
            }
        })?;
        Ok(Self { watchdog: Some((end, thread)) })
    }

    /// Says that the switch ends.
    pub fn stopping(self) {}
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.watchdog.take() {
            drop(end);
            if thread.join().is_err() {
                error!("the watchdog's thread panicked");
            }
        }
        tell(&[NotifyState::Stopping, NotifyState::Status("ending")]);
    }
}

/// Looks whether the workers move.
#[derive(Debug)]
struct Watchdog {
    engine: Weak<Engine>,
    before: Vec<Pulse>,
    said: String,
}

impl Watchdog {
    fn begin(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            self.before = engine.pulse();
            self.said = summary(&engine);
        }
    }

    fn look(&mut self) {
        // Whoever ends the switch ends this first.
        let Some(engine) = self.engine.upgrade() else { return };
        let now = engine.pulse();
        let hung = hung(&now, &self.before);
        let says = match hung.as_slice() {
            [] => summary(&engine),
            cores => format!("the worker of core {} does not move", list(cores)),
        };
        if says != self.said {
            if hung.is_empty() {
                info!("{says}");
            } else {
                error!("{says}: the service manager will start the switch anew if that lasts");
            }
            tell(&[NotifyState::Status(&says)]);
            self.said = says;
        }
        if hung.is_empty() {
            tell(&[NotifyState::Watchdog]);
        }
        self.before = now;
    }
}

/// The cores of workers that did not move.
fn hung(now: &[Pulse], before: &[Pulse]) -> Vec<usize> {
    let pairs = now.iter().zip(before);
    pairs.filter(|(now, before)| !now.beats(before)).map(|(now, _)| now.core).collect()
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// What `systemctl status` shows.
fn summary(engine: &Engine) -> String {
    let snapshot = engine.snapshot();
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    format!(
        "forwarding: {}, {}, {}",
        count(snapshot.bridges().count(), "bridge"),
        count(snapshot.ports().count(), "port"),
        count(engine.len(), "worker"),
    )
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot tell the service manager how the switch is: {error}");
    }
}
