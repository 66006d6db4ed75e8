//! Answers as text. Each function takes what the API said and gives lines that fit the look; none asks for anything.

mod changes;
mod drops;
mod port;
mod stats;
mod status;
mod worker;

pub(super) use changes::changes;
pub(super) use drops::drops;
pub(super) use port::port;
pub(super) use stats::{chosen, rate_lines, stats};
pub(super) use status::{bridges, mirrors, ports, stations, status};
pub(super) use worker::{worker_lines, workers};

use super::table::{Cell, Tone};

/// Whether something is up.
fn link(up: bool) -> Cell {
    if up { Cell::new("up", Tone::Good) } else { Cell::new("down", Tone::Weak) }
}

/// Names in a cell, or a dash for none.
fn names<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "-".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

/// A rate as a whole number, or a dash where it is not known.
fn whole(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"))
}

/// The same with one digit after the point.
fn tenths(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
}
