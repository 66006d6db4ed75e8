//! One port as it is written: `KIND:NAME[=PATH|@NETNS][,key=value]…`.

use std::{ops::RangeInclusive, path::PathBuf, str::FromStr};

use thiserror::Error;

use super::{
    MAX_INTERFACE_NAME, MAX_NAME, MAX_NUMBER, MAX_QUEUES, MAX_SOCKET_PATH, Netns, PortConfig,
    PortKind, VlanKeys,
};

/// Why a port's text was not understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PortSyntaxError {
    /// There is no colon after the kind.
    #[error("a port is KIND:NAME, for example vhost-user:vm1=/run/vm1.sock or tap:c1@blue")]
    NoKind,
    /// The kind is none of ours.
    #[error(
        "there is no kind of port named '{0}'; the kinds are vhost-user, vhost-user-client and tap"
    )]
    UnknownKind(String),
    /// The name is empty, too long, or has characters that a name cannot have.
    #[error(
        "'{0}' is no name: it needs 1 to {MAX_NAME} letters, digits, dots, dashes or underscores, not a dot first"
    )]
    BadName(String),
    /// A TAP's name is its interface's.
    #[error("'{0}' has {len} bytes; the name of an interface has at most {MAX_INTERFACE_NAME}", len = .0.len())]
    InterfaceNameTooLong(String),
    /// A vhost-user port without a socket.
    #[error("a {0} port needs the path of its socket: {0}:NAME=PATH")]
    NoPath(&'static str),
    /// A TAP port with a socket.
    #[error("a tap port has no path; its network namespace is given as tap:NAME@NETNS")]
    TapWithPath,
    /// A namespace without a name.
    #[error("there is no network namespace after the '@'")]
    NoNetns,
    /// The path does not fit a socket's address.
    #[error("'{0}' has {len} bytes; a socket's path has at most {MAX_SOCKET_PATH}", len = .0.len())]
    PathTooLong(String),
    /// Something between commas that is not `key=value`.
    #[error(
        "'{0}' is not key=value; the keys are number, tag, trunks, native, dot1q-tunnel and queues"
    )]
    NotAKey(String),
    /// A key twice.
    #[error("the key '{0}' is given twice")]
    Twice(String),
    /// A number that is none or out of range.
    #[error("'{value}' is no {key}: it is a number from {low} to {high}")]
    BadNumber {
        /// Which key.
        key: &'static str,
        /// What was written.
        value: String,
        /// The lowest allowed.
        low: u32,
        /// The highest allowed.
        high: u32,
    },
    /// A list of VLANs that is none.
    #[error("'{0}' is no list of VLANs: write numbers from 0 to 4094 and ranges, as in 10+20-30")]
    BadTrunks(String),
}

impl FromStr for PortConfig {
    type Err = PortSyntaxError;

    fn from_str(text: &str) -> Result<Self, PortSyntaxError> {
        let mut parts = text.split(',');
        let (kind, place) =
            parts.next().unwrap_or_default().split_once(':').ok_or(PortSyntaxError::NoKind)?;
        let (name, kind) = kind_and_name(kind, place)?;
        let mut port = Self { name, kind, number: None, vlan: VlanKeys::default(), queues: None };
        let mut seen = Vec::new();
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| PortSyntaxError::NotAKey(part.to_owned()))?;
            if seen.contains(&key) {
                return Err(PortSyntaxError::Twice(key.to_owned()));
            }
            seen.push(key);
            match key {
                "number" => port.number = Some(number("port number", value, 1, MAX_NUMBER)?),
                "queues" => {
                    let most = u32::from(MAX_QUEUES);
                    port.queues = Some(number("number of queues", value, 1, most)? as u16);
                }
                "tag" => port.vlan.tag = Some(vid(value)?),
                "native" => port.vlan.native = Some(vid(value)?),
                "dot1q-tunnel" => port.vlan.tunnel = Some(vid(value)?),
                "trunks" => port.vlan.trunks = trunks(value)?,
                _ => return Err(PortSyntaxError::NotAKey(part.to_owned())),
            }
        }
        Ok(port)
    }
}

/// Reads `NAME[=PATH|@NETNS]` of a kind.
fn kind_and_name(kind: &str, place: &str) -> Result<(String, PortKind), PortSyntaxError> {
    let socket = |word: &'static str| {
        let (name, path) = place.split_once('=').ok_or(PortSyntaxError::NoPath(word))?;
        if path.is_empty() {
            return Err(PortSyntaxError::NoPath(word));
        }
        if path.len() > MAX_SOCKET_PATH {
            return Err(PortSyntaxError::PathTooLong(path.to_owned()));
        }
        Ok((checked_name(name)?, PathBuf::from(path)))
    };
    match kind {
        "vhost-user" => {
            socket("vhost-user").map(|(name, path)| (name, PortKind::VhostServer { path }))
        }
        "vhost-user-client" => {
            socket("vhost-user-client").map(|(name, path)| (name, PortKind::VhostClient { path }))
        }
        "tap" => {
            let (name, netns) = match place.split_once('@') {
                Some((_, "")) => return Err(PortSyntaxError::NoNetns),
                Some((name, netns)) => (name, Some(Netns::new(netns))),
                None if place.contains('=') => return Err(PortSyntaxError::TapWithPath),
                None => (place, None),
            };
            let name = checked_name(name)?;
            if name.len() > MAX_INTERFACE_NAME {
                return Err(PortSyntaxError::InterfaceNameTooLong(name));
            }
            Ok((name, PortKind::Tap { netns }))
        }
        _ => Err(PortSyntaxError::UnknownKind(kind.to_owned())),
    }
}

