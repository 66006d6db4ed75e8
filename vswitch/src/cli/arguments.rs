//! The words of the command line.
//!
//! One shape for all: `strowger THING VERB NAME KEY=VALUE…`, with the keys of the configuration file. Every command
//! that asks a switch takes the same flags to say which, and every command that answers takes the same to say how.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{capture::CaptureFlags, run::RunFlags, screen::Colour};
use crate::config::{self, DEFAULT_RUNDIR};

/// A virtual switch in user space: virtual machines by vhost-user, containers by TAP, interfaces that are there.
///
/// `strowger run` is the switch. Everything else asks a switch that runs, or reads a configuration file.
#[derive(Debug, Parser)]
#[command(
    name = "strowger",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Example:
  strowger run --bridge br0 --port vhost-user:vm1=/run/strowger/vm1.sock
  strowger port add tap:eth0@blue bridge=br0 tag=10
  strowger status

Exit codes: 0 done, 1 it did not work (one line on standard error says why), 2 wrong usage."
)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Be a switch, until SIGTERM or SIGINT
    #[command(after_help = "Example:
  strowger run --config /etc/strowger/strowger.toml
  strowger run --bridge br0 --port vhost-user:vm1=/run/strowger/vm1.sock,tag=10 --port tap:eth0@blue")]
    Run(Box<RunFlags>),
    /// Make the running switch what a configuration file says, changing only what differs
    ///
    /// Says what it changed, one line each: `+` made, `~` changed, `-` removed. If one line of the file is wrong, or
    /// one change cannot be made, nothing is changed at all.
    #[command(after_help = "Example:
  strowger apply -f /etc/strowger/strowger.toml --dry-run
  strowger apply -f /etc/strowger/strowger.toml")]
    Apply(ApplyFlags),
    /// Check a configuration file, or show the running configuration
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger config check strowger.toml
  strowger config show -w strowger.toml")]
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Show workers, bridges, ports and mirrors
    #[command(after_help = "Example:
  strowger status
  strowger status -o json")]
    Status(Asking),
    /// Add, change, remove or list bridges
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger bridge add br1 mac-ageing=60
  strowger bridge list")]
    Bridge {
        #[command(subcommand)]
        verb: BridgeVerb,
    },
    /// Add, change, remove, list or show ports
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger port add vhost-user:vm1=/run/strowger/vm1.sock bridge=br0 tag=10
  strowger port show vm1")]
    Port {
        #[command(subcommand)]
        verb: PortVerb,
    },
    /// Add, change, remove or list mirrors
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger mirror add watch bridge=br0 ports=vm1+vm2 to=span0
  strowger mirror list")]
    Mirror {
        #[command(subcommand)]
        verb: MirrorVerb,
    },
    /// List or forget the stations (MAC addresses) that bridges remember
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger mac list --bridge br0
  strowger mac flush --port vm1")]
    Mac {
        #[command(subcommand)]
        verb: MacVerb,
    },
    /// Show ports' rates and counters
    ///
    /// Rates are those of the second after the question; counters are those since the switch or the port began. rx is
    /// into the switch, tx out of it; bits and bytes are counted from the Ethernet header on.
    ///
    /// With -o json: the ports of GET /v1/status, at once; with --watch too, one object of rates a line.
    #[command(after_help = "Example:
  strowger stats
  strowger stats vm1 vm2 --watch 5")]
    Stats(StatsFlags),
    /// Show what was dropped by reason and port, what it means and what to do
    #[command(after_help = "Example:
  strowger drops
  strowger drops vm1")]
    Drops(DropsFlags),
    /// List the workers
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger worker list")]
    Worker {
        #[command(subcommand)]
        verb: WorkerVerb,
    },
    /// Show or change what the switch logs
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:
  strowger log level debug")]
    Log {
        #[command(subcommand)]
        verb: LogVerb,
    },
    /// Capture frames and drops of ports as pcapng, without stopping traffic
    ///
    /// Received frames are shown as they came in, sent ones as they were handed to the port; a frame that was dropped
    /// has the reason as its comment. What comes faster than it is read is lost to the capture, never to the switch,
    /// and counted: at the end of the command, and in the file for each port.
    ///
    /// A filter has the words of pcap-filter(7): host, net, port and portrange with src and dst; ether host, ether
    /// proto; ip, ip6, arp, rarp, tcp, udp, sctp, icmp, icmp6, proto; vlan, less, greater, broadcast, multicast; and,
    /// or, not. All of them look behind VLAN tags.
    #[command(after_help = "Example:
  strowger capture vm1 -w vm1.pcapng
  strowger capture vm1 eth0 -w - --filter arp
  strowger capture --drops-only -w drops.pcapng --duration 60
  strowger capture -w ring.pcapng --file-size 100 --files 5")]
    Capture(Box<CaptureFlags>),
    /// Show ports, workers and drops on a page that goes on; `?` there explains the keys
    #[command(after_help = "Example:
  strowger top
  strowger top --interval 0.5")]
    Top(TopFlags),
    /// Print the completions of a shell
    #[command(after_help = "Example:
  strowger completions bash > /usr/share/bash-completion/completions/strowger
  strowger completions zsh > /usr/share/zsh/vendor-completions/_strowger
  strowger completions fish > /usr/share/fish/vendor_completions.d/strowger.fish")]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the manual pages, one a command
    #[command(hide = true)]
    #[command(after_help = "Example:
  strowger man /usr/share/man/man1")]
    Man {
        /// The directory, which has to be there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Which switch is asked.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Which switch")]
pub(super) struct Which {
    /// The run directory of a switch on this machine
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUNDIR, conflicts_with = "connect")]
    pub(super) rundir: PathBuf,
    /// A switch by TCP with TLS, at its `api.listen`; needs --ca, --certificate and --key
    #[arg(long, value_name = "HOST:PORT", requires_all = ["ca", "certificate", "key"])]
    pub(super) connect: Option<String>,
    /// The authority that the switch's certificate is of (PEM)
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub(super) ca: Option<PathBuf>,
    /// Your certificate, of an authority that the switch knows as `api.client-ca` (PEM)
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub(super) certificate: Option<PathBuf>,
    /// Your certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub(super) key: Option<PathBuf>,
}

