//! How is a key set fetched, and why is there none?

use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode};

use crate::fetch::{self, FetchFault};
use crate::oauth::{Discovery, OauthFault};

use super::key::KeySetFault;

/// Where a key server is.
#[derive(Clone)]
pub(super) enum Place {
    /// At an address that is configured.
    Url(String),
    /// Where the issuer's metadata say it is.
    Discovered(Discovery),
}

/// Why keys could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum KeysFault {
    #[error("the issuer's metadata are not to be had")]
    Metadata(#[source] OauthFault),
    #[error("there is no key set")]
    Fetch(#[source] FetchFault),
    #[error("the key server answered with status {0}")]
    Status(StatusCode),
    #[error("the key server's answer cannot be used")]
    Keys(#[source] KeySetFault),
    #[error("the fetch was given up")]
    GivenUp,
}

impl KeysFault {
    /// A stable code for status pages and metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Metadata(_) => "no-metadata",
            Self::Fetch(fault) => fault.reason(),
            Self::Status(_) => "status",
            Self::Keys(KeySetFault::NotASet) => "not-a-key-set",
            Self::Keys(KeySetFault::TooManyKeys) => "too-many-keys",
            Self::Keys(KeySetFault::AmbiguousKeys) => "ambiguous-keys",
            Self::Keys(KeySetFault::NoUsableKey) => "no-usable-key",
            Self::GivenUp => "given-up",
        }
    }
}

/// The bytes of the key set at `place`.
pub(super) async fn get(client: &Client, place: &Place) -> Result<Vec<u8>, KeysFault> {
    let url = match place {
        Place::Url(url) => url.clone(),
        Place::Discovered(discovery) => discovery.keys().await.map_err(KeysFault::Metadata)?,
    };
    let request = client.get(url).header(ACCEPT, "application/jwk-set+json, application/json");
    let answer = fetch::send(request, JWKS_BYTES_MAX).await.map_err(KeysFault::Fetch)?;
    match answer.status {
        StatusCode::OK => Ok(answer.body.to_vec()),
        status => Err(KeysFault::Status(status)),
    }
}

/// Sixty-four RSA keys with their certificates; issuers publish a few kilobytes.
pub(super) const JWKS_BYTES_MAX: usize = 256 * 1024;
