//! To what must a token be bound, and how must a person have signed in?
//!
//! Told and judged by what requests are held to: the demand of the route, the rules of the caller's kind, and
//! the terms of its proofs.

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use super::{Refused, refuse, say};
use crate::identity::{
    Asker, Binding, Bound, CallerProfile, Demand, Identities, Kind, Proof, SignIn, SignedIn, TokenProof,
};
use crate::units::Span;

/// What else the token of the explained request shows.
#[derive(Debug, Args)]
pub(super) struct Assurance {
    /// What the token is bound to; twice for both. Without it the token is good for whoever bears it.
    #[arg(long, value_name = "TO")]
    bound: Vec<BoundTo>,
    /// In which way the person signed in: the token's `acr`.
    #[arg(long)]
    acr: Option<String>,
    /// By which means the person signed in: an entry of the token's `amr`; several times for several.
    #[arg(long, value_name = "MEANS")]
    amr: Vec<String>,
    /// How long ago the person signed in, by the token's `auth_time`: 5m, 2h
    #[arg(long, value_name = "TIME")]
    signed_in: Option<Span>,
}

/// What a token can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BoundTo {
    /// The client certificate (RFC 8705).
    Certificate,
    /// A key of which each request has a proof (RFC 9449).
    Dpop,
}

impl Assurance {
    /// Whether it says something of a token, so that there is one.
    pub(super) fn is_of_a_token(&self) -> bool {
        !self.bound.is_empty() || self.acr.is_some() || !self.amr.is_empty() || self.signed_in.is_some()
    }

