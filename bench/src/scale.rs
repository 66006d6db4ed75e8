//! How the switch carries many ports: how long one `strowger apply` takes that adds them, and one that takes them away,
//! and how long the API takes to say everything of them all.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Error, Result,
    peer::{Place, strowger::Strowger},
    process::run,
};

/// How often the API is asked.
const QUESTIONS: usize = 21;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What so many ports took.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Ports of one `apply`.
    pub ports: usize,
    /// To add them, the client's start included.
    pub add: Duration,
    /// To apply the same file again, which changes nothing.
    pub again: Duration,
    /// To take them away.
    pub remove: Duration,
    /// The median time of `GET /v1/status` with them.
    pub status: Duration,
}

impl Scale {
    pub(crate) fn json(self) -> Value {
        json!({
            "ports": self.ports,
            "add_seconds": self.add.as_secs_f64(),
            "again_seconds": self.again.as_secs_f64(),
            "remove_seconds": self.remove.as_secs_f64(),
            "status_seconds": self.status.as_secs_f64(),
        })
    }
}

/// Starts a switch with a state directory and measures with each of these numbers of ports.
///
/// # Errors
/// If the switch does not start, ends, or refuses.
pub fn measure(strowger: &Path, counts: &[usize], logs: &Path) -> Result<Vec<Scale>> {
    let directory = tempfile::tempdir().map_err(Error::system("make a directory"))?;
    let logs = logs.join("scale");
    fs::create_dir_all(&logs).map_err(Error::system(format!("make {}", logs.display())))?;
    let place = Place {
        strowger: strowger.to_owned(),
        ceiling: PathBuf::new(),
        run: directory.path().to_owned(),
        logs,
        sockets: [PathBuf::new(), PathBuf::new()],
        namespace: None,
    };
    let switch = Strowger::start_kept(&place)?;
    let bench = Bench { switch: &switch, directory: directory.path() };
    counts.iter().map(|&ports| bench.measure(ports)).collect()
}

struct Bench<'a> {
    switch: &'a Strowger,
    directory: &'a Path,
}

impl Bench<'_> {
    fn measure(&self, ports: usize) -> Result<Scale> {
        let (none, all) = (self.file(0)?, self.file(ports)?);
        let add = self.apply(&all)?;
        let again = self.apply(&all)?;
        let mut times =
            (0..QUESTIONS).map(|_| self.status(ports)).collect::<Result<Vec<Duration>>>()?;
        times.sort();
        let status = times.get(QUESTIONS / 2).copied().unwrap_or_default();
        let remove = self.apply(&none)?;
        Ok(Scale { ports, add, again, remove, status })
    }

    /// A configuration with so many ports.
    fn file(&self, ports: usize) -> Result<PathBuf> {
        let mut text = String::from("[bridges.br0]\n");
        for number in 0..ports {
            let socket = self.directory.join(format!("{number}.sock"));
            let tag = number % 4000 + 1;
            let _always = write!(
                text,
                "[ports.p{number}]\nbridge = \"br0\"\nkind = \"vhost-user\"\npath = \"{}\"\ntag = {tag}\n",
                socket.display()
            );
        }
        let path = self.directory.join(format!("{ports}.toml"));
        fs::write(&path, text).map_err(Error::system(format!("write {}", path.display())))?;
        Ok(path)
    }

    fn apply(&self, file: &Path) -> Result<Duration> {
        let rundir = self.switch.rundir().display().to_string();
        let file = file.display().to_string();
        let began = Instant::now();
        run(self.switch.binary(), ["apply", "--rundir", &rundir, "-f", &file], &[])?;
        Ok(began.elapsed())
    }

    /// Asks for the state of the whole switch as any program would.
    fn status(&self, ports: usize) -> Result<Duration> {
        let socket = self.switch.rundir().join("control.sock");
        let failed = |what: &str| Error::system(format!("{what} {}", socket.display()));
        let began = Instant::now();
        let mut client = UnixStream::connect(&socket).map_err(failed("connect to"))?;
        client.set_read_timeout(Some(PATIENCE)).map_err(failed("wait for"))?;
        client
            .write_all(b"GET /v1/status HTTP/1.1\r\nhost: switch\r\nconnection: close\r\n\r\n")
            .map_err(failed("write to"))?;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).map_err(failed("read from"))?;
        let took = began.elapsed();
        let shown = String::from_utf8_lossy(&answer).matches("\"kind\":\"vhost-user\"").count();
        if shown == ports {
            Ok(took)
        } else {
            Err(Error::Unsuitable(format!("the switch shows {shown} of {ports} ports")))
        }
    }
}
