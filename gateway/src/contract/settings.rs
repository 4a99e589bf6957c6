//! What does a contract say that OpenAPI has no word for? The `x-gateway` extension.
//!
//! As written (all optional, at the document and at each operation) it becomes as resolved (no
//! `Option` for a default). It does not know which upstreams or limits exist.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::assurance::{SignIn, TokenBinding};
use super::field::WrittenFieldLife;
use super::lifecycle::WrittenLifecycle;
use super::version::WrittenVersioning;
use crate::units::{ByteSize, Span};

/// How one operation is served, every default decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the upstream in `gateway.yaml`.
    pub upstream: String,
    /// The path that takes the place of the contract's base path towards the upstream.
    pub upstream_base: Option<String>,
    /// The kinds of callers that the operation serves.
    pub kinds: KindSet,
    /// What a caller's token must be bound to, whoever calls.
    pub token_binding: Option<TokenBinding>,
    /// How a person must have signed in.
    pub sign_in: Option<SignIn>,
    /// What one call takes from the caller's rate plan.
    pub cost: NonZeroU32,
    /// Limits of the operation itself, beside those of the caller's rate plan.
    pub limits: Vec<OperationLimit>,
    /// What happens when a response breaks the contract.
    pub strictness: Strictness,
    /// The share of the answers that are looked at where broken ones are only reported.
    pub sample: f64,
    /// The codings that a request body may have.
    pub request_codings: Vec<Coding>,
    /// Media types of which only type and size are checked, whatever the contract says of them.
    pub unchecked: Vec<String>,
    /// How sure the audit record must be before the answer leaves.
    pub record: Strength,
    /// How long the upstream may take, all attempts together.
    pub deadline: Duration,
    /// The largest request body, in bytes.
    pub request_bytes_max: usize,
    /// The largest response body, in bytes.
    pub response_bytes_max: usize,
    /// Whether bodies pass through in pieces, checked for type and size only.
    pub streamed: bool,
    /// Whether a call may be sent again after it may have been done.
    pub idempotent: bool,
    /// What happens to query parameters that the contract does not describe.
    pub unknown_parameters: UnknownParameters,
}

/// At most `quota` calls in each `window`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationLimit {
    /// The name that answers and metrics use.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z][a-z0-9_-]*$"))]
    pub name: String,
    /// Calls in a window.
    pub quota: NonZeroU32,
    /// The window's length.
    pub window: Span,
}

/// Who may be a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Another company's system.
    Partner,
    /// One of the retailer's own services.
    Service,
    /// A bot that works on its own.
    Bot,
    /// A person.
    Person,
}

/// A set of kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindSet(u8);

/// What happens when a response breaks the contract; the laxest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strictness {
    /// It is not looked at.
    Off,
    /// It is passed on and reported.
    Report,
    /// It is not passed on.
    Enforce,
}

/// A content coding of a request body. RFC 9110 section 8.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// RFC 1952.
    Gzip,
}

/// How sure the audit record must be before the answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// With the operating system.
    Written,
    /// On disk.
    Durable,
    /// In a bounded queue.
    Queued,
}

/// What happens to query parameters that the contract does not describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownParameters {
    /// The request is refused.
    Refuse,
    /// They are passed on unchecked.
    Ignore,
}

impl KindSet {
    /// Everything but people: a person's token never works where a machine is meant, unless said.
    pub const MACHINES: Self = Self(0b0111);

    /// Whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// The kinds in the set.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        [Kind::Partner, Kind::Service, Kind::Bot, Kind::Person].into_iter().filter(move |k| self.contains(*k))
    }

    const fn bit(kind: Kind) -> u8 {
        match kind {
            Kind::Partner => 0b0001,
            Kind::Service => 0b0010,
            Kind::Bot => 0b0100,
            Kind::Person => 0b1000,
        }
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | Self::bit(kind)))
    }
}

