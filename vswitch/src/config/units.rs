//! Rates and amounts with their units: `100Mbit`, `10kpps`, `64KiB`, `64p`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::rates;

/// How much a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rate {
    /// Bits a second, of frames from the Ethernet header on.
    Bits(u64),
    /// Frames a second.
    Frames(u64),
}

/// How much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Size {
    /// Bytes, of frames from the Ethernet header on.
    Bytes(u64),
    /// Frames.
    Frames(u64),
}

/// Why a rate or an amount was not understood.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum UnitError {
    /// It is no rate.
    #[error("a rate is a number with bit, kbit, Mbit, Gbit, pps, kpps or Mpps, as in 100Mbit")]
    Rate,
    /// It is a rate that no port can have.
    #[error("a rate is from 1kbit to 1Tbit, or from 1pps to 1Gpps")]
    RateRange,
    /// It is no amount.
    #[error("an amount is a number with B, KiB or MiB, or with p for frames, as in 64KiB or 64p")]
    Size,
    /// It is an amount that no port can have.
    #[error("an amount is from 1514B to 512MiB, or from 1p to 1000000p")]
    SizeRange,
}

/// The lowest rate in bits a second.
pub const MIN_RATE_BITS: u64 = 1_000;
/// The highest rate in bits a second.
pub const MAX_RATE_BITS: u64 = rates::MAX_RATE;
/// The highest rate in frames a second.
pub const MAX_RATE_FRAMES: u64 = 1_000_000_000;
/// The smallest burst in bytes: a frame of the usual MTU.
pub const MIN_BURST_BYTES: u64 = 1514;
/// The largest burst in bytes.
pub const MAX_BURST_BYTES: u64 = rates::MAX_BURST;
/// The largest burst in frames.
pub const MAX_BURST_FRAMES: u64 = 1_000_000;
/// The burst that no default is below, in bytes: a frame of the largest size.
const LEAST_DEFAULT_BYTES: u64 = 64 << 10;
/// The burst that no default is below, in frames: a batch.
const LEAST_DEFAULT_FRAMES: u64 = 64;

/// A unit: its name, what a number of it is, and how many of the smallest it is.
type Unit<T> = (&'static str, fn(u64) -> T, u64);

/// Units, the largest first.
const RATE_UNITS: [Unit<Rate>; 9] = [
    ("Tbit", Rate::Bits, 1_000_000_000_000),
    ("Gbit", Rate::Bits, 1_000_000_000),
    ("Mbit", Rate::Bits, 1_000_000),
    ("kbit", Rate::Bits, 1_000),
    ("bit", Rate::Bits, 1),
    ("Gpps", Rate::Frames, 1_000_000_000),
    ("Mpps", Rate::Frames, 1_000_000),
    ("kpps", Rate::Frames, 1_000),
    ("pps", Rate::Frames, 1),
];
const SIZE_UNITS: [Unit<Size>; 4] = [
    ("MiB", Size::Bytes, 1 << 20),
    ("KiB", Size::Bytes, 1 << 10),
    ("B", Size::Bytes, 1),
    ("p", Size::Frames, 1),
];

impl Rate {
    /// What may come at once above it if nothing is said: what comes in 10 ms, but a frame of 64 KiB or 64 frames
    /// at least.
    #[must_use]
    pub fn default_burst(self) -> Size {
        match self {
            Self::Bits(bits) => {
                Size::Bytes((bits / 8 / 100).clamp(LEAST_DEFAULT_BYTES, MAX_BURST_BYTES))
            }
            Self::Frames(frames) => {
                Size::Frames((frames / 100).clamp(LEAST_DEFAULT_FRAMES, MAX_BURST_FRAMES))
            }
        }
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let rate = amount(text, &RATE_UNITS).ok_or(UnitError::Rate)?;
        match rate {
            Self::Bits(MIN_RATE_BITS..=MAX_RATE_BITS) | Self::Frames(1..=MAX_RATE_FRAMES) => {
                Ok(rate)
            }
            _ => Err(UnitError::RateRange),
        }
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let size = amount(text, &SIZE_UNITS).ok_or(UnitError::Size)?;
        match size {
            Self::Bytes(MIN_BURST_BYTES..=MAX_BURST_BYTES) | Self::Frames(1..=MAX_BURST_FRAMES) => {
                Ok(size)
            }
            _ => Err(UnitError::SizeRange),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bits(bits) => shown(f, bits, &RATE_UNITS[..5]),
            Self::Frames(frames) => shown(f, frames, &RATE_UNITS[5..]),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) => shown(f, bytes, &SIZE_UNITS[..3]),
            Self::Frames(frames) => shown(f, frames, &SIZE_UNITS[3..]),
        }
    }
}

/// Reads digits, maybe a fraction, and a unit. What is not whole in the smallest unit is none.
fn amount<T>(text: &str, units: &[Unit<T>]) -> Option<T> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let &(_, make, factor) = units.iter().find(|(name, ..)| *name == unit.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // `str::parse` takes a sign, and an empty text is no number.
    let whole: u64 = whole.parse().ok()?;
    if !(1..=12).contains(&fraction.len()) {
        return None;
    }
    let scale = 10_u64.checked_pow(fraction.len() as u32)?;
    let fraction = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor);
    if fraction % u128::from(scale) != 0 {
        return None;
    }
    let fraction = u64::try_from(fraction / u128::from(scale)).ok()?;
    Some(make(whole.checked_mul(factor)?.checked_add(fraction)?))
}

