//! Simulated peers, and what the integration tests, the demo and the benchmarks share.
//!
//! * [`certificates`]: authorities, server and client certificates, revocation lists.
//! * [`issuer`]: an OAuth issuer that signs good and evil tokens, and fails on demand.
//! * [`upstream`]: a retail system that answers as the sample contracts say, or breaks them on demand.
//! * [`gateway`]: the real program in a folder of its own, and clients for it.
//! * [`peers`] and [`demo`]: the demonstration, and what stands around the gateway in it.
//! * [`mod@bench`]: what a request costs, here and at the gateway's peers.
//! * [`vault`]: a Vault, simulated or real, and what it is prepared with.
//! * [`secrets`]: every secret that passed, and whether the gateway wrote any of them down.
//! * [`oidc`]: a real authorization server (npm `oidc-provider`), as a second opinion on tokens.
//!
//! Every server binds a free port of the loopback address and ends when its value is dropped.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test bed ends the test that it cannot serve, with a message, at once"
)]

pub mod bench;
pub mod certificates;
pub mod demo;
pub mod depot;
mod fault;
mod folder;
mod gate;
pub mod gateway;
mod http1;
pub mod issuer;
pub mod oidc;
pub mod peers;
mod process;
pub mod repository;
pub mod retailer;
pub mod secrets;
mod seen;
mod server;
mod tls;
pub mod upstream;
pub mod vault;
mod world;

pub use fault::Fault;
pub use folder::Folder;
pub use gate::Gate;
pub use http1::Received;
pub use tls::install_provider;
pub use world::{AUDIENCE, ODOO_KEY, SERVER_NAME, World};
