//! Clients that mean harm, or do it: others are answered, nothing changes, nothing is left.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use proptest::prelude::*;
use strowger_vswitch::control::{Control, server::limits::Limits};

use crate::{
    fake::{Scene, eventually, some},
    http::{connect, parse, rest},
};

const SOON: Duration = Duration::from_millis(100);

/// Waits for the other side to end the connection.
fn assert_cut_off(mut socket: UnixStream) {
    let mut byte = [0; 4096];
    loop {
        match socket.read(&mut byte) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the connection was not ended: {error}"),
        }
    }
}

#[test]
fn a_client_that_never_reads_is_cut_off() {
    let mut big = some();
    for number in 0..5000 {
        big.ports.insert(format!("port-with-a-long-name-{number}"), big.ports["span"].clone());
    }
    let scene = Scene::limited(Limits { stall_time: SOON, ..Limits::default() });
    scene.fake.reset(big);
    let mut sockets: Vec<_> = (0..10).map(|_| connect(&scene.socket)).collect();
    for socket in &mut sockets {
        socket.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    }
    scene.assert_answers();
    for mut socket in sockets {
        // The server gives it up; only then are its bytes taken, and they are not all.
        eventually("the server hangs up", || is_hung_up(&socket).then_some(()));
        let bytes = rest(&mut socket);
        let length: usize = parse(&bytes).header("content-length").unwrap().parse().unwrap();
        assert!(parse(&bytes).body.len() < length);
    }
    scene.assert_answers();
}

fn is_hung_up(socket: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut waiting = [PollFd::new(socket, PollFlags::OUT)];
    poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    waiting[0].revents().contains(PollFlags::HUP)
}

#[test]
fn a_client_that_sends_its_request_byte_by_byte_is_cut_off() {
    let scene = Scene::limited(Limits { head_time: SOON, ..Limits::default() });
    let mut socket = connect(&scene.socket);
    let request = b"GET /v1/status HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'y'));
    for byte in request {
        if socket.write_all(&[*byte]).is_err() {
            break;
        }
        scene.assert_answers();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_cut_off(socket);
    // Nor does it help to say nothing, be it at first or later.
    let silent = connect(&scene.socket);
    let mut later = connect(&scene.socket);
    later.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_cut_off(silent);
    assert_cut_off(later);
    scene.assert_answers();
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let scene = Scene::limited(Limits { body_time: SOON, ..Limits::default() });
    let mut socket = connect(&scene.socket);
    let head = b"PUT /v1/config HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{";
    socket.write_all(head).unwrap();
    let answer = parse(&rest(&mut socket));
    assert_eq!(answer.status, 408);
    answer.problem();
    // A client that leaves in the middle leaves nothing.
    let mut socket = connect(&scene.socket);
    socket.write_all(head).unwrap();
    drop(socket);
    assert_eq!(scene.fake.config(), some());
    scene.assert_answers();
}

#[test]
fn a_huge_body_is_refused_before_it_is_read() {
    let scene = Scene::limited(Limits { body: 100_000, ..Limits::default() });
    let declared = scene.ask(
        "PUT",
        "/v1/config",
        &["content-type: application/json", "content-length: 99999999999"],
        b"",
    );
    assert_eq!(declared.status, 413);
    assert!(declared.problem().0.contains("100000 bytes"));
    let mut socket = connect(&scene.socket);
    socket.write_all(b"PUT /v1/config HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let mut chunk = b"2710\r\n".to_vec();
    chunk.extend([b' '; 10_000]);
    chunk.extend(b"\r\n");
    // As much as is taken: it is refused in the middle.
    for _ in 0..1000 {
        if socket.write_all(&chunk).is_err() {
            break;
        }
    }
    let answer = parse(&rest(&mut socket));
    assert_eq!(answer.status, 413);
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20));
    let mut socket = connect(&scene.socket);
    // It need not be taken whole either.
    let _cut = socket.write_all(long.as_bytes());
    let answer = rest(&mut socket);
    assert!(answer.is_empty() || (400..500).contains(&parse(&answer).status));
    assert_eq!(scene.fake.config(), some());
    scene.assert_answers();
}

#[test]
fn two_hundred_connections_keep_nobody_out() {
    let scene = Scene::new();
    let mut silent: Vec<_> = (0..200).map(|_| connect(&scene.socket)).collect();
    scene.assert_answers();
    for socket in &mut silent {
        // Those that were pushed out are told so.
        let _gone = socket.write_all(b"PUT /v1/config HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{");
    }
    scene.assert_answers();
    let more: Vec<_> = (0..200).map(|_| connect(&scene.socket)).collect();
    for _ in 0..20 {
        scene.assert_answers();
    }
    drop((silent, more));
    scene.assert_answers();
    assert_eq!(scene.fake.config(), some());
}

#[test]
fn who_is_worked_for_is_not_pushed_out() {
    let scene = Scene::limited(Limits { connections: 4, ..Limits::default() });
    scene.fake.hold(true);
    let mut changing = connect(&scene.socket);
    let body = "{\"name\":\"new\"}";
    let request = format!(
        "POST /v1/bridges HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    changing.write_all(request.as_bytes()).unwrap();
    // The first of them may come before the request is read, and so it is asked again.
    eventually("the change is under way", || scene.fake.is_waiting().then_some(()));
    let _many: Vec<_> = (0..50).map(|_| connect(&scene.socket)).collect();
    scene.assert_answers();
    scene.fake.hold(false);
    assert_eq!(parse(&rest(&mut changing)).status, 201);
}

proptest::proptest! {
    #![proptest_config(crate::properties())]

    #[test]
    fn garbage_is_answered_or_cut_off(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(GET|PUT|POST|X) [/a-z0-9%?=&.]{0,30} HTTP/[019]\\.[0-9]\r\n([a-z-]{0,20}: ?[ -~]{0,20}\r\n){0,4}\r\n[ -~]{0,40}".prop_map(String::into_bytes),
            "PUT /v1/config HTTP/1\\.1\r\ncontent-type: application/json\r\n(content-length: [0-9-]{1,20}\r\n|transfer-encoding: [a-z]{0,8}\r\n){0,3}\r\n[{}0-9\r\n]{0,40}".prop_map(String::into_bytes),
        ]
    ) {
        thread_local! {
            static SCENE: Scene = Scene::limited(Limits { body_time: SOON, ..Limits::default() });
        }
        SCENE.with(|scene| {
            let mut socket = connect(&scene.socket);
            // The server may have had enough before the end.
            let _cut = socket.write_all(&bytes);
            let _cut = socket.shutdown(std::net::Shutdown::Write);
            let answer = rest(&mut socket);
            if let Some(status) = answer.get(9..12) {
                let status: u16 = std::str::from_utf8(status).unwrap().parse().unwrap();
                prop_assert!(status < 500, "{} for {}", status, bytes.escape_ascii());
            }
            prop_assert_eq!(scene.fake.config(), some());
            Ok(())
        })?;
    }
}
