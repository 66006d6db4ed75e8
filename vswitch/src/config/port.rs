//! One port.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    ConfigError, DEFAULT_VHOST_QUEUES, MAX_NUMBER, MAX_QUEUES, Netns, Rate, Size, VidRange, flags,
    keys::{self, Form, Key, Section},
};
use crate::{
    rates,
    vlan::{Mode, Native, Vid, VidSet},
};

/// A port: where frames enter and leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortConfig {
    /// The bridge that it is a port of.
    pub bridge: String,
    /// What is behind it: a virtual machine's network card by a socket that the switch makes (`vhost-user`) or that
    /// it connects to (`vhost-user-client`), a TAP interface that the switch makes (`tap`), or an interface that is
    /// there (`dev`).
    pub kind: PortKind,
    /// The UNIX socket of a vhost-user port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub path: Option<PathBuf>,
    /// The network namespace that a TAP interface is made in: a name of `ip netns`, or a path such as
    /// `/proc/PID/ns/net`. The switch's own without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
    /// The interface of a `tap` or `dev` port, at most 15 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its OpenFlow number on its bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65280)]
    pub number: Option<u32>,
    /// Queue pairs: the most that a guest may use (vhost-user), as many as the interface has (`tap`), as many as
    /// workers share the interface (`dev`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 64)]
    pub queues: Option<u16>,
    /// Access port: its frames are untagged, and in this VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4094)]
    pub tag: Option<u16>,
    /// Trunk port: these VLANs, tagged; 0 for untagged frames. Without any VLAN key: all, tagged or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trunks: Vec<VidRange>,
    /// With `trunks` or alone: untagged frames are in this VLAN, and leave untagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4094)]
    pub native: Option<u16>,
    /// QinQ: whatever comes is carried inside this service VLAN (802.1ad).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4094)]
    pub dot1q_tunnel: Option<u16>,
    /// The most that the port may send into the switch, in bits or frames a second; what is more is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_rate: Option<Rate>,
    /// How much may come at once above that rate; in bytes, or in frames for a rate in frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_burst: Option<Size>,
    /// The most that the port is sent from the switch, in bits or frames a second; what is more waits in a queue of
    /// bounded length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_rate: Option<Rate>,
    /// How much may leave at once above that rate; in bytes, or in frames for a rate in frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_burst: Option<Size>,
}

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PortKind {
    /// A vhost-user port that listens at a path.
    VhostUser,
    /// A vhost-user port that connects to a path, again and again.
    VhostUserClient,
    /// A TAP interface that the switch makes.
    Tap,
    /// An interface that is there: a veth end, a NIC, a bond.
    Dev,
}

impl PortKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::VhostUser, Self::VhostUserClient, Self::Tap, Self::Dev];

    /// The word for it in files, on the command line and in `strowger status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::VhostUser => "vhost-user",
            Self::VhostUserClient => "vhost-user-client",
            Self::Tap => "tap",
            Self::Dev => "dev",
        }
    }

    /// Whether a socket is between the port and what is behind it.
    #[must_use]
    pub fn has_socket(self) -> bool {
        matches!(self, Self::VhostUser | Self::VhostUserClient)
    }
}

impl PortConfig {
    /// A port of a bridge, of which nothing else is said.
    #[must_use]
    pub fn new(bridge: impl Into<String>, kind: PortKind) -> Self {
        Self {
            bridge: bridge.into(),
            kind,
            path: None,
            netns: None,
            interface: None,
            number: None,
            queues: None,
            tag: None,
            trunks: Vec::new(),
            native: None,
            dot1q_tunnel: None,
            ingress_rate: None,
            ingress_burst: None,
            egress_rate: None,
            egress_burst: None,
        }
    }

    /// Queue pairs, given or by default.
    #[must_use]
    pub fn queue_pairs(&self) -> u16 {
        self.queues.unwrap_or(if self.kind.has_socket() { DEFAULT_VHOST_QUEUES } else { 1 })
    }

