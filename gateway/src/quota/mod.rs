//! How often may somebody call?
//!
//! [`Limits`] is what `policies/limits.yaml` says: one per snapshot, immutable. [`Quotas`] is what was
//! used so far: one per process, so that a reload gives nobody a fresh quota. [`Quotas::admit`] turns a
//! call into an [`Admission`], the proof that it was counted and that a place among the caller's calls
//! in flight is held, or into [`Exceeded`]. Callers and operations are names here, nothing more.

mod accounts;
mod addresses;
mod admission;
mod headers;
mod limits;
mod window;

pub use admission::{Admission, Exceeded, Quotas, Reason};
pub use headers::{RATE_LIMIT, RATE_LIMIT_POLICY, Standing, WindowState};
pub use limits::{Limits, OperationLimit, OperationLimits, Plan};
pub use window::{Window, WindowFault};
