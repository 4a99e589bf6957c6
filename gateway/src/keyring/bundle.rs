//! Whose certificates are believed in one SPIFFE trust domain?
//!
//! A bundle is a JWK set in the form of "SPIFFE Trust Domain and Bundle", section 4, or the same authorities
//! in PEM. Authorities of one domain vouch for nobody of another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde_json::{Map, Value};
use std::time::Duration;

use super::fault::Unusable;
use super::holding::{Content, Judged, Misfit};
use super::roots::Roots;
use super::source::{Pieces, Remote};
use super::x509;
use crate::document;

/// The authorities of one trust domain.
#[derive(Debug)]
pub struct Bundle {
    roots: Roots,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

impl Bundle {
    /// The authorities.
    #[must_use]
    pub const fn roots(&self) -> &Roots {
        &self.roots
    }

    fn of_json(bytes: &[u8]) -> Result<Self, Unusable> {
        let members = document::unique::object(bytes).ok_or(Unusable::NotABundle)?;
        let keys = members.get("keys").and_then(Value::as_array).ok_or(Unusable::NotABundle)?;
        // Section 4.2.2: other uses, and none, are for others.
        let svids =
            keys.iter().filter_map(Value::as_object).filter(|key| text(key, "use") == Some("x509-svid"));
        let authorities = svids.map(authority).collect::<Result<Vec<_>, _>>()?;
        if authorities.is_empty() {
            // The specification lets a domain have none; that it has lost all of them by mistake is likelier.
            return Err(Unusable::NoCertificate);
        }
        Ok(Self {
            roots: Roots::new(authorities)?,
            sequence: members.get("spiffe_sequence").and_then(Value::as_u64),
            refresh_hint: members.get("spiffe_refresh_hint").and_then(Value::as_u64).map(Duration::from_secs),
        })
    }
}

/// Section 4.2.2: `x5c` holds exactly one certificate, the authority itself.
fn authority(key: &Map<String, Value>) -> Result<CertificateDer<'static>, Unusable> {
    let chain = key.get("x5c").and_then(Value::as_array).map(Vec::as_slice);
    let Some([Value::String(only)]) = chain else { return Err(Unusable::NotABundle) };
    let der = BASE64.decode(only).map_err(|_what_it_quotes| Unusable::NotX509)?;
    x509::parse(&der).ok_or(Unusable::NotX509)?;
    Ok(CertificateDer::from(der))
}

fn text<'a>(key: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    key.get(name)?.as_str()
}

impl Content for Bundle {
    const WHAT: &'static str = "spiffe-bundle";
    const BYTES_MAX: u64 = 1 << 20;

    fn parse(pieces: &Pieces) -> Result<Self, Misfit> {
        let bytes = pieces.first().ok_or(Unusable::NotABundle)?;
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::of_json(bytes)?);
        }
        let roots = Roots::new(x509::certificates(bytes)?)?;
        Ok(Self { roots, sequence: None, refresh_hint: None })
    }

    /// Section 4.1.1: the sequence grows with every change of a bundle.
    fn follows(&self, judged: &Judged<'_, Self>) -> Result<(), Unusable> {
        let before = judged.before.and_then(|before| before.sequence).filter(|_| judged.remote);
        match (before, self.sequence) {
            (Some(before), Some(now)) if now < before => Err(Unusable::OlderBundle),
            _ => Ok(()),
        }
    }

    fn ends(&self) -> Option<Timestamp> {
        self.roots.next_end()
    }

    /// Section 4.1.2: how often its publisher wants to be asked, within what is bearable.
    fn renew_after(&self, remote: &Remote, _: Timestamp) -> Duration {
        self.refresh_hint.map_or(remote.refresh, |hint| hint.clamp(HINT_MIN, HINT_MAX))
    }
}

/// No publisher makes the gateway ask without a pause.
const HINT_MIN: Duration = Duration::from_secs(1);
/// Nor makes it forget to ask.
const HINT_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use serde_json::json;
    use zeroize::Zeroizing;

    fn authority() -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn parse(text: &str) -> Result<Bundle, Unusable> {
        Bundle::parse(&vec![Zeroizing::new(text.as_bytes().to_vec())]).map_err(|misfit| misfit.why)
    }

    fn key(x5c: &Value) -> Value {
        json!({"kty": "EC", "use": "x509-svid", "x5c": x5c})
    }

    #[test]
    fn a_bundle_is_its_authorities_its_sequence_and_its_hint() {
        let (one, two) = (BASE64.encode(authority()), BASE64.encode(authority()));
        let set = json!({
            "keys": [key(&json!([one])), {"kty": "EC", "use": "jwt-svid", "kid": "x"}, {"kty": "EC"}, key(&json!([two]))],
            "spiffe_sequence": 7, "spiffe_refresh_hint": 300, "other": true,
        });
        let bundle = parse(&set.to_string()).unwrap();
        assert_eq!(bundle.roots().certificates().len(), 2);
        assert_eq!((bundle.sequence, bundle.refresh_hint), (Some(7), Some(Duration::from_secs(300))));
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let good = BASE64.encode(authority());
        for (text, why) in [
            ("{".to_owned(), Unusable::NotABundle),
            ("{}".to_owned(), Unusable::NotABundle),
            (r#"{"keys": [], "keys": []}"#.to_owned(), Unusable::NotABundle),
            (json!({"keys": []}).to_string(), Unusable::NoCertificate),
            (json!({"keys": [key(&json!([]))]}).to_string(), Unusable::NotABundle),
            (json!({"keys": [key(&json!([good, good]))]}).to_string(), Unusable::NotABundle),
            (json!({"keys": [key(&json!(["AAAA"]))]}).to_string(), Unusable::NotX509),
            (json!({"keys": [key(&json!(["*"]))]}).to_string(), Unusable::NotX509),
            (String::new(), Unusable::NoCertificate),
        ] {
            assert_eq!(parse(&text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn an_older_bundle_does_not_come_back_over_a_network() {
        let bundle = |sequence: Option<u64>| {
            let keys = [key(&json!([BASE64.encode(authority())]))];
            parse(&json!({"keys": keys, "spiffe_sequence": sequence}).to_string()).unwrap()
        };
        for (before, now, remote, taken) in [
            (Some(2), Some(3), true, true),
            (Some(2), Some(2), true, true),
            (Some(2), Some(1), true, false),
            (Some(2), Some(1), false, true),
            (Some(2), None, true, true),
            (None, Some(1), true, true),
        ] {
            let (before, now) = (bundle(before), bundle(now));
            let judged = Judged { before: Some(&before), signers: None, remote, now: Timestamp::UNIX_EPOCH };
            assert_eq!(now.follows(&judged).is_ok(), taken);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_bundle_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _kept_or_refused = Bundle::parse(&vec![Zeroizing::new(bytes)]).map_err(|misfit| misfit.why);
        }
    }
}
