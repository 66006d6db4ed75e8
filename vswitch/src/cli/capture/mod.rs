//! `strowger capture`: a running switch's frames and drops, into files or into a pipe.
//!
//! * [`copy`]: the stream, block by block, until it or somebody ends it; what is counted meanwhile.
//! * [`target`]: a pipe, one file, or a ring of files, each of them complete.
//!
//! The switch does the rest: it filters, cuts, counts its losses, and ends by itself after a count or a time.

mod copy;
mod target;

use std::{
    fmt::Write,
    io::{self, IsTerminal},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use super::{Failure, arguments::Which, ask};
use crate::{capture::MAX_SNAPLEN, signals::Ending};
use copy::{Copied, Copier, End};
use target::{Ring, Target};

/// The words behind `strowger capture`.
#[derive(Debug, Args)]
pub(super) struct CaptureFlags {
    /// The ports; all that there are at the moment if none is named, or `all`. A port that comes later is not captured
    #[arg(value_name = "PORT", value_parser = super::arguments::name)]
    ports: Vec<String>,
    /// The pcapng file; - for standard output, as in `strowger capture vm1 -w - | tshark -r -`
    #[arg(short, long, value_name = "FILE")]
    write: PathBuf,
    /// Only frames that match, in the words of pcap-filter(7): 'host 10.0.0.1 and tcp port 80', 'vlan 10 and arp'
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// At most so many bytes of each frame
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SNAPLEN)))]
    snaplen: Option<u32>,
    /// Only frames that go into the switch (rx) or out of it (tx)
    #[arg(long, value_enum, default_value_t = Way::Both)]
    direction: Way,
    /// Only frames that the switch drops; each has the reason as its comment
    #[arg(long)]
    drops_only: bool,
    /// End after so many frames
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,
    /// Begin another file when one has so many MiB: FILE-00001, FILE-00002 and so on, before the name's ending
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    file_size: Option<u64>,
    /// Keep the last so many of these files
    #[arg(long, value_name = "FILES", requires = "file_size", value_parser = clap::value_parser!(u32).range(1..))]
    files: Option<u32>,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    which: Which,
}

/// A direction, as the switch sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Both
    Both,
    /// Into the switch
    Rx,
    /// Out of the switch
    Tx,
}

