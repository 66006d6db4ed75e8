//! The guest's memory. It is replaced as a whole, while no ring runs; the old one is unmapped when the last queue
//! that was made of it is gone.

use std::os::fd::OwnedFd;

use strowger_guestmem::{MAX_REGIONS, Memory, Region};

use super::{RequestError, Session};
use crate::protocol::{Request, payload};

/// How many regions a front end may have (`GET_MAX_MEM_SLOTS`).
pub(super) const MAX_SLOTS: u64 = MAX_REGIONS as u64;

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
        let memory = self.memory.with(region, fd)?;
        self.replace(memory);
        Ok(())
    }

    /// `REM_MEM_REG`: one region less. A ring that lay in it stays stopped.
    pub(super) fn remove_memory(&mut self, body: &[u8]) -> Result<(), RequestError> {
        let region = one_region(Request::RemMemReg, body)?;
        let memory = self.memory.without(&region)?;
        self.replace(memory);
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
