//! What bounds a capture: in memory, in number, in what it may ask for.

use strowger_vswitch::capture::{MAX_CAPTURES, RING_BYTES};
use strowger_vswitch::control::{CaptureRequest, Refusal};
use strowger_vswitch::vlan::Mode;

use super::harness::{frame, mac, wait_until};
use super::scene::{Capture, Scene, request};

fn scene() -> Scene {
    Scene::new(&[Mode::default(), Mode::default()])
}

#[test]
fn a_reader_that_does_not_read_costs_a_bounded_ring_and_its_losses_are_counted() {
    let mut scene = scene();
    scene.ports[1].recorder.discard();
    let stream = scene.start(&request(&["p0"], &[])).unwrap();
    let frames: Vec<_> = (0..64)
        .map(|number| {
            let mut bytes = frame(mac(5), mac(1), &[], number);
            bytes.resize(192, 0xaa);
            bytes
        })
        .collect();
    // Three times what ring and stream hold.
    let rounds = 3 * (RING_BYTES + 32 * (64 << 10)) / (64 * 192);
    for _ in 0..rounds {
        scene.send(0, frames.clone());
    }
    let all = rounds as u64 * 64;
    assert_eq!(scene.ports[1].totals().tx_frames, all, "what is forwarded does not wait");
    let capture = Capture::of(stream);
    let file = scene.end(capture);
    let seen = file.statistics[0];
    assert_eq!((seen.ifrecv, seen.filteraccept), (all, all));
    assert_eq!(seen.usrdeliv, file.packets.len() as u64);
    assert_eq!(seen.usrdeliv + seen.ifdrop, all);
    let kept = seen.usrdeliv as usize * (192 + 24);
    assert!(kept <= RING_BYTES + 36 * (64 << 10) && kept > RING_BYTES / 2, "{kept} bytes");
    for packet in &file.packets {
        assert_eq!(packet.bytes[20..], frames[0][20..]);
    }
}

#[test]
fn a_capture_that_nobody_reads_any_more_leaves_its_ports() {
    let mut scene = scene();
    let stream = scene.start(&request(&["p0"], &[])).unwrap();
    assert!(scene.is_tapped(0));
    drop(stream);
    wait_until("the capture ends", || scene.registry.is_empty() && !scene.is_tapped(0));
    // A worker that has still the snapshot of before does no harm.
    scene.send(0, [frame(mac(5), mac(1), &[], 0)]);
}

#[test]
fn captures_end_though_nobody_reads_them() {
    let mut scene = scene();
    let stream = scene.start(&request(&["p0"], &[])).unwrap();
    let mut bytes = frame(mac(5), mac(1), &[], 0);
    bytes.resize(192, 0);
    for _ in 0..400 {
        scene.send(0, vec![bytes.clone(); 64]);
    }
    scene.registry.stop();
    assert!(scene.registry.is_empty());
    drop(stream);
}

#[test]
fn there_are_at_most_so_many_captures() {
    let scene = scene();
    let mut streams: Vec<_> =
        (0..MAX_CAPTURES).map(|_| scene.start(&request(&["p0"], &[])).unwrap()).collect();
    match scene.start(&request(&["p0"], &[])) {
        Err(Refusal::Conflict(message)) => assert!(message.contains("8 captures"), "{message}"),
        other => panic!("{other:?}"),
    }
    drop(streams.pop());
    wait_until("there is room again", || scene.start(&request(&["p0"], &[])).is_ok());
}

#[test]
fn what_is_not_understood_is_refused_with_its_key() {
    let scene = scene();
    let refused = |request: &CaptureRequest| match scene.start(request) {
        Err(Refusal::Invalid { key, message }) => (key.unwrap(), message),
        other => panic!("{other:?}"),
    };
    for (key, value, part) in [
        ("direction", "up", "'up' is none of both, rx and tx"),
        ("drops-only", "maybe", "'maybe' is neither true nor false"),
        ("count", "0", "'0' is no number above 0"),
        ("count", "ten", "'ten' is no number above 0"),
        ("duration", "-1", "'-1' is no number above 0"),
        ("colour", "red", "not 'colour'"),
    ] {
        let (named, message) = refused(&request(&["p0"], &[(key, value)]));
        assert_eq!(named, key);
        assert!(message.contains(part), "{message}");
    }
    let filter = CaptureRequest { filter: Some("port x".into()), ..request(&["p0"], &[]) };
    let (key, message) = refused(&filter);
    assert_eq!(key, "filter");
    assert!(message.contains("'x' (character 6)"), "{message}");
    for snaplen in [0, 262_145] {
        let asked = CaptureRequest { snaplen: Some(snaplen), ..request(&["p0"], &[]) };
        assert_eq!(refused(&asked).0, "snaplen");
    }
    assert!(scene.registry.is_empty() && !scene.is_tapped(0));
}