    /// The name of the interface of a `tap` or `dev` port that is called `name`.
    #[must_use]
    pub fn interface<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        (!self.kind.has_socket()).then(|| self.interface.as_deref().unwrap_or(name))
    }

    /// The socket of a vhost-user port.
    #[must_use]
    pub fn socket(&self) -> Option<&PathBuf> {
        self.path.as_ref().filter(|_| self.kind.has_socket())
    }

    /// What bounds the frames that come in by the port, with the default burst if none is given.
    #[must_use]
    pub fn policing(&self) -> Option<rates::Limit> {
        limit(self.ingress_rate, self.ingress_burst)
    }

    /// What bounds the frames that leave by the port, with the default burst if none is given.
    #[must_use]
    pub fn shaping(&self) -> Option<rates::Limit> {
        limit(self.egress_rate, self.egress_burst)
    }

    /// What the port's VLAN keys mean together.
    ///
    /// # Errors
    /// If they contradict each other; the error's key is the port's own, as in `trunks`.
    pub fn vlan_mode(&self) -> Result<Mode, ConfigError> {
        let given = [
            ("tag", self.tag.is_some()),
            ("dot1q-tunnel", self.dot1q_tunnel.is_some()),
            ("trunks", !self.trunks.is_empty()),
            ("native", self.native.is_some()),
        ];
        let mut given = given.into_iter().filter(|&(_, given)| given).map(|(key, _)| key);
        match (given.next(), given.next()) {
            (Some("trunks"), Some("native")) => {}
            (Some(one), Some(other)) => {
                let message = format!(
                    "there are both {one} and {other}: a port is an access port (tag), a trunk (trunks, native) or a tunnel (dot1q-tunnel)"
                );
                return Err(ConfigError::new(other, message));
            }
            _ => {}
        }
        if let Some(vid) = self.tag.and_then(Vid::new) {
            return Ok(Mode::Access(vid));
        }
        if let Some(vid) = self.dot1q_tunnel.and_then(Vid::new) {
            return Ok(Mode::Tunnel(vid));
        }
        let allowed = if self.trunks.is_empty() {
            VidSet::all()
        } else {
            self.trunks
                .iter()
                .flat_map(|range| range.low..=range.high)
                .filter_map(Vid::new)
                .collect()
        };
        let native = self.native.and_then(Vid::new).map(|vid| Native { vid, tagged: false });
        Ok(Mode::Trunk { allowed, native })
    }
}

fn limit(rate: Option<Rate>, burst: Option<Size>) -> Option<rates::Limit> {
    let rate = rate?;
    // Of one unit, or `Config::check` refuses them.
    let (Size::Bytes(burst) | Size::Frames(burst)) = burst.unwrap_or(rate.default_burst());
    Some(match rate {
        Rate::Bits(rate) => rates::Limit::bits(rate, burst),
        Rate::Frames(rate) => rates::Limit::frames(rate, burst),
    })
}

const VID: Form = Form::Number { what: "a VLAN", low: 1, high: 4094 };

impl Section for PortConfig {
    const WHAT: &'static str = "a port";
    const KEYS: &'static [Key] = &[
        Key::new("bridge", Form::Name("a bridge")).required(),
        Key::new("kind", Form::Choice(&["vhost-user", "vhost-user-client", "tap", "dev"]))
            .required(),
        Key::new("path", Form::Path),
        Key::new("netns", Form::Netns).shown_default("the switch's own"),
        Key::new("interface", Form::Interface).shown_default("the port's name"),
        Key::new("number", Form::Number { what: "a port number", low: 1, high: MAX_NUMBER as u64 })
            .shown_default("the lowest that is free, in the order given"),
        Key::new(
            "queues",
            Form::Number { what: "a number of queue pairs", low: 1, high: MAX_QUEUES as u64 },
        )
        .shown_default("8 for vhost-user, else 1"),
        Key::new("tag", VID),
        Key::new("trunks", Form::List(&Form::Vlans)),
        Key::new("native", VID),
        Key::new("dot1q-tunnel", VID),
        Key::new("ingress-rate", Form::Rate),
        Key::new("ingress-burst", Form::Size)
            .shown_default("10 ms of the rate, at least 64KiB or 64p"),
        Key::new("egress-rate", Form::Rate),
        Key::new("egress-burst", Form::Size)
            .shown_default("10 ms of the rate, at least 64KiB or 64p"),
    ];
}

