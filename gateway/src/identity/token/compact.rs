//! Is this text a signed token at all, and what does its header say?
//!
//! Strict, and before anything else is done with it. Nothing read here is true yet: the signature has not
//! been looked at, and keys are not known here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::fault::TokenFault;
use super::json;

/// A token taken apart. Its claims are not verified.
pub(super) struct Compact<'a> {
    /// What was signed: header, dot, claims.
    pub(super) signed: &'a str,
    /// The signature in base64url.
    pub(super) signature: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) typ: Option<String>,
    pub(super) claims: Map<String, Value>,
}

/// The three parts of any compact JWS whose payload is a JSON object. Nothing in it is true yet.
pub(in crate::identity) struct Parts<'a> {
    /// What was signed: header, dot, claims.
    pub(in crate::identity) signed: &'a str,
    /// The signature in base64url.
    pub(in crate::identity) signature: &'a str,
    pub(in crate::identity) header: Map<String, Value>,
    pub(in crate::identity) claims: Map<String, Value>,
}

impl<'a> Parts<'a> {
    /// RFC 7515 section 3.1: exactly three parts, and none of them empty.
    pub(in crate::identity) fn of(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self { signed, signature, header: part(header)?, claims: part(claims)? })
    }

    /// Whether there is a signature. Decoding with its check comes later; `decode` refuses padding, white space
    /// and bits that nobody signed.
    pub(in crate::identity) fn has_a_signature(&self) -> bool {
        !self.signature.is_empty() && URL_SAFE_NO_PAD.decode(self.signature).is_ok()
    }
}

impl<'a> Compact<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let parts = Parts::of(token).ok_or(TokenFault::Malformed)?;
        refuse_dangerous(&parts.header)?;
        let algorithm = match parts.header.get("alg") {
            // RFC 8725 sections 3.1, 3.2 and RFC 9068 section 4: an allow-list without `none` and HMAC.
            Some(Value::String(name)) => Algorithm::parse(name).ok_or(TokenFault::Algorithm)?,
            Some(_) | None => return Err(TokenFault::Algorithm),
        };
        let (key_id, typ) = (text(&parts.header, "kid")?, text(&parts.header, "typ")?);
        if !parts.has_a_signature() {
            return Err(TokenFault::Malformed);
        }
        let Parts { signed, signature, claims, .. } = parts;
        Ok(Self { signed, signature, algorithm, key_id, typ, claims })
    }

    /// Who the token says has issued it. RFC 8725 section 3.8: one string, never a list.
    pub(super) fn issuer(&self) -> Result<&str, TokenFault> {
        match self.claims.get("iss") {
            Some(Value::String(issuer)) => Ok(issuer),
            Some(_) => Err(TokenFault::ClaimForm("iss")),
            None => Err(TokenFault::MissingClaim("iss")),
        }
    }
}

fn part(encoded: &str) -> Option<Map<String, Value>> {
    json::object(&URL_SAFE_NO_PAD.decode(encoded).ok()?)
}

fn refuse_dangerous(header: &Map<String, Value>) -> Result<(), TokenFault> {
    if NEVER.iter().any(|name| header.contains_key(*name)) { Err(TokenFault::Header) } else { Ok(()) }
}

fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenFault> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenFault::Malformed),
    }
}

/// Header parameters that end the reading.
///
/// RFC 8725 section 3.10: `jku` and `x5u` fetch what the token chose; `jwk` and `x5c` bring the token's own
/// key. RFC 7515 section 4.1.11: of `crit` nothing is understood here, so all of it is refused; `b64`
/// (RFC 7797) and `zip` would change what was signed.
const NEVER: [&str; 7] = ["crit", "jku", "x5u", "jwk", "x5c", "b64", "zip"];

