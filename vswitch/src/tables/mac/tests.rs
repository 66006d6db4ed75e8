use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

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
        [Station { vid: Vid::UNTAGGED, mac: mac(5000), port: TWO, age: 9 }]
    );
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