/// Reads a port as a flag writes it: `KIND:NAME[=PATH|=INTERFACE|@NETNS][,key=value]…`. Its bridge is empty if no
/// `bridge=` is among the keys.
///
/// # Errors
/// What was not understood, with its key (`ports.vm1.tag`) once the name is known.
pub fn parse(text: &str) -> Result<(String, PortConfig), ConfigError> {
    const SHAPE: &str =
        "a port is KIND:NAME, for example vhost-user:vm1=/run/vm1.sock, tap:c1@blue or dev:eth1";
    let (head, keys) = text.split_once(',').map_or((text, None), |(head, keys)| (head, Some(keys)));
    let (kind, place) =
        head.split_once(':').ok_or_else(|| ConfigError::new("", SHAPE.to_owned()))?;
    if !PortKind::ALL.iter().any(|known| known.word() == kind) {
        let message = format!(
            "there is no kind of port named '{kind}'; the kinds are vhost-user, vhost-user-client, tap and dev"
        );
        return Err(ConfigError::new("", message));
    }
    let (separator, place_key) = match kind {
        "tap" => ('@', "netns"),
        "dev" => ('=', "interface"),
        _ => ('=', "path"),
    };
    let (name, place) =
        place.split_once(separator).map_or((place, None), |(name, place)| (name, Some(place)));
    if kind == "tap" && name.contains('=') {
        let message = "a tap port has no path; its network namespace is given as tap:NAME@NETNS";
        return Err(ConfigError::new("", message.to_owned()));
    }
    super::check::name(name).map_err(|message| ConfigError::new("", message))?;
    let path = super::path::join(&["ports", name]);
    let mut port = Map::new();
    port.insert("bridge".into(), Value::String(String::new()));
    port.insert("kind".into(), Value::String(kind.to_owned()));
    if let Some(place) = place {
        port.insert(place_key.into(), Value::String(place.to_owned()));
    }
    let port = flags::assign(&path, port, keys)?;
    Ok((name.to_owned(), port))
}

