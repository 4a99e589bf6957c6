//! An issuer of tokens as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::KeyPair;
use crate::units::Span;

/// An authorization server whose access tokens are accepted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Issuer {
    /// The exact value of the `iss` claim.
    pub(in crate::config) issuer: String,
    /// What the `aud` claim must contain one of.
    pub(in crate::config) audiences: Vec<String>,
    /// Where its public keys are. Without them no token is taken on its signature: each is one that `introspection`
    /// asks about, or is refused.
    #[serde(default)]
    pub(in crate::config) keys: Option<Keys>,
    /// The signature algorithms it uses. Default: `[ES256, EdDSA, PS256, RS256]`.
    #[serde(default)]
    pub(in crate::config) algorithms: Option<Vec<crate::identity::Algorithm>>,
    /// Which `typ` header a token must have. Default: `at+jwt` (RFC 9068).
    #[serde(default)]
    pub(in crate::config) typ: Option<Typ>,
    /// Claims that must be present besides `iss`, `aud` and `exp`. Default: those of RFC 9068.
    #[serde(default)]
    pub(in crate::config) required_claims: Option<Vec<crate::identity::RequiredClaim>>,
    /// How far its clock may differ from ours. Default: 30s.
    #[serde(default)]
    pub(in crate::config) clock_skew: Option<Span>,
    /// The longest time between `iat` and `exp` that is accepted. Default: 1d.
    #[serde(default)]
    pub(in crate::config) lifetime_max: Option<Span>,
    /// The claim that names the client. Default: `client_id`.
    #[serde(default)]
    pub(in crate::config) client_claim: Option<crate::identity::ClientIdClaim>,
    /// How its tokens write scopes. Default: `text`, a `scope` of words with spaces between.
    #[serde(default)]
    pub(in crate::config) scopes: Option<crate::identity::ScopeForm>,
    /// How the issuer is asked about its tokens: for opaque ones, or to see that a JWT was revoked.
    #[serde(default)]
    pub(in crate::config) introspection: Option<Introspection>,
    /// Claims that policies may use, as `context.token.NAME`, with their types.
    #[serde(default)]
    pub(in crate::config) claims: BTreeMap<String, ClaimType>,
}

/// Where an issuer's public keys are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Keys {
    /// An `https:` URL of a JWK set.
    #[serde(default)]
    pub(in crate::config) url: Option<String>,
    /// Which document of the issuer says where its JWK set is, instead of `url`.
    #[serde(default)]
    pub(in crate::config) discovery: Option<Document>,
    /// A file with a JWK set.
    #[serde(default)]
    pub(in crate::config) file: Option<PathBuf>,
    /// PEM file of the roots that the certificates of the issuer's servers must lead to. Default: the system's.
    #[serde(default)]
    pub(in crate::config) ca: Option<PathBuf>,
    /// Lets the URL, or the issuer where its metadata are asked, be `http:` to a loopback address.
    #[serde(default)]
    pub(in crate::config) insecure_http: bool,
    /// How often the keys are fetched anew. Default: 5m.
    #[serde(default)]
    pub(in crate::config) refresh: Option<Span>,
    /// How long keys serve that could not be fetched anew. Default: 1d.
    #[serde(default)]
    pub(in crate::config) age_max: Option<Span>,
    /// How long one fetch may take. Default: 3s.
    #[serde(default)]
    pub(in crate::config) timeout: Option<Span>,
}

/// How an issuer is asked about its tokens (RFC 7662).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Introspection {
    /// Where. Default: where the document of `discovery` says.
    #[serde(default)]
    pub(in crate::config) url: Option<String>,
    /// Which document of the issuer says where, instead of `url`. Default: that of `keys.discovery`.
    #[serde(default)]
    pub(in crate::config) discovery: Option<Document>,
    /// PEM file of the roots that the certificates of the servers asked must lead to. Default: that of `keys`.
    #[serde(default)]
    pub(in crate::config) ca: Option<PathBuf>,
    /// Lets what is asked be `http:` to a loopback address. Default: as in `keys`.
    #[serde(default)]
    pub(in crate::config) insecure_http: bool,
    /// How long one question may take. Default: that of `keys`.
    #[serde(default)]
    pub(in crate::config) timeout: Option<Span>,
    /// As whom.
    pub(in crate::config) client: OauthClient,
    /// Which tokens are asked about. Default: `opaque`; `all` asks about JWTs too: after their signature was found
    /// good, or without `keys` about each.
    #[serde(default)]
    pub(in crate::config) tokens: Option<crate::identity::Introspected>,
    /// How the issuer's opaque tokens begin. Needed where several issuers have such tokens.
    #[serde(default)]
    pub(in crate::config) prefix: Option<String>,
    /// Wants answers that the issuer has signed (RFC 9701).
    #[serde(default)]
    pub(in crate::config) signed: bool,
    /// How long a good answer holds, at most to the token's own end. Default: 1m; at most 10m.
    #[serde(default)]
    pub(in crate::config) cache: Option<Span>,
    /// How long it holds that a token is no good. Default: 5s; at most 1m.
    #[serde(default)]
    pub(in crate::config) negative_cache: Option<Span>,
    /// How much longer a good answer serves while the issuer gives none. Default: not at all.
    #[serde(default)]
    pub(in crate::config) stale_max: Option<Span>,
}

/// Who the gateway is to an authorization server. One proof is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct OauthClient {
    /// Its `client_id`.
    pub(in crate::config) id: String,
    /// Where its password is: `file:path`, `env:NAME`, or `credential:NAME` for one of `credentials`.
    #[serde(default)]
    pub(in crate::config) secret: Option<String>,
    /// Sends the password in the form (`client_secret_post`) instead of the header (`client_secret_basic`).
    #[serde(default)]
    pub(in crate::config) secret_in_form: bool,
    /// Where the PEM key (PKCS #8) is that it signs with (`private_key_jwt`): `file:path`, `env:NAME`, or
    /// `credential:NAME` for one of `credentials`.
    #[serde(default)]
    pub(in crate::config) private_key: Option<String>,
    /// What the server calls that key.
    #[serde(default)]
    pub(in crate::config) key_id: Option<String>,
    /// Its certificate and key (mutual TLS, RFC 8705).
    #[serde(default)]
    pub(in crate::config) certificate: Option<KeyPair>,
}

/// A document in which an issuer says where its endpoints are.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Document {
    /// OpenID Connect Discovery: `ISSUER/.well-known/openid-configuration`.
    Openid,
    /// RFC 8414: `/.well-known/oauth-authorization-server`, before the issuer's path.
    Oauth,
}

/// The `typ` header of a token.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(in crate::config) enum Typ {
    /// Only `at+jwt`, as RFC 9068 asks.
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// Also `JWT`, for issuers that predate RFC 9068.
    #[serde(rename = "JWT")]
    Jwt,
    /// Any or none: an ID token of this issuer may then pass for an access token.
    #[serde(rename = "insecure_any")]
    InsecureAny,
}

/// The type of a claim that policies use.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ClaimType {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// An array of strings.
    Texts,
}