/// How the answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "The answer")]
pub(super) struct Shown {
    /// For people, or the JSON of the API
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t = Output::Text)]
    pub(super) output: Output,
    /// Whether it is coloured
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(super) color: Colour,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Tables that fit the terminal; whole lines into a pipe
    Text,
    /// One JSON document, as the API gives it
    Json,
}

/// A shell that has completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// The GNU Bourne-Again shell
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// Whom is asked, and how the answer is shown.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(super) struct Asking {
    #[command(flatten)]
    pub(super) which: Which,
    #[command(flatten)]
    pub(super) shown: Shown,
}

#[derive(Debug, Args)]
pub(super) struct ApplyFlags {
    /// The configuration file; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Only say what would be changed
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Check a configuration file without a switch
    ///
    /// Says the file, line and column of what is wrong, the key, and what was expected. What only a switch can know
    /// (whether an interface is there, whether a socket is free) is known when it is applied.
    #[command(after_help = "Example:
  strowger config check /etc/strowger/strowger.toml")]
    Check {
        /// The configuration file; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the running configuration as a file
    ///
    /// With all changes that were made since the start. `strowger apply` of it changes nothing.
    #[command(after_help = "Example:
  strowger config show
  strowger config show -w /etc/strowger/strowger.toml")]
    Show {
        /// Write it to this file, whole or not at all, instead of standard output
        #[arg(short, long, value_name = "FILE")]
        write: Option<PathBuf>,
        #[command(flatten)]
        asking: Asking,
    },
}

/// Something that is made or changed by `key=value`.
#[derive(Debug, Args)]
pub(super) struct Making {
    /// Only say what would be changed
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// Something that has a name.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name)]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) making: Making,
}

/// Keys of something that has a name.
#[derive(Debug, Args)]
pub(super) struct Setting {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name)]
    pub(super) name: String,
    /// What it is to be; `KEY=` takes a key away. Other keys stay
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub(super) keys: Vec<String>,
    #[command(flatten)]
    pub(super) making: Making,
}

