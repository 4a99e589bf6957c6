//! What is an authorization server asked for, and how is each question put?

use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use oauth2::basic::{BasicClient, BasicErrorResponse};
use oauth2::{
    AccessToken, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl,
    RequestTokenError, Scope, TokenUrl,
};
use reqwest::Client;
use reqwest::header::{ACCEPT, HeaderValue};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::answer::{Granted, Introspection};
use super::assertion::{self, assertion};
use super::client::{ClientAuthentication, ClientSettings, ReadSecret};
use super::discovery::{Discovery, WellKnown};
use super::fault::{OauthFault, ServerMistake};
use crate::fetch::{self, Answer, Trust, is_safe};

/// An authorization server, and who the gateway is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its name in the configuration and the logs.
    pub name: String,
    /// Its issuer identifier, where one is known.
    pub issuer: Option<String>,
    /// Where it is asked.
    pub endpoints: Endpoints,
    /// Who we are to it.
    pub client: ClientSettings,
    /// Whom to believe to be it, and how long to wait.
    pub trust: Trust,
}

/// Where a server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints {
    /// Where its metadata say. Needs its issuer identifier.
    Discover(WellKnown),
    /// At these addresses; what is not named is not asked for.
    Given {
        /// Where tokens are given.
        token: Option<String>,
        /// Where tokens are explained.
        introspection: Option<String>,
    },
}

/// How what is known of a token is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// As JSON.
    Plain,
    /// As a signed JWT (RFC 9701).
    Signed,
}

/// A token that is wanted in place of another (RFC 8693 section 2.1).
#[derive(Clone)]
pub struct Exchange<'a> {
    /// The token of the party on whose behalf is acted.
    pub subject_token: &'a str,
    /// The token of the party that acts, if it is told.
    pub actor_token: Option<&'a str>,
    /// The logical name of where the new token is for.
    pub audience: Option<&'a str>,
    /// The address of where it is for.
    pub resource: Option<&'a str>,
    /// What it is to be allowed.
    pub scopes: &'a [String],
}

/// An authorization server that can be asked.
pub struct Server {
    settings: ServerSettings,
    places: Places,
    plain: Client,
    /// The client of the certificate that was last shown, so that one is made only when it changes.
    shown: Mutex<Option<(Vec<u8>, Client)>>,
}

enum Places {
    Discovered(Discovery),
    Given { token: Option<String>, introspection: Option<String> },
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Endpoint {
    Token,
    Introspection,
}

/// A request that was written and not yet sent.
#[derive(thiserror::Error)]
#[error("written, to be sent")]
struct Written(Box<HttpRequest>);

impl Server {
    /// A server by its settings. Nobody is asked for anything yet.
    ///
    /// # Errors
    /// The first setting that cannot be meant.
    pub fn new(settings: ServerSettings) -> Result<Self, ServerMistake> {
        let mistake = |field, message| ServerMistake { server: settings.name.clone(), field, message };
        let plain = fetch::client(&settings.trust, None).map_err(|message| mistake("ca", message))?;
        let places = match &settings.endpoints {
            Endpoints::Discover(kind) => {
                let issuer = settings.issuer.as_deref().unwrap_or_default();
                let found = Discovery::new(issuer, *kind, &settings.trust);
                Places::Discovered(found.map_err(|message| mistake("issuer", message))?)
            }
            Endpoints::Given { token, introspection } => {
                if [token, introspection].into_iter().flatten().any(|url| !is_safe(url)) {
                    return Err(mistake("url", "is not an https URL (http is for this machine itself)"));
                }
                Places::Given { token: token.clone(), introspection: introspection.clone() }
            }
        };
        if settings.client.id.is_empty() {
            return Err(mistake("id", "is empty"));
        }
        Ok(Self { settings, places, plain, shown: Mutex::default() })
    }

    /// As what it is configured.
    #[must_use]
    pub const fn settings(&self) -> &ServerSettings {
        &self.settings
    }

