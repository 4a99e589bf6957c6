//! How does the gateway sign that it is who it says (`private_key_jwt`, RFC 7523 section 2.2)?

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use zeroize::Zeroizing;

use super::fault::OauthFault;

/// `client_assertion_type` of RFC 7523 section 2.2.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion that we are `client`, for `audience` and for a minute.
pub(super) fn assertion(
    client: &str,
    audience: &str,
    key_pem: &[u8],
    key_id: Option<&str>,
    now: Timestamp,
) -> Result<Zeroizing<String>, OauthFault> {
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).or(Err(OauthFault::NoSecret))?;
    let issued = now.as_second();
    // RFC 7523 section 3: issuer and subject are the client; the id makes it good once.
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": URL_SAFE_NO_PAD.encode(id),
        "iat": issued,
        "exp": issued.saturating_add(LIFE_SECONDS),
    });
    // One key, one algorithm: the one its kind is made for.
    let kinds: [(ReadKey, &[Algorithm]); 3] = [
        (EncodingKey::from_ec_pem, &[Algorithm::ES256, Algorithm::ES384]),
        (EncodingKey::from_ed_pem, &[Algorithm::EdDSA]),
        (EncodingKey::from_rsa_pem, &[Algorithm::RS256]),
    ];
    let signed = kinds.into_iter().find_map(|(read, algorithms)| {
        let key = read(key_pem).ok()?;
        algorithms.iter().find_map(|algorithm| {
            let mut header = Header::new(*algorithm);
            header.kid = key_id.map(str::to_owned);
            encode(&header, &claims, &key).ok()
        })
    });
    signed.map(Zeroizing::new).ok_or(OauthFault::NoSecret)
}

type ReadKey = fn(&[u8]) -> Result<EncodingKey, jsonwebtoken::errors::Error>;

/// Longer than a request takes with clocks a little apart, too short to be of use to a thief.
const LIFE_SECONDS: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::Value;

    fn made(algorithm: &'static rcgen::SignatureAlgorithm) -> rcgen::KeyPair {
        rcgen::KeyPair::generate_for(algorithm).unwrap()
    }

    #[test]
    fn the_kind_of_the_key_is_its_algorithm() {
        let now = Timestamp::now();
        for (pair, algorithm) in [
            (made(&rcgen::PKCS_ECDSA_P256_SHA256), Algorithm::ES256),
            (made(&rcgen::PKCS_ECDSA_P384_SHA384), Algorithm::ES384),
            (made(&rcgen::PKCS_ED25519), Algorithm::EdDSA),
        ] {
            let pem = pair.serialize_pem();
            let signed = assertion("us", "https://as.example", pem.as_bytes(), Some("k1"), now).unwrap();
            let header = decode_header(&*signed).unwrap();
            assert_eq!((header.alg, header.kid.as_deref()), (algorithm, Some("k1")));
            let public = match algorithm {
                Algorithm::EdDSA => DecodingKey::from_ed_pem(pair.public_key_pem().as_bytes()).unwrap(),
                _ => DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes()).unwrap(),
            };
            let mut wanted = Validation::new(algorithm);
            wanted.set_audience(&["https://as.example"]);
            wanted.set_issuer(&["us"]);
            wanted.sub = Some("us".to_owned());
            let claims = decode::<Value>(&*signed, &public, &wanted).unwrap().claims;
            assert_eq!(claims["exp"].as_i64(), Some(now.as_second() + 60));
            let again = assertion("us", "https://as.example", pem.as_bytes(), None, now).unwrap();
            let again = decode::<Value>(&*again, &public, &wanted).unwrap().claims;
            assert_ne!(claims["jti"], again["jti"], "each is good once");
        }
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        let certificate = rcgen::generate_simple_self_signed(["us.example".to_owned()]).unwrap().cert.pem();
        for pem in
            ["", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &certificate]
        {
            let signed = assertion("us", "them", pem.as_bytes(), None, Timestamp::now());
            assert_eq!(signed.err(), Some(OauthFault::NoSecret), "{pem}");
        }
    }
}
