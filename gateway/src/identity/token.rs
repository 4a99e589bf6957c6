//! Is this access token good, and what does it say?
//!
//! [`Issuers`] outlives configurations: it holds keys and the tokens that were verified. The order is that
//! of RFC 8725: form, issuer, algorithm and type, key, signature, claims. Callers are not known here.

mod algorithm;
mod claims;
mod compact;
mod fault;
mod fetch;
mod introspection;
mod issuer;
mod key;
mod parties;
mod settings;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod verified;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::document::unique as json;

pub use algorithm::Algorithm;
pub(super) use claims::{instant, numeric_date};
pub(super) use compact::Parts as JwsParts;
use compact::{Compact, TOKEN_BYTES_MAX};
pub use fault::TokenFault;
use introspection::Question;
pub use introspection::{
    INTROSPECTION_CACHE, INTROSPECTION_CACHE_MAX, Introspected, IntrospectionSettings, NEGATIVE_CACHE,
    NEGATIVE_CACHE_MAX,
};
pub use issuer::KeyAge;
use issuer::{Issuer, Wanted};
pub(super) use key::Key;
pub use settings::{
    ALGORITHMS, CLOCK_SKEW, CLOCK_SKEW_MAX, ClientIdClaim, FETCH_TIMEOUT, IssuerMistake, IssuerSettings,
    KEYS_AGE_MAX, KeySource, REFRESH_EVERY, REFRESH_EVERY_MIN, RequiredClaim, RequiredClaims, ScopeForm,
    TypRule,
};
pub use verified::{Actor, Binding, Token};

/// The issuers whose tokens are accepted, with their keys and the tokens verified so far.
pub struct Issuers {
    /// By `iss`.
    issuers: HashMap<String, Arc<Issuer>>,
    /// Those that are asked about opaque tokens, and how such tokens begin; who says nothing of that is last.
    opaque: Vec<(Option<String>, Arc<Issuer>)>,
    verified: Arc<Cache<Digest, Verified>>,
}

/// Why a token does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unverified {
    /// It is at fault.
    Fault(TokenFault),
    /// We are: its issuer's keys are not to be had.
    NoKeys { issuer: Arc<str> },
    /// Its issuer was asked about it and has not said anything that can be used.
    Unanswered { issuer: Arc<str>, why: &'static str },
    /// Its issuer is asked too much already.
    Overloaded { issuer: Arc<str> },
}

pub(super) type Digest = [u8; 32];
/// The issuer of a JWT, and what it says; nothing where that issuer's signatures are not verified here.
type Signed = (Arc<Issuer>, Option<Arc<Token>>);

/// A token whose signature and claims were good, and under which keys.
#[derive(Clone)]
struct Verified {
    issuer: Arc<Issuer>,
    generation: u64,
    token: Arc<Token>,
}

impl Issuers {
    /// The issuers of a configuration. Of `previous`, the keys of issuers whose keys are the same are kept,
    /// and of those that did not change at all, the verified tokens too. Key files are read here.
    ///
    /// # Errors
    /// Every setting that cannot be meant, and every key file that cannot be used.
    pub fn new(settings: Vec<IssuerSettings>, previous: Option<&Self>) -> Result<Self, Vec<IssuerMistake>> {
        let mut mistakes = settings::mistakes(&settings);
        let mut issuers = HashMap::new();
        for settings in settings {
            let before = previous.and_then(|previous| previous.issuers.get(&settings.issuer));
            match Issuer::new(settings, before) {
                Ok(issuer) => drop(issuers.insert(issuer.settings.issuer.clone(), issuer)),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let verified = match previous {
            Some(previous) => Arc::clone(&previous.verified),
            None => Arc::new(Cache::new(VERIFIED_TOKENS_MAX)),
        };
        let mut opaque: Vec<_> = issuers
            .values()
            .filter_map(|issuer| {
                Some((issuer.introspector.as_ref()?.settings().prefix.clone(), Arc::clone(issuer)))
            })
            .collect();
        opaque.sort_by_key(|(prefix, _)| prefix.is_none());
        Ok(Self { issuers, opaque, verified })
    }

    /// Fetches the keys that are due, and returns when that has ended. To be called every second or so.
    pub async fn refresh(&self, now: Timestamp) {
        let mut fetches = tokio::task::JoinSet::new();
        for issuer in self.issuers.values().map(Arc::clone) {
            fetches.spawn(async move { issuer.renew(Wanted::Due, now).await });
        }
        while fetches.join_next().await.is_some() {}
    }

    /// How the keys of each issuer are, by name.
    #[must_use]
    pub fn ages(&self, now: Timestamp) -> Vec<KeyAge> {
        let mut ages: Vec<KeyAge> = self.issuers.values().map(|issuer| issuer.age(now)).collect();
        ages.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        ages
    }

    /// Whether every issuer whose signatures are verified has keys that may be used.
    #[must_use]
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.issuers.values().all(|issuer| !issuer.verifies() || issuer.keys(now).is_some())
    }

    /// The names of all issuers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.issuers.values().map(|issuer| issuer.settings.name.as_str())
    }

