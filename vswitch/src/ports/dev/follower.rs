//! What becomes of interfaces, and of the ports on them: one thread for all dev ports of a network namespace.
//!
//! The thread sleeps until the kernel tells of a change (rtnetlink for interfaces, nf_tables for their filters), and
//! then asks how the interfaces that it concerns are *now*: a message tells that something happened, never what is to
//! be done, so that it does no harm if messages come late, twice, or were lost.
//!
//! It also opens and closes the ports, while whoever asks for it waits: so everything happens in one order, and in one
//! network namespace, to which the files under /proc/sys/net belong that the thread reads and writes.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
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
        let added = follower.ask(|reply| Command::Add(port.clone(), reply));
        added.map_err(DevError::kernel("open the port"))??;
        Ok(Self { port, follower })
    }

    /// How the interface is.
    #[must_use]
    pub fn status(&self) -> DevStatus {
        self.port.link.status(lock(&self.port.error).clone())
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.port.config.interface
    }

    /// Queue pairs when the interface is there.
    #[must_use]
    pub fn queue_pairs(&self) -> u16 {
        self.port.config.queues.max(1)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Err(error) = self.follower.ask(|reply| Command::Remove(self.port.clone(), reply)) {
            error!("port {}: was not closed: {error}", self.port.config.port);
        }
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

/// What the thread is asked to do.
#[derive(Debug)]
enum Command {
    Add(Arc<Port>, Sender<Result<(), DevError>>),
    Remove(Arc<Port>, Sender<()>),
}

/// The thread. It ends when the last port has gone.
#[derive(Debug)]
struct Follower {
    /// Not there while it ends.
    commands: Option<Sender<Command>>,
    /// Becomes readable when there is a command.
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
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
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (wake, (sender, commands)) = (eventfd(0, flags)?, mpsc::channel());
        let work = Work {
            events: Events::open()?,
            losses: Losses::open()?,
            kernel: Kernel::open()?,
            wake: wake.try_clone()?,
            commands,
            ports: Vec::new(),
        };
        let thread =
            std::thread::Builder::new().name("dev-ports".into()).spawn(move || work.run())?;
        Ok(Self { commands: Some(sender), wake, thread: Some(thread) })
    }

    /// Has the thread do something, and waits until it is done.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> io::Result<T> {
        let ended = || io::Error::other("the thread that follows interfaces has ended");
        let (reply, answer) = mpsc::channel();
        let commands = self.commands.as_ref().ok_or_else(ended)?;
        commands.send(command(reply)).map_err(|_| ended())?;
        self.wake()?;
        answer.recv().map_err(|_| ended())
    }

    fn wake(&self) -> io::Result<()> {
        rustix::io::write(&self.wake, &1u64.to_ne_bytes())?;
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.commands = None;
        let woken = self.wake();
        if let Err(error) = woken {
            error!("cannot end the thread that follows interfaces: {error}");
        } else if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread that follows interfaces ended by a panic");
        }
    }
}

/// What the thread works on.
#[derive(Debug)]
struct Work {
    events: Events,
    losses: Losses,
    kernel: Kernel,
    wake: OwnedFd,
    commands: Receiver<Command>,
    ports: Vec<Followed>,
}

impl Work {
    fn run(mut self) {
        loop {
            let mut fds = [&self.events.as_fd(), &self.losses.as_fd(), &self.wake.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
            if let Err(error) = rustix::io::retry_on_intr(|| poll(&mut fds, None)) {
                // Cannot happen with descriptors of our own.
                error!("cannot wait for what becomes of interfaces any more: {error}");
                return;
            }
            self.hear();
            // Fails only if nobody woke it.
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            loop {
                match self.commands.try_recv() {
                    // Who asked waits for the answer, unless its thread has ended.
                    Ok(Command::Add(port, reply)) => {
                        let _ = reply.send(self.add(&port));
                    }
                    Ok(Command::Remove(port, reply)) => {
                        self.remove(&port);
                        let _ = reply.send(());
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
    }

    /// Looks after the ports that something happened to.
    fn hear(&mut self) {
        let (mut changed, mut opened): (Vec<Interface>, Vec<String>) = Default::default();
        let mut all = self.events.hear(|interface| changed.push(interface)) == Heard::NotEverything;
        all |=
            self.losses.hear(|interface| opened.push(interface.to_owned())) == Heard::NotEverything;
        for followed in &mut self.ports {
            let name = &followed.port.config.interface;
            let concerns = |interface: &Interface| {
                interface.name == *name || followed.is_attached_to(interface.index)
            };
            if all || changed.iter().any(concerns) || opened.contains(name) {
                followed.look(&mut self.kernel);
            }
        }
    }

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
            let name = &port.config.interface;
            // A port that was opened in this one's place has the interface now, and what it was before stands beside
            // the filter.
            if !self.ports.iter().any(|other| other.port.config.interface == *name) {
                self.kernel.reopen(name, before);
            }
        }
    }
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
            // Before the link is seen to be down.
            self.refused(&DevError::Missing(name.to_owned()));
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
