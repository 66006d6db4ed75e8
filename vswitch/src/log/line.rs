//! What a line looks like.

use std::{fmt, io::Stderr};

use rustix::fs::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    fmt::{
        self as lines, FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{Format as Formatter, Full, Json, Writer},
    },
    registry::LookupSpan,
};

use super::Format;

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) format: Format,
    /// With colours, for a terminal.
    pub(super) colours: bool,
    /// For the journal, which has its own time and takes the level from a line's first letters.
    pub(super) journal: bool,
}

/// Whether standard error is a stream to systemd's journal.
pub(super) fn is_journal(stderr: &Stderr) -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(stderr).is_ok_and(|file| named == format!("{}:{}", file.st_dev, file.st_ino))
}

/// The layer that writes lines.
pub(super) fn layer<S, W>(look: Look, writer: W) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let colours = look.colours && look.format == Format::Text && !look.journal;
    let formatter = match (look.format, look.journal) {
        (Format::Json, _) => Shape::Json(lines::format::json().flatten_event(true)),
        (Format::Text, false) => Shape::Text(lines::format()),
        (Format::Text, true) => Shape::Journal(lines::format().without_time()),
    };
    lines::layer()
        .with_ansi(colours)
        .with_writer(writer)
        .event_format(Line { shape: formatter, mark: look.journal })
}

/// One formatter for all looks.
struct Line {
    shape: Shape,
    /// With the level as `<N>` before it, as sd-daemon(3) has it.
    mark: bool,
}

enum Shape {
    Text(Formatter<Full>),
    Journal(Formatter<Full, ()>),
    Json(Formatter<Json>),
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.mark {
            write!(writer, "<{}>", syslog_level(*event.metadata().level()))?;
        }
        match &self.shape {
            Shape::Text(text) => text.format_event(context, writer, event),
            Shape::Journal(text) => text.format_event(context, writer, event),
            Shape::Json(json) => json.format_event(context, writer, event),
        }
    }
}

/// The number that syslog(3) has for a level.
fn syslog_level(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
