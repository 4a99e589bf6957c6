//! How is a caller told to prove itself? The only writer of `WWW-Authenticate` (RFC 9110 section 11.6.1).
//!
//! One challenge for each scheme by which the operation takes tokens, each with all that a client needs to come
//! back well: what was wrong, the scopes that suffice, where the resource is described, by which algorithms a
//! proof may be signed. Of what a caller sent, nothing is repeated.

use http::HeaderName;
use http::header::WWW_AUTHENTICATE;

use super::told::with;
use crate::identity::{AuthScheme, Bound, Challenge, SignIn};
use crate::problem::Problem;

/// What whoever is challenged may do instead.
#[derive(Debug)]
pub struct Offer<'a> {
    /// The `realm`.
    pub realm: &'a str,
    /// The scopes that suffice for the operation, with spaces between; none when it is not known.
    pub scopes: &'a str,
    /// What a token must be bound to, whoever's it is.
    pub bound: Option<Bound>,
    /// The algorithms by which a proof of possession may be signed, with spaces between.
    pub algorithms: &'a str,
    /// The nonce to make such a proof with.
    pub nonce: String,
    /// Where the resource is described (RFC 9728).
    pub metadata: Option<String>,
    /// How the request showed a token, if it did.
    pub shown: Option<AuthScheme>,
}

/// What is wrong with the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong<'a> {
    pub(super) challenge: Challenge,
    /// The scopes to ask for, where it is not those of the operation.
    pub(super) scopes: Option<&'a str>,
    /// What the token must be bound to, where that is what is wrong.
    pub(super) bound: Option<Bound>,
    /// How the person must have signed in, where that is what is wrong.
    pub(super) sign_in: Option<&'a SignIn>,
}

impl<'a> Offer<'a> {
    /// An offer of nothing in particular: for refusals that nobody is challenged by.
    #[must_use]
    pub const fn of_realm(realm: &'a str) -> Self {
        Self {
            realm,
            scopes: "",
            bound: None,
            algorithms: "",
            nonce: String::new(),
            metadata: None,
            shown: None,
        }
    }

    /// Adds the challenges to a problem, and the nonce to make the next proof with.
    pub(super) fn challenge(&self, problem: Problem, wrong: Wrong<'_>) -> Problem {
        let told: Vec<String> = self.schemes(wrong).map(|scheme| self.written(scheme, wrong)).collect();
        let problem = with(problem, WWW_AUTHENTICATE, &told.join(", "));
        // RFC 9449 section 8: also where it was not missing, for the next one will need it.
        if self.shown == Some(AuthScheme::Dpop) { with(problem, NONCE, &self.nonce) } else { problem }
    }

    /// The schemes that are offered; where only the token is not enough, the one it was shown by.
    fn schemes(&self, wrong: Wrong<'_>) -> impl Iterator<Item = AuthScheme> {
        let bound = wrong.bound.or(self.bound);
        let only = self.shown.filter(|_| wrong.is_about_a_good_token());
        let offered = move |scheme: AuthScheme| match (only, bound) {
            (Some(only), _) => scheme == only,
            (None, Some(bound)) => bound.is_offered(scheme),
            (None, None) => true,
        };
        [AuthScheme::Bearer, AuthScheme::Dpop].into_iter().filter(move |scheme| offered(*scheme))
    }

    fn written(&self, scheme: AuthScheme, wrong: Wrong<'_>) -> String {
        // RFC 6750 section 3: what is quoted here are fixed words and what was checked at load.
        let mut value = format!("{} realm=\"{}\"", scheme.as_str(), self.realm);
        let mut parameter = |name: &str, text: &str| value.push_str(&format!(", {name}=\"{text}\""));
        // The mistake stands with the scheme it was made by.
        let shown = self.shown.filter(|shown| self.schemes(wrong).any(|scheme| scheme == *shown));
        if shown.is_none_or(|shown| shown == scheme) {
            let Challenge { error, description } = wrong.challenge;
            error.into_iter().for_each(|error| parameter("error", error));
            description.into_iter().for_each(|description| parameter("error_description", description));
        }
        let scopes = wrong.scopes.unwrap_or(self.scopes);
        if !scopes.is_empty() {
            parameter("scope", scopes);
        }
        // RFC 9470 section 3. `amr` has no parameter: the authorization server knows what an `acr` takes.
        if let Some(SignIn { acr, age_max, .. }) = wrong.sign_in {
            if !acr.is_empty() {
                parameter("acr_values", &acr.join(" "));
            }
            if let Some(age_max) = age_max {
                parameter("max_age", &age_max.as_secs().to_string());
            }
        }
        // RFC 9728 section 5.1.
        self.metadata.iter().for_each(|metadata| parameter("resource_metadata", metadata));
        // RFC 9449 section 5.1.
        if scheme == AuthScheme::Dpop && !self.algorithms.is_empty() {
            parameter("algs", self.algorithms);
        }
        value
    }
}

