//! Rings that start, stop, and change while they run.

use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use strowger_fake_frontend::{
    FrontEnd, Request, Settings, VnetHeader, features,
    frame::{mac, number, numbered},
    wait,
};
use strowger_packet::DropReason;

use crate::forwarder::{Forwarder, exchange};

/// The rings of the first queue pair.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

fn guests() -> (Forwarder, FrontEnd, FrontEnd) {
    let forwarder = Forwarder::new(2);
    let one = forwarder.attach(0, Settings::default());
    let two = forwarder.attach(1, Settings::default());
    (forwarder, one, two)
}

#[test]
fn a_stopped_ring_goes_on_at_its_base_with_nothing_lost_or_doubled() {
    let (forwarder, mut one, mut two) = guests();
    for round in 0..40 {
        let first = round * 20;
        exchange(&mut one, &mut two, first, 7, &[64, 1514]);
        let base = one.stop_ring(TRANSMIT).unwrap();
        assert_eq!(base, one.ring(TRANSMIT).used_index(), "all that was taken has been returned");
        forwarder.wait_status(0, |status| !status.up);
        // Sent while nobody looks.
        for n in first + 7..first + 10 {
            one.send(&numbered(mac(2), mac(1), n, 64)).unwrap();
        }
        assert!(two.pair(0).receive.poll().unwrap().is_none());
        one.start_ring(TRANSMIT, base).unwrap();
        for n in first + 7..first + 10 {
            assert_eq!(number(&two.receive().unwrap().bytes), Some(n));
        }
        let base = two.stop_ring(RECEIVE).unwrap();
        two.start_ring(RECEIVE, base).unwrap();
    }
    assert_eq!(forwarder.totals(1).tx_frames, 400);
}

#[test]
fn a_ring_that_stops_amid_traffic_loses_and_doubles_nothing() {
    let (forwarder, mut one, mut two) = guests();
    let mut sent = 0;
    let mut received = 0;
    for round in 0..60 {
        while sent < (round + 1) * 10 {
            one.send(&numbered(mac(2), mac(1), sent, 64)).unwrap();
            sent += 1;
        }
        // In the middle of whatever the worker does now.
        let (front_end, ring) =
            if round % 2 == 0 { (&mut one, TRANSMIT) } else { (&mut two, RECEIVE) };
        let base = front_end.stop_ring(ring).unwrap();
        front_end.start_ring(ring, base).unwrap();
        forwarder.wait_status(usize::from(round % 2 == 1), |status| status.up);
        // A frame may meet a receive ring that is stopped, and then it is counted.
        let dropped = || forwarder.drops(1, DropReason::PortDown);
        wait::until("every frame's end", || {
            while let Some(frame) = two.pair(0).receive.poll().unwrap() {
                let n = number(&frame.bytes).unwrap();
                assert!(n >= received, "frame {n} came after {received}");
                received = n + 1;
            }
            (forwarder.totals(1).tx_frames + dropped() == u64::from(sent)
                && two.ring(RECEIVE).returned() == 0)
                .then_some(())
        })
        .unwrap();
    }
    assert_eq!(forwarder.totals(0).rx_frames, u64::from(sent));
}

#[test]
fn a_disabled_transmit_ring_discards_and_an_enabled_one_forwards() {
    let (forwarder, mut one, mut two) = guests();
    one.enable(TRANSMIT, false).unwrap();
    forwarder.wait_status(0, |status| !status.up);
    for n in 0..5 {
        one.send(&numbered(mac(2), mac(1), n, 64)).unwrap();
    }
    one.pair(0).transmit.drain().unwrap();
    assert_eq!(forwarder.drops(0, DropReason::RingDisabled), 5);
    one.enable(TRANSMIT, true).unwrap();
    one.enable(TRANSMIT, true).unwrap();
    exchange(&mut one, &mut two, 5, 50, &[64]);
    assert_eq!(forwarder.drops(0, DropReason::RingDisabled), 5);
}

#[test]
fn a_disabled_receive_ring_is_a_port_that_is_down() {
    let (forwarder, mut one, mut two) = guests();
    two.enable(RECEIVE, false).unwrap();
    one.send(&numbered(mac(2), mac(1), 0, 64)).unwrap();
    forwarder.wait_drops(1, DropReason::PortDown, 1);
    two.enable(RECEIVE, true).unwrap();
    exchange(&mut one, &mut two, 1, 10, &[64]);
}

#[test]
fn kick_and_call_descriptors_change_while_the_ring_runs() {
    let (_forwarder, mut one, mut two) = guests();
    for round in 0..20 {
        exchange(&mut one, &mut two, round * 10, 10, &[64]);
        one.set_kick(TRANSMIT).unwrap();
        two.set_call(RECEIVE).unwrap();
        // No descriptor: the ring is polled, and the guest gets no interrupts until it has one again.
        one.ring_fd(Request::SetVringKick, TRANSMIT, None).unwrap();
        two.ring_fd(Request::SetVringCall, RECEIVE, None).unwrap();
        two.set_call(RECEIVE).unwrap();
    }
}

