//! What do operators see of it: numbers, traces, log lines?
//!
//! One [`Metrics`] and one [`Traces`] for the life of the process. This room knows names and times;
//! it knows neither requests nor what any other room decides.

pub mod credentials;
pub mod keyring;
pub mod logging;
pub mod metrics;
pub mod trace_context;
pub mod usage;
pub mod vault;

pub use credentials::{CredentialGauge, CredentialMetrics};
pub use keyring::KeyringMetrics;
pub use logging::{Format, LoggingError, Repeats};
pub use metrics::{ConnectionOpen, Metrics, OperationMetrics, Outcome, Reload, UpstreamMetrics};
pub use trace_context::{SpanId, Trace, TraceId, Traces};
pub use usage::{UsageMetrics, UseCount};
pub use vault::{VaultMetrics, VaultReading};
