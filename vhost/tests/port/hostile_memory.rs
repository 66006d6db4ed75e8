//! Memory that is taken away, or was none.

use std::os::fd::AsFd;

use rustix::fs::ftruncate;
use strowger_fake_frontend::{
    Descriptor, Error, Region, Request, Settings, flags,
    frame::{mac, numbered},
};
use strowger_packet::DropReason;

use crate::{
    forwarder::{Forwarder, Witness, exchange},
    fuse::FuseFile,
};

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const BAD: u16 = 200;

/// Two regions, rings and buffers of the guest in the first: the second can be taken away and the guest's own
/// accesses still work.
fn two_regions() -> Settings {
    Settings { regions: 2, slots: true, ..Settings::default() }
}

fn second(front_end: &strowger_fake_frontend::FrontEnd) -> (Region, std::os::fd::OwnedFd) {
    let (region, file) = front_end.memory().regions().nth(1).unwrap();
    (region, file.try_clone_to_owned().unwrap())
}

#[test]
fn memory_truncated_under_a_transmit_ring_breaks_that_ring_only() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, two_regions());
    let (region, file) = second(&one);
    let ring = one.ring_mut(TRANSMIT);
    // Traffic whose bytes vanish while the switch forwards it.
    for n in 0..200 {
        let (address, len) = (region.guest + u64::from(n) * 4096, 1514);
        ring.set_descriptor(n, Descriptor { address, len, flags: 0, next: 0 });
        ring.push(n);
    }
    ring.publish().unwrap();
    ftruncate(&file, 0).unwrap();
    ring.push(BAD);
    ring.set_descriptor(BAD, Descriptor { address: region.guest, len: 64, flags: 0, next: 0 });
    ring.publish().unwrap();
    forwarder.wait_drops(0, DropReason::BadDescriptor, 1);
    witness.check();
    // With other memory all is well again.
    drop(one);
    forwarder.wait_status(0, |status| !status.connected);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64, 1514]);
    witness.check();
}

#[test]
fn memory_truncated_under_a_receive_ring_breaks_that_ring_only() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings { posted: 0, ..two_regions() });
    let (region, file) = second(&two);
    let ring = two.ring_mut(RECEIVE);
    for n in 0..100 {
        let (address, len) = (region.guest + u64::from(n) * 4096, 2048);
        ring.set_descriptor(n, Descriptor { address, len, flags: flags::WRITE, next: 0 });
        ring.push(n);
    }
    ring.publish().unwrap();
    ftruncate(&file, 0).unwrap();
    for n in 0..20 {
        one.send(&numbered(mac(2), mac(1), n, 1514)).unwrap();
    }
    forwarder.wait_drops(1, DropReason::ReceiverBroken, 1);
    one.pair(0).transmit.drain().unwrap();
    witness.check();
    drop(two);
    forwarder.wait_status(1, |status| !status.connected);
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64, 1514]);
    witness.check();
}

#[test]
fn rings_whose_own_memory_is_truncated_break() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64]);
    exchange(&mut two, &mut one, 0, 20, &[64]);
    let file = one.memory().regions().next().unwrap().1.try_clone_to_owned().unwrap();
    // From here this test must not touch the guest's memory itself.
    ftruncate(&file, 0).unwrap();
    one.ring(TRANSMIT).kick().unwrap();
    forwarder.wait_drops(0, DropReason::BadDescriptor, 1);
    two.send(&numbered(mac(1), mac(2), 0, 64)).unwrap();
    forwarder.wait_drops(0, DropReason::ReceiverBroken, 1);
    witness.check();
    drop(one);
    let mut one = forwarder.attach(0, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64]);
}

