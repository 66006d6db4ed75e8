//! A bound on the lines that one place in the program writes about one port.
//!
//! A guest that fails a thousand times a second would fill the disk of whoever keeps the log, and hide what others
//! have to say. So each place has [`LINES`] lines in a [`WINDOW`] for each port that it speaks of (its field `port`),
//! and one for what it says of no port; the rest is counted, and told in one line when the window is over. Only lines
//! of level `debug` and `trace`, which somebody asked for, have no bound.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{OWN, writer::Lines};

/// Lines in a window: what a connection that fails again and again at the shortest back-off would reach in 1 s.
const LINES: u32 = 10;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);
/// Places times ports that are told apart; above it the ports of a place share one bound.
const KEYS: usize = 4096;
/// As much of a line's text is kept as its example, and of a port's name to tell it from others.
const EXAMPLE_BYTES: usize = 160;

/// Which lines share a bound.
type Key = (Identifier, Option<Box<str>>);

/// What was written in the windows that are open, and what was not. Shared by the filter and the log's thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Limiter(Arc<Mutex<HashMap<Key, Window>>>);

/// What one place wrote since its window opened.
#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    suppressed: u64,
    level: Level,
    example: String,
}

/// Lines that were not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) level: Level,
    pub(super) port: Option<String>,
    pub(super) lines: u64,
    /// The text of the first of them.
    pub(super) example: String,
}

/// What comes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Written,
    /// The first of its window that is not written.
    FirstSuppressed,
    Suppressed,
}

impl Limiter {
    fn windows(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(
        &self,
        place: &'static Metadata<'static>,
        port: Option<Box<str>>,
        now: Instant,
        example: impl FnOnce() -> String,
    ) -> Fate {
        let mut windows = self.windows();
        let mut key = (place.callsite(), port);
        if windows.len() >= KEYS && !windows.contains_key(&key) {
            windows.retain(|_, window| window.suppressed > 0 || !window.is_over(now));
            if windows.len() >= KEYS {
                key.1 = None;
            }
        }
        let level = *place.level();
        let window = windows.entry(key).or_insert_with(|| Window::opened(level, now));
        // One with suppressed lines ends when they are told.
        if window.suppressed == 0 && window.is_over(now) {
            *window = Window::opened(level, now);
        }
        if window.lines < LINES {
            window.lines += 1;
            return Fate::Written;
        }
        window.suppressed += 1;
        if window.suppressed > 1 {
            return Fate::Suppressed;
        }
        window.example = example();
        Fate::FirstSuppressed
    }

    /// When lines that were suppressed are to be told, if there are any.
    pub(super) fn due(&self) -> Option<Instant> {
        let windows = self.windows();
        windows.values().filter(|one| one.suppressed > 0).map(|one| one.since + WINDOW).min()
    }

    /// What was suppressed in windows that are over. They are closed.
    pub(super) fn take_due(&self, now: Instant) -> Vec<Suppressed> {
        let mut windows = self.windows();
        let over = windows.extract_if(|_, one| one.suppressed > 0 && one.is_over(now));
        over.map(|((_, port), one)| Suppressed {
            level: one.level,
            port: port.map(Into::into),
            lines: one.suppressed,
            example: one.example,
        })
        .collect()
    }
}

impl Window {
    fn opened(level: Level, since: Instant) -> Self {
        Self { since, lines: 0, suppressed: 0, level, example: String::new() }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }
}

/// Asks the [`Limiter`] about each line.
#[derive(Debug)]
pub(super) struct Limit {
    limiter: Limiter,
    /// Wakes the log's thread, which tells what is suppressed.
    lines: Lines,
}

impl Limit {
    pub(super) fn new(limiter: Limiter, lines: Lines) -> Self {
        Self { limiter, lines }
    }
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let place = event.metadata();
        if *place.level() > Level::INFO || place.target() == OWN {
            return true;
        }
        let port = Text::of(event, "port").map(String::into_boxed_str);
        let example = || Text::of(event, "message").unwrap_or_default();
        match self.limiter.judge(place, port, Instant::now(), example) {
            Fate::Written => true,
            Fate::Suppressed => false,
            Fate::FirstSuppressed => {
                self.lines.wake();
                false
            }
        }
    }
}

/// The text of one field of a line, cut off.
struct Text {
    field: &'static str,
    text: Option<String>,
}

