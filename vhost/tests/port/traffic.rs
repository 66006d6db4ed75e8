//! Frames of all lengths between guests of all kinds.

use strowger_fake_frontend::{Layout, Settings, features};

use crate::forwarder::{Forwarder, exchange};

/// Around what is copied (192 bytes), what a buffer holds (2,048 with a header), and what a frame may be.
const LENGTHS: [usize; 17] =
    [46, 64, 65, 191, 192, 193, 194, 1024, 1514, 1518, 2035, 2036, 2037, 2038, 4084, 9000, 65_549];

fn both_ways(one: Settings, two: Settings) {
    let forwarder = Forwarder::new(2);
    let mut one = forwarder.attach(0, one);
    let mut two = forwarder.attach(1, two);
    // Twice around the ring at least, so that every index wraps.
    exchange(&mut one, &mut two, 0, 600, &LENGTHS);
    exchange(&mut two, &mut one, 1000, 600, &LENGTHS);
    one.pair(0).transmit.drain().unwrap();
    two.pair(0).transmit.drain().unwrap();
    for port in 0..2 {
        let totals = forwarder.totals(port);
        assert_eq!((totals.rx_frames, totals.tx_frames), (600, 600));
        assert_eq!(totals.drops.iter().sum::<u64>(), 0, "{totals:?}");
    }
}

fn without(features: u64) -> Settings {
    let modern = Settings::default();
    Settings { features: modern.features & !features, ..modern }
}

#[test]
fn between_modern_guests() {
    both_ways(Settings::default(), Settings::default());
}

#[test]
fn with_indirect_tables() {
    let settings = Settings { indirect: true, ..Settings::default() };
    both_ways(settings.clone(), settings);
}

#[test]
fn without_event_indices() {
    both_ways(without(features::EVENT_IDX), without(features::EVENT_IDX));
}

#[test]
fn from_mergeable_buffers_to_long_chains() {
    let long = Settings { receive_chain: 33, ring_size: 1024, ..without(features::MRG_RXBUF) };
    both_ways(Settings::default(), long);
}

#[test]
fn between_legacy_guests() {
    let legacy = Settings {
        receive_chain: 33,
        ring_size: 1024,
        layout: Layout::HeaderApart,
        ..without(features::VERSION_1 | features::MRG_RXBUF)
    };
    both_ways(legacy.clone(), legacy);
}

#[test]
fn in_many_small_pieces() {
    let pieces = Settings { layout: Layout::Pieces(1100), buffer: 1100, ..Settings::default() };
    both_ways(pieces.clone(), Settings { indirect: true, ..pieces });
}

#[test]
fn in_memory_of_several_regions() {
    let regions = Settings { regions: 8, ..Settings::default() };
    let slots = Settings { regions: 13, slots: true, ..Settings::default() };
    both_ways(regions, slots);
}

#[test]
fn without_kicks_and_interrupts() {
    let polled = Settings { kicks: false, calls: false, ..Settings::default() };
    both_ways(polled.clone(), polled);
}

#[test]
fn without_protocol_features_rings_start_enabled() {
    let old = without(features::PROTOCOL_FEATURES);
    both_ways(old.clone(), old);
}

#[test]
fn in_the_smallest_and_the_largest_ring() {
    let forwarder = Forwarder::new(2);
    let ring = |ring_size: u16| Settings { ring_size, buffer: 1536, ..Settings::default() };
    let mut small = forwarder.attach(0, ring(1));
    let mut large = forwarder.attach(1, Settings { posted: 4096, ..ring(32_768) });
    exchange(&mut small, &mut large, 0, 100, &[64, 1514]);
    for n in 0..100 {
        // One buffer takes one frame at a time.
        exchange(&mut large, &mut small, n, 1, &[64, 1514]);
    }
}