#[derive(Debug, Subcommand)]
pub(super) enum BridgeVerb {
    /// Add a bridge
    #[command(after_help = "Example:
  strowger bridge add br1
  strowger bridge add br1 mac-ageing=60 mac-limit=1024 loop-guard=hold

Keys: mac-ageing (seconds), mac-limit (stations), loop-guard (off, report or hold), loop-hold (seconds).")]
    Add {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// The keys of a bridge in a configuration file
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<String>,
        #[command(flatten)]
        making: Making,
    },
    /// Change some keys of a bridge
    #[command(after_help = "Example:
  strowger bridge set br0 loop-guard=hold loop-hold=30
  strowger bridge set br0 mac-limit=")]
    Set(Setting),
    /// Remove a bridge that has no ports and no mirrors
    #[command(after_help = "Example:
  strowger bridge del br1")]
    Del(Named),
    /// List the bridges
    #[command(after_help = "Example:
  strowger bridge list")]
    List(Asking),
}

#[derive(Debug, Subcommand)]
pub(super) enum PortVerb {
    /// Add a port
    #[command(after_help = "Example:
  strowger port add vhost-user:vm1=/run/strowger/vm1.sock bridge=br0 tag=10
  strowger port add vhost-user-client:vm2=/run/vms/vm2.sock bridge=br0 queues=4
  strowger port add tap:eth0@blue bridge=br0 trunks=10+20-30 native=10
  strowger port add dev:uplink=eth1 bridge=br0 ingress-rate=1Gbit

Keys: bridge (may be left out where there is only one), number, queues, tag, trunks, native,
dot1q-tunnel (VLANs), ingress-rate, ingress-burst, egress-rate, egress-burst (100Mbit or 10kpps,
64KiB or 64p).")]
    Add {
        /// What is behind it, its name, and where: vhost-user:NAME=PATH (the switch listens),
        /// vhost-user-client:NAME=PATH (the switch connects), tap:NAME[@NETNS], dev:NAME[=INTERFACE]
        #[arg(value_name = "KIND:NAME[=PATH|@NETNS|=INTERFACE]")]
        port: String,
        /// The keys of a port in a configuration file
        #[arg(value_name = "KEY=VALUE")]
        keys: Vec<String>,
        #[command(flatten)]
        making: Making,
    },
    /// Change some keys of a port
    ///
    /// VLANs and rates change while traffic goes on; for what needs another socket or interface the port is closed and
    /// opened again.
    #[command(after_help = "Example:
  strowger port set vm1 tag=20
  strowger port set vm1 tag= trunks=10+20 egress-rate=100Mbit")]
    Set(Setting),
    /// Remove a port
    #[command(after_help = "Example:
  strowger port del vm1")]
    Del(Named),
    /// List the ports
    #[command(after_help = "Example:
  strowger port list")]
    List(Asking),
    /// Show everything of one port: its state, what it waits for, the MTU for its guest, its counters and drops
    #[command(after_help = "Example:
  strowger port show vm1")]
    Show {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum MirrorVerb {
    /// Add a mirror: copies of frames, to a port that carries nothing else
    #[command(after_help = "Example:
  strowger mirror add watch bridge=br0 ports=vm1+vm2 to=span0
  strowger mirror add web bridge=br0 vlans=10+20 direction=rx to=span0

Keys: bridge (may be left out where there is only one), ports, direction (both, rx or tx), vlans, to.")]
    Add {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// The keys of a mirror in a configuration file
        #[arg(value_name = "KEY=VALUE", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        making: Making,
    },
    /// Change some keys of a mirror
    #[command(after_help = "Example:
  strowger mirror set watch ports=vm1+vm3 direction=tx")]
    Set(Setting),
    /// Remove a mirror
    #[command(after_help = "Example:
  strowger mirror del watch")]
    Del(Named),
    /// List the mirrors
    #[command(after_help = "Example:
  strowger mirror list")]
    List(Asking),
}

/// Which stations.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub(super) struct Stations {
    /// Only those of this bridge
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) bridge: Option<String>,
    /// Only those behind this port
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) port: Option<String>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(super) enum MacVerb {
    /// List the stations: VLAN, address, port, and the seconds since they were heard
    #[command(after_help = "Example:
  strowger mac list
  strowger mac list --bridge br0 --port vm1")]
    List(Stations),
    /// Forget stations; they are learned again from their next frame
    #[command(after_help = "Example:
  strowger mac flush
  strowger mac flush --port vm1")]
    Flush(Stations),
}

