use strowger_fake_frontend::{
    Settings,
    frame::{mac, number, numbered},
};

use crate::forwarder::Forwarder;

#[test]
fn a_frame_goes_from_guest_to_guest() {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    one.send(&numbered(mac(2), mac(1), 1, 64)).unwrap();
    assert_eq!(number(&two.receive().unwrap().bytes), Some(1));
    two.send(&numbered(mac(1), mac(2), 2, 1514)).unwrap();
    assert_eq!(number(&one.receive().unwrap().bytes), Some(2));
}