#[test]
fn regions_removed_under_traffic_cost_frames_and_nothing_else() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, two_regions());
    let mut two = forwarder.attach(1, Settings::default());
    let (region, file) = second(&one);
    let mut pairs = one.take_pairs();
    let sender = std::thread::spawn(move || {
        let ring = pairs[0].transmit.ring_mut();
        let mut in_flight = 0;
        for n in 0..3000u32 {
            let slot = (n % 200) as u16;
            let address = region.guest + u64::from(slot) * 4096;
            ring.memory().write(address + 12, &numbered(mac(2), mac(1), n, 1000));
            ring.set_descriptor(slot, Descriptor { address, len: 1012, flags: 0, next: 0 });
            ring.push(slot);
            ring.publish().unwrap();
            in_flight += 1;
            while in_flight > 100 {
                ring.wait(true).unwrap();
                assert_eq!(ring.pop().unwrap().1, 0);
                in_flight -= 1;
            }
        }
        while in_flight > 0 {
            ring.wait(true).unwrap();
            ring.pop().unwrap();
            in_flight -= 1;
        }
    });
    for _ in 0..30 {
        one.remove_region(region).unwrap();
        witness.check();
        one.add_region(region, file.as_fd()).unwrap();
        while two.pair(0).receive.poll().unwrap().is_some() {}
    }
    sender.join().unwrap();
    let (sent, received) = (forwarder.totals(0), forwarder.totals(1));
    assert_eq!(sent.rx_frames + sent.drops[DropReason::BadDescriptor as usize], 3000);
    let ends = received.tx_frames + received.drops.iter().sum::<u64>();
    assert_eq!(ends, sent.rx_frames, "every frame was delivered or counted");
    witness.check();
}

#[test]
fn what_is_no_memory_is_refused() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings { slots: true, ..Settings::default() });
    let mut two = forwarder.attach(1, Settings::default());
    let region = Region { guest: 1 << 40, size: 4096, user: 1 << 40, offset: 0 };
    let mut open = std::fs::File::options();
    let open = open.read(true).write(true);
    let pipe = std::io::pipe().unwrap();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let elsewhere = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let files = [
        ("a device that is zero", open.open("/dev/zero").unwrap().into()),
        ("a device that is random", open.open("/dev/urandom").unwrap().into()),
        ("this process", open.open("/proc/self/mem").unwrap().into()),
        ("a directory", std::fs::File::open("/").unwrap().into()),
        ("an executable, read only", elsewhere.into()),
        ("a pipe", pipe.0.into()),
        ("an eventfd", event),
    ];
    for (round, (what, file)) in files.into_iter().enumerate() {
        let file: std::os::fd::OwnedFd = file;
        let refused = one.add_region(region, file.as_fd());
        assert!(matches!(refused, Err(Error::Refused { .. })), "{what}: {refused:?}");
        let refused = one.set_memory_table(&[(region, file.as_fd())]);
        assert!(matches!(refused, Err(Error::Refused { .. })), "{what}: {refused:?}");
        exchange(&mut one, &mut two, round as u32 * 10, 5, &[64]);
        witness.check();
    }
}

#[test]
fn a_file_whose_server_never_answers_stalls_nobody() {
    let mut forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings { slots: true, ..Settings::default() });
    let mut two = forwarder.attach(1, Settings::default());
    let file = FuseFile::new();
    let region = Region { guest: 1 << 40, size: 4096, user: 1 << 40, offset: 0 };
    let refused = one.add_region(region, file.fd());
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let refused = one.ring_fd(Request::SetVringKick, 1, Some(file.fd()));
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    exchange(&mut one, &mut two, 0, 20, &[64]);
    witness.check();
    // So many that the port has no more threads to close them with: it still closes.
    for _ in 0..8 {
        let body = [&[0; 8], region.emit().as_slice()].concat();
        let flags = strowger_fake_frontend::channel::NEED_REPLY;
        one.channel().send(Request::AddMemReg as u32, flags, &body, &[file.fd()]).unwrap();
    }
    forwarder.close(0);
    witness.check();
}

#[test]
fn descriptors_of_a_message_that_does_not_come_whole_stall_nobody() {
    let mut forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let file = FuseFile::new();
    // A header that announces a body, and then nothing.
    let header = [Request::AddMemReg as u32, 1, 40].map(u32::to_ne_bytes).concat();
    one.channel().send_bytes(&header, &[file.fd()]).unwrap();
    one.channel().close();
    let _again = forwarder.attach(0, Settings::default());
    forwarder.close(0);
    witness.check();
}
