//! How are keys fetched from a server that may be slow, wrong or not ours?
//!
//! One GET, bounded in time and size, that follows nobody. It does not know what keys are.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Certificate, Client, StatusCode, redirect};

use super::key::KeySetFault;
use super::settings::IssuerSettings;

/// Why keys could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum FetchFault {
    #[error("the key server did not answer in time")]
    TimedOut,
    #[error("the key server cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    #[error("the key server's answer was cut off")]
    CutOff(#[source] Arc<reqwest::Error>),
    #[error("the key server answered with a redirect")]
    Redirected,
    #[error("the key server answered with status {0}")]
    Status(StatusCode),
    #[error("the key server's answer is too large")]
    TooLarge,
    #[error("the key server's answer cannot be used")]
    Keys(#[source] KeySetFault),
    #[error("the fetch was given up")]
    GivenUp,
}

impl FetchFault {
    /// A stable code for status pages and metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Unreachable(_) => "unreachable",
            Self::CutOff(_) => "cut-off",
            Self::Redirected => "redirected",
            Self::Status(_) => "status",
            Self::TooLarge => "too-large",
            Self::Keys(KeySetFault::NotASet) => "not-a-key-set",
            Self::Keys(KeySetFault::TooManyKeys) => "too-many-keys",
            Self::Keys(KeySetFault::AmbiguousKeys) => "ambiguous-keys",
            Self::Keys(KeySetFault::NoUsableKey) => "no-usable-key",
            Self::GivenUp => "given-up",
        }
    }

    fn of(error: reqwest::Error, otherwise: fn(Arc<reqwest::Error>) -> Self) -> Self {
        if error.is_timeout() { Self::TimedOut } else { otherwise(Arc::new(error)) }
    }
}

/// A client for the key server of one issuer, or what is wrong with its trust roots.
pub(super) fn client(settings: &IssuerSettings) -> Result<Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The library would panic.
        return Err("needs TLS, and the process has no provider of cryptography installed".to_owned());
    }
    let builder = Client::builder()
        // A redirect would let whoever answers choose whose keys are trusted.
        .redirect(redirect::Policy::none())
        .referer(false)
        // What is in the environment decides nothing here.
        .no_proxy()
        .timeout(settings.fetch_timeout)
        .connect_timeout(settings.fetch_timeout.min(CONNECT_TIMEOUT))
        // Fetches are rare and may come from different runtimes: no connection outlives its own.
        .pool_max_idle_per_host(0)
        .http1_only();
    let builder = match &settings.ca {
        None => builder,
        Some(pem) => match Certificate::from_pem_bundle(pem) {
            Ok(roots) if !roots.is_empty() => builder.tls_certs_only(roots),
            Ok(_) | Err(_) => return Err("does not hold PEM certificates".to_owned()),
        },
    };
    builder.build().map_err(|_unusable| "cannot be used as trust roots".to_owned())
}

/// The body at `url`.
pub(super) async fn get(client: &Client, url: &str) -> Result<Vec<u8>, FetchFault> {
    let request = client.get(url).header(ACCEPT, "application/jwk-set+json, application/json");
    let mut answer = request.send().await.map_err(|e| FetchFault::of(e, FetchFault::Unreachable))?;
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(FetchFault::Redirected),
        status => return Err(FetchFault::Status(status)),
    }
    let mut body = Vec::new();
    // Counted while reading: what a server says about its length is not believed.
    while let Some(chunk) = answer.chunk().await.map_err(|e| FetchFault::of(e, FetchFault::CutOff))? {
        if body.len().saturating_add(chunk.len()) > JWKS_BYTES_MAX {
            return Err(FetchFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Sixty-four RSA keys with their certificates; issuers publish a few kilobytes.
pub(super) const JWKS_BYTES_MAX: usize = 256 * 1024;
/// An address that does not answer leaves time for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
