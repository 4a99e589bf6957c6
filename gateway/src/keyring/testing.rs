//! An authority and its revocation lists, for tests of those who hold them or judge by them.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A new authority of this common name.
pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Its list of this number, PEM, on which nobody is: of one day of 2027, its next one due on another, both as month
/// and day.
pub(crate) fn list(authority: &Authority, number: u64, of: (u8, u8), next: (u8, u8)) -> String {
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2027, of.0, of.1),
        next_update: date_time_ymd(2027, next.0, next.1),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(authority).unwrap().pem().unwrap()
}