#[derive(Debug, Args)]
pub(super) struct StatsFlags {
    /// Only these ports
    #[arg(value_name = "PORT", value_parser = name)]
    pub(super) ports: Vec<String>,
    /// Go on, every so many seconds (1 if none are given): redrawn on a terminal, lines otherwise
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    pub(super) watch: Option<Duration>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Args)]
pub(super) struct DropsFlags {
    /// Only those of this port
    #[arg(value_name = "PORT", value_parser = name)]
    pub(super) port: Option<String>,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkerVerb {
    /// List the workers with their load, what a frame costs them, and the queues that they serve
    ///
    /// Load (part of its time that it spends on frames), frames a second, nanoseconds and cycles a frame and the mean
    /// batch are those of the second after the question, or - where no frame came; frames, empty polls and sleeps are
    /// those since the start.
    ///
    /// With -o json: GET /v1/workers, at once; with --watch too, one object of rates a line.
    #[command(after_help = "Example:
  strowger worker list
  strowger worker list --watch 5")]
    List {
        /// Go on, every so many seconds (1 if none are given): redrawn on a terminal, lines otherwise
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
        watch: Option<Duration>,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum LogVerb {
    /// Show what is logged, or log something else until the switch ends or is told again
    #[command(after_help = "Example:
  strowger log level
  strowger log level info,strowger_vhost=debug")]
    Level {
        /// off, error, warn, info, debug or trace, also by module
        #[arg(value_name = "DIRECTIVES")]
        directives: Option<String>,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Debug, Args)]
pub(super) struct TopFlags {
    /// How often the switch is asked, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(super) interval: Duration,
    #[command(flatten)]
    pub(super) which: Which,
}

/// A name that something may have.
pub(super) fn name(text: &str) -> Result<String, String> {
    config::check::name(text).map(|()| text.to_owned())
}

/// The shortest and the longest time between two samples, in seconds.
const SECONDS: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// A time between two samples.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if SECONDS.contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!(
            "expected {} to {} seconds; names go before the flag",
            SECONDS.start(),
            SECONDS.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(words: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(std::iter::once("strowger").chain(words.split_whitespace()))
    }

    /// Calls for each command, with all its words.
    fn each(command: &clap::Command, words: &str, work: &mut dyn FnMut(&clap::Command, &str)) {
        let words = format!("{words} {}", command.get_name());
        let words = words.trim();
        work(command, words);
        for below in command.get_subcommands() {
            each(below, words, work);
        }
    }

    #[test]
    fn the_words_fit_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example_that_is_understood() {
        let mut examples = 0;
        let root = CommandLine::command();
        each(&root, "", &mut |command, words| {
            assert!(command.get_about().is_some(), "{words} says what it is for");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example:\n  strowger "), "{words}: {help}");
            let lines = help.lines().skip(1).take_while(|line| line.starts_with("  strowger "));
            for line in lines {
                examples += 1;
                let line = line.split('>').next().unwrap_or_default().trim();
                let read = CommandLine::try_parse_from(line.split_whitespace());
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
                assert!(
                    words == "strowger" || line == words || line.starts_with(&format!("{words} ")),
                    "{words} is explained by {line}"
                );
            }
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(
                    argument.get_help().is_some(),
                    "{words} {} is explained",
                    argument.get_id()
                );
            }
        });
        assert!(examples > 40, "{examples}");
    }

    #[test]
    fn whoever_is_asked_is_said_in_one_way() {
        let root = CommandLine::command();
        each(&root, "", &mut |command, words| {
            let has = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
            let local = ["run", "completions", "man", "check"].contains(&command.get_name());
            if command.has_subcommands() || local {
                assert!(!has("connect"), "{words}");
            } else {
                for id in ["rundir", "connect", "ca", "certificate", "key"] {
                    assert!(has(id), "{words} has no --{id}");
                }
                assert_eq!(has("output"), has("color"), "{words}");
                assert!(has("output") || ["top", "capture"].contains(&command.get_name()));
            }
        });
    }

    #[test]
    fn what_is_added_names_all_its_keys() {
        fn notes(thing: &str) -> String {
            let root = CommandLine::command();
            let thing = root.find_subcommand(thing).unwrap();
            thing.find_subcommand("add").unwrap().get_after_help().unwrap().to_string()
        }
        fn check<T: config::keys::Section>(thing: &str, before: &[&str]) {
            let notes = notes(thing);
            let notes = notes.split_once("\nKeys: ").unwrap().1;
            let words: Vec<_> = notes.split(|c: char| !c.is_alphanumeric() && c != '-').collect();
            for key in T::KEYS.iter().filter(|key| !before.contains(&key.name)) {
                assert!(words.contains(&key.name), "{thing} add --help does not name {}", key.name);
            }
        }
        check::<config::BridgeConfig>("bridge", &[]);
        check::<config::MirrorConfig>("mirror", &[]);
        // These are said with the port's kind and name.
        check::<config::PortConfig>("port", &["kind", "path", "netns", "interface"]);
    }

    #[test]
    fn help_is_a_command_too() {
        for words in ["help", "help port add", "port help set"] {
            let error = read(words).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (clap::error::ErrorKind::DisplayHelp, 0));
            assert!(error.to_string().contains("Example:"), "{words}");
        }
    }

