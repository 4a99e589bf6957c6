//! What is written in `callers.yaml`, and is it right? All mistakes at once, each with its place.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Document, token};
use crate::identity::attribute::AttributeValue;
use crate::identity::certificate::{DnsName, SpiffeId};
use crate::identity::possession::Bound;
use crate::identity::sign_in::SignIn;

use super::kinds::{AllKinds, KindEntry};
use super::{
    Actors, AnswerCheck, AnswerChecks, CallerProfile, CertificateProof, ClaimProof, Kind, KindRules, Proof,
    Terms, TokenProof,
};

/// Who may call. A caller that is not here is refused, however good its token or certificate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallersFile {
    /// What is asked of every caller of a kind, besides what is asked of each.
    #[serde(default)]
    kinds: BTreeMap<Kind, KindEntry>,
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
    /// How strictly what it is answered is held against the contract, where that is stricter than what the
    /// operation says: `enforce` or `report`.
    answer_checks: Option<AnswerCheck>,
    /// The same where it is laxer: `report` or `off`. Broken answers then reach this caller.
    insecure_answer_checks: Option<AnswerCheck>,
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
    /// What the token must be bound to, so that whoever steals it cannot use it: `certificate` (RFC 8705), `dpop`
    /// (RFC 9449) or `either`. Absent: whoever bears it may use it, unless the operation says otherwise.
    bound: Option<Bound>,
    /// Who may act by the token for its subject (`act`, RFC 8693): the name of an actor of the same issuer, which
    /// must then be there, `none` or `any`. Default: `none` for machines, `any` for persons, whose applications act.
    #[schemars(length(min = 1))]
    actor: Option<String>,
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

/// The name a certificate must have: one of the four.
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
    /// The SHA-256 of its public key (`SubjectPublicKeyInfo`, DER), 64 hexadecimal digits: the certificate may then
    /// be renewed for the same key.
    key_sha256: Option<String>,
}

