//! Is this token revoked? A few looks into tables, and nothing allocated.

use std::collections::HashMap;

use jiff::Timestamp;

use super::entry::{Entry, Target};

/// The names of a token by which it may be revoked.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Its issuer's name in `gateway.yaml`.
    pub issuer: &'a str,
    /// Its `jti`.
    pub id: Option<&'a str>,
    /// The client it was issued to.
    pub client_id: Option<&'a str>,
    /// Its subject.
    pub subject: Option<&'a str>,
    /// When it was issued.
    pub issued: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Index(HashMap<String, OfIssuer>);

#[derive(Debug, Default)]
struct OfIssuer {
    tokens: Named,
    clients: Named,
    subjects: Named,
    all: Vec<Bounds>,
}

type Named = HashMap<String, Vec<Bounds>>;

/// For which of the tokens that an entry names it holds, and how long.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    issued_before: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Index {
    pub(super) fn new<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut index = Self::default();
        for entry in entries {
            let Some((issuer, target)) = entry.target() else { continue };
            let of = index.0.entry(issuer.to_owned()).or_default();
            let bounds = match target {
                Target::Token(name) => of.tokens.entry(name.to_owned()).or_default(),
                Target::Client(name) => of.clients.entry(name.to_owned()).or_default(),
                Target::Subject(name) => of.subjects.entry(name.to_owned()).or_default(),
                Target::Issuer => &mut of.all,
            };
            bounds.push(Bounds { issued_before: entry.issued_before, until: entry.until });
        }
        index
    }

    pub(super) fn holds(&self, shown: &Shown<'_>, now: Timestamp) -> bool {
        let Some(of) = self.0.get(shown.issuer) else { return false };
        let any = |bounds: &[Bounds]| bounds.iter().any(|one| one.hold(shown.issued, now));
        let named = |names: &Named, name: Option<&str>| {
            name.and_then(|name| names.get(name)).is_some_and(|bounds| any(bounds))
        };
        any(&of.all)
            || named(&of.tokens, shown.id)
            || named(&of.clients, shown.client_id)
            || named(&of.subjects, shown.subject)
    }
}

impl Bounds {
    fn hold(self, issued: Option<Timestamp>, now: Timestamp) -> bool {
        // A token that does not say when it was issued may have been issued before.
        let is_old = |before| issued.is_none_or(|issued| issued < before);
        self.until.is_none_or(|until| now < until) && self.issued_before.is_none_or(is_old)
    }
}

// Subjects may be personal.
impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("issuer", &self.issuer).field("id", &self.id).finish_non_exhaustive()
    }
}
