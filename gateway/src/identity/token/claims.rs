//! Do the claims of a verified token let it pass, and what do they say?
//!
//! A claim that is missing is never taken for one that fits. It does not know who has which client id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::identity::attribute::AttributeValue;

use super::fault::TokenFault;
use super::parties::{actors, check_client, text};
use super::settings::{ClientIdClaim, IssuerSettings, RequiredClaim, RequiredClaims, ScopeForm, TypRule};
use super::verified::{Binding, Token};

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
        check_client(&claims)?;
        let (actor, may_act) = actors(&claims)?;
        let token = Token {
            issuer: Arc::clone(&self.name),
            id: needed(self.jti, "jti", text(&claims, "jti")?)?,
            subject: needed(self.sub, "sub", text(&claims, "sub")?)?,
            client_id: needed(self.client, self.client_claim, text(&claims, self.client_claim)?)?,
            scopes: scopes(&claims, self.scope_form)?,
            actor,
            may_act,
            policy_claims: self.policy_claims(&claims)?,
            issued,
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

fn needed<T>(need: Need, name: &'static str, value: Option<T>) -> Result<Option<T>, TokenFault> {
    match (need, value) {
        (Need::Required, None) => Err(TokenFault::MissingClaim(name)),
        (Need::Required | Need::Optional, value) => Ok(value),
    }
}

/// A NumericDate that is there, or is not; but is no other thing.
pub(in crate::identity) fn instant(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    numeric_date(value).map(Some).ok_or(TokenFault::ClaimForm(name))
}

/// RFC 7519 section 2: a NumericDate counts seconds, also in fractions.
pub(in crate::identity) fn numeric_date(value: &Value) -> Option<Timestamp> {
    let whole = value.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    whole.or_else(|| {
        let seconds = value.as_f64().filter(|_| value.is_f64())?;
        Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
    })
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
    let Some(confirmation) = claims.get("cnf") else { return Ok(Binding::default()) };
    let members =
        confirmation.as_object().filter(|members| !members.is_empty()).ok_or(TokenFault::Binding)?;
    let hash = |value: &Value| {
        let hash = value.as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok()).ok_or(TokenFault::Binding)
    };
    let mut binding = Binding::default();
    for (name, value) in members {
        match name.as_str() {
            "x5t#S256" => binding.certificate = Some(hash(value)?),
            "jkt" => binding.key = Some(hash(value)?),
            _ => return Err(TokenFault::Binding),
        }
    }
    Ok(binding)
}

