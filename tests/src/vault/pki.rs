//! An authority with roles: signs requests and issues certificates, revokes them, and publishes its list.

use std::collections::BTreeMap;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

use super::reply::Reply;
use super::simulated::{Call, Verb};
use super::token::{random, seconds};
use crate::secrets;

/// One mount.
#[derive(Default)]
pub(super) struct Pki {
    root: Option<CertifiedIssuer<'static, KeyPair>>,
    roles: BTreeMap<String, Value>,
    issued: Vec<Vec<u8>>,
    revoked: Vec<(Vec<u8>, i64)>,
    lists: u64,
}

impl Pki {
    pub(super) fn answer(&mut self, call: &Call<'_>) -> Reply {
        let (what, name) = call.path.split_once('/').unwrap_or((call.path, ""));
        match (what, name, call.verb) {
            ("root", "generate/internal", Verb::Write) => self.generate(call),
            ("roles", name, Verb::Write) => {
                self.roles.insert(name.to_owned(), call.body.clone());
                Reply::data(call.body.clone())
            }
            ("sign", name, Verb::Write) => self.sign(call, name),
            ("issue", name, Verb::Write) => self.issue(call, name),
            ("revoke", "", Verb::Write) => self.revoke(call),
            ("certs", "", Verb::List) => {
                let serials: Vec<String> = self.issued.iter().map(|serial| colons(serial)).collect();
                Reply::data(json!({"keys": serials}))
            }
            ("crl", "pem", Verb::Read) => self.list(call.now),
            ("ca", "pem", Verb::Read) => match &self.root {
                Some(root) => Reply::text(root.pem()),
                None => Reply::none(),
            },
            _ => Reply::unsupported(),
        }
    }

    fn generate(&mut self, call: &Call<'_>) -> Reply {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, call.body["common_name"].as_str().unwrap_or("root"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970(call.now - 30);
        params.not_after = date_time_ymd(1970, 1, 1)
            + since_1970(call.now + seconds(&call.body["ttl"]).unwrap_or(365 * 86_400));
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let root = CertifiedIssuer::self_signed(params, key).expect("an authority signs itself");
        let pem = root.pem();
        self.root = Some(root);
        Reply::data(json!({"certificate": pem, "issuing_ca": pem, "serial_number": "00"}))
    }

    /// A certificate for the key of a request. As `use_csr_sans` and `use_csr_common_name`, which are the defaults,
    /// say: the names are those of the request.
    fn sign(&mut self, call: &Call<'_>, role: &str) -> Reply {
        let csr = call.body["csr"].as_str().unwrap_or_default();
        let Ok(mut request) = CertificateSigningRequestParams::from_pem(csr) else {
            return Reply::error(400, "certificate request could not be parsed");
        };
        let Some((root, role)) = self.root.as_ref().zip(self.roles.get(role)) else {
            return Reply::error(400, &format!("unknown role: {role}"));
        };
        if let Err(refusal) = allowed(role, &request.params) {
            return refusal;
        }
        let (serial, until) = finish(&mut request.params, role, call);
        let certificate = request.signed_by(root).expect("an authority signs what its role allows");
        let answer = described(&certificate.pem(), &root.pem(), &serial, until, call);
        self.issued.push(serial);
        answer
    }

