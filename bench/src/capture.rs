//! What a capture costs the switch: the rate of the same traffic without one and with one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Error, Result,
    peer::{Figures, Place, strowger::Strowger},
    traffic::{Seen, Traffic},
};

/// Both measurements of one turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// Bytes a frame.
    pub size: usize,
    /// Without a capture: what the traffic's side saw and the switch told.
    pub without: (Seen, Figures),
    /// With one.
    pub with: (Seen, Figures),
    /// What the capture said at its end.
    pub captured: Captured,
}

/// What a capture says at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Captured {
    /// Frames that it has.
    pub frames: u64,
    /// Frames that it counted as lost.
    pub lost: u64,
    /// How long it ran.
    pub time: Duration,
}

impl Turn {
    /// The part of the rate that is gone with a capture.
    #[must_use]
    pub fn cost(&self) -> f64 {
        1.0 - self.with.0.rx_pps / self.without.0.rx_pps
    }

    /// Frames captured a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.captured.frames as f64 / self.captured.time.as_secs_f64()
    }
}

/// Measures twice, for `time` each, with frames of `size` bytes.
///
/// # Errors
/// If a program is missing, ends, or says something else.
pub fn measure(
    strowger: &Path,
    (round, size): (usize, usize),
    time: Duration,
    logs: &Path,
) -> Result<Turn> {
    let run = tempfile::Builder::new()
        .prefix("strowger-bench-")
        .tempdir()
        .map_err(Error::system("make a directory for sockets"))?;
    let logs = logs.join(format!("capture-{}-{size}", round + 1));
    fs::create_dir_all(&logs).map_err(Error::system(format!("make {}", logs.display())))?;
    let place = Place {
        strowger: strowger.to_owned(),
        ceiling: PathBuf::new(),
        run: run.path().to_owned(),
        logs,
        sockets: ["a.sock", "b.sock"].map(|name| run.path().join(name)),
        namespace: None,
    };
    let mut switch = Strowger::start(&place)?;
    let without = {
        let mut traffic = Traffic::start(&place, place.logs.join("traffic-without.log"))?;
        traffic.measure(size, time, &mut switch)?
    };
    for socket in place.sockets.iter().filter(|socket| socket.exists()) {
        // testpmd removes its sockets; one that it left would be taken for a listening one.
        fs::remove_file(socket).map_err(Error::system("remove a socket"))?;
    }
    let mut traffic = Traffic::start(&place, place.logs.join("traffic-with.log"))?;
    let began = Instant::now();
    let capture = switch.capture("p0", place.logs.join("capture.log"))?;
    let with = traffic.measure(size, time, &mut switch)?;
    let log = capture.log().to_owned();
    let text = capture.finish()?;
    let time = began.elapsed();
    let (frames, lost) = summary(&text).ok_or_else(|| Error::Unexpected {
        what: "the capture did not say what it captured and lost".into(),
        log,
    })?;
    Ok(Turn { size, without, with, captured: Captured { frames, lost, time } })
}

/// Reads "7 frames captured, 0 of them dropped by the switch; 3 lost by the capture, …".
fn summary(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.contains(" frames captured, "))?;
    let frames = line.split(' ').next()?.parse().ok()?;
    let lost = line.split_once("; ")?.1.split(' ').next()?.parse().ok()?;
    Some((frames, lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_capture_are_read() {
        let text = "capturing p0 to /dev/null; Ctrl-C ends it\n\
            120 frames captured, 1 of them dropped by the switch; 7 lost by the capture, 0 not wanted\n";
        assert_eq!(summary(text), Some((120, 7)));
        assert_eq!(summary("capturing p0 to /dev/null; Ctrl-C ends it\n"), None);
    }
}
