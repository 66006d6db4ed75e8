//! Which lines are written: `info`, or `warn,strowger_vhost=debug`.

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::OWN;

/// What is logged if nobody says anything.
pub const STANDARD: &str = "info";

/// The crates whose lines there are.
const MODULES: &[&str] = &["strowger", "strowger_guestmem", "strowger_vhost", "strowger_vswitch"];

/// What is wrong with directives.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LevelError {
    /// There are none.
    #[error("a log level is missing: give off, error, warn, info, debug or trace")]
    Missing,
    /// A word that is no level.
    #[error(
        "'{0}' is no log level: give off, error, warn, info, debug or trace, alone or for a module as in 'info,strowger_vhost=debug'"
    )]
    NoLevel(String),
    /// A module that is not ours.
    #[error("there is no module '{0}' that logs: modules begin with {list}", list = MODULES.join(", "))]
    NoModule(String),
}

/// The directives, checked.
pub(super) fn read(directives: &str) -> Result<Targets, LevelError> {
    let mut targets = Targets::new();
    let mut any = false;
    for part in parts(directives) {
        any = true;
        match part.split_once('=') {
            None => targets = targets.with_default(level(part)?),
            Some((module, word)) => {
                let module = module.trim();
                let root = module.split("::").next().unwrap_or_default();
                if !MODULES.contains(&root) {
                    return Err(LevelError::NoModule(module.to_owned()));
                }
                targets = targets.with_target(module, level(word.trim())?);
            }
        }
    }
    if !any {
        return Err(LevelError::Missing);
    }
    Ok(targets.with_target(OWN, LevelFilter::TRACE))
}

/// Whether directives are understood.
///
/// # Errors
/// What is wrong with them.
pub fn check(directives: &str) -> Result<(), LevelError> {
    read(directives).map(drop)
}

/// The directives without what does not matter.
pub(super) fn shown(directives: &str) -> String {
    parts(directives).collect::<Vec<_>>().join(",")
}

fn parts(directives: &str) -> impl Iterator<Item = &str> {
    directives.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn level(word: &str) -> Result<LevelFilter, LevelError> {
    match word.to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(LevelError::NoLevel(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_longest_module_counts() {
        let targets = read("warn, strowger_vhost=debug,strowger_vhost::session=ERROR").unwrap();
        let writes = |module, level| targets.would_enable(module, &level);
        assert!(writes("strowger_vswitch::engine", Level::WARN));
        assert!(!writes("strowger_vswitch::engine", Level::INFO));
        assert!(writes("strowger_vhost::port", Level::DEBUG));
        assert!(!writes("strowger_vhost::session", Level::WARN));
        assert!(writes(OWN, Level::WARN), "what was suppressed is told whatever else is");
        assert!(read("off").unwrap().would_enable(OWN, &Level::WARN));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (directives, part) in [
            ("", "is missing"),
            (" , ", "is missing"),
            ("loud", "'loud' is no log level"),
            ("info,strowger_vhost=", "'' is no log level"),
            ("info,strowgr=debug", "no module 'strowgr'"),
            ("strowger_vhost", "'strowger_vhost' is no log level"),
        ] {
            let error = read(directives).unwrap_err().to_string();
            assert!(error.contains(part), "{directives}: {error}");
        }
        assert_eq!(shown(" info , ,strowger_vhost=debug"), "info,strowger_vhost=debug");
    }
}
