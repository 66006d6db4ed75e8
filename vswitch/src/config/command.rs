//! The command line.

use std::path::PathBuf;

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::ErrorKind,
};

use super::{
    Config, DEFAULT_MAC_AGEING, DEFAULT_MAC_LIMIT, DEFAULT_RUNDIR, Poll, SwitchConfig,
    flags::{self, Flag},
};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To be a switch.
    Run {
        /// What kind of switch.
        config: Box<Config>,
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
                let objects = run.objects(order)?;
                Ok(Self::Run { config: Box::new(run.config(objects)), log: run.log })
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
    /// A bridge; the ports and mirrors after it belong to it
    #[arg(long = "bridge", value_name = "NAME[,KEY=VALUE]…", required = true)]
    bridges: Vec<String>,
    /// A port of the bridge before it: vhost-user:NAME=PATH (the switch listens), vhost-user-client:NAME=PATH
    /// (the switch connects), tap:NAME[@NETNS], or dev:NAME[=INTERFACE]; then, with commas, number=N, tag=VID,
    /// trunks=10+20-30, native=VID, dot1q-tunnel=VID, queues=N, and the other keys of a port in a file
    #[arg(long = "port", value_name = "KIND:NAME[=PATH|@NETNS|=INTERFACE][,KEY=VALUE]…")]
    ports: Vec<String>,
    /// A mirror of the bridge before it
    #[arg(long = "mirror", value_name = "NAME,ports=A+B,to=C[,KEY=VALUE]…")]
    mirrors: Vec<String>,
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
    fn config(&self, objects: Config) -> Config {
        let switch = SwitchConfig {
            workers: self.workers.clone(),
            poll: match self.poll {
                PollFlag::Adaptive => Poll::Adaptive,
                PollFlag::Busy => Poll::Busy,
            },
            rundir: self.rundir.clone(),
            mac_ageing: self.mac_ageing,
            mac_limit: self.mac_limit,
            ..SwitchConfig::default()
        };
        Config { switch, ..objects }
    }

    /// Bridges, ports and mirrors, each of the last bridge before it.
    fn objects(&self, order: &ArgMatches) -> Result<Config, clap::Error> {
        let placed = |id, flag, texts: &'_ [String]| {
            let places = order.indices_of(id).into_iter().flatten();
            places
                .zip(texts.to_owned())
                .map(move |(place, text)| (place, flag, text))
                .collect::<Vec<_>>()
        };
        let mut all = [
            placed("bridges", Flag::Bridge, &self.bridges),
            placed("ports", Flag::Port, &self.ports),
            placed("mirrors", Flag::Mirror, &self.mirrors),
        ]
        .concat();
        all.sort_unstable_by_key(|&(place, ..)| place);
        flags::gather(all.iter().map(|(_, flag, text)| (*flag, text.as_str())))
            .map_err(|error| wrong_usage(&error.to_string()))
    }
}

impl AskFlags {
    fn command(self, question: Question) -> Command {
        Command::Ask { question, rundir: self.rundir, output: self.output }
    }
}

fn wrong_usage(what: &str) -> clap::Error {
    CommandLine::command().error(ErrorKind::ValueValidation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Command, clap::Error> {
        Command::from_words(std::iter::once("strowger").chain(words.split_whitespace()))
    }

    fn config(words: &str) -> Config {
        match read(words).unwrap() {
            Command::Run { config, .. } => *config,
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
            .keys()
            .map(|bridge| {
                (bridge.as_str(), config.ports_of(bridge).map(|(name, _)| name).collect())
            })
            .collect();
        assert_eq!(names, [("a", vec!["a1", "a2"]), ("b", vec!["b1"]), ("c", vec![])]);
    }

    #[test]
    fn flags_and_their_defaults() {
        let plain = config("run --bridge a");
        assert_eq!(plain.switch.rundir, PathBuf::from("/run/strowger"));
        assert_eq!((plain.switch.poll, plain.cores().len()), (Poll::Adaptive, 1));
        assert_eq!((plain.switch.mac_ageing, plain.switch.mac_limit), (300, 8192));
        let full = config(
            "run --workers 1,2 --poll busy --rundir /x --mac-ageing 10 --mac-limit 7 --bridge a",
        );
        assert_eq!((full.cores(), full.switch.poll), (vec![1, 2], Poll::Busy));
        assert_eq!((full.switch.mac_ageing, full.switch.mac_limit), (10, 7));
        assert_eq!(
            read("drops -o json --rundir /x").unwrap(),
            Command::Ask { question: Question::Drops, rundir: "/x".into(), output: Output::Json }
        );
    }

    #[test]
    fn wrong_usage_exits_with_2_and_says_what() {
        for (words, part) in [
            ("run --port tap:a1 --bridge a", "ports.a1: it comes before any --bridge"),
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
