//! A QEMU guest on a vhost-user port.

mod builder;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use builder::image_dir;
pub use builder::{GuestBuilder, Role};

use crate::channel::{Awaited, Channel};
use crate::process::Process;
use crate::qmp::Qmp;
use crate::{Error, Machine, Output, Result, Scene};

/// A running virtual machine. It is killed when this value goes.
///
/// [`GuestBuilder::start`] returns at once; [`Guest::ready`] waits for the boot, so that several
/// guests boot at the same time.
pub struct Guest {
    name: String,
    setup: String,
    qemu: Process,
    awaited: (Awaited, Awaited),
    lines: Mutex<Option<ControlLines>>,
}

struct ControlLines {
    channel: Channel,
    qmp: Qmp,
}

impl Guest {
    /// Describes a guest whose `eth0` is on the vhost-user socket of the port with its name.
    pub fn builder<'a>(scene: &'a Scene, name: &str) -> GuestBuilder<'a> {
        GuestBuilder::new(scene, name)
    }

    /// Waits until the guest has booted and its interface has its addresses.
    pub fn ready(&self) -> Result {
        let mut lines = self.lines();
        if lines.is_none() {
            let mut channel = Channel::new(self.awaited.0.accept(&self.qemu)?);
            let qmp = Qmp::new(self.awaited.1.accept(&self.qemu)?, &self.qemu)?;
            channel.await_boot(&self.qemu)?;
            *lines = Some(ControlLines { channel, qmp });
        }
        drop(lines);
        self.run(&self.setup).map(drop)
    }

    /// Resets the machine, as its reset button would, and waits until it is ready again.
    pub fn reset(&self) -> Result {
        self.with(|lines, qemu| {
            lines.qmp.execute("system_reset", qemu)?;
            lines.channel.await_boot(qemu)
        })?;
        self.ready()
    }

    /// Reboots from inside, and waits until it is ready again.
    pub fn reboot(&self) -> Result {
        self.with(|lines, qemu| {
            // It begins, and the next that is heard is another boot.
            lines.channel.begin("reboot -f", qemu)?;
            lines.channel.await_boot(qemu)
        })?;
        self.ready()
    }

    /// Stops the guest's processors.
    pub fn pause(&self) -> Result {
        self.with(|lines, qemu| lines.qmp.execute("stop", qemu).map(drop))
    }

    /// Lets them go on.
    pub fn resume(&self) -> Result {
        self.with(|lines, qemu| lines.qmp.execute("cont", qemu).map(drop))
    }

    /// Kills QEMU in the middle of whatever it does.
    pub fn kill(&self) {
        self.qemu.kill();
    }

    /// The process id of QEMU.
    pub fn id(&self) -> u32 {
        self.qemu.id()
    }

    /// What QEMU's own log says.
    pub fn log(&self) -> String {
        self.qemu.output()
    }

    fn with<T>(
        &self,
        use_lines: impl FnOnce(&mut ControlLines, &Process) -> Result<T>,
    ) -> Result<T> {
        match self.lines().as_mut() {
            Some(lines) => use_lines(lines, &self.qemu),
            None => {
                Err(Error::Wrong(format!("{} was not waited for: call ready() first", self.name)))
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Option<ControlLines>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine for Guest {
    fn name(&self) -> &str {
        &self.name
    }

    fn try_run(&self, command: &str) -> Result<Output> {
        self.with(|lines, qemu| lines.channel.run(command, qemu))
    }
}
