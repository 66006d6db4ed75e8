//! Whatever a guest puts into its transmit ring: the frames are those of the naive model.

#![no_main]
#![allow(dead_code, missing_docs, reason = "modules of the tests")]

#[path = "../../tests/ring_model/check.rs"]
mod check;
#[path = "../../tests/ring_model/guest.rs"]
mod guest;
mod input;
#[path = "../../tests/ring_model/model.rs"]
mod model;

thread_local! {
    static GUEST: guest::Guest = guest::Guest::new();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = input::Input(data);
    let ring = input.ring();
    GUEST.with(|guest| {
        ring.write_to(guest);
        let rest = &input.0[..input.0.len().min(guest::SIZE - guest::BUFFERS)];
        guest.write(guest::BUFFERS, rest);
        check::check_rx(guest, &ring);
    });
});
