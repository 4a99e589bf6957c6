//! How does a certificate come from Vault? The key is made here and never leaves; Vault signs a request, and what
//! it answers is believed only as far as it fits what was asked for.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, SanType};
use vaultrs::api::pki::requests::SignCertificateRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::answer::Signed;
use super::fault::VaultFault;

/// A certificate that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateOrder {
    /// Where the PKI engine is mounted.
    pub mount: String,
    /// The role that says what may be signed.
    pub role: String,
    /// The common name, for peers that still read it.
    pub common_name: Option<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// For how long; the role's own when nothing is said.
    pub ttl: Option<Duration>,
}

/// A certificate that was issued, and its key.
pub struct Issued {
    /// PEM: the certificate, and what leads to the root, which is not in it.
    pub chain_pem: Vec<u8>,
    /// PEM (PKCS #8).
    pub key_pem: Zeroizing<Vec<u8>>,
    /// When the certificate ends, as it says itself.
    pub not_after: Timestamp,
    /// Its serial number, as Vault writes it.
    pub serial: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("not_after", &self.not_after)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// A key, and the request to sign it.
pub(super) struct Ordered {
    key: KeyPair,
    pub(super) request: SignCertificateRequest,
}

impl CertificateOrder {
    /// Makes a key of P-256, which every peer of today accepts, and the request for it.
    pub(super) fn prepare(&self) -> Result<Ordered, VaultFault> {
        let unwritable = |_fault: rcgen::Error| VaultFault::BadAnswer;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(unwritable)?;
        let mut params = CertificateParams::new(self.dns.clone()).map_err(unwritable)?;
        for uri in &self.uris {
            let uri = uri.as_str().try_into().map_err(unwritable)?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.subject_alt_names.extend(self.ips.iter().copied().map(SanType::IpAddress));
        let mut name = DistinguishedName::new();
        if let Some(common_name) = &self.common_name {
            name.push(DnType::CommonName, common_name.as_str());
        }
        params.distinguished_name = name;
        let csr = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(unwritable)?;
        let joined = |all: &[String]| (!all.is_empty()).then(|| all.join(","));
        let ips: Vec<String> = self.ips.iter().map(ToString::to_string).collect();
        let request = SignCertificateRequest {
            mount: self.mount.clone(),
            role: self.role.clone(),
            csr: Some(csr),
            common_name: self.common_name.clone(),
            alt_names: joined(&self.dns),
            uri_sans: joined(&self.uris),
            ip_sans: joined(&ips),
            ttl: self.ttl.map(|ttl| format!("{}s", ttl.as_secs())),
            format: Some("pem".to_owned()),
            exclude_cn_from_sans: Some(true),
            remove_roots_from_chain: Some(true),
            ..SignCertificateRequest::default()
        };
        Ok(Ordered { key, request })
    }

    /// Whether the certificate is for everything that was asked for.
    fn is_met_by(&self, certificate: &X509Certificate<'_>) -> bool {
        let Ok(Some(names)) = certificate.subject_alternative_name() else {
            return self.dns.is_empty() && self.uris.is_empty() && self.ips.is_empty();
        };
        let names = &names.value.general_names;
        let has = |wanted: GeneralName<'_>| names.contains(&wanted);
        self.dns.iter().all(|name| has(GeneralName::DNSName(name)))
            && self.uris.iter().all(|uri| has(GeneralName::URI(uri)))
            && self.ips.iter().all(|address| match address {
                IpAddr::V4(address) => has(GeneralName::IPAddress(&address.octets())),
                IpAddr::V6(address) => has(GeneralName::IPAddress(&address.octets())),
            })
    }
}

impl Ordered {
    /// The certificate with its key, if it is for this key and as ordered.
    pub(super) fn receive(self, order: &CertificateOrder, signed: Signed) -> Result<Issued, VaultFault> {
        let leaf = one(&signed.certificate)?;
        let certificate = parse(&leaf)?;
        let fits = certificate.public_key().raw == self.key.subject_public_key_info();
        if !fits || certificate.is_ca() || !order.is_met_by(&certificate) {
            return Err(VaultFault::BadAnswer);
        }
        let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|_no_time| VaultFault::BadAnswer)?;
        let mut given = Vec::new();
        for pem in signed.ca_chain.iter().chain(&signed.issuing_ca) {
            given.push(one(pem)?);
        }
        let mut chain_pem = encoded(&leaf);
        for authority in chain(&certificate, &given)? {
            chain_pem.push_str(&encoded(authority));
        }
        Ok(Issued {
            chain_pem: chain_pem.into_bytes(),
            key_pem: Zeroizing::new(self.key.serialize_pem().into_bytes()),
            not_after,
            serial: signed.serial_number,
        })
    }
}

/// From the issuer of the leaf towards the root, each the issuer of the one before by name and by signature; the
/// root itself, which every peer must have already, is left out.
fn chain<'a>(leaf: &X509Certificate<'_>, given: &'a [Pem]) -> Result<Vec<&'a Pem>, VaultFault> {
    let (mut chain, mut child) = (Vec::new(), leaf.clone());
    while chain.len() < CHAIN_MAX {
        let Some((pem, issuer)) = issuer_of(&child, given)? else { break };
        if issuer.subject().as_raw() == issuer.issuer().as_raw() {
            return Ok(chain); // a root
        }
        chain.push(pem);
        child = issuer;
    }
    // A leaf without the one that signed it serves nobody.
    if chain.is_empty() { Err(VaultFault::BadAnswer) } else { Ok(chain) }
}

/// The one that signed a certificate. Two of the same name are told apart by their keys.
fn issuer_of<'a>(
    child: &X509Certificate<'_>,
    given: &'a [Pem],
) -> Result<Option<(&'a Pem, X509Certificate<'a>)>, VaultFault> {
    for pem in given {
        let issuer = parse(pem)?;
        let is_named = issuer.subject().as_raw() == child.issuer().as_raw();
        if is_named && issuer.is_ca() && child.verify_signature(Some(issuer.public_key())).is_ok() {
            return Ok(Some((pem, issuer)));
        }
    }
    Ok(None)
}

