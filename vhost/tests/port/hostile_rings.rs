//! Guests that write nonsense into their rings.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use strowger_fake_frontend::{
    Descriptor, FrontEnd, Ring, Settings, VnetHeader, flags,
    frame::{mac, number, numbered},
    wait,
};
use strowger_packet::DropReason;

use crate::forwarder::{Forwarder, Witness, exchange};

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// A descriptor beyond those that the few frames of these tests use.
const BAD: u16 = 200;

/// A chain that makes no sense: what it is, its descriptors from [`BAD`] on, its indirect table, its head.
struct Chain {
    what: &'static str,
    descriptors: Vec<Descriptor>,
    table: Vec<Descriptor>,
    head: u16,
}

fn chain(what: &'static str, descriptors: Vec<Descriptor>) -> Chain {
    Chain { what, descriptors, table: Vec::new(), head: BAD }
}

/// Chains that no ring may have. `write` is the flag of a ring whose buffers the switch writes; `good` and `table`
/// are guest addresses of memory that there is, `end` the first behind it.
fn bad_chains(write: u16, good: u64, table: u64, end: u64) -> Vec<Chain> {
    let at = |address, len| Descriptor { address, len, flags: write, next: 0 };
    let linked = |next| Descriptor { flags: write | flags::NEXT, next, ..at(good, 64) };
    let indirect = |address, len| Descriptor { address, len, flags: flags::INDIRECT, next: 0 };
    let through = |what, table_entries: Vec<Descriptor>| Chain {
        what,
        descriptors: vec![indirect(table, table_entries.len() as u32 * 16)],
        table: table_entries,
        head: BAD,
    };
    let wrong = flags::WRITE ^ write;
    vec![
        chain("a loop of one", vec![linked(BAD)]),
        chain("a loop of two", vec![linked(BAD + 1), linked(BAD)]),
        chain("a loop at the end", vec![linked(BAD + 1), linked(BAD + 2), linked(BAD + 1)]),
        chain("a next beyond the ring", vec![linked(256)]),
        chain("the last next there is", vec![linked(u16::MAX)]),
        Chain { head: 256, ..chain("a head beyond the ring", vec![]) },
        Chain { head: u16::MAX, ..chain("the last head there is", vec![]) },
        chain("an address behind memory", vec![at(end, 64)]),
        chain("an address before memory", vec![at(0, 64)]),
        chain("the last address there is", vec![at(u64::MAX, 64)]),
        chain("a buffer across the end", vec![at(end - 32, 64)]),
        chain("an end that overflows", vec![at(u64::MAX - 31, 64)]),
        chain("a length as large as can be", vec![at(good, u32::MAX)]),
        chain(
            "lengths whose sum overflows",
            vec![Descriptor { len: u32::MAX, ..linked(BAD + 1) }, at(good, u32::MAX)],
        ),
        chain("nothing", vec![at(good, 0)]),
        chain(
            "buffers of the wrong direction",
            vec![Descriptor { flags: wrong, ..at(good, 2048) }],
        ),
        chain("no table", vec![indirect(table, 0)]),
        chain("half an entry", vec![indirect(table, 24)]),
        chain("a table outside memory", vec![indirect(end, 32)]),
        chain("a table across the end", vec![indirect(end - 16, 32)]),
        chain("a table as large as can be", vec![indirect(table, !15)]),
        through("a loop in a table", vec![linked(0)]),
        through("a next beyond its table", vec![linked(1)]),
        through("a table in a table", vec![indirect(table, 16)]),
        through("an entry outside memory", vec![at(end, 64)]),
        through(
            "the wrong direction in a table",
            vec![Descriptor { flags: wrong, ..at(good, 2048) }],
        ),
        through("a longer chain than any may be", (1..=2048).map(linked).collect()),
    ]
}

/// Writes a chain into a ring and makes it available, without showing it.
fn write(ring: &mut Ring, chain: &Chain, table: u64) {
    for (index, &descriptor) in (BAD..).zip(&chain.descriptors) {
        ring.set_descriptor(index, descriptor);
    }
    for (index, entry) in (0u64..).zip(&chain.table) {
        ring.memory().write(table + index * 16, &entry.emit());
    }
    ring.push(chain.head);
}

fn drops(forwarder: &Forwarder, port: usize) -> u64 {
    forwarder.totals(port).drops.iter().sum()
}

fn wait_for_a_drop(forwarder: &Forwarder, port: usize, before: u64, what: &str) {
    wait::until(what, || (drops(forwarder, port) > before).then_some(()))
        .unwrap_or_else(|error| panic!("{error}: no drop; {:?}", forwarder.totals(port)));
}

/// A guest with memory to be hostile in: its addresses of a buffer and of a table.
fn hostile(forwarder: &Forwarder, port: usize) -> (FrontEnd, u64, u64) {
    let front_end = forwarder.attach(port, Settings::default());
    let good = front_end.memory().allocate(4096, 64).unwrap();
    let table = front_end.memory().allocate(2048 * 16, 64).unwrap();
    (front_end, good, table)
}

