use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

use crate::tables::loops::LOOP_SHOWN;

const ONE: PortId = PortId(1);
const TWO: PortId = PortId(2);

fn table(stations: usize) -> MacTable {
    MacTable::new(MacLimits { stations, ageing: Duration::from_secs(300) })
}

fn mac(number: u32) -> MacAddress {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddress([2, 0, a, b, c, d])
}

fn port(table: &MacTable, number: u32, now: Seconds) -> Option<PortId> {
    table.lookup(Vid::UNTAGGED, mac(number), now).0
}

fn learn(table: &MacTable, number: u32, port: PortId, now: Seconds) -> Learned {
    table.learn(Vid::UNTAGGED, mac(number), port, now).0
}

#[test]
fn a_station_is_looked_up_where_it_was_learned_and_only_in_its_vlan() {
    let table = table(16);
    learn(&table, 1, ONE, 0);
    assert_eq!(port(&table, 1, 0), Some(ONE));
    assert_eq!(port(&table, 2, 0), None);
    assert_eq!(table.lookup(Vid::new(1).unwrap(), mac(1), 0).0, None);
}

#[test]
fn who_asked_before_a_station_came_learns_of_it() {
    let table = table(16);
    let (unknown, dependency) = table.lookup(Vid::UNTAGGED, mac(1), 0);
    assert_eq!(unknown, None);
    let changes = table.changes();
    learn(&table, 1, ONE, 0);
    assert!(!table.is_current(dependency));
    assert_ne!(table.changes(), changes);
}

#[test]
fn hearing_of_a_station_again_changes_nothing() {
    let table = table(16);
    learn(&table, 1, ONE, 0);
    let (_, dependency) = table.lookup(Vid::UNTAGGED, mac(1), 0);
    let changes = table.changes();
    learn(&table, 1, ONE, 5);
    assert!(table.is_current(dependency));
    assert_eq!(table.changes(), changes);
}

#[test]
fn a_move_is_seen_by_those_who_depend_on_the_station() {
    let table = table(16);
    learn(&table, 1, ONE, 0);
    let (_, dependency) = table.lookup(Vid::UNTAGGED, mac(1), 0);
    learn(&table, 1, TWO, 1);
    assert!(!table.is_current(dependency));
    assert_eq!(port(&table, 1, 1), Some(TWO));
    assert_eq!(table.statistics().moves, 1);
}

#[test]
fn moves_within_a_second_are_limited_and_counted() {
    let table = table(16);
    learn(&table, 1, ONE, 0);
    for round in 0..10 {
        learn(&table, 1, if round % 2 == 0 { TWO } else { ONE }, 7);
    }
    let statistics = table.statistics();
    assert_eq!(statistics.moves, u64::from(MOVES_A_SECOND));
    assert!(statistics.held > 0);
    assert_eq!(port(&table, 1, 7), Some(ONE), "an even number of moves");
    assert_eq!(learn(&table, 1, TWO, 7), Learned::Held);
    assert!(matches!(learn(&table, 1, TWO, 8), Learned::Here(_)));
}

#[test]
fn a_silent_station_is_forgotten_and_one_that_is_heard_stays() {
    let table = table(16);
    learn(&table, 1, ONE, 0);
    let (Learned::Here(station), _) = table.learn(Vid::UNTAGGED, mac(2), ONE, 0) else { panic!() };
    table.refresh(station, 200);
    let (_, dependency) = table.lookup(Vid::UNTAGGED, mac(1), 0);
    table.age(300, 16);
    assert_eq!(table.statistics().stations, 2, "not yet");
    table.age(301, 16);
    assert_eq!(port(&table, 1, 301), None);
    assert_eq!(port(&table, 2, 301), Some(ONE));
    assert!(!table.is_current(dependency));
    assert_eq!(
        table.statistics(),
        MacStatistics { stations: 1, aged: 1, ..MacStatistics::default() }
    );
}

