//! Workers, and the queues that they serve.

use super::{tenths, whole};
use crate::{
    cli::{
        rates::{Between, Sample, WorkerRate},
        screen::Look,
        table::{Cell, Column, Sheet, Tone},
    },
    control::{Queue, Worker},
};

/// A worker is busy from this part of its time on.
const BUSY: f64 = 0.9;

/// How the workers did between two samples, or since they started; then who serves which queue.
pub(in crate::cli) fn workers(before: Option<&Sample>, now: &Sample, look: &Look) -> String {
    let between = before.map(|before| Between::new(before, now));
    let rate = |worker: &Worker| match &between {
        Some(between) => between.worker(worker),
        None => Some(WorkerRate::since_start(worker)),
    };
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
        let rate = rate(worker);
        let load = Cell::new(
            tenths(rate.map(|rate| rate.load * 100.0)),
            if rate.is_some_and(|rate| rate.load >= BUSY) { Tone::Odd } else { Tone::Plain },
        );
        sheet.row(vec![
            worker.core.into(),
            worker.queues.into(),
            load,
            whole(rate.map(|rate| rate.frames)).into(),
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
    use crate::control::Status;
    use std::time::{Duration, Instant};

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
        let text = workers(Some(&before), &now, &Look::plain());
        assert_eq!(
            words(&text)[1],
            ["3", "2", "80.0", "16000000", "50.0", "100.0", "8.0", "1680", "5", "6"]
        );
        assert_eq!(words(&text)[4], ["3", "a", "1", "30", "7.5"]);
        assert_eq!(words(&text)[5], ["4", "b", "1", "30", "7.5"]);
        let text = workers(None, &before, &Look::plain());
        assert_eq!(words(&text)[1][2..5], ["10.0", "8000000", "12.5"]);
        // No frame: nothing that it took.
        let text = workers(Some(&before), &Sample { at: now.at, ..before.clone() }, &Look::plain());
        assert_eq!(words(&text)[1][2..7], ["0.0", "0", "-", "-", "-"]);
    }
}
