//! The switch's one binary: reads the command line, then is a switch or asks one.

#![forbid(unsafe_code)]

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use strowger_vswitch::{
    config::{
        Config,
        command::{Command, Output, Question},
    },
    control::{Drop, Request, Status, ask, drops_table, status_tables},
    log,
    signals::Ending,
    switch::{Switch, rundir::CONTROL_SOCKET},
};
use tracing::info;

/// Something did not work.
const FAILED: u8 = 1;
/// The command line was not understood.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
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
            let log = match start_log(log) {
                Ok(log) => log,
                Err(error) => return complain(&error, WRONG_USAGE),
            };
            let result = run(&config);
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

/// Is a switch until a signal ends it.
fn run(config: &Config) -> Result<(), String> {
    let mut ending = Ending::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
    let switch = Switch::start(config).map_err(|error| error.to_string())?;
    info!("ready");
    // Who started us may not care to read it.
    let _unread = writeln!(io::stdout(), "ready").and_then(|()| io::stdout().flush());
    ending.wait().map_err(|error| format!("cannot wait for signals: {error}"))?;
    info!("ending");
    switch.stop();
    Ok(())
}

/// Asks a switch and shows what it says.
fn answer(question: Question, rundir: &Path, output: Output) -> Result<(), String> {
    let socket = rundir.join(CONTROL_SOCKET);
    let text = match question {
        Question::Status => {
            let status: Status =
                ask(&socket, Request::Status).map_err(|error| error.to_string())?;
            show(&status, output, status_tables)
        }
        Question::Drops => {
            let drops: Vec<Drop> =
                ask(&socket, Request::Drops).map_err(|error| error.to_string())?;
            show(&drops, output, |drops| drops_table(drops))
        }
    }?;
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        // As in `strowger status | head -1`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write the answer: {error}"))
        }
        _ => Ok(()),
    }
}

fn show<T: serde::Serialize>(
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

/// Logs to stderr, what `--log` or `STROWGER_LOG` says and what is worth knowing otherwise.
fn start_log(wanted: Option<String>) -> Result<log::Handle, String> {
    let wanted = wanted
        .or_else(|| std::env::var("STROWGER_LOG").ok())
        .unwrap_or_else(|| log::STANDARD.to_owned());
    log::start(&wanted, log::Format::Text).map_err(|error| error.to_string())
}

/// One line that says what is wrong.
fn complain(error: &str, code: u8) -> ExitCode {
    // Nothing is left to be done if the terminal is gone.
    let _gone = writeln!(io::stderr(), "error: {}", error.replace('\n', " "));
    ExitCode::from(code)
}