fn strings(items: &[Value]) -> Option<Vec<&str>> {
    items.iter().map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]

    use super::*;
    use crate::identity::token::parties::ACTORS_MAX;
    use crate::identity::token::settings::KeySource;
    use crate::identity::token::testing::{AUD, ISS, NOW, b64, claims, later, now};
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::Duration;

    fn rules(change: impl FnOnce(&mut IssuerSettings)) -> Rules {
        let mut settings =
            IssuerSettings::strict("retail", ISS, vec![AUD.into()], KeySource::File("unused".into()));
        change(&mut settings);
        Rules::new(&settings)
    }

    fn read(rules: &Rules, changes: Value) -> Result<Token, TokenFault> {
        let Value::Object(claims) = claims(changes) else { panic!("an object") };
        rules.read(claims, now())
    }

    fn check(rules: &Rules, changes: Value, expected: Result<(), TokenFault>) {
        assert_eq!(read(rules, changes.clone()).map(drop), expected, "{changes}");
    }

    #[test]
    fn a_missing_claim_of_rfc_9068_refuses_the_token() {
        let strict = rules(|_| {});
        check(&strict, json!({}), Ok(()));
        for name in ["exp", "aud", "sub", "client_id", "iat", "jti"] {
            check(&strict, json!({name: null}), Err(TokenFault::MissingClaim(name)));
        }
    }

    #[test]
    fn relaxed_settings_still_want_end_and_audience() {
        let relaxed = rules(|s| s.required_claims = RequiredClaims::AtLeast(vec![RequiredClaim::Sub]));
        check(&relaxed, json!({"client_id": null, "iat": null, "jti": null}), Ok(()));
        for name in ["exp", "aud", "sub"] {
            check(&relaxed, json!({name: null}), Err(TokenFault::MissingClaim(name)));
        }
        check(&relaxed, json!({"jti": 7}), Err(TokenFault::ClaimForm("jti")));
        check(&relaxed, json!({"iat": "now"}), Err(TokenFault::ClaimForm("iat")));
    }

    #[test]
    fn a_claim_of_the_wrong_form_is_never_taken_for_missing() {
        let strict = rules(|_| {});
        for name in ["sub", "client_id", "jti"] {
            for value in [json!(""), json!(1), json!(["acme"]), json!({}), json!(true)] {
                check(&strict, json!({ name: value }), Err(TokenFault::ClaimForm(name)));
            }
        }
        for name in ["exp", "nbf", "iat"] {
            for value in [
                json!("1"),
                json!([1]),
                json!({}),
                json!(true),
                json!(u64::MAX),
                json!(1e300),
                json!(i64::MIN),
            ] {
                check(&strict, json!({ name: value }), Err(TokenFault::ClaimForm(name)));
            }
        }
        let Value::Object(mut null) = claims(json!({})) else { panic!("an object") };
        null.insert("nbf".into(), Value::Null);
        assert_eq!(strict.read(null, now()).map(drop), Err(TokenFault::ClaimForm("nbf")));
    }

    #[test]
    fn times_count_with_the_clock_skew_and_no_more() {
        let strict = rules(|s| s.clock_skew = Duration::from_secs(30));
        for (changes, expected) in [
            (json!({"exp": NOW - 29}), Ok(())),
            (json!({"exp": NOW - 30}), Err(TokenFault::Expired)),
            (json!({"exp": (NOW - 30) as f64 + 0.5}), Ok(())),
            (json!({"exp": 0}), Err(TokenFault::Expired)),
            (json!({"exp": -1}), Err(TokenFault::Expired)),
            (json!({"nbf": NOW + 30}), Ok(())),
            (json!({"nbf": NOW + 31}), Err(TokenFault::NotYetValid)),
            (json!({"iat": NOW + 30}), Ok(())),
            (json!({"iat": NOW + 31}), Err(TokenFault::IssuedInFuture)),
        ] {
            check(&strict, changes, expected);
        }
    }

    #[test]
    fn a_token_may_not_live_longer_than_its_issuers_do() {
        let short = rules(|s| {
            s.lifetime_max = Some(Duration::from_secs(900));
            s.required_claims = RequiredClaims::AtLeast(vec![]);
        });
        check(&short, json!({"iat": NOW - 300, "exp": NOW + 600}), Ok(()));
        check(&short, json!({"iat": NOW - 300, "exp": NOW + 601}), Err(TokenFault::Lifetime));
        check(&short, json!({"iat": null, "exp": NOW + 900}), Ok(()));
        check(&short, json!({"iat": null, "exp": NOW + 901}), Err(TokenFault::Lifetime));
    }

    #[test]
    fn the_audience_must_be_ours() {
        let strict = rules(|s| s.audiences.push("second".into()));
        for (aud, expected) in [
            (json!(AUD), Ok(())),
            (json!("second"), Ok(())),
            (json!(["other", AUD]), Ok(())),
            (json!("other"), Err(TokenFault::Audience)),
            (json!(""), Err(TokenFault::Audience)),
            (json!(format!("{AUD}/")), Err(TokenFault::Audience)),
            (json!([]), Err(TokenFault::Audience)),
            (json!([[AUD]]), Err(TokenFault::ClaimForm("aud"))),
            (json!([AUD, 1]), Err(TokenFault::ClaimForm("aud"))),
            (json!({AUD: true}), Err(TokenFault::ClaimForm("aud"))),
        ] {
            check(&strict, json!({ "aud": aud }), expected);
        }
    }

    #[test]
    fn an_id_token_is_refused_by_its_claims_whatever_its_type() {
        let lax = rules(|s| s.typ = TypRule::Any);
        for name in ["nonce", "at_hash", "c_hash"] {
            check(&lax, json!({name: "x"}), Err(TokenFault::IdToken));
        }
    }

    #[test]
    fn scopes_are_read_in_the_form_configured() {
        let both = || Ok(vec!["a:x".to_owned(), "b".to_owned()]);
        let scope = || Err(TokenFault::ClaimForm("scope"));
        let scp = || Err(TokenFault::ClaimForm("scp"));
        for (form, changes, expected) in [
            (ScopeForm::Text, json!({"scope": "b a:x b"}), both()),
            (ScopeForm::Text, json!({"scope": ""}), Ok(vec![])),
            (ScopeForm::Text, json!({"scope": null}), Ok(vec![])),
            (ScopeForm::Text, json!({"scope": null, "scp": "a"}), Ok(vec![])),
            (ScopeForm::Text, json!({"scope": ["a"]}), scope()),
            (ScopeForm::Text, json!({"scope": "a  b"}), scope()),
            (ScopeForm::Text, json!({"scope": " a"}), scope()),
            (ScopeForm::Text, json!({"scope": "a\tb"}), scope()),
            (ScopeForm::Text, json!({"scope": "a\"b"}), scope()),
            (ScopeForm::Text, json!({"scope": "ä"}), scope()),
            (ScopeForm::Array, json!({"scope": ["b", "a:x"]}), both()),
            (ScopeForm::Array, json!({"scope": ["a b"]}), scope()),
            (ScopeForm::Array, json!({"scope": ["a", 1]}), scope()),
            (ScopeForm::Array, json!({"scope": "a"}), scope()),
            (ScopeForm::Scp, json!({"scope": "x", "scp": "b a:x"}), both()),
            (ScopeForm::Scp, json!({"scp": ["b", "a:x"]}), both()),
            (ScopeForm::Scp, json!({"scp": {}}), scp()),
        ] {
            let read = read(&rules(|s| s.scope_form = form), changes.clone());
            assert_eq!(read.map(|token| token.scopes.into_iter().collect()), expected, "{form:?} {changes}");
        }
    }

    #[test]
    fn the_client_is_named_by_the_claim_configured_and_no_other() {
        let azp = rules(|s| s.client_id_claim = ClientIdClaim::Azp);
        let token = read(&azp, json!({"azp": "web", "client_id": null})).unwrap();
        assert_eq!(token.client_id(), Some("web"));
        check(&azp, json!({}), Err(TokenFault::MissingClaim("azp")));
    }

    #[test]
    fn an_actor_is_read_with_those_before_it() {
        let strict = rules(|_| {});
        let nested = json!({"act": {"sub": "bot", "iss": "i", "act": {"sub": "first"}}});
        let actor = read(&strict, nested).unwrap().actor.unwrap();
        assert_eq!((actor.subject.as_str(), actor.issuer.as_deref()), ("bot", Some("i")));
        assert_eq!(actor.before.unwrap().subject, "first");
        let mut deep = json!({"sub": "x"});
        for _ in 0..ACTORS_MAX {
            deep = json!({"sub": "x", "act": deep});
        }
        for act in [json!("bot"), json!({}), json!({"sub": 1}), json!({"sub": "x", "act": 1}), deep] {
            check(&strict, json!({ "act": act }), Err(TokenFault::ClaimForm("act")));
        }
    }

    #[test]
    fn a_claim_for_policies_that_cannot_be_compared_refuses_the_token() {
        let policy = rules(|s| s.claims_for_policy = vec!["region".into(), "level".into()]);
        let token = read(&policy, json!({"region": ["eu", "uk"], "other": {}})).unwrap();
        let eu_uk = AttributeValue::Texts(vec!["eu".into(), "uk".into()]);
        assert_eq!(token.policy_claims().iter().collect::<Vec<_>>(), [(&"region".to_owned(), &eu_uk)]);
        for value in [json!({"a": 1}), json!(1.5), json!([1])] {
            check(&policy, json!({ "level": value }), Err(TokenFault::PolicyClaim));
        }
    }

    #[test]
    fn a_binding_that_is_not_understood_refuses_the_token() {
        let strict = rules(|_| {});
        let bound = read(&strict, json!({"cnf": {"x5t#S256": b64([7; 32])}})).unwrap();
        assert_eq!(bound.binding(), Binding { certificate: Some([7; 32]), key: None });
        let both = read(&strict, json!({"cnf": {"x5t#S256": b64([7; 32]), "jkt": b64([8; 32])}})).unwrap();
        assert_eq!(both.binding(), Binding { certificate: Some([7; 32]), key: Some([8; 32]) });
        assert_eq!(both.binding().as_str(), Some("certificate+dpop"));
        for cnf in [
            json!({"jkt": "x"}),
            json!({}),
            json!("x"),
            json!({"x5t#S256": b64([7; 31])}),
            json!({"x5t#S256": format!("{}=", b64([7; 32]))}),
            json!({"x5t#S256": 7}),
            json!({"x5t#S256": b64([7; 32]), "jkt": "x"}),
            json!({"jkt": b64([7; 32]), "jwk": {}}),
            json!({"kid": "k"}),
        ] {
            check(&strict, json!({ "cnf": cnf }), Err(TokenFault::Binding));
        }
    }

    #[test]
    fn claims_are_matched_as_text_or_in_a_list_also_by_pointer() {
        let token = read(
            &rules(|_| {}),
            json!({"groups": ["desk", "x"], "team": "desk", "realm_access": {"roles": ["r"]}}),
        )
        .unwrap();
        for (name, value, holds) in [
            ("groups", "desk", true),
            ("team", "desk", true),
            ("/realm_access/roles", "r", true),
            ("/team", "desk", true),
            ("groups", "des", false),
            ("groups", "", false),
            ("realm_access", "r", false),
            ("nothing", "desk", false),
        ] {
            assert_eq!(token.claim_holds(name, value), holds, "{name} {value}");
        }
    }

    #[test]
    fn nothing_personal_is_shown_by_debug() {
        let token =
            read(&rules(|_| {}), json!({"sub": "alice", "email": "alice@x", "act": {"sub": "bob"}})).unwrap();
        let shown = format!("{token:?} {:?}", token.actor());
        assert!(!shown.contains("alice") && !shown.contains("bob"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_token_outlives_its_end(exp in -10_i64..2_000_000_000, at in 0_i64..100_000) {
            let strict = rules(|s| s.clock_skew = Duration::ZERO);
            let Value::Object(claims) = claims(json!({"exp": exp, "iat": 0})) else { panic!("an object") };
            let read = strict.read(claims, later(at));
            prop_assert_eq!(read.is_ok(), later(at) < Timestamp::from_second(exp).unwrap());
        }

        #[test]
        fn any_claims_are_read_or_refused(name in "aud|exp|nbf|iat|sub|jti|scope|act|cnf|x", text in "\\PC{0,20}", n in any::<f64>()) {
            for value in [json!(text), json!(n), json!([text, n]), json!({"sub": text, "act": {"sub": n}})] {
                let Value::Object(mut claims) = claims(json!({})) else { panic!("an object") };
                claims.insert(name.clone(), value);
                let _read_or_refused = rules(|_| {}).read(claims, now()).map(|token| token.expires);
            }
        }
    }
}
