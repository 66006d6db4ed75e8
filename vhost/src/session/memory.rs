//! The guest's memory. It is replaced as a whole, while no ring runs; the old one is unmapped when the last queue
//! that was made of it is gone.

use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use strowger_guestmem::{MAX_REGIONS, MapError, Memory, Region};

use super::{RequestError, Session};
use crate::protocol::{Request, payload};

/// How many regions a front end may have (`GET_MAX_MEM_SLOTS`).
pub(super) const MAX_SLOTS: u64 = MAX_REGIONS as u64;

/// A region that was added by itself, and how often it was added beyond the first time.
///
/// QEMU before 8.0 adds and removes each region once for each queue pair: what is there already, from the same
/// file, is there; and it may be removed as often as it was added. What was never added may not.
pub(super) struct Slot {
    region: Region,
    file: FileId,
    again: u32,
    mapped: bool,
}

/// Device and inode: two descriptors of one file are different numbers.
type FileId = (u64, u64);

impl Session<'_> {
    /// `SET_MEM_TABLE`: other memory. If one region cannot be mapped, all stays as it was.
    pub(super) fn set_memory(
        &mut self,
        body: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<(), RequestError> {
        let name = Request::SetMemTable.name();
        let regions =
            payload::table(body).ok_or(RequestError::Size { request: name, got: body.len() })?;
        if regions.len() != fds.len() {
            return Err(RequestError::Fds { request: name, got: fds.len() });
        }
        let mut memory = Memory::default();
        for (region, fd) in regions.into_iter().zip(fds) {
            memory = memory.with(region, fd)?;
        }
        self.slots.clear();
        self.replace(memory);
        Ok(())
    }

    /// `ADD_MEM_REG`: one region more.
    pub(super) fn add_memory(
        &mut self,
        body: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Result<(), RequestError> {
        let name = Request::AddMemReg.name();
        let region = one_region(Request::AddMemReg, body)?;
        let got = fds.len();
        let fd = fds.into_iter().next().ok_or(RequestError::Fds { request: name, got })?;
        let stat = fstat(&fd).map_err(|error| MapError::from(std::io::Error::from(error)))?;
        let file = (stat.st_dev, stat.st_ino);
        let same = |slot: &&mut Slot| slot.mapped && slot.region == region && slot.file == file;
        if let Some(slot) = self.slots.iter_mut().find(same) {
            slot.again = slot.again.saturating_add(1);
            return Ok(());
        }
        let memory = self.memory.with(region, fd)?;
        self.replace(memory);
        self.slots.push(Slot { region, file, again: 0, mapped: true });
        Ok(())
    }

    /// `REM_MEM_REG`: one region less. A ring that lay in it stays stopped.
    pub(super) fn remove_memory(&mut self, body: &[u8]) -> Result<(), RequestError> {
        let region = one_region(Request::RemMemReg, body)?;
        let key = |of: &Region| (of.guest, of.user, of.size);
        let slot = |slots: &[Slot], mapped| {
            slots.iter().position(|slot| slot.mapped == mapped && key(&slot.region) == key(&region))
        };
        match self.memory.without(&region) {
            Ok(memory) => {
                self.replace(memory);
                if let Some(slot) = slot(&self.slots, true).and_then(|at| self.slots.get_mut(at)) {
                    slot.mapped = false;
                }
            }
            Err(error) => {
                let gone = slot(&self.slots, false).and_then(|at| self.slots.get_mut(at));
                let gone = gone.ok_or(RequestError::Memory(error))?;
                gone.again -= 1;
            }
        }
        self.slots.retain(|slot| slot.mapped || slot.again > 0);
        // Who adds twice and removes once, for ever, is forgotten in the order of coming.
        if self.slots.len() > MAX_REGIONS * 2 {
            let oldest = self.slots.iter().position(|slot| !slot.mapped);
            oldest.map(|at| self.slots.remove(at));
        }
        Ok(())
    }

    fn replace(&mut self, memory: Memory) {
        self.stop_rings();
        self.memory = memory;
        self.start_rings();
    }
}

fn one_region(request: Request, body: &[u8]) -> Result<Region, RequestError> {
    payload::region(body).ok_or(RequestError::Size { request: request.name(), got: body.len() })
}
