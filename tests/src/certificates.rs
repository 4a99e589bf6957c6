//! Who can prove what over TLS? Authorities, the certificates they sign, and their revocation lists.
//!
//! Keys are made anew by every run and live as long as their value; nothing here is a secret of anyone.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::secrets;

/// A certificate authority with its own root.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    revocations: u64,
}

/// A certificate with its key, signed by an [`Authority`].
pub struct Identity {
    /// The certificate, PEM.
    pub chain_pem: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Its private key, PKCS#8 PEM.
    pub key_pem: String,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Serves TLS.
    Server,
    /// Calls over TLS.
    Client,
}

/// When a certificate holds, seen from the moment it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From yesterday, for a year.
    Current,
    /// From yesterday, for a week.
    Week,
    /// Until yesterday.
    Expired,
    /// From next month.
    NotYet,
}

impl Authority {
    /// A new authority; `name` is its common name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = Validity::Current.dates(date_time_ymd);
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority signs itself");
        Self { issuer, revocations: 0 }
    }

    /// The root certificate, PEM: what goes into a trust bundle.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for DNS names and IP addresses.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Identity {
        self.sign(Usage::Server, &sans(names), Validity::Current)
    }

    /// A client certificate with one DNS name.
    #[must_use]
    pub fn client_dns(&self, name: &str) -> Identity {
        self.sign(Usage::Client, &sans(&[name]), Validity::Current)
    }

    /// A client certificate with one URI, such as a SPIFFE id.
    #[must_use]
    pub fn client_uri(&self, uri: &str) -> Identity {
        self.sign(Usage::Client, &[uri_san(uri)], Validity::Current)
    }

    /// Any certificate: what no honest authority signs is asked for here.
    #[must_use]
    pub fn sign(&self, usage: Usage, names: &[SanType], validity: Validity) -> Identity {
        self.sign_key(&KeyPair::generate().expect("a P-256 key can be made"), usage, names, validity)
    }

    /// Another client certificate for the key that this identity has already, with these names.
    #[must_use]
    pub fn renew(&self, identity: &Identity, names: &[SanType]) -> Identity {
        let key = KeyPair::from_pem(&identity.key_pem).expect("an identity has a key");
        self.sign_key(&key, Usage::Client, names, Validity::Current)
    }

    fn sign_key(&self, key: &KeyPair, usage: Usage, names: &[SanType], validity: Validity) -> Identity {
        let mut params = CertificateParams::default();
        // A common name that belongs to somebody else: who reads names from there fails a test.
        params.distinguished_name.push(DnType::CommonName, "common names are not to be read");
        params.subject_alt_names = names.to_vec();
        params.serial_number = Some(new_serial());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match usage {
            Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        (params.not_before, params.not_after) = validity.dates(date_time_ymd);
        let certificate = params.signed_by(key, &self.issuer).expect("an authority signs what it is asked");
        Identity {
            chain_pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_pem: {
                let pem = key.serialize_pem();
                secrets::note_key(&pem);
                pem
            },
        }
    }

    /// The authority's next revocation list, PEM, with `revoked` on it.
    #[must_use]
    pub fn revocation_list(&mut self, revoked: &[&Identity], validity: Validity) -> String {
        self.revocations += 1;
        let (this_update, next_update) = validity.dates(date_time_ymd);
        let revoked_certs = revoked
            .iter()
            .map(|identity| RevokedCertParams {
                serial_number: identity.serial(),
                revocation_time: this_update,
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(self.revocations),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).expect("an authority signs its list")
    }
}

impl Identity {
    /// Reads `<stem>.pem` and `<stem>.key`, as [`Identity::write`] and `certs/make-development` write them.
    ///
    /// # Errors
    /// A file cannot be read, or the first is no certificate.
    pub fn read(directory: &Path, stem: &str) -> io::Result<Self> {
        let chain_pem = fs::read_to_string(directory.join(format!("{stem}.pem")))?;
        let key_pem = fs::read_to_string(directory.join(format!("{stem}.key")))?;
        secrets::note_key(&key_pem);
        let der = CertificateDer::from_pem_slice(chain_pem.as_bytes()).map_err(io::Error::other)?.to_vec();
        Ok(Self { chain_pem, der, key_pem })
    }

    /// Its SHA-256 in hexadecimal: how records and status pages call it.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256(&self.der)
    }

    /// The SHA-256 of its public key (`SubjectPublicKeyInfo`, DER) in hexadecimal: how `callers.yaml` pins it.
    #[must_use]
    pub fn key_sha256(&self) -> String {
        sha256(self.parsed().public_key().raw)
    }

    fn parsed(&self) -> X509Certificate<'_> {
        X509Certificate::from_der(&self.der).expect("an identity has a certificate").1
    }

    /// Writes `<stem>.pem` and `<stem>.key` into `directory`; the key is readable by its owner only.
    pub fn write(&self, directory: &Path, stem: &str) {
        fs::write(directory.join(format!("{stem}.pem")), &self.chain_pem)
            .expect("a certificate can be written");
        write_private(&directory.join(format!("{stem}.key")), &self.key_pem);
    }

    fn serial(&self) -> SerialNumber {
        SerialNumber::from_slice(self.parsed().raw_serial())
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    if text.starts_with("-----BEGIN") {
        secrets::note_key(text);
    } else {
        secrets::note(text.trim_end());
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("a private file can be made");
    file.write_all(text.as_bytes()).expect("a private file can be written");
}

/// A new Ed25519 key, PKCS#8 PEM: signs the audit log's checkpoints.
#[must_use]
pub fn ed25519_key_pem() -> String {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("an Ed25519 key can be made").serialize_pem()
}

/// DNS names and IP addresses as subject alternative names.
#[must_use]
pub fn sans(names: &[&str]) -> Vec<SanType> {
    let san = |name: &&str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName((*name).try_into().expect("a DNS name is ASCII")),
    };
    names.iter().map(san).collect()
}

