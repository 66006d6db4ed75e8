//! Each kind of drop, with its reason as the frame's comment.

use std::sync::Arc;

use strowger_packet::DropReason;
use strowger_vswitch::pipeline::{Moment, TRANSLATIONS_A_MILLISECOND};
use strowger_vswitch::rates::{Limit, Shaper, TokenBucket};
use strowger_vswitch::vlan::Mode;

use super::harness::{frame, mac, vid};
use super::scene::{Scene, request};

/// What a capture of both ports' drops shows: port, direction, reason; and that the counters say the same.
fn shown(scene: &Scene, capture: super::scene::Capture) -> Vec<(usize, &'static str, DropReason)> {
    let file = scene.end(capture);
    for (place, port) in scene.ports.iter().enumerate() {
        let count = file.packets.iter().filter(|packet| packet.interface == place).count() as u64;
        assert_eq!(port.totals().drops.iter().sum::<u64>(), count);
        assert_eq!(file.statistics[place].filteraccept, count);
        assert_eq!(file.statistics[place].ifdrop, 0);
    }
    let known = |name| *DropReason::ALL.iter().find(|reason| reason.name() == name).unwrap();
    file.packets
        .iter()
        .map(|packet| {
            let direction = if packet.is_rx() { "rx" } else { "tx" };
            (packet.interface, direction, known(packet.reason().unwrap()))
        })
        .collect()
}

fn scene() -> Scene {
    Scene::new(&[Mode::Access(vid(10)), Mode::Access(vid(10))])
}

fn drops(scene: &Scene) -> super::scene::Capture {
    scene.capture(&request(&["p0", "p1"], &[("drops-only", "true")]))
}

#[test]
fn a_frame_that_ends_too_soon() {
    let mut scene = scene();
    let capture = drops(&scene);
    scene.send(0, [frame(mac(2), mac(1), &[], 0), vec![7; 13], frame(mac(2), mac(1), &[], 0)]);
    assert_eq!(shown(&scene, capture), [(0, "rx", DropReason::Truncated)]);
}

#[test]
fn a_frame_of_another_vlan_and_one_from_no_station() {
    let mut scene = scene();
    let capture = drops(&scene);
    scene.send(0, [frame(mac(2), mac(1), &[(0x8100, 20)], 0), frame(mac(2), [3; 6], &[], 0)]);
    let reasons = [DropReason::VlanNotAllowed, DropReason::BadSource];
    assert_eq!(shown(&scene, capture), reasons.map(|reason| (0, "rx", reason)));
}

#[test]
fn frames_of_more_new_flows_than_there_is_budget_for() {
    let mut scene = scene();
    let capture = drops(&scene);
    let over = 3;
    let many = TRANSLATIONS_A_MILLISECOND as u16 + over;
    scene.send(0, (0..many).map(|src| frame(mac(2), mac(1000 + src), &[], 0)));
    let shown = shown(&scene, capture);
    assert_eq!(shown, vec![(0, "rx", DropReason::TranslationBudget); over.into()]);
}

#[test]
fn frames_above_the_rate_of_a_policed_port() {
    let mut scene = scene();
    scene.change(0, |extras| {
        extras.policer = Some(Arc::new(TokenBucket::new(Limit::frames(1, 2))));
    });
    let capture = drops(&scene);
    scene.send(0, (0..5).map(|number| frame(mac(2), mac(1), &[], number)));
    assert_eq!(shown(&scene, capture), [(0, "rx", DropReason::Policed); 3]);
}

#[test]
fn frames_for_a_queue_that_is_full_or_a_port_that_is_down() {
    let mut scene = scene();
    let capture = drops(&scene);
    scene.ports[1].recorder.limit(1);
    scene.send(0, (0..3).map(|number| frame(mac(2), mac(1), &[], number)));
    scene.ports[1].tx.stop(0);
    scene.send(0, [frame(mac(2), mac(1), &[], 9)]);
    let full = (1, "tx", DropReason::QueueFull);
    assert_eq!(shown(&scene, capture), [full, full, (1, "tx", DropReason::PortDown)]);
}

#[test]
fn a_shaped_port_shows_what_waited_when_it_goes_and_what_had_no_room() {
    let mut scene = scene();
    scene.change(1, |extras| {
        extras.shaper = Some(Arc::new(Shaper::new(Limit::frames(100, 1)).unwrap()));
    });
    let capture = scene.capture(&request(&["p1"], &[]));
    // One goes at once; within 50 ms there come tokens for five; what is more has no room.
    scene.send(0, (0..9).map(|number| frame(mac(2), mac(1), &[], number)));
    let mut millis = 1000;
    while let Some(due) = scene.pipeline.due() {
        assert!(due >= Moment::from_millis(millis));
        millis += 10;
        let snapshot = scene.snapshot.lock().unwrap().clone();
        scene.pipeline.drain(&snapshot, Moment::from_millis(millis));
    }
    let file = scene.end(capture);
    let sent: Vec<_> = file.packets.iter().filter(|packet| packet.comment.is_none()).collect();
    let recorded = scene.ports[1].recorder.take();
    assert!(recorded.len() > 2);
    assert_eq!(sent.len(), recorded.len());
    for (packet, recorded) in sent.iter().zip(&recorded) {
        assert_eq!(packet.bytes, recorded.bytes);
    }
    let lost: Vec<_> = file.packets.iter().filter_map(|packet| packet.reason()).collect();
    assert_eq!(lost.len(), 9 - recorded.len());
    assert!(!lost.is_empty() && lost.iter().all(|&reason| reason == "shaper_full"));
    assert_eq!(scene.drops(1, DropReason::ShaperFull), lost.len() as u64);
}

#[test]
fn frames_that_wait_at_a_port_that_goes_down() {
    let mut scene = scene();
    scene.change(1, |extras| {
        extras.shaper = Some(Arc::new(Shaper::new(Limit::frames(100, 1)).unwrap()));
    });
    let capture = drops(&scene);
    scene.send(0, (0..3).map(|number| frame(mac(2), mac(1), &[], number)));
    scene.ports[1].tx.stop(0);
    let snapshot = scene.snapshot.lock().unwrap().clone();
    let mut millis = 1000;
    while scene.pipeline.has_backlog() {
        millis += 100;
        scene.pipeline.drain(&snapshot, Moment::from_millis(millis));
    }
    assert_eq!(shown(&scene, capture), [(1, "tx", DropReason::PortDown); 2]);
}
