//! Do the claims of a verified token let it pass, and what do they say?
//!
//! A claim that is missing is never taken for one that fits. It does not know who has which client id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::identity::attribute::AttributeValue;

use super::fault::TokenFault;
use super::settings::{ClientIdClaim, IssuerSettings, RequiredClaim, RequiredClaims, ScopeForm, TypRule};

/// What a verified access token says.
#[derive(Clone)]
pub struct Token {
    issuer: Arc<str>,
    id: Option<String>,
    subject: Option<String>,
    client_id: Option<String>,
    scopes: BTreeSet<String>,
    actor: Option<Actor>,
    policy_claims: BTreeMap<String, AttributeValue>,
    expires: Timestamp,
    not_before: Option<Timestamp>,
    binding: Binding,
    all: Value,
}

/// To whose key a token is bound (RFC 7800 `cnf`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identity) enum Binding {
    /// Whoever bears it may use it.
    Bearer,
    /// Only the connection whose client certificate has this SHA-256 (RFC 8705 section 3.1).
    Certificate([u8; 32]),
}

/// Who acts for the subject of an exchanged token (RFC 8693 section 4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Actor {
    /// The party that acts.
    pub subject: String,
    /// Who issued its identity, if the token says so.
    pub issuer: Option<String>,
    /// Who acted before it. For the record only: policies look at the one who acts now.
    pub before: Option<Box<Self>>,
}

/// What an issuer's settings ask of claims, ready to be asked.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    name: Arc<str>,
    audiences: Vec<String>,
    typ: TypRule,
    sub: Need,
    client: Need,
    iat: Need,
    jti: Need,
    client_claim: &'static str,
    scope_form: ScopeForm,
    claims_for_policy: Vec<String>,
    skew: SignedDuration,
    lifetime_max: Option<SignedDuration>,
}

/// Whether a claim must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

impl Rules {
    pub(super) fn new(settings: &IssuerSettings) -> Self {
        let need = |claim| match &settings.required_claims {
            RequiredClaims::Rfc9068 => Need::Required,
            RequiredClaims::AtLeast(claims) if claims.contains(&claim) => Need::Required,
            RequiredClaims::AtLeast(_) => Need::Optional,
        };
        // Both are bounded or absurdly long; a length that does not fit is the longest there is.
        let signed = |length| SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        Self {
            name: settings.name.as_str().into(),
            audiences: settings.audiences.clone(),
            typ: settings.typ,
            sub: need(RequiredClaim::Sub),
            client: need(RequiredClaim::ClientId),
            iat: need(RequiredClaim::Iat),
            jti: need(RequiredClaim::Jti),
            client_claim: match settings.client_id_claim {
                ClientIdClaim::ClientId => "client_id",
                ClientIdClaim::Azp => "azp",
            },
            scope_form: settings.scope_form,
            claims_for_policy: settings.claims_for_policy.clone(),
            skew: signed(settings.clock_skew),
            lifetime_max: settings.lifetime_max.map(signed),
        }
    }

    pub(super) const fn issuer_name(&self) -> &Arc<str> {
        &self.name
    }

    /// RFC 9068 section 4 and RFC 8725 section 3.11: the type tells access tokens from all others.
    pub(super) fn check_typ(&self, typ: Option<&str>) -> Result<(), TokenFault> {
        // RFC 7515 section 4.1.9: a media type, so compared without case, `application/` left out or not.
        let is = |wanted: &str| {
            typ.is_some_and(|typ| {
                let short = typ.get(..12).filter(|head| head.eq_ignore_ascii_case("application/"));
                let name = short.and_then(|_| typ.get(12..)).unwrap_or(typ);
                name.eq_ignore_ascii_case(wanted)
            })
        };
        let fits = match self.typ {
            TypRule::AtJwt => is("at+jwt"),
            TypRule::AtJwtOrJwt => is("at+jwt") || is("jwt"),
            TypRule::Any => true,
        };
        if fits { Ok(()) } else { Err(TokenFault::Type) }
    }

