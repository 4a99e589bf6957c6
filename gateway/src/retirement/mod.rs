//! May what is deprecated still be called: by whom, and until when?
//!
//! Contracts say what is deprecated, when it is switched off for a while, and when for good;
//! `policies/lifecycle.yaml` says who is exempt, and which brown-outs are called off. [`Retirement::enter`]
//! decides what needs no caller, [`Retirement::stay`] the rest. The time is an argument: lifecycles have a
//! clock of their own, which tests control.

mod announce;
mod file;
mod judge;
mod standing;
mod waiver;

pub use announce::BROWNOUT;
pub use judge::{Entry, Retired, Retirement, Stay};
pub use standing::{Standing, Window};
pub use waiver::Waiver;
