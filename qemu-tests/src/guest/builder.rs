//! How a guest is described, and the QEMU command line that comes of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Guest;
use crate::channel::Awaited;
use crate::process::Process;
use crate::scene::target_dir;
use crate::{Error, Result, Scene};

/// Who listens on the vhost-user socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// QEMU connects to a switch that listens, and again when it lost it (`vhost-user:` ports).
    Connects,
    /// QEMU listens and the switch connects (`vhost-user-client:` ports).
    Listens,
}

/// Describes a guest. All of it has defaults but the name.
#[derive(Clone)]
pub struct GuestBuilder<'a> {
    scene: &'a Scene,
    name: String,
    role: Role,
    queues: u16,
    mac: String,
    addresses: Vec<String>,
    setup: Vec<String>,
    properties: Vec<String>,
    memory_mib: u32,
    huge_pages: bool,
}

/// The offloads of QEMU's virtio-net device.
const OFFLOADS: [&str; 12] = [
    "csum",
    "guest_csum",
    "gso",
    "host_tso4",
    "host_tso6",
    "host_ecn",
    "host_ufo",
    "guest_tso4",
    "guest_tso6",
    "guest_ecn",
    "guest_ufo",
    "mrg_rxbuf",
];

impl<'a> GuestBuilder<'a> {
    pub(super) fn new(scene: &'a Scene, name: &str) -> GuestBuilder<'a> {
        GuestBuilder {
            scene,
            name: name.to_owned(),
            role: Role::Connects,
            queues: 1,
            mac: mac_of(name),
            addresses: Vec::new(),
            setup: Vec::new(),
            properties: Vec::new(),
            memory_mib: 128,
            huge_pages: false,
        }
    }

    /// Who listens on the socket (default: the switch).
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// How many queue pairs the device has, and processors the guest (default 1). The guest's
    /// driver uses as many pairs as it has processors.
    pub fn queues(mut self, pairs: u16) -> Self {
        self.queues = pairs;
        self
    }

    /// The interface's MAC address (default: made of the name).
    pub fn mac(mut self, mac: &str) -> Self {
        mac.clone_into(&mut self.mac);
        self
    }

    /// Gives `eth0` an address, `10.0.0.1/24` or `fd00::1/64`; may be called several times.
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// A shell command to run at every boot, after the addresses are there.
    pub fn setup(mut self, command: &str) -> Self {
        self.setup.push(command.to_owned());
        self
    }

    /// A property of QEMU's virtio-net-pci device, such as `event_idx=off`.
    pub fn property(mut self, property: &str) -> Self {
        self.properties.push(property.to_owned());
        self
    }

    /// The guest offers and takes no offload at all, and no mergeable buffers.
    pub fn without_offloads(mut self) -> Self {
        self.properties.extend(OFFLOADS.iter().map(|name| format!("{name}=off")));
        self
    }

    /// The guest's memory (default 128 MiB).
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.memory_mib = mebibytes;
        self
    }

    /// Backs the memory with huge pages of 2 MiB, which must have been reserved.
    pub fn huge_pages(mut self) -> Self {
        self.huge_pages = true;
        self
    }

    /// Starts QEMU, and does not wait for the guest.
    pub fn start(&self) -> Result<Guest> {
        let image = image_dir()?;
        let (control, qmp) = (self.fresh_path("control"), self.fresh_path("qmp"));
        let awaited = (Awaited::listen(&control)?, Awaited::listen(&qmp)?);
        let args = self.arguments(&image, &control, &qmp);
        let qemu = Process::start(
            self.scene,
            &format!("{}-qemu", self.name),
            OsStr::new("qemu-system-x86_64"),
            &args,
        )?;
        let setup = self.setup_script();
        Ok(Guest { name: self.name.clone(), setup, qemu, awaited, lines: None.into() })
    }