    /// A token of the gateway's own (RFC 6749 section 4.4). `audience` is told as `audience` and, where it is
    /// an address, as `resource` (RFC 8707).
    ///
    /// # Errors
    /// See [`OauthFault`].
    pub async fn client_credentials(
        &self,
        scopes: &[String],
        audience: Option<&str>,
    ) -> Result<Granted, OauthFault> {
        let place = self.place(Endpoint::Token).await?;
        let (proof, client) = self.prove(&place)?;
        let client = client.set_token_uri(TokenUrl::new(place.clone()).or(Err(OauthFault::NoEndpoint))?);
        let mut asked =
            client.exchange_client_credentials().add_scopes(scopes.iter().cloned().map(Scope::new));
        for (name, value) in &proof {
            asked = asked.add_extra_param(*name, value.as_str());
        }
        if let Some(audience) = audience {
            asked = asked.add_extra_param("audience", audience);
            if is_safe(audience) {
                asked = asked.add_extra_param("resource", audience);
            }
        }
        let answer = self.send(written(asked.request(&Written::keep))?, JSON).await?;
        Granted::read(&answer)
    }

    /// A token in place of another (RFC 8693).
    ///
    /// # Errors
    /// See [`OauthFault`].
    pub async fn exchange(&self, order: &Exchange<'_>) -> Result<Granted, OauthFault> {
        let place = self.place(Endpoint::Token).await?;
        let (proof, client) = self.prove(&place)?;
        let client = client.set_token_uri(TokenUrl::new(place.clone()).or(Err(OauthFault::NoEndpoint))?);
        let scopes = order.scopes.iter().cloned().map(Scope::new);
        let mut asked = client.exchange_client_credentials().add_scopes(scopes);
        for (name, value) in &proof {
            asked = asked.add_extra_param(*name, value.as_str());
        }
        asked = asked
            .add_extra_param("subject_token", order.subject_token)
            .add_extra_param("subject_token_type", ACCESS_TOKEN);
        if let Some(actor) = order.actor_token {
            asked =
                asked.add_extra_param("actor_token", actor).add_extra_param("actor_token_type", ACCESS_TOKEN);
        }
        for (name, value) in [("audience", order.audience), ("resource", order.resource)] {
            if let Some(value) = value {
                asked = asked.add_extra_param(name, value);
            }
        }
        let request = as_exchange(written(asked.request(&Written::keep))?)?;
        Granted::read(&self.send(request, JSON).await?)
    }

    /// What the server knows of `token` (RFC 7662).
    ///
    /// # Errors
    /// See [`OauthFault`].
    pub async fn introspect(&self, token: &str, form: AnswerForm) -> Result<Introspection, OauthFault> {
        let place = self.place(Endpoint::Introspection).await?;
        let (proof, client) = self.prove(&place)?;
        let url = IntrospectionUrl::new(place.clone()).or(Err(OauthFault::NoEndpoint))?;
        let client = client.set_introspection_url(url);
        let token = AccessToken::new(token.to_owned());
        let mut asked = client.introspect(&token).set_token_type_hint("access_token");
        for (name, value) in &proof {
            asked = asked.add_extra_param(*name, value.as_str());
        }
        let request = written(asked.request(&Written::keep))?;
        match form {
            AnswerForm::Plain => Introspection::plain(&self.send(request, JSON).await?),
            AnswerForm::Signed => Introspection::signed(&self.send(request, SIGNED).await?),
        }
    }

    /// Where `endpoint` is, for who has a certificate or has none.
    async fn place(&self, endpoint: Endpoint) -> Result<String, OauthFault> {
        let with_certificate =
            matches!(self.settings.client.authentication, ClientAuthentication::MutualTls { .. });
        let place = match &self.places {
            Places::Given { token, introspection } => match endpoint {
                Endpoint::Token => token.clone(),
                Endpoint::Introspection => introspection.clone(),
            },
            Places::Discovered(discovery) => {
                let found = discovery.found(Timestamp::now()).await?;
                let (usual, alias) = match endpoint {
                    Endpoint::Token => (found.token, found.token_with_certificate),
                    Endpoint::Introspection => (found.introspection, found.introspection_with_certificate),
                };
                alias.filter(|_| with_certificate).or(usual)
            }
        };
        place.ok_or(OauthFault::NoEndpoint)
    }

