//! The command line: what a person types, what a switch is asked for it, and how the answer looks.
//!
//! * [`arguments`]: the words.
//! * [`run`]: the one command that is a switch.
//! * [`request`]: what a command asks of the switch: pure; [`ask`]: asking it.
//! * [`files`]: configuration files, applied, checked and written.
//! * [`capture`]: frames and drops, into files or a pipe.
//! * [`rates`]: what two samples of counters say of the time between them; [`watch`]: taking them.
//! * [`show`]: answers as text, in [`table`]s with [`units`]; [`screen`]: the terminal or pipe that they go to.
//! * [`top`]: the page that goes on.
//! * [`generate`]: completions and manual pages.
//!
//! Knows a running switch by its API only, and opens nothing of it but for `run`.

mod arguments;
mod ask;
mod capture;
mod files;
mod generate;
mod rates;
#[cfg(test)]
mod reference;
mod request;
mod run;
mod screen;
mod show;
mod table;
mod top;
mod units;
mod watch;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::config::ConfigError;
use arguments::{CommandLine, TopFlags, Verb, WorkerVerb};
use screen::Unwritten;

/// Something did not work.
const FAILED: u8 = 1;
/// The command line was not understood.
const WRONG_USAGE: u8 = 2;

/// Why a command ends otherwise than it should.
#[derive(Debug)]
enum Failure {
    /// The words were wrong.
    Usage(String),
    /// It did not work.
    Failed(String),
    /// Nobody wants the rest of the answer, which is no failure.
    NotWanted,
}

impl Failure {
    fn usage(error: &ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<Unwritten> for Failure {
    fn from(why: Unwritten) -> Self {
        match why {
            Unwritten::NotWanted => Self::NotWanted,
            Unwritten::Failed(error) => Self::Failed(format!("cannot write the answer: {error}")),
        }
    }
}

/// Does what the process's arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let words = CommandLine::command().try_get_matches();
    let read = words.and_then(|words| Ok((CommandLine::from_arg_matches(&words)?.verb, words)));
    let result = match read {
        Ok((verb, words)) => perform(verb, &words),
        Err(error) => {
            // Nothing is left to be done if the terminal is gone.
            let _gone = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE));
        }
    };
    match result {
        Ok(()) | Err(Failure::NotWanted) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, WRONG_USAGE),
        Err(Failure::Failed(error)) => complain(&error, FAILED),
    }
}

fn perform(verb: Verb, words: &ArgMatches) -> Result<(), Failure> {
    match verb {
        Verb::Run(flags) => {
            // There are words after `run`, or it would not have been read.
            let order = words.subcommand().map_or(words, |(_, order)| order);
            run::start(&flags, order)
        }
        Verb::Apply(flags) => files::apply(&flags),
        Verb::Config { verb } => files::config(&verb),
        Verb::Status(asking) => ask::show_status(&asking),
        Verb::Bridge { verb } => ask::bridge(&verb),
        Verb::Port { verb } => ask::port(&verb),
        Verb::Mirror { verb } => ask::mirror(&verb),
        Verb::Mac { verb } => ask::mac(&verb),
        Verb::Stats(flags) => watch::stats(&flags),
        Verb::Drops(flags) => ask::drops(&flags),
        Verb::Worker { verb: WorkerVerb::List { watch, asking } } => watch::workers(&asking, watch),
        Verb::Log { verb } => ask::log(&verb),
        Verb::Capture(flags) => capture::capture(&flags),
        Verb::Top(flags) => show_top(&flags),
        Verb::Completions { shell } => generate::completions(shell),
        Verb::Man { directory } => generate::man(&directory),
    }
}

/// `strowger top`.
fn show_top(flags: &TopFlags) -> Result<(), Failure> {
    let client = ask::client(&flags.which)?;
    let status = move || match ask::status(&client) {
        Ok(status) => Ok(status),
        Err(Failure::Usage(error) | Failure::Failed(error)) => Err(error),
        Err(Failure::NotWanted) => Err("the answer is not wanted".to_owned()),
    };
    top::top(ask::name(&flags.which), flags.interval, status).map_err(Failure::Failed)
}

/// One line that says what is wrong.
fn complain(error: &str, code: u8) -> ExitCode {
    // Nothing is left to be done if the terminal is gone.
    let _gone = writeln!(io::stderr(), "error: {}", error.replace('\n', " "));
    ExitCode::from(code)
}
