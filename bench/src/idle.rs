//! What the switch costs when there is nothing to do: its share of a core with two guests that are up and silent.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use strowger_qemu_tests::{Guest, Scene};

use crate::{
    Error, Result,
    peer::{Place, strowger::Strowger},
    process::find,
    wait,
};

/// The time between the guests' boot and the measurement, for their last neighbour discovery to be over.
const SETTLE: Duration = Duration::from_secs(5);

/// Checks that what is needed is installed.
///
/// # Errors
/// [`Error::Missing`].
pub fn check() -> Result<()> {
    find("qemu-system-x86_64", "qemu-system-x86").map(drop)
}

/// Boots two guests on vhost-user ports and gives the share of a core, in per cent, that the switch uses in `time`.
///
/// The guest image must have been built (`scripts/guest-image.sh`).
///
/// # Errors
/// If the switch or a guest does not start, or the switch ends.
pub fn measure(strowger: &Path, time: Duration, logs: &Path) -> Result<f64> {
    let scene = Scene::new("bench-idle")?;
    let share = share(&scene, strowger, time, logs)?;
    scene.pass();
    Ok(share)
}

fn share(scene: &Scene, strowger: &Path, time: Duration, logs: &Path) -> Result<f64> {
    let logs = logs.join("idle");
    fs::create_dir_all(&logs).map_err(Error::system(format!("make {}", logs.display())))?;
    let place = Place {
        strowger: strowger.to_owned(),
        ceiling: PathBuf::new(),
        run: scene.path("."),
        logs,
        sockets: [scene.socket("g1"), scene.socket("g2")],
        namespace: None,
    };
    let ports = [scene.server_port("g1"), scene.server_port("g2")];
    let mut switch = Strowger::start_with(&place, &ports)?;
    let guests = [
        Guest::builder(scene, "g1").address("10.0.0.1/24").start()?,
        Guest::builder(scene, "g2").address("10.0.0.2/24").start()?,
    ];
    for guest in &guests {
        guest.ready()?;
    }
    wait::pass(SETTLE)?;
    let before = used(switch.id())?;
    wait::pass(time)?;
    let after = used(switch.id())?;
    // An idle switch that is gone, or has no guests, uses nothing either.
    let status = switch.status()?;
    let ports = status.get("ports").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let up = |port: &Value| port.get("up").and_then(Value::as_bool) == Some(true);
    if ports.len() != guests.len() || !ports.iter().all(up) {
        return Err(Error::Unsuitable(format!("the guests are not both connected: {status}")));
    }
    Ok(after.saturating_sub(before).as_secs_f64() / time.as_secs_f64() * 100.0)
}

/// The time that a process has used cores, its own and the kernel's for it (proc(5): utime and stime).
fn used(id: u32) -> Result<Duration> {
    let path = format!("/proc/{id}/stat");
    let text = fs::read_to_string(&path).map_err(Error::system(format!("read {path}")))?;
    let ticks = ticks(&text).ok_or_else(|| Error::Unsuitable(format!("{path} holds {text:?}")))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Fields 14 and 15, counted after the name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_is_passed_over() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 10 0 0 0 17 4 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(21));
        assert_eq!(ticks("42 (a"), None);
    }

    #[test]
    fn our_own_time_is_read() {
        used(std::process::id()).unwrap();
    }
}
