//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::ErrorKind,
};

use rustix::thread::{CpuSet, sched_getaffinity};

use super::{BridgeConfig, Config, DEFAULT_RUNDIR, PortConfig, port::checked_name};
use crate::engine::Poll;

/// Seconds after which a silent station is forgotten (IEEE 802.1Q, table 8-6).
const DEFAULT_MAC_AGEING: u64 = 300;
/// Stations that a bridge remembers.
const DEFAULT_MAC_LIMIT: usize = 8192;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be a switch.
    Run {
        /// What kind of switch.
        config: Config,
        /// What is logged, if the user said so.
        log: Option<String>,
    },
    /// To be told how a running switch is.
    Ask {
        /// What to ask it for.
        question: Question,
        /// Whose run directory.
        rundir: PathBuf,
        /// How the answer is shown.
        output: Output,
    },
}

/// What a running switch can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Workers, bridges and ports.
    Status,
    /// What was dropped, and why.
    Drops,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned tables for people.
    Text,
    /// One JSON document.
    Json,
}

impl Command {
    /// Reads the words after the program's name, and that name before them.
    ///
    /// # Errors
    /// Wrong usage, or a request for help or the version: print it and exit with its code.
    pub fn from_words<I, T>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let matches = CommandLine::command().try_get_matches_from(words)?;
        match (CommandLine::from_arg_matches(&matches)?.verb, matches.subcommand()) {
            (Verb::Run(run), Some((_, order))) => {
                let bridges = bridges(&run, order)?;
                Ok(Self::Run { config: run.config(bridges), log: run.log })
            }
            (Verb::Status(ask), _) => Ok(ask.command(Question::Status)),
            (Verb::Drops(ask), _) => Ok(ask.command(Question::Drops)),
            (Verb::Run(_), None) => Err(wrong_usage("no command is given")),
        }
    }
}

/// A virtual switch in user space: virtual machines by vhost-user, containers by TAP.
#[derive(Debug, Parser)]
#[command(name = "strowger", version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs a switch until SIGTERM or SIGINT.
    Run(RunFlags),
    /// Shows the workers, bridges and ports of a running switch.
    Status(AskFlags),
    /// Shows how many frames a running switch dropped, and why.
    Drops(AskFlags),
}

#[derive(Debug, Args)]
struct RunFlags {
    /// A bridge; the ports after it belong to it
    #[arg(long = "bridge", value_name = "NAME", value_parser = checked_name, required = true)]
    bridges: Vec<String>,
    /// A port of the bridge before it: vhost-user:NAME=PATH (the switch listens), vhost-user-client:NAME=PATH
    /// (the switch connects), or tap:NAME[@NETNS]; then, with commas, number=N, tag=VID, trunks=10+20-30,
    /// native=VID, dot1q-tunnel=VID, queues=N
    #[arg(long = "port", value_name = "KIND:NAME[=PATH|@NETNS][,KEY=VALUE]…")]
    ports: Vec<PortConfig>,
    /// The forwarding cores, one worker each [default: core 1, or the second of those allowed]
    #[arg(long, value_name = "CORE[,CORE]…", value_delimiter = ',')]
    workers: Vec<usize>,
    /// What a worker does when there is nothing to forward: sleep, or keep on asking
    #[arg(long, value_enum, default_value_t = PollFlag::Adaptive)]
    poll: PollFlag,
    /// The directory for sockets and state
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUNDIR)]
    rundir: PathBuf,
    /// Seconds after which a silent station is forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_MAC_AGEING)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    mac_ageing: u64,
    /// The most stations that a bridge remembers
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAC_LIMIT)]
    mac_limit: usize,
    /// What is logged: error, warn, info, debug or trace, also by module as in info,strowger_vhost=debug
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PollFlag {
    Adaptive,
    Busy,
}

#[derive(Debug, Args)]
struct AskFlags {
    /// The run directory of the switch to ask
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUNDIR)]
    rundir: PathBuf,
    /// How the answer is shown
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl RunFlags {
    fn config(&self, bridges: Vec<BridgeConfig>) -> Config {
        Config {
            bridges,
            cores: if self.workers.is_empty() {
                vec![default_core()]
            } else {
                self.workers.clone()
            },
            poll: match self.poll {
                PollFlag::Adaptive => Poll::Adaptive,
                PollFlag::Busy => Poll::Busy,
            },
            rundir: self.rundir.clone(),
            mac_ageing: Duration::from_secs(self.mac_ageing),
            mac_limit: self.mac_limit,
        }
    }
}

