//! What the samples say: minimum, median and maximum of each switch, and ratios of Strowger to the others within
//! each round, so that what the machine does meanwhile touches both sides.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use crate::{
    capture::Turn,
    compare::Sample,
    peer::{Figures, Mode, Peer},
    scale::Scale,
    veth,
};

/// Minimum, median and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub minimum: f64,
    /// The middle one, or between the two in the middle.
    pub median: f64,
    /// The most.
    pub maximum: f64,
}

impl Spread {
    /// Of any number of values but none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let (&minimum, &maximum) = (values.first()?, values.last()?);
        let upper = *values.get(middle)?;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle - 1)?, upper)
        } else {
            upper
        };
        Some(Self { minimum, median, maximum })
    }

    pub(crate) fn json(self) -> Value {
        json!({"minimum": self.minimum, "median": self.median, "maximum": self.maximum})
    }
}

/// What was measured, on what.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Name and value of everything about the machine and the programs that a reader needs.
    pub about: Vec<(String, String)>,
    /// All measurements.
    pub samples: Vec<Sample>,
    /// All measurements from veth to veth.
    pub veth: Vec<veth::Sample>,
    /// What a capture costs.
    pub captures: Vec<Turn>,
    /// What an idle switch with two idle guests used, in per cent of a core.
    pub idle: Option<f64>,
    /// What many ports took.
    pub scale: Vec<Scale>,
}

/// The samples of one row: mode, size and switch, in the order in which they were first seen.
type Row<'a> = ((Mode, usize, Peer), Vec<&'a Sample>);

impl Report {
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for sample in &self.samples {
            let key = (sample.mode, sample.size, sample.peer);
            match rows.iter_mut().find(|(row, _)| *row == key) {
                Some((_, samples)) => samples.push(sample),
                None => rows.push((key, vec![sample])),
            }
        }
        rows.sort_by_key(|((mode, size, _), _)| (*mode as usize, *size));
        rows
    }

    /// Strowger's rate over another's, within each round.
    fn ratios(&self) -> Vec<((Mode, usize, Peer), Spread)> {
        let rate = |sample: &&Sample| (sample.round, sample.seen.rx_pps);
        let rows = self.rows();
        rows.iter()
            .filter(|((.., peer), _)| *peer != Peer::Strowger)
            .filter_map(|((mode, size, peer), theirs)| {
                let ours: BTreeMap<usize, f64> = rows
                    .iter()
                    .find(|(key, _)| *key == (*mode, *size, Peer::Strowger))
                    .map(|(_, samples)| samples.iter().map(rate).collect())?;
                let ratios = theirs.iter().map(rate);
                let spread = Spread::of(
                    ratios.filter_map(|(round, theirs)| Some(ours.get(&round)? / theirs)),
                )?;
                Some(((*mode, *size, *peer), spread))
            })
            .collect()
    }

    /// As a page to be read.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = String::from("# Benchmarks\n\n");
        for (name, value) in &self.about {
            line(&mut page, format_args!("- {name}: {value}"));
        }
        if !self.samples.is_empty() {
            page.push_str(RATES);
            for ((mode, size, peer), samples) in self.rows() {
                self.row(&mut page, (mode, size, peer), &samples);
            }
        }
        let ratios = self.ratios();
        if !ratios.is_empty() {
            page.push_str(RATIOS);
            for ((mode, size, peer), spread) in ratios {
                let Spread { minimum, median, maximum } = spread;
                line(
                    &mut page,
                    format_args!(
                        "| {mode} | {size} | strowger / {peer} | {minimum:.2} | {median:.2} | {maximum:.2} |"
                    ),
                );
            }
        }
        if !self.veth.is_empty() {
            page.push_str(&veth::markdown(&self.veth));
        }
        if !self.captures.is_empty() {
            page.push_str(CAPTURES);
            for turn in &self.captures {
                self.capture(&mut page, turn);
            }
        }
        if !self.scale.is_empty() {
            page.push_str(SCALE);
        }
        for Scale { ports, add, again, remove, status } in &self.scale {
            let (add, again, remove) =
                (add.as_secs_f64(), again.as_secs_f64(), remove.as_secs_f64());
            let (rate, status) = (*ports as f64 / add, status.as_secs_f64() * 1e3);
            line(
                &mut page,
                format_args!(
                    "| {ports} | {add:.2} | {rate:.0} | {again:.2} | {remove:.2} | {status:.1} |"
                ),
            );
        }
        if let Some(share) = self.idle {
            line(
                &mut page,
                format_args!(
                    "\n## Idle\n\nStrowger with two idle guests uses {share:.2} % of a core (counted in steps of 10 ms)."
                ),
            );
        }
        page
    }

    fn capture(&self, page: &mut String, turn: &Turn) {
        let cycles = |figures: Figures| {
            figures.cycles.map_or_else(|| "–".into(), |cycles| format!("{cycles:.1}"))
        };
        let Turn { size, without, with, captured, .. } = turn;
        line(
            page,
            format_args!(
                "| {size} | {:.2} | {:.2} | {:.2} | {} | {} | {:.2} | {} | {} |",
                without.0.rx_pps / 1e6,
                with.0.rx_pps / 1e6,
                turn.cost(),
                cycles(without.1),
                cycles(with.1),
                turn.rate() / 1e6,
                captured.frames,
                captured.lost,
            ),
        );
    }

    fn row(&self, page: &mut String, (mode, size, peer): (Mode, usize, Peer), samples: &[&Sample]) {
        let spread = |value: fn(&Sample) -> Option<f64>| {
            Spread::of(samples.iter().filter_map(|sample| value(sample)))
        };
        let Some(rate) = spread(|sample| Some(sample.seen.rx_pps / 1e6)) else { return };
        let median =
            |value| spread(value).map_or_else(|| "–".into(), |s| format!("{:.1}", s.median));
        let sum = |value: fn(&Sample) -> u64| samples.iter().map(|s| value(s)).sum::<u64>();
        line(
            page,
            format_args!(
                "| {mode} | {size} | {peer} | {:.2} | {:.2} | {:.2} | {} | {} | {} | {} |",
                rate.minimum,
                rate.median,
                rate.maximum,
                median(|sample| sample.figures.batch),
                median(|sample| sample.figures.cycles),
                sum(|sample| sample.figures.dropped),
                sum(|sample| sample.seen.dropped),
            ),
        );
    }

    /// As data.
    #[must_use]
    pub fn json(&self) -> Value {
        let about: serde_json::Map<_, _> =
            self.about.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|s| {
                json!({
                    "round": s.round + 1, "mode": s.mode.to_string(), "size": s.size,
                    "peer": s.peer.to_string(), "mpps": s.seen.rx_pps / 1e6,
                    "frames": s.seen.received, "dropped_by_switch": s.figures.dropped,
                    "dropped_by_traffic": s.seen.dropped, "mean_batch": s.figures.batch,
                    "busy_cycles_a_frame": s.figures.cycles,
                })
            })
            .collect();
        let ratios: Vec<_> = self
            .ratios()
            .into_iter()
            .map(|((mode, size, peer), spread)| {
                json!({
                    "mode": mode.to_string(), "size": size, "to": peer.to_string(),
                    "ratio": spread.json(),
                })
            })
            .collect();
        let captures: Vec<_> = self
            .captures
            .iter()
            .map(|turn| {
                json!({
                    "size": turn.size, "mpps_without": turn.without.0.rx_pps / 1e6,
                    "mpps_with": turn.with.0.rx_pps / 1e6, "cost": turn.cost(),
                    "cycles_without": turn.without.1.cycles, "cycles_with": turn.with.1.cycles,
                    "captured": turn.captured.frames, "captured_mpps": turn.rate() / 1e6,
                    "lost": turn.captured.lost,
                })
            })
            .collect();
        let scale: Vec<_> = self.scale.iter().map(|scale| scale.json()).collect();
        json!({
            "about": about, "samples": samples, "ratios": ratios, "captures": captures, "scale": scale,
            "veth": veth::json(&self.veth),
            "idle_percent": self.idle,
        })
    }
}