/// The one certificate in a text.
fn one(pem: &str) -> Result<Pem, VaultFault> {
    let mut all = Pem::iter_from_buffer(pem.as_bytes());
    match (all.next(), all.next()) {
        (Some(Ok(pem)), None) if pem.label == "CERTIFICATE" => Ok(pem),
        _ => Err(VaultFault::BadAnswer),
    }
}

fn parse(pem: &Pem) -> Result<X509Certificate<'_>, VaultFault> {
    match X509Certificate::from_der(&pem.contents) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(VaultFault::BadAnswer),
    }
}

/// Written anew, so that nothing that stood beside it is passed on (RFC 7468 section 3).
fn encoded(pem: &Pem) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(&pem.contents);
    let mut written = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        written.push_str(line);
        written.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        written.push_str(rest);
        written.push('\n');
    }
    written.push_str("-----END CERTIFICATE-----\n");
    written
}

/// A list of revoked certificates, as PEM: exactly one, that can be read.
pub(super) fn crl(bytes: &[u8]) -> Result<Vec<u8>, VaultFault> {
    let mut all = Pem::iter_from_buffer(bytes);
    let (Some(Ok(pem)), None) = (all.next(), all.next()) else { return Err(VaultFault::BadAnswer) };
    let read = x509_parser::parse_x509_crl(&pem.contents);
    match read {
        Ok((rest, _)) if rest.is_empty() && pem.label == "X509 CRL" => Ok(bytes.to_vec()),
        _ => Err(VaultFault::BadAnswer),
    }
}

