//! A vhost-user front end for tests, fuzzing and benchmarks.
