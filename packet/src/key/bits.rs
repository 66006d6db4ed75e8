//! How the types of fields lie in the bits of a key.

use super::{Fragment, Reached, TagKind};
use crate::PortId;
use crate::arp::Operation;
use crate::ethernet::{EtherType, MacAddress};
use crate::ip::Protocol;
use crate::tcp::Flags;
use crate::vlan::Tci;

/// How a field lies in the low bits of a word.
pub(super) trait Bits: Copy {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

macro_rules! integers {
    ($($type:ty),+) => { $(
        impl Bits for $type {
            #[inline(always)]
            fn to_bits(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            fn from_bits(bits: u64) -> Self {
                bits as $type
            }
        }
    )+ };
}
integers!(u8, u16, u32, u64);

macro_rules! newtypes {
    ($($type:ty),+) => { $(
        impl Bits for $type {
            #[inline(always)]
            fn to_bits(self) -> u64 {
                u64::from(self.0)
            }
            #[inline(always)]
            fn from_bits(bits: u64) -> Self {
                Self(bits as _)
            }
        }
    )+ };
}
newtypes!(PortId, EtherType, Protocol, Tci, Operation);

impl Bits for MacAddress {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self.to_bits()
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl Bits for Flags {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.bits())
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self::new(bits as u16)
    }
}

impl Bits for Fragment {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::First,
            _ => Self::Later,
        }
    }
}

impl Bits for TagKind {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Customer,
            _ => Self::Service,
        }
    }
}

impl Bits for Reached {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Link,
            1 => Self::Network,
            _ => Self::Transport,
        }
    }
}
