//! `strowger run`: a switch until a signal ends it.

use std::io::{self, Write};

use tracing::info;

use crate::{config::Config, log, service::Service, signals::Ending, switch::Switch};

/// Is a switch until a signal ends it.
pub(super) fn run(config: &Config, log: &log::Handle) -> Result<(), String> {
    let mut ending = Ending::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
    let switch =
        Switch::start_with_log(config, Some(log.clone())).map_err(|error| error.to_string())?;
    info!("ready");
    let service = Service::ready(switch.engine())
        .map_err(|error| format!("cannot start the watchdog's thread: {error}"))?;
    // Who started us may not care to read it.
    let _unread = writeln!(io::stdout(), "ready").and_then(|()| io::stdout().flush());
    ending.wait().map_err(|error| format!("cannot wait for signals: {error}"))?;
    info!("ending");
    service.stopping();
    switch.stop();
    Ok(())
}

/// Logs to stderr, what `--log` or `STROWGER_LOG` says and what is worth knowing otherwise.
pub(super) fn start_log(wanted: Option<String>) -> Result<log::Handle, String> {
    let wanted = wanted
        .or_else(|| std::env::var("STROWGER_LOG").ok())
        .unwrap_or_else(|| log::STANDARD.to_owned());
    log::start(&wanted, log::Format::Text).map_err(|error| error.to_string())
}