/// `strowger capture`.
pub(super) fn capture(flags: &CaptureFlags) -> Result<(), Failure> {
    let is_stdout = flags.write.as_os_str() == "-";
    if is_stdout && flags.file_size.is_some() {
        return Err(Failure::Usage("--file-size needs files: -w FILE instead of -w -".to_owned()));
    }
    if is_stdout && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a capture is no text for a terminal: -w FILE, or a pipe as in `strowger capture -w - | tshark -r -`"
                .to_owned(),
        ));
    }
    let client = ask::client(&flags.which)?;
    let ending = Ending::catch()
        .map_err(|error| Failure::Failed(format!("cannot catch signals: {error}")))?;
    let mut stream =
        client.stream(&flags.path()).map_err(|error| Failure::Failed(ask::sentence(&error)))?;
    // Only now: what the switch refuses costs nobody a file.
    let target = match flags.file_size {
        _ if is_stdout => Target::stdout(),
        None => Target::file(&flags.write),
        Some(mebibytes) => {
            let (limit, keep) =
                (mebibytes << 20, flags.files.map_or(usize::MAX, |files| files as usize));
            Target::ring(Ring::new(&flags.write, limit, keep))
        }
    };
    let target = target.map_err(|error| Failure::Failed(error.to_string()))?;
    if !flags.quiet {
        tell(&flags.beginning());
    }
    let mut copier = Copier::new(target);
    let end = copier.copy(&mut stream, || ending.has_come());
    if !flags.quiet {
        tell(&summary(copier.copied()));
    }
    match end {
        Ok(End::Told) => Ok(()),
        Ok(End::Stream) => {
            if flags.count.is_none() && flags.duration.is_none() && !flags.quiet {
                tell("the switch has ended the capture");
            }
            Ok(())
        }
        Err(copy::Error::NotWanted) => Err(Failure::NotWanted),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

impl CaptureFlags {
    /// What the switch is asked for.
    fn path(&self) -> String {
        let mut path = String::from("/v1/capture");
        let mut put = |key: &str, value: &str| {
            path.push(if path.contains('?') { '&' } else { '?' });
            path += key;
            path.push('=');
            path += &encoded(value);
        };
        for port in &self.ports {
            put("port", port);
        }
        if self.ports.is_empty() {
            put("port", "all");
        }
        if let Some(filter) = &self.filter {
            put("filter", filter);
        }
        if let Some(snaplen) = self.snaplen {
            put("snaplen", &snaplen.to_string());
        }
        match self.direction {
            Way::Both => {}
            Way::Rx => put("direction", "rx"),
            Way::Tx => put("direction", "tx"),
        }
        if self.drops_only {
            put("drops-only", "true");
        }
        if let Some(count) = self.count {
            put("count", &count.to_string());
        }
        if let Some(seconds) = self.duration {
            put("duration", &seconds.to_string());
        }
        path
    }

    /// What is said at the beginning.
    fn beginning(&self) -> String {
        let ports = match &self.ports[..] {
            [] => "all ports that there are now".to_owned(),
            [all] if all == "all" => "all ports that there are now".to_owned(),
            ports => ports.join(", "),
        };
        let to = match self.write.to_str() {
            Some("-") => "standard output".to_owned(),
            _ => self.write.display().to_string(),
        };
        format!("capturing {ports} to {to}; Ctrl-C ends it")
    }
}

/// What is said at the end.
fn summary(copied: &Copied) -> String {
    let Copied { frames, drops, seen, matched, lost, files } = copied;
    let mut text = format!("{frames} frames captured, {drops} of them dropped by the switch; ");
    // Writing to a String cannot fail.
    let _always_ok =
        write!(text, "{lost} lost by the capture, {} not wanted", seen.saturating_sub(*matched));
    if *files > 1 {
        let _always_ok = write!(text, "; {files} files");
    }
    if *lost > 0 {
        text += ". They came faster than they were taken: a --filter or a shorter --snaplen leaves less to carry";
    }
    text
}

/// A line on standard error. Nobody has to read it.
fn tell(line: &str) {
    let _unread = io::Write::write_all(&mut io::stderr(), format!("{line}\n").as_bytes());
}

/// A value as a query carries it (RFC 3986, 2.1).
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(byte.into());
            }
            // Writing to a String cannot fail.
            _ => {
                let _always_ok = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        flags: CaptureFlags,
    }

    fn read(words: &[&str]) -> Result<CaptureFlags, clap::Error> {
        Words::try_parse_from(["capture"].iter().chain(words)).map(|words| words.flags)
    }

    #[test]
    fn words_become_a_path() {
        for (words, path) in [
            (&["-w", "x"][..], "/v1/capture?port=all"),
            (&["vm1", "c1", "-w", "x"], "/v1/capture?port=vm1&port=c1"),
            (
                &["vm1", "-w", "-", "--filter", "host ::1 && tcp", "--snaplen", "64"],
                "/v1/capture?port=vm1&filter=host%20%3A%3A1%20%26%26%20tcp&snaplen=64",
            ),
            (
                &[
                    "vm1",
                    "-w",
                    "x",
                    "--direction",
                    "rx",
                    "--drops-only",
                    "--count",
                    "5",
                    "--duration",
                    "60",
                ],
                "/v1/capture?port=vm1&direction=rx&drops-only=true&count=5&duration=60",
            ),
        ] {
            assert_eq!(read(words).unwrap().path(), path);
        }
    }

    #[test]
    fn wrong_words_are_refused() {
        for words in [
            &["vm1"][..],
            &["vm1", "-w", "x", "--snaplen", "0"],
            &["vm1", "-w", "x", "--snaplen", "300000"],
            &["vm1", "-w", "x", "--count", "0"],
            &["vm1", "-w", "x", "--files", "3"],
            &["vm1", "-w", "x", "--direction", "up"],
            &["a/b", "-w", "x"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
        let error = capture(&read(&["vm1", "-w", "-", "--file-size", "1"]).unwrap()).unwrap_err();
        assert!(matches!(error, Failure::Usage(text) if text.contains("--file-size")));
    }

    #[test]
    fn what_is_said_names_each_figure() {
        let copied = Copied { frames: 10, drops: 2, seen: 30, matched: 11, lost: 1, files: 3 };
        let text = summary(&copied);
        assert!(text.starts_with("10 frames captured, 2 of them dropped by the switch; 1 lost by the capture, 19 not wanted; 3 files. "), "{text}");
        assert!(!summary(&Copied::default()).contains("--filter"));
        let all = read(&["-w", "-"]).unwrap().beginning();
        assert_eq!(
            all,
            "capturing all ports that there are now to standard output; Ctrl-C ends it"
        );
        let some = read(&["a", "b", "-w", "x.pcapng"]).unwrap().beginning();
        assert_eq!(some, "capturing a, b to x.pcapng; Ctrl-C ends it");
    }
}
