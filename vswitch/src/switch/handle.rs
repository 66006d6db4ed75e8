//! The running switch as others see it: asked, changed, captured.
//!
//! One change at a time, and each in one way: the running configuration, what the edit makes of it, held against
//! itself and against what runs, planned, opened, kept, published ([`change`](super::change)). Whoever only looks
//! does not wait for a change: what runs is shown as it was before, or as it is after.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};

use tracing::{info, warn};

use super::{
    change::{Running, Step},
    keep,
    numbers::Numbers,
    port::OpenError,
    settings,
};
use crate::{
    capture::registry::{self, Registry},
    config::{
        Config,
        plan::{Change, plan},
    },
    control::{CaptureRequest, CaptureStream, Control, Edit, Refusal, Station, Status},
    engine::Engine,
    log,
    store::Store,
};

/// The running switch. Clones are the same. Once the switch has ended it shows nothing and refuses everything.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) started: Instant,
    pub(super) started_at: SystemTime,
    pub(super) engine: Arc<Engine>,
    /// What the file or the flags said.
    pub(super) declared: Config,
    pub(super) log: Option<log::Handle>,
    /// What is shown. Locked for as long as it takes to clone an `Arc`.
    running: RwLock<Arc<Running>>,
    changing: Mutex<Changing>,
    /// Why changes cannot be kept.
    pub(super) trouble: Mutex<Option<String>>,
    ready: AtomicBool,
    pub(super) captures: Registry,
}

/// What only who changes the switch has.
#[derive(Debug)]
struct Changing {
    store: Option<Store>,
    numbers: Numbers,
    ended: bool,
}

impl Handle {
    /// A switch without bridges and ports.
    pub(super) fn new(
        engine: Arc<Engine>,
        declared: Config,
        store: Option<Store>,
        log: Option<log::Handle>,
    ) -> Self {
        let trouble = store.as_ref().and_then(Store::trouble).map(str::to_owned);
        Self(Arc::new(Inner {
            started: Instant::now(),
            started_at: SystemTime::now(),
            engine,
            declared,
            log,
            running: RwLock::default(),
            changing: Mutex::new(Changing { store, numbers: Numbers::default(), ended: false }),
            trouble: Mutex::new(trouble),
            ready: AtomicBool::new(false),
            captures: Registry::default(),
        }))
    }

    /// The first change: from nothing to what is wanted. Numbers that ports had before are theirs again.
    ///
    /// # Errors
    /// What did not open. Nothing is open then.
    pub(super) fn begin(
        &self,
        wanted: &Config,
        before: &HashMap<String, u32>,
    ) -> Result<(), OpenError> {
        let inner = &*self.0;
        let mut changing = inner.changing();
        let numbers = wanted.numbers(before);
        let assigned = wanted.ports.iter().filter_map(|(name, port)| {
            Some((name.clone(), (port.bridge.clone(), *numbers.get(name)?)))
        });
        let assigned = assigned.collect();
        changing.numbers.remember(&assigned);
        // What the API made and the start cannot have again (a container's namespace is gone, say) is told and shown,
        // and is no reason to leave all others without a switch.
        let declared = &inner.declared;
        let of_the_api = |name: &str| declared.ports.get(name) != wanted.ports.get(name);
        let now = Running::default();
        let step = Step::prepare((&now, &inner.engine), wanted.clone(), assigned, &of_the_api)?;
        if let Some(store) = &mut changing.store {
            let values = keep::whole(store, declared, step.running());
            if let Err(error) = store.write(values) {
                warn!("changes are refused until they can be kept: {error}");
            }
            inner.set_trouble(store);
        }
        step.publish(&inner.engine, |running| drop(inner.show(running)));
        inner.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends captures, closes all ports, and refuses all changes from now on.
    pub(super) fn end(&self) {
        let inner = &*self.0;
        inner.ready.store(false, Ordering::Release);
        inner.captures.stop();
        let mut changing = inner.changing();
        changing.ended = true;
        let last = inner.show(Running::default());
        for port in last.ports.values() {
            port.close();
        }
        changing.store = None;
    }

    /// Publishes the snapshot that runs with the taps of the captures that run, and waits until no worker reads the
    /// one before.
    fn retap(&self) {
        let inner = &*self.0;
        let changing = inner.changing();
        if !changing.ended {
            let mut snapshot = (*inner.engine.snapshot()).clone();
            inner.captures.tap(&mut snapshot);
            inner.engine.publish(snapshot);
            inner.engine.quiesce();
        }
    }
}

impl Inner {
    /// What runs.
    pub(super) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows something else from now on. Returns what was shown before.
    fn show(&self, running: Running) -> Arc<Running> {
        let mut shown = self.running.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *shown, Arc::new(running))
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        // Nothing panics with the lock held; if it did, what is behind it would still be whole enough to be closed.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_trouble(&self, store: &Store) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            store.trouble().map(str::to_owned);
    }