    /// What `token` says, once it is verified.
    pub(super) async fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Token>, Unverified> {
        let digest = sha256(token.as_bytes());
        let question = |verified| Question { digest, text: Zeroizing::new(token.to_owned()), verified };
        if let Some(issuer) = self.of_opaque(token) {
            if token.len() > TOKEN_BYTES_MAX {
                return Err(TokenFault::TooLong.into());
            }
            return introspection::ask(issuer, question(None), now).await;
        }
        let (issuer, verified) = match self.known(&digest, now) {
            Some(known) => known?,
            None => self.verify_signed(token, digest, now).await?,
        };
        if issuer.is_asked_about_all() {
            introspection::ask(&issuer, question(verified), now).await
        } else {
            Ok(verified.ok_or(TokenFault::NotOnSignature)?)
        }
    }

    /// The issuer that is asked about `token`, if it is one that says nothing itself.
    fn of_opaque(&self, token: &str) -> Option<&Arc<Issuer>> {
        let fits = |prefix: &Option<String>| match prefix {
            Some(prefix) => token.starts_with(prefix),
            // RFC 7515 section 3.1: a JWT has three parts.
            None => token.matches('.').count() != 2,
        };
        self.opaque.iter().find(|(prefix, _)| fits(prefix)).map(|(_, issuer)| issuer)
    }

    /// What a signed token says that was not seen before.
    async fn verify_signed(&self, token: &str, digest: Digest, now: Timestamp) -> Result<Signed, Unverified> {
        let compact = Compact::parse(token)?;
        // RFC 8725 section 3.8: the issuer chooses the keys, so only configured issuers are asked for any.
        let issuer = self.issuers.get(compact.issuer()?).ok_or(TokenFault::UnknownIssuer)?;
        if !issuer.verifies() {
            if !issuer.is_asked_about_all() {
                return Err(TokenFault::NotOnSignature.into());
            }
            // Whoever wrote it: it only says who is to be asked about it, and that it is meant for an API.
            issuer.rules.check_typ(compact.typ.as_deref())?;
            return Ok((Arc::clone(issuer), None));
        }
        if !issuer.settings.algorithms.contains(&compact.algorithm) {
            return Err(TokenFault::Algorithm.into());
        }
        issuer.rules.check_typ(compact.typ.as_deref())?;
        let generation = verify_signature(issuer, &compact, now).await?;
        let token = Arc::new(issuer.rules.read(compact.claims, now)?);
        let verified = Verified { issuer: Arc::clone(issuer), generation, token: Arc::clone(&token) };
        // Only what verified is kept: nobody fills this without an issuer's help.
        self.verified.insert(digest, verified);
        Ok((Arc::clone(issuer), Some(token)))
    }

    /// The token of that digest, if it was verified with the keys of today; or the fault time has brought.
    fn known(&self, digest: &Digest, now: Timestamp) -> Option<Result<Signed, TokenFault>> {
        let Verified { issuer, generation, token } = self.verified.get(digest)?;
        let is_current =
            self.issuers.get(&issuer.settings.issuer).is_some_and(|own| Arc::ptr_eq(own, &issuer));
        if !is_current || issuer.keys(now)?.generation != generation {
            return None;
        }
        Some(issuer.rules.check_times(&token, now).map(|()| (issuer, Some(token))))
    }
}

/// The generation of the keys by which the signature is good.
async fn verify_signature(
    issuer: &Arc<Issuer>,
    token: &Compact<'_>,
    now: Timestamp,
) -> Result<u64, Unverified> {
    let verdict = |keys: &issuer::Keys| keys.verify(token).map(|()| keys.generation);
    let first = issuer.keys(now).map(|keys| verdict(&keys));
    match first {
        Some(Ok(generation)) => return Ok(generation),
        // A key that is named and not there may be a new one. One that is not named tells nothing.
        Some(Err(TokenFault::UnknownKey)) if token.key_id.is_some() => {}
        Some(Err(fault)) => return Err(fault.into()),
        None => {}
    }
    issuer.renew(Wanted::Missing, now).await;
    match issuer.keys(now) {
        Some(keys) => Ok(verdict(&keys)?),
        None => Err(Unverified::NoKeys { issuer: Arc::clone(issuer.rules.issuer_name()) }),
    }
}

impl From<TokenFault> for Unverified {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// More callers than are at work within a token's life; each takes a kilobyte or two, sixteen at most.
const VERIFIED_TOKENS_MAX: usize = 8 * 1024;
