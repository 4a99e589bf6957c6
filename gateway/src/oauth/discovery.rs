//! Where are an issuer's endpoints? As its metadata say (RFC 8414, OpenID Connect Discovery).
//!
//! What was good serves until something better is known: a document that cannot be used never replaces one
//! that could. At most one is fetched at a time.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::fault::OauthFault;
use crate::document::unique;
use crate::fetch::{self, Trust, is_safe};

/// Which of the two well-known documents an issuer publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WellKnown {
    /// OpenID Connect Discovery 1.0 section 4: `ISSUER/.well-known/openid-configuration`.
    OpenId,
    /// RFC 8414 section 3: `/.well-known/oauth-authorization-server` before the issuer's path.
    Oauth,
}

/// The metadata of one issuer. Clones share what is known.
#[derive(Clone)]
pub struct Discovery(Arc<Inner>);

struct Inner {
    issuer: String,
    url: String,
    client: Client,
    known: ArcSwapOption<Known>,
    tries: Mutex<Tries>,
}

struct Known {
    endpoints: Found,
    read_at: Timestamp,
}

#[derive(Default)]
struct Tries {
    last: Option<(Timestamp, OauthFault)>,
}

/// The endpoints that a document names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) keys: Option<String>,
    pub(super) token: Option<String>,
    pub(super) introspection: Option<String>,
    /// RFC 8705 section 5: where to go instead with a certificate.
    pub(super) token_with_certificate: Option<String>,
    pub(super) introspection_with_certificate: Option<String>,
}

impl Discovery {
    /// The metadata of `issuer`, to be fetched when they are first wanted.
    ///
    /// # Errors
    /// What is wrong with the issuer as an address or with the trust roots, to be read after their name.
    pub fn new(issuer: &str, kind: WellKnown, trust: &Trust) -> Result<Self, &'static str> {
        let url = address(issuer, kind).ok_or("is not an https URL without query and fragment")?;
        let client = fetch::client(trust, None)?;
        let (issuer, known) = (issuer.to_owned(), ArcSwapOption::empty());
        Ok(Self(Arc::new(Inner { issuer, url, client, known, tries: Mutex::default() })))
    }

    /// Where the issuer's public keys are.
    ///
    /// # Errors
    /// The metadata are not to be had, or name no keys.
    pub async fn keys(&self) -> Result<String, OauthFault> {
        self.found(Timestamp::now()).await?.keys.ok_or(OauthFault::NoEndpoint)
    }

    /// The endpoints as they are known, fetched if they are not. What is old serves on while it is read anew.
    pub(super) async fn found(&self, now: Timestamp) -> Result<Found, OauthFault> {
        if let Some(known) = self.0.known.load_full() {
            if now.duration_since(known.read_at).abs() >= READ_EVERY {
                let again = Arc::clone(&self.0);
                tokio::spawn(async move { drop(again.read(now).await) });
            }
            return Ok(known.endpoints.clone());
        }
        self.0.read(now).await
    }
}

impl Inner {
    async fn read(&self, now: Timestamp) -> Result<Found, OauthFault> {
        // Who waits here gets what the one before has read, or its fault.
        let mut tries = self.tries.lock().await;
        if let Some(known) = self.known.load_full()
            && now.duration_since(known.read_at).abs() < READ_EVERY
        {
            return Ok(known.endpoints.clone());
        }
        if let Some((tried_at, fault)) = &tries.last
            && now.duration_since(*tried_at).abs() < RETRY
        {
            return Err(fault.clone());
        }
        match self.get().await {
            Ok(endpoints) => {
                tries.last = None;
                self.known.store(Some(Arc::new(Known { endpoints: endpoints.clone(), read_at: now })));
                Ok(endpoints)
            }
            Err(fault) => {
                let reason = fault.reason();
                tracing::warn!(issuer = %self.issuer, reason, "metadata could not be read");
                tries.last = Some((now, fault.clone()));
                Err(fault)
            }
        }
    }

    async fn get(&self) -> Result<Found, OauthFault> {
        let request = self.client.get(&self.url).header(ACCEPT, "application/json");
        let answer = fetch::send(request, METADATA_BYTES_MAX).await?;
        if answer.status != StatusCode::OK {
            return Err(OauthFault::Status(answer.status.as_u16()));
        }
        let members = unique::object(&answer.body).ok_or(OauthFault::BadAnswer)?;
        Found::read(&members, &self.issuer).ok_or(OauthFault::BadAnswer)
    }
}

