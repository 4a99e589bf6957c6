//! What do certificates say that a keyring asks them?

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use super::fault::Unusable;

/// The certificates of PEM text; at least one, and each of them X.509.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_what_it_quotes| Unusable::NotPem)?;
    if found.is_empty() {
        return Err(Unusable::NoCertificate);
    }
    match found.iter().find(|der| parse(der).is_none()) {
        Some(_) => Err(Unusable::NotX509),
        None => Ok(found),
    }
}

/// One certificate with nothing behind it.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// From when until when it holds.
pub(super) fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let certificate = parse(der)?;
    Some((time(certificate.validity().not_before)?, time(certificate.validity().not_after)?))
}

pub(super) fn time(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

/// The host names in it.
pub(super) fn dns_names(leaf: &[u8]) -> Vec<String> {
    let Some(certificate) = parse(leaf) else { return Vec::new() };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}