    /// The token these claims, whose signature is good and whose `iss` chose these rules, make at `now`.
    pub(super) fn read(&self, claims: Map<String, Value>, now: Timestamp) -> Result<Token, TokenFault> {
        // OpenID Connect Core section 3.1.3.6 and 2: only ID tokens have these. RFC 8725 section 3.12.
        if ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name)) {
            return Err(TokenFault::IdToken);
        }
        self.check_audience(&claims)?;
        let expires = instant(&claims, "exp")?.ok_or(TokenFault::MissingClaim("exp"))?;
        let not_before = instant(&claims, "nbf")?;
        let issued = needed(self.iat, "iat", instant(&claims, "iat")?)?;
        let token = Token {
            issuer: Arc::clone(&self.name),
            id: needed(self.jti, "jti", text(&claims, "jti")?)?,
            subject: needed(self.sub, "sub", text(&claims, "sub")?)?,
            client_id: needed(self.client, self.client_claim, text(&claims, self.client_claim)?)?,
            scopes: scopes(&claims, self.scope_form)?,
            actor: claims.get("act").map(|act| actor(act, ACTORS_MAX)).transpose()?,
            policy_claims: self.policy_claims(&claims)?,
            expires,
            not_before,
            binding: binding(&claims)?,
            all: Value::Object(claims),
        };
        self.check_times(&token, now)?;
        self.check_lifetime(issued, expires, now)?;
        Ok(token)
    }

    /// RFC 7519 sections 4.1.4 and 4.1.5. Asked at every use, also of a token that was verified before.
    pub(super) fn check_times(&self, token: &Token, now: Timestamp) -> Result<(), TokenFault> {
        if now.duration_since(token.expires) >= self.skew {
            return Err(TokenFault::Expired);
        }
        match token.not_before {
            Some(begin) if begin.duration_since(now) > self.skew => Err(TokenFault::NotYetValid),
            Some(_) | None => Ok(()),
        }
    }

    fn check_lifetime(
        &self,
        issued: Option<Timestamp>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), TokenFault> {
        let issued = issued.unwrap_or(now);
        if issued.duration_since(now) > self.skew {
            return Err(TokenFault::IssuedInFuture);
        }
        match self.lifetime_max {
            Some(longest) if expires.duration_since(issued) > longest => Err(TokenFault::Lifetime),
            Some(_) | None => Ok(()),
        }
    }

    /// RFC 9068 section 4 and RFC 8725 section 3.9: the token must be for us; one string or a list of them.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), TokenFault> {
        let ours = |audience: &str| self.audiences.iter().any(|own| own == audience);
        let fits = match claims.get("aud") {
            None => return Err(TokenFault::MissingClaim("aud")),
            Some(Value::String(one)) => ours(one),
            Some(Value::Array(many)) => {
                strings(many).ok_or(TokenFault::ClaimForm("aud"))?.into_iter().any(ours)
            }
            Some(_) => return Err(TokenFault::ClaimForm("aud")),
        };
        if fits { Ok(()) } else { Err(TokenFault::Audience) }
    }

    /// A claim that policies look at and cannot compare is refused: a `forbid` must not miss it.
    fn policy_claims(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<BTreeMap<String, AttributeValue>, TokenFault> {
        let mut read = BTreeMap::new();
        for name in &self.claims_for_policy {
            if let Some(value) = claims.get(name) {
                let value = AttributeValue::from_json(value).ok_or(TokenFault::PolicyClaim)?;
                read.insert(name.clone(), value);
            }
        }
        Ok(read)
    }
}

impl Token {
    /// The name of its issuer in the configuration.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its id (`jti`), by which the record names it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its subject (`sub`). Of a person's token this is personal.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The client it was issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// What its owner allowed its client to do.
    #[must_use]
    pub const fn scopes(&self) -> &BTreeSet<String> {
        &self.scopes
    }

    /// Who acts for the subject, if somebody does.
    #[must_use]
    pub const fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The claims that policies may look at, as far as the token has them.
    #[must_use]
    pub const fn policy_claims(&self) -> &BTreeMap<String, AttributeValue> {
        &self.policy_claims
    }

