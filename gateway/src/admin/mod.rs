//! How is it, for those who run it: alive, ready, in what state?
//!
//! A listener of its own, never the one that callers reach. It only tells: every route is GET, and
//! what it tells comes from a [`StatusReport`] that its maker fills and from the metrics.

mod report;
mod server;

pub use report::{
    AddressStatus, AuditStatus, BrownoutStatus, ContractStatus, ExpiryStatus, IssuerStatus, ReloadFault,
    SnapshotStatus, StatusReport, TroubleStatus, UpstreamStatus, UsageStatus,
};
pub use server::{Report, serve};
