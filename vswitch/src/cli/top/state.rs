//! What the page shows, and what keys do to it.

use std::{cmp::Ordering, time::Duration};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::{
    cli::rates::{Between, PortRate, Sample, WorkerRate, dropped},
    control::{Port, Worker},
};

/// The most bytes of a filter: as many as a name may have.
const MAX_FILTER: usize = crate::config::MAX_NAME;

/// Whether the page goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Quit,
}

/// What the ports are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Bits both ways.
    Traffic,
    /// Frames into the switch.
    Rx,
    /// Frames out of it.
    Tx,
    /// Frames dropped.
    Drops,
    /// The port's name.
    Name,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Traffic, Self::Rx, Self::Tx, Self::Drops, Self::Name];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::Drops => "drops",
            Self::Name => "name",
        }
    }

    /// The one that is so many places further.
    fn step(self, places: usize) -> Self {
        let at = Self::ALL.iter().position(|&sort| sort == self).unwrap_or(0);
        Self::ALL.get((at + places) % Self::ALL.len()).copied().unwrap_or(Self::Traffic)
    }
}

/// The page.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) name: String,
    pub(super) interval: Duration,
    before: Option<Sample>,
    pub(super) now: Option<Sample>,
    /// Why the last question was not answered.
    pub(super) trouble: Option<String>,
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// Whether keys are the filter's.
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// The first port that is shown.
    pub(super) first: usize,
    /// How many ports there was room for.
    pub(super) page: usize,
}

/// A port and its rate, where it is known.
pub(super) type PortRow<'a> = (&'a Port, Option<PortRate>);

/// Frames dropped on a port for a reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DropRow<'a> {
    pub(super) port: &'a str,
    pub(super) reason: &'a str,
    pub(super) frames: u64,
    pub(super) rate: Option<f64>,
}

impl Top {
    pub(super) fn new(name: String, interval: Duration) -> Self {
        Self {
            name,
            interval,
            before: None,
            now: None,
            trouble: None,
            sort: Sort::Traffic,
            reversed: false,
            filter: String::new(),
            typing: false,
            paused: false,
            help: false,
            first: 0,
            page: 1,
        }
    }

    /// Takes what the switch said, or why it did not.
    pub(super) fn sample(&mut self, answer: Result<Sample, String>) {
        match answer {
            _ if self.paused => {}
            Ok(sample) => {
                self.trouble = None;
                self.before = self.now.replace(sample);
            }
            Err(error) => self.trouble = Some(error),
        }
    }

