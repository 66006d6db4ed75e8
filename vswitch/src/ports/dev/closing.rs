//! An interface that the switch has is closed to the host's own stack: a filter drops all that comes in behind the
//! packet sockets, IPv6 is off, and it neither asks nor answers by ARP.
//!
//! How it was before is written beside the filter, where a successor of a killed switch finds it: the filter stays
//! then, and whoever takes the interface next puts back what was there at the very first.

use std::{fs, io};

use super::{
    DevError,
    netlink::{
        filter::Filter,
        route,
        route::{Interface, Route},
    },
};

/// The kernel as it is asked about interfaces and filters, in one network namespace.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) route: Route,
    pub(super) filter: Filter,
}

/// How an interface was before the switch took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before {
    index: u32,
    /// Was set up.
    up: bool,
    /// Had `IFF_NOARP`.
    no_arp: bool,
    /// Had IPv6 switched off; `None` if it has no IPv6 at all.
    no_ipv6: Option<bool>,
}

impl Kernel {
    /// In the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { route: Route::open()?, filter: Filter::open()? })
    }

    /// Takes an interface from the host's stack, and sets it up.
    ///
    /// # Errors
    /// What the kernel says. The interface is as before then.
    pub(super) fn close(&mut self, interface: &Interface) -> Result<Before, DevError> {
        let name = interface.name.as_str();
        let left = self
            .filter
            .comment(name)
            .map_err(DevError::kernel("ask for the interface's filter"))?;
        let before = left
            .and_then(|comment| Before::read(&comment))
            .filter(|before| before.index == interface.index);
        let before = match before {
            Some(before) => before,
            None => Before {
                index: interface.index,
                up: interface.flags & route::UP != 0,
                no_arp: interface.flags & route::NO_ARP != 0,
                no_ipv6: no_ipv6(name)?,
            },
        };
        self.filter.close(name, &before.comment()).map_err(|error| {
            match error.raw_os_error() {
                // Without the right to make tables at all, the question above had failed.
                Some(libc::EPERM) => DevError::Taken(name.to_owned()),
                _ => {
                    DevError::Kernel { step: "close the interface to the host by nf_tables", error }
                }
            }
        })?;
        self.quieten(interface).inspect_err(|_| self.reopen(name, Some(before)))?;
        Ok(before)
    }

    /// Switches off what the host's stack would send by itself, and sets the interface up.
    fn quieten(&mut self, interface: &Interface) -> Result<(), DevError> {
        keep_quiet(&interface.name)?;
        self.route
            .set_flags(interface.index, route::UP | route::NO_ARP, route::UP | route::NO_ARP)
            .map_err(DevError::kernel("set the interface up"))
    }

    /// Sees to it that the interface is still closed after something happened to it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn keep_closed(&mut self, interface: &str, before: Before) -> Result<(), DevError> {
        let step = "keep the interface closed to the host by nf_tables";
        if !self.filter.is_closed(interface).map_err(DevError::kernel(step))? {
            self.filter.close(interface, &before.comment()).map_err(DevError::kernel(step))?;
        }
        keep_quiet(interface)
    }

    /// Gives an interface back as it was, or only takes the filter away if it is gone.
    pub(super) fn reopen(&mut self, name: &str, before: Option<Before>) {
        let refused = |step: &str, error: &dyn std::fmt::Display| {
            tracing::warn!("interface {name}: cannot {step}: {error}");
        };
        if let Some(before) = before {
            let flag = |flag: u32, wanted: bool| if wanted { flag } else { 0 };
            let flags = flag(route::UP, before.up) | flag(route::NO_ARP, before.no_arp);
            if let Err(error) = self.route.set_flags(before.index, flags, route::UP | route::NO_ARP)
                && error.raw_os_error() != Some(libc::ENODEV)
            {
                refused("set its flags back", &error);
            }
            if before.no_ipv6 == Some(false)
                && let Err(error) = write_no_ipv6(name, false)
                && error.kind() != io::ErrorKind::NotFound
            {
                refused("switch its IPv6 on again", &error);
            }
        }
        if let Err(error) = self.filter.reopen(name) {
            refused("take its filter away", &error);
        }
    }
}

impl Before {
    fn comment(&self) -> String {
        let yes = u8::from;
        format!(
            "kept for a Strowger port; before: index={} up={} noarp={} noipv6={}",
            self.index,
            yes(self.up),
            yes(self.no_arp),
            self.no_ipv6.map_or("-".to_owned(), |no| yes(no).to_string()),
        )
    }

    fn read(comment: &str) -> Option<Self> {
        let mut words = comment.split_once("before: ")?.1.split(' ');
        let mut value = |key: &str| words.next()?.split_once('=').filter(|(k, _)| *k == key);
        Some(Self {
            index: value("index")?.1.parse().ok()?,
            up: value("up")?.1 == "1",
            no_arp: value("noarp")?.1 == "1",
            no_ipv6: match value("noipv6")?.1 {
                "-" => None,
                no => Some(no == "1"),
            },
        })
    }
}

/// An interface that the MTU was too small for may have got IPv6 later: it is off, too.
fn keep_quiet(name: &str) -> Result<(), DevError> {
    if no_ipv6(name)? == Some(false) {
        write_no_ipv6(name, true).map_err(DevError::kernel("switch the interface's IPv6 off"))?;
    }
    Ok(())
}

/// The file belongs to the network namespace of the calling thread.
fn no_ipv6_file(name: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
}

/// Whether IPv6 is switched off on the interface; `None` if it has none.
fn no_ipv6(name: &str) -> Result<Option<bool>, DevError> {
    match fs::read_to_string(no_ipv6_file(name)) {
        Ok(text) => Ok(Some(text.trim() != "0")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DevError::Kernel { step: "ask whether the interface has IPv6", error }),
    }
}

fn write_no_ipv6(name: &str, off: bool) -> io::Result<()> {
    fs::write(no_ipv6_file(name), if off { "1" } else { "0" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_was_is_read_from_the_comment_again() {
        for no_ipv6 in [None, Some(false), Some(true)] {
            for (up, no_arp) in [(true, false), (false, true)] {
                let before = Before { index: 77, up, no_arp, no_ipv6 };
                assert_eq!(Before::read(&before.comment()), Some(before));
                // libnftnl's length of a comment has one byte, and counts the final zero.
                assert!(before.comment().len() < 128);
            }
        }
        for other in ["", "somebody else's", "before: index=x", "before: index=1 up=1"] {
            assert_eq!(Before::read(other), None);
        }
    }
}