/// Twice what a token with many groups takes; heads of requests are bounded near it anyway.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn encode(part: &str) -> String {
        URL_SAFE_NO_PAD.encode(part)
    }

    fn refused(token: &str) -> Option<TokenFault> {
        Compact::parse(token).err()
    }

    fn with_header(header: &Value) -> Option<TokenFault> {
        refused(&format!("{}.{}.AAAA", encode(&header.to_string()), encode("{}")))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let header = encode(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#);
        let token = format!("{header}.{}.AAAA", encode(r#"{"iss":"i"}"#));
        let read = Compact::parse(&token).unwrap();
        assert_eq!((read.signature, read.issuer()), ("AAAA", Ok("i")));
        assert_eq!((read.key_id.as_deref(), read.typ.as_deref()), (Some("k"), Some("at+jwt")));
        assert_eq!(format!("{}.AAAA", read.signed), token);
    }

    #[test]
    fn a_header_that_chooses_its_own_key_or_reading_is_refused() {
        for name in NEVER {
            for value in [json!("x"), json!(["b64"]), json!({}), json!(null), json!(false)] {
                let fault = with_header(&json!({"alg": "ES256", name: value}));
                assert_eq!(fault, Some(TokenFault::Header), "{name}");
            }
        }
    }

    #[test]
    fn an_algorithm_without_a_public_key_is_refused() {
        for alg in ["none", "None", "nOnE", "HS256", "HS384", "HS512", "", "es256", "A128KW", "RSA-OAEP"] {
            assert_eq!(with_header(&json!({"alg": alg})), Some(TokenFault::Algorithm), "{alg}");
        }
        assert_eq!(with_header(&json!({})), Some(TokenFault::Algorithm));
        assert_eq!(with_header(&json!({"alg": ["ES256"]})), Some(TokenFault::Algorithm));
        assert_eq!(with_header(&json!({"alg": null})), Some(TokenFault::Algorithm));
    }

    #[test]
    fn a_text_that_is_no_compact_token_is_refused() {
        let (header, claims) = (encode(r#"{"alg":"ES256"}"#), encode("{}"));
        let twice = encode(r#"{"alg":"ES256","alg":"ES256"}"#);
        let inner_twice = encode(r#"{"iss":"a","iss":"b"}"#);
        for token in [
            String::new(),
            "..".into(),
            "a.b.c".into(),
            format!("{header}.{claims}"),
            format!("{header}.{claims}."),
            format!("{header}..AAAA"),
            format!(".{claims}.AAAA"),
            format!("{header}.{claims}.AAAA.AAAA"),
            format!("{header}.{claims}.AAAA.AAAA.AAAA"),
            format!("{header}=.{claims}.AAAA"),
            format!("{header}.{claims}.AAAA="),
            format!("{header}.{claims}.AAB"),
            format!("{header}.{claims}.AA+/"),
            format!("{header}.{claims}. AAAA"),
            format!("{twice}.{claims}.AAAA"),
            format!("{header}.{inner_twice}.AAAA"),
            format!("{header}.{}.AAAA", encode("[]")),
            format!("{header}.{}.AAAA", encode(&format!("{header}.{claims}.AAAA"))),
            format!("{}.{claims}.AAAA", encode(r#"{"alg":"ES256","kid":7}"#)),
            format!("{}.{claims}.AAAA", encode(r#"{"alg":"ES256","typ":null}"#)),
        ] {
            assert_eq!(refused(&token), Some(TokenFault::Malformed), "{token}");
        }
    }

    #[test]
    fn a_long_token_is_refused_unread() {
        assert_eq!(refused(&"a".repeat(TOKEN_BYTES_MAX + 1)), Some(TokenFault::TooLong));
        assert_eq!(refused(&"a".repeat(TOKEN_BYTES_MAX)), Some(TokenFault::Malformed));
    }

    #[test]
    fn an_issuer_is_one_string() {
        for (claims, issuer) in [
            (json!({"iss": "i"}), Ok("i")),
            (json!({}), Err(TokenFault::MissingClaim("iss"))),
            (json!({"iss": ["i", "evil"]}), Err(TokenFault::ClaimForm("iss"))),
            (json!({"iss": null}), Err(TokenFault::ClaimForm("iss"))),
        ] {
            let token = format!("{}.{}.AAAA", encode(r#"{"alg":"ES256"}"#), encode(&claims.to_string()));
            assert_eq!(Compact::parse(&token).unwrap().issuer(), issuer, "{claims}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(token in "\\PC{0,200}") {
            let _read_or_refused = Compact::parse(&token).map(|read| read.claims.len());
        }

        #[test]
        fn any_header_and_claims_are_read_or_refused(header in "\\PC{0,60}", claims in "\\PC{0,60}") {
            let token = format!("{}.{}.AAAA", encode(&header), encode(&claims));
            let _read_or_refused = Compact::parse(&token).map(|read| read.claims.len());
        }
    }
}
