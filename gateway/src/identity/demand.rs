//! What is asked of whoever calls, and by whom?
//!
//! An operation asks, the rules of a caller's kind ask, and the proof by which the caller is known may ask for
//! more. All of it must be met: none replaces another. It is what requests are held to, and what is told of it.

use super::caller::Identities;
use super::callers::Kind;
use super::possession::Bound;
use super::sign_in::SignIn;

/// What an operation asks of whoever calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The proofs: one of these alternatives.
    pub asked: Vec<Asked>,
    /// What a token must be bound to, whoever's it is.
    pub bound: Option<Bound>,
    /// How a person must have signed in.
    pub sign_in: Option<SignIn>,
}

/// One alternative of what an operation asks for. Both may be asked for; neither is an open operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked {
    /// An access token.
    pub token: bool,
    /// A client certificate.
    pub certificate: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The proof in `callers.yaml` by which the caller is known.
    Proof,
    /// The rules of the caller's kind in `callers.yaml`.
    Kind,
    /// The operation, in its contract.
    Operation,
}

impl Identities {
    /// What a token of a caller of `kind` must be bound to for an operation that demands this, where its proof
    /// asks for `by_proof`: to all of these.
    pub fn bindings(
        &self,
        kind: Kind,
        by_proof: Option<Bound>,
        demand: &Demand,
    ) -> impl Iterator<Item = (Asker, Bound)> + use<> {
        let by_kind = self.callers().of_kind(kind).and_then(|rules| rules.bound);
        let asked = [(Asker::Proof, by_proof), (Asker::Kind, by_kind), (Asker::Operation, demand.bound)];
        asked.into_iter().filter_map(|(asker, bound)| Some((asker, bound?)))
    }

    /// How a caller of `kind` must have signed in for an operation that demands this: in all of these ways. A
    /// machine does not sign in, and is not asked.
    pub fn sign_ins<'a>(
        &'a self,
        kind: Kind,
        demand: &'a Demand,
    ) -> impl Iterator<Item = (Asker, &'a SignIn)> {
        let by_kind = self.callers().of_kind(kind).and_then(|rules| rules.sign_in.as_ref());
        let asked = [(Asker::Operation, demand.sign_in.as_ref()), (Asker::Kind, by_kind)];
        asked
            .into_iter()
            .filter(move |_| !kind.is_machine())
            .filter_map(|(asker, sign_in)| Some((asker, sign_in?)))
    }
}
