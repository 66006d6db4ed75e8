//! The option list that IPv4 (RFC 791, 3.1) and TCP (RFC 9293, 3.1) share.
//!
//! ```text
//! kind 0: end of list, one byte    kind 1: no operation, one byte
//! any other: kind, length of all three, value
//! ```
//!
//! - RFC 9293, 3.1 (MUST-7): an illegal option length, such as zero, MUST be handled.
//! - RFC 9293, 3.1 (MUST-68): every option but the first two has a length.

use crate::wire::{Malformed, range, rest};

/// End of the list.
const END: u8 = 0;
/// No operation, for alignment.
const NOP: u8 = 1;
/// Bytes before an option's value.
const OVERHEAD: usize = 2;

/// An option that has a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// What kind it is of.
    pub kind: u8,
    /// Its value, without kind and length.
    pub value: &'a [u8],
}

/// Goes over a list of options. It ends at the end of the list, or behind the first error. Each step takes at
/// least one byte, so the list's length (40 bytes in both protocols) bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    left: &'a [u8],
}

impl<'a> Options<'a> {
    /// The options in these bytes.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<RawOption<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while let [NOP, left @ ..] = self.left {
            self.left = left;
        }
        let bytes = self.left;
        self.left = &[];
        match bytes {
            [] | [END, ..] => None,
            [kind, length, ..] if usize::from(*length) >= OVERHEAD => {
                let length = usize::from(*length);
                if length > bytes.len() {
                    return Some(Err(Malformed::Truncated));
                }
                self.left = rest(bytes, length);
                Some(Ok(RawOption { kind: *kind, value: range(bytes, OVERHEAD, length) }))
            }
            [_, _, ..] => Some(Err(Malformed::Length)),
            [_] => Some(Err(Malformed::Truncated)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: &[u8]) -> Vec<Result<RawOption<'_>, Malformed>> {
        Options::new(bytes).collect()
    }

    #[test]
    fn no_operation_is_skipped_and_the_end_ends() {
        let bytes = [1, 5, 3, 9, 1, 1, 7, 2, 0, 4, 4, 4, 4];
        let expected =
            [Ok(RawOption { kind: 5, value: &[9] }), Ok(RawOption { kind: 7, value: &[] })];
        assert_eq!(list(&bytes), expected);
        assert_eq!(list(&[1, 1, 1]), []);
    }

    #[test]
    fn rfc9293_must_7_an_illegal_length_is_an_error_and_the_last_item() {
        assert_eq!(list(&[5, 0, 1, 1]), [Err(Malformed::Length)]);
        assert_eq!(list(&[5, 1, 7, 2]), [Err(Malformed::Length)]);
        assert_eq!(list(&[5, 5, 1, 1]), [Err(Malformed::Truncated)]);
    }

    #[test]
    fn rfc9293_must_68_an_option_has_a_length() {
        assert_eq!(list(&[5]), [Err(Malformed::Truncated)]);
    }
}
