use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;
use strowger_packet::PortId;

use super::*;
use crate::rates::{MAX_BURST, MAX_FRAME, Unit};

fn at(nanos: u64) -> Moment {
    Moment { nanos }
}

fn limits() -> impl Strategy<Value = Limit> {
    let rate = prop_oneof![
        1u64..100_000,
        1_000_000u64..20_000_000_000,
        Just(100_000_000),
        Just(10_000_000_000),
        Just(1_000_000_000_000),
    ];
    (rate, any::<bool>(), 1u64..200_000).prop_map(|(rate, bits, burst)| match bits {
        true => Limit::bits(rate, burst),
        false => Limit::frames(rate, burst % 200),
    })
}

/// Frames with the time since the one before: mostly about as fast as the limit, now and then after very long.
fn traffic() -> impl Strategy<Value = (Limit, Vec<(u64, usize)>)> {
    limits().prop_flat_map(|limit| {
        let usual = match limit.unit() {
            Unit::Bits => 8 * 1500 * 1_000_000_000 / limit.rate(),
            Unit::Frames => 1_000_000_000 / limit.rate(),
        };
        let gap = prop_oneof![
            4 => Just(0u64),
            6 => 0..=usual * 2 + 1,
            2 => 0..=usual * 40 + 1,
            1 => 0u64..1 << 50,
        ];
        let len = prop_oneof![3 => 60usize..1515, 1 => 1515usize..65_550];
        (Just(limit), proptest::collection::vec((gap, len), 1..120))
    })
}

/// Tokens of a frame.
fn tokens(limit: &Limit, len: usize) -> u128 {
    match limit.unit() {
        Unit::Bits => 8 * len as u128,
        Unit::Frames => 1,
    }
}

/// Whether some span that ends now would have more than its burst and rate, if this frame passed too: the definition.
fn would_exceed(limit: &Limit, passed: &[(u64, usize)], (now, len): (u64, usize)) -> bool {
    let burst = match limit.unit() {
        Unit::Bits => u128::from(limit.burst()) * 8,
        Unit::Frames => u128::from(limit.burst()),
    };
    let mut sum = tokens(limit, len);
    let mut exceeds = sum > burst;
    for &(then, len) in passed.iter().rev() {
        sum += tokens(limit, len);
        let made = u128::from(limit.rate()) * u128::from(now - then);
        exceeds |= sum * 1_000_000_000 > burst * 1_000_000_000 + made;
    }
    exceeds
}

proptest! {
    #![proptest_config(crate::properties::config())]

    /// It passes a frame if, and only if, no span of time would have more than burst and rate allow.
    #[test]
    fn it_drops_what_exceeds_its_limit_and_nothing_else((limit, frames) in traffic()) {
        let bucket = TokenBucket::new(limit);
        let (mut now, mut passed) = (0, Vec::new());
        for (gap, len) in frames {
            now += gap;
            let expected = !would_exceed(&limit, &passed, (now, len));
            prop_assert_eq!(bucket.take(1, len, at(now)), expected, "{} bytes at {}", len, now);
            if expected {
                passed.push((now, len));
            }
        }
    }

    /// A batch is decided as its frames would be, one after the other.
    #[test]
    fn a_batch_is_its_frames_in_order((limit, frames) in traffic(), size in 1usize..20) {
        let (whole, single) = (TokenBucket::new(limit), TokenBucket::new(limit));
        let mut now = 0;
        for frames in frames.chunks(size) {
            now += frames[0].0;
            let mut batch = Batch::default();
            for &(_, len) in frames {
                let (frame, _) = batch.next(PortId(0)).unwrap();
                frame.set_head(60);
                frame.set_tail(0, 0, (len - 60) as u32);
                batch.commit();
            }
            let expected = frames.iter().enumerate().fold(0, |mask, (number, &(_, len))| {
                mask | u64::from(single.take(1, len, at(now))) << number
            });
            prop_assert_eq!(whole.conforming(&batch, at(now)), expected);
        }
    }
}

#[test]
fn workers_that_share_a_bucket_get_what_one_would_get() {
    const WORKERS: usize = 4;
    const ROUNDS: u64 = 200;
    // 1,500 bytes take 12 µs; a round is 100.
    let limit = Limit::bits(1_000_000_000, 0);
    let bucket = TokenBucket::new(limit);
    let (passed, barrier) = (AtomicUsize::new(0), Barrier::new(WORKERS));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let now = at(round * 100_000);
                    // More than there is for all of them together.
                    let own = (0..60).filter(|_| bucket.take(1, 1500, now)).count();
                    passed.fetch_add(own, Relaxed);
                    if barrier.wait().is_leader() {
                        let bits = MAX_FRAME as u64 * 8 + round * 100_000;
                        assert_eq!(passed.load(Relaxed) as u64, bits / 12_000, "round {round}");
                    }
                    barrier.wait();
                }
            });
        }
    });
}

#[test]
fn a_worker_whose_clock_is_behind_gets_no_more_and_spoils_nothing() {
    let bucket = TokenBucket::new(Limit::frames(1000, 2));
    assert!(bucket.take(1, 60, at(5_000_000)));
    assert!(bucket.take(1, 60, at(4_000_000)));
    assert!(!bucket.take(1, 60, at(3_000_000)));
    assert!(!bucket.take(1, 60, at(5_999_999)));
    assert!(bucket.take(1, 60, at(6_000_000)));
}

#[test]
fn the_largest_frame_passes_any_burst_and_extremes_are_bounded() {
    let bucket = TokenBucket::new(Limit::bits(0, 0));
    assert_eq!((bucket.limit().rate(), bucket.limit().burst()), (1, MAX_FRAME as u64));
    assert!(bucket.take(1, MAX_FRAME, at(0)));
    assert!(!bucket.take(1, 1, at(7_999_999_999)));
    assert!(bucket.take(1, 1, at(8_000_000_000)));
    let bucket = TokenBucket::new(Limit::bits(u64::MAX, u64::MAX));
    assert_eq!(bucket.limit().burst(), MAX_BURST);
    assert!(bucket.take(1, MAX_BURST as usize, at(u64::MAX / 2)));
    assert!(!bucket.take(1, 1, at(u64::MAX / 2)));
    assert!(bucket.take(1, 1, at(u64::MAX / 2 + 1)));
}
