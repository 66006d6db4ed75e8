//! The log: lines on standard error that never hold up who writes them.
//!
//! * [`level`]: which lines are written, by level and module; changed while the switch runs.
//! * [`limit`]: a bound on the lines of one place in the program about one port, for a guest may cause them.
//! * [`writer`]: a bounded queue in front of a pipe that nobody may read; what does not fit is counted.
//! * [`line`]: what a line looks like: text, or JSON on request; with the journal's own marks if it is read by it.
//!
//! Everyone writes with `tracing`'s macros; a line about a port has its name in a field `port`. No room needs to know
//! this one, but those that start it and change its level.

mod level;
mod limit;
mod line;
mod writer;

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::{Dispatch, Level, Subscriber, dispatcher};
use tracing_subscriber::{
    Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, reload,
};
use utoipa::ToSchema;

pub use level::{LevelError, STANDARD, check};
use limit::{Limit, Suppressed};
use line::Look;
use writer::{Lines, Queue, Turn};

/// Where this room's own lines come from: they are always written, and never limited.
const OWN: &str = "strowger::log";
/// How long the end of the program waits for a reader of the log that reads no more.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = LogFormat)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line, for programs.
    Json,
}

/// Why there is no log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The directives are not understood.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// The system refused a thread.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
    /// Somebody has started one already.
    #[error("this program has a log already")]
    Started,
}

/// The log of this program, for those who change it while it runs.
#[derive(Clone)]
pub struct Handle {
    targets: reload::Handle<Targets, Registry>,
    level: Arc<std::sync::Mutex<String>>,
    lines: Lines,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("level", &self.level()).finish_non_exhaustive()
    }
}

/// Starts the log of this program, on standard error. `level` is a list of directives such as
/// `info,strowger_vhost=debug`.
///
/// # Errors
/// If the directives are wrong, or there is a log already.
pub fn start(level: &str, format: Format) -> Result<Handle, LogError> {
    let stderr = io::stderr();
    let look = Look {
        format,
        colours: stderr.is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()),
        journal: line::is_journal(&stderr),
    };
    let (log, handle, queue) = build(level, look)?;
    let log = Dispatch::new(log);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn({
            let (log, lines) = (log.clone(), handle.lines.clone());
            move || write_lines(&log, &queue, &lines, io::stderr())
        })
        .map_err(LogError::Thread)?;
    dispatcher::set_global_default(log).map_err(|_| LogError::Started)?;
    Ok(handle)
}

/// All layers, and the two ends of the queue of lines.
fn build(
    level: &str,
    look: Look,
) -> Result<(impl Subscriber + Send + Sync + use<>, Handle, Queue), LogError> {
    let targets = level::read(level)?;
    let (lines, queue) = writer::queue();
    let (filter, targets) = reload::Layer::new(targets);
    let limit = Limit::new(lines.limiter(), lines.clone());
    let log = tracing_subscriber::registry()
        .with(filter)
        .with(limit)
        .with(line::layer(look, LineWriter(lines.clone())));
    let handle = Handle { targets, level: Arc::new(level.to_owned().into()), lines };
    Ok((log, handle, queue))
}

impl Handle {
    /// Writes what these directives say from now on. Returns them as they are understood.
    ///
    /// # Errors
    /// What is wrong with them; nothing has changed then.
    pub fn set_level(&self, directives: &str) -> Result<String, LevelError> {
        let targets = level::read(directives)?;
        let now = level::shown(directives);
        let mut level = self.level.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Fails only if the log is gone; then there is nothing to change.
        if self.targets.reload(targets).is_ok() {
            level.clone_from(&now);
        }
        Ok(now)
    }

    /// The directives in force.
    #[must_use]
    pub fn level(&self) -> String {
        let level = self.level.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        level::shown(&level)
    }

    /// Lines that were lost because whoever reads the log is too slow.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lines.lost()
    }

    /// Waits until what was logged is written; not long.
    pub fn flush(&self) {
        self.lines.flush(LAST_WORDS);
    }
}

/// The log's thread: the only one that waits for whoever reads.
fn write_lines(log: &Dispatch, queue: &Queue, lines: &Lines, mut out: impl Write) {
    let mut told = 0;
    loop {
        match queue.next(lines.limiter().due()) {
            Turn::Line(line) => {
                // Nobody is left to be told if standard error is closed.
                let _gone = out.write_all(&line);
            }
            Turn::Flush(done) => {
                let _gone = out.flush();
                // Whoever waited may have given up.
                let _gone = done.send(());
            }
            Turn::Wake => {}
            Turn::End => return,
        }
        let lost = lines.lost();
        dispatcher::with_default(log, || {
            for one in lines.limiter().take_due(Instant::now()) {
                tell_suppressed(&one);
            }
            // Once for a burst: when there is room again.
            if lost > told && queue.has_room() {
                tracing::warn!(target: OWN, lines = lost - told,
                    "lines of this log were lost: whoever reads it is too slow");
                told = lost;
            }
        });
    }
}

/// The line that stands for those that were left out.
fn tell_suppressed(one: &Suppressed) {
    macro_rules! tell {
        ($level:expr) => {
            tracing::event!(target: OWN, $level, port = one.port.as_deref(), suppressed = one.lines,
                "suppressed {} more like this: {}", one.lines, one.example)
        };
    }
    match one.level {
        Level::ERROR => tell!(Level::ERROR),
        Level::WARN => tell!(Level::WARN),
        _ => tell!(Level::INFO),
    }
}

/// Makes the formatter write into the queue.
#[derive(Clone)]
struct LineWriter(Lines);

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

#[cfg(test)]
mod tests;
