//! Huge pages of the machine, reserved for a test and given back.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

const TOTAL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
/// Held while pages are reserved: the kernel's number belongs to all.
const LOCK: &str = "/tmp/strowger-huge-pages.lock";

/// Huge pages of 2 MiB that were reserved. Given back when this value goes.
pub struct HugePages {
    count: usize,
    /// Unlocks when it is closed, after the pages were given back.
    _lock: File,
}

impl HugePages {
    /// Reserves so many more pages; none if the machine has no such pages, or not enough memory in
    /// one piece for them.
    pub fn reserve(count: usize) -> Result<Option<HugePages>> {
        if !Path::new(TOTAL).exists() {
            return Ok(None);
        }
        let lock = File::create(LOCK).map_err(Error::io(format!("open {LOCK}")))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| Error::io(format!("lock {LOCK}"))(error.into()))?;
        let (before, free) = (read(TOTAL)?, read(FREE)?);
        if fs::write(TOTAL, (before + count).to_string()).is_err() {
            return Ok(None);
        }
        // From here on dropping it gives back what came, which may be less.
        let pages = HugePages { count: read(TOTAL)?.saturating_sub(before), _lock: lock };
        Ok((pages.count == count && read(FREE)? >= free + count).then_some(pages))
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Ok(now) = read(TOTAL) {
            // A number that cannot be put back is seen in /proc/meminfo; nobody is left to tell.
            let _ = fs::write(TOTAL, now.saturating_sub(self.count).to_string());
        }
    }
}

fn read(path: &str) -> Result<usize> {
    let text = fs::read_to_string(path).map_err(Error::io(format!("read {path}")))?;
    text.trim().parse().map_err(|_| Error::Wrong(format!("{path} holds {text:?}")))
}
