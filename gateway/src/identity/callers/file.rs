//! What is written in `callers.yaml`, and is it right? All mistakes at once, each with its place.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Document;
use crate::identity::attribute::AttributeValue;
use crate::identity::certificate::{DnsName, SpiffeId};

use super::{CallerProfile, CertificateProof, ClaimProof, Kind, Proof, TokenProof};

/// Who may call. A caller that is not here is refused, however good its token or certificate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallersFile {
    /// The callers, by the name that policies, logs and metrics use.
    callers: BTreeMap<String, Entry>,
}

/// One caller.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Machine or human, and of what sort.
    kind: Kind,
    /// Who answers for it.
    #[schemars(length(min = 1))]
    owner: String,
    /// What it is for.
    #[schemars(length(min = 1))]
    description: String,
    /// The groups that policies grant to.
    #[serde(default)]
    groups: Vec<String>,
    /// Its rate plan, one of `limits.yaml`.
    plan: String,
    /// What policies may compare with what is called.
    #[serde(default)]
    facts: BTreeMap<String, AttributeValue>,
    /// By what it proves itself: any of these.
    #[schemars(length(min = 1))]
    proofs: Vec<ProofEntry>,
    /// The day by which its access must have been reviewed, as YYYY-MM-DD.
    #[schemars(extend("format" = "date"))]
    review_by: String,
}

/// One proof: `token` or `certificate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct ProofEntry {
    /// An access token that says all of this.
    token: Option<TokenEntry>,
    /// A client certificate that has this name.
    certificate: Option<CertificateEntry>,
}

/// What an access token must say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    /// The name of an issuer in `gateway.yaml`.
    issuer: String,
    /// The client it was issued to.
    #[schemars(length(min = 1))]
    client_id: Option<String>,
    /// Its subject (`sub`).
    #[schemars(length(min = 1))]
    subject: Option<String>,
    /// Persons only: a claim, so that one entry serves many.
    claim: Option<ClaimEntry>,
}

/// A claim that has this value, or is a list that holds it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClaimEntry {
    /// The claim's name, or a JSON Pointer to it (`/realm_access/roles`).
    #[schemars(length(min = 1))]
    name: String,
    /// The value, byte for byte.
    #[schemars(length(min = 1))]
    value: String,
}

/// The name a certificate must have: one of the three.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct CertificateEntry {
    /// A host name among its alternative names, without wildcard.
    dns: Option<String>,
    /// Its SPIFFE ID.
    spiffe: Option<String>,
    /// The SHA-256 of the certificate, 64 hexadecimal digits.
    sha256: Option<String>,
}

/// The profiles in `document` in the order of their names, and what is worth a look.
pub(super) fn read(
    document: &Document,
    issuers: &[&str],
    today: Date,
) -> Result<(Vec<CallerProfile>, Diagnostics), Diagnostics> {
    let file: CallersFile = document.to()?;
    let mut reader = Reader { document, issuers, today, owners: HashMap::new(), told: Diagnostics::new() };
    let mut profiles = Vec::with_capacity(file.callers.len());
    for (index, (id, entry)) in file.callers.into_iter().enumerate() {
        profiles.extend(reader.profile(index, id, entry));
    }
    reader.told.into_result(Some(profiles))
}

pub(super) fn schema() -> serde_json::Value {
    schemars::schema_for!(CallersFile).to_value()
}

struct Reader<'a> {
    document: &'a Document,
    issuers: &'a [&'a str],
    today: Date,
    /// Who has which proof, so that nobody else gets it.
    owners: HashMap<Proof, String>,
    told: Diagnostics,
}

