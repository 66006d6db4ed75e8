//! Several queue pairs.

use strowger_fake_frontend::{
    Settings, VnetHeader, features,
    frame::{mac, number, numbered},
};

use crate::forwarder::Forwarder;

fn pairs(pairs: u16) -> Settings {
    Settings { pairs, ..Settings::default() }
}

#[test]
fn every_pair_carries_frames() {
    let forwarder = Forwarder::with(2, |config| config.queue_pairs = 4);
    let mut one = forwarder.attach(0, pairs(4));
    let mut two = forwarder.attach(1, pairs(4));
    assert!(one.has(features::MQ));
    assert_eq!(one.most_pairs(), 4);
    assert_eq!(forwarder.started(0), (4, 4));
    forwarder.wait_status(0, |status| status.queue_pairs == 4);
    for n in 0..400 {
        let pair = (n % 4) as u16;
        let frame = numbered(mac(2), mac(1), n, 64);
        one.pair(pair).transmit.send(VnetHeader::default(), &frame).unwrap();
        let received = two.pair(pair).receive.receive().unwrap();
        assert_eq!(number(&received.bytes), Some(n));
    }
}

#[test]
fn pairs_come_and_go_while_others_forward() {
    let forwarder = Forwarder::with(2, |config| config.queue_pairs = 2);
    let mut one = forwarder.attach(0, pairs(2));
    let mut two = forwarder.attach(1, pairs(2));
    for n in 0..40 {
        // As `ethtool -L` does in a guest.
        one.enable(2, n % 2 == 0).unwrap();
        one.enable(3, n % 2 == 0).unwrap();
        forwarder.wait_status(0, |status| status.queue_pairs == if n % 2 == 0 { 2 } else { 1 });
        one.send(&numbered(mac(2), mac(1), n, 64)).unwrap();
        assert_eq!(number(&two.receive().unwrap().bytes), Some(n));
    }
}

#[test]
fn a_port_with_one_pair_offers_no_more() {
    let forwarder = Forwarder::with(2, |config| config.queue_pairs = 1);
    let mut one = forwarder.attach(0, pairs(1));
    assert!(!one.has(features::MQ));
    assert_eq!(one.most_pairs(), 1);
    let body = [2u32.to_ne_bytes(), 256u32.to_ne_bytes()].concat();
    let refused = one.request(strowger_fake_frontend::Request::SetVringNum, &body, &[]);
    assert!(refused.is_err(), "there is no ring 2");
}
