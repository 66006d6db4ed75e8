//! The flags of `strowger run`: a configuration file, or bridges, ports and mirrors in their order; and what they say of
//! the switch itself, which a file may say too.

use std::path::PathBuf;

use clap::{ArgMatches, Args, ValueEnum};

use super::{
    Config, ConfigError, LogFormat, Poll,
    flags::{self, Flag},
};

/// What is said of the switch that is to run.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// A configuration file, instead of --bridge, --port and --mirror; - for standard input. Other flags go before
    /// what it says
    #[arg(long = "config", value_name = "FILE", conflicts_with_all = ["bridges", "ports", "mirrors"])]
    pub file: Option<PathBuf>,
    /// A bridge; the ports and mirrors after it belong to it
    #[arg(long = "bridge", value_name = "NAME[,KEY=VALUE]…", required_unless_present = "file")]
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
    /// What a worker does when there is nothing to forward [default: adaptive]
    #[arg(long, value_enum)]
    poll: Option<PollFlag>,
    /// The directory for the control socket and the lock [default: /run/strowger]
    #[arg(long, value_name = "DIR")]
    rundir: Option<PathBuf>,
    /// The directory where changes made by commands are kept, so that they survive a restart [default: none, they do
    /// not]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Seconds after which a silent station is forgotten [default: 300]
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=super::MAX_SECONDS))]
    mac_ageing: Option<u64>,
    /// The most stations that a bridge remembers [default: 8192]
    #[arg(long, value_name = "N")]
    mac_limit: Option<usize>,
    /// What is logged: off, error, warn, info, debug or trace, also by module as in info,strowger_vhost=debug
    /// [default: the environment variable STROWGER_LOG, or info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How it is logged [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<FormatFlag>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PollFlag {
    /// Sleep
    Adaptive,
    /// Go on asking: lowest latency, a whole core
    Busy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatFlag {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

impl RunFlags {
    /// What the flags say of the switch itself, over what is said of it already.
    #[must_use]
    pub fn over(&self, mut config: Config) -> Config {
        let switch = &mut config.switch;
        if !self.workers.is_empty() {
            switch.workers.clone_from(&self.workers);
        }
        if let Some(poll) = self.poll {
            switch.poll = match poll {
                PollFlag::Adaptive => Poll::Adaptive,
                PollFlag::Busy => Poll::Busy,
            };
        }
        if let Some(rundir) = &self.rundir {
            switch.rundir.clone_from(rundir);
        }
        if self.state.is_some() {
            switch.state.clone_from(&self.state);
        }
        switch.mac_ageing = self.mac_ageing.unwrap_or(switch.mac_ageing);
        switch.mac_limit = self.mac_limit.unwrap_or(switch.mac_limit);
        if let Some(level) = &self.log {
            config.log.level.clone_from(level);
        }
        if let Some(format) = self.log_format {
            config.log.format = match format {
                FormatFlag::Text => LogFormat::Text,
                FormatFlag::Json => LogFormat::Json,
            };
        }
        config
    }

    /// Bridges, ports and mirrors, each of the last bridge before it.
    ///
    /// # Errors
    /// The first that is not understood.
    pub fn objects(&self, order: &ArgMatches) -> Result<Config, ConfigError> {
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
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;
    use crate::config::DEFAULT_RUNDIR;

    fn read(words: &str) -> Result<(RunFlags, ArgMatches), clap::Error> {
        let command = RunFlags::augment_args(Command::new("run"));
        let words = std::iter::once("run").chain(words.split_whitespace());
        let matches = command.try_get_matches_from(words)?;
        Ok((RunFlags::from_arg_matches(&matches)?, matches))
    }

    /// What these flags after `run` make.
    fn config(words: &str) -> Config {
        let (flags, order) = read(words).unwrap();
        flags.over(flags.objects(&order).unwrap())
    }

    #[test]
    fn a_port_belongs_to_the_last_bridge_before_it() {
        let config = config(
            "--bridge a --port tap:a1 --port=tap:a2 --bridge=b --workers 0 --port tap:b1 --bridge c",
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
        let plain = config("--bridge a");
        assert_eq!(plain.switch.rundir, PathBuf::from(DEFAULT_RUNDIR));
        assert_eq!((plain.switch.poll, plain.cores().len()), (Poll::Adaptive, 1));
        assert_eq!((plain.switch.mac_ageing, plain.switch.mac_limit), (300, 8192));
        assert_eq!((plain.switch.state, plain.log.level.as_str()), (None, "info"));
        let full = config(
            "--workers 1,2 --poll busy --rundir /x --state /y --mac-ageing 10 --mac-limit 7 --log warn --log-format json --bridge a",
        );
        assert_eq!((full.cores(), full.switch.poll), (vec![1, 2], Poll::Busy));
        assert_eq!((full.switch.mac_ageing, full.switch.mac_limit), (10, 7));
        assert_eq!(full.switch.state, Some(PathBuf::from("/y")));
        assert_eq!((full.log.level.as_str(), full.log.format), ("warn", LogFormat::Json));
    }

    #[test]
    fn flags_go_before_the_file() {
        let file = crate::config::file::read(
            "[switch]\nworkers = [3]\nmac-limit = 5\npoll = \"busy\"\n[log]\nlevel = \"warn\"\n[bridges.br0]\n",
        )
        .unwrap();
        let (flags, _) = read("--config x.toml").unwrap();
        assert_eq!(flags.over(file.clone()), file);
        let (flags, _) = read("--config x.toml --workers 1 --mac-ageing 9 --log debug").unwrap();
        let config = flags.over(file);
        assert_eq!((config.switch.workers, config.switch.mac_limit), (vec![1], 5));
        assert_eq!((config.switch.mac_ageing, config.switch.poll), (9, Poll::Busy));
        assert_eq!((config.log.level.as_str(), config.bridges.len()), ("debug", 1));
    }

    #[test]
    fn wrong_usage_says_what() {
        for (words, part) in [
            ("--port tap:a1", "--bridge"),
            ("", "--bridge"),
            ("--bridge a --poll sometimes", "sometimes"),
            ("--bridge a --workers one", "one"),
            ("--bridge a --mac-ageing 0", "0"),
            ("--bridge a --config x", "cannot be used with"),
            ("--config x --port tap:t", "cannot be used with"),
            ("--bridge a --log-format xml", "xml"),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
            assert!(error.to_string().contains(part), "{words}: {error}");
        }
        for (words, part) in [
            ("--port tap:a1 --bridge a", "ports.a1: it comes before any --bridge"),
            ("--bridge a/b", "'a/b' is no name"),
            ("--bridge a --port tap:x=1", "a tap port has no path"),
        ] {
            let (flags, order) = read(words).unwrap();
            let error = flags.objects(&order).unwrap_err().to_string();
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
