//! What may a client know of an API before it has a token? Protected resource metadata, RFC 9728.
//!
//! Made when the files load. Only the origin is not known then: it is that of the request, if its listener serves
//! it, so that nobody is told of a resource under a name that somebody else made up.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::Snapshot;
use crate::config::Settings;
use crate::contract::{Catalogue, NoMatch, Operation, Scopes, TokenBinding};
use crate::edge::{Answer, Connection};
use crate::identity::{Algorithm, Origin};
use crate::rejection::Rejection;
use crate::trail::Trail;
use crate::upstream::incoming;

/// The documents, by the name of the API; that of all APIs together has no name.
#[derive(Debug)]
pub(super) struct Metadata(BTreeMap<String, Document>);

/// What is said of one API, section 2.
#[derive(Debug, Serialize)]
struct Document {
    authorization_servers: Vec<String>,
    scopes_supported: BTreeSet<String>,
    bearer_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: Vec<&'static str>,
    dpop_bound_access_tokens_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<String>,
}

/// The same with what depends on where it was asked for.
#[derive(Serialize)]
struct Told<'a> {
    resource: String,
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(flatten)]
    document: &'a Document,
}

impl Metadata {
    /// The documents of all APIs that take tokens.
    pub(super) fn new(settings: &Settings, contracts: &Catalogue) -> Self {
        let mut documents = BTreeMap::new();
        for operation in contracts.operations() {
            let Some(scopes) = scopes(operation) else { continue };
            let contract = operation.contract();
            for api in [operation.api(), EVERYTHING] {
                let document = documents.entry(api.to_owned()).or_insert_with(|| Document::new(settings));
                document.scopes_supported.extend(scopes.iter().map(|scope| (*scope).to_owned()));
                document.dpop_bound_access_tokens_required &=
                    operation.settings().token_binding == Some(TokenBinding::Dpop);
                if api != EVERYTHING {
                    // Of several versions, the last one says.
                    document.resource_name = Some(contract.title().to_owned());
                    document.resource_documentation = contract.documentation().map(str::to_owned);
                }
            }
        }
        Self(documents)
    }

    /// Where the metadata of an API is, for challenges (section 5.1).
    pub(super) fn address(&self, origin: &Origin, api: &str) -> Option<String> {
        self.0.contains_key(api).then(|| format!("{origin}{WELL_KNOWN}/{api}"))
    }

    fn told(&self, api: &str, origin: &Origin, asks_certificates: bool) -> Option<Bytes> {
        let document = self.0.get(api)?;
        let resource = if api == EVERYTHING { origin.to_string() } else { format!("{origin}/{api}") };
        let told = Told { resource, tls_client_certificate_bound_access_tokens: asks_certificates, document };
        serde_json::to_vec(&told).ok().map(Bytes::from)
    }
}

impl Document {
    fn new(settings: &Settings) -> Self {
        Self {
            authorization_servers: settings.issuers.iter().map(|issuer| issuer.issuer.clone()).collect(),
            scopes_supported: BTreeSet::new(),
            // RFC 6750 section 2.1 and no other way.
            bearer_methods_supported: ["header"],
            dpop_signing_alg_values_supported: settings
                .dpop
                .algorithms
                .iter()
                .map(|algorithm: &Algorithm| algorithm.as_str())
                .collect(),
            dpop_bound_access_tokens_required: true,
            resource_name: None,
            resource_documentation: None,
        }
    }
}

impl Snapshot {
    /// The answer to a request for metadata; nothing for every other request, and where nothing is known.
    pub(crate) fn metadata(
        &self,
        request: &Parts,
        connection: &Connection,
        trail: &mut Trail,
    ) -> Option<Result<Answer, Rejection>> {
        // Section 3.1: the path of the resource stands behind the well-known one.
        let api = request.uri.path().strip_prefix(WELL_KNOWN)?;
        let api =
            if api.is_empty() { EVERYTHING } else { api.strip_prefix('/').filter(|api| !api.is_empty())? };
        let origin = self.origin(request, connection)?;
        let asks_certificates = self.client_trust(connection.listener()).is_some();
        let body = self.metadata.told(api, &origin, asks_certificates)?;
        Some(self.tell(&request.method, body, trail))
    }

    fn tell(&self, method: &Method, body: Bytes, trail: &mut Trail) -> Result<Answer, Rejection> {
        self.address_allows(trail)?;
        if ![Method::GET, Method::HEAD].contains(method) {
            return Err(Rejection::NoMatch(NoMatch::Method { allow: vec![Method::GET, Method::HEAD] }));
        }
        // Nobody in particular asks: it counts as an anonymous call does.
        self.count_anonymous(trail);
        trail.served_as("metadata");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        incoming::secure(&mut headers, trail.scheme());
        Ok(Answer { status: StatusCode::OK, headers, body })
    }
}

/// The scopes of an operation that takes tokens.
fn scopes(operation: &Operation) -> Option<BTreeSet<&str>> {
    let mut tokens = operation.security().iter().filter_map(|one| one.token.as_ref()).peekable();
    tokens.peek()?;
    Some(tokens.flat_map(Scopes::iter).collect())
}

/// RFC 9728 section 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// No API has an empty name.
const EVERYTHING: &str = "";
