//! What kind of guest it is.

use crate::features;

/// How a frame to be transmitted lies in descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Header and frame together, in as few buffers as hold them.
    #[default]
    Together,
    /// The header in a descriptor of its own, as legacy drivers must.
    HeaderApart,
    /// In pieces of so many bytes, the header in a piece of its own.
    Pieces(usize),
}

/// What kind of guest it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Device features that the guest takes if they are offered.
    pub features: u64,
    /// Protocol features that the front end takes if they are offered.
    pub protocol: u64,
    /// Queue pairs that are set up.
    pub pairs: u16,
    /// Descriptors in a ring.
    pub ring_size: u16,
    /// Bytes of a buffer. One longer than a frame needs none but itself.
    pub buffer: usize,
    /// Receive: descriptors in one chain. Without mergeable buffers a chain must hold the longest frame.
    pub receive_chain: u16,
    /// Receive: the most chains that are made available.
    pub posted: u16,
    /// Transmit: how frames lie in descriptors.
    pub layout: Layout,
    /// Transmit: chains lie in indirect tables, if negotiated.
    pub indirect: bool,
    /// Whether rings have kick descriptors; else the back end polls.
    pub kicks: bool,
    /// Whether rings have call descriptors; else the guest polls.
    pub calls: bool,
    /// Memory regions that the memory is in, adjacent.
    pub regions: usize,
    /// Regions are added one by one (`ADD_MEM_REG`), if negotiated, not as a table.
    pub slots: bool,
    /// Memory on huge pages of 2 MiB.
    pub huge_pages: bool,
}

impl Default for Settings {
    /// A modern guest with one queue pair.
    fn default() -> Self {
        Self {
            features: features::MODERN | features::MQ,
            protocol: features::protocol::ALL,
            pairs: 1,
            ring_size: 256,
            buffer: 2048,
            receive_chain: 1,
            posted: u16::MAX,
            layout: Layout::Together,
            indirect: false,
            kicks: true,
            calls: true,
            regions: 1,
            slots: false,
            huge_pages: false,
        }
    }
}

impl Settings {
    /// Bytes of memory that rings and buffers need, rounded up to huge pages in each region.
    pub(crate) fn memory(&self) -> usize {
        const ALIGN: usize = 2 << 20;
        let ring = usize::from(self.ring_size);
        // A ring, an indirect table and a buffer for each descriptor, and room to be hostile in.
        let ring_bytes = ring * (16 + 2 + 8 + crate::transmit::TABLE * 16 + self.buffer) + 3 * 4096;
        let all = ring_bytes * 2 * usize::from(self.pairs) + (1 << 20);
        all.div_ceil(ALIGN * self.regions) * ALIGN * self.regions
    }
}
