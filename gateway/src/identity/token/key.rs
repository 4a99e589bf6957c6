//! Which published keys may verify a token, and by which algorithm each?
//!
//! Reads a JWK set (RFC 7517). One key has one algorithm (RFC 8725 section 3.1), fixed here: what a token
//! says later only chooses among them. Keys that cannot serve are passed over, a set that is broken is not used.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::verify;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::compact::Compact;
use super::fault::TokenFault;
use super::json;

/// The keys of one issuer that may be used.
#[derive(Debug, Clone)]
pub(super) struct KeySet(Vec<Key>);

/// One public key, and the one algorithm it verifies by.
#[derive(Debug, Clone)]
pub(in crate::identity) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    /// The public key as the verifier wants it.
    public: DecodingKey,
}

/// A set from which no key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetFault {
    #[error("it is not a jwk set")]
    NotASet,
    #[error("it has more keys than an issuer needs")]
    TooManyKeys,
    #[error("two of its keys have the same id and algorithm")]
    AmbiguousKeys,
    #[error("none of its keys can be used")]
    NoUsableKey,
}

impl KeySet {
    /// The keys in `bytes` that can verify by one of `algorithms`.
    pub(super) fn parse(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetFault> {
        let set = json::object(bytes).ok_or(KeySetFault::NotASet)?;
        let Some(Value::Array(jwks)) = set.get("keys") else { return Err(KeySetFault::NotASet) };
        if jwks.len() > KEYS_MAX {
            return Err(KeySetFault::TooManyKeys);
        }
        // RFC 7517 section 5: keys that are not understood are passed over.
        let keys: Vec<Key> =
            jwks.iter().filter_map(Value::as_object).filter_map(|jwk| Key::parse(jwk, algorithms)).collect();
        let clash = |(n, key): (usize, &Key)| {
            keys.iter()
                .take(n)
                .any(|other| key.id.is_some() && key.id == other.id && key.algorithm == other.algorithm)
        };
        if keys.iter().enumerate().any(clash) {
            return Err(KeySetFault::AmbiguousKeys);
        }
        if keys.is_empty() { Err(KeySetFault::NoUsableKey) } else { Ok(Self(keys)) }
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the signature of `token` is that of the one key it can be of.
    pub(super) fn verify(&self, token: &Compact<'_>) -> Result<(), TokenFault> {
        let key = self.choose(token.key_id.as_deref(), token.algorithm)?;
        if key.has_signed(token.signed, token.signature) { Ok(()) } else { Err(TokenFault::Signature) }
    }

    fn choose(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, TokenFault> {
        let Some(id) = id else {
            // Without an id, only where there is nothing to choose.
            let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only),
                (None, _) | (Some(_), Some(_)) => Err(TokenFault::UnknownKey),
            };
        };
        let mut named = self.0.iter().filter(|key| key.id.as_deref() == Some(id)).peekable();
        if named.peek().is_none() {
            return Err(TokenFault::UnknownKey);
        }
        named.find(|key| key.algorithm == algorithm).ok_or(TokenFault::KeyAlgorithm)
    }
}

impl Key {
    /// Whether `signature`, in base64url, is its signature of `signed`.
    pub(in crate::identity) fn has_signed(&self, signed: &str, signature: &str) -> bool {
        verify(signature, signed.as_bytes(), &self.public, self.algorithm.jws()).is_ok_and(|good| good)
    }

