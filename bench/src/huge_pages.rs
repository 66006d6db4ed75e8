//! The machine's huge pages, raised for a run and put back.

use std::{fs, path::Path};

use crate::{Error, Result};

const NUMBER: &str = "/proc/sys/vm/nr_hugepages";
/// Fewer than these do not carry testpmd and Open vSwitch at once.
const LEAST: usize = 1280;

/// Puts the number of huge pages back when dropped.
#[derive(Debug)]
pub struct HugePages {
    before: usize,
    now: usize,
}

impl HugePages {
    /// Raises the number of 2 MiB pages to `wanted`, unless there are as many.
    ///
    /// # Errors
    /// If we may not, or the machine's memory does not hold them.
    pub fn reserve(wanted: usize) -> Result<Self> {
        let before = read()?;
        if !Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
            return Err(Error::Unsuitable("this machine has no huge pages of 2 MiB".into()));
        }
        let mut pages = Self { before, now: before };
        if wanted > before {
            write(wanted)?;
            pages.now = read()?;
        }
        if pages.now < LEAST {
            return Err(Error::Unsuitable(format!(
                "{} huge pages of 2 MiB are to be had and {LEAST} are needed: free memory and try again",
                pages.now
            )));
        }
        Ok(pages)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if self.now != self.before {
            // A number that cannot be put back is seen in /proc/meminfo; nobody is left to tell.
            let _ = write(self.before);
        }
    }
}

fn read() -> Result<usize> {
    let text = fs::read_to_string(NUMBER).map_err(Error::system(format!("read {NUMBER}")))?;
    text.trim().parse().map_err(|_| Error::Unsuitable(format!("{NUMBER} holds {text:?}")))
}

fn write(number: usize) -> Result<()> {
    fs::write(NUMBER, number.to_string()).map_err(Error::system(format!("write {NUMBER}")))
}
