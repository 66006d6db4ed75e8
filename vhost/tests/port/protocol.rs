//! Messages one by one: what they do, and what becomes of those that make no sense.

use std::os::fd::AsFd;

use strowger_fake_frontend::{
    Channel, Error, FrontEnd, Request, Settings,
    features::{self, protocol},
};

use crate::forwarder::{Forwarder, Witness, exchange};

fn without_acknowledgements() -> Settings {
    Settings { protocol: protocol::ALL & !protocol::REPLY_ACK, ..Settings::default() }
}

#[test]
fn a_move_of_a_station_is_announced() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    one.request(Request::SendRarp, &[2, 0, 0, 0, 0, 9, 0, 0], &[]).unwrap();
    assert_eq!(forwarder.announced(0), [[2, 0, 0, 0, 0, 9]]);
}

#[test]
fn an_mtu_is_remembered_and_an_impossible_one_refused() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    one.request(Request::NetSetMtu, &9000u64.to_ne_bytes(), &[]).unwrap();
    assert_eq!(forwarder.status(0).mtu, Some(9000));
    for mtu in [0u64, 67, 65536, u64::MAX] {
        assert!(one.request(Request::NetSetMtu, &mtu.to_ne_bytes(), &[]).is_err(), "{mtu}");
    }
    assert_eq!(forwarder.status(0).mtu, Some(9000));
}

#[test]
fn the_device_status_is_what_was_set() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    assert_eq!(one.channel().ask_number(Request::GetStatus).unwrap(), 0xf);
    assert!(one.request(Request::SetStatus, &256u64.to_ne_bytes(), &[]).is_err());
    one.request(Request::SetStatus, &0u64.to_ne_bytes(), &[]).unwrap();
    assert_eq!(one.channel().ask_number(Request::GetStatus).unwrap(), 0);
}

#[test]
fn features_that_were_not_offered_are_refused() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    for bit in [5, 10, 26, 34, 63] {
        let features = (features::MODERN | 1 << bit).to_ne_bytes();
        assert!(one.request(Request::SetFeatures, &features, &[]).is_err(), "bit {bit}");
        let features = (protocol::REPLY_ACK | 1u64 << bit).to_ne_bytes();
        assert!(one.request(Request::SetProtocolFeatures, &features, &[]).is_err(), "bit {bit}");
    }
    exchange(&mut one, &mut two, 0, 20, &[64]);
}

#[test]
fn other_features_while_rings_run_start_them_anew() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let features = forwarder.status(0).features;
    for round in 0..10 {
        exchange(&mut one, &mut two, round * 10, 5, &[64]);
        one.request(Request::SetFeatures, &(features & !features::MQ).to_ne_bytes(), &[]).unwrap();
        exchange(&mut two, &mut one, round * 10 + 5, 5, &[64]);
        one.request(Request::SetFeatures, &features.to_ne_bytes(), &[]).unwrap();
    }
}

#[test]
fn what_is_not_offered_is_ignored_where_the_specification_wants_it() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let null = std::fs::File::open("/dev/null").unwrap();
    one.request(Request::SetLogBase, &[0; 16], &[null.as_fd()]).unwrap();
    one.request(Request::SetLogFd, &[], &[null.as_fd()]).unwrap();
    one.request(Request::SetBackendReqFd, &[], &[null.as_fd()]).unwrap();
    exchange(&mut one, &mut two, 0, 20, &[64]);
}

/// Messages that cannot be done: name, request, payload, how many descriptors.
fn refused() -> Vec<(&'static str, u32, Vec<u8>, usize)> {
    let ring = |index: u32, value: u32| [index.to_ne_bytes(), value.to_ne_bytes()].concat();
    vec![
        ("an unknown request", 99, vec![], 0),
        ("request 0", 0, vec![1; 100], 0),
        ("an IOTLB message", Request::IotlbMsg as u32, vec![0; 32], 0),
        ("a short payload", Request::SetVringNum as u32, vec![0; 7], 0),
        ("a long payload", Request::SetVringNum as u32, vec![0; 9], 0),
        ("the longest payload", Request::SetFeatures as u32, vec![0; 4096], 0),
        ("no payload", Request::SetMemTable as u32, vec![], 0),
        ("a table that is not there", Request::SetMemTable as u32, ring(2, 0), 0),
        ("more regions than a table has", Request::SetMemTable as u32, ring(9, 0), 0),
        ("no descriptor", Request::AddMemReg as u32, vec![0; 40], 0),
        ("two descriptors", Request::SetVringKick as u32, ring(0, 0), 2),
        ("a descriptor that is missing", Request::SetVringKick as u32, ring(0, 0), 0),
        ("a descriptor that is no eventfd", Request::SetVringKick as u32, ring(0, 0), 1),
        ("a call that is no eventfd", Request::SetVringCall as u32, ring(0, 0), 1),
        ("a descriptor that is not announced", Request::SetVringCall as u32, ring(0x100, 0), 1),
        ("a descriptor with no need", Request::SetFeatures as u32, vec![0; 8], 1),
        ("a ring that does not exist", Request::SetVringNum as u32, ring(16, 256), 0),
        ("the last ring number", Request::SetVringEnable as u32, ring(u32::MAX, 1), 0),
        ("half enabled", Request::SetVringEnable as u32, ring(0, 2), 0),
        ("a base beyond a ring", Request::SetVringBase as u32, ring(0, 1 << 16), 0),
        ("addresses of no ring", Request::SetVringAddr as u32, vec![0xff; 40], 0),
    ]
}