    /// When it ends (`exp`).
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(in crate::identity) const fn binding(&self) -> Binding {
        self.binding
    }

    /// Whether the claim is `value` or a list that holds it. A name that begins with `/` is a JSON Pointer.
    pub(in crate::identity) fn claim_holds(&self, name: &str, value: &str) -> bool {
        let claim = if name.starts_with('/') { self.all.pointer(name) } else { self.all.get(name) };
        claim.is_some_and(|claim| match claim {
            Value::String(text) => text == value,
            Value::Array(items) => items.iter().any(|item| item == value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        })
    }

    /// Whether it says when or how a person signed in (RFC 9068 section 2.2.1).
    pub(in crate::identity) fn is_from_a_sign_in(&self) -> bool {
        ["auth_time", "amr"].iter().any(|name| self.all.get(*name).is_some())
    }
}

// Subject and claims of a person are hers: not shown.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").finish_non_exhaustive()
    }
}

fn needed<T>(need: Need, name: &'static str, value: Option<T>) -> Result<Option<T>, TokenFault> {
    match (need, value) {
        (Need::Required, None) => Err(TokenFault::MissingClaim(name)),
        (Need::Required | Need::Optional, value) => Ok(value),
    }
}

/// A claim that names somebody or something: a string that is not empty.
fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(TokenFault::ClaimForm(name)),
    }
}

/// RFC 7519 section 2: a NumericDate counts seconds, also in fractions.
fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let read = whole.or_else(|| {
        let seconds = value.as_f64().filter(|_| value.is_f64())?;
        Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
    });
    read.map(Some).ok_or(TokenFault::ClaimForm(name))
}

fn scopes(claims: &Map<String, Value>, form: ScopeForm) -> Result<BTreeSet<String>, TokenFault> {
    let name = match form {
        ScopeForm::Text | ScopeForm::Array => "scope",
        ScopeForm::Scp => "scp",
    };
    let wrong = TokenFault::ClaimForm(name);
    let scopes = match (form, claims.get(name)) {
        (_, None) => Vec::new(),
        // RFC 6749 section 3.3: single spaces between; what is empty is no scope and is refused below.
        (ScopeForm::Text | ScopeForm::Scp, Some(Value::String(text))) if text.is_empty() => Vec::new(),
        (ScopeForm::Text | ScopeForm::Scp, Some(Value::String(text))) => text.split(' ').collect(),
        (ScopeForm::Array | ScopeForm::Scp, Some(Value::Array(items))) => strings(items).ok_or(wrong)?,
        (ScopeForm::Text | ScopeForm::Array | ScopeForm::Scp, Some(_)) => return Err(wrong),
    };
    // RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
    let is_scope = |scope: &&str| {
        !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    if !scopes.iter().all(is_scope) {
        return Err(wrong);
    }
    Ok(scopes.into_iter().map(str::to_owned).collect())
}

/// A binding that is not understood here cannot be checked, and a bound token is no bearer token.
fn binding(claims: &Map<String, Value>) -> Result<Binding, TokenFault> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(Binding::Bearer) };
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let thumbprint = members.and_then(|members| members.get("x5t#S256")).and_then(Value::as_str);
    thumbprint
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|hash| <[u8; 32]>::try_from(hash).ok())
        .map(Binding::Certificate)
        .ok_or(TokenFault::Binding)
}

/// RFC 8693 section 4.1: the actor is an object; who acted before it is nested in it.
fn actor(act: &Value, left: usize) -> Result<Actor, TokenFault> {
    let wrong = TokenFault::ClaimForm("act");
    let (Some(members), Some(left)) = (act.as_object(), left.checked_sub(1)) else { return Err(wrong) };
    Ok(Actor {
        subject: text(members, "sub")?.ok_or(wrong)?,
        issuer: text(members, "iss")?,
        before: members.get("act").map(|before| actor(before, left).map(Box::new)).transpose()?,
    })
}

fn strings(items: &[Value]) -> Option<Vec<&str>> {
    items.iter().map(Value::as_str).collect()
}

/// A chain of exchanges longer than this is nobody's design.
const ACTORS_MAX: usize = 8;