/// Writes a number with the largest unit that leaves it whole.
fn shown<T>(f: &mut fmt::Formatter<'_>, number: u64, units: &[Unit<T>]) -> fmt::Result {
    let whole =
        units.iter().find(|&&(_, _, factor)| number >= factor && number.is_multiple_of(factor));
    let (name, factor) =
        whole.or(units.last()).map_or(("", 1), |&(name, _, factor)| (name, factor));
    write!(f, "{}{name}", number / factor)
}

/// One type by its text: as serde writes and reads it, and as the API's description has it.
macro_rules! by_text {
    ($type:ty, $error:ty, $description:literal, $example:literal) => {
        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($description))
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $type {}
    };
}
pub(super) use by_text;

by_text!(
    Rate,
    UnitError,
    "Bits or frames a second: a number with bit, kbit, Mbit, Gbit, Tbit, pps, kpps, Mpps or Gpps.",
    "100Mbit"
);
by_text!(
    Size,
    UnitError,
    "Bytes or frames: a number with B, KiB or MiB, or with p for frames.",
    "64KiB"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_sizes_are_read_and_written() {
        for (text, rate, written) in [
            ("100Mbit", Rate::Bits(100_000_000), "100Mbit"),
            ("2.5Gbit", Rate::Bits(2_500_000_000), "2500Mbit"),
            ("1000 kbit", Rate::Bits(1_000_000), "1Mbit"),
            ("1500bit", Rate::Bits(1500), "1500bit"),
            ("1Tbit", Rate::Bits(MAX_RATE_BITS), "1Tbit"),
            ("10kpps", Rate::Frames(10_000), "10kpps"),
            ("1pps", Rate::Frames(1), "1pps"),
            ("0.5Mpps", Rate::Frames(500_000), "500kpps"),
        ] {
            assert_eq!(text.parse(), Ok(rate), "{text}");
            assert_eq!(rate.to_string(), written);
        }
        for (text, size, written) in [
            ("64KiB", Size::Bytes(65536), "64KiB"),
            ("1024KiB", Size::Bytes(1 << 20), "1MiB"),
            ("1514B", Size::Bytes(1514), "1514B"),
            ("64p", Size::Frames(64), "64p"),
        ] {
            assert_eq!(text.parse(), Ok(size), "{text}");
            assert_eq!(size.to_string(), written);
        }
    }

    #[test]
    fn what_is_none_says_what_one_is() {
        for text in [
            "",
            "100",
            "Mbit",
            "-1Mbit",
            "+1Mbit",
            "1.Mbit",
            ".5Mbit",
            "1.5bit",
            "1mbit",
            "1 Mbit x",
            "1e3bit",
            "99999999999999999999bit",
            "1.0000000000001Mbit",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(UnitError::Rate), "{text}");
        }
        for text in ["0bit", "999bit", "1.1Tbit", "0pps", "2Gpps"] {
            assert_eq!(text.parse::<Rate>(), Err(UnitError::RateRange), "{text}");
        }
        for text in ["", "64", "64K", "64kib", "64KB", "1.5B", "1.5p"] {
            assert_eq!(text.parse::<Size>(), Err(UnitError::Size), "{text}");
        }
        for text in ["0B", "1513B", "513MiB", "0p", "1000001p"] {
            assert_eq!(text.parse::<Size>(), Err(UnitError::SizeRange), "{text}");
        }
    }

    #[test]
    fn a_burst_by_default_has_room_for_the_largest_frame() {
        let burst = |text: &str| text.parse::<Rate>().unwrap().default_burst();
        assert_eq!(burst("1Mbit"), Size::Bytes(65536));
        assert_eq!(burst("1Gbit"), Size::Bytes(1_250_000));
        assert_eq!(burst("1Tbit"), Size::Bytes(MAX_BURST_BYTES));
        assert_eq!(burst("10pps"), Size::Frames(64));
        assert_eq!(burst("1Mpps"), Size::Frames(10_000));
    }

    proptest::proptest! {
        #![proptest_config(crate::properties::config())]

        #[test]
        fn what_is_written_is_read(bits in MIN_RATE_BITS..=MAX_RATE_BITS, frames in 1..=MAX_BURST_FRAMES, bytes in MIN_BURST_BYTES..=MAX_BURST_BYTES) {
            for rate in [Rate::Bits(bits), Rate::Bits(bits / 1000 * 1000 + 1000).min_with(MAX_RATE_BITS), Rate::Frames(frames)] {
                proptest::prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            }
            for size in [Size::Bytes(bytes), Size::Frames(frames)] {
                proptest::prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9.+ -]{0,24}[a-zA-Z ]{0,6}", other in ".{0,12}") {
            for text in [text, other] {
                let (rate, size) = (text.parse::<Rate>(), text.parse::<Size>());
                proptest::prop_assert!(rate.is_err() || size.is_err());
            }
        }
    }

    impl Rate {
        fn min_with(self, most: u64) -> Self {
            match self {
                Self::Bits(bits) => Self::Bits(bits.min(most)),
                frames @ Self::Frames(_) => frames,
            }
        }
    }
}
