//! Which names does a client's certificate prove?
//!
//! Parsed once for each connection from the leaf whose chain TLS has already verified. Names come from the
//! subject alternative names only, never from the common name. It does not know who has which name.

mod name;

use std::fmt;

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::token::sha256;
pub use name::{DnsName, SpiffeId, is_trust_domain};

/// What a verified client certificate says about who holds its key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    dns: Vec<DnsName>,
    uris: Vec<String>,
    spiffe: Option<SpiffeId>,
    sha256: [u8; 32],
    sha256_hex: String,
    key_sha256: [u8; 32],
    not_after: Timestamp,
    serial: String,
}

/// A certificate whose chain is good and that is nobody's: enough to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableCertificate {
    /// Its fingerprint in lower-case hexadecimal.
    pub sha256: String,
    /// What is wrong with it.
    pub fault: CertificateFault,
}

/// A certificate that cannot prove any name, although its chain is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not one DER certificate, or its names cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// SPIFFE X.509-SVID section 2: an SVID has exactly one URI name.
    #[error("the certificate has a spiffe id beside other uri names")]
    SeveralUris,
    /// A `spiffe:` name that is not the SPIFFE ID of a workload.
    #[error("the certificate has a spiffe id of the wrong form")]
    SpiffeForm,
    /// SPIFFE X.509-SVID section 5.2: who may sign certificates is no workload.
    #[error("the certificate has a spiffe id and may sign certificates")]
    SpiffeAuthority,
}

impl CertificateFault {
    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "certificate-malformed",
            Self::SeveralUris => "certificate-several-uris",
            Self::SpiffeForm => "certificate-spiffe-form",
            Self::SpiffeAuthority => "certificate-spiffe-authority",
        }
    }

    /// What whoever holds it can change.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Malformed => {
                "the client certificate is trusted, but it cannot be read: ask its authority for one as RFC 5280 has it"
            }
            Self::SeveralUris => {
                "the client certificate has a SPIFFE ID beside other URI names: an X.509-SVID has exactly one"
            }
            Self::SpiffeForm => {
                "the SPIFFE ID of the client certificate is not one of a workload: spiffe://trust.domain/path, the domain in \
                 lower case"
            }
            Self::SpiffeAuthority => {
                "the client certificate has a SPIFFE ID and may sign certificates: that of a workload may not"
            }
        }
    }
}

impl UnusableCertificate {
    /// What is told of a leaf that cannot be used.
    #[must_use]
    pub fn new(leaf: &[u8], fault: CertificateFault) -> Self {
        Self { sha256: hex(&sha256(leaf)), fault }
    }
}

impl ClientCertificate {
    /// Reads the leaf of a chain that TLS has verified.
    ///
    /// # Errors
    /// The certificate cannot be read, or says of itself that it is an SVID and is none.
    pub fn from_der(leaf: &[u8]) -> Result<Self, CertificateFault> {
        let Ok((rest, parsed)) = X509Certificate::from_der(leaf) else {
            return Err(CertificateFault::Malformed);
        };
        if !rest.is_empty() {
            return Err(CertificateFault::Malformed);
        }
        let mut dns = Vec::new();
        let mut uris = Vec::new();
        // RFC 6125 section 6.4.4 and RFC 9525 section 2: names are alternative names; the common name is not read.
        let Ok(names) = parsed.subject_alternative_name() else { return Err(CertificateFault::Malformed) };
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                // A wildcard, or a name with a NUL in it, is the name of nobody in particular: left out.
                GeneralName::DNSName(text) => dns.extend(DnsName::parse(text)),
                GeneralName::URI(text) => uris.push((*text).to_owned()),
                // The library's enum; what names neither a host nor a workload proves nothing here.
                _ => {}
            }
        }
        let spiffe = spiffe_id(&uris, &parsed)?;
        let Ok(not_after) = Timestamp::from_second(parsed.validity().not_after.timestamp()) else {
            return Err(CertificateFault::Malformed);
        };
        let serial = hex(parsed.raw_serial());
        let key_sha256 = sha256(parsed.public_key().raw);
        let sha256 = sha256(leaf);
        Ok(Self { dns, uris, spiffe, sha256_hex: hex(&sha256), sha256, key_sha256, not_after, serial })
    }

    /// The host names, in lower case, without wildcards.
    pub fn dns_names(&self) -> impl Iterator<Item = &DnsName> {
        self.dns.iter()
    }

    /// The URI names as they stand in the certificate.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().map(String::as_str)
    }

    /// Its first names, each with its sort, to be shown to its owner and in the audit log.
    #[must_use]
    pub fn names_shown(&self) -> Vec<String> {
        let dns = self.dns.iter().map(|name| format!("dns:{name}"));
        let uris = self.uris.iter().map(|uri| {
            let printable = uri.len() <= NAME_BYTES_MAX && uri.bytes().all(|byte| byte.is_ascii_graphic());
            if printable { format!("uri:{uri}") } else { "uri:(unprintable)".to_owned() }
        });
        dns.chain(uris).take(NAMES_MAX).collect()
    }

    /// The SPIFFE ID, if this is an X.509-SVID.
    #[must_use]
    pub const fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.spiffe.as_ref()
    }

    /// SHA-256 of the whole certificate: what `cnf.x5t#S256` of a bound token is compared with.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// SHA-256 of its public key, as it stands in the certificate (`SubjectPublicKeyInfo`): stays the same when
    /// a certificate is renewed for the same key.
    #[must_use]
    pub const fn key_sha256(&self) -> &[u8; 32] {
        &self.key_sha256
    }

    /// The fingerprint in lower-case hexadecimal, as the audit log shows it.
    #[must_use]
    pub fn sha256_hex(&self) -> &str {
        &self.sha256_hex
    }

    /// The last moment at which it proves anything.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The serial number its issuer gave it, in lower-case hexadecimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }
}