impl AskFlags {
    fn command(self, question: Question) -> Command {
        Command::Ask { question, rundir: self.rundir, output: self.output }
    }
}

/// Gives each port to the last bridge before it.
fn bridges(run: &RunFlags, order: &ArgMatches) -> Result<Vec<BridgeConfig>, clap::Error> {
    let places = |flag| order.indices_of(flag).into_iter().flatten();
    let mut bridges: Vec<_> =
        run.bridges.iter().map(|name| BridgeConfig { name: name.clone(), ports: vec![] }).collect();
    let starts: Vec<usize> = places("bridges").collect();
    for (port, place) in run.ports.iter().zip(places("ports")) {
        let before = starts.partition_point(|&start| start < place);
        match before.checked_sub(1).and_then(|last| bridges.get_mut(last)) {
            Some(bridge) => bridge.ports.push(port.clone()),
            None => {
                return Err(wrong_usage(&format!(
                    "port '{}' comes before any --bridge",
                    port.name
                )));
            }
        }
    }
    Ok(bridges)
}

fn wrong_usage(what: &str) -> clap::Error {
    CommandLine::command().error(ErrorKind::ValueValidation, what)
}

/// The second core that this process may run on, since the kernel likes to do its own work on the first; the first
/// if there is no other.
fn default_core() -> usize {
    // Without an answer core 0 is as good a guess as any: the engine says so if it is not there.
    let Ok(allowed) = sched_getaffinity(None) else { return 0 };
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    let first = cores.next().unwrap_or(0);
    cores.next().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Command, clap::Error> {
        Command::from_words(std::iter::once("strowger").chain(words.split_whitespace()))
    }

    fn config(words: &str) -> Config {
        match read(words).unwrap() {
            Command::Run { config, .. } => config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_port_belongs_to_the_last_bridge_before_it() {
        let config = config(
            "run --bridge a --port tap:a1 --port=tap:a2 --bridge=b --workers 0 --port tap:b1 --bridge c",
        );
        let names: Vec<(_, Vec<_>)> = config
            .bridges
            .iter()
            .map(|bridge| {
                (bridge.name.as_str(), bridge.ports.iter().map(|port| port.name.as_str()).collect())
            })
            .collect();
        assert_eq!(names, [("a", vec!["a1", "a2"]), ("b", vec!["b1"]), ("c", vec![])]);
    }

    #[test]
    fn flags_and_their_defaults() {
        let plain = config("run --bridge a");
        assert_eq!(plain.rundir, PathBuf::from("/run/strowger"));
        assert_eq!((plain.poll, plain.cores.len()), (Poll::Adaptive, 1));
        assert_eq!((plain.mac_ageing, plain.mac_limit), (Duration::from_secs(300), 8192));
        let full = config(
            "run --workers 1,2 --poll busy --rundir /x --mac-ageing 10 --mac-limit 7 --bridge a",
        );
        assert_eq!((full.cores, full.poll), (vec![1, 2], Poll::Busy));
        assert_eq!((full.mac_ageing, full.mac_limit), (Duration::from_secs(10), 7));
        assert_eq!(
            read("drops -o json --rundir /x").unwrap(),
            Command::Ask { question: Question::Drops, rundir: "/x".into(), output: Output::Json }
        );
    }

    #[test]
    fn wrong_usage_exits_with_2_and_says_what() {
        for (words, part) in [
            ("run --port tap:a1 --bridge a", "port 'a1' comes before any --bridge"),
            ("run --port tap:a1", "--bridge"),
            ("run", "--bridge"),
            ("run --bridge a/b", "'a/b' is no name"),
            ("run --bridge a --port tap:x=1", "a tap port has no path"),
            ("run --bridge a --poll sometimes", "sometimes"),
            ("run --bridge a --workers one", "one"),
            ("run --bridge a --mac-ageing 0", "0"),
            ("fly", "fly"),
            ("status -o xml", "xml"),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
            assert!(error.to_string().contains(part), "{words}: {error}");
        }
        assert_eq!(read("--version").unwrap_err().exit_code(), 0);
    }
}
