//! How is each question to an authorization server written?
//!
//! The crate `oauth2` writes the forms; it is kept from sending them, and from reading what comes back.

use std::fmt;

use oauth2::basic::{BasicClient, BasicErrorResponse};
use oauth2::{AccessToken, HttpRequest, HttpResponse, IntrospectionUrl, RequestTokenError, Scope, TokenUrl};
use zeroize::Zeroizing;

use super::fault::OauthFault;
use crate::fetch::is_safe;

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

#[derive(Clone, Copy)]
pub(super) enum Endpoint {
    Token,
    Introspection,
}

/// What is asked for.
pub(super) enum Question<'a> {
    /// A token for the gateway itself.
    Own { scopes: &'a [String], audience: Option<&'a str> },
    /// A token in place of another.
    Exchange(&'a Exchange<'a>),
    /// What a token is.
    Token { token: &'a str, form: AnswerForm },
}

/// A request that was written and not yet sent.
#[derive(thiserror::Error)]
#[error("written, to be sent")]
struct Written(Box<HttpRequest>);

impl Question<'_> {
    pub(super) const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Own { .. } | Self::Exchange(_) => Endpoint::Token,
            Self::Token { .. } => Endpoint::Introspection,
        }
    }

    pub(super) const fn accept(&self) -> &'static str {
        match self {
            Self::Own { .. } | Self::Exchange(_) | Self::Token { form: AnswerForm::Plain, .. } => JSON,
            Self::Token { form: AnswerForm::Signed, .. } => SIGNED,
        }
    }

    /// The question as `client` asks it at `place`; `proof` is told beside it.
    pub(super) fn written(
        &self,
        place: &str,
        client: BasicClient,
        proof: &[Parameter],
    ) -> Result<HttpRequest, OauthFault> {
        let token_url = || TokenUrl::new(place.to_owned()).or(Err(OauthFault::NoEndpoint));
        match self {
            Self::Own { scopes, audience } => {
                let client = client.set_token_uri(token_url()?);
                let mut asked = client.exchange_client_credentials().add_scopes(named(scopes));
                for (name, value) in proof {
                    asked = asked.add_extra_param(*name, value.as_str());
                }
                if let Some(audience) = audience {
                    asked = asked.add_extra_param("audience", *audience);
                    if is_safe(audience) {
                        asked = asked.add_extra_param("resource", *audience);
                    }
                }
                written(asked.request(&Written::keep))
            }
            Self::Exchange(order) => {
                let client = client.set_token_uri(token_url()?);
                let mut asked = client.exchange_client_credentials().add_scopes(named(order.scopes));
                for (name, value) in proof {
                    asked = asked.add_extra_param(*name, value.as_str());
                }
                for (name, value) in order.parameters() {
                    asked = asked.add_extra_param(name, value);
                }
                as_exchange(written(asked.request(&Written::keep))?)
            }
            Self::Token { token, .. } => {
                let url = IntrospectionUrl::new(place.to_owned()).or(Err(OauthFault::NoEndpoint))?;
                let client = client.set_introspection_url(url);
                let token = AccessToken::new((*token).to_owned());
                let mut asked = client.introspect(&token).set_token_type_hint("access_token");
                for (name, value) in proof {
                    asked = asked.add_extra_param(*name, value.as_str());
                }
                written(asked.request(&Written::keep))
            }
        }
    }
}

impl<'a> Exchange<'a> {
    /// RFC 8693 section 2.1.
    fn parameters(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let actor =
            self.actor_token.map(|token| [("actor_token", token), ("actor_token_type", ACCESS_TOKEN)]);
        let place = [("audience", self.audience), ("resource", self.resource)];
        [("subject_token", self.subject_token), ("subject_token_type", ACCESS_TOKEN)]
            .into_iter()
            .chain(actor.into_iter().flatten())
            .chain(place.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

fn named(scopes: &[String]) -> impl Iterator<Item = Scope> {
    scopes.iter().cloned().map(Scope::new)
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

/// A parameter of the form that proves who asks.
pub(super) type Parameter = (&'static str, Zeroizing<String>);

const JSON: &str = "application/json";
const SIGNED: &str = "application/token-introspection+jwt";
const CLIENT_CREDENTIALS: &[u8] = b"grant_type=client_credentials";
const TOKEN_EXCHANGE: &[u8] = b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
/// RFC 8693 section 3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
