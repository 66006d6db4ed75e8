//! All captures of a switch: begun, bounded in number, named by the ports that they tap, ended.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::filter::Filter;
use super::pcapng::Interface;
use super::session::{RING_BYTES, Seen, Session};
use super::stream::{Limits, Stream};
use super::tap::{Tap, Taps};
use super::{Direction, MAX_CAPTURES, MAX_SNAPLEN, Wants};
use crate::control::{CaptureRequest, CaptureStream, Captures, Refusal, capture_stream};
use crate::snapshot::Snapshot;

/// Pieces of a stream that wait for its client, each about [`PIECE`](super::stream::PIECE) bytes.
const PIECES: usize = 32;

/// The captures of a switch. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    captures: Mutex<Vec<Capture>>,
    /// What those counted that have ended; changed under the lock of the others.
    ended: Ended,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Ended {
    matched: AtomicU64,
    lost: AtomicU64,
}

/// One that runs.
#[derive(Debug)]
struct Capture {
    number: u64,
    session: Arc<Session>,
    /// By interface.
    ports: Vec<String>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A port that is to be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it is, in a few words.
    pub description: String,
}

impl Capture {
    /// What it counted, of all its ports.
    fn seen(&self) -> Seen {
        let mut all = Seen::default();
        for interface in 0..self.ports.len() {
            let seen = self.session.seen(interface as u16);
            all.seen += seen.seen;
            all.matched += seen.matched;
            all.lost += seen.lost;
        }
        all
    }
}

impl Registry {
    /// Begins a capture of these ports, of which there is at least one; one that is named twice is captured once. `retap` publishes a snapshot to which
    /// [`tap`](Self::tap) was applied, and returns when no worker reads one of before; it is called here and when the
    /// capture ends, by its own thread: whoever calls this must hold no lock that `retap` takes.
    ///
    /// # Errors
    /// If the request is not understood or there are [`MAX_CAPTURES`] already.
    pub fn start(
        &self,
        request: &CaptureRequest,
        mut ports: Vec<Port>,
        workers: usize,
        retap: impl Fn() + Send + Sync + 'static,
    ) -> Result<CaptureStream, Refusal> {
        let (wants, limits) = wanted(request)?;
        let mut names = HashSet::new();
        ports.retain(|port| names.insert(port.name.clone()));
        let interface = |port: &Port| Interface {
            name: port.name.clone(),
            description: port.description.clone(),
            snaplen: wants.snaplen as u32,
            filter: wants.filter.as_ref().map(|filter| filter.text().to_owned()),
        };
        let interfaces: Vec<_> = ports.iter().map(interface).collect();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let stop = Arc::new(AtomicBool::new(false));
        let (sink, stream) = capture_stream(PIECES);
        let (session, rings) = {
            let mut captures = self.lock();
            if captures.len() >= MAX_CAPTURES {
                return Err(Refusal::Conflict(format!(
                    "{MAX_CAPTURES} captures are running, which is as many as there may be: end one of them first"
                )));
            }
            let (session, rings) = Session::new(wants, (ports.len(), workers), RING_BYTES);
            let session = Arc::new(session);
            captures.push(Capture {
                number,
                session: Arc::clone(&session),
                ports: ports.into_iter().map(|port| port.name).collect(),
                stop: Arc::clone(&stop),
                thread: None,
            });
            (session, rings)
        };
        retap();
        let (own, retap) = (self.clone(), Arc::new(retap));
        let leave = Arc::clone(&retap);
        let stream_thread = Stream::new((session, rings), interfaces, limits, (sink, stop));
        let thread =
            std::thread::Builder::new().name(format!("capture-{number}")).spawn(move || {
                stream_thread.run(|| {
                    own.remove(number);
                    leave();
                });
            });
        match thread {
            Ok(thread) => {
                // If it has ended already there is no place for its handle any more, and nobody to wait for.
                if let Some(capture) = self.lock().iter_mut().find(|one| one.number == number) {
                    capture.thread = Some(thread);
                }
                Ok(stream)
            }
            Err(error) => {
                self.remove(number);
                retap();
                Err(Refusal::Failed(format!("the system gives no thread for a capture: {error}")))
            }
        }
    }

