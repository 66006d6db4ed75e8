//! Whatever a guest puts into its receive ring: its memory afterwards is that of the naive model.

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
    let lengths = [input.u16(), input.u16(), input.u16()];
    let ring = input.ring();
    let frames = lengths.map(|len| {
        let len = 14 + usize::from(len) % 9000;
        (0..len).map(|at| (at * 7 + len) as u8).collect::<Vec<u8>>()
    });
    GUEST.with(|guest| {
        ring.write_to(guest);
        check::check_tx(guest, &ring, &frames);
    });
});