    /// Parameters that prove who we are, and a client that adds what else does.
    fn prove(&self, place: &str) -> Result<(Proof, BasicClient), OauthFault> {
        let ClientSettings { id, authentication } = &self.settings.client;
        let client = BasicClient::new(ClientId::new(id.clone()));
        let secret = |from: &ReadSecret| {
            let bytes = from.read().filter(|bytes| !bytes.is_empty()).ok_or(OauthFault::NoSecret)?;
            let text = std::str::from_utf8(&bytes).or(Err(OauthFault::NoSecret))?;
            Ok::<_, OauthFault>(ClientSecret::new(text.to_owned()))
        };
        match authentication {
            ClientAuthentication::SecretBasic(from) => {
                let client = client.set_auth_type(AuthType::BasicAuth);
                Ok((Proof::new(), client.set_client_secret(secret(from)?)))
            }
            ClientAuthentication::SecretPost(from) => {
                let client = client.set_auth_type(AuthType::RequestBody);
                Ok((Proof::new(), client.set_client_secret(secret(from)?)))
            }
            ClientAuthentication::PrivateKeyJwt { key, key_id } => {
                let pem = key.read().ok_or(OauthFault::NoSecret)?;
                // The server's own name, where it has one: an assertion for it is of no use to another that
                // makes us believe its address (draft-ietf-oauth-rfc7523bis section 4).
                let audience = self.settings.issuer.as_deref().unwrap_or(place);
                let signed = assertion(id, audience, &pem, key_id.as_deref(), Timestamp::now())?;
                let kind = Zeroizing::new(assertion::TYPE.to_owned());
                let proof = vec![("client_assertion_type", kind), ("client_assertion", signed)];
                Ok((proof, client.set_auth_type(AuthType::RequestBody)))
            }
            // RFC 8705 section 2: the connection proves it; the form only says who it is.
            ClientAuthentication::MutualTls { .. } => {
                Ok((Proof::new(), client.set_auth_type(AuthType::RequestBody)))
            }
        }
    }

    async fn send(&self, request: HttpRequest, accept: &'static str) -> Result<Answer, OauthFault> {
        let (mut head, body) = request.into_parts();
        head.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let request = self.http()?.post(head.uri.to_string()).headers(head.headers).body(body);
        Ok(fetch::send(request, ANSWER_BYTES_MAX).await?)
    }

    /// The client to send by: for mutual TLS that of the certificate of now.
    fn http(&self) -> Result<Client, OauthFault> {
        let ClientAuthentication::MutualTls { chain, key } = &self.settings.client.authentication else {
            return Ok(self.plain.clone());
        };
        let (chain, key) =
            (chain.read().ok_or(OauthFault::NoSecret)?, key.read().ok_or(OauthFault::NoSecret)?);
        let pem = Zeroizing::new([chain.as_slice(), b"\n", key.as_slice()].concat());
        let print = digest(&SHA256, &pem).as_ref().to_vec();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, client)) = shown.as_ref()
            && *of == print
        {
            return Ok(client.clone());
        }
        let client = fetch::client(&self.settings.trust, Some(&pem)).or(Err(OauthFault::NoSecret))?;
        *shown = Some((print, client.clone()));
        Ok(client)
    }
}

impl Written {
    /// In place of a client that would send: the crate would also read the answer, and more loosely.
    fn keep(request: HttpRequest) -> Result<HttpResponse, Self> {
        Err(Self(Box::new(request)))
    }
}

fn written<T>(
    outcome: Result<T, RequestTokenError<Written, BasicErrorResponse>>,
) -> Result<HttpRequest, OauthFault> {
    match outcome {
        Err(RequestTokenError::Request(Written(request))) => Ok(*request),
        Ok(_) | Err(_) => Err(OauthFault::BadAnswer),
    }
}

/// The crate knows no RFC 8693, whose request differs from that for client credentials by the grant's name.
fn as_exchange(request: HttpRequest) -> Result<HttpRequest, OauthFault> {
    let (head, body) = request.into_parts();
    let rest = body.strip_prefix(CLIENT_CREDENTIALS).ok_or(OauthFault::BadAnswer)?;
    Ok(HttpRequest::from_parts(head, [TOKEN_EXCHANGE, rest].concat()))
}

// Both hold what must not be seen.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

type Proof = Vec<(&'static str, Zeroizing<String>)>;

const JSON: &str = "application/json";
const SIGNED: &str = "application/token-introspection+jwt";
const CLIENT_CREDENTIALS: &[u8] = b"grant_type=client_credentials";
const TOKEN_EXCHANGE: &[u8] = b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// A signed answer about the largest token that is read, and more than any token that is given.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