    /// Gives each port of a snapshot the taps of the captures that name it, and no others. To be called before a
    /// snapshot is published.
    pub fn tap(&self, snapshot: &mut Snapshot) {
        let captures = self.lock();
        let wrong: Vec<_> = snapshot
            .ports()
            .filter_map(|port| {
                let taps = taps(&captures, &port.name);
                (!is_same(&taps, port.extras.taps.as_deref())).then_some((port.id, taps))
            })
            .collect();
        for (id, taps) in wrong {
            snapshot.set_taps(id, (!taps.is_empty()).then(|| Taps::from(taps)));
        }
    }

    /// What all captures since the switch began counted, and how many run.
    #[must_use]
    pub fn totals(&self) -> Captures {
        let captures = self.lock();
        let ended = &self.0.ended;
        let mut all = Captures {
            running: captures.len(),
            frames: ended.matched.load(Ordering::Relaxed),
            lost: ended.lost.load(Ordering::Relaxed),
        };
        for seen in captures.iter().map(Capture::seen) {
            all.frames += seen.matched;
            all.lost += seen.lost;
        }
        all
    }

    /// How many captures run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Ends all captures in order, as far as their clients still read, and waits for their threads. Not with a lock
    /// that `retap` takes.
    pub fn stop(&self) {
        let threads: Vec<_> = self
            .lock()
            .iter_mut()
            .filter_map(|capture| {
                capture.stop.store(true, Ordering::Relaxed);
                capture.thread.take()
            })
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("the thread of a capture ended by a panic");
            }
        }
    }

    fn remove(&self, number: u64) {
        let mut captures = self.lock();
        for gone in captures.extract_if(.., |capture| capture.number == number) {
            let seen = gone.seen();
            self.0.ended.matched.fetch_add(seen.matched, Ordering::Relaxed);
            self.0.ended.lost.fetch_add(seen.lost, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Capture>> {
        self.0.captures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for capture in self.captures.get_mut().unwrap_or_else(PoisonError::into_inner) {
            capture.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn taps(captures: &[Capture], port: &str) -> Vec<Tap> {
    let tap = |capture: &Capture| {
        let interface = capture.ports.iter().position(|name| name == port)?;
        Some(Tap { session: Arc::clone(&capture.session), interface: interface as u16 })
    };
    captures.iter().filter_map(tap).collect()
}

fn is_same(wanted: &[Tap], found: Option<&[Tap]>) -> bool {
    let found = found.unwrap_or_default();
    let same = |(one, other): (&Tap, &Tap)| {
        Arc::ptr_eq(&one.session, &other.session) && one.interface == other.interface
    };
    wanted.len() == found.len() && wanted.iter().zip(found).all(same)
}

/// What a request asks for.
fn wanted(request: &CaptureRequest) -> Result<(Wants, Limits), Refusal> {
    let invalid =
        |key: &str, message: String| Refusal::Invalid { key: Some(key.to_owned()), message };
    let mut wants = Wants::default();
    let mut limits = Limits::default();
    if let Some(text) = &request.filter {
        let filter = Filter::read(text).map_err(|error| invalid("filter", error.to_string()))?;
        wants.filter = Some(filter);
    }
    if let Some(snaplen) = request.snaplen {
        if !(1..=MAX_SNAPLEN).contains(&snaplen) {
            let message = format!("a snap length is from 1 to {MAX_SNAPLEN} bytes, not {snaplen}");
            return Err(invalid("snaplen", message));
        }
        wants.snaplen = snaplen as usize;
    }
    for (key, value) in &request.options {
        let number = || match value.parse::<u64>() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(invalid(key, format!("'{value}' is no number above 0"))),
        };
        match key.as_str() {
            "direction" => {
                wants.only = match value.as_str() {
                    "both" => None,
                    "rx" => Some(Direction::Rx),
                    "tx" => Some(Direction::Tx),
                    _ => return Err(invalid(key, format!("'{value}' is none of both, rx and tx"))),
                }
            }
            "drops-only" => {
                wants.drops_only = match value.as_str() {
                    "true" | "" => true,
                    "false" => false,
                    _ => return Err(invalid(key, format!("'{value}' is neither true nor false"))),
                }
            }
            "count" => limits.count = Some(number()?),
            "duration" => limits.duration = Some(Duration::from_secs(number()?)),
            _ => {
                let known = "filter, snaplen, direction, drops-only, count and duration";
                return Err(invalid(key, format!("a capture knows {known}, not '{key}'")));
            }
        }
    }
    Ok((wants, limits))
}
