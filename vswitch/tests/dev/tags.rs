//! VLAN tags, which the kernel takes out of what it receives.

use strowger_packet::DropReason;
use strowger_vswitch::vlan::{Mode, TPID_CUSTOMER, TPID_SERVICE};

use crate::{
    harness::{BROADCAST, frame, mac, trunk, vid},
    netns::{eventually, raw::Raw},
    scene::{Container, Switch},
};

fn number(frame: &[u8], at: usize) -> Option<u32> {
    let is_ours = frame.get(at - 2..at) == Some(&[0x88, 0xb5]);
    is_ours.then(|| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap()))
}

#[test]
fn tags_of_both_kinds_pass_both_ways_between_trunks() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open("v1");
    switch.open("v2");
    let ends = [Raw::open(&left.namespace, "eth0"), Raw::open(&right.namespace, "eth0")];
    let stacks: [&[(u16, u16)]; 5] = [
        &[(TPID_CUSTOMER, 10)],
        &[(TPID_SERVICE, 20)],
        &[(TPID_SERVICE, 30), (TPID_CUSTOMER, 40)],
        &[(TPID_CUSTOMER, 0xe000 | 50), (TPID_CUSTOMER, 60)],
        &[],
    ];
    let mut sent = 0;
    for (from, to) in [(0, 1), (1, 0)] {
        for tags in stacks {
            sent += 1;
            let frame = frame(BROADCAST, mac(from as u16 + 7), tags, sent);
            ends[from].send(&frame);
            let at = 14 + 4 * tags.len();
            let received = eventually("the frame with its tags", || {
                ends[to].receive().filter(|frame| number(frame, at) == Some(sent))
            });
            assert_eq!(received, frame, "{tags:?}");
        }
    }
}

#[test]
fn a_tag_names_the_vlan_of_an_access_port() {
    let mut switch = Switch::new(1);
    let left = Container::new(&switch.host, "v1", 1);
    let right = Container::new(&switch.host, "v2", 2);
    switch.open_with("v1", trunk(&[10], Some((20, false))), 1);
    switch.open_with("v2", Mode::Access(vid(10)), 1);
    let (at_left, at_right) =
        (Raw::open(&left.namespace, "eth0"), Raw::open(&right.namespace, "eth0"));
    let say = |raw: &Raw, tags: &[(u16, u16)], number| {
        raw.send(&frame(BROADCAST, mac(7), tags, number));
    };
    // Native, then another VLAN, and only the third one is for it: had the others come, they had come before.
    say(&at_left, &[], 1);
    say(&at_left, &[(TPID_CUSTOMER, 11)], 2);
    say(&at_left, &[(TPID_CUSTOMER, 10)], 3);
    let first = eventually("a frame of ours", || at_right.receive().and_then(|f| number(&f, 14)));
    assert_eq!(first, 3);
    assert_eq!(switch.drops("v1", DropReason::VlanNotAllowed), 1);
    say(&at_right, &[], 4);
    let back = eventually("a frame with the tag", || {
        at_left.receive().filter(|frame| number(frame, 18) == Some(4))
    });
    assert_eq!(back[12..16], [0x81, 0, 0, 10]);
}
