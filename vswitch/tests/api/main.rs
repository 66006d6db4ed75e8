//! The API, by a real server and real clients, on a switch that only has a configuration.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

mod answers;
mod authority;
mod captures;
mod crowd;
mod fake;
mod hostile;
mod http;
mod random;
mod real;
mod reference;
mod routes;
mod schema;
mod sentences;
mod sockets;
mod tls;

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise. `PROPTEST_CASES` says how many.
fn properties() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    let config = Config { failure_persistence: None, ..Config::default() };
    match config.rng_seed {
        RngSeed::Random => Config { rng_seed: RngSeed::Fixed(1891), ..config },
        RngSeed::Fixed(_) => config,
    }
}
