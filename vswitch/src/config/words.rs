//! The small words of a configuration: namespaces, VLAN ranges, file modes, log levels.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{MAX_INTERFACE_NAME, units::by_text};

/// A network namespace: a name that `ip netns` knows, or the path of its file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Netns(String);

/// One VLAN or several: `10`, or `"20-30"`. 0 is that of untagged frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRange", into = "WrittenRange")]
pub struct VidRange {
    /// The lowest.
    pub low: u16,
    /// The highest.
    pub high: u16,
}

/// A file mode's permissions, in octal: `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketMode(u32);

/// Why a word was not understood.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WordError {
    /// A namespace without a name.
    #[error("a network namespace is a name that `ip netns` knows or the path of its file")]
    Netns,
    /// No VLAN and no range.
    #[error("a VLAN is a number from 0 to 4094, a range of them is as in 20-30")]
    VidRange,
    /// No mode.
    #[error("a file mode is three or four octal digits, as in 0660")]
    SocketMode,
}

/// The highest VLAN (IEEE 802.1Q, table 9-2; 4095 is reserved).
const MAX_VID: u16 = 4094;

impl Netns {
    /// A namespace by what the user wrote: with a slash in it, it is a path.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The file to open.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.0.contains('/') {
            PathBuf::from(&self.0)
        } else {
            PathBuf::from("/run/netns").join(&self.0)
        }
    }
}

impl FromStr for Netns {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if text.is_empty() || text == "." || text == ".." || text.contains('\0') {
            return Err(WordError::Netns);
        }
        Ok(Self::new(text))
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

by_text!(
    Netns,
    WordError,
    "A network namespace: a name that `ip netns` knows, or the path of its file.",
    "blue"
);

impl Default for SocketMode {
    /// The owner's only.
    fn default() -> Self {
        Self(0o600)
    }
}

impl SocketMode {
    /// Its bits, as `chmod` takes them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for SocketMode {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        if digits.len() != 3 || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
            return Err(WordError::SocketMode);
        }
        u32::from_str_radix(digits, 8).map(Self).map_err(|_| WordError::SocketMode)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

by_text!(SocketMode, WordError, "A file mode's permissions, in octal.", "0660");

/// How a range stands in TOML and JSON: a number, or a text for several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenRange {
    One(u16),
    Several(String),
}

impl TryFrom<WrittenRange> for VidRange {
    type Error = WordError;

    fn try_from(written: WrittenRange) -> Result<Self, WordError> {
        match written {
            WrittenRange::One(vid) if vid <= MAX_VID => Ok(Self { low: vid, high: vid }),
            WrittenRange::One(_) => Err(WordError::VidRange),
            WrittenRange::Several(text) => text.parse(),
        }
    }
}

impl From<VidRange> for WrittenRange {
    fn from(range: VidRange) -> Self {
        if range.low == range.high {
            Self::One(range.low)
        } else {
            Self::Several(range.to_string())
        }
    }
}

impl FromStr for VidRange {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let vid = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|&vid| digits && vid <= MAX_VID).ok_or(WordError::VidRange)
        };
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let (low, high) = (vid(low)?, vid(high)?);
        if low <= high { Ok(Self { low, high }) } else { Err(WordError::VidRange) }
    }
}

impl fmt::Display for VidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}-{}", self.low, self.high)
        }
    }
}

impl utoipa::PartialSchema for VidRange {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::{ObjectBuilder, OneOfBuilder, schema::Type};
        OneOfBuilder::new()
            .item(
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0))
                    .maximum(Some(MAX_VID)),
            )
            .item(ObjectBuilder::new().schema_type(Type::String).examples(["20-30"]))
            .description(Some("One VLAN, or a range of them; 0 is that of untagged frames."))
            .into()
    }
}

impl utoipa::ToSchema for VidRange {}

/// Whether the kernel takes it for an interface's name (`dev_valid_name`).
pub(super) fn is_interface(name: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| {
            byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte == 0 || byte == 0x0b
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_with_a_slash_is_a_path() {
        let path = |text: &str| text.parse::<Netns>().unwrap().path();
        assert_eq!(path("blue"), PathBuf::from("/run/netns/blue"));
        assert_eq!(path("/proc/7/ns/net"), PathBuf::from("/proc/7/ns/net"));
        for none in ["", ".", "..", "a\0"] {
            assert_eq!(none.parse::<Netns>(), Err(WordError::Netns));
        }
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!("0660".parse::<SocketMode>().unwrap().bits(), 0o660);
        assert_eq!("640".parse::<SocketMode>().unwrap().to_string(), "0640");
        for none in ["", "0", "06", "00660", "0680", "+660", "4755", "rw-"] {
            assert_eq!(none.parse::<SocketMode>(), Err(WordError::SocketMode), "{none}");
        }
    }

    #[test]
    fn ranges_of_vlans() {
        let range = |text: &str| text.parse::<VidRange>();
        assert_eq!(range("0"), Ok(VidRange { low: 0, high: 0 }));
        assert_eq!(range("20-30"), Ok(VidRange { low: 20, high: 30 }));
        for none in ["", "-", "1-", "-1", "+1", "30-20", "4095", "1-2-3", "a"] {
            assert_eq!(range(none), Err(WordError::VidRange), "{none}");
        }
        let written = serde_json::to_string(&["7-7", "20-30"].map(|text| range(text).unwrap()));
        assert_eq!(written.unwrap(), r#"[7,"20-30"]"#);
    }

    #[test]
    fn names_that_the_kernel_takes_for_interfaces() {
        for name in ["eth0", "veth.10", "a", "abcdefghijklmno", "wlp2s0-x"] {
            assert!(is_interface(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a:b", "abcdefghijklmnop", "a\tb"] {
            assert!(!is_interface(name), "{name}");
        }
    }
}