#[test]
fn a_guest_that_wants_no_interrupts_gets_none() {
    for event_idx in [0, features::EVENT_IDX] {
        let forwarder = Forwarder::new(2);
        let modern = Settings::default();
        let features = modern.features & !features::EVENT_IDX | event_idx;
        let mut one = forwarder.attach(0, modern.clone());
        let mut two = forwarder.attach(1, Settings { features, ..modern });
        // The one interrupt of the start.
        assert!(two.ring(RECEIVE).called(wait::DEADLINE).unwrap());
        two.ring(RECEIVE).quiet();
        one.send(&numbered(mac(2), mac(1), 1, 64)).unwrap();
        wait::until("the frame", || (two.ring(RECEIVE).returned() > 0).then_some(())).unwrap();
        // The worker has notified, or not, when it has returned the frame to its sender.
        one.pair(0).transmit.drain().unwrap();
        assert!(!two.ring(RECEIVE).called(Duration::ZERO).unwrap());
        // Now it wants them again.
        assert!(two.ring(RECEIVE).arm());
        two.pair(0).receive.poll().unwrap().unwrap();
        exchange(&mut one, &mut two, 2, 3, &[64]);
    }
}

#[test]
fn addresses_and_sizes_set_while_the_ring_runs_take_effect_or_are_refused() {
    let (forwarder, mut one, mut two) = guests();
    // The same again: the ring goes on where it was.
    let base = one.ring(TRANSMIT).used_index();
    one.start_ring(TRANSMIT, base).unwrap();
    exchange(&mut one, &mut two, 0, 20, &[64]);
    // Impossible ones change nothing.
    for size in [0u32, 3, 1 << 16, u32::MAX] {
        let body = [1u32.to_ne_bytes(), size.to_ne_bytes()].concat();
        assert!(one.request(Request::SetVringNum, &body, &[]).is_err(), "{size}");
    }
    exchange(&mut one, &mut two, 20, 20, &[64]);
    // Addresses outside memory: the ring stops, and runs again with its own.
    let body: Vec<u8> = [1u64, 1, 2, 3, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert!(one.request(Request::SetVringAddr, &body, &[]).is_err());
    forwarder.wait_status(0, |status| !status.up);
    let base = one.ring(TRANSMIT).used_index();
    one.start_ring(TRANSMIT, base).unwrap();
    exchange(&mut one, &mut two, 40, 20, &[64]);
}

#[test]
fn a_broken_ring_tells_its_front_end() {
    let (forwarder, mut one, _two) = guests();
    let error = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    use std::os::fd::AsFd;
    one.ring_fd(Request::SetVringErr, TRANSMIT, Some(error.as_fd())).unwrap();
    one.ring(TRANSMIT).set_available_index(5000);
    forwarder.wait_drops(0, DropReason::BadDescriptor, 1);
    assert!(wait::ready(error.as_fd(), rustix::event::PollFlags::IN, wait::DEADLINE).unwrap());
}

#[test]
fn a_device_that_is_reset_starts_anew() {
    let (forwarder, mut one, mut two) = guests();
    exchange(&mut one, &mut two, 0, 30, &[64]);
    let bases = [one.ring(RECEIVE).used_index(), one.ring(TRANSMIT).used_index()];
    one.request(Request::ResetDevice, &[], &[]).unwrap();
    assert_eq!(forwarder.started(0), (0, 0));
    // Nothing is left of the rings: a kick alone starts none.
    one.set_kick(TRANSMIT).unwrap();
    assert_eq!(forwarder.started(0), (0, 0));
    for ring in [RECEIVE, TRANSMIT] {
        one.start_ring(ring, bases[usize::from(ring)]).unwrap();
        one.enable(ring, true).unwrap();
    }
    exchange(&mut one, &mut two, 30, 30, &[64]);
    one.request(Request::SetStatus, &0u64.to_ne_bytes(), &[]).unwrap();
    assert_eq!(forwarder.started(0), (0, 0));
}

/// QEMU 7.2 does so when it pauses a guest, and goes on from the answer.
#[test]
fn a_ring_of_a_device_that_was_reset_says_where_it_stopped() {
    let (forwarder, mut one, mut two) = guests();
    exchange(&mut one, &mut two, 0, 30, &[64]);
    exchange(&mut two, &mut one, 30, 30, &[64]);
    let bases = [one.ring(RECEIVE).used_index(), one.ring(TRANSMIT).used_index()];
    assert!(bases.iter().all(|&base| base >= 30), "{bases:?}");
    one.request(Request::SetStatus, &0u64.to_ne_bytes(), &[]).unwrap();
    assert_eq!(forwarder.started(0), (0, 0));
    for ring in [RECEIVE, TRANSMIT] {
        let base = one.stop_ring(ring).unwrap();
        assert_eq!(base, bases[usize::from(ring)]);
        one.start_ring(ring, base).unwrap();
        one.enable(ring, true).unwrap();
    }
    exchange(&mut one, &mut two, 60, 30, &[64]);
    exchange(&mut two, &mut one, 90, 30, &[64]);
}

#[test]
fn all_rings_are_disabled_when_the_owner_goes() {
    let (forwarder, mut one, _two) = guests();
    one.request(Request::ResetOwner, &[], &[]).unwrap();
    forwarder.wait_status(0, |status| !status.up);
    one.pair(0).transmit.send(VnetHeader::default(), &numbered(mac(2), mac(1), 0, 64)).unwrap();
    forwarder.wait_drops(0, DropReason::RingDisabled, 1);
}