    /// Does what a key says.
    pub(super) fn key(&mut self, key: KeyEvent) -> Flow {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Flow::Quit } else { Flow::Continue };
        }
        if self.typing {
            self.filter_key(key.code);
            return Flow::Continue;
        }
        let help = std::mem::take(&mut self.help);
        match key.code {
            // The page over the page goes first.
            KeyCode::Esc | KeyCode::Char('q' | '?' | 'h') if help => {}
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Flow::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('s' | '>') => self.sort = self.sort.step(1),
            KeyCode::Char('S' | '<') => self.sort = self.sort.step(Sort::ALL.len() - 1),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Down | KeyCode::Char('j') => self.first = self.first.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.saturating_sub(1),
            KeyCode::PageDown => self.first = self.first.saturating_add(self.page),
            KeyCode::PageUp => self.first = self.first.saturating_sub(self.page),
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = usize::MAX,
            _ => {}
        }
        Flow::Continue
    }

    fn filter_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.len() + c.len_utf8() <= MAX_FILTER => {
                self.filter.push(c);
                self.first = 0;
            }
            _ => {}
        }
    }

    fn between(&self) -> Option<Between<'_>> {
        Some(Between::new(self.before.as_ref()?, self.now.as_ref()?))
    }

    /// The ports that the filter lets through, sorted.
    pub(super) fn ports(&self) -> Vec<PortRow<'_>> {
        let between = self.between();
        let rate = |port| between.as_ref().and_then(|between| between.port(port));
        let mut rows: Vec<PortRow<'_>> = self
            .now
            .iter()
            .flat_map(|sample| &sample.status.ports)
            .filter(|port| port.name.contains(&self.filter) || port.bridge.contains(&self.filter))
            .map(|port| (port, rate(port)))
            .collect();
        // The busiest first, but names from the start of the alphabet; equals stay in the order of their names, so
        // that lines do not jump about.
        rows.sort_by(|a, b| self.compare(a, b).then_with(|| a.0.name.cmp(&b.0.name)));
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    fn compare(&self, a: &PortRow<'_>, b: &PortRow<'_>) -> Ordering {
        let by = |figure: fn(&PortRate) -> f64| {
            let of = |row: &PortRow<'_>| row.1.as_ref().map_or(-1.0, figure);
            of(b).total_cmp(&of(a))
        };
        match self.sort {
            Sort::Traffic => by(|rate| rate.rx_bits_per_second + rate.tx_bits_per_second),
            Sort::Rx => by(|rate| rate.rx_frames_per_second),
            Sort::Tx => by(|rate| rate.tx_frames_per_second),
            Sort::Drops => {
                by(|rate| rate.drops_per_second).then_with(|| dropped(b.0).cmp(&dropped(a.0)))
            }
            Sort::Name => Ordering::Equal,
        }
    }

    /// All ports' rates together.
    pub(super) fn sum(&self) -> PortRate {
        let mut sum = PortRate::default();
        let Some(between) = self.between() else { return sum };
        let ports = self.now.iter().flat_map(|now| &now.status.ports);
        for rate in ports.filter_map(|port| between.port(port)) {
            sum.rx_frames_per_second += rate.rx_frames_per_second;
            sum.rx_bits_per_second += rate.rx_bits_per_second;
            sum.tx_frames_per_second += rate.tx_frames_per_second;
            sum.tx_bits_per_second += rate.tx_bits_per_second;
            sum.drops_per_second += rate.drops_per_second;
        }
        sum
    }

    /// The workers with their rates.
    pub(super) fn workers(&self) -> Vec<(&Worker, Option<WorkerRate>)> {
        let between = self.between();
        self.now
            .iter()
            .flat_map(|sample| &sample.status.workers)
            .map(|worker| (worker, between.as_ref().and_then(|between| between.worker(worker))))
            .collect()
    }

    /// What was dropped on the ports that the filter lets through: what is being dropped now first.
    pub(super) fn drops(&self) -> Vec<DropRow<'_>> {
        let between = self.between();
        let between = between.as_ref();
        let mut rows = Vec::new();
        for (port, _) in self.ports() {
            rows.extend(port.drops.iter().map(|(reason, &frames)| DropRow {
                port: &port.name,
                reason,
                frames,
                rate: between.and_then(|between| between.drops(port, reason)),
            }));
        }
        rows.sort_by(|a, b| {
            let rate = |row: &DropRow<'_>| row.rate.unwrap_or(0.0);
            rate(b).total_cmp(&rate(a)).then_with(|| b.frames.cmp(&a.frames))
        });
        rows
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::{Bridge, Status};
    use std::time::Instant;

    fn port(name: &str, rx: u64, tx: u64, drops: u64) -> Port {
        Port {
            name: name.into(),
            bridge: "br0".into(),
            up: true,
            rx_frames: rx,
            rx_bytes: rx * 100,
            tx_frames: tx,
            tx_bytes: tx * 1000,
            drops: [("queue_full".to_owned(), drops)].into_iter().filter(|d| d.1 > 0).collect(),
            ..Port::default()
        }
    }

    /// A page that has seen two samples, a second apart.
    pub(in super::super) fn page() -> Top {
        let at = Instant::now();
        let worker = |frames| Worker {
            core: 1,
            queues: 3,
            frames,
            batches: frames / 10,
            busy_nanos: frames * 100,
            alive_nanos: frames * 400,
            busy_cycles: frames * 300,
            ..Worker::default()
        };
        let status = |ports, frames, uptime_seconds| Status {
            version: "1.2".into(),
            pid: 4,
            uptime_seconds,
            workers: vec![worker(frames)],
            bridges: vec![Bridge { name: "br0".into(), ..Bridge::default() }],
            ports,
            ..Status::default()
        };
        let before =
            vec![port("vm1", 10, 10, 0), port("vm2", 10, 10, 5), port("eth0", 10, 10, 900)];
        let now =
            vec![port("vm1", 1510, 20, 0), port("vm2", 20, 2010, 25), port("eth0", 10, 10, 900)];
        let mut top = Top::new("/run/strowger".into(), Duration::from_secs(1));
        top.sample(Ok(Sample { at, status: status(before, 1000, 60) }));
        top.sample(Ok(Sample { at: at + Duration::from_secs(1), status: status(now, 2000, 61) }));
        top
    }

    pub(in super::super) fn press(top: &mut Top, keys: &str) -> Flow {
        let mut flow = Flow::Continue;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '\x08' => KeyCode::Backspace,
                c => KeyCode::Char(c),
            };
            flow = top.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        flow
    }

    fn names(top: &Top) -> Vec<&str> {
        top.ports().into_iter().map(|(port, _)| port.name.as_str()).collect()
    }

    #[test]
    fn ports_are_sorted_by_what_is_asked_for() {
        let mut top = page();
        assert_eq!(names(&top), ["vm2", "vm1", "eth0"]);
        press(&mut top, "s");
        assert_eq!((top.sort, names(&top)), (Sort::Rx, vec!["vm1", "vm2", "eth0"]));
        press(&mut top, "s");
        assert_eq!((top.sort, names(&top)), (Sort::Tx, vec!["vm2", "vm1", "eth0"]));
        press(&mut top, "s");
        assert_eq!((top.sort, names(&top)), (Sort::Drops, vec!["vm2", "eth0", "vm1"]));
        press(&mut top, "s");
        assert_eq!((top.sort, names(&top)), (Sort::Name, vec!["eth0", "vm1", "vm2"]));
        press(&mut top, "r");
        assert_eq!(names(&top), ["vm2", "vm1", "eth0"]);
        press(&mut top, "sS");
        assert_eq!(top.sort, Sort::Name);
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared() {
        let mut top = page();
        assert_eq!(press(&mut top, "/vq\x08m"), Flow::Continue);
        assert_eq!(names(&top), ["vm2", "vm1"]);
        assert!(top.typing);
        press(&mut top, "\n");
        assert!(!top.typing && top.filter == "vm");
        assert!(top.drops().iter().all(|drop| drop.port != "eth0"));
        // The first escape clears it, the second ends the page.
        assert_eq!(press(&mut top, "\x1b"), Flow::Continue);
        assert_eq!(names(&top).len(), 3);
        assert_eq!(press(&mut top, "\x1b"), Flow::Quit);
        press(&mut top, "/");
        press(&mut top, &"x".repeat(200));
        assert_eq!(top.filter.len(), MAX_FILTER);
    }

    #[test]
    fn keys_end_pause_and_explain() {
        let mut top = page();
        assert_eq!(press(&mut top, "q"), Flow::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press(&mut top, "/");
        assert_eq!(top.key(interrupt), Flow::Quit);
        let mut top = page();
        press(&mut top, "?");
        assert!(top.help);
        assert_eq!(press(&mut top, "q"), Flow::Continue);
        assert!(!top.help);
        press(&mut top, "p");
        let shown = top.now.as_ref().unwrap().at;
        top.sample(Ok(Sample { at: Instant::now(), status: Status::default() }));
        assert_eq!(top.now.as_ref().unwrap().at, shown);
        press(&mut top, "p");
        top.sample(Err("gone".into()));
        assert_eq!(top.trouble.as_deref(), Some("gone"));
        assert_eq!(names(&top).len(), 3);
        top.sample(Ok(Sample { at: Instant::now(), status: Status::default() }));
        assert!(top.trouble.is_none() && names(&top).is_empty());
    }

    #[test]
    fn sums_workers_and_drops_are_those_of_the_second() {
        let top = page();
        let sum = top.sum();
        assert_eq!((sum.rx_frames_per_second, sum.tx_frames_per_second), (1510.0, 2010.0));
        assert_eq!(sum.drops_per_second, 20.0);
        let workers = top.workers();
        assert_eq!(workers[0].1.unwrap().load, 0.25);
        let drops = top.drops();
        assert_eq!((drops[0].port, drops[0].rate, drops[0].frames), ("vm2", Some(20.0), 25));
        assert_eq!((drops[1].port, drops[1].rate), ("eth0", Some(0.0)));
    }

    proptest::proptest! {
        #![proptest_config(crate::properties::config())]
        #[test]
        fn no_keys_break_it(keys in ".{0,40}") {
            let mut top = page();
            press(&mut top, &keys);
            proptest::prop_assert!(top.ports().len() <= 3);
        }
    }
}