#[test]
fn bad_chains_in_a_transmit_ring_are_counted_and_returned() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let (mut one, good, table) = hostile(&forwarder, 0);
    let mut two = forwarder.attach(1, Settings::default());
    let end = one.memory().end();
    for (round, bad) in bad_chains(0, good, table, end).iter().enumerate() {
        let before = drops(&forwarder, 0);
        let ring = one.ring_mut(TRANSMIT);
        write(ring, bad, table);
        ring.publish().unwrap();
        wait_for_a_drop(&forwarder, 0, before, bad.what);
        ring.wait(true).unwrap();
        assert_eq!(ring.pop(), Some((u32::from(bad.head), 0)), "{}", bad.what);
        // The ring goes on.
        exchange(&mut one, &mut two, round as u32 * 10, 3, &[64]);
        exchange(&mut two, &mut one, round as u32 * 10, 3, &[64]);
        witness.check();
    }
    assert_eq!(forwarder.totals(1).tx_frames, forwarder.totals(0).rx_frames);
}

#[test]
fn bad_chains_in_a_receive_ring_are_counted_and_returned() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let (mut two, good, table) = hostile(&forwarder, 1);
    // All good buffers are taken out, so that the bad one is the next.
    two.pair(0).receive.set_repost(false);
    exchange(&mut one, &mut two, 0, 256, &[64]);
    let end = two.memory().end();
    for (round, bad) in bad_chains(flags::WRITE, good, table, end).iter().enumerate() {
        let before = drops(&forwarder, 1);
        let ring = two.ring_mut(RECEIVE);
        write(ring, bad, table);
        ring.publish().unwrap();
        one.send(&numbered(mac(2), mac(1), round as u32, 64)).unwrap();
        wait_for_a_drop(&forwarder, 1, before, bad.what);
        let ring = two.ring_mut(RECEIVE);
        // Nothing is left in it: what was bad came back unused.
        ring.wait(true).unwrap();
        assert_eq!(ring.pop(), Some((u32::from(bad.head), 0)), "{}", bad.what);
        witness.check();
    }
    // With buffers again it receives again.
    wait::until("the last frame's end", || {
        let all = forwarder.totals(1).tx_frames + forwarder.drops(1, DropReason::QueueFull);
        (all == forwarder.totals(0).rx_frames).then_some(())
    })
    .unwrap();
    two.pair(0).receive.set_repost(true);
    restore(&mut two);
    exchange(&mut one, &mut two, 5000, 20, &[64, 1514]);
}

/// Makes all buffers of the receive ring available again, with their own descriptors.
fn restore(front_end: &mut FrontEnd) {
    let receive = &mut front_end.pair(0).receive;
    receive.write_descriptors();
    receive.post(u16::MAX);
    receive.ring_mut().publish().unwrap();
}

#[test]
fn frames_that_are_none_are_counted() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let (mut one, good, _) = hostile(&forwarder, 0);
    let mut two = forwarder.attach(1, Settings::default());
    let len_of = |len| Descriptor { address: good, len, flags: 0, next: 0 };
    for (len, reason) in [
        (1, DropReason::Truncated),
        (11, DropReason::Truncated),
        (12, DropReason::Truncated),
        (12 + 13, DropReason::Truncated),
        (12 + 65_535 + 14 + 9, DropReason::TooLong),
        (1 << 20, DropReason::TooLong),
    ] {
        let before = forwarder.drops(0, reason);
        let ring = one.ring_mut(TRANSMIT);
        ring.set_descriptor(BAD, len_of(len));
        ring.push(BAD);
        ring.publish().unwrap();
        forwarder.wait_drops(0, reason, before + 1);
        ring.wait(true).unwrap();
        assert_eq!(ring.pop(), Some((u32::from(BAD), 0)));
        exchange(&mut one, &mut two, len, 3, &[64]);
        witness.check();
    }
}

#[test]
fn an_index_that_jumps_breaks_its_ring_until_it_is_started_again() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    for (round, jump) in [257u16, 1000, 0x8000, 0xff00].into_iter().enumerate() {
        let first = round as u32 * 100;
        exchange(&mut one, &mut two, first, 10, &[64]);
        // The guest's transmit ring.
        let right = one.ring(TRANSMIT).available_index();
        one.ring(TRANSMIT).set_available_index(right.wrapping_add(jump));
        one.ring(TRANSMIT).kick().unwrap();
        forwarder.wait_drops(0, DropReason::BadDescriptor, round as u64 + 1);
        one.ring(TRANSMIT).set_available_index(right);
        let base = one.stop_ring(TRANSMIT).unwrap();
        one.start_ring(TRANSMIT, base).unwrap();
        exchange(&mut one, &mut two, first + 10, 10, &[64]);
        // Its receive ring, by way of a frame to it.
        let right = one.ring(RECEIVE).available_index();
        one.ring(RECEIVE).set_available_index(right.wrapping_add(jump));
        let before = forwarder.drops(0, DropReason::ReceiverBroken);
        // What the switch has read ahead of the jump may still be filled.
        wait::until("a broken receive ring", || {
            two.send(&numbered(mac(1), mac(2), 0, 64)).unwrap();
            (forwarder.drops(0, DropReason::ReceiverBroken) > before).then_some(())
        })
        .unwrap();
        two.pair(0).transmit.drain().unwrap();
        one.stop_ring(RECEIVE).unwrap();
        // The guest comes to its senses.
        while one.pair(0).receive.poll().unwrap().is_some() {}
        one.ring_mut(RECEIVE).show();
        let used = one.ring(RECEIVE).used_index();
        one.start_ring(RECEIVE, used).unwrap();
        exchange(&mut two, &mut one, first + 20, 10, &[64]);
        witness.check();
    }
}