/// The profiles in `document` in the order of their names, the rules of kinds, and what is worth a look.
pub(super) fn read(
    document: &Document,
    issuers: &[&str],
    today: Date,
) -> Result<((Vec<CallerProfile>, AllKinds), Diagnostics), Diagnostics> {
    let file: CallersFile = document.to()?;
    let mut reader = Reader { document, issuers, today, owners: HashMap::new(), told: Diagnostics::new() };
    let mut profiles = Vec::with_capacity(file.callers.len());
    for (index, (id, entry)) in file.callers.into_iter().enumerate() {
        profiles.extend(reader.profile(index, id, entry));
    }
    let kinds = file.kinds.into_iter().map(|(kind, entry)| (kind, reader.kind(kind, entry))).collect();
    reader.told.into_result(Some((profiles, kinds)))
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
    fn kind(&mut self, kind: Kind, entry: KindEntry) -> KindRules {
        let at = format!("/kinds/{}", kind.as_str());
        let KindEntry { token_lifetime, bound, sign_in } = entry;
        let sign_in = sign_in.map(SignIn::from);
        if token_lifetime.is_some_and(|lifetime| lifetime.0.is_zero()) {
            let help = "such as `token_lifetime: 1h`";
            self.error(&format!("{at}/token_lifetime"), "no token would live".to_owned(), help);
        }
        if sign_in.is_some() && kind.is_machine() {
            let help = "machines are known by `bound`; write `sign_in` for the kind `person`";
            self.error(&format!("{at}/sign_in"), "a machine does not sign in".to_owned(), help);
        }
        if sign_in.as_ref().is_some_and(|sign_in| !sign_in.is_sound()) {
            let help =
                "words of printable ASCII without spaces and quotes, at least one of `acr`, `amr`, `age_max`";
            self.error(&format!("{at}/sign_in"), "this cannot be asked of a token".to_owned(), help);
        }
        KindRules { token_lifetime: token_lifetime.map(|span| span.0), bound, sign_in }
    }

    /// The profile of an entry; nothing when its date cannot be read (which is told).
    fn profile(&mut self, index: usize, id: String, entry: Entry) -> Option<CallerProfile> {
        let at = format!("/callers/{}", token(&id));
        if !is_name(&id) {
            let told =
                Diagnostic::error(self.document.key_place(&at), format!("`{id}` is not a caller's name"));
            self.told.push(told.help(NAME_HELP));
        }
        let Entry {
            kind,
            owner,
            description,
            groups,
            plan,
            facts,
            proofs,
            answer_checks,
            insecure_answer_checks,
            review_by,
        } = entry;
        let answers = self.answers(&at, answer_checks, insecure_answer_checks);
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
            answers,
            review_by,
            proofs: read,
        })
    }

    fn answers(
        &mut self,
        at: &str,
        strict: Option<AnswerCheck>,
        lax: Option<AnswerCheck>,
    ) -> Option<AnswerChecks> {
        let (key, message, help) = match (strict, lax) {
            (None, None) => return None,
            (Some(check @ (AnswerCheck::Enforce | AnswerCheck::Report)), None) => {
                return Some(AnswerChecks::AtLeast(check));
            }
            (None, Some(check @ (AnswerCheck::Report | AnswerCheck::Off))) => {
                return Some(AnswerChecks::AtMost(check));
            }
            (Some(_), Some(_)) => {
                ("insecure_answer_checks", "answers are checked more strictly or less, not both", "write one")
            }
            (Some(AnswerCheck::Off), None) => (
                "answer_checks",
                "`answer_checks` only makes a caller's answers safer",
                "to switch checks off write `insecure_answer_checks: off`",
            ),
            (None, Some(AnswerCheck::Enforce)) => (
                "insecure_answer_checks",
                "`insecure_answer_checks` only makes checks laxer",
                "write `answer_checks: enforce`",
            ),
        };
        self.error(&format!("{at}/{key}"), message.to_owned(), help);
        None
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
        let identifying = match &proof {
            Proof::Token(token) => Proof::Token(token.without_terms()),
            Proof::Certificate(_) => proof.clone(),
        };
        if let Some(owner) = self.owners.insert(identifying, id.to_owned()) {
            self.error(
                at,
                format!("this proof is already that of `{owner}`"),
                "a proof names one caller; give each its own client or certificate",
            );
        }
        Some(proof)
    }

    fn token(&mut self, at: &str, kind: Kind, entry: TokenEntry) -> Option<TokenProof> {
        let TokenEntry { issuer, client_id, subject, claim, bound, actor } = entry;
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
            _ => {
                let usual = Terms::of_kind(kind);
                let actors = match actor.as_deref() {
                    None => usual.actors,
                    Some("none") => Actors::Nobody,
                    Some("any") => Actors::Anybody,
                    Some(name) => Actors::Only(name.to_owned()),
                };
                let terms = Terms { bound, actors };
                return Some(TokenProof { issuer, client_id, subject, claim, terms });
            }
        };
        self.error(at, mistake.to_owned(), help);
        None
    }

    fn certificate(&mut self, at: &str, entry: CertificateEntry) -> Option<CertificateProof> {
        let (name, text, proof, help) = match (entry.dns, entry.spiffe, entry.sha256, entry.key_sha256) {
            (Some(text), None, None, None) => {
                let proof = DnsName::parse(&text).map(CertificateProof::Dns);
                ("dns", text, proof, "write one exact host name, without wildcard or trailing dot")
            }
            (None, Some(text), None, None) => {
                let proof = SpiffeId::parse(&text).map(CertificateProof::Spiffe);
                ("spiffe", text, proof, "write it as spiffe://trust.domain/path, the domain in lower case")
            }
            (None, None, Some(text), None) => {
                let proof = sha256(&text).map(CertificateProof::Sha256);
                ("sha256", text, proof, "write the 64 hexadecimal digits of the certificate's SHA-256")
            }
            (None, None, None, Some(text)) => {
                let proof = sha256(&text).map(CertificateProof::KeySha256);
                ("key_sha256", text, proof, "write the 64 hexadecimal digits of the public key's SHA-256")
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TODAY: Date = date(2026, 11, 23);

    fn load(text: &str) -> Result<(Vec<CallerProfile>, Diagnostics), Diagnostics> {
        let document = Document::parse("callers.yaml", text).unwrap();
        read(&document, &["retail", "staff"], TODAY).map(|((profiles, _), warnings)| (profiles, warnings))
    }

    #[test]
    fn what_is_asked_of_a_kind_can_be_asked_of_it() {
        let file = |kinds: &str| format!("kinds: {kinds}\ncallers: {{}}\n");
        for (kinds, part) in [
            ("{person: {token_lifetime: 0s}}", "no token would live"),
            ("{partner: {sign_in: {amr: [mfa]}}}", "a machine does not sign in"),
            ("{person: {sign_in: {}}}", ""),
            ("{person: {sign_in: {acr: ['a b']}}}", "cannot be asked of a token"),
            ("{person: {sign_in: {amr: ['a\"']}}}", "cannot be asked of a token"),
            ("{robot: {}}", ""),
            ("{person: {lifetime: 1h}}", "unknown key `lifetime`"),
        ] {
            check_refused(&file(kinds), &[part]);
        }
        let text = file("{person: {token_lifetime: 15m, bound: either, sign_in: {amr: [mfa], age_max: 8h}}}");
        let document = Document::parse("callers.yaml", &text).unwrap();
        let ((_, kinds), _) = read(&document, &[], TODAY).unwrap();
        let sign_in = SignIn {
            acr: vec![],
            amr: vec!["mfa".to_owned()],
            age_max: Some(std::time::Duration::from_secs(8 * 3_600)),
        };
        let rules = KindRules {
            token_lifetime: Some(std::time::Duration::from_secs(900)),
            bound: Some(Bound::Either),
            sign_in: Some(sign_in),
        };
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [(Kind::Person, rules)]);
    }

    #[test]
    fn who_may_act_by_a_machines_token_is_said_or_is_nobody() {
        for (kind, actor, expected) in [
            ("bot", "", Actors::Nobody),
            ("bot", ", actor: none", Actors::Nobody),
            ("bot", ", actor: any", Actors::Anybody),
            ("bot", ", actor: desk", Actors::Only("desk".to_owned())),
            ("person", "", Actors::Anybody),
        ] {
            let text = with_proofs(kind, &format!("token: {{issuer: retail, subject: a{actor}}}"));
            let (profiles, _) = load(&text).unwrap();
            let Proof::Token(proof) = &profiles[0].proofs[0] else { panic!("a token") };
            assert_eq!(proof.terms().actors, expected, "{text}");
        }
    }

    #[test]
    fn proofs_that_differ_in_their_terms_alone_are_one() {
        let text = with_proofs(
            "bot",
            "token: {issuer: retail, client_id: a}\ntoken: {issuer: retail, client_id: a, bound: dpop}",
        );
        check_refused(&text, &["this proof is already that of `acme`"]);
    }

    /// A file with one caller of `kind` whose other lines are `lines`.
    fn one(kind: &str, lines: &str) -> String {
        format!(
            "callers:\n  acme:\n    kind: {kind}\n    owner: o\n    description: d\n    plan: p\n    {}\n",
            lines.replace('\n', "\n    ")
        )
    }

    fn with_proofs(kind: &str, proofs: &str) -> String {
        one(kind, &format!("review_by: 2027-01-01\nproofs:\n  - {}", proofs.replace('\n', "\n  - ")))
    }

    fn check_refused(text: &str, wanted: &[&str]) {
        let told = load(text).map(|_| ()).unwrap_err().to_string();
        for part in wanted {
            assert!(told.contains(part), "{text}\n{told}\nlacks {part}");
        }
    }

    const SHA256: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    #[test]
    fn answers_are_checked_more_strictly_by_one_word_and_less_by_another() {
        let lines = |keys: &str| {
            one(
                "bot",
                &format!("{keys}\nreview_by: 2027-01-01\nproofs:\n  - certificate: {{ dns: a.example }}"),
            )
        };
        for (keys, answers) in [
            ("groups: []", None),
            ("answer_checks: enforce", Some(AnswerChecks::AtLeast(AnswerCheck::Enforce))),
            ("answer_checks: report", Some(AnswerChecks::AtLeast(AnswerCheck::Report))),
            ("insecure_answer_checks: report", Some(AnswerChecks::AtMost(AnswerCheck::Report))),
            ("insecure_answer_checks: off", Some(AnswerChecks::AtMost(AnswerCheck::Off))),
        ] {
            let (profiles, _) = load(&lines(keys)).unwrap_or_else(|mistakes| panic!("{keys}: {mistakes}"));
            assert_eq!(profiles[0].answers, answers, "{keys}");
        }
        for (keys, told) in [
            ("answer_checks: off", "only makes a caller's answers safer"),
            ("insecure_answer_checks: enforce", "only makes checks laxer"),
            ("answer_checks: enforce\ninsecure_answer_checks: off", "not both"),
        ] {
            check_refused(&lines(keys), &[told, "callers.yaml:"]);
        }
    }

    #[test]
    fn a_caller_is_read_with_all_it_says() {
        let text = format!(
            "{}    groups: [a, b]\n    facts: {{channel: acme, odoo_partner: 12, vip: true, regions: [eu, uk]}}\n",
            with_proofs(
                "partner",
                &format!(
                    "token: {{issuer: retail, client_id: acme}}\ntoken: {{issuer: staff, subject: s, client_id: c}}\n\
                     certificate: {{dns: Client.Acme.example}}\ncertificate: {{spiffe: 'spiffe://a/b'}}\n\
                     certificate: {{sha256: '{SHA256}'}}"
                )
            )
        );
        let (profiles, told) = load(&text).unwrap();
        assert!(told.is_empty());
        let acme = &profiles[0];
        assert_eq!((acme.id.as_str(), acme.index, acme.kind), ("acme", 0, Kind::Partner));
        assert_eq!((acme.owner.as_str(), acme.description.as_str(), acme.plan.as_str()), ("o", "d", "p"));
        assert_eq!((acme.groups.join(" "), acme.review_by), ("a b".into(), date(2027, 1, 1)));
        assert_eq!(acme.attributes["channel"], AttributeValue::Text("acme".into()));
        assert_eq!(acme.attributes["odoo_partner"], AttributeValue::Integer(12));
        assert_eq!(acme.attributes["vip"], AttributeValue::Boolean(true));
        assert_eq!(acme.attributes["regions"], AttributeValue::Texts(vec!["eu".into(), "uk".into()]));
        assert_eq!(acme.proofs.len(), 5);
        assert_eq!(
            acme.proofs[2],
            Proof::Certificate(CertificateProof::Dns(DnsName::parse("client.acme.example").unwrap()))
        );
        let Proof::Certificate(CertificateProof::Sha256(hash)) = &acme.proofs[4] else { panic!("a hash") };
        assert_eq!((hash[0], hash[1], hash[31]), (0x00, 0x11, 0xff));
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_place() {
        let told = load(&format!(
            "{}  Nobody:\n    kind: bot\n    owner: o\n    description: d\n    plan: P\n    review_by: tomorrow\n    proofs:\n      - token: {{issuer: retial, client_id: a}}\n      - certificate: {{dns: '*.example'}}\n",
            with_proofs("partner", "token: {issuer: retail}")
        ))
        .map(|_| ())
        .unwrap_err();
        let told = told.to_string();
        for part in [
            "callers.yaml:9:16: error: the proof fits every token of its issuer",
            "callers.yaml:10:3: error: `Nobody` is not a caller's name",
            "callers.yaml:14:11: error: `P` is not a plan's name",
            "callers.yaml:15:16: error: `tomorrow` is not a day",
            "error: unknown issuer `retial`",
            "did you mean `retail`?",
            "error: `*.example` is not of the form wanted here",
        ] {
            assert!(told.contains(part), "{told}\nlacks {part}");
        }
    }

    #[test]
    fn an_overdue_review_is_a_warning_and_no_more() {
        let text =
            |day: &str| one("bot", &format!("review_by: {day}\nproofs: [{{certificate: {{dns: a}}}}]"));
        for (day, warned) in [("2026-11-22", true), ("2026-11-23", false), ("2026-11-24", false)] {
            let (_, told) = load(&text(day)).unwrap();
            let shown = told.to_string();
            assert_eq!(shown.contains("warning: access review is overdue"), warned, "{day}: {shown}");
        }
        for day in ["'20261122'", "2026-11-31", "2026-11-22T00:00", "'2026-W47-7'", "''"] {
            check_refused(&text(day), &["is not a day"]);
        }
    }

    #[test]
    fn a_proof_belongs_to_one_caller() {
        let entry = |id: &str, proof: &str| {
            format!(
                "  {id}: {{kind: bot, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{proof}]}}\n"
            )
        };
        for (first, second) in [
            ("token: {issuer: retail, client_id: a}", "token: {client_id: a, issuer: retail}"),
            ("certificate: {dns: a.example}", "certificate: {dns: A.Example}"),
            ("certificate: {spiffe: 'spiffe://a/b'}", "certificate: {spiffe: 'spiffe://a/b'}"),
            (
                &format!("certificate: {{sha256: '{SHA256}'}}"),
                &format!("certificate: {{sha256: '{}'}}", SHA256.to_lowercase()),
            ),
        ] {
            let (first, second) = (format!("{{{first}}}"), format!("{{{second}}}"));
            let two = format!("callers:\n{}{}", entry("one", &first), entry("two", &second));
            check_refused(&two, &["this proof is already that of `one`"]);
            let repeated = format!("callers:\n{}", entry("one", &format!("{first}, {second}")));
            check_refused(&repeated, &["this proof is already that of `one`"]);
        }
        let differ = format!(
            "callers:\n{}{}",
            entry("one", "{token: {issuer: retail, client_id: a}}"),
            entry("two", "{token: {issuer: staff, client_id: a}}")
        );
        assert!(load(&differ).is_ok());
    }

    #[test]
    fn machines_and_persons_prove_themselves_differently() {
        let claim = "token: {issuer: retail, claim: {name: groups, value: desk}}";
        for kind in ["partner", "service", "bot"] {
            check_refused(&with_proofs(kind, claim), &["a machine is not told by a claim"]);
        }
        assert!(load(&with_proofs("person", claim)).is_ok());
        assert!(load(&with_proofs("person", "token: {issuer: retail, subject: alice}")).is_ok());
        let client = "token: {issuer: retail, client_id: web}";
        check_refused(&with_proofs("person", client), &["a client does not tell who the person is"]);
    }

    #[test]
    fn a_form_that_is_not_wanted_is_refused() {
        for (proof, part) in [
            ("{}", ""),
            ("{token: {issuer: retail, client_id: a}, certificate: {dns: a}}", ""),
            ("token: {issuer: retail, client: a}", "unknown key `client`"),
            ("token: {client_id: a}", "key `issuer` is missing"),
            ("token: {issuer: retail, client_id: ''}", ""),
            ("certificate: {}", ""),
            ("certificate: {dns: a, spiffe: 'spiffe://a/b'}", ""),
            ("certificate: {cn: a}", "unknown key `cn`"),
            ("certificate: {dns: a.example.}", "is not of the form"),
            ("certificate: {spiffe: 'spiffe://A/b'}", "is not of the form"),
            ("certificate: {sha256: '00'}", "is not of the form"),
            (&format!("certificate: {{sha256: '{}'}}", SHA256.replace('0', "g")), "is not of the form"),
            ("password: x", "unknown key `password`"),
        ] {
            check_refused(&with_proofs("bot", proof), &[part]);
        }
        check_refused(&one("bot", "review_by: 2027-01-01\nproofs: []"), &[]);
        check_refused(&one("bot", "proofs: [{certificate: {dns: a}}]"), &["key `review_by` is missing"]);
        check_refused(&with_proofs("robot", "certificate: {dns: a}"), &["callers.yaml:3:11: error: ", "bot"]);
        let repeated =
            one("bot", "groups: [a, b, a]\nreview_by: 2027-01-01\nproofs: [{certificate: {dns: a}}]");
        check_refused(&repeated, &["group `a` is repeated"]);
        let fact = one("bot", "facts: {a: {b: 1}}\nreview_by: 2027-01-01\nproofs: [{certificate: {dns: a}}]");
        check_refused(&fact, &[]);
    }

    #[test]
    fn a_name_is_one_that_nothing_has_to_escape() {
        for (name, good) in [
            ("acme", true),
            ("a", true),
            ("0a-b_c.d", true),
            ("", false),
            ("Acme", false),
            ("-a", false),
            ("a b", false),
            ("a/b", false),
            ("a\"b", false),
            ("ä", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
        assert!(is_name(&"a".repeat(NAME_MAX)) && !is_name(&"a".repeat(NAME_MAX + 1)));
    }
}