impl Text {
    fn of(event: &Event<'_>, field: &'static str) -> Option<String> {
        let mut text = Self { field, text: None };
        event.record(&mut text);
        text.text
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == self.field {
            let mut cut = Cut(String::new());
            // It stops when the bound is reached.
            let _cut_off = write!(cut, "{value:?}");
            self.text = Some(cut.0);
        }
    }
}

/// A text that takes no more than [`EXAMPLE_BYTES`].
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for letter in more.chars() {
            if self.0.len() + letter.len_utf8() > EXAMPLE_BYTES {
                self.0.push('…');
                return Err(fmt::Error);
            }
            self.0.push(letter);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{callsite, field::FieldSet, metadata::Kind, subscriber::Interest};

    struct Place(&'static Metadata<'static>);
    impl callsite::Callsite for Place {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            self.0
        }
    }
    macro_rules! place {
        ($name:ident) => {
            static $name: Place = {
                static DATA: Metadata<'static> = Metadata::new(
                    stringify!($name),
                    "strowger_vhost::test",
                    Level::WARN,
                    None,
                    None,
                    None,
                    FieldSet::new(&[], tracing::callsite::Identifier(&$name)),
                    Kind::EVENT,
                );
                Place(&DATA)
            };
        };
    }
    place!(HERE);
    place!(THERE);

    fn judge(limiter: &Limiter, place: &Place, port: Option<&str>, now: Instant) -> Fate {
        limiter.judge(place.0, port.map(Into::into), now, || "it fails".to_owned())
    }

    #[test]
    fn each_place_and_port_has_its_own_bound() {
        let limiter = Limiter::default();
        let start = Instant::now();
        for place in [&HERE, &THERE] {
            for port in [None, Some("vm1"), Some("vm2")] {
                for _ in 0..LINES {
                    assert_eq!(judge(&limiter, place, port, start), Fate::Written);
                }
                assert_eq!(judge(&limiter, place, port, start), Fate::FirstSuppressed);
                assert_eq!(judge(&limiter, place, port, start), Fate::Suppressed);
            }
        }
    }

    #[test]
    fn what_was_suppressed_is_told_once_when_the_window_is_over() {
        let limiter = Limiter::default();
        let start = Instant::now();
        for _ in 0..LINES {
            judge(&limiter, &HERE, Some("vm1"), start);
        }
        assert_eq!(limiter.due(), None, "nothing is suppressed yet");
        for _ in 0..7 {
            judge(&limiter, &HERE, Some("vm1"), start + WINDOW / 2);
        }
        assert_eq!(limiter.due(), Some(start + WINDOW));
        assert_eq!(limiter.take_due(start + WINDOW / 2), []);
        // Late as the log's thread may be, nothing is forgotten.
        assert_eq!(judge(&limiter, &HERE, Some("vm1"), start + 2 * WINDOW), Fate::Suppressed);
        let told = limiter.take_due(start + 2 * WINDOW);
        let one = Suppressed {
            level: Level::WARN,
            port: Some("vm1".to_owned()),
            lines: 8,
            example: "it fails".to_owned(),
        };
        assert_eq!(told, [one]);
        assert_eq!(limiter.due(), None);
        assert_eq!(judge(&limiter, &HERE, Some("vm1"), start + 2 * WINDOW), Fate::Written);
    }

    #[test]
    fn a_quiet_window_is_followed_by_a_full_one() {
        let limiter = Limiter::default();
        let start = Instant::now();
        for round in 0..3 {
            for _ in 0..LINES {
                let now = start + WINDOW * round;
                assert_eq!(judge(&limiter, &HERE, None, now), Fate::Written);
            }
        }
    }

    #[test]
    fn names_of_ports_do_not_fill_memory() {
        let limiter = Limiter::default();
        let start = Instant::now();
        for port in 0..KEYS * 2 {
            judge(&limiter, &HERE, Some(&format!("p{port}")), start);
        }
        assert!(limiter.windows().len() <= KEYS + 1, "{}", limiter.windows().len());
        assert!(limiter.windows().contains_key(&(HERE.0.callsite(), None)), "they share one then");
        judge(&limiter, &HERE, Some("late"), start + WINDOW);
        assert!(limiter.windows().len() <= 2, "those that are over make room");
    }

    #[test]
    fn an_example_is_cut_off_at_a_letter() {
        let mut cut = Cut(String::new());
        assert!(write!(cut, "{}", "é".repeat(EXAMPLE_BYTES)).is_err());
        assert_eq!(cut.0, format!("{}…", "é".repeat(EXAMPLE_BYTES / 2)));
    }
}
