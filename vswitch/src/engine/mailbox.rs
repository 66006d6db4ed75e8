//! What control asks of a worker, between two sweeps.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use strowger_packet::PortId;

use super::placement::QueueCounters;
use crate::ports::RxQueue;

/// What control asks.
#[derive(Debug)]
pub(super) enum Command {
    /// Serve a queue, and count what it brings.
    Add(PortId, Box<RxQueue>, Arc<QueueCounters>),
    /// Give a queue back, released.
    Remove(PortId, u16, SyncSender<Option<RxQueue>>),
    /// End.
    Stop,
}

/// Commands on their way to one worker, and what wakes it when it sleeps.
#[derive(Debug)]
pub(super) struct Mailbox {
    commands: Mutex<VecDeque<Command>>,
    has_commands: AtomicBool,
    wake: OwnedFd,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            commands: Mutex::default(),
            has_commands: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    /// Leaves a command, and wakes the worker.
    pub(super) fn push(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.push_back(command);
        self.has_commands.store(true, SeqCst);
        drop(commands);
        self.wake();
    }

    /// Whether there are commands: one load.
    #[inline]
    pub(super) fn has_commands(&self) -> bool {
        self.has_commands.load(SeqCst)
    }

    /// The next command.
    pub(super) fn pop(&self) -> Option<Command> {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let command = commands.pop_front();
        self.has_commands.store(!commands.is_empty(), SeqCst);
        command
    }

    /// Wakes the worker, or keeps it from its next sleep.
    pub(super) fn wake(&self) {
        // Fails only when the counter is at its end: it is readable then, which is all that is wanted.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// What becomes readable when the worker is to wake.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes it unreadable again.
    pub(super) fn acknowledge(&self) {
        // Fails only when nobody woke it.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_in_order() {
        let mailbox = Mailbox::new().unwrap();
        let (reply, _) = std::sync::mpsc::sync_channel(1);
        mailbox.push(Command::Remove(PortId(1), 0, reply));
        mailbox.push(Command::Stop);
        assert!(mailbox.has_commands());
        assert!(matches!(mailbox.pop(), Some(Command::Remove(PortId(1), 0, _))));
        assert!(mailbox.has_commands());
        assert!(matches!(mailbox.pop(), Some(Command::Stop)));
        assert!(!mailbox.has_commands() && mailbox.pop().is_none());
    }
}
