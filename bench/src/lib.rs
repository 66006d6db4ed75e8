//! Benchmarks beside Open vSwitch with DPDK.