#[test]
fn a_station_that_is_old_but_not_yet_collected_is_unknown_and_comes_back_as_a_change() {
    let table = table(16);
    learn(&table, 1, ONE, 0);
    let (unknown, dependency) = table.lookup(Vid::UNTAGGED, mac(1), 301);
    assert_eq!(unknown, None);
    learn(&table, 1, ONE, 302);
    assert!(!table.is_current(dependency));
    assert_eq!(port(&table, 1, 302), Some(ONE));
}

#[test]
fn invented_sources_of_one_port_leave_the_stations_of_others() {
    let table = table(64);
    for number in 0..16 {
        learn(&table, number, ONE, 0);
    }
    for number in 1000..6000 {
        learn(&table, number, TWO, 100);
    }
    for number in 0..16 {
        assert_eq!(port(&table, number, 100), Some(ONE));
    }
    let statistics = table.statistics();
    assert_eq!(statistics.stations, 64);
    assert_eq!(statistics.replaced, 5000 - 48);
}

#[test]
fn the_stations_of_a_port_are_forgotten_together() {
    let table = table(4096);
    for number in 0..1000 {
        learn(&table, number, ONE, 0);
    }
    learn(&table, 5000, TWO, 0);
    table.forget(ONE);
    assert_eq!(
        table.stations(9),
        [Station {
            vid: Vid::UNTAGGED,
            mac: mac(5000),
            port: TWO,
            age: 9,
            held: false,
            goes_to: None
        }]
    );
}

/// Moves a station to and fro between two ports, beginning with `TWO`, a move in each of these seconds.
fn to_and_fro(table: &MacTable, number: u32, seconds: impl IntoIterator<Item = Seconds>) {
    for (step, now) in seconds.into_iter().enumerate() {
        learn(table, number, if step % 2 == 0 { TWO } else { ONE }, now);
    }
}

fn station(table: &MacTable, now: Seconds) -> Station {
    table.stations(now)[0]
}

#[test]
fn a_station_that_goes_to_and_fro_is_reported_and_goes_on() {
    let table = table(16);
    learn(&table, 1, ONE, 100);
    to_and_fro(&table, 1, [101, 101, 102, 103, 104]);
    assert_eq!((table.statistics().loops, table.take_loops()), (0, vec![]), "five moves are none");
    learn(&table, 1, ONE, 111);
    let found = Loop { vid: Vid::UNTAGGED, mac: mac(1), home: ONE, other: TWO, held: None };
    assert_eq!((table.statistics().loops, table.take_loops()), (1, vec![found]));
    assert_eq!(station(&table, 111).goes_to, Some(TWO));
    assert!(matches!(learn(&table, 1, TWO, 111), Learned::Here(_)));
    assert_eq!(table.hold(Vid::UNTAGGED, mac(1), 111), None);
    assert_eq!(station(&table, 171).goes_to, None, "it is quiet again");
    // A report a minute, however often it is found.
    for second in 112..122 + LOOP_SHOWN {
        let port = if second % 2 == 0 { ONE } else { TWO };
        learn(&table, 1, port, second);
    }
    assert!(table.statistics().loops > 5);
    assert_eq!(table.take_loops().len(), 1);
}

#[test]
fn stations_that_move_as_they_may_are_not_found() {
    let table = table(16);
    table.set_guard(Guard::Hold(60));
    // A migration; one back and forth every few seconds; a move from port to port to port, fast.
    for number in 1..=3 {
        learn(&table, number, ONE, 0);
    }
    learn(&table, 1, TWO, 5);
    to_and_fro(&table, 2, (0..20).map(|step| 10 + step * 3));
    for step in 0..30 {
        learn(&table, 3, PortId(1 + step % 3), 100 + step / 4);
    }
    // Five moves within a second, or nearly, and the sixth too late.
    learn(&table, 4, ONE, 200);
    to_and_fro(&table, 4, [201, 201, 201, 201, 202, 212]);
    let statistics = table.statistics();
    assert_eq!((statistics.loops, statistics.held_stations), (0, 0));
    // Off: not even one that would be found.
    table.set_guard(Guard::Off);
    learn(&table, 5, ONE, 300);
    to_and_fro(&table, 5, 301..320);
    assert_eq!((table.statistics().loops, table.take_loops()), (0, vec![]));
}

