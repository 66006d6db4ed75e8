//! `bench`: Strowger beside Open vSwitch with DPDK and testpmd's own vhost, in turns.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::Parser;
use strowger_bench::{
    Error, Result, SWITCH_CORE, capture,
    compare::{self, Progress},
    huge_pages::HugePages,
    idle,
    peer::{Mode, Peer},
    process::find,
    report::Report,
    scale, testpmd, veth, wait,
};

/// Measures Strowger beside other switches: testpmd's traffic on core 0, the switch under test on core 1.
/// Nothing else should run on the machine. Needs root.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The switches that take turns
    #[arg(long, value_delimiter = ',', default_value = "strowger,ovs,testpmd,ceiling")]
    peers: Vec<Peer>,
    /// How they decide: `cross` is one rule a port where there are rules
    #[arg(long, value_delimiter = ',', default_value = "cross,learning")]
    mode: Vec<Mode>,
    /// Bytes a frame
    #[arg(long, value_delimiter = ',', default_value = "64,256,1500")]
    sizes: Vec<usize>,
    /// How often each switch takes its turn; 0 leaves the comparison out
    #[arg(long, default_value_t = 3, overrides_with = "rounds")]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Strowger's binary [default: beside this program]
    #[arg(long)]
    strowger: Option<PathBuf>,
    /// The example `ceiling` of the vhost crate [default: in `examples` beside this program]
    #[arg(long)]
    ceiling: Option<PathBuf>,
    /// Where results and logs are written
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// How often each switch takes its turn from veth to veth; 0 leaves that out [default: as `--rounds`]
    #[arg(long)]
    veth_rounds: Option<usize>,
    /// For how many seconds to watch the switch with two idle guests [default: not at all]
    #[arg(long, overrides_with = "idle")]
    idle: Option<u64>,
    /// How often to measure what a capture costs [default: not at all]
    #[arg(long, overrides_with = "capture")]
    capture: Option<usize>,
    /// With how many ports to measure changes and `status` [default: not at all]
    #[arg(long, value_delimiter = ',', value_name = "PORTS", overrides_with = "scale")]
    scale: Vec<usize>,
    /// 2 MiB pages to reserve while it runs
    #[arg(long, default_value_t = 2048)]
    huge_pages: usize,
}