    #[test]
    fn wrong_usage_is_named() {
        for (words, part) in [
            ("", "Usage: strowger <COMMAND>"),
            ("fly", "unrecognized subcommand 'fly'"),
            ("port", "Usage: strowger port <COMMAND>"),
            ("prot list", "similar subcommand exists: 'port'"),
            ("status -o xml", "invalid value 'xml' for '--output"),
            ("status --color sometimes", "invalid value 'sometimes'"),
            ("status --connect h:1", "--ca <FILE>"),
            ("status --ca /a", "--connect <HOST:PORT>"),
            (
                "status --connect h:1 --ca a --certificate b --key c --rundir /x",
                "cannot be used with",
            ),
            ("port show a/b", "invalid value 'a/b'"),
            ("port set vm1", "<KEY=VALUE>..."),
            ("port add", "<KIND:NAME"),
            ("mirror add m", "<KEY=VALUE>..."),
            ("apply", "--file <FILE>"),
            ("stats --watch vm1", "names go before the flag"),
            ("stats --watch 0", "0.1 to 86400 seconds"),
            ("top --interval x", "seconds"),
            ("completions tcsh", "[possible values: bash, zsh, fish]"),
            ("config check", "<FILE>"),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}");
            assert!(error.to_string().contains(part), "{words}: {error}");
        }
        assert_eq!(read("--version").unwrap_err().exit_code(), 0);
        assert_eq!(read("port set --help").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn watching_has_a_time_or_none() {
        let watch = |words: &str| match read(words).unwrap().verb {
            Verb::Stats(flags) => (flags.ports, flags.watch),
            other => panic!("{other:?}"),
        };
        assert_eq!(watch("stats"), (vec![], None));
        assert_eq!(watch("stats vm1 --watch"), (vec!["vm1".into()], Some(Duration::from_secs(1))));
        assert_eq!(watch("stats --watch 0.5").1, Some(Duration::from_millis(500)));
    }
}
