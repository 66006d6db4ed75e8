#![allow(unsafe_code, reason = "tails of test frames are segments of a buffer of the test")]

use std::collections::VecDeque;

use proptest::prelude::*;
use strowger_packet::PortId;

use super::*;

/// A shaper as one would write it on a blackboard: rational tokens, a list of frames.
struct Naive {
    limit: Limit,
    /// Billionths of bits or frames.
    tokens: u128,
    now: u64,
    waiting: VecDeque<(u32, usize)>,
}

impl Naive {
    fn full(limit: &Limit) -> u128 {
        u128::from(limit.burst()) * if limit.unit() == Unit::Bits { 8 } else { 1 } * 1_000_000_000
    }

    fn cost(limit: &Limit, len: usize) -> u128 {
        1_000_000_000 * if limit.unit() == Unit::Bits { 8 * len as u128 } else { 1 }
    }

    fn go_to(&mut self, now: u64) {
        self.tokens += u128::from(self.limit.rate()) * u128::from(now - self.now);
        self.tokens = self.tokens.min(Self::full(&self.limit));
        self.now = now;
    }

    /// Sends what may go, in order.
    fn drain(&mut self) -> Vec<u32> {
        let mut sent = Vec::new();
        while let Some(&(number, len)) = self.waiting.front() {
            let cost = Self::cost(&self.limit, len);
            if cost > self.tokens {
                break;
            }
            self.tokens -= cost;
            self.waiting.pop_front();
            sent.push(number);
        }
        sent
    }

    /// What goes at once of some frames, and how many are dropped.
    fn offer(&mut self, frames: &[(u32, usize)]) -> (Vec<u32>, usize) {
        let (mut sent, mut dropped) = (Vec::new(), 0);
        for &(number, len) in frames {
            let cost = Self::cost(&self.limit, len);
            if self.waiting.is_empty() && cost <= self.tokens {
                self.tokens -= cost;
                sent.push(number);
                continue;
            }
            let bytes: usize = self.waiting.iter().map(|&(_, len)| len).sum();
            let all: u128 = self.waiting.iter().map(|&(_, len)| Self::cost(&self.limit, len)).sum();
            let late = (all + cost).saturating_sub(self.tokens)
                > u128::from(self.limit.rate()) * QUEUE_TIME.as_nanos();
            let is_first = self.waiting.is_empty();
            if bytes + len > QUEUE_BYTES || self.waiting.len() >= QUEUE_FRAMES || late && !is_first
            {
                dropped += 1;
            } else {
                self.waiting.push_back((number, len));
            }
        }
        (sent, dropped)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Vec<usize>),
    /// Goes on by so much, and sends what may go.
    Wait(u64),
    /// Goes on to just before the first frame may go, and then there.
    Due,
    Limit(Limit),
}

