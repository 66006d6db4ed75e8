//! A hostile front end on the real switch, beside two real guests that keep talking: whatever it
//! does, they go on, and its own port is of use again to the next who connects.

#![forbid(unsafe_code)]

use std::fs::File;
use std::os::fd::AsFd;

use strowger_fake_frontend::frame::{TCP_HEADERS, mac, numbered, tcp4};
use strowger_fake_frontend::{Channel, Descriptor, FrontEnd, Settings, VnetHeader, flags, vnet};
use strowger_qemu_tests::{Error, Guest, Machine, Result, Scene, Switch, until};

/// The ring numbers of the first queue pair in the protocol.
const TRANSMIT: u16 = 1;

/// The port of the hostile front end.
const EVIL: &str = "evil";

type Attempt = std::result::Result<(), strowger_fake_frontend::Error>;

/// A switch with two guests and a port for one who means ill.
struct Town<'a> {
    scene: &'a Scene,
    switch: Switch,
    guests: [Guest; 2],
}

impl<'a> Town<'a> {
    fn new(scene: &'a Scene) -> Result<Town<'a>> {
        let switch = Switch::builder(scene)
            .port(&scene.server_port("g1"))
            .port(&scene.server_port("g2"))
            .port(&scene.server_port(EVIL))
            .start()?;
        let guest = |name: &str, address| Guest::builder(scene, name).address(address).start();
        let guests = [guest("g1", "10.0.0.1/24")?, guest("g2", "10.0.0.2/24")?];
        for guest in &guests {
            guest.ready()?;
        }
        let town = Town { scene, switch, guests };
        town.guests[0].reach("10.0.0.2")?;
        // From here on they talk without end, whatever else happens.
        town.guests[0].run("ping -A 10.0.0.2 >/dev/null 2>&1 &")?;
        Ok(town)
    }

    fn connect(&self, settings: Settings) -> Result<FrontEnd> {
        FrontEnd::connect(self.scene.socket(EVIL), settings).map_err(wrong)
    }

    fn dropped(&self) -> Result<u64> {
        Ok(self.switch.status()?.port(EVIL)?.dropped())
    }

    /// The guests go on, and so does the switch.
    fn lives(&self, after: &str) -> Result {
        self.switch.check()?;
        let [g1, g2] = &self.guests;
        let talk = g1.ping_all("10.0.0.2", 5, 1000).and_then(|()| g2.ping_all("10.0.0.1", 5, 56));
        talk.map_err(|error| Error::Wrong(format!("after {after}: {error}")))
    }

    /// An honest front end on the same port is served: a frame of it comes into the switch.
    fn serves_the_next(&self, after: &str) -> Result {
        let context = |error| Error::Wrong(format!("after {after}, an honest front end: {error}"));
        let mut honest = self.connect(Settings::default()).map_err(context)?;
        let before = self.switch.status()?.port(EVIL)?.rx_frames;
        honest.send(&numbered([0xff; 6], mac(9), 1, 200)).map_err(wrong).map_err(context)?;
        until(&format!("after {after}, the frame of an honest front end"), || {
            Ok(self.switch.status()?.port(EVIL)?.rx_frames > before)
        })
    }

    /// One attack from a fresh connection: its drop is counted, and all go on.
    fn attack(
        &self,
        name: &str,
        settings: Settings,
        act: impl FnOnce(&mut FrontEnd) -> Attempt,
    ) -> Result {
        let before = self.dropped()?;
        let mut evil = self.connect(settings)?;
        act(&mut evil).map_err(|error| Error::Wrong(format!("{name}: {error}")))?;
        until(&format!("{name}: a drop is counted on the port"), || Ok(self.dropped()? > before))?;
        self.lives(name)?;
        drop(evil);
        self.serves_the_next(name)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn wrong(error: strowger_fake_frontend::Error) -> Error {
    Error::Wrong(error.to_string())
}

/// Shows the switch chain 0 with these descriptors from 0 on, and kicks.
fn chain(evil: &mut FrontEnd, descriptors: &[Descriptor]) -> Attempt {
    let ring = evil.ring_mut(TRANSMIT);
    for (index, descriptor) in (0..).zip(descriptors) {
        ring.set_descriptor(index, *descriptor);
    }
    ring.push(0);
    ring.publish()?;
    ring.kick()
}

/// A good descriptor: 100 bytes of the buffer of its number.
fn good(evil: &mut FrontEnd, index: u16) -> Descriptor {
    let address = evil.pair(0).transmit.buffer_at(index);
    Descriptor { address, len: 100, flags: 0, next: 0 }
}

#[test]
fn descriptors_that_loop_or_lie_outside_memory() {
    Scene::play("hostile-descriptors", |scene| {
        let town = Town::new(scene)?;
        let attack = |name, act: &dyn Fn(&mut FrontEnd) -> Attempt| {
            town.attack(name, Settings::default(), act)
        };
        attack("a descriptor that is its own next", &|evil| {
            let one = Descriptor { flags: flags::NEXT, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("a loop of two descriptors", &|evil| {
            let one = Descriptor { flags: flags::NEXT, next: 1, ..good(evil, 0) };
            let two = Descriptor { flags: flags::NEXT, next: 0, ..good(evil, 1) };
            chain(evil, &[one, two])
        })?;
        attack("a next outside the table", &|evil| {
            let one = Descriptor { flags: flags::NEXT, next: 60_000, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("an address behind all memory", &|evil| {
            let address = evil.memory().end();
            let one = Descriptor { address, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("a buffer that ends behind all memory", &|evil| {
            let address = evil.memory().end() - 50;
            let one = Descriptor { address, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("an address and length that overflow", &|evil| {
            let one = Descriptor { address: u64::MAX - 10, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("a length of 4 GiB", &|evil| {
            let one = Descriptor { len: u32::MAX, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("a buffer that the device is to write", &|evil| {
            let one = Descriptor { flags: flags::WRITE, ..good(evil, 0) };
            chain(evil, &[one])
        })?;
        attack("an indirect table outside memory", &|evil| {
            let address = evil.memory().end();
            let one = Descriptor { address, len: 64, flags: flags::INDIRECT, next: 0 };
            chain(evil, &[one])
        })?;
        attack("an indirect table in an indirect table", &|evil| {
            let table = evil.pair(0).transmit.table_at(0);
            let inner = Descriptor { address: table, len: 16, flags: flags::INDIRECT, next: 0 };
            evil.memory().write(table, &inner.emit());
            chain(evil, &[inner])
        })?;
        attack("a frame shorter than a header", &|evil| {
            let one = Descriptor { len: 5, ..good(evil, 0) };
            chain(evil, &[one])
        })
    });
}

#[test]
fn virtio_net_headers_that_lie() {
    Scene::play("hostile-headers", |scene| {
        let town = Town::new(scene)?;
        let attack = |name, header: VnetHeader, payload| {
            let (_, frame) = tcp4([0xff; 6], mac(9), payload, 1000);
            let settings = Settings { buffer: 70_000, ring_size: 64, ..Settings::default() };
            town.attack(name, settings, |evil| {
                let transmit = &mut evil.pair(0).transmit;
                transmit.send(header, &frame)?;
                transmit.drain()
            })
        };
        let headers = TCP_HEADERS as u16;
        let checksum = VnetHeader::checksum(34, 16);
        attack("gso_size 1", checksum.gso(vnet::GSO_TCPV4, headers, 1), 60_000)?;
        attack("gso_size 0", checksum.gso(vnet::GSO_TCPV4, headers, 0), 60_000)?;
        attack("a checksum outside the frame", VnetHeader::checksum(60_000, 16), 1000)?;
        attack(
            "a checksum whose place is outside the frame",
            VnetHeader::checksum(34, 60_000),
            1000,
        )?;
        attack("an unknown kind of GSO", checksum.gso(0x55, headers, 1000), 5000)?;
        attack("IPv6 GSO of an IPv4 frame", checksum.gso(vnet::GSO_TCPV6, headers, 1000), 5000)
    });
}

#[test]
fn a_receive_ring_whose_buffers_are_nowhere() {
    Scene::play("hostile-receiver", |scene| {
        let town = Town::new(scene)?;
        let mut evil = town.connect(Settings::default())?;
        let before = town.dropped()?;
        let end = evil.memory().end();
        for index in 0..evil.ring(0).size() {
            let nowhere = Descriptor { address: end, len: 2048, flags: flags::WRITE, next: 0 };
            evil.ring_mut(0).set_descriptor(index, nowhere);
        }
        // Broadcasts go to everyone, the hostile one too.
        town.guests[1].run("datagrams send 10.0.0.255:9 50 500")?;
        until("a drop is counted on the port", || Ok(town.dropped()? > before))?;
        town.lives("a receive ring of nowhere")?;
        drop(evil);
        town.serves_the_next("a receive ring of nowhere")
    });
}

#[test]
fn rings_that_jump_and_change_while_they_are_read() {
    Scene::play("hostile-rings", |scene| {
        let town = Town::new(scene)?;
        for jump in [300, 1000, 0x7fff, 0xffff] {
            let mut evil = town.connect(Settings::default())?;
            let ring = evil.ring_mut(TRANSMIT);
            ring.set_available_index(ring.available_index().wrapping_add(jump));
            ring.kick().map_err(wrong)?;
            town.lives("an index that jumps")?;
            drop(evil);
            town.serves_the_next("an index that jumps")?;
        }

        // Everything that the switch reads is written again and again while it reads it: frames
        // (their heads between match and send), descriptors, the available ring.
        let mut evil = town.connect(Settings::default())?;
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let frames: Vec<Vec<u8>> = (0..8).map(|i| numbered([0xff; 6], mac(9), i, 600)).collect();
        let buffers: Vec<u64> = (0..64).map(|i| evil.pair(0).transmit.buffer_at(i)).collect();
        for round in 0..20_000_u32 {
            let (a, b) = (next(), next());
            let slot = (a % 64) as u16;
            let buffer = buffers[usize::from(slot)];
            evil.memory().write(buffer + 12, &frames[(b % 8) as usize]);
            let flag = if b.is_multiple_of(5) { flags::NEXT } else { 0 };
            let address = if b.is_multiple_of(97) { b } else { buffer };
            let descriptor = Descriptor {
                address,
                len: (a >> 32) as u32 % 700,
                flags: flag,
                next: (a >> 16) as u16 % 64,
            };
            let ring = evil.ring_mut(TRANSMIT);
            ring.set_descriptor(slot, descriptor);
            ring.push(slot);
            ring.show();
            evil.memory().write(buffer + (b >> 20) % 600, &a.to_le_bytes());
            if round.is_multiple_of(64) {
                evil.ring(TRANSMIT).kick().map_err(wrong)?;
            }
        }
        town.lives("a ring rewritten while it is read")?;
        drop(evil);
        town.serves_the_next("a ring rewritten while it is read")
    });
}

#[test]
fn memory_that_goes_away_or_is_none() {
    Scene::play("hostile-memory", |scene| {
        let town = Town::new(scene)?;

        // Truncated under traffic: rings and buffers are gone. Here, too: nothing may touch it.
        let mut evil = town.connect(Settings::default())?;
        for number in 0..32 {
            evil.send(&numbered([0xff; 6], mac(9), number, 600)).map_err(wrong)?;
        }
        for (_, file) in evil.memory().regions() {
            rustix::fs::ftruncate(file, 0)
                .map_err(|error| Error::io("truncate memory")(error.into()))?;
        }
        evil.ring(TRANSMIT).kick().map_err(wrong)?;
        town.guests[1].run("datagrams send 10.0.0.255:9 50 500")?;
        town.lives("memory truncated under traffic")?;
        drop(evil);
        town.serves_the_next("memory truncated under traffic")?;

        // A region taken away while its rings run.
        let slots = Settings { slots: true, ..Settings::default() };
        let mut evil = town.connect(slots)?;
        for number in 0..32 {
            evil.send(&numbered([0xff; 6], mac(9), number, 600)).map_err(wrong)?;
        }
        let regions: Vec<_> = evil.memory().regions().map(|(region, _)| region).collect();
        for region in regions {
            // Refused or done: both are well.
            let _ = evil.remove_region(region);
        }
        let _ = evil.ring(TRANSMIT).kick();
        town.guests[1].run("datagrams send 10.0.0.255:9 50 500")?;
        town.lives("a region removed under traffic")?;
        drop(evil);
        town.serves_the_next("a region removed under traffic")?;

        // What is no memory: a device, a file of the kernel.
        for path in ["/dev/zero", "/dev/null", "/proc/self/exe", "/proc/cpuinfo"] {
            let mut evil = town.connect(Settings::default())?;
            let file = File::open(path).map_err(Error::io(format!("open {path}")))?;
            let region = evil.memory().regions().next().map(|(region, _)| region);
            let region = region.ok_or_else(|| Error::Wrong("a guest without memory".into()))?;
            let accepted = evil.set_memory_table(&[(region, file.as_fd())]).is_ok();
            assert!(!accepted, "{path} was accepted as a guest's memory");
            town.lives("a file that is no memory")?;
        }
        town.serves_the_next("a file that is no memory")
    });
}

#[test]
fn messages_that_are_cut_and_sockets_that_close() {
    Scene::play("hostile-messages", |scene| {
        let town = Town::new(scene)?;
        let socket = scene.socket(EVIL);
        // A whole start has some twenty messages: cut each, somewhere.
        for message in 0..30 {
            let mut channel = Channel::connect(&socket).map_err(wrong)?;
            channel.cut_after(message, message * 7 % 23);
            // It fails by its own doing, or at the end is whole.
            drop(FrontEnd::start(channel, Settings::default()));
        }
        town.lives("messages cut in the middle")?;
        town.serves_the_next("messages cut in the middle")?;

        // Bytes that are no message.
        for byte in [0x00, 0x01, 0xff] {
            let mut channel = Channel::connect(&socket).map_err(wrong)?;
            // The switch may close at any byte of it.
            let _ = channel.send_bytes(&[byte; 5000], &[]);
        }
        town.lives("bytes that are no message")?;

        let mut evil = town.connect(Settings::default())?;
        for _ in 0..3 {
            for ring in 0..2 {
                evil.enable(ring, true).map_err(wrong)?;
            }
        }
        town.lives("queues enabled twice")?;
        // A ring that is not there: refused, or the connection closed.
        assert!(evil.enable(200, true).is_err(), "ring 200 was enabled");
        drop(evil);
        town.lives("a ring that is not there")?;
        town.serves_the_next("a ring that is not there")
    });
}
