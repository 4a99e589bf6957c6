//! Whose is this token, whose is this certificate? Answered from tables made at load.
//!
//! The proof that asks for more wins; of two persons' proofs that ask for as much, the one that names the
//! subject. Two callers that are still both possible are nobody: a token that could be a machine's or a
//! person's is never settled by a guess.

use std::collections::HashMap;
use std::sync::Arc;

use crate::identity::certificate::{ClientCertificate, DnsName, SpiffeId};
use crate::identity::token::Token;

use super::{CallerProfile, CertificateProof, Proof, Terms, TokenProof};

/// Whom a certificate identifies.
#[derive(Debug, Clone, Copy)]
pub(in crate::identity) enum Found<'a> {
    /// No caller.
    Nobody,
    /// Exactly one.
    One(&'a Arc<CallerProfile>),
    /// More than one, and nothing that decides between them.
    Several,
}

/// Whom a token identifies.
#[derive(Debug, Clone, Copy)]
pub(in crate::identity) enum FoundToken<'a> {
    /// No caller.
    Nobody,
    /// Exactly one, and what else the token must show.
    One(&'a Arc<CallerProfile>, &'a Terms),
    /// More than one, and nothing that decides between them.
    Several,
}

#[derive(Debug, Clone, Default)]
pub(in crate::identity) struct Index {
    /// By the issuer's name.
    tokens: HashMap<String, OfIssuer>,
    dns: HashMap<DnsName, Arc<CallerProfile>>,
    spiffe: HashMap<SpiffeId, Arc<CallerProfile>>,
    sha256: HashMap<[u8; 32], Arc<CallerProfile>>,
    key_sha256: HashMap<[u8; 32], Arc<CallerProfile>>,
}

/// Each proof stands in one table: under its client, else its subject, else among the claims.
#[derive(Debug, Clone, Default)]
struct OfIssuer {
    by_client: HashMap<String, Vec<Entry>>,
    by_subject: HashMap<String, Vec<Entry>>,
    by_claim: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    proof: TokenProof,
    profile: Arc<CallerProfile>,
}

impl Index {
    pub(super) fn new(profiles: &[Arc<CallerProfile>]) -> Self {
        let mut index = Self::default();
        for profile in profiles {
            for proof in &profile.proofs {
                let profile = Arc::clone(profile);
                match proof {
                    Proof::Token(proof) => index.add_token(Entry { proof: proof.clone(), profile }),
                    Proof::Certificate(CertificateProof::Dns(name)) => {
                        index.dns.insert(name.clone(), profile);
                    }
                    Proof::Certificate(CertificateProof::Spiffe(id)) => {
                        index.spiffe.insert(id.clone(), profile);
                    }
                    Proof::Certificate(CertificateProof::Sha256(hash)) => {
                        index.sha256.insert(*hash, profile);
                    }
                    Proof::Certificate(CertificateProof::KeySha256(hash)) => {
                        index.key_sha256.insert(*hash, profile);
                    }
                }
            }
        }
        index
    }

    fn add_token(&mut self, entry: Entry) {
        let of_issuer = self.tokens.entry(entry.proof.issuer.clone()).or_default();
        match (&entry.proof.client_id, &entry.proof.subject) {
            (Some(client), _) => of_issuer.by_client.entry(client.clone()).or_default().push(entry),
            (None, Some(subject)) => of_issuer.by_subject.entry(subject.clone()).or_default().push(entry),
            (None, None) => of_issuer.by_claim.push(entry),
        }
    }

    /// The caller whose token this is.
    pub(in crate::identity) fn by_token(&self, token: &Token) -> FoundToken<'_> {
        let Some(of_issuer) = self.tokens.get(token.issuer()) else { return FoundToken::Nobody };
        let client = token.client_id().and_then(|id| of_issuer.by_client.get(id));
        let subject = token.subject().and_then(|id| of_issuer.by_subject.get(id));
        let candidates = client.into_iter().chain(subject).flatten().chain(&of_issuer.by_claim);
        let fitting = candidates.filter(|entry| entry.proof.fits(entry.profile.kind, token));
        let Some(most) = fitting.clone().map(|entry| entry.proof.demands()).max() else {
            return FoundToken::Nobody;
        };
        let rivals = fitting.filter(|entry| entry.proof.demands() == most);
        match the_one(rivals.clone()) {
            FoundToken::Several if rivals.clone().all(|entry| !entry.profile.kind.is_machine()) => {
                match the_one(rivals.filter(|entry| entry.proof.names_the_subject())) {
                    found @ FoundToken::One(..) => found,
                    FoundToken::Nobody | FoundToken::Several => FoundToken::Several,
                }
            }
            found => found,
        }
    }

    /// The caller whose certificate this is. All its names are asked: they must not differ.
    pub(in crate::identity) fn by_certificate(&self, certificate: &ClientCertificate) -> Found<'_> {
        let by_name = certificate.dns_names().filter_map(|name| self.dns.get(name));
        let by_id = certificate.spiffe_id().and_then(|id| self.spiffe.get(id));
        let by_hash = self.sha256.get(certificate.sha256());
        let by_key = self.key_sha256.get(certificate.key_sha256());
        let mut found = by_name.chain(by_id).chain(by_hash).chain(by_key);
        let Some(first) = found.next() else { return Found::Nobody };
        if found.all(|other| other.index == first.index) { Found::One(first) } else { Found::Several }
    }
}

/// The caller of all these entries, and the terms of the strictest of them.
fn the_one<'a>(mut entries: impl Iterator<Item = &'a Entry> + Clone) -> FoundToken<'a> {
    let strictest = entries.clone().max_by_key(|entry| entry.proof.terms().demands());
    let Some((first, strictest)) = entries.next().zip(strictest) else { return FoundToken::Nobody };
    let same = entries.all(|other| other.profile.index == first.profile.index);
    if same { FoundToken::One(&first.profile, strictest.proof.terms()) } else { FoundToken::Several }
}
