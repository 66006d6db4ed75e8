//! Memory that changes while rings run.

use std::os::fd::AsFd;

use strowger_fake_frontend::{Error, FrontEnd, Request, Settings, features::protocol};

use crate::forwarder::{Forwarder, exchange};

fn guests(settings: Settings) -> (Forwarder, FrontEnd, FrontEnd) {
    let forwarder = Forwarder::new(2);
    let one = forwarder.attach(0, settings);
    let two = forwarder.attach(1, Settings::default());
    (forwarder, one, two)
}

#[test]
fn a_table_that_is_shared_again_changes_nothing_for_the_guests() {
    let (_forwarder, mut one, mut two) = guests(Settings { regions: 4, ..Settings::default() });
    for round in 0..20 {
        exchange(&mut one, &mut two, round * 20, 10, &[64, 1514, 9000]);
        one.share_memory().unwrap();
        exchange(&mut two, &mut one, round * 20 + 10, 10, &[64, 1514, 9000]);
    }
}

#[test]
fn a_ring_without_its_memory_stays_stopped_until_it_has_it_again() {
    let settings = Settings { regions: 2, slots: true, ..Settings::default() };
    let (forwarder, mut one, mut two) = guests(settings);
    let memory = one.memory().clone();
    let (first, _) = memory.regions().next().unwrap();
    for round in 0..10 {
        exchange(&mut one, &mut two, round * 10, 10, &[64, 1514]);
        one.remove_region(first).unwrap();
        assert_eq!(forwarder.started(0), (0, 0), "the rings lie in the first region");
        let file = memory.regions().next().unwrap().1;
        one.add_region(first, file).unwrap();
        forwarder.wait_status(0, |status| status.up);
    }
}

#[test]
fn memory_that_no_ring_needs_comes_and_goes() {
    let settings = Settings { slots: true, ..Settings::default() };
    let (_forwarder, mut one, mut two) = guests(settings);
    let memory = one.memory().clone();
    let (region, file) = memory.regions().next().unwrap();
    let at = region.size * 8;
    let more = strowger_fake_frontend::Region {
        guest: region.guest + at,
        user: region.user + at,
        ..region
    };
    for round in 0..20 {
        one.add_region(more, file).unwrap();
        exchange(&mut one, &mut two, round * 10, 5, &[64]);
        one.remove_region(more).unwrap();
        exchange(&mut two, &mut one, round * 10 + 5, 5, &[64]);
    }
}

/// QEMU before 8.0 does so with several queue pairs, and takes a refusal for the end of its port.
#[test]
fn a_region_may_be_added_once_for_each_queue_pair() {
    let settings = Settings { slots: true, ..Settings::default() };
    let (_forwarder, mut one, mut two) = guests(settings);
    let memory = one.memory().clone();
    let (region, file) = memory.regions().next().unwrap();
    one.add_region(region, file).unwrap();
    exchange(&mut one, &mut two, 0, 5, &[64]);
    let other = strowger_fake_frontend::Memory::new(region.size as usize, 1, false).unwrap();
    let other_file = other.regions().next().unwrap().1;
    assert!(
        matches!(one.add_region(region, other_file), Err(Error::Refused { .. })),
        "the same addresses in another file"
    );
    // Both pairs remove it and add it again: as one after the other, each both.
    for round in 1..10 {
        for _ in 0..2 {
            one.remove_region(region).unwrap();
        }
        assert!(matches!(one.remove_region(region), Err(Error::Refused { .. })));
        one.add_region(region, file).unwrap();
        one.add_region(region, file).unwrap();
        exchange(&mut one, &mut two, round * 10, 5, &[64]);
    }
}

#[test]
fn a_region_that_cannot_be_is_refused_and_the_others_stay() {
    let settings = Settings { slots: true, ..Settings::default() };
    let (_forwarder, mut one, mut two) = guests(settings);
    let memory = one.memory().clone();
    let (region, file) = memory.regions().next().unwrap();
    let beyond = strowger_fake_frontend::Region { guest: 1 << 40, user: 1 << 40, ..region };
    for (what, bad) in [
        ("overlap", strowger_fake_frontend::Region { guest: region.guest + 4096, ..region }),
        ("nothing", strowger_fake_frontend::Region { size: 0, ..beyond }),
        ("more than the file", strowger_fake_frontend::Region { size: region.size + 1, ..beyond }),
        ("an offset outside", strowger_fake_frontend::Region { offset: region.size, ..beyond }),
        ("a size that overflows", strowger_fake_frontend::Region { size: u64::MAX, ..beyond }),
        ("an offset that overflows", strowger_fake_frontend::Region { offset: u64::MAX, ..beyond }),
        ("an address that overflows", strowger_fake_frontend::Region { guest: u64::MAX, ..beyond }),
    ] {
        let refused = one.add_region(bad, file);
        assert!(matches!(refused, Err(Error::Refused { .. })), "{what}: {refused:?}");
    }
    assert!(matches!(one.remove_region(beyond), Err(Error::Refused { .. })));
    let table = [(region, file), (region, file)];
    assert!(matches!(one.set_memory_table(&table), Err(Error::Refused { .. })));
    exchange(&mut one, &mut two, 0, 20, &[64, 1514]);
}

#[test]
fn there_are_slots_enough() {
    let (_forwarder, mut one, _two) = guests(Settings::default());
    assert!(one.speaks(protocol::CONFIGURE_MEM_SLOTS));
    let slots = one.channel().ask_number(Request::GetMaxMemSlots).unwrap();
    assert!(slots >= 32, "{slots}");
}

#[test]
fn descriptors_without_a_region_are_refused() {
    let (_forwarder, mut one, mut two) = guests(Settings::default());
    let file = std::fs::File::open("/dev/null").unwrap();
    let body = 0u64.to_ne_bytes();
    let refused = one.request(Request::SetMemTable, &body, &[file.as_fd()]);
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    exchange(&mut one, &mut two, 0, 20, &[64]);
}
