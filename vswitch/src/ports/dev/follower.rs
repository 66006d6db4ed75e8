//! What becomes of interfaces, and of the ports on them: one thread for all dev ports of a network namespace.
//!
//! The thread sleeps until the kernel tells of a change (rtnetlink for interfaces, nf_tables for their filters), and
//! then asks how the interfaces that it concerns are *now*: a message tells that something happened, never what is to
//! be done, so that it does no harm if messages come late, twice, or were lost.
//!
//! Opening and dropping a port do the same under the same lock, in the thread that does them.

use std::{
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::JoinHandle,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use tracing::{error, info, warn};

use super::{
    DevConfig, DevError, DevStatus, Host, Link, RxQueue, TxQueue,
    closing::{Before, Kernel},
    netlink::{
        Heard,
        filter::Losses,
        route::{Events, Interface},
    },
    rx, socket,
};

/// The followers that there are, by the inode of their network namespace.
static FOLLOWERS: Mutex<Vec<(u64, Weak<Follower>)>> = Mutex::new(Vec::new());

/// A dev port that is open. Dropping it takes its queues back and gives the interface to the host again.
#[derive(Debug)]
pub struct Dev {
    port: Arc<Port>,
    follower: Arc<Follower>,
}

impl Dev {
    /// Takes the interface, in the network namespace of the calling thread; if there is none, takes it when it comes.
    ///
    /// # Errors
    /// A bad name, an interface that is no Ethernet interface or another switch's, or the kernel's refusal.
    pub fn open(config: &DevConfig, host: Arc<dyn Host>) -> Result<Self, DevError> {
        check_name(&config.interface)?;
        let follower =
            Follower::of_this_namespace().map_err(DevError::kernel("follow interfaces"))?;
        let port = Arc::new(Port {
            config: config.clone(),
            host,
            link: Arc::default(),
            error: Mutex::default(),
        });
        lock(&follower.state).add(&port)?;
        Ok(Self { port, follower })
    }

    /// How the interface is.
    #[must_use]
    pub fn status(&self) -> DevStatus {
        self.port.link.status(lock(&self.port.error).clone())
    }

    /// Queue pairs when the interface is there.
    #[must_use]
    pub fn queue_pairs(&self) -> u16 {
        self.port.config.queues.max(1)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        lock(&self.follower.state).remove(&self.port);
    }
}

fn check_name(name: &str) -> Result<(), DevError> {
    let fits = (1..libc::IFNAMSIZ).contains(&name.len())
        && ![".", "..", "all", "default"].contains(&name)
        && !name
            .bytes()
            .any(|byte| b"/:%".contains(&byte) || byte.is_ascii_whitespace() || byte == 0);
    if fits { Ok(()) } else { Err(DevError::BadName(name.to_owned())) }
}

/// What is known of a port whether its interface is there or not.
#[derive(Debug)]
struct Port {
    config: DevConfig,
    host: Arc<dyn Host>,
    link: Arc<Link>,
    /// Why it has no interface.
    error: Mutex<Option<String>>,
}

/// Its thread, and what the thread works on.
struct Follower {
    state: Arc<Mutex<State>>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}

impl Follower {
    /// The one of the calling thread's network namespace, made if there is none.
    fn of_this_namespace() -> io::Result<Arc<Self>> {
        let namespace = rustix::fs::stat("/proc/thread-self/ns/net")?.st_ino;
        let mut all = lock(&FOLLOWERS);
        all.retain(|(_, follower)| follower.strong_count() > 0);
        let found = all.iter().find(|(of, _)| *of == namespace);
        if let Some(follower) = found.and_then(|(_, follower)| follower.upgrade()) {
            return Ok(follower);
        }
        let follower = Arc::new(Self::start()?);
        all.push((namespace, Arc::downgrade(&follower)));
        Ok(follower)
    }

    fn start() -> io::Result<Self> {
        let (events, losses) = (Events::open()?, Losses::open()?);
        let state = Arc::new(Mutex::new(State { kernel: Kernel::open()?, ports: Vec::new() }));
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (own, stopped) = (state.clone(), stop.try_clone()?);
        let thread = std::thread::Builder::new()
            .name("dev-ports".into())
            .spawn(move || follow(&own, events, losses, &stopped))?;
        Ok(Self { state, stop, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Cannot fail: the counter is at 0.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread that follows interfaces ended by a panic");
        }
    }
}

/// The thread: hears what happened, and looks after the ports that it concerns.
fn follow(state: &Mutex<State>, mut events: Events, mut losses: Losses, stop: &OwnedFd) {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(losses.as_fd(), PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) if !fds[2].revents().is_empty() => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                // Cannot happen with descriptors of our own.
                error!("cannot wait for what becomes of interfaces any more: {error}");
                return;
            }
        }
        let mut changed: Vec<Interface> = Vec::new();
        let mut all = events.hear(|interface| changed.push(interface)) == Heard::NotEverything;
        let mut opened: Vec<String> = Vec::new();
        all |= losses.hear(|interface| opened.push(interface.to_owned())) == Heard::NotEverything;
        let mut state = lock(state);
        let State { kernel, ports } = &mut *state;
        for followed in ports {
            let name = &followed.port.config.interface;
            let concerns = |interface: &Interface| {
                interface.name == *name || followed.is_attached_to(interface.index)
            };
            if all || changed.iter().any(concerns) || opened.contains(name) {
                followed.look(kernel);
            }
        }
    }
}

