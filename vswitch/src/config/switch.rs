//! The daemon itself, its API and its log.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustix::thread::{CpuSet, sched_getaffinity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    DEFAULT_MAC_AGEING, DEFAULT_MAC_LIMIT, DEFAULT_RUNDIR, LogFormat, MAX_SECONDS, MAX_STATIONS,
    Poll, SocketMode, is_default,
    keys::{Form, Key, Section},
};
use crate::log;

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SwitchConfig {
    /// The forwarding cores, one worker each. Keep other work off them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<usize>,
    /// What a worker does when there is nothing to forward: sleep (`adaptive`), or keep on asking (`busy`: lowest
    /// latency, a whole core).
    #[serde(skip_serializing_if = "is_default")]
    pub poll: Poll,
    /// The directory of the control socket and the lock; one switch a directory.
    #[serde(skip_serializing_if = "is_default_rundir")]
    #[schema(value_type = String)]
    pub rundir: PathBuf,
    /// The directory where changes made over the API and the ports' numbers are kept, so that they survive a
    /// restart. Without it nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub state: Option<PathBuf>,
    /// Seconds after which a silent station is forgotten, on bridges that do not say.
    #[serde(skip_serializing_if = "is_default_ageing")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub mac_ageing: u64,
    /// The most stations that a bridge remembers, on bridges that do not say; its ports share them fairly.
    #[serde(skip_serializing_if = "is_default_limit")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub mac_limit: usize,
}

/// How the switch is asked and changed while it runs: always by a UNIX socket in the run directory, and by TCP with
/// TLS where that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ApiConfig {
    /// Who may use the control socket, by its file mode in octal.
    #[serde(skip_serializing_if = "is_default")]
    pub socket_mode: SocketMode,
    /// The group that the control socket is given to, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_group: Option<String>,
    /// Where the API also listens by TCP, always with TLS and client certificates: needs `certificate`, `key` and
    /// `client-ca`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0.0.0.0:6650")]
    pub listen: Option<SocketAddr>,
    /// The file of the server's certificate and those above it (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub certificate: Option<PathBuf>,
    /// The file of the certificate's private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key: Option<PathBuf>,
    /// The file of the authorities whose client certificates are let in (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub client_ca: Option<PathBuf>,
}

/// What is logged to standard error, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LogConfig {
    /// What is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`, also by module as in
    /// `info,strowger_vhost=debug`.
    #[serde(skip_serializing_if = "is_default_level")]
    pub level: String,
    /// Lines for people, or one JSON object a line.
    #[serde(skip_serializing_if = "is_default")]
    pub format: LogFormat,
}

const DEFAULT_LEVEL: &str = log::STANDARD;

impl Default for SwitchConfig {
    fn default() -> Self {
        Self {
            workers: Vec::new(),
            poll: Poll::default(),
            rundir: DEFAULT_RUNDIR.into(),
            state: None,
            mac_ageing: DEFAULT_MAC_AGEING,
            mac_limit: DEFAULT_MAC_LIMIT,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: DEFAULT_LEVEL.to_owned(), format: LogFormat::default() }
    }
}

fn is_default_rundir(rundir: &Path) -> bool {
    rundir == Path::new(DEFAULT_RUNDIR)
}

fn is_default_ageing(seconds: &u64) -> bool {
    *seconds == DEFAULT_MAC_AGEING
}

fn is_default_limit(stations: &usize) -> bool {
    *stations == DEFAULT_MAC_LIMIT
}

fn is_default_level(level: &str) -> bool {
    level == DEFAULT_LEVEL
}

impl Section for SwitchConfig {
    const WHAT: &'static str = "the switch";
    const KEYS: &'static [Key] = &[
        Key::new("workers", Form::List(&CORE)).shown_default("core 1, or the second allowed"),
        Key::new("poll", Form::Choice(&["adaptive", "busy"])).default("adaptive"),
        Key::new("rundir", Form::Path).default(DEFAULT_RUNDIR),
        Key::new("state", Form::Path),
        Key::new("mac-ageing", SECONDS).default("300"),
        Key::new("mac-limit", STATIONS).default("8192"),
    ];
}

const CORE: Form =
    Form::Number { what: "a core's number", low: 0, high: CpuSet::MAX_CPU as u64 - 1 };
pub(super) const SECONDS: Form =
    Form::Number { what: "a number of seconds", low: 1, high: MAX_SECONDS };
pub(super) const STATIONS: Form =
    Form::Number { what: "a number of stations", low: 1, high: MAX_STATIONS as u64 };

impl Section for ApiConfig {
    const WHAT: &'static str = "the API";
    const KEYS: &'static [Key] = &[
        Key::new("socket-mode", Form::SocketMode).default("0600"),
        Key::new("socket-group", Form::Text("the name or number of a group")),
        Key::new("listen", Form::Address),
        Key::new("certificate", Form::Path),
        Key::new("key", Form::Path),
        Key::new("client-ca", Form::Path),
    ];
}

impl Section for LogConfig {
    const WHAT: &'static str = "the log";
    const KEYS: &'static [Key] = &[
        Key::new("level", Form::Directives).default(DEFAULT_LEVEL),
        Key::new("format", Form::Choice(&["text", "json"])).default("text"),
    ];
}

/// The second core that this process may run on, since the kernel likes to do its own work on the first; the first
/// if there is no other.
pub(super) fn default_core() -> usize {
    // Without an answer core 0 is as good a guess as any: the engine says so if it is not there.
    let Ok(allowed) = sched_getaffinity(None) else { return 0 };
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let first = cores.next().unwrap_or(0);
    cores.next().unwrap_or(first)
}