    fn change(&self, dry_run: bool, edit: Edit<'_>) -> Result<Vec<Change>, Refusal> {
        let mut changing = self.changing();
        if changing.ended {
            return Err(Refusal::Failed("the switch ends".to_owned()));
        }
        let now = self.running();
        let mut wanted = now.config.clone();
        edit(&mut wanted)?;
        settings::keep(&now.config, &mut wanted)?;
        left_without_bridge(&now.config, &wanted)?;
        wanted.check().map_err(|error| Refusal::Invalid {
            key: Some(error.key.clone()).filter(|key| !key.is_empty()),
            message: error.to_string(),
        })?;
        let changes = plan(&now.config, &wanted);
        let numbers = changing.numbers.assign(&wanted, &now.numbers)?;
        if dry_run || changes.is_empty() {
            return Ok(changes);
        }
        let mut step = Step::prepare((&now, &self.engine), wanted, numbers, &|_| false)
            .map_err(|error| refusal(&error))?;
        if let Some(store) = &mut changing.store {
            let values = keep::changed(&self.declared, (&now.numbers, step.running()), &changes);
            let written = store.write(values);
            self.set_trouble(store);
            written.map_err(|error| {
                Refusal::NotKept(format!(
                    "{error}. Nothing was changed, for it would be lost with the next start"
                ))
            })?;
        }
        changing.numbers.remember(&step.running().numbers);
        self.captures.tap(step.snapshot_mut());
        step.publish(&self.engine, |running| drop(self.show(running)));
        for change in &changes {
            info!("{change}");
        }
        Ok(changes)
    }
}

/// A bridge goes with its ports and mirrors, or not at all.
fn left_without_bridge(now: &Config, wanted: &Config) -> Result<(), Refusal> {
    for name in now.bridges.keys().filter(|name| !wanted.bridges.contains_key(*name)) {
        let ports = wanted.ports.iter().filter(|(_, port)| port.bridge == *name);
        let mirrors = wanted.mirrors.iter().filter(|(_, mirror)| mirror.bridge == *name);
        let left: Vec<String> = ports
            .map(|(port, _)| format!("port {port}"))
            .chain(mirrors.map(|(mirror, _)| format!("mirror {mirror}")))
            .collect();
        if let Some(first) = left.first() {
            let more = match left.len() - 1 {
                0 => String::new(),
                1..=9 => format!(", {}", left.get(1..).unwrap_or_default().join(", ")),
                more => format!(" and {more} more"),
            };
            return Err(Refusal::Conflict(format!(
                "bridge {name} still has {first}{more}: take these away first, or in the same change"
            )));
        }
    }
    Ok(())
}

/// Why a port did not open, as the API says it: a conflict with what there is on the machine, or a want of means.
fn refusal(error: &OpenError) -> Refusal {
    let text = error.to_string();
    if error.is_out_of_descriptors() {
        return Refusal::Failed(format!("{text}; {}", super::limits::sentence()));
    }
    match error {
        OpenError::Shaper { .. } | OpenError::Descriptors => Refusal::Failed(text),
        _ => Refusal::Conflict(text),
    }
}

impl Control for Handle {
    fn status(&self) -> Status {
        self.0.status()
    }

    fn config(&self) -> Config {
        self.0.running().config.clone()
    }

    fn change(&self, dry_run: bool, edit: Edit<'_>) -> Result<Vec<Change>, Refusal> {
        self.0.change(dry_run, edit)
    }

    fn stations(&self, bridge: Option<&str>) -> Result<Vec<Station>, Refusal> {
        self.0.stations(bridge)
    }

    fn flush_stations(&self, bridge: Option<&str>, port: Option<&str>) -> Result<usize, Refusal> {
        self.0.flush_stations(bridge, port)
    }

