//! What a capture shows of frames that go through.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use strowger_packet::DropReason;
use strowger_vswitch::control::CaptureRequest;
use strowger_vswitch::vlan::Mode;

use super::harness::{self, BROADCAST, frame, mac, trunk, vid};
use super::scene::{Scene, request};

#[test]
fn a_frame_is_shown_as_it_came_in_and_as_it_went_out() {
    let mut scene = Scene::new(&[Mode::Access(vid(10)), trunk(&[10], None), Mode::Access(vid(10))]);
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let capture = scene.capture(&request(&["p0", "p1"], &[]));
    let sent = frame(BROADCAST, mac(1), &[], 7);
    scene.send(0, [sent.clone()]);
    let file = scene.end(capture);
    let tagged = frame(BROADCAST, mac(1), &[(0x8100, 10)], 7);

    assert!(file.application.starts_with("strowger "));
    let names: Vec<_> = file.interfaces.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["p0", "p1"]);
    assert_eq!(file.interfaces[0].description, "the port p0");
    let shown: Vec<_> = file
        .packets
        .iter()
        .map(|packet| (packet.interface, packet.direction, &packet.bytes[..20], packet.original))
        .collect();
    assert_eq!(shown, [(0, 1, &sent[..20], 60), (1, 2, &tagged[..20], 64)]);
    assert!(file.packets.iter().all(|packet| packet.comment.is_none()));
    for packet in &file.packets {
        let late = Duration::from_nanos(packet.nanos).saturating_sub(before);
        assert!(Duration::from_nanos(packet.nanos) >= before && late < Duration::from_secs(60));
    }
    let [first, second] = file.statistics[..] else { panic!("{:?}", file.statistics) };
    assert_eq!((first.ifrecv, first.filteraccept, first.ifdrop, first.usrdeliv), (1, 1, 0, 1));
    assert_eq!(first, second);
    assert_eq!(
        scene.ports[2].recorder.take().len(),
        1,
        "the port that is not captured gets its own"
    );
}

#[test]
fn a_capture_has_a_filter_a_snap_length_and_a_direction() {
    let mut scene = Scene::new(&[Mode::default(), Mode::default()]);
    let filtered = CaptureRequest {
        filter: Some(" ether dst 02:00:00:00:00:05 ".into()),
        snaplen: Some(20),
        ..request(&["p0", "p1"], &[])
    };
    let filtered = scene.capture(&filtered);
    let only_tx = scene.capture(&request(&["p0", "p1"], &[("direction", "tx")]));
    let only_rx = scene.capture(&request(&["p1", "p0"], &[("direction", "rx")]));
    let wanted = frame(mac(5), mac(1), &[], 1);
    scene.send(0, [frame(mac(6), mac(1), &[], 2), wanted.clone(), frame(mac(7), mac(1), &[], 3)]);
    scene.registry.stop();
    let file = filtered.read();
    assert_eq!(file.interfaces[1].filter.as_deref(), Some("ether dst 02:00:00:00:00:05"));
    assert_eq!(file.interfaces[1].snaplen, 20);
    assert_eq!(file.packets.len(), 2);
    for packet in &file.packets {
        assert_eq!((packet.original, &packet.bytes[..]), (60, &wanted[..20]));
    }
    let seen = file.statistics[0];
    assert_eq!((seen.ifrecv, seen.filteraccept, seen.usrdeliv), (3, 1, 1));
    let (tx, rx) = (only_tx.read(), only_rx.read());
    assert_eq!((tx.packets.len(), rx.packets.len()), (3, 3));
    assert!(tx.packets.iter().all(|packet| (packet.direction, packet.interface) == (2, 1)));
    assert!(rx.packets.iter().all(|packet| (packet.direction, packet.interface) == (1, 1)));
    assert_eq!(tx.statistics[0].ifrecv, 0, "what goes the other way is not seen at all");
}

#[test]
fn a_capture_ends_after_its_count_or_its_time() {
    let mut scene = Scene::new(&[Mode::default(), Mode::default()]);
    let counted = scene.capture(&request(&["p0"], &[("count", "5")]));
    let timed = scene.capture(&request(&["p0"], &[("duration", "1")]));
    scene.send(0, (0..20).map(|number| frame(mac(5), mac(1), &[], number)));
    let file = counted.read();
    assert_eq!(file.packets.len(), 5);
    assert_eq!(file.statistics[0].usrdeliv, 5);
    assert_eq!(timed.read().packets.len(), 20);
    assert!(scene.registry.is_empty() && !scene.is_tapped(0));
}