/// Sets one key of a port as a flag or `port set` writes it; an empty text takes the key away.
///
/// # Errors
/// What was not understood, with the port's own key.
pub fn set(port: &mut PortConfig, key: &str, text: &str) -> Result<(), ConfigError> {
    keys::set(port, "", key, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> PortConfig {
        let (name, port) = parse(text).unwrap();
        assert_eq!(port.bridge, "");
        assert!(text.contains(&name));
        port
    }

    #[test]
    fn each_kind_is_read_with_its_place() {
        let server = port("vhost-user:vm1=/run/a=b.sock");
        assert_eq!(server.kind, PortKind::VhostUser);
        assert_eq!(server.socket(), Some(&"/run/a=b.sock".into()));
        assert_eq!((server.queue_pairs(), server.interface("vm1")), (8, None));
        let client = port("vhost-user-client:vm2=b.sock,queues=2");
        assert_eq!((client.kind, client.queue_pairs()), (PortKind::VhostUserClient, 2));
        let tap = port("tap:t0");
        assert_eq!((tap.kind, tap.queue_pairs(), tap.netns.clone()), (PortKind::Tap, 1, None));
        assert_eq!(tap.interface("t0"), Some("t0"));
        assert_eq!(port("tap:t1@blue").netns, Some(Netns::new("blue")));
        assert_eq!(port("tap:t1,netns=blue"), port("tap:t1@blue"));
        let path = port("tap:t1@/proc/7/ns/net,queues=4");
        assert_eq!((path.netns, path.queues), (Some(Netns::new("/proc/7/ns/net")), Some(4)));
        let dev = port("dev:up=eth1");
        assert_eq!((dev.kind, dev.interface("up")), (PortKind::Dev, Some("eth1")));
        assert_eq!(port("dev:eth1").interface("eth1"), Some("eth1"));
    }

    #[test]
    fn keys_are_read_in_any_order_and_taken_away() {
        let mut trunk = port("tap:t0,native=5,number=65280,trunks=10+20-30+0,tag=");
        assert_eq!(trunk.number, Some(0xff00));
        assert_eq!((trunk.native, trunk.tag), (Some(5), None));
        let ranges = [(10, 10), (20, 30), (0, 0)].map(|(low, high)| VidRange { low, high });
        assert_eq!(trunk.trunks, ranges);
        assert_eq!(keys::get(&trunk, "trunks").as_deref(), Some("10+20-30+0"));
        set(&mut trunk, "trunks", "").unwrap();
        set(&mut trunk, "native", "").unwrap();
        set(&mut trunk, "tag", "4094").unwrap();
        set(&mut trunk, "ingress-rate", "1000kbit").unwrap();
        assert_eq!((trunk.trunks.len(), trunk.native, trunk.tag), (0, None, Some(4094)));
        assert_eq!(trunk.policing(), Some(rates::Limit::bits(1_000_000, 65536)));
        set(&mut trunk, "egress-rate", "1kpps").unwrap();
        set(&mut trunk, "egress-burst", "9p").unwrap();
        assert_eq!(trunk.shaping(), Some(rates::Limit::frames(1000, 9)));
        assert_eq!(port("tap:t0,dot1q-tunnel=1").dot1q_tunnel, Some(1));
        assert_eq!(parse("tap:t0,bridge=br1").unwrap().1.bridge, "br1");

        let before = trunk.clone();
        for (key, text, said) in [
            ("tag", "5000", "tag: expected a VLAN from 1 to 4094, found 5000"),
            ("tga", "5", "tga: a port has no key 'tga'; did you mean 'tag'?"),
            ("kind", "", "kind: a port needs the key 'kind': vhost-user"),
        ] {
            assert!(
                set(&mut trunk, key, text).unwrap_err().to_string().starts_with(said),
                "{said}"
            );
            assert_eq!(trunk, before);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "KIND:NAME"),
            ("vm1", "KIND:NAME"),
            ("dpdk:x=/a", "no kind of port named 'dpdk'"),
            ("vhost-user:vm1=", "ports.vm1.path: expected a path, found \"\""),
            ("vhost-user:=/a", "is no name"),
            ("vhost-user:a b=/a", "'a b' is no name"),
            ("tap:..", "is no name"),
            ("tap:a=/b", "a tap port has no path"),
            ("tap:a@", "ports.a.netns: expected a network namespace"),
            ("dev:a=b/c", "ports.a.interface: expected the name of an interface"),
            ("tap:a,tag", "'tag' is not key=value"),
            ("tap:a,colour=red", "ports.a.colour: a port has no key 'colour'"),
            ("tap:a,tag=1,tag=2", "ports.a.tag: the key is given twice"),
            ("tap:a@blue,netns=red", "ports.a.netns: the key is given twice"),
            ("tap:a,tag=0", "from 1 to 4094, found 0"),
            ("tap:a,tag=4095", "from 1 to 4094, found 4095"),
            ("tap:a,tag=-1", "from 1 to 4094, found \"-1\""),
            ("tap:a,queues=0", "from 1 to 64"),
            ("tap:a,number=65281", "from 1 to 65280"),
            ("tap:a,trunks=30-20", "ports.a.trunks[0]: expected a VLAN from 0 to 4094 or a range"),
            ("tap:a,trunks=1+4095", "ports.a.trunks[1]: expected"),
            ("tap:a,ingress-rate=100", "expected a rate from 1kbit"),
            ("tap:a,egress-rate=1Gbit,egress-burst=1KB", "expected an amount from 1514B"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    proptest::proptest! {
        #![proptest_config(crate::properties::config())]

        #[test]
        fn no_text_panics(text in ".{0,60}", keys in "(,(tag|trunks|native|queues|number|egress-rate)=[0-9+Mbitps-]{0,8}){0,4}") {
            let _either = parse(&text);
            let _either = parse(&format!("tap:a{keys}"));
        }
    }
}