/// A URI as subject alternative name.
#[must_use]
pub fn uri_san(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("a URI is ASCII"))
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("serial", &self.serial()).finish_non_exhaustive()
    }
}

impl Validity {
    /// First and last day, given as year, month and day to `at`: the type of moments is rcgen's own.
    fn dates<T>(self, at: impl Fn(i32, u8, u8) -> T) -> (T, T) {
        let today = Timestamp::now().to_zoned_datetime(TimeZone::UTC).date();
        let (from, until) = match self {
            Self::Current => (today - 1.day(), today + 1.year()),
            Self::Week => (today - 1.day(), today + 1.week()),
            Self::Expired => (today - 1.year(), today - 1.day()),
            Self::NotYet => (today + 1.month(), today + 1.year()),
        };
        let at = |date: Date| {
            let small = |n: i8| u8::try_from(n).expect("months and days are positive");
            at(date.year().into(), small(date.month()), small(date.day()))
        };
        (at(from), at(until))
    }
}

/// A positive serial number of 16 bytes, different for every certificate.
fn new_serial() -> SerialNumber {
    let mut serial = uuid::Uuid::now_v7().into_bytes();
    // RFC 5280 section 4.1.2.2: positive, so the first bit is clear; and not empty after leading zeros.
    serial[0] = (serial[0] & 0x3f) | 0x40;
    SerialNumber::from(serial.to_vec())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::GeneralName;

    #[test]
    fn a_client_certificate_carries_its_name_in_the_san_only() {
        let authority = Authority::new("clients");
        for (identity, expected) in [
            (authority.client_dns("client.acme.example"), GeneralName::DNSName("client.acme.example")),
            (authority.client_uri("spiffe://x.example/w"), GeneralName::URI("spiffe://x.example/w")),
        ] {
            let (_, certificate) = X509Certificate::from_der(&identity.der).unwrap();
            let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
            assert_eq!(names, &vec![expected]);
            assert!(!certificate.subject().to_string().contains("example"));
            assert_eq!(certificate.raw_serial(), identity.serial().to_bytes());
        }
    }

    #[test]
    fn a_renewal_has_the_key_and_nothing_else_of_the_certificate_before() {
        let authority = Authority::new("clients");
        let first = authority.client_dns("a.example");
        let renewed = authority.renew(&first, &sans(&["a.example"]));
        let other = authority.client_dns("a.example");
        assert_eq!((renewed.key_sha256(), &renewed.key_pem), (first.key_sha256(), &first.key_pem));
        assert!(renewed.sha256() != first.sha256() && renewed.serial() != first.serial());
        assert_ne!(other.key_sha256(), first.key_sha256());
    }

    #[test]
    fn validity_is_what_was_asked() {
        let authority = Authority::new("clients");
        for (validity, valid) in
            [(Validity::Current, true), (Validity::Expired, false), (Validity::NotYet, false)]
        {
            let identity = authority.sign(Usage::Client, &sans(&["a.example"]), validity);
            let (_, certificate) = X509Certificate::from_der(&identity.der).unwrap();
            assert_eq!(certificate.validity().is_valid(), valid, "{validity:?}");
        }
    }

    #[test]
    fn a_revocation_list_names_the_revoked_and_counts_up() {
        let mut authority = Authority::new("clients");
        let (bad, good) = (authority.client_dns("bad.example"), authority.client_dns("good.example"));
        let first = authority.revocation_list(&[], Validity::Current);
        let second = authority.revocation_list(&[&bad], Validity::Current);
        let serials = |pem: &str| {
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
            let (_, list) = x509_parser::parse_x509_crl(&pem.contents).unwrap();
            let number = list.crl_number().unwrap().to_string();
            (number, list.iter_revoked_certificates().map(|r| r.raw_serial().to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(serials(&first), ("1".to_owned(), vec![]));
        assert_eq!(serials(&second), ("2".to_owned(), vec![bad.serial().to_bytes()]));
        assert_ne!(bad.serial(), good.serial());
    }

    #[test]
    fn a_key_file_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let identity = Authority::new("servers").server(&["localhost", "127.0.0.1"]);
        for _ in 0..2 {
            identity.write(folder.path(), "server");
            let key = fs::metadata(folder.path().join("server.key")).unwrap();
            assert_eq!(key.permissions().mode() & 0o777, 0o600);
            assert_eq!(Identity::read(folder.path(), "server").unwrap().der, identity.der);
        }
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }

    #[test]
    fn the_development_script_makes_what_its_readme_lists_once() {
        use std::os::unix::fs::PermissionsExt;
        let certs = crate::repository::folder("certs");
        let folder = tempfile::tempdir().unwrap();
        let run = || {
            let script =
                std::process::Command::new(certs.join("make-development")).arg(folder.path()).output();
            let output = script.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(run().contains("made  server.pem"));
        assert!(!run().contains("made "));
        let readme = fs::read_to_string(certs.join("README.md")).unwrap();
        let rows = readme.lines().filter(|line| line.starts_with("| `"));
        let mut files = 0;
        for cell in rows.filter_map(|row| row.split('|').nth(1)) {
            let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
            let stem = names[0].split('.').next().unwrap();
            for name in
                names.iter().map(|n| if n.starts_with('.') { format!("{stem}{n}") } else { (*n).to_owned() })
            {
                let file = fs::metadata(folder.path().join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
                let secret = name.ends_with("key");
                let mode = if secret { 0o600 } else { 0o644 };
                assert_eq!(file.permissions().mode() & 0o777, mode, "{name}");
                files += 1;
            }
        }
        assert!(files > 10, "the table of the README was not found");
    }
}
