//! Is this a proof that the holder of a key made for this very request? RFC 9449 sections 4.2 and 4.3.
//!
//! What a proof says of itself is compared with what the gateway knows of the request by itself: the method,
//! the path as received, and the origin as the listener serves it, never as an attacker relays it. Whether it
//! was used before is not known here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::fault::ProofFault;
use crate::identity::origin::Origin;
use crate::identity::token::{Algorithm, Digest, JwsParts, Key, instant, sha256};

/// A proof whose signature is good and which is for one request; whether it is of now is asked next.
#[derive(Debug)]
pub(super) struct Proof {
    /// The key that made it (RFC 7638).
    pub(super) thumbprint: Digest,
    /// What tells it from others of its key.
    pub(super) id: String,
    pub(super) issued: Timestamp,
    pub(super) nonce: Option<String>,
}

/// The request that a proof must be for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Where it was sent; nothing if that is no place that is served.
    pub(super) origin: Option<&'a Origin>,
    /// The path as it was received.
    pub(super) path: &'a str,
    pub(super) token: &'a str,
}

impl Proof {
    /// Reads a proof for `request`, signed by one of `algorithms`.
    pub(super) fn read(
        text: &str,
        algorithms: &[Algorithm],
        request: Request<'_>,
    ) -> Result<Self, ProofFault> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofFault::Malformed);
        }
        let parts = JwsParts::of(text).ok_or(ProofFault::Malformed)?;
        let (key, thumbprint) = key(&parts.header, algorithms)?;
        if !parts.has_a_signature() {
            return Err(ProofFault::Malformed);
        }
        if !key.has_signed(parts.signed, parts.signature) {
            return Err(ProofFault::Signature);
        }
        let claims = parts.claims;
        let id = text_of(&claims, "jti")?;
        if !(1..=ID_BYTES_MAX).contains(&id.len()) {
            return Err(ProofFault::Claim("jti"));
        }
        let issued = instant(&claims, "iat").ok().flatten().ok_or(ProofFault::Claim("iat"))?;
        is_for(&claims, request)?;
        let nonce = match claims.get("nonce") {
            None => None,
            Some(Value::String(nonce)) => Some(nonce.clone()),
            Some(_) => return Err(ProofFault::NonceStale),
        };
        Ok(Self { thumbprint, id: id.to_owned(), issued, nonce })
    }
}

/// The key of a proof, good for the algorithm it names, and its thumbprint.
fn key(header: &Map<String, Value>, algorithms: &[Algorithm]) -> Result<(Key, Digest), ProofFault> {
    // RFC 9449 section 4.3, 4: the type tells a proof from every other JWT the key may have signed.
    match header.get("typ") {
        Some(Value::String(typ)) if is_proof(typ) => {}
        Some(_) | None => return Err(ProofFault::Type),
    }
    if NEVER.iter().any(|name| header.contains_key(*name)) {
        return Err(ProofFault::Header);
    }
    // RFC 9449 section 4.3, 5: asymmetric, and on the list; `none` and HMAC have no name here.
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm =
        algorithm.filter(|algorithm| algorithms.contains(algorithm)).ok_or(ProofFault::Algorithm)?;
    // RFC 9449 section 4.3, 7: a public key, nothing private in it; strong, as keys of issuers must be.
    let jwk = header.get("jwk").and_then(Value::as_object).ok_or(ProofFault::Key)?;
    let key = Key::parse(jwk, &[algorithm]).ok_or(ProofFault::Key)?;
    Ok((key, thumbprint(jwk).ok_or(ProofFault::Key)?))
}

/// RFC 7515 section 4.1.9: a media type, so without case, `application/` left out or not.
fn is_proof(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("dpop+jwt") || typ.eq_ignore_ascii_case("application/dpop+jwt")
}

/// RFC 7638 section 3: the members a key must have, in the order of their names, without white space. Their
/// values are base64url and fixed words, in which nothing has to be escaped.
fn thumbprint(jwk: &Map<String, Value>) -> Option<Digest> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let json = match text("kty")? {
        "EC" => {
            format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, text("crv")?, text("x")?, text("y")?)
        }
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, text("crv")?, text("x")?),
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?),
        _ => return None,
    };
    Some(sha256(json.as_bytes()))
}

