//! The integration tests: the real program over real sockets, between simulated and real peers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::too_many_lines,
    clippy::cognitive_complexity,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod architecture;
mod attacks;
mod attacks_tokens;
mod audit;
mod calls;
mod commands;
mod contract_diff;
mod credentials;
mod credentials_oauth;
mod discovery;
mod fetched;
mod handshake;
mod introspection;
mod issued;
mod keyring;
mod keys;
mod lifecycle;
mod limits;
mod load;
mod memory;
mod metadata;
mod oidc;
mod path;
mod publish;
mod rate_limit_fields;
mod raw;
mod readme;
mod refusals;
mod reload;
mod revocation;
mod secrets;
mod stop;
mod streamed;
mod trust;
mod usage;
mod vault;
mod wire;
