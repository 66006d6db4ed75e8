//! Workers, and the queues that they serve.

use std::{fmt::Write, time::Instant};

use super::{tenths, whole};
use crate::{
    cli::{
        rates::{Between, Sample},
        screen::Look,
        table::{Cell, Column, Sheet, Tone},
    },
    control::Queue,
};

/// A worker is busy from this part of its time on.
const BUSY: f64 = 0.9;

/// How the workers did between two samples; then who serves which queue.
pub(in crate::cli) fn workers(before: &Sample, now: &Sample, look: &Look) -> String {
    let between = Between::new(before, now);
    let mut sheet = Sheet::new(&[
        Column::number("CORE"),
        Column::number("QUEUES"),
        Column::number("LOAD %"),
        Column::number("FRAMES/S"),
        Column::number("NS/FRAME"),
        Column::number("CYCLES/FRAME"),
        Column::number("MEAN BATCH"),
        Column::number("FRAMES").rank(1),
        Column::number("EMPTY POLLS").rank(3),
        Column::number("SLEEPS").rank(2),
    ]);
    for worker in &now.status.workers {
        let rate = between.worker(worker);
        let load = Cell::new(
            &tenths(rate.map(|rate| rate.load * 100.0)),
            if rate.is_some_and(|rate| rate.load >= BUSY) { Tone::Odd } else { Tone::Plain },
        );
        sheet.row(vec![
            worker.core.into(),
            worker.queues.into(),
            load,
            whole(rate.map(|rate| rate.frames_per_second)).into(),
            tenths(rate.and_then(|rate| rate.nanos_a_frame)).into(),
            tenths(rate.and_then(|rate| rate.cycles_a_frame)).into(),
            tenths(rate.and_then(|rate| rate.batch)).into(),
            worker.frames.into(),
            worker.empty_polls.into(),
            worker.sleeps.into(),
        ]);
    }
    let mut text = sheet.render(look);
    if !now.status.queues.is_empty() {
        text.push('\n');
        text += &queues(&now.status.queues, look);
    }
    text
}

/// The heading of [`worker_lines`].
const HEADING: &str = "SECONDS CORE LOAD% FRAMES/S NS/FRAME CYCLES/FRAME MEAN_BATCH\n";

/// The same for programs that read line by line: the seconds since the first sample, the core, its rates.
pub(in crate::cli) fn worker_lines(
    before: &Sample,
    now: &Sample,
    first: Option<Instant>,
) -> String {
    let between = Between::new(before, now);
    let since = now.at.saturating_duration_since(first.unwrap_or(before.at)).as_secs_f64();
    let mut text = if first.is_none() { HEADING.to_owned() } else { String::new() };
    for worker in &now.status.workers {
        let rate = between.worker(worker);
        let figures = [
            tenths(rate.map(|rate| rate.load * 100.0)),
            whole(rate.map(|rate| rate.frames_per_second)),
            tenths(rate.and_then(|rate| rate.nanos_a_frame)),
            tenths(rate.and_then(|rate| rate.cycles_a_frame)),
            tenths(rate.and_then(|rate| rate.batch)),
        ];
        // Writing to a String cannot fail.
        let _always_ok = writeln!(text, "{since:.1} {} {}", worker.core, figures.join(" "));
    }
    text
}

/// One line a queue, by worker.
fn queues(queues: &[Queue], look: &Look) -> String {
    let mut sheet = Sheet::new(&[
        Column::number("CORE"),
        Column::word("PORT"),
        Column::number("QUEUE"),
        Column::number("FRAMES"),
        Column::number("MEAN BATCH"),
    ]);
    let mut sorted: Vec<_> = queues.iter().collect();
    sorted.sort_by_key(|queue| queue.worker);
    for queue in sorted {
        let batch = (queue.batches > 0).then(|| queue.frames as f64 / queue.batches as f64);
        sheet.row(vec![
            queue.worker.into(),
            (&queue.port).into(),
            queue.pair.into(),
            queue.frames.into(),
            tenths(batch).into(),
        ]);
    }
    sheet.render(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Status, Worker};
    use std::time::Duration;

    #[test]
    fn workers_are_shown_with_their_load_and_queues() {
        let worker = |frames, busy_nanos, alive_nanos| Worker {
            core: 3,
            queues: 2,
            frames,
            batches: frames / 8,
            empty_polls: 5,
            sleeps: 6,
            busy_cycles: busy_nanos * 2,
            busy_nanos,
            alive_nanos,
            ..Worker::default()
        };
        let queue = |port: &str, worker| Queue {
            port: port.into(),
            pair: 1,
            worker,
            frames: 30,
            batches: 4,
        };
        let at = Instant::now();
        let status = |worker, queues| Status { workers: vec![worker], queues, ..Status::default() };
        let before = Sample { at, status: status(worker(80, 1000, 10_000), vec![]) };
        let now = Sample {
            at: at + Duration::from_secs(1),
            status: status(worker(1680, 81_000, 110_000), vec![queue("b", 4), queue("a", 3)]),
        };
        let words = |text: &str| -> Vec<Vec<String>> {
            text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
        };
        let text = workers(&before, &now, &Look::plain());
        assert_eq!(
            words(&text)[1],
            ["3", "2", "80.0", "16000000", "50.0", "100.0", "8.0", "1680", "5", "6"]
        );
        assert_eq!(words(&text)[4], ["3", "a", "1", "30", "7.5"]);
        assert_eq!(words(&text)[5], ["4", "b", "1", "30", "7.5"]);
        assert_eq!(
            worker_lines(&before, &now, None),
            format!("{HEADING}1.0 3 80.0 16000000 50.0 100.0 8.0\n")
        );
        assert_eq!(
            worker_lines(&before, &now, Some(now.at)),
            "0.0 3 80.0 16000000 50.0 100.0 8.0\n"
        );
        // No frame: nothing that it took.
        let text = workers(&before, &Sample { at: now.at, ..before.clone() }, &Look::plain());
        assert_eq!(words(&text)[1][2..7], ["0.0", "0", "-", "-", "-"]);
    }
}
