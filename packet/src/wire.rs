//! What all header views share: a view over bytes, fields at offsets, and the reason why bytes are no header.
//!
//! Reads and writes here are total: a byte that is not there reads as zero and is not written. A checked view
//! never meets one; an unchecked view may, and still cannot panic.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why bytes are not the header that they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The bytes end before the header does.
    Truncated,
    /// The version field names another protocol.
    Version,
    /// A length field is less than the header needs, or leads out of what holds it.
    Length,
    /// A type or format field names something else than what was asked for.
    Kind,
    /// More headers follow each other than the switch walks over.
    TooDeep,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bytes end before the header does",
            Self::Version => "the version field names another protocol",
            Self::Length => "a length field does not fit the header",
            Self::Kind => "a type field names something else than what was asked for",
            Self::TooDeep => "too many headers follow each other",
        })
    }
}

impl std::error::Error for Malformed {}

/// `N` bytes at `at`; zeroes if they are not all there.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
        Some(array) => *array,
        None => [0; N],
    }
}

/// Writes `value` at `at`, if there is room for all of it.
#[inline]
pub(crate) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = value;
    }
}

/// The bytes from `at`; none if `at` is beyond the end.
#[inline]
pub(crate) fn rest(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// The bytes from `from` to `to`, as far as they are there.
#[inline]
pub(crate) fn range(bytes: &[u8], from: usize, to: usize) -> &[u8] {
    bytes.get(from..to.min(bytes.len())).unwrap_or_default()
}

/// The same, to be changed.
#[inline]
pub(crate) fn range_mut(bytes: &mut [u8], from: usize, to: usize) -> &mut [u8] {
    let to = to.min(bytes.len());
    bytes.get_mut(from..to).unwrap_or_default()
}

/// `Ok` if there are at least `len` bytes.
#[inline]
pub(crate) fn at_least(bytes: &[u8], len: usize) -> Result<(), Malformed> {
    if bytes.len() < len { Err(Malformed::Truncated) } else { Ok(()) }
}

/// A value that lies in a header in network byte order.
pub(crate) trait Field {
    fn read(bytes: &[u8], at: usize) -> Self;
    fn write(self, bytes: &mut [u8], at: usize);
}

macro_rules! integer_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            #[inline]
            fn read(bytes: &[u8], at: usize) -> Self {
                Self::from_be_bytes(array(bytes, at))
            }
            #[inline]
            fn write(self, bytes: &mut [u8], at: usize) {
                put(bytes, at, self.to_be_bytes());
            }
        }
    )+};
}
integer_fields!(u8, u16, u32);

/// Fields that wrap `$inner`, which is a field itself.
macro_rules! wrapped_fields {
    ($($type:ty: $inner:ty),+ $(,)?) => {$(
        impl $crate::wire::Field for $type {
            #[inline]
            fn read(bytes: &[u8], at: usize) -> Self {
                Self(<$inner as $crate::wire::Field>::read(bytes, at))
            }
            #[inline]
            fn write(self, bytes: &mut [u8], at: usize) {
                $crate::wire::Field::write(self.0, bytes, at);
            }
        }
    )+};
}
pub(crate) use wrapped_fields;

impl<const N: usize> Field for [u8; N] {
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Self {
        array(bytes, at)
    }
    #[inline]
    fn write(self, bytes: &mut [u8], at: usize) {
        put(bytes, at, self);
    }
}

impl Field for Ipv4Addr {
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Self {
        Self::from_octets(array(bytes, at))
    }
    #[inline]
    fn write(self, bytes: &mut [u8], at: usize) {
        put(bytes, at, self.octets());
    }
}

impl Field for Ipv6Addr {
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Self {
        Self::from_octets(array(bytes, at))
    }
    #[inline]
    fn write(self, bytes: &mut [u8], at: usize) {
        put(bytes, at, self.octets());
    }
}

/// Declares a view: its check, then each field with getter, setter, type and offset.
macro_rules! view {
    (
        $(#[$meta:meta])*
        $name:ident, checked by $check:path;
        $($(#[$field_meta:meta])* $get:ident, $set:ident: $type:ty = $at:expr;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<T: AsRef<[u8]>> {
            buffer: T,
        }

        impl<T: AsRef<[u8]>> $name<T> {
            /// A view of bytes that were checked before. Fields that are not there read as zero.
            #[inline]
            pub const fn new_unchecked(buffer: T) -> Self {
                Self { buffer }
            }

            /// A view, if the bytes hold the header.
            ///
            /// # Errors
            /// The first thing that is wrong with them.
            #[inline]
            pub fn new_checked(buffer: T) -> Result<Self, $crate::wire::Malformed> {
                $check(buffer.as_ref())?;
                Ok(Self { buffer })
            }

            /// The bytes, given back.
            #[inline]
            pub fn into_inner(self) -> T {
                self.buffer
            }

            #[inline]
            fn bytes(&self) -> &[u8] {
                self.buffer.as_ref()
            }

            $(
                $(#[$field_meta])*
                #[inline]
                #[must_use]
                pub fn $get(&self) -> $type {
                    $crate::wire::Field::read(self.bytes(), $at)
                }
            )*
        }

        impl<T: AsRef<[u8]> + AsMut<[u8]>> $name<T> {
            #[inline]
            fn bytes_mut(&mut self) -> &mut [u8] {
                self.buffer.as_mut()
            }

            $(
                #[doc = concat!("Sets [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                #[inline]
                pub fn $set(&mut self, value: $type) {
                    $crate::wire::Field::write(value, self.bytes_mut(), $at);
                }
            )*
        }
    };
}
pub(crate) use view;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_reads_as_zero_and_is_not_written() {
        let mut bytes = [1, 2, 3];
        assert_eq!(u16::read(&bytes, 1), 0x0203);
        assert_eq!(u16::read(&bytes, 2), 0);
        assert_eq!(u32::read(&bytes, usize::MAX), 0);
        7_u16.write(&mut bytes, 2);
        7_u8.write(&mut bytes, 3);
        assert_eq!(bytes, [1, 2, 3]);
        assert_eq!(range(&bytes, 1, 9), [2, 3]);
        assert!(range(&bytes, 2, 1).is_empty() && rest(&bytes, 4).is_empty());
        assert!(range_mut(&mut bytes, 4, 9).is_empty());
    }
}
