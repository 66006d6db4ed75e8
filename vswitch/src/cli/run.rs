//! `strowger run`: a switch until a signal ends it.

use std::io::{self, Write};

use clap::ArgMatches;
use tracing::info;

use super::{Failure, files};
pub(super) use crate::config::command::RunFlags;
use crate::{
    config::{Config, LogFormat},
    log,
    service::Service,
    signals::Ending,
    switch::Switch,
};

/// `strowger run`, with its flags and their order.
pub(super) fn start(flags: &RunFlags, order: &ArgMatches) -> Result<(), Failure> {
    let config = match &flags.file {
        Some(file) => files::read(file).map_err(Failure::Failed)?.config,
        None => flags.objects(order).map_err(|error| Failure::usage(&error))?,
    };
    let mut config = flags.over(config);
    // Less than a flag, more than a file.
    if let Ok(level) = std::env::var("STROWGER_LOG")
        && flags.log.is_none()
    {
        config.log.level = level;
    }
    let format = match config.log.format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    let log =
        log::start(&config.log.level, format).map_err(|error| Failure::Usage(error.to_string()))?;
    let result = run(&config, &log);
    log.flush();
    result.map_err(Failure::Failed)
}

/// Is a switch until a signal ends it.
fn run(config: &Config, log: &log::Handle) -> Result<(), String> {
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