impl Reader<'_> {
    /// The profile of an entry; nothing when its date cannot be read (which is told).
    fn profile(&mut self, index: usize, id: String, entry: Entry) -> Option<CallerProfile> {
        let at = format!("/callers/{}", id.replace('~', "~0").replace('/', "~1"));
        if !is_name(&id) {
            let told =
                Diagnostic::error(self.document.key_place(&at), format!("`{id}` is not a caller's name"));
            self.told.push(told.help(NAME_HELP));
        }
        let Entry { kind, owner, description, groups, plan, facts, proofs, review_by } = entry;
        for (n, group) in groups.iter().enumerate() {
            self.name(&format!("{at}/groups/{n}"), group, "group");
            if groups.iter().take(n).any(|before| before == group) {
                self.error(
                    &format!("{at}/groups/{n}"),
                    format!("group `{group}` is repeated"),
                    "write it once",
                );
            }
        }
        self.name(&format!("{at}/plan"), &plan, "plan");
        let mut read = Vec::with_capacity(proofs.len());
        for (n, proof) in proofs.into_iter().enumerate() {
            read.extend(self.proof(&format!("{at}/proofs/{n}"), &id, kind, proof));
        }
        let review_by = self.review_by(&format!("{at}/review_by"), &review_by)?;
        Some(CallerProfile {
            id,
            index,
            kind,
            owner,
            description,
            groups,
            plan,
            attributes: facts,
            review_by,
            proofs: read,
        })
    }

    fn review_by(&mut self, at: &str, text: &str) -> Option<Date> {
        // The form first: the library also reads other ways to write a date.
        let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
        match date {
            None => self.error(at, format!("`{text}` is not a day"), "write it as YYYY-MM-DD"),
            Some(date) if date < self.today => self.told.push(
                Diagnostic::warning(self.document.place(at), "access review is overdue")
                    .help("let the owner confirm that the access is needed, then set the next day"),
            ),
            Some(_) => {}
        }
        date
    }

    fn proof(&mut self, at: &str, id: &str, kind: Kind, entry: ProofEntry) -> Option<Proof> {
        let proof = match (entry.token, entry.certificate) {
            (Some(token), None) => Proof::Token(self.token(&format!("{at}/token"), kind, token)?),
            (None, Some(certificate)) => {
                Proof::Certificate(self.certificate(&format!("{at}/certificate"), certificate)?)
            }
            (None, None) | (Some(_), Some(_)) => {
                self.error(
                    at,
                    "a proof is one token or one certificate".to_owned(),
                    "write one list item each",
                );
                return None;
            }
        };
        if let Some(owner) = self.owners.insert(proof.clone(), id.to_owned()) {
            self.error(
                at,
                format!("this proof is already that of `{owner}`"),
                "a proof names one caller; give each its own client or certificate",
            );
        }
        Some(proof)
    }

    fn token(&mut self, at: &str, kind: Kind, entry: TokenEntry) -> Option<TokenProof> {
        let TokenEntry { issuer, client_id, subject, claim } = entry;
        if !self.issuers.contains(&issuer.as_str()) {
            let place = self.document.place(&format!("{at}/issuer"));
            let told = Diagnostic::error(place, format!("unknown issuer `{issuer}`"));
            self.told.push(told.did_you_mean(&issuer, self.issuers.iter().copied()));
            return None;
        }
        let claim = claim.map(|ClaimEntry { name, value }| ClaimProof { name, value });
        let (mistake, help) = match (kind.is_machine(), &client_id, &subject, &claim) {
            (_, None, None, None) => {
                ("the proof fits every token of its issuer", "add `client_id`, `subject` or `claim`")
            }
            (true, _, _, Some(_)) => {
                ("a machine is not told by a claim", "name its `client_id`; claims are for persons")
            }
            (false, Some(_), None, None) => {
                ("a client does not tell who the person is", "add `subject` or `claim`")
            }
            _ => return Some(TokenProof { issuer, client_id, subject, claim }),
        };
        self.error(at, mistake.to_owned(), help);
        None
    }

    fn certificate(&mut self, at: &str, entry: CertificateEntry) -> Option<CertificateProof> {
        let (name, text, proof, help) = match (entry.dns, entry.spiffe, entry.sha256) {
            (Some(text), None, None) => {
                let proof = DnsName::parse(&text).map(CertificateProof::Dns);
                ("dns", text, proof, "write one exact host name, without wildcard or trailing dot")
            }
            (None, Some(text), None) => {
                let proof = SpiffeId::parse(&text).map(CertificateProof::Spiffe);
                ("spiffe", text, proof, "write it as spiffe://trust.domain/path, the domain in lower case")
            }
            (None, None, Some(text)) => {
                let proof = sha256(&text).map(CertificateProof::Sha256);
                ("sha256", text, proof, "write the 64 hexadecimal digits of the certificate's SHA-256")
            }
            _ => {
                self.error(at, "a certificate is told by one name".to_owned(), "write one list item each");
                return None;
            }
        };
        if proof.is_none() {
            self.error(&format!("{at}/{name}"), format!("`{text}` is not of the form wanted here"), help);
        }
        proof
    }

    fn name(&mut self, at: &str, text: &str, what: &str) {
        if !is_name(text) {
            self.error(at, format!("`{text}` is not a {what}'s name"), NAME_HELP);
        }
    }

    fn error(&mut self, at: &str, message: String, help: &str) {
        self.told.push(Diagnostic::error(self.document.place(at), message).help(help));
    }
}

/// Names stand in policies, URLs of the console, metrics and logs: nothing that any of them must escape.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (to, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = pair else { return None };
        *to = (digit(high)? << 4) | digit(low)?;
    }
    Some(out)
}

/// Long enough for any name a person reads, short enough for a column and a metric's label.
const NAME_MAX: usize = 64;
const NAME_HELP: &str =
    "use lower-case letters, digits, `-`, `_` and `.`, 64 at most, a letter or digit first";