#[test]
fn a_station_that_is_held_stays_where_it_was_first_and_is_free_again_after_its_time() {
    let table = table(16);
    table.set_guard(Guard::Hold(20));
    learn(&table, 1, ONE, 0);
    to_and_fro(&table, 1, [1, 1, 1, 1, 2]);
    let (_, dependency) = table.lookup(Vid::UNTAGGED, mac(1), 2);
    assert!(matches!(learn(&table, 1, ONE, 2), Learned::Here(_)));
    assert!(!table.is_current(dependency), "it moved for the last time");
    assert_eq!(table.take_loops()[0].held, Some(20));
    let (home, dependency) = table.hold(Vid::UNTAGGED, mac(1), 21).unwrap();
    assert_eq!((home, learn(&table, 1, TWO, 21)), (ONE, Learned::LoopHeld));
    assert!(station(&table, 21).held && !station(&table, 22).held);
    assert!(table.is_current(dependency), "what changes nothing is not told");
    assert_eq!(table.statistics().held_stations, 1);
    // Its time is over, whether the keeper was there or not.
    assert_eq!(table.hold(Vid::UNTAGGED, mac(1), 22), None);
    table.age(22, 16);
    assert!(!table.is_current(dependency));
    assert_eq!(table.statistics().held_stations, 0);
    assert!(matches!(learn(&table, 1, TWO, 22), Learned::Here(_)));
}

#[test]
fn a_hold_ends_with_its_port_and_when_the_guard_holds_no_more_and_not_by_silence() {
    let held = || {
        let table = table(16);
        table.set_guard(Guard::Hold(1000));
        learn(&table, 1, ONE, 0);
        to_and_fro(&table, 1, [1, 1, 1, 1, 2, 2]);
        let (home, dependency) = table.hold(Vid::UNTAGGED, mac(1), 900).unwrap();
        assert_eq!(home, ONE);
        (table, dependency)
    };
    let (table, dependency) = held();
    table.forget(ONE);
    assert!(!table.is_current(dependency));
    assert!(matches!(learn(&table, 1, TWO, 3), Learned::Here(_)));
    table.age(4, 16);
    assert_eq!(table.statistics().held_stations, 0);

    let (table, dependency) = held();
    table.set_guard(Guard::Hold(5));
    assert!(table.is_current(dependency));
    table.set_guard(Guard::Report);
    assert!(!table.is_current(dependency));
    assert!(matches!(learn(&table, 1, TWO, 3), Learned::Here(_)));

    let (table, _) = held();
    table.age(900, 16);
    assert_eq!(port(&table, 1, 900), Some(ONE), "longer than the ageing time");
    table.age(1002, 16);
    assert_eq!(table.statistics().stations, 0);
}

#[test]
fn reports_that_nobody_takes_are_bounded() {
    let table = table(256);
    for number in 0..100 {
        learn(&table, number, ONE, 0);
        to_and_fro(&table, number, [1, 1, 1, 2, 2, 2]);
    }
    assert_eq!((table.statistics().loops, table.take_loops().len()), (100, LOOPS_KEPT));
}

/// The loop guard as it is defined, over the list of all moves of a station.
#[derive(Default)]
struct NaiveStation {
    port: u32,
    /// Second, from, to; since the station was last found.
    moves: Vec<(Seconds, u32, u32)>,
    held_until: Seconds,
}