/// All ports of the namespace.
#[derive(Debug)]
struct State {
    kernel: Kernel,
    ports: Vec<Followed>,
}

/// A port, and its interface if it is there.
#[derive(Debug)]
struct Followed {
    port: Arc<Port>,
    attached: Option<Attached>,
}

/// What the switch has of an interface.
#[derive(Clone, Copy, Debug)]
struct Attached {
    index: u32,
    before: Before,
}

impl State {
    fn add(&mut self, port: &Arc<Port>) -> Result<(), DevError> {
        let mut followed = Followed { port: port.clone(), attached: None };
        match followed.reconcile(&mut self.kernel) {
            Ok(()) => {}
            Err(error @ DevError::Missing(_)) => followed.refused(&error),
            Err(error) => return Err(error),
        }
        self.ports.push(followed);
        Ok(())
    }

    fn remove(&mut self, port: &Arc<Port>) {
        if let Some(at) = self.ports.iter().position(|followed| Arc::ptr_eq(&followed.port, port)) {
            let mut followed = self.ports.swap_remove(at);
            let before = followed.detach();
            self.kernel.reopen(&port.config.interface, before);
        }
    }
}

impl Followed {
    fn is_attached_to(&self, index: u32) -> bool {
        self.attached.is_some_and(|attached| attached.index == index)
    }

    /// Looks after the port; what goes wrong is logged and shown.
    fn look(&mut self, kernel: &mut Kernel) {
        match self.reconcile(kernel) {
            Ok(()) => *lock(&self.port.error) = None,
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &DevError) {
        let text = error.to_string();
        let before = lock(&self.port.error).replace(text.clone());
        if before.as_ref() != Some(&text) {
            warn!("port {}: {text}", self.port.config.port);
        }
    }

    /// Brings the port to what the kernel has.
    fn reconcile(&mut self, kernel: &mut Kernel) -> Result<(), DevError> {
        let port = self.port.clone();
        let Port { config, link, .. } = &*port;
        let name = config.interface.as_str();
        let found = kernel.route.find(name).map_err(DevError::kernel("ask for the interface"))?;
        if let Some(attached) = self.attached {
            if let Some(found) = found.as_ref().filter(|found| found.index == attached.index) {
                let was_up = link.is_up();
                link.set(found);
                if was_up != found.is_up() {
                    let now = if found.is_up() { "up" } else { "down" };
                    info!("port {}: the link of interface {name} is {now}", config.port);
                }
                return kernel.keep_closed(name, attached.before);
            }
            info!("port {}: interface {name} is gone", config.port);
            self.detach();
        }
        let found = found.ok_or_else(|| DevError::Missing(name.to_owned()))?;
        if !found.is_ethernet {
            return Err(DevError::NotEthernet(name.to_owned()));
        }
        self.attach(&found, kernel)
    }

    fn attach(&mut self, found: &Interface, kernel: &mut Kernel) -> Result<(), DevError> {
        let Port { config, host, link, .. } = &*self.port;
        let before = kernel.close(found)?;
        let queues = match queues(config, link, found) {
            Ok(queues) => queues,
            Err(error) => {
                kernel.reopen(&found.name, Some(before));
                return Err(error);
            }
        };
        // It was set up just now.
        let now = kernel.route.find(&found.name).ok().flatten();
        link.set(now.as_ref().filter(|now| now.index == found.index).unwrap_or(found));
        for (rx, tx) in queues {
            host.start(rx, tx);
        }
        self.attached = Some(Attached { index: found.index, before });
        info!("port {}: has interface {}", config.port, found.name);
        Ok(())
    }

    /// Gives the queues up; says how the interface was before.
    fn detach(&mut self) -> Option<Before> {
        let attached = self.attached.take()?;
        let Port { config, host, link, .. } = &*self.port;
        link.clear();
        for pair in 0..config.queues.max(1) {
            host.stop(pair);
        }
        Some(attached.before)
    }
}

/// Opens the queues on an interface that is closed to the host.
fn queues(
    config: &DevConfig,
    link: &Arc<Link>,
    found: &Interface,
) -> Result<Vec<(RxQueue, TxQueue)>, DevError> {
    let shape = rx::shape(found.mtu as usize);
    let receivers = socket::receivers(found.index, shape, config.queues)
        .map_err(DevError::kernel("receive from the interface by a packet socket"))?;
    let both = |((fd, ring), pair)| {
        let sender = socket::sender(found.index)?;
        Ok((RxQueue::new(pair, fd, ring, shape)?, TxQueue::new(pair, sender, link.clone())))
    };
    receivers
        .into_iter()
        .zip(0..)
        .map(both)
        .collect::<io::Result<_>>()
        .map_err(DevError::kernel("send by the interface by a packet socket"))
}

/// Nothing panics with the lock held; if it did, what is behind it would still be whole enough to be closed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