    fn capture(&self, request: CaptureRequest) -> Result<CaptureStream, Refusal> {
        let running = self.0.running();
        let all = running.config.ports.keys();
        let wanted = match &request.ports[..] {
            [all_of_them] if all_of_them == "all" && !running.config.ports.contains_key("all") => {
                all.cloned().collect()
            }
            named => named.to_vec(),
        };
        let port = |name: &String| match running.config.ports.get(name) {
            Some(port) => Ok(registry::Port {
                name: name.clone(),
                description: format!("{} port on bridge {}", port.kind.word(), port.bridge),
            }),
            None => Err(Refusal::NotFound(format!("there is no port '{name}'"))),
        };
        let ports = wanted.iter().map(port).collect::<Result<Vec<_>, _>>()?;
        if ports.is_empty() {
            return Err(Refusal::Conflict("the switch has no port to be captured".to_owned()));
        }
        let handle = self.clone();
        self.0.captures.start(&request, ports, self.0.engine.len(), move || handle.retap())
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    fn log_level(&self) -> String {
        self.0.log.as_ref().map_or_else(|| self.0.declared.log.level.clone(), log::Handle::level)
    }

    fn set_log_level(&self, directives: &str) -> Result<(), Refusal> {
        let Some(log) = &self.0.log else {
            return Err(Refusal::Failed("this program has no log".to_owned()));
        };
        let set = log.set_level(directives);
        set.map(drop).map_err(|error| Refusal::Invalid { key: None, message: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::atomic::{AtomicI64, Ordering::SeqCst},
    };

    use super::*;
    use crate::{
        config::{BridgeConfig, PortConfig, PortKind},
        engine::EngineConfig,
        store,
    };

    fn port(directory: &Path, name: &str) -> PortConfig {
        let path = Some(directory.join(format!("{name}.sock")));
        PortConfig { path, ..PortConfig::new("br0", PortKind::VhostUser) }
    }

    /// What of a switch is on the disk, beside what its handle shows.
    fn sockets(directory: &Path) -> Vec<String> {
        let names = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".sock"));
        names.sort();
        names
    }

    fn entries(handle: &Handle) -> Vec<String> {
        handle.0.engine.snapshot().ports().map(|port| format!("{port:?}")).collect()
    }

    #[test]
    fn a_store_that_fails_at_any_point_refuses_the_change_and_leaves_everything() {
        let mut refused = 0;
        for point in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let own = directory.path();
            let left = Arc::new(AtomicI64::new(i64::MAX));
            let store = store::tests::failing(&own.join("state"), &left);
            let mut declared = Config::default();
            declared.bridges.insert("br0".into(), BridgeConfig::default());
            declared.ports.insert("vm1".into(), port(own, "vm1"));
            declared.ports.insert("vm2".into(), port(own, "vm2"));
            let config = EngineConfig { cores: declared.cores(), poll: declared.switch.poll };
            let engine = Arc::new(Engine::start(config).unwrap());
            let handle = Handle::new(engine, declared.clone(), Some(store), None);
            handle.begin(&declared, &HashMap::new()).unwrap();
            let before = (handle.config(), entries(&handle), sockets(own));

            let edit = &mut |config: &mut Config| {
                config.ports.shift_remove("vm1");
                config.ports["vm2"].queues = Some(3);
                for number in 0..200 {
                    let name = format!("n{number}");
                    config.ports.insert(name.clone(), port(own, &name));
                }
                Ok(())
            };
            left.store(point, SeqCst);
            let changed = handle.change(false, edit);
            left.store(i64::MAX, SeqCst);
            if let Err(refusal) = changed {
                refused += 1;
                assert!(matches!(refusal, Refusal::NotKept(_)), "{refusal:?}");
                assert!(handle.status().state.error.is_some());
                assert_eq!((handle.config(), entries(&handle), sockets(own)), before);
                // There is room again: nothing more than that is needed.
                handle.change(false, edit).unwrap();
                assert_eq!(handle.status().state.error, None);
            } else {
                assert!(refused > 3, "{refused} points");
                handle.end();
                return;
            }
            assert_eq!(sockets(own).len(), 201);
            handle.end();
            drop(handle);
            assert!(sockets(own).is_empty());
        }
    }
}