impl NaiveStation {
    /// Where it is after a frame came in by a port, and whether that frame may go on.
    fn hear(&mut self, port: u32, now: Seconds, hold: Seconds, all: &mut Vec<Seconds>) -> Learned {
        if port == self.port {
            return Learned::Held;
        }
        if now < self.held_until {
            return Learned::LoopHeld;
        }
        if all.iter().filter(|&&second| second == now).count() >= usize::from(MOVES_A_SECOND) {
            return Learned::Held;
        }
        all.push(now);
        self.moves.push((now, self.port, port));
        self.port = port;
        let last = self.moves.len().checked_sub(6).map(|from| &self.moves[from..]);
        if let Some(last) = last
            && last.windows(2).all(|pair| (pair[0].1, pair[0].2) == (pair[1].2, pair[1].1))
            && now - last[0].0 <= 10
        {
            self.moves.clear();
            self.held_until = now + hold;
        }
        Learned::Held
    }
}

#[derive(Clone, Debug)]
enum Step {
    Learn { number: u32, port: u32 },
    Wait(u32),
    Age,
    Forget(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => ((0u32..24), (0u32..3)).prop_map(|(number, port)| Step::Learn { number, port }),
        2 => (1u32..200).prop_map(Step::Wait),
        1 => Just(Step::Age),
        1 => (0u32..3).prop_map(Step::Forget),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
#![proptest_config(crate::properties::config())]

    /// Which stations are held, where, and for how long.
    #[test]
    fn it_holds_whom_a_naive_guard_holds(
        hold in 1u32..30,
        steps in proptest::collection::vec((0u32..3, prop_oneof![6 => Just(0u32), 4 => Just(1), 1 => 1u32..12], 0u32..2), 1..200),
    ) {
        let table = table(64);
        table.set_guard(Guard::Hold(hold));
        let mut model: Vec<(NaiveStation, Vec<Seconds>)> = (0..2).map(|_| Default::default()).collect();
        for number in 0..2 {
            learn(&table, number, PortId(0), 100);
        }
        let mut now = 100;
        for (port, wait, number) in steps {
            now += wait;
            let (station, moves) = &mut model[number as usize];
            let expected = station.hear(port, now, hold, moves);
            let learned = learn(&table, number, PortId(port), now);
            prop_assert_eq!(learned == Learned::LoopHeld, expected == Learned::LoopHeld);
            for (number, (station, _)) in (0..2).zip(&model) {
                let found = table.lookup(Vid::UNTAGGED, mac(number), now).0;
                prop_assert_eq!(found, Some(PortId(station.port)));
                let held = table.hold(Vid::UNTAGGED, mac(number), now).map(|(port, _)| port);
                prop_assert_eq!(held, (now < station.held_until).then_some(PortId(station.port)));
            }
            if wait > 1 {
                table.age(now, 64);
            }
        }
    }

    /// With room for all, against a map of station to port and time.
    #[test]
    fn it_knows_what_a_plain_map_knows(steps in steps()) {
        let table = table(64);
        let mut model: HashMap<u32, (u32, Seconds)> = HashMap::new();
        let mut answers: Vec<(u32, Option<PortId>, Dependency)> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Learn { number, port } => {
                    if learn(&table, number, PortId(port), now) != Learned::Held {
                        model.insert(number, (port, now));
                    }
                }
                Step::Wait(seconds) => now += seconds,
                Step::Age => table.age(now, 64),
                Step::Forget(port) => {
                    table.forget(PortId(port));
                    model.retain(|_, (at, _)| *at != port);
                }
            }
            model.retain(|_, (_, seen)| now - *seen <= 300);
            for number in 0..24 {
                let (found, dependency) = table.lookup(Vid::UNTAGGED, mac(number), now);
                prop_assert_eq!(found, model.get(&number).map(|(port, _)| PortId(*port)));
                answers.push((number, found, dependency));
            }
            // An answer whose dependency is current is still true, but for a station that is old and not collected.
            table.age(now, 64);
            for &(number, found, dependency) in &answers {
                if table.is_current(dependency) {
                    prop_assert_eq!(found, model.get(&number).map(|(port, _)| PortId(*port)));
                }
            }
        }
        prop_assert!(table.statistics().stations <= 64);
    }
}