    /// Whether the token is bound as its caller's proofs, its kind and the operation ask.
    pub(super) fn check_binding(
        &self,
        identities: &Identities,
        profile: &CallerProfile,
        demand: &Demand,
        certificate: bool,
    ) -> Result<(), Refused> {
        let is_bound_to = |to: BoundTo| self.bound.contains(&to).then_some(SOME_HASH);
        let binding =
            Binding { certificate: is_bound_to(BoundTo::Certificate), key: is_bound_to(BoundTo::Dpop) };
        if binding.certificate.is_some() && !certificate {
            let told = "the token is bound to a certificate that is not shown (401 token-binding); see --certificate";
            return Err(refuse("", told));
        }
        let unmet = |by_proof: Option<Bound>| {
            let mut asked = identities.bindings(profile.kind, by_proof, demand);
            asked.find(|(_, bound)| !bound.is_met_by(binding))
        };
        // Which of its proofs a token fits is not known here: one that would do is enough.
        let mut unmet = token_proofs(profile).map(|proof| unmet(proof.terms().bound));
        let Some(first) = unmet.next() else { return Ok(()) };
        match first {
            Some((asker, bound)) if unmet.all(|other| other.is_some()) => {
                let (to, by) = (to(bound), by(asker));
                let told = format!(
                    "the token must be bound to {to}, {by} (401 token-binding-required); see --bound"
                );
                Err(refuse("", &told))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the person has signed in as its kind and the operation ask; without a `token` nothing says how.
    pub(super) fn check_sign_in(
        &self,
        identities: &Identities,
        caller: Option<&CallerProfile>,
        demand: &Demand,
        token: bool,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let Some(caller) = caller else { return Ok(()) };
        let ago = self.signed_in.and_then(|ago| SignedDuration::try_from(ago.0).ok());
        let signed_in = SignedIn {
            acr: self.acr.as_deref(),
            amr: self.amr.iter().map(String::as_str).collect(),
            at: ago.and_then(|ago| now.checked_sub(ago).ok()),
        };
        let mut asked = identities.sign_ins(caller.kind, demand).peekable();
        if asked.peek().is_none() {
            return Ok(());
        }
        match asked.find(|(_, sign_in)| !(token && sign_in.is_met_by(&signed_in, now))) {
            None => {
                say("sign-in", "as it is asked for");
                Ok(())
            }
            Some((asker, sign_in)) => {
                let told = format!(
                    "a sign-in {}, {} (401 sign-in-insufficient); see --acr, --amr and --signed-in",
                    how(sign_in),
                    by(asker)
                );
                Err(refuse("sign-in", &told))
            }
        }
    }
}

/// Says what is asked of a token beyond its scopes: of the caller's, or of that of each kind that is served.
pub(super) fn tell(
    identities: &Identities,
    profile: Option<&CallerProfile>,
    served: impl Iterator<Item = Kind>,
    demand: &Demand,
) {
    if !demand.asked.iter().any(|one| one.token) {
        return;
    }
    let Some(profile) = profile else {
        for kind in served {
            let asked = asked(identities, kind, None, demand);
            tell_of(&format!("a {}", kind.as_str()), &asked);
        }
        return;
    };
    let proofs: Vec<&TokenProof> = token_proofs(profile).collect();
    let all_alike = proofs.windows(2).all(|two| match two {
        [one, other] => one.terms().bound == other.terms().bound,
        _ => true,
    });
    let meant = if all_alike { proofs.get(..1).unwrap_or_default() } else { &proofs };
    for proof in meant {
        let whose = match (all_alike, proof.client_id()) {
            (true, _) => profile.id.clone(),
            (false, Some(client)) => format!("{} as client {client} of {}", profile.id, proof.issuer()),
            (false, None) => format!("{} by another proof of {}", profile.id, proof.issuer()),
        };
        tell_of(&whose, &asked(identities, profile.kind, proof.terms().bound, demand));
    }
}

fn tell_of(whose: &str, asked: &[String]) {
    for one in asked {
        say("", &format!("of {whose}: {one}"));
    }
}

/// What is asked of a token of a caller of `kind`, each with who asks it.
fn asked(identities: &Identities, kind: Kind, by_proof: Option<Bound>, demand: &Demand) -> Vec<String> {
    let bindings = identities.bindings(kind, by_proof, demand);
    let mut told: Vec<String> =
        bindings.map(|(asker, bound)| format!("a token bound to {}, {}", to(bound), by(asker))).collect();
    if told.is_empty() {
        told.push("a token that is bound to nothing will do".to_owned());
    }
    let life = identities.callers().of_kind(kind).and_then(|rules| rules.token_lifetime);
    told.extend(life.map(|life| format!("a token that lives {} at most, {}", Span(life), by(Asker::Kind))));
    let sign_ins = identities.sign_ins(kind, demand);
    told.extend(sign_ins.map(|(asker, asked)| format!("a sign-in {}, {}", how(asked), by(asker))));
    told
}

/// The tokens by which a caller is known.
pub(super) fn token_proofs(profile: &CallerProfile) -> impl Iterator<Item = &TokenProof> {
    profile.proofs.iter().filter_map(|proof| match proof {
        Proof::Token(proof) => Some(proof),
        Proof::Certificate(_) => None,
    })
}

const fn to(bound: Bound) -> &'static str {
    match bound {
        Bound::Certificate => "the client certificate (RFC 8705)",
        Bound::Dpop => "a key (DPoP, RFC 9449)",
        Bound::Either => "the client certificate (RFC 8705) or a key (DPoP, RFC 9449)",
    }
}

const fn by(asker: Asker) -> &'static str {
    match asker {
        Asker::Proof => "as its proof in callers.yaml asks",
        Asker::Kind => "as callers.yaml asks of its kind",
        Asker::Operation => "as the operation asks",
    }
}

/// `in one of the ways high, higher; by all of mfa, hwk; 12h ago at most`
fn how(sign_in: &SignIn) -> String {
    let SignIn { acr, amr, age_max } = sign_in;
    let ways = (!acr.is_empty()).then(|| format!("in one of the ways {} (acr)", acr.join(", ")));
    let means = (!amr.is_empty()).then(|| format!("by all of {} (amr)", amr.join(", ")));
    let age = age_max.map(|age| format!("{} ago at most (auth_time)", Span(age)));
    ways.into_iter().chain(means).chain(age).collect::<Vec<_>>().join(", ")
}

/// Whatever it is bound to: the explained request is assumed to show that.
const SOME_HASH: [u8; 32] = [0; 32];
