//! A key's hash, keyed so that nobody outside can aim at one bucket.
//!
//! NH of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, 1999; RFC 4418, 5.2): each pair of words is added
//! to a pair of secret words and multiplied, and the products are summed. Two different keys collide with a
//! chance of 2^-64 over the secrets, whatever they are. The products do not wait for each other, which is
//! what makes 128 bytes cheap. A last multiplication spreads the sum over all 64 bits.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use super::{FlowKey, Fragment, Mask, Reached, WORDS};
use crate::ip::Protocol;

/// Secret words, chosen at random when the process first asks.
struct Secrets {
    words: [u64; WORDS],
    last: [u64; 2],
}

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let random = RandomState::new();
    Secrets {
        words: std::array::from_fn(|word| random.hash_one(word)),
        last: std::array::from_fn(|word| random.hash_one(word + WORDS)),
    }
});

impl FlowKey {
    /// A hash of all words, different in each process. Every bit of it is good.
    #[inline]
    #[must_use]
    pub fn hash(&self) -> u64 {
        let (pairs, _) = self.words().as_chunks::<2>();
        nh(pairs.iter().copied())
    }

    /// The hash of the key with only the bits of `mask`, which need not be made for it.
    #[inline]
    #[must_use]
    pub fn masked_hash(&self, mask: &Mask) -> u64 {
        let (pairs, _) = self.words().as_chunks::<2>();
        let (masks, _) = mask.words().as_chunks::<2>();
        nh(pairs.iter().zip(masks).map(|(pair, mask)| [pair[0] & mask[0], pair[1] & mask[1]]))
    }

    /// A hash that is the same for both directions of a conversation, for the choice of a queue: of the IP
    /// addresses, and of the ports where no packet of it is a fragment; of the Ethernet addresses without IP.
    #[inline]
    #[must_use]
    pub fn symmetric_hash(&self) -> u32 {
        let secrets = &*SECRETS;
        let (src, dst) = match self.reached() {
            Reached::Link => {
                (u128::from(self.eth_src().to_bits()), u128::from(self.eth_dst().to_bits()))
            }
            _ => (self.ip_src(), self.ip_dst()),
        };
        // ICMP has a type in their place, and an echo another one than its reply.
        let ports = self.fragment() == Fragment::None
            && matches!(self.ip_proto(), Protocol::TCP | Protocol::UDP | Protocol::SCTP);
        let (src_port, dst_port) = if ports { (self.l4_src(), self.l4_dst()) } else { (0, 0) };
        let ends = end(src, src_port, secrets).wrapping_add(end(dst, dst_port, secrets));
        (finish(ends, secrets.last) >> 32) as u32
    }
}

/// One end of a conversation. Ends are added, so that their order does not matter; within an end address and
/// port are multiplied, so that ports cannot change sides.
#[inline]
fn end(address: u128, port: u16, secrets: &Secrets) -> u128 {
    let [first, second, ..] = secrets.words;
    let high = (address >> 64) as u64 ^ u64::from(port) << 48;
    product(high.wrapping_add(first), (address as u64).wrapping_add(second))
}

/// NH of all pairs, spread over 64 bits.
#[inline(always)]
fn nh(pairs: impl Iterator<Item = [u64; 2]>) -> u64 {
    let secrets = &*SECRETS;
    let (keys, _) = secrets.words.as_chunks::<2>();
    let sum = pairs.zip(keys).fold(0u128, |sum, (pair, key)| {
        sum.wrapping_add(product(pair[0].wrapping_add(key[0]), pair[1].wrapping_add(key[1])))
    });
    finish(sum, secrets.last)
}

#[inline]
fn product(a: u64, b: u64) -> u128 {
    u128::from(a).wrapping_mul(u128::from(b))
}

/// The two halves, multiplied once more so that each bit of the result depends on all bits.
#[inline]
fn finish(sum: u128, key: [u64; 2]) -> u64 {
    let mixed = product((sum >> 64) as u64 ^ key[0], sum as u64 ^ key[1]);
    (mixed >> 64) as u64 ^ mixed as u64
}
