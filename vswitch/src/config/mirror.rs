//! One mirror.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    is_default,
    keys::{Form, Key, Section},
};

/// A mirror: copies of frames, for somebody who looks (SPAN).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MirrorConfig {
    /// The bridge whose frames are copied.
    pub bridge: String,
    /// The ports whose frames are copied; all of the bridge if there are only `vlans`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Which frames of these ports: those into the switch (`rx`), out of it (`tx`), or `both`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub direction: Direction,
    /// The VLANs whose frames are copied, 0 for untagged frames; all if there are only `ports`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<u16>,
    /// The port of the same bridge that the copies go to. It carries nothing else.
    pub to: String,
}

/// Which way the frames go that a mirror copies, seen from the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Into the switch and out of it.
    #[default]
    Both,
    /// Into the switch.
    Rx,
    /// Out of the switch.
    Tx,
}

impl MirrorConfig {
    /// A mirror of a bridge's frames to a port of it, which copies nothing yet.
    #[must_use]
    pub fn new(bridge: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            bridge: bridge.into(),
            ports: Vec::new(),
            direction: Direction::default(),
            vlans: Vec::new(),
            to: to.into(),
        }
    }
}

impl Section for MirrorConfig {
    const WHAT: &'static str = "a mirror";
    const KEYS: &'static [Key] = &[
        Key::new("bridge", Form::Name("a bridge")).required(),
        Key::new("ports", Form::List(&Form::Name("a port"))),
        Key::new("direction", Form::Choice(&["both", "rx", "tx"])).default("both"),
        Key::new("vlans", Form::List(&Form::Number { what: "a VLAN", low: 0, high: 4094 })),
        Key::new("to", Form::Name("a port")).required(),
    ];
}
