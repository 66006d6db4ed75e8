//! Rates and counters of ports.

use std::fmt::Write;

use super::{link, whole};
use crate::{
    cli::{
        rates::{Between, PortRate, Sample, dropped},
        screen::Look,
        table::{Column, Sheet, lost},
    },
    control::Port,
};

/// One line a port: rates between the samples, then counters. Last, the sum where there are several.
pub(in crate::cli) fn stats(before: &Sample, now: &Sample, only: &[String], look: &Look) -> String {
    let between = Between::new(before, now);
    let mut sheet = Sheet::new(&[
        Column::word("PORT"),
        Column::word("LINK").rank(1),
        Column::number("RX FRAMES/S"),
        Column::number("RX BITS/S"),
        Column::number("TX FRAMES/S"),
        Column::number("TX BITS/S"),
        Column::number("DROPS/S"),
        Column::number("RX FRAMES").rank(3),
        Column::number("RX BYTES").rank(4),
        Column::number("TX FRAMES").rank(3),
        Column::number("TX BYTES").rank(4),
        Column::number("DROPS").rank(2),
    ]);
    for port in chosen(&now.status.ports, only) {
        let [rx_frames, rx_bits, tx_frames, tx_bits, drops] =
            figures(between.port(port)).map(whole);
        sheet.row(vec![
            (&port.name).into(),
            link(port.up),
            rx_frames.into(),
            rx_bits.into(),
            tx_frames.into(),
            tx_bits.into(),
            drops.into(),
            port.rx_frames.into(),
            port.rx_bytes.into(),
            port.tx_frames.into(),
            port.tx_bytes.into(),
            lost(dropped(port)),
        ]);
    }
    sheet.render(look)
}

/// The heading of [`rate_lines`].
const HEADING: &str = "SECONDS PORT RX_FRAMES/S RX_BITS/S TX_FRAMES/S TX_BITS/S DROPS/S\n";

/// The same for programs that read line by line: the seconds since the first sample, the port, its rates.
pub(in crate::cli) fn rate_lines(
    before: &Sample,
    now: &Sample,
    only: &[String],
    first: Option<std::time::Instant>,
) -> String {
    let between = Between::new(before, now);
    let since = now.at.saturating_duration_since(first.unwrap_or(before.at)).as_secs_f64();
    let mut text = if first.is_none() { HEADING.to_owned() } else { String::new() };
    for port in chosen(&now.status.ports, only) {
        let figures = figures(between.port(port)).map(whole).join(" ");
        // Writing to a String cannot fail.
        let _always_ok = writeln!(text, "{since:.1} {} {figures}", port.name);
    }
    text
}

/// The ports that are asked for, or all.
pub(in crate::cli) fn chosen<'a>(
    ports: &'a [Port],
    only: &[String],
) -> impl Iterator<Item = &'a Port> {
    ports.iter().filter(move |port| only.is_empty() || only.contains(&port.name))
}

fn figures(rate: Option<PortRate>) -> [Option<f64>; 5] {
    let of = |figure: fn(PortRate) -> f64| rate.map(figure);
    [
        of(|rate| rate.rx_frames_per_second),
        of(|rate| rate.rx_bits_per_second),
        of(|rate| rate.tx_frames_per_second),
        of(|rate| rate.tx_bits_per_second),
        of(|rate| rate.drops_per_second),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Status;
    use std::time::{Duration, Instant};

    fn samples() -> (Sample, Sample) {
        let at = Instant::now();
        let port = |name: &str, count: u64| Port {
            name: name.into(),
            rx_frames: count,
            rx_bytes: count * 64,
            ..Port::default()
        };
        let sample = |at, ports| Sample { at, status: Status { ports, ..Status::default() } };
        (
            sample(at, vec![port("a", 10)]),
            sample(at + Duration::from_secs(2), vec![port("a", 2010), port("b", 1)]),
        )
    }

    #[test]
    fn rates_and_counters_stand_in_one_line() {
        let (before, now) = samples();
        let text = stats(&before, &now, &[], &Look::plain());
        let words: Vec<Vec<_>> =
            text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            words,
            [
                "a down 1000 512000 0 0 0 2010 128640 0 0 0".split(' ').collect::<Vec<_>>(),
                "b down - - - - - 1 64 0 0 0".split(' ').collect(),
            ]
        );
        let text = stats(&before, &now, &["b".to_owned()], &Look::plain());
        assert!(text.lines().count() == 2 && text.contains("\nb "), "{text}");
    }

    #[test]
    fn lines_for_programs_have_one_heading() {
        let (before, now) = samples();
        let only = ["a".to_owned()];
        assert_eq!(
            rate_lines(&before, &now, &only, None),
            format!("{HEADING}2.0 a 1000 512000 0 0 0\n")
        );
        assert_eq!(
            rate_lines(&before, &now, &only, Some(now.at - Duration::from_secs(7))),
            "7.0 a 1000 512000 0 0 0\n"
        );
    }
}
