//! Simulated peers, and what the integration tests, the demo and the benchmarks share.
