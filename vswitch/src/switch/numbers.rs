//! OpenFlow port numbers: a port keeps its own as long as it is on its bridge, and nobody gets one that another port
//! had while the daemon lives. (When a bridge has used all 65,280, those that no port has begin again.)

use std::collections::{HashMap, HashSet};

use crate::{
    config::{Config, MAX_NUMBER},
    control::Refusal,
};

/// The numbers of ports by their names, with their bridges.
pub(super) type Assigned = HashMap<String, (String, u32)>;

/// Every number that was ever given on a bridge.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    bridges: HashMap<String, Used>,
}

#[derive(Clone, Debug)]
struct Used {
    ever: HashSet<u32>,
    /// Below it all were given.
    next: u32,
}

impl Default for Used {
    fn default() -> Self {
        Self { ever: HashSet::new(), next: 1 }
    }
}

impl Numbers {
    /// The numbers of all ports of a configuration: the one that is asked for; else the one that the port has; else
    /// the lowest that none ever had.
    ///
    /// # Errors
    /// If a port asks for one that another has and keeps, or there is none left.
    pub(super) fn assign(&self, wanted: &Config, now: &Assigned) -> Result<Assigned, Refusal> {
        let mut assigned = Assigned::with_capacity(wanted.ports.len());
        let mut taken: HashMap<&str, HashMap<u32, &str>> = HashMap::new();
        for (name, port) in &wanted.ports {
            if let Some(number) = port.number {
                taken.entry(&port.bridge).or_default().insert(number, name);
                assigned.insert(name.clone(), (port.bridge.clone(), number));
            }
        }
        let automatic = || wanted.ports.iter().filter(|(_, port)| port.number.is_none());
        for (name, port) in automatic() {
            let Some((bridge, number)) = now.get(name).filter(|(at, _)| *at == port.bridge) else {
                continue;
            };
            if let Some(other) = taken.entry(&port.bridge).or_default().insert(*number, name) {
                return Err(Refusal::Conflict(format!(
                    "port {other} asks for number {number} of bridge {bridge}, which port {name} has: give it another, or give {name} another first"
                )));
            }
            assigned.insert(name.clone(), (bridge.clone(), *number));
        }
        let mut next: HashMap<&str, u32> = HashMap::new();
        let none = Used::default();
        for (name, port) in automatic() {
            if assigned.contains_key(name) {
                continue;
            }
            let used = self.bridges.get(&port.bridge).unwrap_or(&none);
            let taken = taken.entry(&port.bridge).or_default();
            let next = next.entry(&port.bridge).or_insert(used.next);
            while *next <= MAX_NUMBER && (used.ever.contains(next) || taken.contains_key(next)) {
                *next += 1;
            }
            let mut number = *next;
            if number > MAX_NUMBER {
                let free = (1..=MAX_NUMBER).find(|number| !taken.contains_key(number));
                number = free.ok_or_else(|| {
                    Refusal::Conflict(format!("there is no port number left on {}", port.bridge))
                })?;
            }
            taken.insert(number, name);
            assigned.insert(name.clone(), (port.bridge.clone(), number));
        }
        Ok(assigned)
    }

    /// Remembers numbers that were given.
    pub(super) fn remember(&mut self, assigned: &Assigned) {
        for (bridge, number) in assigned.values() {
            let used = self.bridges.entry(bridge.clone()).or_default();
            used.ever.insert(*number);
            while used.ever.contains(&used.next) {
                used.next += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BridgeConfig, PortConfig, PortKind};

    fn config(ports: &[(&str, &str, Option<u32>)]) -> Config {
        let mut config = Config::default();
        for &(name, bridge, number) in ports {
            config.bridges.insert(bridge.to_owned(), BridgeConfig::default());
            let port = PortConfig { number, ..PortConfig::new(bridge, PortKind::Tap) };
            config.ports.insert(name.to_owned(), port);
        }
        config
    }

    fn number(assigned: &Assigned, port: &str) -> u32 {
        assigned[port].1
    }

    #[test]
    fn ports_are_numbered_in_order_around_those_that_are_given() {
        let wanted =
            config(&[("x", "a", None), ("y", "a", Some(1)), ("z", "a", None), ("w", "b", None)]);
        let assigned = Numbers::default().assign(&wanted, &Assigned::new()).unwrap();
        assert_eq!(["x", "y", "z", "w"].map(|port| number(&assigned, port)), [2, 1, 3, 1]);
    }

    #[test]
    fn a_number_is_not_given_again_but_to_who_asks_for_it() {
        let mut numbers = Numbers::default();
        let mut now = Assigned::new();
        for round in 1..=100 {
            now = numbers.assign(&config(&[("x", "a", None)]), &Assigned::new()).unwrap();
            assert_eq!(number(&now, "x"), round);
            numbers.remember(&now);
        }
        let with = |port| config(&[("x", "a", None), port]);
        now = numbers.assign(&with(("y", "a", Some(7))), &now).unwrap();
        assert_eq!((number(&now, "x"), number(&now, "y")), (100, 7));
        let refusal = numbers.assign(&with(("z", "a", Some(100))), &now).unwrap_err();
        assert!(refusal.to_string().contains("which port x has"), "{refusal}");
        // On another bridge it is numbered anew.
        let moved = numbers.assign(&config(&[("x", "b", None)]), &now).unwrap();
        assert_eq!(moved["x"], ("b".to_owned(), 1));
    }

    #[test]
    fn when_all_were_given_those_that_nobody_has_begin_again() {
        let mut numbers = Numbers::default();
        let all = (1..=MAX_NUMBER).map(|number| (number.to_string(), ("a".to_owned(), number)));
        numbers.remember(&all.collect());
        let wanted = config(&[("x", "a", None), ("y", "a", Some(1)), ("z", "a", None)]);
        let assigned = numbers.assign(&wanted, &Assigned::new()).unwrap();
        assert_eq!(["x", "z"].map(|port| number(&assigned, port)), [2, 3]);
    }
}