const SCALE: &str = "
## Many ports

| ports of one `apply` | added (s) | ports a second | again (s) | removed (s) | `GET /v1/status` (ms) |
|--:|--:|--:|--:|--:|--:|
";
const RATES: &str = "
## Rates

Mpps of both directions together as the traffic's side received them. Batch and busy cycles are medians of what
each switch tells of itself: Open vSwitch its mean output batch and its processing cycles, Strowger its mean rx
batch and the cycles of its sweeps that brought frames, testpmd its forwarding cycles. Drops are sums over all rounds:
by the switch, and by the traffic's side because the switch had not emptied its ring. In mode `cross` Open vSwitch
has one rule a port; Strowger has no rules yet and runs two ports in a bridge of their own, as it does in
`learning`; testpmd and the ceiling (Strowger's own rings and copies) do not switch at all.

| mode | bytes | switch | Mpps min | median | max | batch | cycles a frame | dropped | not sent |
|---|---|---|---|---|---|---|---|---|---|
";

const RATIOS: &str = "
## Ratios

Of the rates within one round.

| mode | bytes | of | min | median | max |
|---|---|---|---|---|---|
";

const CAPTURES: &str = "
## Captures

Strowger alone, in a bridge of two ports, with and without `strowger capture` of one of them in both directions: every
frame of the loop passes that port twice. Mpps as above; the cost is the part of the rate that is gone; the goal is less
than 0.3 at 1 Mpps captured. The capture's own thread, the API and the client run wherever the system lets them, beside
the traffic and the switch on two cores. What does not get through is counted, by the capture itself, as lost.

| bytes | Mpps without | with | cost | cycles a frame without | with | Mpps captured | frames captured | lost |
|---|---|---|---|---|---|---|---|---|
";

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).and_then(|()| page.write_char('\n')).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{peer::Figures, traffic::Seen};

    fn sample(round: usize, peer: Peer, mpps: f64) -> Sample {
        Sample {
            round,
            mode: Mode::Learning,
            size: 64,
            peer,
            seen: Seen { rx_pps: mpps * 1e6, received: 1, dropped: 2 },
            figures: Figures { dropped: 1, batch: Some(32.0), cycles: None },
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 2.0, 9.0]).unwrap();
        assert_eq!(spread, Spread { minimum: 1.0, median: 3.0, maximum: 9.0 });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_of_one_round_each() {
        let samples = vec![
            sample(0, Peer::Strowger, 12.0),
            sample(0, Peer::Ovs, 10.0),
            sample(1, Peer::Ovs, 5.0),
            sample(1, Peer::Strowger, 10.0),
            sample(2, Peer::Ovs, 1.0),
        ];
        let report = Report { samples, idle: Some(0.4), ..Report::default() };
        let ratio = Spread { minimum: 1.2, median: 1.6, maximum: 2.0 };
        assert_eq!(report.ratios(), [((Mode::Learning, 64, Peer::Ovs), ratio)]);
        let page = report.markdown();
        assert!(page.contains("| learning | 64 | strowger / ovs | 1.20 | 1.60 | 2.00 |"), "{page}");
        assert!(
            page.contains("| learning | 64 | ovs | 1.00 | 5.00 | 10.00 | 32.0 | – | 3 | 6 |"),
            "{page}"
        );
        assert_eq!(report.json()["ratios"][0]["ratio"]["median"], 1.6);
    }
}