impl Wrong<'_> {
    pub(super) const fn of(challenge: Challenge) -> Self {
        Self { challenge, scopes: None, bound: None, sign_in: None }
    }

    fn is_about_a_good_token(self) -> bool {
        matches!(self.challenge.error, Some("insufficient_scope" | "insufficient_user_authentication"))
    }
}

/// RFC 9449 section 8.1.
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(bound: Option<Bound>, shown: Option<AuthScheme>) -> Offer<'static> {
        let algorithms = "ES256 EdDSA";
        Offer {
            realm: "api",
            scopes: "a b",
            bound,
            algorithms,
            nonce: "n1".to_owned(),
            metadata: None,
            shown,
        }
    }

    fn told(offer: &Offer<'_>, wrong: Wrong<'_>) -> (String, bool) {
        let problem = Problem::new(super::super::AUTHENTICATION, http::StatusCode::UNAUTHORIZED, "");
        let problem = offer.challenge(problem, wrong);
        let field = problem.headers[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        (field, problem.headers.contains_key(NONCE))
    }

    const NOTHING: Wrong<'_> = Wrong::of(Challenge { error: None, description: None });
    const INVALID: Wrong<'_> = Wrong::of(Challenge { error: Some("invalid_token"), description: Some("no") });

    #[test]
    fn every_scheme_that_the_operation_takes_is_offered() {
        const BEARER: &str = "Bearer realm=\"api\", scope=\"a b\"";
        const DPOP: &str = "DPoP realm=\"api\", scope=\"a b\", algs=\"ES256 EdDSA\"";
        let both = format!("{BEARER}, {DPOP}");
        for (bound, expected) in [
            (None, both.as_str()),
            (Some(Bound::Either), &both),
            (Some(Bound::Certificate), BEARER),
            (Some(Bound::Dpop), DPOP),
        ] {
            assert_eq!(told(&offer(bound, None), NOTHING), (expected.to_owned(), false), "{bound:?}");
        }
    }

    #[test]
    fn where_the_resource_is_described_is_told() {
        let metadata = "https://a.example/.well-known/oauth-protected-resource/x";
        let offer = Offer { metadata: Some(metadata.to_owned()), ..offer(Some(Bound::Certificate), None) };
        let expected = format!("Bearer realm=\"api\", scope=\"a b\", resource_metadata=\"{metadata}\"");
        assert_eq!(told(&offer, NOTHING).0, expected);
    }

    #[test]
    fn a_mistake_stands_with_the_scheme_it_was_made_by() {
        let wrong = "error=\"invalid_token\", error_description=\"no\"";
        let (field, nonce) = told(&offer(None, Some(AuthScheme::Dpop)), INVALID);
        assert_eq!((field.matches(wrong).count(), nonce), (1, true));
        assert!(field.contains(&format!("DPoP realm=\"api\", {wrong}")), "{field}");
        let (field, nonce) = told(&offer(None, Some(AuthScheme::Bearer)), INVALID);
        assert_eq!((field.starts_with(&format!("Bearer realm=\"api\", {wrong}")), nonce), (true, false));
        // Shown by a scheme that the operation does not take: it stands with the one it does.
        let (field, _) = told(&offer(Some(Bound::Dpop), Some(AuthScheme::Bearer)), INVALID);
        assert!(field.starts_with(&format!("DPoP realm=\"api\", {wrong}")), "{field}");
    }

    #[test]
    fn who_needs_another_scope_is_not_told_to_show_another_kind_of_token() {
        let challenge = Challenge { error: Some("insufficient_scope"), description: None };
        let wrong = Wrong { scopes: Some("c"), ..Wrong::of(challenge) };
        let (field, _) = told(&offer(None, Some(AuthScheme::Bearer)), wrong);
        assert_eq!(field, "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"c\"");
    }
}