/// `x-gateway` of a document (the defaults of its operations) or of one operation.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenSettings {
    /// The name of the upstream in `gateway.yaml`.
    #[schemars(length(min = 1))]
    upstream: Option<String>,
    /// The path that takes the place of the contract's base path towards the upstream: `/json/2`.
    #[schemars(regex(pattern = "^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*)?$"))]
    upstream_base: Option<String>,
    /// The kinds of callers that are served; machines only, when not said.
    #[schemars(length(min = 1))]
    kinds: Option<Vec<Kind>>,
    /// What a caller's token must be bound to, so that whoever steals it cannot use it: `certificate`, `dpop` or
    /// `either`. A caller's own rule in `callers.yaml` holds as well.
    token_binding: Option<TokenBinding>,
    /// How a person must have signed in: others are asked to sign in again, and how.
    pub(super) sign_in: Option<SignIn>,
    /// What one call takes from the caller's rate plan.
    cost: Option<NonZeroU32>,
    /// Limits of the operation itself.
    limits: Option<Vec<OperationLimit>>,
    /// What happens when a response breaks the contract.
    strictness: Option<Strictness>,
    /// The share of the answers that are looked at where broken ones are only reported: 0.1 is every tenth.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) sample: Option<f64>,
    /// The codings that a request body may have; none, when not said. What is sent on has none.
    request_codings: Option<Vec<Coding>>,
    /// Media types whose bodies pass with only type and size checked, though the contract says more of them
    /// than can be checked: `application/xml`.
    unchecked: Option<Vec<String>>,
    /// How sure the audit record must be before the answer leaves.
    record: Option<Strength>,
    /// How long the upstream may take.
    deadline: Option<Span>,
    /// The largest request body.
    request_bytes_max: Option<ByteSize>,
    /// The largest response body.
    response_bytes_max: Option<ByteSize>,
    /// Whether bodies pass through in pieces, checked for type and size only.
    streamed: Option<bool>,
    /// Whether a call may be sent again after it may have been done; by its method, when not said.
    idempotent: Option<bool>,
    /// What happens to query parameters that the contract does not describe.
    unknown_parameters: Option<UnknownParameters>,
    /// When it was or will be deprecated and switched off.
    pub(super) lifecycle: Option<WrittenLifecycle>,
    /// How callers say which version they mean; by path, when not said. At the root only.
    pub(super) versioning: Option<WrittenVersioning>,
    /// Lets the patterns of the whole contract use look-around and back-references, whose matching is
    /// bounded but can be slow for texts that were made to be. At the root only.
    pub(super) insecure_backtracking_patterns: Option<bool>,
}

/// `x-gateway` of a parameter or of a schema's property.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenMarks {
    /// The value is personal data: it is redacted wherever it would be recorded.
    pub(super) personal: bool,
    /// The value was looked at and is not personal data.
    pub(super) public: bool,
    /// When it was or will be deprecated, until when it may be used, and what replaces it.
    pub(super) lifecycle: Option<WrittenFieldLife>,
    /// Who uses it is counted, so that its removal can be planned. Nobody is told.
    pub(super) watched: bool,
}

impl WrittenSettings {
    /// What holds for an operation without `x-gateway` in documents that know nothing of it.
    pub(super) fn assumed() -> Self {
        Self {
            upstream: Some("assumed".to_owned()),
            unknown_parameters: Some(UnknownParameters::Ignore),
            ..Self::default()
        }
    }

    /// These settings of an operation, over those of its document; nothing if no upstream is named.
    pub(super) fn resolve(self, document: &Self, method: &Method) -> Option<Settings> {
        let Self {
            upstream,
            upstream_base,
            kinds,
            token_binding,
            sign_in,
            cost,
            limits,
            strictness,
            sample,
            request_codings,
            unchecked,
            record,
            deadline,
            request_bytes_max,
            response_bytes_max,
            streamed,
            idempotent,
            unknown_parameters,
            lifecycle: _,
            versioning: _,
            insecure_backtracking_patterns: _,
        } = self;
        let kinds = kinds.or_else(|| document.kinds.clone());
        Some(Settings {
            upstream: upstream.or_else(|| document.upstream.clone())?,
            upstream_base: upstream_base.or_else(|| document.upstream_base.clone()),
            kinds: kinds.map_or(KindSet::MACHINES, |kinds| kinds.into_iter().collect()),
            token_binding: token_binding.or(document.token_binding),
            sign_in: sign_in.or_else(|| document.sign_in.clone()),
            cost: cost.or(document.cost).unwrap_or(NonZeroU32::MIN),
            limits: limits.or_else(|| document.limits.clone()).unwrap_or_default(),
            strictness: strictness.or(document.strictness).unwrap_or(Strictness::Enforce),
            sample: sample.or(document.sample).unwrap_or(1.0),
            request_codings: request_codings.or_else(|| document.request_codings.clone()).unwrap_or_default(),
            unchecked: unchecked.or_else(|| document.unchecked.clone()).unwrap_or_default(),
            record: record.or(document.record).unwrap_or(Strength::Written),
            deadline: deadline.or(document.deadline).map_or(DEADLINE, |span| span.0),
            request_bytes_max: request_bytes_max
                .or(document.request_bytes_max)
                .map_or(REQUEST_BYTES_MAX, |size| size.0),
            response_bytes_max: response_bytes_max
                .or(document.response_bytes_max)
                .map_or(RESPONSE_BYTES_MAX, |size| size.0),
            streamed: streamed.or(document.streamed).unwrap_or(false),
            // RFC 9110 section 9.2.2: PUT, DELETE and the safe methods are idempotent.
            idempotent: idempotent.or(document.idempotent).unwrap_or_else(|| method.is_idempotent()),
            unknown_parameters: unknown_parameters
                .or(document.unknown_parameters)
                .unwrap_or(UnknownParameters::Refuse),
        })
    }
}

