//! What was dropped, why, and what to do about it.

use std::fmt::Write;

use crate::{
    cli::{
        screen::Look,
        table::{Cell, Column, Sheet, Tone, printable, wrapped},
    },
    control::Drop,
};

/// Reasons with the most frames first; each explained once.
pub(in crate::cli) fn drops(drops: &[Drop], look: &Look) -> String {
    if drops.is_empty() {
        return "nothing was dropped\n".to_owned();
    }
    let mut reasons: Vec<(&Drop, u64)> = Vec::new();
    for drop in drops {
        match reasons.iter_mut().find(|(first, _)| first.reason == drop.reason) {
            Some((_, frames)) => *frames = frames.saturating_add(drop.frames),
            None => reasons.push((drop, drop.frames)),
        }
    }
    reasons.sort_by_key(|&(_, frames)| std::cmp::Reverse(frames));

    let mut sheet =
        Sheet::new(&[Column::word("REASON"), Column::word("PORT"), Column::number("FRAMES")]);
    for (reason, _) in &reasons {
        let mut ports: Vec<_> = drops.iter().filter(|drop| drop.reason == reason.reason).collect();
        ports.sort_by_key(|drop| std::cmp::Reverse(drop.frames));
        for drop in ports {
            sheet.row(vec![
                Cell::new(&drop.reason, Tone::Odd),
                (&drop.port).into(),
                drop.frames.into(),
            ]);
        }
    }
    let mut text = sheet.render(look);
    for (reason, frames) in &reasons {
        // Writing to a String cannot fail.
        let _always_ok = writeln!(
            text,
            "\n{} ({frames}): {}",
            look.paint(&printable(&reason.reason), Tone::Odd),
            folded(&reason.explanation, reason.reason.len() + frames.to_string().len() + 5, look)
        );
        if !reason.remedy.is_empty() {
            let _always_ok = writeln!(text, "  what to do: {}", folded(&reason.remedy, 14, look));
        }
    }
    text
}

/// A sentence after what already stands in its line, in as many lines as it needs.
fn folded(sentence: &str, before: usize, look: &Look) -> String {
    let sentence = printable(sentence);
    let Some(width) = look.width.map(usize::from) else { return sentence };
    let mark = "x".repeat(before.saturating_sub(1).max(1));
    let lines = wrapped(&format!("{mark} {sentence}"), width);
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let mut text = first.get(mark.len()..).unwrap_or_default().trim_start().to_owned();
    for line in lines.flat_map(|line| wrapped(&line, width.saturating_sub(2).max(1))) {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(port: &str, reason: &str, frames: u64) -> Drop {
        Drop {
            port: port.into(),
            reason: reason.into(),
            frames,
            explanation: format!("{reason} means that it was so"),
            remedy: "look at the sender's driver, or at who is scanning, and then once more".into(),
        }
    }

    #[test]
    fn no_drops_is_said() {
        assert_eq!(drops(&[], &Look::plain()), "nothing was dropped\n");
    }

    #[test]
    fn the_worst_reason_is_first_and_each_is_explained_once() {
        let all = [of("a", "truncated", 3), of("a", "queue_full", 2), of("b", "queue_full", 7)];
        let text = drops(&all, &Look::plain());
        let remedy =
            "  what to do: look at the sender's driver, or at who is scanning, and then once more";
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "REASON      PORT  FRAMES",
                "queue_full  b          7",
                "queue_full  a          2",
                "truncated   a          3",
                "",
                "queue_full (9): queue_full means that it was so",
                remedy,
                "",
                "truncated (3): truncated means that it was so",
                remedy,
            ]
        );
    }

    #[test]
    fn sentences_are_folded_where_the_terminal_ends() {
        for width in [20, 40, 57, 80] {
            let text =
                drops(&[of("a", "queue_full", 7)], &Look { width: Some(width), ..Look::plain() });
            assert!(
                text.lines().all(|line| line.chars().count() <= usize::from(width.max(26))),
                "{width}: {text}"
            );
            let words: Vec<_> = text.split_whitespace().collect();
            assert!(words.join(" ").ends_with("scanning, and then once more"), "{text}");
        }
    }
}
