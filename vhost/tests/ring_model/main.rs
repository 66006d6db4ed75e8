//! Rings against a naive model of virtio 1.2, 2.7: every small ring, random larger ones, and both sides at once.

#![allow(unreachable_pub, reason = "modules of one test")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod check;
mod guest;
mod model;
mod queues;
mod wakes;

use proptest::prelude::*;
use strowger_packet::batch::MAX_FRAMES;

use check::{Ring, check_rx, check_tx};
use guest::{
    BASE, BUFFERS, EVENT_IDX, Guest, INDIRECT_DESC, MRG_RXBUF, SEAM, SIZE, TABLES, VERSION_1,
    descriptor,
};

/// Bytes that tell where they were.
fn pattern(guest: &Guest) {
    let bytes: Vec<u8> = (BUFFERS..SIZE).map(|at| (at ^ ((at >> 8) * 5)) as u8).collect();
    guest.write(BUFFERS, &bytes);
}

/// All rings of two descriptors with every flag, next, place and head that matters, both ways.
#[test]
fn every_ring_of_two_descriptors_is_as_the_model_says() {
    let guest = Guest::new();
    pattern(&guest);
    let frame: Vec<u8> = (0..40).collect();
    let places = [(BASE + BUFFERS as u64, 64), (BASE + SEAM as u64 - 30, 60), (BASE - 8, 64)];
    let descriptors: Vec<[u8; 16]> = (0..8u16)
        .flat_map(|flags| (0..3u16).map(move |next| (flags, next)))
        .flat_map(|(flags, next)| places.map(|(at, len)| descriptor(at, len, flags, next)))
        .collect();
    let features = VERSION_1 | MRG_RXBUF | INDIRECT_DESC;
    for &first in &descriptors {
        for &second in &descriptors {
            for heads in [vec![1, 0], vec![2, 1]] {
                let ring = Ring {
                    size: 2,
                    base: 0xffff,
                    features,
                    descriptors: vec![first, second],
                    table: vec![],
                    heads,
                };
                ring.write_to(&guest);
                check_rx(&guest, &ring);
                ring.write_to(&guest);
                check_tx(&guest, &ring, std::slice::from_ref(&frame));
            }
        }
    }
}

/// Places in buffers, across the seam, at and beyond the end, nowhere, at the end of all addresses.
fn place() -> impl Strategy<Value = (u64, u32)> {
    let at = prop_oneof![
        8 => (BUFFERS..SIZE - 4096).prop_map(|at| BASE + at as u64),
        3 => (SEAM - 100..SEAM + 10).prop_map(|at| BASE + at as u64),
        1 => (SIZE - 50..SIZE + 50).prop_map(|at| BASE + at as u64),
        1 => prop_oneof![Just(0), Just(BASE - 1), Just(u64::MAX - 20)],
    ];
    let len = prop_oneof![
        6 => 0u32..200,
        3 => 200u32..4096,
        1 => prop_oneof![Just(0x7000), Just(0x8000_0000), Just(u32::MAX)],
    ];
    (at, len)
}

/// A descriptor, mostly of the direction that is right.
fn any_descriptor(size: u16, write: bool) -> impl Strategy<Value = [u8; 16]> {
    let right = if write { 2 } else { 0 };
    let buffer = (place(), any::<bool>(), prop::num::u16::ANY, 0..=size).prop_map(
        move |((at, len), more, noise, next)| {
            let wrong = if noise.is_multiple_of(24) { 2 } else { 0 };
            descriptor(at, len, (right ^ wrong) | u16::from(more), next)
        },
    );
    let table = (0usize..8, 0u32..12, any::<bool>()).prop_map(|(at, entries, odd)| {
        descriptor(BASE + (TABLES + 16 * at) as u64, 16 * entries + u32::from(odd) / 8, 4, 0)
    });
    prop_oneof![5 => buffer, 1 => table]
}

fn any_ring(write: bool) -> impl Strategy<Value = Ring> {
    (0u32..4, prop::num::u16::ANY, 0usize..16).prop_flat_map(move |(log, base, bits)| {
        let size = 1u16 << log;
        let all = [VERSION_1, MRG_RXBUF, INDIRECT_DESC, EVENT_IDX];
        let chosen = all.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
        let features = chosen.map(|(_, feature)| feature).sum();
        let entry = move || any_descriptor(size, write);
        (
            prop::collection::vec(entry(), usize::from(size)),
            prop::collection::vec(entry(), 16),
            prop::collection::vec(
                0..size + u16::from(base.is_multiple_of(7)),
                0..=usize::from(size),
            ),
        )
            .prop_map(move |(descriptors, table, heads)| Ring {
                size,
                base,
                features,
                descriptors,
                table,
                heads,
            })
    })
}

thread_local! {
    static GUEST: Guest = Guest::new();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rings_give_the_frames_that_the_model_gives(ring in any_ring(false)) {
        GUEST.with(|guest| {
            pattern(guest);
            ring.write_to(guest);
            check_rx(guest, &ring);
        });
    }

    #[test]
    fn random_rings_take_the_frames_that_the_model_takes(
        ring in any_ring(true),
        lengths in prop::collection::vec(prop_oneof![14usize..200, 200usize..9000], 1..4),
    ) {
        let frames: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(n, &len)| (0..len).map(|i| (i * 3 + n * 101 + 1) as u8).collect())
            .collect();
        GUEST.with(|guest| {
            pattern(guest);
            ring.write_to(guest);
            check_tx(guest, &ring, &frames);
        });
    }
}

#[test]
fn a_ring_larger_than_a_batch_comes_in_several_bursts() {
    let guest = Guest::new();
    pattern(&guest);
    let size = 64u16;
    let descriptors = (0..size).map(|n| {
        descriptor(BASE + (BUFFERS + 64 * usize::from(n)) as u64, 64 + u32::from(n), 0, 0)
    });
    let mut ring = Ring {
        size,
        base: 65_500,
        features: VERSION_1,
        descriptors: descriptors.collect(),
        table: vec![],
        heads: (0..size).rev().collect(),
    };
    ring.write_to(&guest);
    check_rx(&guest, &ring);
    assert_eq!(usize::from(size), MAX_FRAMES);
    ring.base = 7;
    ring.heads.truncate(9);
    ring.write_to(&guest);
    check_rx(&guest, &ring);
}
