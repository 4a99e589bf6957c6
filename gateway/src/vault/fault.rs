//! Why did Vault not give what was asked? A closed list, so that every consumer knows what may pass by itself.

/// Why Vault did not give what was asked. None of them shows what was sent or what Vault wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultFault {
    /// It is sealed: somebody has to unseal it.
    #[error("Vault is sealed")]
    Sealed,
    /// No connection, or one that broke.
    #[error("Vault cannot be reached")]
    Unreachable,
    /// No answer in time.
    #[error("Vault did not answer in time")]
    TimedOut,
    /// A quota of Vault's own is used up.
    #[error("Vault answers that it is asked too often")]
    Throttled,
    /// This node is a standby that sends its clients to the active one, and redirects are not followed.
    #[error("this Vault is a standby that redirects; name one that forwards, or the active one")]
    Standby,
    /// The token lives, and its policies do not allow this.
    #[error("the policies of the gateway's token do not allow this")]
    Denied,
    /// Nothing is there, or its latest version is deleted or destroyed.
    #[error("there is nothing at this path of Vault")]
    NotFound,
    /// Another status.
    #[error("Vault answered with status {0}")]
    Status(u16),
    /// An answer that is not what Vault's documents say, too large, or not what was asked for.
    #[error("Vault's answer cannot be used")]
    BadAnswer,
    /// The gateway is not logged in, and could not log in.
    #[error("the gateway is not logged in to Vault")]
    NoSession,
}

impl VaultFault {
    /// A stable code for status pages, metrics and audit records.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Sealed => "vault-sealed",
            Self::Unreachable => "vault-unreachable",
            Self::TimedOut => "vault-timed-out",
            Self::Throttled => "vault-throttled",
            Self::Standby => "vault-standby",
            Self::Denied => "vault-denied",
            Self::NotFound => "vault-not-found",
            Self::Status(_) => "vault-status",
            Self::BadAnswer => "vault-bad-answer",
            Self::NoSession => "vault-no-session",
        }
    }

    /// Whether Vault merely cannot be asked at the moment, so that what is in hand is still the best there is.
    /// A plain no (denied, not found) is Vault's answer, and is none of these.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Sealed
            | Self::Unreachable
            | Self::TimedOut
            | Self::Throttled
            | Self::Standby
            | Self::NoSession => true,
            // RFC 9110 section 15.6: the server's own trouble. 412: a standby that lags behind (Vault's documents).
            Self::Status(status) => status >= 500 || status == 412,
            Self::Denied | Self::NotFound | Self::BadAnswer => false,
        }
    }

    /// Whether Vault could not be asked, or could not answer: it said neither yes nor no to the gateway.
    pub(super) const fn is_away(self) -> bool {
        self.may_pass() && !matches!(self, Self::NoSession)
    }
}

/// A fault, and for how long Vault asks to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) fault: VaultFault,
    pub(super) wait: Option<std::time::Duration>,
}

impl From<VaultFault> for Failed {
    fn from(fault: VaultFault) -> Self {
        Self { fault, wait: None }
    }
}