    /// The public key in `jwk`, if it can verify by one of `algorithms` and nothing in it is private.
    pub(in crate::identity) fn parse(jwk: &Map<String, Value>, algorithms: &[Algorithm]) -> Option<Self> {
        // A private or symmetric key that somebody published is nobody's secret any more.
        if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) || !is_for_verifying(jwk) {
            return None;
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let said = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => Some(Algorithm::parse(name)?),
            Some(_) => return None,
        };
        let (algorithm, public) = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => (Algorithm::Es256, ec(jwk, P256_BYTES)?),
            ("EC", Some("P-384")) => (Algorithm::Es384, ec(jwk, P384_BYTES)?),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, ed25519(jwk)?),
            ("RSA", _) => {
                // An RSA key alone does not say which algorithm is its one: it says, or the issuer's settings do.
                let algorithm = said.or_else(|| algorithms.iter().copied().find(|a| a.is_rsa()))?;
                (algorithm.is_rsa().then_some(algorithm)?, rsa(jwk)?)
            }
            // RFC 8725 section 3.2: `oct` and everything else is no public key we know.
            _ => return None,
        };
        // RFC 7517 section 4.4: the key's own word on its algorithm holds; and so does the issuer's allow-list.
        let fits = said.is_none_or(|said| said == algorithm) && algorithms.contains(&algorithm);
        let id = match jwk.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return None,
        };
        fits.then_some(Self { id, algorithm, public })
    }
}

/// RFC 7517 sections 4.2 and 4.3: what is said about a key's use must allow verifying.
fn is_for_verifying(jwk: &Map<String, Value>) -> bool {
    let by_use = jwk.get("use").is_none_or(|usage| usage == "sig");
    let by_operations = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|operation| operation == "verify"))
    });
    by_use && by_operations
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()
}

/// RFC 7518 section 6.2.1: both coordinates in the full length of the curve, as SEC 1 writes a point.
fn ec(jwk: &Map<String, Value>, length: usize) -> Option<DecodingKey> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    let full = x.len() == length && y.len() == length;
    full.then(|| DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

/// RFC 8037 section 2.
fn ed25519(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let x = bytes(jwk, "x")?;
    (x.len() == ED25519_BYTES).then(|| DecodingKey::from_ed_der(&x))
}

/// RFC 7518 sections 3.3 and 3.5: 2048 bits or more.
fn rsa(jwk: &Map<String, Value>) -> Option<DecodingKey> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    let bits = n.len().checked_mul(8)?.checked_sub(usize::try_from(n.first()?.leading_zeros()).ok()?)?;
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    // NIST SP 800-56B section 6.2: 65537 is the least exponent; four bytes are the most that verifiers take.
    let exponent =
        e.iter().try_fold(0_u32, |sum, byte| sum.checked_mul(256)?.checked_add(u32::from(*byte)))?;
    let good = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) && is_odd(n) && is_odd(e) && exponent >= 65_537;
    good.then(|| DecodingKey::from_rsa_raw_components(n, e))
}

/// RFC 7518 section 6.3.1.1: some write the sign's zero; the number is the same.
fn without_zeros(number: &[u8]) -> &[u8] {
    let mut rest = number;
    while let [0, tail @ ..] = rest {
        rest = tail;
    }
    rest
}

/// RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1: members that only private and symmetric keys have.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Issuers publish two or three; this bounds what one that went mad can make us keep.
const KEYS_MAX: usize = 64;
const P256_BYTES: usize = 32;
const P384_BYTES: usize = 48;
const ED25519_BYTES: usize = 32;
const RSA_BITS_MIN: usize = 2048;
/// The most the verifier takes.
const RSA_BITS_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::token::testing::{Signer, b64, jwks};
    use proptest::prelude::*;
    use serde_json::json;

    const ALL: [Algorithm; 9] = [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
    ];

    fn check(name: &str, jwk: Value, expected: Option<Algorithm>) {
        let read = Key::parse(jwk.as_object().unwrap(), &ALL).map(|key| key.algorithm);
        assert_eq!(read, expected, "{name}");
    }

    #[test]
    fn a_key_has_the_one_algorithm_it_says_or_is_made_for() {
        let (ec, ed, rsa) = (Signer::new("k", "ES256"), Signer::new("k", "EdDSA"), Signer::new("k", "RS384"));
        let no_alg = || json!({"alg": null});
        check("P-256", ec.jwk(), Some(Algorithm::Es256));
        check("P-256 without alg", ec.jwk_with(no_alg()), Some(Algorithm::Es256));
        check("P-384 without alg", Signer::new("k", "ES384").jwk_with(no_alg()), Some(Algorithm::Es384));
        check("Ed25519 without alg", ed.jwk_with(no_alg()), Some(Algorithm::EdDsa));
        check("Ed25519 by its new name", ed.jwk_with(json!({"alg": "Ed25519"})), Some(Algorithm::EdDsa));
        check("RSA", rsa.jwk(), Some(Algorithm::Rs384));
        check("RSA without alg: the settings' first", rsa.jwk_with(no_alg()), Some(Algorithm::Ps256));
        check("without kid", ec.jwk_with(json!({"kid": null})), Some(Algorithm::Es256));
    }

    #[test]
    fn a_key_that_may_not_or_cannot_verify_is_passed_over() {
        let (ec, ed, rsa) = (Signer::new("k", "ES256"), Signer::new("k", "EdDSA"), Signer::new("k", "RS256"));
        let n_of = |bytes: usize, first: u8| {
            let mut n = vec![0xff; bytes];
            n[0] = first;
            json!({"n": b64(n)})
        };
        for (name, jwk) in [
            ("for encryption", ec.jwk_with(json!({"use": "enc"}))),
            ("for an unknown use", ec.jwk_with(json!({"use": ["sig"]}))),
            ("for signing only", ec.jwk_with(json!({"key_ops": ["sign"]}))),
            ("for nothing", ec.jwk_with(json!({"key_ops": []}))),
            ("operations of the wrong form", ec.jwk_with(json!({"key_ops": "verify"}))),
            ("another curve's alg", ec.jwk_with(json!({"alg": "ES384"}))),
            ("another family's alg", ec.jwk_with(json!({"alg": "RS256"}))),
            ("a symmetric alg", rsa.jwk_with(json!({"alg": "HS256"}))),
            ("alg none", ec.jwk_with(json!({"alg": "none"}))),
            ("an alg for encryption", rsa.jwk_with(json!({"alg": "RSA-OAEP"}))),
            ("an alg of the wrong form", ec.jwk_with(json!({"alg": 1}))),
            ("another curve's name", ec.jwk_with(json!({"crv": "P-384", "alg": null}))),
            ("secp256k1", ec.jwk_with(json!({"crv": "secp256k1", "alg": null}))),
            ("P-521", ec.jwk_with(json!({"crv": "P-521", "alg": null}))),
            ("X25519", ed.jwk_with(json!({"crv": "X25519", "alg": null}))),
            ("Ed448", ed.jwk_with(json!({"crv": "Ed448"}))),
            ("a short coordinate", ec.jwk_with(json!({"x": b64([1; 31])}))),
            ("a long coordinate", ec.jwk_with(json!({"y": b64([1; 33])}))),
            ("no coordinate", ec.jwk_with(json!({"y": null}))),
            ("padding", ec.jwk_with(json!({"x": format!("{}=", b64([1; 32]))}))),
            ("a short Ed25519 key", ed.jwk_with(json!({"x": b64([1; 31])}))),
            ("RSA of 1024 bits", rsa.jwk_with(n_of(128, 0xff))),
            ("RSA of 2047 bits", rsa.jwk_with(n_of(256, 0x7f))),
            ("RSA of 8200 bits", rsa.jwk_with(n_of(1025, 0xff))),
            (
                "RSA of 1024 bits behind zeros",
                rsa.jwk_with(json!({"n": b64([[0; 128], [0xff; 128]].concat())})),
            ),
            ("an even modulus", rsa.jwk_with(json!({"n": b64([0xfe; 256])}))),
            ("an exponent of 1", rsa.jwk_with(json!({"e": b64([1])}))),
            ("an exponent of 3", rsa.jwk_with(json!({"e": b64([3])}))),
            ("an even exponent", rsa.jwk_with(json!({"e": b64([1, 0, 0])}))),
            ("a huge exponent", rsa.jwk_with(json!({"e": b64([1; 5])}))),
            ("no modulus", rsa.jwk_with(json!({"n": ""}))),
            ("a private key", ec.jwk_with(json!({"d": b64([1; 32])}))),
            ("a private RSA key", rsa.jwk_with(json!({"p": "AQ"}))),
            ("a symmetric key", json!({"kty": "oct", "k": b64([1; 32]), "alg": "HS256", "kid": "k"})),
            ("a symmetric key in disguise", ec.jwk_with(json!({"k": b64([1; 32])}))),
            ("no kty", ec.jwk_with(json!({"kty": null}))),
            ("an unknown kty", ec.jwk_with(json!({"kty": "AKP"}))),
            ("kty in other case", ec.jwk_with(json!({"kty": "ec"}))),
            ("a kid of the wrong form", ec.jwk_with(json!({"kid": 7}))),
        ] {
            check(name, jwk, None);
        }
    }

    #[test]
    fn an_algorithm_that_the_issuer_does_not_use_makes_no_key() {
        let (ec, rsa) = (Signer::new("e", "ES256"), Signer::new("r", "RS256"));
        let parse = |keys: &[Value], algorithms| {
            KeySet::parse(jwks(keys).as_bytes(), algorithms).map(|set| set.len())
        };
        assert_eq!(parse(&[ec.jwk(), rsa.jwk()], &[Algorithm::Es256]), Ok(1));
        assert_eq!(parse(&[rsa.jwk()], &[Algorithm::Es256]), Err(KeySetFault::NoUsableKey));
        assert_eq!(parse(&[rsa.jwk()], &[Algorithm::Ps256]), Err(KeySetFault::NoUsableKey));
        assert_eq!(
            parse(&[rsa.jwk_with(json!({"alg": null}))], &[Algorithm::Es256]),
            Err(KeySetFault::NoUsableKey)
        );
    }

    #[test]
    fn one_kid_may_name_keys_of_different_algorithms_only() {
        let (ec, rsa) = (Signer::new("k", "ES256"), Signer::new("k", "RS256"));
        let set = KeySet::parse(jwks(&[ec.jwk(), rsa.jwk()]).as_bytes(), &ALL).unwrap();
        for (id, algorithm, expected) in [
            (Some("k"), Algorithm::Es256, Ok(Algorithm::Es256)),
            (Some("k"), Algorithm::Rs256, Ok(Algorithm::Rs256)),
            (Some("k"), Algorithm::Ps256, Err(TokenFault::KeyAlgorithm)),
            (Some("K"), Algorithm::Es256, Err(TokenFault::UnknownKey)),
            (Some(""), Algorithm::Es256, Err(TokenFault::UnknownKey)),
            (None, Algorithm::Es256, Ok(Algorithm::Es256)),
            (None, Algorithm::EdDsa, Err(TokenFault::UnknownKey)),
        ] {
            assert_eq!(set.choose(id, algorithm).map(|key| key.algorithm), expected, "{id:?} {algorithm:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_set_or_refused(text in r#"(\{"keys":\[)?\PC{0,80}(\]\})?"#) {
            let _read_or_refused = KeySet::parse(text.as_bytes(), &ALL).map(|set| set.len());
        }

        #[test]
        fn any_key_is_read_or_passed_over(
            kty in "EC|OKP|RSA|oct|x", crv in "P-256|P-384|Ed25519|x",
            x in "[A-Za-z0-9_=-]{0,70}", n in "[A-Za-z0-9_-]{0,400}", e in "[A-Za-z0-9_-]{0,8}",
        ) {
            let jwk = json!({"kty": kty, "crv": crv, "x": x, "y": x, "n": n, "e": e});
            let _read_or_not = Key::parse(jwk.as_object().unwrap(), &ALL).map(|key| key.algorithm);
        }
    }
}