impl Found {
    /// RFC 8414 section 3.3: the document must be the issuer's own, byte for byte; and every address that is
    /// taken from it must be one we would have accepted in our own configuration, and none a step down from
    /// TLS or into this machine.
    fn read(members: &Map<String, Value>, issuer: &str) -> Option<Self> {
        if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return None;
        }
        let nothing = Map::new();
        let endpoint =
            |members: &Map<String, Value>, name| endpoint(members, name, issuer.starts_with("https:"));
        let aliases = match members.get("mtls_endpoint_aliases") {
            None => &nothing,
            Some(aliases) => aliases.as_object()?,
        };
        Some(Self {
            keys: endpoint(members, "jwks_uri")?,
            token: endpoint(members, "token_endpoint")?,
            introspection: endpoint(members, "introspection_endpoint")?,
            token_with_certificate: endpoint(aliases, "token_endpoint")?,
            introspection_with_certificate: endpoint(aliases, "introspection_endpoint")?,
        })
    }
}

/// Nothing when what is there is no safe address; an endpoint that is not named is none.
#[expect(clippy::option_option, reason = "a document without an endpoint is not a document that is wrong")]
fn endpoint(members: &Map<String, Value>, name: &str, tls: bool) -> Option<Option<String>> {
    match members.get(name) {
        None => Some(None),
        Some(Value::String(url)) if is_safe(url) && (!tls || url.starts_with("https:")) => {
            Some(Some(url.clone()))
        }
        Some(_) => None,
    }
}

/// Where the document of `issuer` is.
fn address(issuer: &str, kind: WellKnown) -> Option<String> {
    let url = Url::parse(issuer).ok().filter(|_| is_safe(issuer))?;
    // RFC 8414 section 2: an issuer has neither.
    if issuer.contains(['?', '#']) {
        return None;
    }
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Some(match kind {
        WellKnown::OpenId => format!("{issuer}/.well-known/openid-configuration"),
        WellKnown::Oauth => {
            let path = url.path().strip_suffix('/').unwrap_or_else(|| url.path());
            let origin = url.origin().ascii_serialization();
            format!("{origin}/.well-known/oauth-authorization-server{path}")
        }
    })
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("url", &self.0.url).finish_non_exhaustive()
    }
}

/// Large providers' documents have eight kilobytes.
const METADATA_BYTES_MAX: usize = 64 * 1024;
/// An endpoint that moves is announced long before; a server is not asked for what it has just said.
const READ_EVERY: SignedDuration = SignedDuration::from_secs(600);
/// However many wait for the metadata of a server that is down, it is asked once in this time.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_document_stands_where_each_standard_says() {
        let check = |issuer: &str, kind, expected: Option<&str>| {
            assert_eq!(address(issuer, kind).as_deref(), expected, "{issuer}");
        };
        let (openid, oauth) = (WellKnown::OpenId, WellKnown::Oauth);
        check("https://a.example", openid, Some("https://a.example/.well-known/openid-configuration"));
        check("https://a.example/", openid, Some("https://a.example/.well-known/openid-configuration"));
        check("https://a.example/x", openid, Some("https://a.example/x/.well-known/openid-configuration"));
        check("https://a.example", oauth, Some("https://a.example/.well-known/oauth-authorization-server"));
        check("https://a.example:8443/x/y", oauth, {
            Some("https://a.example:8443/.well-known/oauth-authorization-server/x/y")
        });
        check("https://a.example/x/", oauth, {
            Some("https://a.example/.well-known/oauth-authorization-server/x")
        });
        for issuer in [
            "http://a.example",
            "https://a.example?x",
            "https://a.example/#x",
            "https://u@a.example",
            "acme",
            "",
        ] {
            check(issuer, openid, None);
            check(issuer, oauth, None);
        }
    }

    #[test]
    fn a_document_is_its_issuers_own_and_names_safe_addresses_only() {
        let read = |value: Value| Found::read(value.as_object().unwrap(), "https://a.example");
        let found = read(json!({
            "issuer": "https://a.example", "jwks_uri": "https://a.example/jwks",
            "token_endpoint": "https://a.example/token",
            "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.a.example/token"},
        }))
        .unwrap();
        assert_eq!(found.keys.as_deref(), Some("https://a.example/jwks"));
        assert_eq!(found.token_with_certificate.as_deref(), Some("https://mtls.a.example/token"));
        assert_eq!(found.introspection, None);
        for poisoned in [
            json!({}),
            json!({"issuer": "https://a.example/"}),
            json!({"issuer": "https://A.example"}),
            json!({"issuer": ["https://a.example"]}),
            json!({"issuer": "https://evil.example"}),
            json!({"issuer": "https://a.example", "jwks_uri": "http://a.example/jwks"}),
            json!({"issuer": "https://a.example", "jwks_uri": "file:///etc/passwd"}),
            json!({"issuer": "https://a.example", "jwks_uri": "http://127.0.0.1:9901/jwks"}),
            json!({"issuer": "https://a.example", "token_endpoint": 7}),
            json!({"issuer": "https://a.example", "introspection_endpoint": null}),
            json!({"issuer": "https://a.example", "mtls_endpoint_aliases": []}),
            json!({"issuer": "https://a.example",
                   "mtls_endpoint_aliases": {"introspection_endpoint": "http://a.example"}}),
        ] {
            assert_eq!(read(poisoned.clone()), None, "{poisoned}");
        }
    }
}
