//! A switch of a test, in this process.

use std::{path::PathBuf, sync::Arc};

use strowger_fake_frontend::{
    FrontEnd, Settings,
    frame::{mac, number, numbered},
};
use strowger_vswitch::{
    config::{Config, file},
    control::{Control, Port, Refusal},
    snapshot::Snapshot,
    switch::{Handle, Switch},
};
use tempfile::TempDir;

use crate::netns::eventually;

/// A running switch and the directory that it has for itself.
pub(crate) struct World {
    directory: TempDir,
    switch: Option<Switch>,
}

impl World {
    /// Starts a switch of a configuration, in which `{}` is the directory.
    pub(crate) fn start(text: &str) -> Self {
        let mut world = Self { directory: tempfile::tempdir().unwrap(), switch: None };
        world.begin(text).unwrap();
        world
    }

    /// Ends the switch and starts one of another configuration in the same directory.
    pub(crate) fn restart(&mut self, text: &str) -> Result<(), String> {
        self.switch = None;
        self.begin(text)
    }

    fn begin(&mut self, text: &str) -> Result<(), String> {
        let mut config = self.read(text);
        if config.switch.state.is_none() {
            config.switch.state = Some(self.path("state"));
        }
        config.switch.rundir = self.path("run");
        self.switch = Some(Switch::start(&config).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn read(&self, text: &str) -> Config {
        file::read(&text.replace("{}", self.directory.path().to_str().unwrap())).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.switch.as_ref().unwrap().handle()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.switch.as_ref().unwrap().engine().upgrade().unwrap().snapshot()
    }

    /// Makes the switch what a file says. Returns what was done, a line each.
    pub(crate) fn apply(&self, text: &str) -> Result<Vec<String>, Refusal> {
        let wanted = self.read(text);
        let edit = &mut |config: &mut Config| {
            config.clone_from(&wanted);
            Ok(())
        };
        let changes = self.handle().change(false, edit)?;
        Ok(changes.iter().map(ToString::to_string).collect())
    }

    /// Makes one change.
    pub(crate) fn edit(&self, edit: impl Fn(&mut Config)) -> Result<Vec<String>, Refusal> {
        let edit = &mut |config: &mut Config| {
            edit(config);
            Ok(())
        };
        let changes = self.handle().change(false, edit)?;
        Ok(changes.iter().map(ToString::to_string).collect())
    }

    /// One port of the status.
    #[track_caller]
    pub(crate) fn port(&self, name: &str) -> Port {
        let status = self.handle().status();
        status.ports.into_iter().find(|port| port.name == name).expect("there is such a port")
    }

    /// Connects a guest, and waits until its port is up.
    #[track_caller]
    pub(crate) fn guest(&self, port: &str) -> FrontEnd {
        self.guest_with(port, Settings::default())
    }

    #[track_caller]
    pub(crate) fn guest_with(&self, port: &str, settings: Settings) -> FrontEnd {
        let guest = FrontEnd::connect(self.path(&format!("{port}.sock")), settings).unwrap();
        eventually("the guest's link", || self.port(port).up.then_some(()));
        guest
    }
}

/// A bridge's vhost-user port by its name, with other keys.
pub(crate) fn vhost(name: &str, bridge: &str, keys: &str) -> String {
    format!(
        "[ports.{name}]\nbridge = \"{bridge}\"\nkind = \"vhost-user\"\npath = \"{{}}/{name}.sock\"\n{keys}\n"
    )
}

/// A frame with this number or a higher one is to all, and nobody waits for it.
pub(crate) const TO_ALL: u32 = 1 << 30;

/// The number of the next frame that is ours and not to all; the kernel beside us sends others.
pub(crate) fn next_number(guest: &mut FrontEnd) -> u32 {
    loop {
        match number(&guest.receive().unwrap().bytes) {
            Some(number) if number < TO_ALL => return number,
            _ => {}
        }
    }
}

/// Sends a frame from one guest to the other, and sees it come.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a pair that is made for the call")]
pub(crate) fn passes(from: (&mut FrontEnd, u8), to: (&mut FrontEnd, u8), number: u32) {
    from.0.send(&numbered(mac(to.1), mac(from.1), number, 64)).unwrap();
    assert_eq!(next_number(to.0), number);
}