fn limits() -> impl Strategy<Value = Limit> {
    prop_oneof![
        4 => (100_000u64..20_000_000_000, 0u64..300_000).prop_map(|(rate, burst)| Limit::bits(rate, burst)),
        1 => (1u64..10_000_000, 1u64..100).prop_map(|(rate, burst)| Limit::frames(rate, burst)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![60usize..100, 60usize..1515, 1515usize..65_550];
    let step = prop_oneof![
        5 => proptest::collection::vec(len, 1..30).prop_map(Step::Offer),
        3 => (0u64..10_000_000).prop_map(Step::Wait),
        3 => Just(Step::Due),
        1 => limits().prop_map(Step::Limit),
    ];
    proptest::collection::vec(step, 1..80)
}

fn batch_of(frames: &[(u32, usize)], memory: &strowger_guestmem::Buffer) -> Batch {
    let mut batch = Batch::default();
    for &(number, len) in frames {
        let (frame, segments) = batch.next(PortId(1)).unwrap();
        frame.head_room()[..4].copy_from_slice(&number.to_be_bytes());
        frame.set_head(60);
        let first = segments.len();
        // SAFETY: the memory lives as long as the test, and no slice of it is made.
        segments.push(unsafe { memory.segment(0, len - 60) }.unwrap());
        frame.set_tail(first as u16, 1, (len - 60) as u32);
        batch.commit();
    }
    batch
}

fn number(batch: &Batch, at: FrameRef) -> u32 {
    u32::from_be_bytes(batch.frame(at).head()[..4].try_into().unwrap())
}

/// All that may go now.
fn drain(turn: &mut Turn<'_>, lent: &mut Batch) -> Vec<u32> {
    let mut sent = Vec::new();
    while turn.drain(lent, true, |batch, pair| {
        let frames: Vec<FrameRef> = batch.received().collect();
        sent.extend(frames.iter().map(|&at| number(batch, at)));
        assert!(frames.iter().all(|&at| number(batch, at) as usize / 8 % 2 == pair));
    }) > 0
    {}
    sent
}

proptest! {
    #![proptest_config(crate::properties::config())]

    /// Which frames go when, which wait and which are dropped, against the naive one, by a simulated clock.
    #[test]
    fn it_sends_what_a_naive_shaper_sends(limit in limits(), steps in steps()) {
        let memory = strowger_guestmem::Buffer::new(70_000).unwrap();
        let mut shaper = Shaper::new(limit).unwrap();
        let mut naive = Naive { limit, tokens: Naive::full(&limit), now: 0, waiting: VecDeque::new() };
        let (mut lent, mut next, mut order, mut accepted) = (Batch::default(), 0, Vec::new(), Vec::new());
        for step in steps {
            let mut waits = vec![];
            match step {
                Step::Offer(lens) => {
                    let mut frames: Vec<(u32, usize)> = (next..).zip(lens).collect();
                    next += frames.len() as u32;
                    let mut batch = batch_of(&[], &memory);
                    // As one rx call would: a bound on bytes.
                    while !frames.is_empty() {
                        let fit = frames.iter().scan(0, |sum, &(_, len)| { let before = *sum; *sum += len; Some(before) }).take_while(|&before| before < MAX_BYTES).count();
                        let now: Vec<_> = frames.drain(..fit).collect();
                        batch.clear();
                        batch = batch_of(&now, &memory);
                        let all: Vec<FrameRef> = batch.received().collect();
                        let mut turn = shaper.turn(Moment { nanos: naive.now });
                        let passed = turn.pass(&batch, &all);
                        let sent: Vec<u32> = all[..passed].iter().map(|&at| number(&batch, at)).collect();
                        let mut dropped = 0;
                        for &at in &all[passed..] {
                            if turn.hold(&batch, at, number(&batch, at) as usize / 8 % 2) {
                                accepted.push(number(&batch, at));
                            } else {
                                dropped += 1;
                            }
                        }
                        accepted.extend(&sent);
                        order.extend(&sent);
                        prop_assert_eq!((sent, dropped), naive.offer(&now));
                    }
                }
                Step::Wait(nanos) => waits.push(naive.now + nanos),
                Step::Due => if let Some(due) = shaper.turn(Moment { nanos: naive.now }).due() {
                    waits.extend([due.nanos.saturating_sub(1).max(naive.now), due.nanos.max(naive.now)]);
                },
                Step::Limit(limit) => {
                    let other = shaper.with_limit(limit);
                    prop_assert!(other.has_queue_of(&shaper));
                    naive.tokens = match limit.unit() == naive.limit.unit() {
                        true => naive.tokens.min(Naive::full(&limit)),
                        false => Naive::full(&limit),
                    };
                    (shaper, naive.limit) = (other, limit);
                    waits.push(naive.now);
                }
            }
            for now in waits {
                naive.go_to(now);
                let mut turn = shaper.turn(Moment { nanos: now });
                let sent = drain(&mut turn, &mut lent);
                order.extend(&sent);
                prop_assert_eq!(sent, naive.drain(), "at {}", now);
                prop_assert!(turn.due().is_none_or(|due| due.nanos > now), "nothing that may go waits");
            }
            let bytes: usize = naive.waiting.iter().map(|&(_, len)| len).sum();
            let backlog = Backlog { frames: naive.waiting.len() as u64, bytes: bytes as u64 };
            prop_assert_eq!(shaper.backlog(), backlog);
            prop_assert!(bytes <= QUEUE_BYTES && naive.waiting.len() <= QUEUE_FRAMES);
        }
        accepted.sort_unstable();
        prop_assert!(order.is_sorted(), "nothing overtakes");
        order.extend(naive.waiting.iter().map(|&(number, _)| number));
        prop_assert_eq!(order, accepted, "nothing that was taken in is lost");
    }
}

#[test]
fn a_queue_that_is_always_full_leaves_at_exactly_its_rate() {
    let memory = strowger_guestmem::Buffer::new(70_000).unwrap();
    let limit = Limit::bits(123_456_789, 0);
    let shaper = Shaper::new(limit).unwrap();
    let (mut lent, mut sent) = (Batch::default(), 0u64);
    for now in (0..1_000_000_000u64).step_by(100_000) {
        // The burst at first, then always more than goes.
        let many = if now < 200_000 { 60 } else { 8 };
        let frames: Vec<_> = (0..many).map(|number| (number, 1000)).collect();
        let batch = batch_of(&frames, &memory);
        let all: Vec<FrameRef> = batch.received().collect();
        let mut turn = shaper.turn(Moment { nanos: now });
        sent += drain(&mut turn, &mut lent).len() as u64;
        let passed = turn.pass(&batch, &all);
        sent += passed as u64;
        for &at in &all[passed..] {
            // Dropped when the queue is full, which is the point of it.
            let _ = turn.hold(&batch, at, number(&batch, at) as usize / 8 % 2);
        }
        let bits = limit.burst() * 8 + (u128::from(now) * 123_456_789 / 1_000_000_000) as u64;
        assert!(now == 0 || sent == bits / 8000, "{sent} frames at {now}, not {}", bits / 8000);
    }
}

#[test]
fn one_worker_drains_at_a_time() {
    let memory = strowger_guestmem::Buffer::new(70_000).unwrap();
    let shaper = Shaper::new(Limit::frames(1, 1)).unwrap();
    let batch = batch_of(&[(0, 60), (1, 60)], &memory);
    let all: Vec<FrameRef> = batch.received().collect();
    let mut turn = shaper.turn(Moment::default());
    assert!(!turn.become_drainer(0), "nothing waits");
    assert_eq!(turn.pass(&batch, &all), 1);
    assert!(turn.hold(&batch, all[1], 0));
    assert!(turn.become_drainer(2) && !turn.become_drainer(2) && !turn.become_drainer(1));
    assert_eq!(turn.due(), Some(Moment { nanos: 1_000_000_000 }));
    assert_eq!(turn.forget_all(), 1);
    turn.end_draining();
    assert!(turn.is_empty() && !turn.become_drainer(1) && turn.due().is_none());
    drop(turn);
    assert_eq!(shaper.backlog(), Backlog::default());
}
