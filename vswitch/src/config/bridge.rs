//! One bridge.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    DEFAULT_LOOP_HOLD, is_default,
    keys::{Form, Key, Section},
    switch::{SECONDS, STATIONS},
};

/// A bridge: ports that reach each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BridgeConfig {
    /// Seconds after which a silent station is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub mac_ageing: Option<u64>,
    /// The most stations that the bridge remembers; its ports share them fairly.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub mac_limit: Option<usize>,
    /// What is done when a station moves to and fro between ports, as it does in a loop: nothing (`off`), a warning
    /// (`report`), or a warning, and frames from it dropped where it does not belong (`hold`).
    #[serde(skip_serializing_if = "is_default")]
    pub loop_guard: LoopGuard,
    /// Seconds that such a station is held.
    #[serde(skip_serializing_if = "is_default_hold")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub loop_hold: u64,
}

/// What is done when a station moves to and fro.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoopGuard {
    /// Nothing.
    Off,
    /// It is said.
    #[default]
    Report,
    /// It is said, and the station is held where it is.
    Hold,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            mac_ageing: None,
            mac_limit: None,
            loop_guard: LoopGuard::default(),
            loop_hold: DEFAULT_LOOP_HOLD,
        }
    }
}

fn is_default_hold(seconds: &u64) -> bool {
    *seconds == DEFAULT_LOOP_HOLD
}

impl Section for BridgeConfig {
    const WHAT: &'static str = "a bridge";
    const KEYS: &'static [Key] = &[
        Key::new("mac-ageing", SECONDS).shown_default("the switch's"),
        Key::new("mac-limit", STATIONS).shown_default("the switch's"),
        Key::new("loop-guard", Form::Choice(&["off", "report", "hold"])).default("report"),
        Key::new("loop-hold", SECONDS).default("60"),
    ];
}
