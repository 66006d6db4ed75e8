//! Captures through the API: bytes as they come, an end when either side leaves, no more than may be.

use std::io::{Read, Write};

use strowger_vswitch::control::{CaptureRequest, server::limits::Limits};

use crate::{
    fake::{Scene, eventually},
    http::{connect, rest},
};

#[test]
fn a_capture_streams_what_comes_until_it_ends() {
    let scene = Scene::new();
    let mut stream = scene
        .client()
        .stream("/v1/capture?port=vm1&port=c1&filter=arp%20or%20icmp&snaplen=64&direction=rx")
        .unwrap();
    let (request, sink) = scene.fake.sinks().pop().unwrap();
    assert_eq!(
        request,
        CaptureRequest {
            ports: vec!["vm1".into(), "c1".into()],
            filter: Some("arp or icmp".into()),
            snaplen: Some(64),
            options: vec![("direction".into(), "rx".into())],
        }
    );
    for piece in [&b"first"[..], b"second"] {
        // It comes at once, and not when there is enough.
        sink.send(piece).unwrap();
        let mut read = vec![0; piece.len()];
        stream.read_exact(&mut read).unwrap();
        assert_eq!(read, piece);
    }
    scene.assert_answers();
    drop(sink);
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_capture_ends_when_its_client_leaves_though_nothing_is_captured() {
    let scene = Scene::new();
    let stream = scene.client().stream("/v1/capture?port=vm1").unwrap();
    let (_, sink) = scene.fake.sinks().pop().unwrap();
    drop(stream);
    eventually("the capture ends", || sink.is_closed().then_some(()));
}

#[test]
fn captures_end_with_the_server() {
    let mut scene = Scene::new();
    let mut stream = scene.client().stream("/v1/capture?port=vm1").unwrap();
    let (_, sink) = scene.fake.sinks().pop().unwrap();
    sink.send("all of it").unwrap();
    drop(scene.server.take());
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    assert_eq!(read, "all of it");
    assert!(sink.is_closed());
    assert!(!scene.socket.exists());
}

#[test]
fn a_capture_whose_client_does_not_read_is_cut_off() {
    let limits = Limits { stall_time: std::time::Duration::from_millis(50), ..Limits::default() };
    let scene = Scene::limited(limits);
    let mut socket = connect(&scene.socket);
    socket.write_all(b"GET /v1/capture?port=vm1 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let (_, sink) = eventually("the capture runs", || scene.fake.sinks().pop());
    let piece = vec![0; 1 << 16];
    eventually("the capture ends", || {
        // What has no room is lost; that is not the end.
        let _full = sink.try_send(piece.clone());
        sink.is_closed().then_some(())
    });
    assert!(rest(&mut socket).len() > 1000);
    scene.assert_answers();
}