// A certificate of a person may name her: only the fingerprint is shown.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("sha256", &self.sha256_hex()).finish_non_exhaustive()
    }
}

/// What a certificate says of itself as an X.509-SVID, before anything of it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpiffeClaim {
    /// It is no SVID.
    None,
    /// It is one that breaks the rules, or cannot be read.
    Broken,
    /// It is that of this workload.
    Of(SpiffeId),
}

/// Whose SVID a certificate says that it is.
#[must_use]
pub fn spiffe_claim(leaf: &[u8]) -> SpiffeClaim {
    match ClientCertificate::from_der(leaf) {
        Ok(ClientCertificate { spiffe: Some(id), .. }) => SpiffeClaim::Of(id),
        Ok(_) => SpiffeClaim::None,
        Err(_) => SpiffeClaim::Broken,
    }
}

fn spiffe_id(
    uris: &[String],
    certificate: &X509Certificate<'_>,
) -> Result<Option<SpiffeId>, CertificateFault> {
    let scheme =
        |uri: &String| uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("spiffe"));
    if !uris.iter().any(scheme) {
        return Ok(None);
    }
    // SPIFFE X.509-SVID section 2: more than one URI name makes an SVID invalid.
    let [only] = uris else { return Err(CertificateFault::SeveralUris) };
    let id = SpiffeId::parse(only).ok_or(CertificateFault::SpiffeForm)?;
    // SPIFFE X.509-SVID section 5.2: a leaf is no authority and signs neither certificates nor lists.
    let Ok(usage) = certificate.key_usage() else { return Err(CertificateFault::Malformed) };
    let signs = usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if signs || certificate.is_ca() { Err(CertificateFault::SpiffeAuthority) } else { Ok(Some(id)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// More names than anybody compares by eye.
const NAMES_MAX: usize = 8;
/// As long as a host name.
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
    };
    use ring::digest::{SHA256, digest};

    fn der(names: &[SanType]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "common.example");
        params.subject_alt_names = names.to_vec();
        params.not_after = date_time_ymd(2027, 1, 1);
        params.serial_number = Some(vec![0x0a, 0xff].into());
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(name.try_into().unwrap())
    }

    #[test]
    fn names_come_from_the_alternative_names_and_never_from_the_common_name() {
        let read =
            ClientCertificate::from_der(&der(&[dns("Client.ACME.example"), dns("b.example")])).unwrap();
        let names: Vec<&str> = read.dns_names().map(DnsName::as_str).collect();
        assert_eq!(names, ["client.acme.example", "b.example"]);
        assert_eq!(ClientCertificate::from_der(&der(&[])).unwrap().dns_names().count(), 0);
    }

    #[test]
    fn a_wildcard_or_an_address_proves_no_name() {
        let names = [dns("*.acme.example"), SanType::IpAddress([127, 0, 0, 1].into())];
        let read = ClientCertificate::from_der(&der(&names)).unwrap();
        assert_eq!((read.dns_names().count(), read.uris().count()), (0, 0));
    }

    #[test]
    fn fingerprint_serial_and_end_are_those_of_the_certificate() {
        let der = der(&[dns("a.example")]);
        let read = ClientCertificate::from_der(&der).unwrap();
        assert_eq!(read.sha256().as_slice(), digest(&SHA256, &der).as_ref());
        assert_eq!(read.sha256_hex().len(), 64);
        assert_eq!(read.serial(), "0aff");
        assert_eq!(read.not_after().to_string(), "2027-01-01T00:00:00Z");
        assert!(!format!("{read:?}").contains("a.example"));
    }

    #[test]
    fn an_svid_has_exactly_one_uri_name() {
        let id = "spiffe://retailer.example/warehouse";
        let read = ClientCertificate::from_der(&der(&[uri(id), dns("w.example")])).unwrap();
        assert_eq!(read.spiffe_id().map(SpiffeId::as_str), Some(id));
        for (names, fault) in [
            (vec![uri(id), uri("https://a.example")], CertificateFault::SeveralUris),
            (vec![uri(id), uri("spiffe://retailer.example/other")], CertificateFault::SeveralUris),
            (vec![uri("https://a.example"), uri("SPIFFE://b/c")], CertificateFault::SeveralUris),
            (vec![uri("spiffe://retailer.example")], CertificateFault::SpiffeForm),
            (vec![uri("SPIFFE://retailer.example/a")], CertificateFault::SpiffeForm),
            (vec![uri("spiffe://retailer.example/a/../b")], CertificateFault::SpiffeForm),
        ] {
            assert_eq!(ClientCertificate::from_der(&der(&names)), Err(fault), "{names:?}");
        }
    }

    #[test]
    fn an_svid_is_no_authority() {
        let sign = |ca, usages: &[KeyUsagePurpose]| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![uri("spiffe://retailer.example/warehouse")];
            params.is_ca = ca;
            params.key_usages = usages.to_vec();
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
        };
        let fault = Err(CertificateFault::SpiffeAuthority);
        let authority = IsCa::Ca(BasicConstraints::Unconstrained);
        for (der, expected) in [
            (sign(IsCa::NoCa, &[KeyUsagePurpose::DigitalSignature]), Ok(())),
            (sign(IsCa::NoCa, &[]), Ok(())),
            (sign(authority, &[KeyUsagePurpose::DigitalSignature]), fault),
            (sign(IsCa::NoCa, &[KeyUsagePurpose::KeyCertSign]), fault),
            (sign(IsCa::NoCa, &[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign]), fault),
        ] {
            assert_eq!(ClientCertificate::from_der(&der).map(drop), expected);
            let claim = spiffe_claim(&der);
            assert_eq!(matches!(claim, SpiffeClaim::Of(_)), expected.is_ok(), "{claim:?}");
        }
        assert_eq!(spiffe_claim(&der(&[dns("a.example")])), SpiffeClaim::None);
        assert_eq!(spiffe_claim(b"x"), SpiffeClaim::Broken);
    }

    #[test]
    fn the_key_is_the_same_in_a_renewed_certificate() {
        let key = KeyPair::generate().unwrap();
        let sign = |name: &str| {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            ClientCertificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
        };
        let (one, two) = (sign("a.example"), sign("b.example"));
        assert_eq!(one.key_sha256(), two.key_sha256());
        assert_ne!(one.sha256(), two.sha256());
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(one.key_sha256().as_slice(), digest(&SHA256, &spki).as_ref());
    }

    #[test]
    fn uri_names_of_another_scheme_may_be_several() {
        let names = [uri("https://a.example"), uri("urn:b")];
        let read = ClientCertificate::from_der(&der(&names)).unwrap();
        assert_eq!(read.uris().collect::<Vec<_>>(), ["https://a.example", "urn:b"]);
        assert_eq!(read.spiffe_id(), None);
    }

    #[test]
    fn bytes_that_are_not_one_certificate_are_refused() {
        let good = der(&[dns("a.example")]);
        let longer = [&good[..], b"x"].concat();
        for bytes in [&b""[..], b"x", &good[..good.len() - 1], &longer] {
            assert_eq!(ClientCertificate::from_der(bytes), Err(CertificateFault::Malformed));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_changed_byte_is_never_more_than_a_refusal(at in 0_usize..300, to in any::<u8>()) {
            let mut der = der(&[uri("spiffe://retailer.example/warehouse")]);
            if let Some(byte) = der.get_mut(at) {
                *byte = to;
            }
            let _kept_or_refused = ClientCertificate::from_der(&der).map_err(CertificateFault::reason);
        }
    }
}
