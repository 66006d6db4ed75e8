//! The command line: what a person types, what a switch is asked for it, and how the answer looks.
//!
//! * [`run`]: the one command that is a switch.
//! * [`rates`]: what two samples of counters say of the time between them.
//! * [`show`]: answers as text, in [`table`]s with [`units`].
//! * [`screen`]: the terminal, or the pipe, that they are written to.
//!
//! Knows a running switch by its API only, and opens nothing of it but for `run`.

#![allow(dead_code, unused_imports, reason = "the commands that show the rest come with the API")]

mod rates;
mod run;
mod screen;
mod show;
mod table;
mod units;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use crate::{
    config::command::{Command, Output, Question},
    control::{Client, Drop, Status},
    switch::rundir::CONTROL_SOCKET,
};
use screen::{Colour, Look, Unwritten};

/// Something did not work.
const FAILED: u8 = 1;
/// The command line was not understood.
const WRONG_USAGE: u8 = 2;

/// Does what the process's arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Command::from_words(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            // Nothing is left to be done if the terminal is gone.
            let _gone = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE));
        }
    };
    let result = match command {
        Command::Run { config, log } => {
            let log = match run::start_log(log) {
                Ok(log) => log,
                Err(error) => return complain(&error, WRONG_USAGE),
            };
            let result = run::run(&config, &log);
            log.flush();
            result
        }
        Command::Ask { question, rundir, output } => answer(question, &rundir, output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, FAILED),
    }
}

/// Asks a switch and shows what it says.
fn answer(question: Question, rundir: &Path, output: Output) -> Result<(), String> {
    let client = Client::unix(rundir.join(CONTROL_SOCKET));
    let look = Look::of_stdout(Colour::Auto);
    let text = match question {
        Question::Status => {
            let status: Status = client.get("/v1/status").map_err(|error| error.to_string())?;
            shown(&status, output, |status| show::status(status, &look))
        }
        Question::Drops => {
            let drops: Vec<Drop> = client.get("/v1/drops").map_err(|error| error.to_string())?;
            shown(&drops, output, |drops| show::drops(drops, &look))
        }
    }?;
    match screen::write(&text) {
        Ok(()) | Err(Unwritten::NotWanted) => Ok(()),
        Err(Unwritten::Failed(error)) => Err(format!("cannot write the answer: {error}")),
    }
}

fn shown<T: serde::Serialize>(
    answer: &T,
    output: Output,
    table: impl Fn(&T) -> String,
) -> Result<String, String> {
    match output {
        Output::Text => Ok(table(answer)),
        Output::Json => {
            let json = serde_json::to_string_pretty(answer).map_err(|error| error.to_string())?;
            Ok(json + "\n")
        }
    }
}

/// One line that says what is wrong.
fn complain(error: &str, code: u8) -> ExitCode {
    // Nothing is left to be done if the terminal is gone.
    let _gone = writeln!(io::stderr(), "error: {}", error.replace('\n', " "));
    ExitCode::from(code)
}
