//! Why did an authorization server not do what it was asked? Codes for logs, metrics and records.

use crate::fetch::FetchFault;

/// Why there is no token, or nothing is known about one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OauthFault {
    /// No connection, no trust, or no answer on it.
    #[error("the authorization server cannot be reached")]
    Unreachable,
    /// Nothing came in the time there was.
    #[error("the authorization server did not answer in time")]
    TimedOut,
    /// It said no, by this code of RFC 6749 section 5.2.
    #[error("the authorization server refused: {0}")]
    Refused(&'static str),
    /// It answered with a status that is neither good nor a refusal.
    #[error("the authorization server answered with status {0}")]
    Status(u16),
    /// Its answer is not of the form that was asked for, or its metadata are not the issuer's.
    #[error("the authorization server's answer cannot be used")]
    BadAnswer,
    /// Its answer is longer than any of use.
    #[error("the authorization server's answer is too large")]
    TooLarge,
    /// It would send us elsewhere.
    #[error("the authorization server answered with a redirect")]
    Redirected,
    /// What we prove ourselves with is not there or cannot be used.
    #[error("there is nothing to prove ourselves with to the authorization server")]
    NoSecret,
    /// Nothing is configured or discovered to ask.
    #[error("the authorization server has no such endpoint")]
    NoEndpoint,
}

/// Settings of a server that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("authorization server `{server}`: `{field}` {message}")]
pub struct ServerMistake {
    /// The server's name in the configuration.
    pub server: String,
    /// Which of its settings.
    pub field: &'static str,
    /// What is wrong with it, to be read after the field.
    pub message: &'static str,
}

impl OauthFault {
    /// A stable code for the audit log, status pages and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::Refused(_) => "refused",
            Self::Status(_) => "status",
            Self::BadAnswer => "bad-answer",
            Self::TooLarge => "too-large",
            Self::Redirected => "redirected",
            Self::NoSecret => "no-secret",
            Self::NoEndpoint => "no-endpoint",
        }
    }
}

impl From<FetchFault> for OauthFault {
    fn from(fault: FetchFault) -> Self {
        match fault {
            FetchFault::TimedOut => Self::TimedOut,
            FetchFault::Unreachable(_) | FetchFault::CutOff(_) => Self::Unreachable,
            FetchFault::Redirected => Self::Redirected,
            FetchFault::TooLarge => Self::TooLarge,
        }
    }
}