fn send(front_end: &mut FrontEnd, request: u32, body: &[u8], fds: usize, flags: u32) {
    let null = std::fs::File::open("/dev/null").unwrap();
    let fds = vec![null.as_fd(); fds];
    front_end.channel().send(request, flags, body, &fds).unwrap();
}

#[test]
fn a_request_that_cannot_be_done_is_answered_by_an_error_and_changes_nothing() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    for (round, (what, request, body, fds)) in refused().into_iter().enumerate() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = vec![null.as_fd(); fds];
        let code = one.channel().acknowledged(request, &body, &fds).unwrap();
        assert_ne!(code, 0, "{what}");
        exchange(&mut one, &mut two, round as u32 * 5, 5, &[64]);
    }
    assert_eq!(forwarder.status(0).connections, 1);
}

#[test]
fn without_acknowledgements_it_ends_the_connection_and_nothing_else() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    for (round, (what, request, body, fds)) in refused().into_iter().enumerate() {
        let mut one = forwarder.attach(0, without_acknowledgements());
        send(&mut one, request, &body, fds, 0);
        one.channel().wait_closed().unwrap_or_else(|error| panic!("{what}: {error}"));
        let status = forwarder.wait_status(0, |status| !status.connected);
        assert!(status.last_error.is_some());
        assert_eq!(status.connections, round as u64 + 1);
        assert_eq!(forwarder.started(0), (0, 0), "{what}");
        witness.check();
    }
}

#[test]
fn an_acknowledgement_that_was_not_negotiated_is_not_sent() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, without_acknowledgements());
    let flags = strowger_fake_frontend::channel::NEED_REPLY;
    send(&mut one, Request::SetVringEnable as u32, &[1, 0, 0, 0, 1, 0, 0, 0], 0, flags);
    // The answer to the next question is the next thing that comes.
    assert!(one.channel().ask_number(Request::GetFeatures).is_ok());
    assert!(one.channel().is_silent().unwrap());
}

#[test]
fn a_question_that_asks_for_an_acknowledgement_gets_one_answer() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let offered = one.channel().ask_number(Request::GetFeatures).unwrap();
    let answer = one.channel().acknowledged(Request::GetFeatures as u32, &[], &[]).unwrap();
    assert_eq!(answer, offered);
    assert_eq!(one.channel().ask_number(Request::GetQueueNum).unwrap(), 8);
    assert!(one.channel().is_silent().unwrap());
}

#[test]
fn what_is_no_vhost_user_ends_the_connection() {
    let forwarder = Forwarder::new(2);
    let word = |words: [u32; 3]| words.map(u32::to_ne_bytes).concat();
    for (what, bytes) in [
        ("another version", word([1, 2, 0])),
        ("a reply", word([1, 5, 0])),
        ("too long a payload", word([1, 1, 4097])),
        ("far too long a payload", word([1, 1, u32::MAX])),
        ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ] {
        let mut channel = Channel::connect(forwarder.path(0)).unwrap();
        channel.send_bytes(&bytes, &[]).unwrap();
        channel.wait_closed().unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    // The next one is served.
    let mut channel = Channel::connect(forwarder.path(0)).unwrap();
    assert!(channel.ask_number(Request::GetFeatures).is_ok());
    drop(channel);
    let error = forwarder.wait_status(0, |status| !status.connected).last_error.unwrap();
    assert_eq!(error, "the front end closed the connection");
}

#[test]
fn a_refused_request_names_what_was_wrong() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, without_acknowledgements());
    send(&mut one, Request::SetVringNum as u32, &[16, 0, 0, 0, 0, 1, 0, 0], 0, 0);
    one.channel().wait_closed().unwrap();
    let error = forwarder.wait_status(0, |status| !status.connected).last_error.unwrap();
    assert!(error.contains("ring 16 does not exist"), "{error}");
    assert!(matches!(one.channel().receive(), Err(Error::Closed)));
}