#[test]
fn a_ring_that_is_rewritten_while_it_is_read_harms_nobody() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    let stop = Arc::new(AtomicBool::new(false));
    let scribblers: Vec<_> = [one.take_pairs(), two.take_pairs()]
        .into_iter()
        .enumerate()
        .map(|(seed, mut pairs)| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut random = Random(seed as u64 + 1);
                let pair = &mut pairs[0];
                while !stop.load(Ordering::Relaxed) {
                    scribble(pair.transmit.ring_mut(), &mut random);
                    scribble(pair.receive.ring_mut(), &mut random);
                }
            })
        })
        .collect();
    for _ in 0..300 {
        witness.check();
    }
    // They can be stopped and started again while they are at it.
    for front_end in [&mut one, &mut two] {
        front_end.share_memory().unwrap();
    }
    for _ in 0..100 {
        witness.check();
    }
    stop.store(true, Ordering::Relaxed);
    scribblers.into_iter().for_each(|thread| thread.join().unwrap());
    drop((one, two));
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    exchange(&mut one, &mut two, 0, 20, &[64, 1514]);
    witness.check();
}

/// One random write, plausible enough to be believed for a while.
fn scribble(ring: &mut Ring, random: &mut Random) {
    let index = random.below(256) as u16;
    let bits = random.below(18);
    match random.below(8) {
        0..=2 => ring.set_descriptor(
            index,
            Descriptor {
                address: 0x4000_0000 + random.below(1 << 22),
                len: random.below(1 << bits) as u32,
                flags: random.below(8) as u16,
                next: random.below(260) as u16,
            },
        ),
        3 => ring.set_available(index, random.below(260) as u16),
        4..=6 => {
            ring.push(index);
            ring.show();
        }
        _ => {
            // Rarely far: a ring that is broken has nothing more to tell.
            let jump = if random.below(5000) == 0 { 5000 } else { 0 };
            let right = ring.available_index();
            ring.set_available_index(right.wrapping_add(jump));
            ring.set_used_event(random.below(1 << 16) as u16);
        }
    }
}

/// A small generator of numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn a_head_that_is_rewritten_between_match_and_send_is_sent_as_it_was_matched() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    for (n, len) in [64usize, 128, 192].into_iter().enumerate() {
        let frame = numbered(mac(2), mac(1), n as u32, len);
        let transmit = &mut one.pair(0).transmit;
        let head = transmit.push(VnetHeader::default(), &frame).unwrap();
        let (memory, at) = (transmit.ring().memory().clone(), transmit.buffer_at(head));
        // All of it, and the virtio-net header, becomes something else once it was matched.
        forwarder.between(move || memory.write(at, &[0xee; 12 + 192]));
        transmit.publish().unwrap();
        let received = two.receive().unwrap();
        assert_eq!(received.bytes, frame);
        assert_eq!((received.header.flags, received.header.gso_type), (0, 0));
        one.pair(0).transmit.drain().unwrap();
        forwarder.between(|| {});
        witness.check();
    }
    // Of a longer one the head is as it was matched; the payload is the sender's business.
    let frame = numbered(mac(2), mac(1), 9, 1514);
    let transmit = &mut one.pair(0).transmit;
    let head = transmit.push(VnetHeader::default(), &frame).unwrap();
    let (memory, at) = (transmit.ring().memory().clone(), transmit.buffer_at(head));
    forwarder.between(move || memory.write(at, &[0xee; 12 + 1514]));
    transmit.publish().unwrap();
    let received = two.receive().unwrap().bytes;
    assert_eq!(received.len(), 1514);
    assert_eq!(received[..192], frame[..192]);
    assert_eq!(number(&received), None);
}

#[test]
fn rings_enabled_twice_forward_once() {
    let forwarder = Forwarder::new(4);
    let mut witness = Witness::new(&forwarder);
    let mut one = forwarder.attach(0, Settings::default());
    let mut two = forwarder.attach(1, Settings::default());
    for round in 0..20 {
        for ring in [RECEIVE, TRANSMIT] {
            one.enable(ring, true).unwrap();
            one.set_kick(ring).unwrap();
            one.set_kick(ring).unwrap();
        }
        assert_eq!(forwarder.started(0), (1, 1));
        exchange(&mut one, &mut two, round * 20, 10, &[64]);
        exchange(&mut two, &mut one, round * 20 + 10, 10, &[64]);
        witness.check();
    }
}
