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

/// Runs all rounds; `progress` is told each sample.
///
/// # Errors
/// The first thing that goes wrong ends it: half a comparison says nothing.
pub fn run(plan: &Plan, mut progress: impl FnMut(&Sample)) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        for &mode in &plan.modes {
            for &peer in plan.peers.iter().filter(|peer| peer.does(mode)) {
                turn(plan, round, mode, peer, &mut |sample| {
                    progress(&sample);
                    samples.push(sample);
                })?;
            }
        }
    }
    Ok(samples)
}

/// One switch's turn in one mode: all sizes.
fn turn(
    plan: &Plan,
    round: usize,
    mode: Mode,
    peer: Peer,
    done: &mut dyn FnMut(Sample),
) -> Result<()> {
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
    };
    let mut switch = peer.start(mode, &place)?;
    for &size in &plan.sizes {
        let log = place.logs.join(format!("traffic-{size}.log"));
        let mut traffic = Traffic::start(&place, log)?;
        let (seen, figures) = traffic.measure(size, plan.time, &mut *switch)?;
        done(Sample { round, mode, size, peer, seen, figures });
        drop(traffic);
        for socket in &place.sockets {
            // testpmd removes its sockets; one that it left would be taken for a listening one.
            if socket.exists() {
                fs::remove_file(socket).map_err(Error::system("remove a socket"))?;
            }
        }
    }
    Ok(())
}