/// Leaf and a few intermediates; more is a loop.
const CHAIN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateSigningRequestParams, CertifiedIssuer, IsCa};

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn named(name: &str, is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params
    }

    fn key() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    fn root(name: &str) -> Authority {
        CertifiedIssuer::self_signed(named(name, true), key()).unwrap()
    }

    fn order() -> CertificateOrder {
        CertificateOrder {
            mount: "pki".to_owned(),
            role: "gateway".to_owned(),
            common_name: Some("gateway".to_owned()),
            dns: vec!["gateway.example".to_owned()],
            uris: vec!["spiffe://example/gateway".to_owned()],
            ips: vec!["127.0.0.1".parse().unwrap()],
            ttl: None,
        }
    }

    /// What becomes of an answer: a certificate of `by`, with what is changed in it, and a chain.
    fn receive(
        by: &Authority,
        chain: &[String],
        change: impl FnOnce(&mut CertificateSigningRequestParams),
    ) -> Result<usize, VaultFault> {
        let order = order();
        let ordered = order.prepare().unwrap();
        let mut request =
            CertificateSigningRequestParams::from_pem(ordered.request.csr.as_deref().unwrap()).unwrap();
        change(&mut request);
        let certificate = request.signed_by(by).unwrap().pem();
        let signed = Signed {
            certificate,
            ca_chain: chain.to_vec(),
            issuing_ca: None,
            serial_number: "01".to_owned(),
        };
        let issued = ordered.receive(&order, signed)?;
        Ok(std::str::from_utf8(&issued.chain_pem).unwrap().matches("BEGIN CERTIFICATE").count())
    }

    #[test]
    fn a_chain_is_put_in_order_and_has_no_root() {
        let root = root("root");
        let middle = CertifiedIssuer::signed_by(named("middle", true), key(), &root).unwrap();
        let low = CertifiedIssuer::signed_by(named("low", true), key(), &middle).unwrap();
        for chain in [
            vec![low.pem(), middle.pem(), root.pem()],
            vec![root.pem(), middle.pem(), low.pem()],
            vec![middle.pem(), low.pem()],
        ] {
            assert_eq!(receive(&low, &chain, |_| {}), Ok(3));
        }
        assert_eq!(receive(&root, &[root.pem()], |_| {}), Ok(1));
    }

    #[test]
    fn what_was_not_ordered_is_not_received() {
        let (root, other) = (root("root"), root("root"));
        let good = [root.pem()];
        let wrong = Err(VaultFault::BadAnswer);
        assert_eq!(receive(&root, &good, |_| {}), Ok(1));
        assert_eq!(receive(&root, &[], |_| {}), wrong, "without its issuer");
        assert_eq!(
            receive(&root, &[other.pem()], |_| {}),
            wrong,
            "an issuer of the same name with another key"
        );
        assert_eq!(receive(&root, &[other.pem(), root.pem()], |_| {}), Ok(1), "both of them");
        assert_eq!(receive(&root, &["no certificate".to_owned()], |_| {}), wrong);
        assert_eq!(receive(&root, &[format!("{0}{0}", root.pem())], |_| {}), wrong, "two in one");
        let params =
            |change: fn(&mut CertificateParams)| receive(&root, &good, |request| change(&mut request.params));
        assert_eq!(
            params(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            wrong,
            "an authority"
        );
        assert_eq!(params(|params| params.subject_alt_names.clear()), wrong, "no names");
        for place in 0..3 {
            let lost = receive(&root, &good, |request| drop(request.params.subject_alt_names.remove(place)));
            assert_eq!(lost, wrong, "name {place} is lost");
        }
        // Of another key: that of another order.
        let stranger = order().prepare().unwrap();
        let csr = stranger.request.csr.unwrap();
        let foreign = CertificateSigningRequestParams::from_pem(&csr).unwrap();
        assert_eq!(receive(&root, &good, |request| *request = foreign), wrong, "for another key");
    }

    proptest! {
        #[test]
        fn any_text_is_received_or_refused(text in ".{0,200}", begin in any::<bool>()) {
            let text = if begin { format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n") } else { text };
            prop_assert!(one(&text).and_then(|pem| parse(&pem).map(drop)).is_err());
            prop_assert!(crl(text.as_bytes()).is_err());
        }
    }
}