    /// A certificate and the key for it, made here.
    fn issue(&mut self, call: &Call<'_>, role: &str) -> Reply {
        let Some((root, role)) = self.root.as_ref().zip(self.roles.get(role)) else {
            return Reply::error(400, &format!("unknown role: {role}"));
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = call.body["common_name"].as_str() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let listed = |key: &str| call.body[key].as_str().unwrap_or_default().split(',').map(str::to_owned);
        for uri in listed("uri_sans").filter(|uri| !uri.is_empty()) {
            params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI is ASCII")));
        }
        for name in listed("alt_names").filter(|name| !name.is_empty()) {
            params.subject_alt_names.push(SanType::DnsName(name.try_into().expect("a name is ASCII")));
        }
        if let Err(refusal) = allowed(role, &params) {
            return refusal;
        }
        let (serial, until) = finish(&mut params, role, call);
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = params.signed_by(&key, root).expect("an authority signs what its role allows");
        let mut answer = described(&certificate.pem(), &root.pem(), &serial, until, call);
        if let super::reply::Body::Json(body) = &mut answer.body {
            let pem = key.serialize_pem();
            secrets::note_key(&pem);
            body["data"]["private_key"] = json!(pem);
            body["data"]["private_key_type"] = json!("ec");
        }
        self.issued.push(serial);
        answer
    }

    fn revoke(&mut self, call: &Call<'_>) -> Reply {
        let wanted = call.body["serial_number"].as_str().unwrap_or_default();
        let Some(serial) = self.issued.iter().find(|serial| colons(serial) == wanted).cloned() else {
            return Reply::error(400, &format!("certificate with serial {wanted} not found"));
        };
        self.revoked.push((serial, call.now));
        Reply::data(json!({"revocation_time": call.now, "state": "revoked"}))
    }

    fn list(&mut self, now: i64) -> Reply {
        let Some(root) = &self.root else { return Reply::none() };
        self.lists += 1;
        let revoked = self.revoked.iter().map(|(serial, at)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(1970, 1, 1) + since_1970(*at),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since_1970(now),
            next_update: date_time_ymd(1970, 1, 1) + since_1970(now + 3 * 86_400),
            crl_number: SerialNumber::from(self.lists),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(root).and_then(|list| list.pem());
        Reply::text(list.expect("an authority signs its list"))
    }
}

/// Whether a role lets these names be signed.
fn allowed(role: &Value, params: &CertificateParams) -> Result<(), Reply> {
    let list = |key: &str| -> Vec<String> {
        match &role[key] {
            Value::String(text) => text.split(',').map(str::to_owned).collect(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let (any, domains, uris) =
        (role["allow_any_name"] == true, list("allowed_domains"), list("allowed_uri_sans"));
    let may_name = |name: &str| {
        any || domains.iter().any(|domain| {
            name == domain && role["allow_bare_domains"] == true
                || name.ends_with(&format!(".{domain}")) && role["allow_subdomains"] == true
        })
    };
    let common = params.distinguished_name.get(&DnType::CommonName).map(|name| match name {
        rcgen::DnValue::Utf8String(text) => text.clone(),
        rcgen::DnValue::PrintableString(text) => text.as_str().to_owned(),
        _ => String::new(),
    });
    match &common {
        None if role["require_cn"] != false => {
            return Err(Reply::error(400, "the common_name field is required, or must be provided in a CSR"));
        }
        Some(name) if !may_name(name) => {
            return Err(Reply::error(400, &format!("common name {name} not allowed by this role")));
        }
        _ => {}
    }
    for san in &params.subject_alt_names {
        let allowed = match san {
            SanType::DnsName(name) => may_name(name.as_str()),
            SanType::URI(uri) => uris.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => uri.as_str().starts_with(start),
                None => uri.as_str() == pattern,
            }),
            SanType::IpAddress(_) => role["allow_ip_sans"] != false,
            _ => false,
        };
        if !allowed {
            return Err(Reply::error(400, "subject alternate names were not allowed by this role"));
        }
    }
    Ok(())
}

/// Sets what the authority decides: number, time, and what the certificate is for.
fn finish(params: &mut CertificateParams, role: &Value, call: &Call<'_>) -> (Vec<u8>, i64) {
    let most = seconds(&role["max_ttl"]).unwrap_or(32 * 86_400);
    let wanted = seconds(&call.body["ttl"]).or_else(|| seconds(&role["ttl"])).unwrap_or(most);
    let until = call.now + wanted.min(most);
    let mut serial: Vec<u8> = random().bytes().take(20).collect();
    // RFC 5280 section 4.1.2.2: positive.
    serial[0] = 0x41;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(call.now - 30);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(until);
    params.is_ca = IsCa::NoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (serial, until)
}

fn described(certificate: &str, root: &str, serial: &[u8], until: i64, call: &Call<'_>) -> Reply {
    let without_roots = call.body["remove_roots_from_chain"] == true;
    let chain: Vec<&str> = if without_roots { Vec::new() } else { vec![root] };
    Reply::data(json!({
        "certificate": certificate,
        "issuing_ca": root,
        "ca_chain": chain,
        "serial_number": colons(serial),
        "expiration": until,
    }))
}

fn colons(serial: &[u8]) -> String {
    serial.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// Of the beginning of 1970, in rcgen's own type of moments, which has no name here.
fn since_1970(second: i64) -> Duration {
    Duration::from_secs(u64::try_from(second).expect("after 1970"))
}
