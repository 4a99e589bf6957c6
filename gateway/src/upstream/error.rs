//! What went wrong between the gateway and an upstream, and may the upstream have acted?
//!
//! Holds nothing the upstream sent: its words never travel further than the connection.

use std::net::SocketAddr;

/// A call that brought no answer that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, after {attempts} attempts")]
pub struct UpstreamError {
    /// What went wrong the last time.
    pub fault: Fault,
    /// Whether the upstream may have acted, in any attempt.
    pub effect: Effect,
    /// Connections tried.
    pub attempts: u32,
    /// The last address tried.
    pub address: Option<SocketAddr>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// As many calls as allowed are on their way.
    #[error("the upstream has all the calls it may have")]
    Busy,
    /// The last calls found no answer; this one was not sent.
    #[error("the upstream has not answered for a while")]
    Open,
    /// The gateway has no certificate to show to it yet, or no roots; nothing was sent.
    #[error("the gateway has no certificate for the upstream yet")]
    NoCertificate,
    /// No connection could be made, or no address is known.
    #[error("no connection to the upstream could be made")]
    Unreachable,
    /// The upstream's certificate, or ours, was refused.
    #[error("the TLS handshake with the upstream failed")]
    Tls,
    /// The call's own time is up.
    #[error("the time for the call is up")]
    Deadline,
    /// The upstream has not begun to answer in the time it has for that.
    #[error("the upstream did not begin to answer in time")]
    FirstByte,
    /// The connection ended before an answer began.
    #[error("the upstream closed the connection without an answer")]
    Closed,
    /// An answer that cannot be trusted.
    #[error("the upstream's answer is broken: {0}")]
    Broken(Breakage),
    /// An answer larger than the operation allows.
    #[error("the upstream's answer is too large")]
    TooLarge,
    /// The request could not be put into words; a mistake of the gateway.
    #[error("the request cannot be sent as it is")]
    Unsendable,
}

/// Why an answer cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Breakage {
    /// Not HTTP.
    #[error("its head is malformed")]
    Head,
    /// Too many or too large header fields.
    #[error("its head is too large")]
    HeadSize,
    /// Two framings, or one that is not understood.
    #[error("its length is ambiguous")]
    Framing,
    /// It ended early.
    #[error("its body is cut or malformed")]
    Body,
    /// A content coding nobody asked for.
    #[error("its body is encoded")]
    Coding,
    /// 101, or interim answers without end.
    #[error("it is no final answer")]
    Interim,
}

/// Whether the upstream may have acted on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It cannot have: the request never reached it whole.
    None,
    /// It may have.
    Possible,
}

impl UpstreamError {
    /// A word for the audit record and the metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.fault {
            Fault::Busy => "upstream_busy",
            Fault::Open => "upstream_open",
            Fault::NoCertificate => "upstream_no_certificate",
            Fault::Unreachable => "upstream_unreachable",
            Fault::Tls => "upstream_tls",
            Fault::Deadline => "upstream_deadline",
            Fault::FirstByte => "upstream_first_byte",
            Fault::Closed => "upstream_closed",
            Fault::Broken(Breakage::Head) => "upstream_broken_head",
            Fault::Broken(Breakage::HeadSize) => "upstream_head_too_large",
            Fault::Broken(Breakage::Framing) => "upstream_broken_framing",
            Fault::Broken(Breakage::Body) => "upstream_broken_body",
            Fault::Broken(Breakage::Coding) => "upstream_encoded_body",
            Fault::Broken(Breakage::Interim) => "upstream_no_final_answer",
            Fault::TooLarge => "upstream_too_large",
            Fault::Unsendable => "upstream_unsendable",
        }
    }

    /// Whether the upstream may have acted: then nobody may say the request failed, only that its
    /// outcome is unknown.
    #[must_use]
    pub const fn maybe_done(&self) -> bool {
        matches!(self.effect, Effect::Possible)
    }
}
