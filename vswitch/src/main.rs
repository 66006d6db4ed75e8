//! The switch's one binary.
fn main() {}
