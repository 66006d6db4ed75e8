//! The one place that touches memory which a guest can write.

/// A run of borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    #[expect(dead_code, reason = "the mapping comes next")]
    len: u32,
}