#[test]
fn ports_have_taps_while_they_are_captured_and_flows_stay_known() {
    let mut scene = Scene::new(&[Mode::default(), Mode::default()]);
    scene.send(1, [frame(mac(9), mac(5), &[], 0)]);
    scene.send(0, [frame(mac(5), mac(1), &[], 1)]);
    let translations = |scene: &Scene| scene.pipeline.statistics().translations;
    let before = translations(&scene);
    assert!(!scene.is_tapped(0));
    let capture = scene.capture(&request(&["p0"], &[]));
    assert!(scene.is_tapped(0) && !scene.is_tapped(1));
    scene.send(0, [frame(mac(5), mac(1), &[], 2)]);
    let file = scene.end(capture);
    assert_eq!(file.packets.len(), 1);
    assert!(!scene.is_tapped(0));
    scene.send(0, [frame(mac(5), mac(1), &[], 3)]);
    assert_eq!(translations(&scene), before);
}

proptest! {
    #![proptest_config(harness::properties())]

    /// Every frame that a port counts is shown once, with all its bytes, and with why it was dropped if it was.
    #[test]
    fn a_capture_shows_what_counters_count(
        batches in proptest::collection::vec(
            (0u32..3, proptest::collection::vec((0u16..5, 0u16..5, 0usize..130), 1..20)), 1..20),
        room in proptest::option::of(0usize..30),
        snaplen in 1u32..200,
    ) {
        let modes = [Mode::Access(vid(10)), trunk(&[10, 20], None), Mode::Access(vid(20))];
        let mut scene = Scene::new(&modes);
        if let Some(room) = room {
            scene.ports[1].recorder.limit(room);
        }
        let all = CaptureRequest { snaplen: Some(snaplen), ..request(&["p0", "p1", "p2"], &[]) };
        let capture = scene.capture(&all);
        let only_drops = scene.capture(&request(&["p0", "p1", "p2"], &[("drops-only", "true")]));
        let mut came: Vec<(usize, Vec<u8>)> = Vec::new();
        for (port, frames) in batches {
            let frames: Vec<_> = frames.into_iter().map(|(dst, src, len)| {
                let vlan = if port == 1 { vec![(0x8100, 10 * (1 + dst % 3))] } else { vec![] };
                // The station 0 is none.
                let src = if src == 0 { [1; 6] } else { mac(src) };
                let mut bytes = frame(mac(dst), src, &vlan, len as u32);
                bytes.resize(len, 0xee);
                bytes
            }).collect();
            came.extend(frames.iter().map(|frame| (port as usize, frame.clone())));
            scene.send(port, frames);
        }
        scene.registry.stop();
        let (file, drops) = (capture.read(), only_drops.read());

        let cut = |bytes: &[u8]| bytes[..bytes.len().min(snaplen as usize)].to_vec();
        let rx: Vec<_> = file.packets.iter().filter(|packet| packet.is_rx()).map(|packet| (packet.interface, packet.bytes.clone())).collect();
        prop_assert_eq!(rx, came.iter().map(|(port, bytes)| (*port, cut(bytes))).collect::<Vec<_>>());
        for (place, port) in scene.ports.iter().enumerate() {
            let here: Vec<_> = file.packets.iter().filter(|packet| packet.interface == place).collect();
            let sent = here.iter().filter(|packet| !packet.is_rx() && packet.comment.is_none());
            let recorded = port.recorder.take();
            prop_assert_eq!(sent.clone().map(|packet| packet.bytes.clone()).collect::<Vec<_>>(),
                recorded.iter().map(|sent| cut(&sent.bytes)).collect::<Vec<_>>());
            prop_assert_eq!(sent.map(|packet| packet.original).collect::<Vec<_>>(),
                recorded.iter().map(|sent| sent.bytes.len()).collect::<Vec<_>>());
            let totals = port.totals();
            for (number, reason) in DropReason::ALL.iter().enumerate() {
                for packets in [&file.packets, &drops.packets] {
                    let shown = packets.iter().filter(|packet| packet.interface == place && packet.reason() == Some(reason.name()));
                    prop_assert_eq!(shown.count() as u64, totals.drops[number], "{}", reason.name());
                }
            }
            let statistics = file.statistics[place];
            prop_assert_eq!(statistics.usrdeliv, here.len() as u64);
            prop_assert_eq!((statistics.ifrecv, statistics.ifdrop), (here.len() as u64, 0));
        }
        prop_assert!(drops.packets.iter().all(|packet| packet.comment.is_some()));
    }
}