    fn arguments(&self, image: &Path, control: &Path, qmp: &Path) -> Vec<String> {
        let memory = self.memory_mib;
        let accelerator = accelerator(image);
        let huge = if self.huge_pages { ",hugetlb=on,hugetlbsize=2M" } else { "" };
        let role = match self.role {
            Role::Connects => "reconnect=1",
            Role::Listens => "server=on,wait=off",
        };
        let console = self.scene.log(&format!("{}-console", self.name));
        // vectors=0: QEMU 7.2 may crash with MSI-X on vhost-user under emulation.
        let mut device = format!(
            "virtio-net-pci,netdev=net0,mac={},vectors=0,romfile=,disable-legacy=on",
            self.mac
        );
        if self.queues > 1 {
            device.push_str(",mq=on");
        }
        for property in &self.properties {
            device.push(',');
            device.push_str(property);
        }
        let socket = |id: &str, path: &Path| format!("socket,id={id},path={}", path.display());
        let port = socket("port", &self.scene.socket(&self.name));
        // No check of the timer, no watchdogs: a guest that gets no processor for a while is not ill.
        let kernel_line = format!(
            "console=ttyS0 quiet panic=-1 no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 \
             tsc=nowatchdog mitigations=off cryptomgr.notests guest.name={}",
            self.name
        );
        let options = [
            ("-display", "none".to_owned()),
            // A small processor boots in less time than one with everything, under emulation; it
            // must have random numbers, of which the guest has no other source.
            ("-cpu", processor(accelerator).to_owned()),
            ("-smp", self.queues.to_string()),
            ("-m", format!("{memory}M")),
            ("-machine", format!("q35,accel={accelerator},memory-backend=memory")),
            ("-object", format!("memory-backend-memfd,id=memory,size={memory}M,share=on{huge}")),
            ("-kernel", image.join("vmlinuz").display().to_string()),
            ("-initrd", image.join("initramfs").display().to_string()),
            ("-append", kernel_line),
            ("-serial", format!("file:{}", console.display())),
            ("-chardev", socket("control", control)),
            ("-serial", "chardev:control".to_owned()),
            ("-chardev", socket("qmp", qmp)),
            ("-mon", "chardev=qmp,mode=control".to_owned()),
            ("-chardev", format!("{port},{role}")),
            ("-netdev", format!("vhost-user,id=net0,chardev=port,queues={}", self.queues)),
            ("-device", device),
        ];
        let flags = ["-nodefaults", "-no-user-config"].map(str::to_owned).into_iter();
        flags
            .chain(options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]))
            .collect()
    }

    fn setup_script(&self) -> String {
        // No duplicate address detection: an IPv6 address is of use at once.
        let mut script =
            "set -e\nsysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0\n\
                          ip link set eth0 up\n"
                .to_owned();
        for address in &self.addresses {
            script.push_str(&format!("ip addr replace {address} dev eth0\n"));
        }
        for command in &self.setup {
            script.push_str(command);
            script.push('\n');
        }
        script
    }

    /// A socket path that no earlier start of the same guest has used.
    fn fresh_path(&self, what: &str) -> PathBuf {
        let mut number = 0;
        loop {
            let path = self.scene.path(&format!("{}-{what}{number}", self.name));
            if !path.exists() {
                return path;
            }
            number += 1;
        }
    }
}

/// Where `scripts/guest-image.sh` put the guest.
pub(crate) fn image_dir() -> Result<PathBuf> {
    let dir = match std::env::var_os("STROWGER_GUEST") {
        Some(dir) => PathBuf::from(dir),
        None => target_dir()?.join("guest"),
    };
    if dir.join("vmlinuz").is_file() && dir.join("initramfs").is_file() {
        return Ok(dir);
    }
    Err(Error::Wrong(format!(
        "there is no guest image in {}: run scripts/guest-image.sh (with the same CARGO_TARGET_DIR)",
        dir.display()
    )))
}

/// What the image's build found to work here, `kvm` or `tcg`.
fn accelerator(image: &Path) -> &'static str {
    let found = std::fs::read_to_string(image.join("accelerator")).unwrap_or_default();
    if found.trim() == "kvm" { "kvm" } else { "tcg" }
}

fn processor(accelerator: &str) -> &'static str {
    if accelerator == "kvm" { "host" } else { "Nehalem,+rdrand" }
}

/// A locally administered address made of a name: stable, and different for different names.
fn mac_of(name: &str) -> String {
    // FNV-1a: enough for the few names of a scene.
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}