/// Everything that may stand in an `x-gateway`, for the schema that editors use.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum Extension {
    Settings(Box<WrittenSettings>),
    Marks(WrittenMarks),
}

/// The JSON Schema of `x-gateway`, for editors.
#[must_use]
pub fn extension_schema() -> Value {
    schemars::schema_for!(Extension).to_value()
}

/// Longer than a healthy Odoo takes for anything a caller waits for.
const DEADLINE: Duration = Duration::from_secs(10);
/// A thousand order lines; more is a bulk operation and says so.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// A page of a catalogue with all its variants.
const RESPONSE_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn written(text: &str) -> WrittenSettings {
        Document::parse("t.yaml", text).unwrap().to().unwrap()
    }

    #[test]
    fn an_operation_overrides_its_document_and_defaults_fill_the_rest() {
        let document = written("upstream: odoo\ndeadline: 5s\nkinds: [partner, person]\ncost: 2\n");
        let settings = written("deadline: 250ms\nlimits: [{name: burst, quota: 10, window: 1m}]")
            .resolve(&document, &Method::POST);
        let settings = settings.unwrap();
        assert_eq!((settings.upstream.as_str(), settings.deadline), ("odoo", Duration::from_millis(250)));
        assert_eq!(settings.kinds.iter().collect::<Vec<_>>(), [Kind::Partner, Kind::Person]);
        assert_eq!(settings.cost.get(), 2);
        assert_eq!(settings.limits[0].quota.get(), 10);
        assert_eq!(settings.strictness, Strictness::Enforce);
        assert_eq!(settings.record, Strength::Written);
        assert_eq!(settings.unknown_parameters, UnknownParameters::Refuse);
        assert!(!settings.streamed);
    }

    #[test]
    fn people_are_served_only_where_it_is_said() {
        let settings = written("upstream: x").resolve(&WrittenSettings::default(), &Method::GET).unwrap();
        assert!(settings.kinds.contains(Kind::Bot));
        assert!(!settings.kinds.contains(Kind::Person));
    }

    #[test]
    fn a_call_may_be_repeated_as_its_method_or_its_contract_says() {
        let idempotent = |text: &str, method: Method| {
            written(text).resolve(&WrittenSettings::default(), &method).unwrap().idempotent
        };
        assert!(idempotent("upstream: x", Method::GET));
        assert!(idempotent("upstream: x", Method::PUT));
        assert!(idempotent("upstream: x", Method::DELETE));
        assert!(!idempotent("upstream: x", Method::POST));
        assert!(!idempotent("upstream: x", Method::PATCH));
        assert!(idempotent("{upstream: x, idempotent: true}", Method::POST));
    }

    #[test]
    fn an_upstream_must_be_named_somewhere() {
        assert!(WrittenSettings::default().resolve(&WrittenSettings::default(), &Method::GET).is_none());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, told) in [
            ("upstrem: odoo", "t.yaml:1:1: error: unknown key `upstrem`"),
            ("kinds: []", "t.yaml:1:8"),
            ("kinds: [robot]", "t.yaml:1:9"),
            ("cost: 0", "t.yaml:1:7"),
            ("token_binding: bearer", "t.yaml:1:16"),
            ("sign_in: {}", "t.yaml:1:10"),
            ("sign_in: {arc: [x]}", "unknown key `arc`"),
            ("deadline: 5", "t.yaml:1:11"),
            ("upstream_base: ../admin", "t.yaml:1:16"),
            ("lifecycle: {sunst: x}", "unknown key `sunst`"),
        ] {
            match Document::parse("t.yaml", text).unwrap().to::<WrittenSettings>() {
                Ok(settings) => panic!("{text} was read as {settings:?}"),
                Err(mistakes) => assert!(mistakes.to_string().contains(told), "{text}: {mistakes}"),
            }
        }
    }

    #[test]
    fn the_schema_for_editors_knows_every_key() {
        let schema = extension_schema().to_string();
        for key in [
            "upstream_base",
            "token_binding",
            "sign_in",
            "unknown_parameters",
            "lifecycle",
            "successor",
            "personal",
            "watched",
            "window",
        ] {
            assert!(schema.contains(&format!("\"{key}\"")), "{key}");
        }
    }
}
