//! Payloads, read from bytes in the host's order. Nothing here panics, whatever the bytes are.

use strowger_guestmem::{GuestAddr, Region, UserAddr};

use super::request::{MAX_TABLE, REGION};

/// Bits of the index in a payload that carries a file descriptor.
const INDEX: u64 = 0xff;
/// No descriptor comes with the message (`VHOST_USER_VRING_NOFD_MASK`).
const NO_FD: u64 = 1 << 8;

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_ne_bytes(*first))
    }

    fn u64(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*first))
    }

    fn region(&mut self) -> Option<Region> {
        let guest = GuestAddr(self.u64()?);
        let size = self.u64()?;
        let user = UserAddr(self.u64()?);
        let offset = self.u64()?;
        Some(Region { guest, user, size, offset })
    }
}

/// A number of 64 bits.
#[must_use]
pub(crate) fn u64(body: &[u8]) -> Option<u64> {
    Reader(body).u64()
}

/// A ring's index and a number for it (`SET_VRING_NUM`, `…_BASE`, `…_ENABLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VringState {
    /// Which ring.
    pub(crate) index: u32,
    /// Size, base, or 0 and 1.
    pub(crate) value: u32,
}

impl VringState {
    /// Reads eight bytes.
    #[must_use]
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        Some(Self { index: reader.u32()?, value: reader.u32()? })
    }

    /// The eight bytes.
    #[must_use]
    pub(crate) fn emit(self) -> [u8; 8] {
        let [a, b, c, d] = self.index.to_ne_bytes();
        let [e, f, g, h] = self.value.to_ne_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// Where the parts of a ring lie, as the front end sees its own memory (`SET_VRING_ADDR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VringAddresses {
    /// Which ring.
    pub(crate) index: u32,
    /// The descriptor table.
    pub(crate) descriptors: UserAddr,
    /// The used ring.
    pub(crate) used: UserAddr,
    /// The available ring.
    pub(crate) available: UserAddr,
}

impl VringAddresses {
    /// Reads forty bytes. The flag and the address of the log are ignored: none is offered.
    #[must_use]
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let index = reader.u32()?;
        reader.u32()?;
        Some(Self {
            index,
            descriptors: UserAddr(reader.u64()?),
            used: UserAddr(reader.u64()?),
            available: UserAddr(reader.u64()?),
        })
    }
}

/// A ring's index, and whether a descriptor comes with it (`SET_VRING_KICK`, `…_CALL`, `…_ERR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VringFd {
    /// Which ring.
    pub(crate) index: u32,
    /// Whether a descriptor is in the message.
    pub(crate) has_fd: bool,
}

impl VringFd {
    /// Reads eight bytes.
    #[must_use]
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let value = u64(body)?;
        Some(Self { index: (value & INDEX) as u32, has_fd: value & NO_FD == 0 })
    }
}

/// The regions of `SET_MEM_TABLE`, as many as the message says; `None` if they are not all there.
#[must_use]
pub(crate) fn table(body: &[u8]) -> Option<Vec<Region>> {
    let mut reader = Reader(body);
    let count = usize::try_from(reader.u32()?).ok().filter(|&count| count <= MAX_TABLE)?;
    reader.u32()?;
    if reader.0.len() < count.saturating_mul(REGION) {
        return None;
    }
    (0..count).map(|_| reader.region()).collect()
}

/// The one region of `ADD_MEM_REG` and `REM_MEM_REG`.
#[must_use]
pub(crate) fn region(body: &[u8]) -> Option<Region> {
    let mut reader = Reader(body);
    reader.u64()?;
    reader.region()
}

/// The address of `SEND_RARP`: the first six of eight bytes.
#[must_use]
pub(crate) fn mac(body: &[u8]) -> Option<[u8; 6]> {
    body.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    #[test]
    fn a_table_has_all_its_regions_or_is_refused() {
        let body = words(&[1, 0x1000, 0x2000, 0x7f00, 0x40]);
        let regions = table(&body).unwrap();
        assert_eq!(regions.len(), 1);
        assert_eq!(regions[0].guest, GuestAddr(0x1000));
        assert_eq!(regions[0].size, 0x2000);
        assert_eq!(regions[0].user, UserAddr(0x7f00));
        assert_eq!(regions[0].offset, 0x40);
        assert!(table(&body[..39]).is_none());
        assert!(table(&words(&[9])).is_none());
        assert!(table(&words(&[u64::from(u32::MAX)])).is_none());
        assert_eq!(table(&words(&[0])).unwrap().len(), 0);
    }

    #[test]
    fn a_ring_message_with_a_descriptor_is_told_from_one_without() {
        assert_eq!(VringFd::parse(&words(&[3])), Some(VringFd { index: 3, has_fd: true }));
        assert_eq!(VringFd::parse(&words(&[0x103])), Some(VringFd { index: 3, has_fd: false }));
    }

    #[test]
    fn short_payloads_are_refused() {
        assert!(VringState::parse(&[0; 7]).is_none());
        assert!(VringAddresses::parse(&[0; 31]).is_none());
        assert!(VringFd::parse(&[0; 7]).is_none());
        assert!(region(&[0; 39]).is_none());
        assert!(mac(&[0; 5]).is_none());
        assert!(u64(&[]).is_none());
    }

    #[test]
    fn a_ring_state_is_parsed_as_it_was_emitted() {
        let state = VringState { index: 2, value: 77 };
        assert_eq!(VringState::parse(&state.emit()), Some(state));
    }
}