/// RFC 9449 section 4.3, 8, 9 and 12.
fn is_for(claims: &Map<String, Value>, request: Request<'_>) -> Result<(), ProofFault> {
    // RFC 9110 section 9.1: methods have case.
    if text_of(claims, "htm")? != request.method {
        return Err(ProofFault::Method);
    }
    // The URL is the one the server knows itself by: whoever sits in between and sends its own Host on would
    // otherwise get proofs accepted that were made for it.
    let origin = request.origin.ok_or(ProofFault::Host)?;
    let path = if request.path.is_empty() { "/" } else { request.path };
    let (made_for, at) = Origin::of_url(text_of(claims, "htu")?).ok_or(ProofFault::Url)?;
    if made_for != *origin || at != path {
        return Err(ProofFault::Url);
    }
    let hash = URL_SAFE_NO_PAD.decode(text_of(claims, "ath")?).unwrap_or_default();
    if bool::from(hash.ct_eq(&sha256(request.token.as_bytes()))) { Ok(()) } else { Err(ProofFault::Token) }
}

fn text_of<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, ProofFault> {
    claims.get(name).and_then(Value::as_str).ok_or(ProofFault::Claim(name))
}

/// Header parameters that end the reading: of `crit` nothing is understood here, and the others bring another
/// key than `jwk` or change what was signed.
const NEVER: [&str; 6] = ["crit", "jku", "x5u", "x5c", "b64", "zip"];
/// An RSA key of 4096 bits, its signature and a long URL, with room.
const PROOF_BYTES_MAX: usize = 8 * 1024;
/// RFC 9449 section 4.2 asks for 96 bits at least; a UUID has 36 characters.
const ID_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::token::testing::{NOW, Signer, b64};
    use proptest::prelude::*;
    use serde_json::json;

    const TOKEN: &str = "a.b.c";
    const ALL: [Algorithm; 4] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Es384];

    fn origin() -> Origin {
        Origin::parse("https://api.example").unwrap()
    }

    fn merged(mut into: Value, changes: Value) -> String {
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                into.as_object_mut().unwrap().remove(name);
            } else {
                into[name.as_str()] = value.clone();
            }
        }
        into.to_string()
    }

    /// A proof with changes to its header and claims; null takes a member out.
    fn proof(signer: &Signer, header: Value, claims: Value) -> String {
        let jwk = signer.jwk_with(json!({"kid": null, "use": null}));
        let good_header = json!({"typ": "dpop+jwt", "alg": jwk["alg"], "jwk": jwk});
        let good_claims = json!({
            "jti": "p1", "htm": "GET", "htu": "https://api.example/stock", "iat": NOW,
            "ath": b64(sha256(TOKEN.as_bytes())),
        });
        signer.sign(&merged(good_header, header), &merged(good_claims, claims))
    }

    fn read(text: &str) -> Result<Proof, ProofFault> {
        let origin = origin();
        let request = Request { method: "GET", origin: Some(&origin), path: "/stock", token: TOKEN };
        Proof::read(text, &ALL, request)
    }

    #[test]
    fn a_proof_of_every_kind_of_key_is_read() {
        for alg in ["ES256", "ES384", "EdDSA", "PS256"] {
            let signer = Signer::new("k", alg);
            let read = read(&proof(&signer, json!({}), json!({"nonce": "n"}))).unwrap();
            assert_eq!((read.id.as_str(), read.nonce.as_deref()), ("p1", Some("n")), "{alg}");
            assert_eq!(read.issued.as_second(), NOW);
        }
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // Section 3.1 of the RFC.
        let jwk = json!({
            "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        });
        let made = thumbprint(jwk.as_object().unwrap()).map(b64);
        assert_eq!(made.as_deref(), Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"));
    }

    #[test]
    fn a_header_that_is_not_a_proofs_is_refused() {
        let (ec, rsa) = (Signer::new("k", "ES256"), Signer::new("k", "PS256"));
        let private = ec.jwk_with(json!({"d": b64([1; 32])}));
        let other = Signer::new("k", "ES256").jwk();
        for (signer, header, fault) in [
            (&ec, json!({"typ": null}), ProofFault::Type),
            (&ec, json!({"typ": "jwt"}), ProofFault::Type),
            (&ec, json!({"typ": "at+jwt"}), ProofFault::Type),
            (&ec, json!({"typ": ["dpop+jwt"]}), ProofFault::Type),
            (&ec, json!({"crit": ["exp"]}), ProofFault::Header),
            (&ec, json!({"jku": "https://evil.example"}), ProofFault::Header),
            (&ec, json!({"b64": false}), ProofFault::Header),
            (&ec, json!({"alg": "none"}), ProofFault::Algorithm),
            (&ec, json!({"alg": "HS256"}), ProofFault::Algorithm),
            (&ec, json!({"alg": null}), ProofFault::Algorithm),
            (&rsa, json!({"alg": "RS256"}), ProofFault::Algorithm),
            (&ec, json!({"alg": "ES384"}), ProofFault::Key),
            (&ec, json!({"jwk": null}), ProofFault::Key),
            (&ec, json!({"jwk": "x"}), ProofFault::Key),
            (&ec, json!({"jwk": private}), ProofFault::Key),
            (&ec, json!({"jwk": {"kty": "oct", "k": b64([1; 32])}}), ProofFault::Key),
            (&ec, json!({"jwk": ec.jwk_with(json!({"use": "enc"}))}), ProofFault::Key),
            (&rsa, json!({"jwk": rsa.jwk_with(json!({"n": b64([0xff; 128])}))}), ProofFault::Key),
            (&ec, json!({"jwk": other}), ProofFault::Signature),
        ] {
            assert_eq!(read(&proof(signer, header.clone(), json!({}))).unwrap_err(), fault, "{header}");
        }
    }

    #[test]
    fn claims_that_are_missing_or_for_another_request_are_refused() {
        let ec = Signer::new("k", "ES256");
        for (claims, fault) in [
            (json!({"jti": null}), ProofFault::Claim("jti")),
            (json!({"jti": ""}), ProofFault::Claim("jti")),
            (json!({"jti": 7}), ProofFault::Claim("jti")),
            (json!({"jti": "x".repeat(129)}), ProofFault::Claim("jti")),
            (json!({"iat": null}), ProofFault::Claim("iat")),
            (json!({"iat": "now"}), ProofFault::Claim("iat")),
            (json!({"htm": null}), ProofFault::Claim("htm")),
            (json!({"htm": "POST"}), ProofFault::Method),
            (json!({"htm": "get"}), ProofFault::Method),
            (json!({"htu": null}), ProofFault::Claim("htu")),
            (json!({"htu": ["https://api.example/stock"]}), ProofFault::Claim("htu")),
            (json!({"htu": "/stock"}), ProofFault::Url),
            (json!({"htu": "http://api.example/stock"}), ProofFault::Url),
            (json!({"htu": "https://evil.example/stock"}), ProofFault::Url),
            (json!({"htu": "https://api.example:8443/stock"}), ProofFault::Url),
            (json!({"htu": "https://api.example/stock/"}), ProofFault::Url),
            (json!({"htu": "https://api.example/Stock"}), ProofFault::Url),
            (json!({"htu": "https://api.example/x/../stock"}), ProofFault::Url),
            (json!({"htu": "https://api.example/st%6fck"}), ProofFault::Url),
            (json!({"htu": "https://api.example/stock?x=1"}), ProofFault::Url),
            (json!({"htu": "https://api.example/stock#x"}), ProofFault::Url),
            (json!({"htu": "https://api.example@evil.example/stock"}), ProofFault::Url),
            (json!({"ath": null}), ProofFault::Claim("ath")),
            (json!({"ath": b64(sha256(b"other"))}), ProofFault::Token),
            (json!({"ath": ""}), ProofFault::Token),
            (json!({"nonce": 7}), ProofFault::NonceStale),
        ] {
            assert_eq!(read(&proof(&ec, json!({}), claims.clone())).unwrap_err(), fault, "{claims}");
        }
        for htu in ["HTTPS://API.example/stock", "https://api.example:443/stock"] {
            assert!(read(&proof(&ec, json!({}), json!({"htu": htu}))).is_ok(), "{htu}");
        }
    }

    #[test]
    fn a_request_to_a_host_that_is_not_served_has_no_url() {
        let text = proof(&Signer::new("k", "ES256"), json!({}), json!({}));
        let request = Request { method: "GET", origin: None, path: "/stock", token: TOKEN };
        assert_eq!(Proof::read(&text, &ALL, request).unwrap_err(), ProofFault::Host);
    }

    #[test]
    fn what_is_no_jws_or_too_long_is_refused() {
        let good = proof(&Signer::new("k", "ES256"), json!({}), json!({}));
        let tampered = good.replacen('.', ".e", 1);
        for text in
            ["", "a.b.c", "..", &format!("{good}.x"), &format!("{good}="), &"a".repeat(9000), &tampered]
        {
            assert_eq!(read(text).unwrap_err(), ProofFault::Malformed, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _refused = read(&text).unwrap_err().reason();
        }

        #[test]
        fn any_header_and_claims_are_read_or_refused(header in "\\PC{0,60}", claims in "\\PC{0,60}") {
            let text = format!("{}.{}.AAAA", b64(header), b64(claims));
            let _read_or_refused = read(&text).map(|proof| proof.id);
        }
    }
}