impl Arguments {
    fn veth_rounds(&self) -> usize {
        self.veth_rounds.unwrap_or(self.rounds)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    wait::catch_signals()?;
    let strowger = arguments.strowger.clone().map_or_else(|| beside_us("strowger"), Ok)?;
    let ceiling = arguments.ceiling.clone().map_or_else(|| beside_us("examples/ceiling"), Ok)?;
    let mut report = Report { about: about(arguments, &strowger, &ceiling)?, ..Report::default() };
    let logs = arguments.out.join("logs");
    fs::create_dir_all(&logs).map_err(Error::system(format!("make {}", logs.display())))?;
    // Programs that are started elsewhere must find it.
    let logs = fs::canonicalize(&logs).map_err(Error::system("find the logs"))?;

    let needs_pages = arguments.rounds > 0 || arguments.capture.is_some();
    let _pages = needs_pages.then(|| HugePages::reserve(arguments.huge_pages)).transpose()?;
    if arguments.rounds > 0 {
        let plan = compare::Plan {
            peers: arguments.peers.clone(),
            modes: arguments.mode.clone(),
            sizes: arguments.sizes.clone(),
            rounds: arguments.rounds,
            time: Duration::from_secs(arguments.seconds),
            strowger: strowger.clone(),
            ceiling,
            logs: logs.clone(),
        };
        let run = compare::run(&plan, &mut report.samples, tell);
        if run.is_err() && !report.samples.is_empty() {
            report.about.push(("cut short".into(), "what was measured before an error".into()));
            save(&report, &arguments.out)?;
        }
        run?;
    }
    if arguments.veth_rounds() > 0 {
        let plan = veth::Plan {
            rounds: arguments.veth_rounds(),
            time: Duration::from_secs(arguments.seconds),
            strowger: strowger.clone(),
            logs: logs.clone(),
        };
        report.veth = veth::run(&plan, |sample| {
            let veth::Sample { round, contender, kind, arrived, .. } = sample;
            eprintln!("round {}, {kind}, {contender}: {arrived:.1} {}", round + 1, kind.unit());
        })?;
    }
    for round in 0..arguments.capture.unwrap_or(0) {
        for &size in &arguments.sizes {
            let time = Duration::from_secs(arguments.seconds);
            let turn = capture::measure(&strowger, (round, size), time, &logs)?;
            eprintln!(
                "round {}, {size} bytes: a capture costs {:.2} of the rate",
                round + 1,
                turn.cost()
            );
            report.captures.push(turn);
        }
    }
    if !arguments.scale.is_empty() {
        report.scale = scale::measure(&strowger, &arguments.scale, &logs)?;
    }
    if let Some(seconds) = arguments.idle {
        let time = Duration::from_secs(seconds.max(1));
        report.idle = Some(idle::measure(&strowger, time, &logs)?);
    }
    save(&report, &arguments.out)?;
    println!("{}", report.markdown());
    Ok(())
}

fn tell(progress: Progress<'_>) {
    match progress {
        Progress::Measured(sample) => eprintln!(
            "round {}, {}, {} bytes, {}: {:.2} Mpps",
            sample.round + 1,
            sample.mode,
            sample.size,
            sample.peer,
            sample.seen.rx_pps / 1e6
        ),
        Progress::Again(error) => eprintln!("this turn begins again: {error}"),
    }
}

fn save(report: &Report, out: &Path) -> Result<()> {
    write(&out.join("bench.json"), &format!("{:#}\n", report.json()))?;
    write(&out.join("bench.md"), &report.markdown())
}

/// Checks the machine and the programs; gives what a reader of the figures must know of them.
fn about(arguments: &Arguments, strowger: &Path, ceiling: &Path) -> Result<Vec<(String, String)>> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Unsuitable("huge pages and DPDK need root".into()));
    }
    let cores = thread::available_parallelism().map_err(Error::system("count cores"))?.get();
    if cores <= SWITCH_CORE {
        return Err(Error::Unsuitable(format!(
            "two cores are needed, one for the switch and one for the traffic; this machine has {cores}"
        )));
    }
    find("setpriv", "util-linux")?;
    find("stdbuf", "coreutils")?;
    let load = read("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    if load.parse::<f64>().is_ok_and(|load| load > 0.5) {
        eprintln!("warning: the machine has a load of {load}: the figures will be worth little");
    }
    let cpu = read("/proc/cpuinfo")?;
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let mut about = vec![
        ("processor".into(), format!("{} × {}", cores, cpu.map_or("unknown", |(_, name)| name))),
        ("kernel".into(), read("/proc/sys/kernel/osrelease")?.trim().to_owned()),
        ("load when it began".into(), load.to_owned()),
    ];
    if arguments.rounds > 0 {
        about.push(("traffic".into(), testpmd::version()?));
        for peer in &arguments.peers {
            about.push((peer.to_string(), peer.version(strowger, ceiling)?));
        }
        about.push((
            "runs".into(),
            format!("{} rounds of {} s a measurement", arguments.rounds, arguments.seconds),
        ));
    }
    if arguments.veth_rounds() > 0 {
        veth::check()?;
    }
    if arguments.capture.is_some() && arguments.rounds == 0 {
        about.push(("traffic".into(), testpmd::version()?));
    }
    if arguments.idle.is_some() {
        idle::check()?;
    }
    if (arguments.idle.is_some() || arguments.capture.is_some())
        && !about.iter().any(|(name, _)| *name == Peer::Strowger.to_string())
    {
        about.push((Peer::Strowger.to_string(), Peer::Strowger.version(strowger, ceiling)?));
    }
    Ok(about)
}

/// A binary that cargo built beside this one.
fn beside_us(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().map_err(Error::system("find this program"))?;
    Ok(us.with_file_name(name))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(Error::system(format!("read {path}")))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::system(format!("write {}", path.display())))
}
