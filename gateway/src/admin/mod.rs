//! How is it, for those who run it: alive, ready, in what state?
//!
//! A listener of its own, never the one that callers reach. What it tells comes from a [`StatusReport`] that
//! its maker fills and from the metrics; what it does are the few [`Orders`] that cannot wait for a file.

mod orders;
mod report;
mod revocations;
mod server;

pub use orders::{Done, Order, OrderFault, Orders, Recorder, What};
pub use report::{
    AddressStatus, AuditStatus, BrownoutStatus, ContractStatus, CredentialStatus, ExpiryStatus, IssuerStatus,
    ReloadFault, RetiringStatus, RevocationStatus, SnapshotStatus, StatusReport, TroubleStatus,
    UnsignedStatus, UpstreamStatus, UsageStatus, VaultStatus,
};
pub use server::{Asked, Report, serve};
