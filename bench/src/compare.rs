//! The rounds: in each, every switch takes its turn in every mode with frames of every size.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    Error, Result,
    peer::{Figures, Mode, Peer, Place},
    traffic::{Seen, Traffic},
};

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The switches, in the order of their turns.
    pub peers: Vec<Peer>,
    /// How they decide.
    pub modes: Vec<Mode>,
    /// Bytes a frame, without its checksum.
    pub sizes: Vec<usize>,
    /// How often everybody takes a turn.
    pub rounds: usize,
    /// How long a measurement takes.
    pub time: Duration,
    /// Strowger's binary.
    pub strowger: PathBuf,
    /// The binary of the example `ceiling`.
    pub ceiling: PathBuf,
    /// Where logs stay.
    pub logs: PathBuf,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which round, from 0.
    pub round: usize,
    /// How it decided.
    pub mode: Mode,
    /// Bytes a frame.
    pub size: usize,
    /// Who forwarded.
    pub peer: Peer,
    /// What the traffic's side saw.
    pub seen: Seen,
    /// What the switch told.
    pub figures: Figures,
}

/// How often a turn is begun before the run ends: the traffic's side and Open vSwitch share a core while they
/// connect, and give up on each other when something else keeps it.
const ATTEMPTS: usize = 3;

/// What the caller is told meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A measurement.
    Measured(&'a Sample),
    /// A turn went wrong, and begins again; nothing of it counts.
    Again(&'a Error),
}

/// Runs all rounds, adding to `samples`, so that what was measured is there whatever ends the run.
///
/// # Errors
/// What went wrong in the last attempt at a turn; [`Error::Interrupted`] and [`Error::Missing`] at once.
pub fn run(
    plan: &Plan,
    samples: &mut Vec<Sample>,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<()> {
    for round in 0..plan.rounds {
        for &mode in &plan.modes {
            for &peer in plan.peers.iter().filter(|peer| peer.does(mode)) {
                let mut attempt = 1;
                let taken = loop {
                    match turn(plan, round, mode, peer) {
                        Ok(taken) => break taken,
                        Err(error @ (Error::Interrupted | Error::Missing { .. })) => {
                            return Err(error);
                        }
                        Err(error) if attempt == ATTEMPTS => return Err(error),
                        Err(error) => progress(Progress::Again(&error)),
                    }
                    attempt += 1;
                };
                taken.iter().for_each(|sample| progress(Progress::Measured(sample)));
                samples.extend(taken);
            }
        }
    }
    Ok(())
}

/// One switch's turn in one mode: all sizes.
fn turn(plan: &Plan, round: usize, mode: Mode, peer: Peer) -> Result<Vec<Sample>> {
    let run = tempfile::Builder::new()
        .prefix("strowger-bench-")
        .tempdir()
        .map_err(Error::system("make a directory for sockets"))?;
    let logs = plan.logs.join(format!("{}-{mode}-{peer}", round + 1));
    fs::create_dir_all(&logs).map_err(Error::system(format!("make {}", logs.display())))?;
    let sockets = ["a.sock", "b.sock"].map(|name| run.path().join(name));
    let place = Place {
        strowger: plan.strowger.clone(),
        ceiling: plan.ceiling.clone(),
        run: run.path().to_owned(),
        logs,
        sockets,
        namespace: None,
    };
    let mut samples = Vec::new();
    let mut switch = peer.start(mode, &place)?;
    for &size in &plan.sizes {
        let log = place.logs.join(format!("traffic-{size}.log"));
        let mut traffic = Traffic::start(&place, log)?;
        let (seen, figures) = traffic.measure(size, plan.time, &mut *switch)?;
        samples.push(Sample { round, mode, size, peer, seen, figures });
        drop(traffic);
        for socket in &place.sockets {
            // testpmd removes its sockets; one that it left would be taken for a listening one.
            if socket.exists() {
                fs::remove_file(socket).map_err(Error::system("remove a socket"))?;
            }
        }
    }
    Ok(samples)
}
