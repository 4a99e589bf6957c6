//! What does a request show to an upstream, and what becomes of it?

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::exchanged::Exchanged;
use super::own::Own;
use super::version::Version;

/// What a request shows. To be judged by the upstream's answer.
#[derive(Debug)]
pub enum Shown {
    /// A secret or token of the gateway's own.
    Own(Own),
    /// A token in place of the caller's.
    OnBehalf(Exchanged),
}

impl Shown {
    /// The credential's name in the files.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Own(own) => own.name(),
            Self::OnBehalf(exchanged) => exchanged.name(),
        }
    }

    /// Which value of it.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Own(own) => own.version(),
            Self::OnBehalf(exchanged) => exchanged.version(),
        }
    }

    /// Writes the field, in place of whatever stands there.
    pub fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Own(own) => own.apply(headers),
            Self::OnBehalf(exchanged) => exchanged.apply(headers),
        }
    }

    /// The upstream has answered with `status`. Gives what to show in another attempt, if there is to be one;
    /// waits no longer than `within` for it.
    pub async fn judged(&mut self, status: StatusCode, within: Duration) -> Option<Self> {
        match self {
            Self::Own(own) => own.judged(status, within).await.map(Self::Own),
            Self::OnBehalf(exchanged) if is_unknown(status) => {
                exchanged.instead(within).await.map(Self::OnBehalf)
            }
            Self::OnBehalf(_) => None,
        }
    }

    /// The upstream has answered with `status`, and the request cannot be sent again. If it was refused, those
    /// that follow show something else.
    pub async fn judged_once(&mut self, status: StatusCode) {
        match self {
            Self::Own(own) => own.judged_once(status).await,
            Self::OnBehalf(exchanged) if is_unknown(status) => exchanged.refused(),
            Self::OnBehalf(_) => {}
        }
    }
}

/// Whether an upstream does not take what it was shown.
pub(super) const fn refuses(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Whether an upstream says by `status` that it does not know who asks it (RFC 9110 section 15.5.2): its word
/// about the gateway, which says nothing of the gateway's caller.
#[must_use]
pub const fn is_unknown(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED)
}
