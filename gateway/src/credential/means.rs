//! By what does the gateway prove itself to one upstream: something of its own, or something for each caller?

use std::sync::Arc;

use super::exchanged::OnBehalf;
use super::held::{Credential, CredentialState, Unavailable};
use super::rotation::{Request, Standing};
use super::shown::Shown;
use super::source::SourceFault;

/// One entry of `credentials`.
#[derive(Debug, Clone)]
pub enum Means {
    /// A secret or a token of the gateway's own.
    Own(Arc<Credential>),
    /// A token in place of each caller's.
    OnBehalf(Arc<OnBehalf>),
}

impl Means {
    /// Its name in the files.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Own(credential) => credential.name(),
            Self::OnBehalf(on_behalf) => on_behalf.name(),
        }
    }

    /// What a request is to show, whose caller has shown `token`.
    ///
    /// # Errors
    /// There is nothing.
    pub async fn take(&self, request: Request, token: Option<&str>) -> Result<Shown, Unavailable> {
        match (self, token) {
            (Self::Own(credential), _) => credential.take(request).await.map(Shown::Own),
            (Self::OnBehalf(on_behalf), Some(token)) => on_behalf.take(token).await.map(Shown::OnBehalf),
            (Self::OnBehalf(on_behalf), None) => {
                Err(Unavailable { name: Arc::clone(on_behalf.name()), fault: Some(SourceFault::NoSubject) })
            }
        }
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> CredentialState {
        match self {
            Self::Own(credential) => credential.state(),
            Self::OnBehalf(on_behalf) => CredentialState {
                name: Arc::clone(on_behalf.name()),
                source: on_behalf.describe(),
                standing: Standing::of_callers(),
                fault: on_behalf.last_fault(),
            },
        }
    }
}
