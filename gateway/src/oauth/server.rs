//! How is an authorization server asked, and as whom?

use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, HttpRequest};
use reqwest::Client;
use reqwest::header::{ACCEPT, HeaderValue};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::answer::{self, Granted, Introspection};
use super::assertion::{self, assertion};
use super::client::{ClientAuthentication, ClientSettings, ReadSecret, Taken, Verdict};
use super::discovery::{Discovery, WellKnown};
use super::fault::{OauthFault, ServerMistake};
use super::question::{AnswerForm, Endpoint, Exchange, Question};
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

/// What proves who we are, taken for one question.
enum Proof {
    /// A password, or the key that signs an assertion.
    One(Taken),
    /// A certificate and its key.
    Pair { chain: Taken, key: Taken },
}

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
        Granted::read(&self.ask(&Question::Own { scopes, audience }).await?)
    }

    /// A token in place of another (RFC 8693).
    ///
    /// # Errors
    /// See [`OauthFault`].
    pub async fn exchange(&self, order: &Exchange<'_>) -> Result<Granted, OauthFault> {
        Granted::read(&self.ask(&Question::Exchange(order)).await?)
    }

    /// What the server knows of `token` (RFC 7662).
    ///
    /// # Errors
    /// See [`OauthFault`].
    pub async fn introspect(&self, token: &str, form: AnswerForm) -> Result<Introspection, OauthFault> {
        let answer = self.ask(&Question::Token { token, form }).await?;
        match form {
            AnswerForm::Plain => Introspection::plain(&answer),
            AnswerForm::Signed => Introspection::signed(&answer),
        }
    }

    /// Asks, and asks again with another proof while the server does not know this one and there is one more.
    async fn ask(&self, question: &Question<'_>) -> Result<Answer, OauthFault> {
        let place = self.place(question.endpoint()).await?;
        let mut proof = self.proof().await?;
        loop {
            let (verdict, outcome) = match self.written(question, &place, &proof) {
                Ok((client, request)) => {
                    let answer = send(&client, request, question.accept()).await?;
                    (if answer::is_unknown(&answer) { Verdict::Unknown } else { Verdict::Known }, Ok(answer))
                }
                // What cannot even be shown is as good as refused.
                Err(fault) => (Verdict::Unknown, Err(fault)),
            };
            match proof.judged(verdict).await {
                Some(other) => proof = other,
                None => return outcome,
            }
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

    /// What proves to the server who we are, as it is now.
    async fn proof(&self) -> Result<Proof, OauthFault> {
        let take = async |from: &ReadSecret| from.take().await.ok_or(OauthFault::NoSecret);
        match &self.settings.client.authentication {
            ClientAuthentication::SecretBasic(from) | ClientAuthentication::SecretPost(from) => {
                Ok(Proof::One(take(from).await?))
            }
            ClientAuthentication::PrivateKeyJwt { key, .. } => Ok(Proof::One(take(key).await?)),
            ClientAuthentication::MutualTls { chain, key } => {
                Ok(Proof::Pair { chain: take(chain).await?, key: take(key).await? })
            }
        }
    }

    /// The request for `question`, and the client to send it by.
    fn written(
        &self,
        question: &Question<'_>,
        place: &str,
        proof: &Proof,
    ) -> Result<(Client, HttpRequest), OauthFault> {
        let ClientSettings { id, authentication } = &self.settings.client;
        let client = BasicClient::new(ClientId::new(id.clone()));
        match (authentication, proof) {
            (ClientAuthentication::SecretBasic(_), Proof::One(secret)) => {
                let client = client.set_auth_type(AuthType::BasicAuth).set_client_secret(text(secret)?);
                Ok((self.plain.clone(), question.written(place, client, &[])?))
            }
            (ClientAuthentication::SecretPost(_), Proof::One(secret)) => {
                let client = client.set_auth_type(AuthType::RequestBody).set_client_secret(text(secret)?);
                Ok((self.plain.clone(), question.written(place, client, &[])?))
            }
            (ClientAuthentication::PrivateKeyJwt { key_id, .. }, Proof::One(key)) => {
                // The server's own name, where it has one: an assertion for it is of no use to another that
                // makes us believe its address (draft-ietf-oauth-rfc7523bis section 4).
                let audience = self.settings.issuer.as_deref().unwrap_or(place);
                let signed = assertion(id, audience, key.bytes(), key_id.as_deref(), Timestamp::now())?;
                let kind = Zeroizing::new(assertion::TYPE.to_owned());
                let more = [("client_assertion_type", kind), ("client_assertion", signed)];
                let client = client.set_auth_type(AuthType::RequestBody);
                Ok((self.plain.clone(), question.written(place, client, &more)?))
            }
            // RFC 8705 section 2: the connection proves it; the form only says who it is.
            (ClientAuthentication::MutualTls { .. }, Proof::Pair { chain, key }) => {
                let client = client.set_auth_type(AuthType::RequestBody);
                Ok((self.showing(chain.bytes(), key.bytes())?, question.written(place, client, &[])?))
            }
            (ClientAuthentication::MutualTls { .. }, Proof::One(_)) | (_, Proof::Pair { .. }) => {
                Err(OauthFault::NoSecret)
            }
        }
    }

    /// The client that shows this certificate.
    fn showing(&self, chain: &[u8], key: &[u8]) -> Result<Client, OauthFault> {
        let pem = Zeroizing::new([chain, b"\n", key].concat());
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

impl Proof {
    /// The server has answered. Gives what to show instead.
    async fn judged(self, verdict: Verdict) -> Option<Self> {
        match self {
            Self::One(secret) => secret.judged(verdict).await.map(Self::One),
            // A certificate that is not taken ends the connection before there is an answer.
            Self::Pair { .. } => None,
        }
    }
}

fn text(secret: &Taken) -> Result<ClientSecret, OauthFault> {
    let text = std::str::from_utf8(secret.bytes()).or(Err(OauthFault::NoSecret))?;
    Ok(ClientSecret::new(text.to_owned()))
}

async fn send(client: &Client, request: HttpRequest, accept: &'static str) -> Result<Answer, OauthFault> {
    let (mut head, body) = request.into_parts();
    head.headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let request = client.post(head.uri.to_string()).headers(head.headers).body(body);
    Ok(fetch::send(request, ANSWER_BYTES_MAX).await?)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A signed answer about the largest token that is read, and more than any token that is given.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
