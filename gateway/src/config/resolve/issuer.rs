//! Who issues tokens, with which keys, and which of their claims are used?

use std::collections::BTreeMap;

use super::super::raw;
use super::super::settings::default;
use super::{Resolve, time};
use crate::document::token;
use crate::fetch::Trust;
use crate::identity::{ClientIdClaim, IssuerSettings, KeySource, RequiredClaims, ScopeForm, TypRule};
use crate::oauth::WellKnown;
use crate::policy::ValueType;

impl Resolve<'_> {
    pub(super) fn claims(&mut self, issuers: &BTreeMap<String, raw::Issuer>) -> Vec<(String, ValueType)> {
        let mut claims: BTreeMap<String, ValueType> = BTreeMap::new();
        for (issuer, written) in issuers {
            for (claim, kind) in &written.claims {
                let kind = claim_type(*kind);
                if claims.insert(claim.clone(), kind).is_some_and(|before| before != kind) {
                    self.error(
                        &format!("/issuers/{}/claims/{}", token(issuer), token(claim)),
                        &format!("claim `{claim}` has another type with another issuer"),
                        "policies see one type: give it the same everywhere",
                    );
                }
            }
        }
        claims.into_iter().collect()
    }

    pub(super) fn issuer(&mut self, name: String, written: raw::Issuer) -> Option<IssuerSettings> {
        let at = format!("/issuers/{}", token(&name));
        if written.audiences.is_empty() {
            self.error(
                &format!("{at}/audiences"),
                "no audience is named",
                "name what `aud` must contain one of",
            );
        }
        let keys = self.keys(&at, &written)?;
        let of_keys = written.keys.as_ref();
        let ca = match of_keys.and_then(|keys| keys.ca.as_ref()) {
            Some(ca) => Some(self.read(&format!("{at}/keys/ca"), ca)?),
            None => None,
        };
        let (refresh_every, keys_age_max) =
            of_keys.map_or((None, None), |written| (written.refresh, written.age_max));
        let timeout = time(of_keys.and_then(|keys| keys.timeout), default::KEYS_TIMEOUT);
        let introspection = match &written.introspection {
            None => None,
            Some(asked) => {
                let trust = Trust { ca: ca.clone(), timeout };
                Some(self.introspection(&at, &name, asked, &written, trust)?)
            }
        };
        Some(IssuerSettings {
            name,
            issuer: written.issuer,
            audiences: written.audiences,
            keys,
            algorithms: written.algorithms.unwrap_or_else(|| default::ALGORITHMS.to_vec()),
            typ: match written.typ {
                None | Some(raw::Typ::AccessToken) => TypRule::AtJwt,
                Some(raw::Typ::Jwt) => TypRule::AtJwtOrJwt,
                Some(raw::Typ::InsecureAny) => TypRule::Any,
            },
            required_claims: match written.required_claims {
                None => RequiredClaims::Rfc9068,
                Some(named) => RequiredClaims::AtLeast(named),
            },
            clock_skew: time(written.clock_skew, default::CLOCK_SKEW),
            lifetime_max: Some(time(written.lifetime_max, default::LIFETIME)),
            client_id_claim: written.client_claim.unwrap_or(ClientIdClaim::ClientId),
            scope_form: written.scopes.unwrap_or(ScopeForm::Text),
            claims_for_policy: written.claims.into_keys().collect(),
            refresh_every: time(refresh_every, default::KEYS_REFRESH),
            keys_age_max: time(keys_age_max, default::KEYS_AGE),
            fetch_timeout: timeout,
            ca,
            introspection,
        })
    }

    fn keys(&mut self, at: &str, of: &raw::Issuer) -> Option<KeySource> {
        let Some(written) = &of.keys else {
            if of.introspection.is_none() {
                let help = "give `keys` for JWTs, `introspection` for opaque tokens, or both";
                self.error(at, "nothing says how a token of this issuer is found good", help);
                return None;
            }
            if of.algorithms.is_some() {
                let help = "give `keys`, or leave `algorithms` out";
                self.error(&format!("{at}/algorithms"), "without `keys` no signature is verified", help);
            }
            return Some(KeySource::Nowhere);
        };
        match (&written.url, written.discovery, &written.file) {
            (Some(url), None, None) => {
                self.safe(
                    &format!("{at}/keys/url"),
                    url,
                    written.insecure_http,
                    "such as https://login.example/jwks",
                );
                Some(KeySource::Url(url.clone()))
            }
            (None, Some(document), None) => {
                let help = "its metadata are found by its name, such as https://login.example";
                self.safe(&format!("{at}/issuer"), &of.issuer, written.insecure_http, help);
                Some(KeySource::Discovered(well_known(document)))
            }
            (None, None, Some(file)) => Some(KeySource::File(self.source(file.clone()))),
            _ => {
                self.error(
                    &format!("{at}/keys"),
                    "keys come from a `url`, by `discovery` or from a `file`",
                    "give exactly one of them",
                );
                None
            }
        }
    }

    /// Tells of an address that is asked in clear, or is none.
    pub(super) fn safe(&mut self, at: &str, url: &str, insecure_http: bool, help: &str) {
        let plain = url.starts_with("http://");
        if plain && !insecure_http {
            let help = "use an `https:` URL, or set `insecure_http: true` for a loopback address";
            self.error(at, "an issuer is asked over `https:` only", help);
        } else if !plain && !url.starts_with("https://") {
            self.error(at, "this is no `https:` URL", help);
        }
    }
}

pub(super) const fn well_known(written: raw::Document) -> WellKnown {
    match written {
        raw::Document::Openid => WellKnown::OpenId,
        raw::Document::Oauth => WellKnown::Oauth,
    }
}

const fn claim_type(written: raw::ClaimType) -> ValueType {
    match written {
        raw::ClaimType::Text => ValueType::Text,
        raw::ClaimType::Integer => ValueType::Integer,
        raw::ClaimType::Boolean => ValueType::Boolean,
        raw::ClaimType::Texts => ValueType::Texts,
    }
}
