//! Frames to send, and a check of what was received.

use crate::{VnetHeader, vnet};

/// Bytes before the payload of a [`numbered`] frame: Ethernet, IPv4, UDP.
const UDP_HEADERS: usize = 14 + 20 + 8;
/// The shortest [`numbered`] frame.
pub const SHORTEST: usize = UDP_HEADERS + 4;
/// Bytes before the payload of a [`tcp4`] frame.
pub const TCP_HEADERS: usize = 14 + 20 + 20;

/// A station's address, made of a number.
#[must_use]
pub fn mac(number: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, number]
}

/// A UDP frame over IPv4 of `len` bytes, from one station to another, that carries a number and bytes made of it.
///
/// # Panics
/// If it is shorter than [`SHORTEST`] or longer than IPv4 allows.
#[must_use]
pub fn numbered(destination: [u8; 6], source: [u8; 6], number: u32, len: usize) -> Vec<u8> {
    assert!((SHORTEST..=65535 + 14).contains(&len), "a frame of {len} bytes");
    let mut frame = ethernet_ipv4(destination, source, 17, len);
    let udp = [1024u16, 4789, (len - 34) as u16, 0];
    frame.extend(udp.iter().flat_map(|word| word.to_be_bytes()));
    frame.extend_from_slice(&number.to_be_bytes());
    frame.extend((0..len - SHORTEST).map(|at| pattern(number, at)));
    let sum = !fold(pseudo_sum(17, len - 34) + sum(&frame[34..]));
    frame[40..42].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    frame
}

/// The number of a [`numbered`] frame, if every byte of it is as it was made.
#[must_use]
pub fn number(frame: &[u8]) -> Option<u32> {
    let destination = frame.get(..6)?.try_into().ok()?;
    let source = frame.get(6..12)?.try_into().ok()?;
    let number = u32::from_be_bytes(frame.get(UDP_HEADERS..SHORTEST)?.try_into().ok()?);
    (numbered(destination, source, number, frame.len()) == frame).then_some(number)
}

/// A large frame of TCP over IPv4 with `payload` bytes whose checksum and cutting into segments of `size` bytes are
/// left to the switch, and the header that says so.
///
/// # Panics
/// If it is longer than IPv4 allows.
#[must_use]
pub fn tcp4(
    destination: [u8; 6],
    source: [u8; 6],
    payload: usize,
    size: u16,
) -> (VnetHeader, Vec<u8>) {
    let len = TCP_HEADERS + payload;
    assert!(len <= 65535 + 14, "a frame of {len} bytes");
    let mut frame = ethernet_ipv4(destination, source, 6, len);
    frame.extend_from_slice(&1024u16.to_be_bytes());
    frame.extend_from_slice(&80u16.to_be_bytes());
    frame.extend_from_slice(&1_000_000u32.to_be_bytes());
    frame.extend_from_slice(&2_000_000u32.to_be_bytes());
    // Five words of header; ACK and PSH; a window.
    frame.extend_from_slice(&[5 << 4, 0x18, 0xff, 0xff]);
    frame.extend_from_slice(&fold(pseudo_sum(6, len - 34)).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend((0..payload).map(|at| pattern(7, at)));
    let mut header = VnetHeader::checksum(34, 16);
    if payload > usize::from(size) {
        header = header.gso(vnet::GSO_TCPV4, TCP_HEADERS as u16, size);
    }
    (header, frame)
}

/// The payload of a [`tcp4`] frame or of a segment of it that begins at `at`.
#[must_use]
pub fn tcp4_payload(at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(|at| pattern(7, at)).collect()
}

/// Whether the checksums of IPv4, and of UDP or TCP in it, are right.
#[must_use]
pub fn checksums_are_right(frame: &[u8]) -> bool {
    let (Some(ip), Some(rest)) = (frame.get(14..34), frame.get(34..)) else { return false };
    fold(sum(ip)) == 0xffff && fold(pseudo_sum(u16::from(ip[9]), rest.len()) + sum(rest)) == 0xffff
}

/// Byte `at` of what a number makes.
fn pattern(number: u32, at: usize) -> u8 {
    (number as usize).wrapping_mul(31).wrapping_add(at.wrapping_mul(7)) as u8
}

fn ethernet_ipv4(destination: [u8; 6], source: [u8; 6], protocol: u8, len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(len);
    frame.extend_from_slice(&destination);
    frame.extend_from_slice(&source);
    frame.extend_from_slice(&0x0800u16.to_be_bytes());
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&((len - 14) as u16).to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend_from_slice(&ADDRESSES);
    let sum = !fold(sum(&frame[14..34]));
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// 10.0.0.1 to 10.0.0.2.
const ADDRESSES: [u8; 8] = [10, 0, 0, 1, 10, 0, 0, 2];

fn pseudo_sum(protocol: u16, len: usize) -> u32 {
    sum(&ADDRESSES) + u32::from(protocol) + len as u32
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_frame_is_known_again_and_a_changed_one_is_not() {
        for len in [SHORTEST, 64, 65, 1514, 9000] {
            let mut frame = numbered(mac(1), mac(2), 77, len);
            assert_eq!(frame.len(), len);
            assert_eq!(number(&frame), Some(77));
            assert!(checksums_are_right(&frame));
            frame[len - 1] ^= 1;
            assert_eq!(number(&frame), None);
        }
    }
}