/// A name that is fit for tables, JSON, and an interface.
pub(super) fn checked_name(name: &str) -> Result<String, PortSyntaxError> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits { Ok(name.to_owned()) } else { Err(PortSyntaxError::BadName(name.to_owned())) }
}

fn number(key: &'static str, value: &str, low: u32, high: u32) -> Result<u32, PortSyntaxError> {
    let wrong = || PortSyntaxError::BadNumber { key, value: value.to_owned(), low, high };
    let number = value.parse().map_err(|_| wrong())?;
    if (low..=high).contains(&number) { Ok(number) } else { Err(wrong()) }
}

fn vid(value: &str) -> Result<u16, PortSyntaxError> {
    number("VLAN", value, 1, 4094).map(|vid| vid as u16)
}

/// Reads `10+20-30`.
fn trunks(value: &str) -> Result<Vec<RangeInclusive<u16>>, PortSyntaxError> {
    let wrong = || PortSyntaxError::BadTrunks(value.to_owned());
    let vid = |text: &str| text.parse().ok().filter(|&vid: &u16| vid <= 4094).ok_or_else(wrong);
    value
        .split('+')
        .map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let range = vid(low)?..=vid(high)?;
            if range.is_empty() { Err(wrong()) } else { Ok(range) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> PortConfig {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<PortConfig>().unwrap_err().to_string()
    }

    #[test]
    fn each_kind_is_read_with_its_place() {
        let server = port("vhost-user:vm1=/run/a=b.sock");
        assert_eq!(server.name, "vm1");
        assert_eq!(server.kind, PortKind::VhostServer { path: "/run/a=b.sock".into() });
        assert_eq!(server.queue_pairs(), 8);
        let client = port("vhost-user-client:vm2=b.sock,queues=2");
        assert_eq!(client.kind, PortKind::VhostClient { path: "b.sock".into() });
        assert_eq!(client.queue_pairs(), 2);
        let tap = port("tap:t0");
        assert_eq!((tap.kind.clone(), tap.queue_pairs()), (PortKind::Tap { netns: None }, 1));
        let PortKind::Tap { netns: Some(named) } = port("tap:t1@blue").kind else { panic!() };
        assert_eq!(named.path(), PathBuf::from("/run/netns/blue"));
        let PortKind::Tap { netns: Some(path) } = port("tap:t1@/proc/7/ns/net,queues=4").kind
        else {
            panic!()
        };
        assert_eq!(path.path(), PathBuf::from("/proc/7/ns/net"));
    }

    #[test]
    fn keys_are_read_in_any_order() {
        let trunk = port("tap:t0,native=5,number=65280,trunks=10+20-30+0");
        assert_eq!(trunk.number, Some(0xff00));
        assert_eq!(trunk.vlan.native, Some(5));
        assert_eq!(trunk.vlan.trunks, [10..=10, 20..=30, 0..=0]);
        assert_eq!(port("tap:t0,tag=4094").vlan.tag, Some(4094));
        assert_eq!(port("tap:t0,dot1q-tunnel=1").vlan.tunnel, Some(1));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "KIND:NAME"),
            ("vm1", "KIND:NAME"),
            ("dpdk:x=/a", "no kind of port named 'dpdk'"),
            ("vhost-user:vm1", "needs the path"),
            ("vhost-user:vm1=", "needs the path"),
            ("vhost-user:=/a", "is no name"),
            ("vhost-user:a b=/a", "'a b' is no name"),
            ("tap:..", "is no name"),
            ("tap:abcdefghijklmnop", "has 16 bytes"),
            ("tap:a=/b", "a tap port has no path"),
            ("tap:a@", "no network namespace"),
            ("tap:a,tag", "'tag' is not key=value"),
            ("tap:a,colour=red", "'colour=red' is not key=value"),
            ("tap:a,tag=1,tag=2", "'tag' is given twice"),
            ("tap:a,tag=0", "from 1 to 4094"),
            ("tap:a,tag=4095", "from 1 to 4094"),
            ("tap:a,tag=-1", "'-1' is no VLAN"),
            ("tap:a,queues=0", "from 1 to 64"),
            ("tap:a,number=65281", "from 1 to 65280"),
            ("tap:a,trunks=", "no list of VLANs"),
            ("tap:a,trunks=30-20", "no list of VLANs"),
            ("tap:a,trunks=4095", "no list of VLANs"),
        ] {
            let said = refusal(text);
            assert!(said.contains(part), "{text}: {said}");
        }
        let long = format!("vhost-user:a=/{}", "x".repeat(107));
        assert!(refusal(&long).contains("has 108 bytes"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", keys in "(,(tag|trunks|native|queues|number)=[0-9+-]{0,8}){0,4}") {
            let _either = text.parse::<PortConfig>();
            let _either = format!("tap:a{keys}").parse::<PortConfig>();
        }
    }
}
