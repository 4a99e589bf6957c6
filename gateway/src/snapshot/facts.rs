//! What do the policies see of callers, operations and requests? From the rooms' values to Cedar's.

use jiff::Timestamp;

use crate::contract::{self, Lifecycle, Matched, Operation, Target};
use crate::diagnostic::Place;
use crate::identity::{self, AttributeValue, Caller, CallerProfile};
use crate::policy::{
    Access, Anonymous, Attribute, CallerFacts, CertificateFacts, Circumstances, ClaimValue, Deprecation,
    Kind, OperationFacts, QueryParameter, TokenFacts, Values,
};
use crate::trail::Trail;

/// A caller, before any request.
pub(super) fn caller(profile: &CallerProfile, place: Place) -> CallerFacts {
    CallerFacts {
        id: profile.id.clone(),
        kind: kind_of_caller(profile.kind),
        owner: profile.owner.clone(),
        groups: profile.groups.clone(),
        attributes: profile.attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect(),
        place,
    }
}

/// An operation, before any request.
pub(super) fn operation(operation: &Operation, place: Place) -> OperationFacts {
    let safe = operation.method().is_safe();
    let public = operation.security().iter().any(|one| one.token.is_none() && !one.certificate);
    let public = public || operation.security().is_empty();
    OperationFacts {
        name: operation.name().to_owned(),
        api: operation.api().to_owned(),
        version: operation.version().to_owned(),
        access: if safe { Access::Read } else { Access::Write },
        kinds: operation.settings().kinds.iter().map(kind_served).collect(),
        anonymous: if public { Anonymous::Served } else { Anonymous::Refused },
        path_parameters: operation.path_parameter_names().map(str::to_owned).collect(),
        query_parameters: operation
            .query_parameter_names()
            .map(|name| QueryParameter {
                name: name.to_owned(),
                values: if operation.is_repeatable(name) { Values::Many } else { Values::One },
            })
            .collect(),
        scopes: operation
            .security()
            .iter()
            .map(|one| one.token.iter().flat_map(|scopes| scopes.iter().map(str::to_owned)).collect())
            .collect(),
        place,
    }
}

/// A request, for the policies to ask about.
pub(crate) fn circumstances<'a>(
    caller: &'a Caller,
    matched: &'a Matched,
    target: &'a Target,
    trail: &Trail,
) -> Circumstances<'a> {
    let certificate = caller.certificate().map(|certificate| CertificateFacts {
        dns: certificate.dns_names().map(|name| name.as_str()).collect(),
        uris: certificate.uris().collect(),
        sha256: certificate.sha256_hex(),
    });
    Circumstances {
        address: trail.address(),
        now: trail.now(),
        certificate,
        token: caller.token().map(|shown| token(shown)),
        path: matched.path_values().collect(),
        query: target.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        deprecation: deprecation(matched.operation().lifecycle(), trail.lifecycle_time()),
    }
}

fn token(token: &identity::Token) -> TokenFacts<'_> {
    TokenFacts {
        issuer: token.issuer(),
        subject: token.subject(),
        client_id: token.client_id(),
        scopes: token.scopes().iter().map(String::as_str).collect(),
        actor: token.actor().map(|actor| actor.subject.as_str()),
        actor_issuer: token.actor().and_then(|actor| actor.issuer.as_deref()),
        may_act: token.may_act().map(|actor| actor.subject.as_str()),
        may_act_issuer: token.may_act().and_then(|actor| actor.issuer.as_deref()),
        claims: token.policy_claims().iter().map(|(name, value)| (name.as_str(), claim(value))).collect(),
    }
}

fn deprecation(lifecycle: &Lifecycle, now: Timestamp) -> Deprecation {
    if lifecycle.is_deprecated(now) { Deprecation::Deprecated } else { Deprecation::Current }
}

fn claim(value: &AttributeValue) -> ClaimValue<'_> {
    match value {
        AttributeValue::Text(text) => ClaimValue::Text(text),
        AttributeValue::Integer(integer) => ClaimValue::Integer(*integer),
        AttributeValue::Boolean(boolean) => ClaimValue::Boolean(*boolean),
        AttributeValue::Texts(texts) => ClaimValue::Texts(texts.iter().map(String::as_str).collect()),
    }
}

fn attribute(value: &AttributeValue) -> Attribute {
    match value {
        AttributeValue::Text(text) => Attribute::Text(text.clone()),
        AttributeValue::Integer(integer) => Attribute::Integer(*integer),
        AttributeValue::Boolean(boolean) => Attribute::Boolean(*boolean),
        AttributeValue::Texts(texts) => Attribute::Texts(texts.clone()),
    }
}

const fn kind_of_caller(kind: identity::Kind) -> Kind {
    match kind {
        identity::Kind::Partner => Kind::Partner,
        identity::Kind::Service => Kind::Service,
        identity::Kind::Bot => Kind::Bot,
        identity::Kind::Person => Kind::Person,
    }
}

const fn kind_served(kind: contract::Kind) -> Kind {
    match kind {
        contract::Kind::Partner => Kind::Partner,
        contract::Kind::Service => Kind::Service,
        contract::Kind::Bot => Kind::Bot,
        contract::Kind::Person => Kind::Person,
    }
}
