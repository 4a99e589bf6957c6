//! What does `policies/contract-rules.yaml` ask of contracts? How strictly each rule is held, where it is not,
//! and the rules of the security team's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;
use jsonschema::Validator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{BUILT_IN, BuiltIn, Level, levels_schema};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, token};
use crate::units::Span;

/// What contracts are held to.
#[derive(Debug)]
pub struct Rules {
    levels: BTreeMap<String, Level>,
    pub(super) exceptions: Vec<Exception>,
    pub(super) own: Vec<OwnRule>,
    sunset_notice: Duration,
}

/// Where a rule is not held, and why.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) rule: String,
    /// `orders`, `orders/v2`, or nothing for every contract.
    contract: Option<String>,
    /// A file and a JSON Pointer in it; nothing for the whole contract.
    at: Option<(String, String)>,
    pub(super) reason: String,
    pub(super) place: Place,
}

/// A rule of the security team's own.
#[derive(Debug)]
pub(super) struct OwnRule {
    pub(super) id: String,
    pub(super) object: Object,
    /// Which objects are meant; all of the kind when absent.
    pub(super) when: Option<Validator>,
    pub(super) must: Validator,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) level: Level,
}

/// What stands in a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// The whole document.
    Document,
    /// A path with its operations.
    PathItem,
    /// An operation.
    Operation,
    /// A parameter of an operation.
    Parameter,
    /// The body of a request.
    RequestBody,
    /// A response of an operation.
    Response,
    /// A header of a response.
    Header,
    /// A media type of a body.
    MediaType,
    /// A schema that describes a value.
    Schema,
    /// A way in which callers prove themselves.
    SecurityScheme,
}

/// What every contract must keep to before it is published. `gateway contract lint` says where one does not.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "policies/contract-rules.yaml")]
struct Written {
    /// How strictly the built-in rules are held: `error` keeps a contract from being published, `warning` is told,
    /// `off` is not looked at.
    #[schemars(schema_with = "levels_schema")]
    rules: BTreeMap<String, Level>,
    /// Where a rule is not held. An exception that nothing needs any more is told.
    exceptions: Vec<WrittenException>,
    /// Rules of your own, by the id that findings and exceptions use.
    own: BTreeMap<String, WrittenOwn>,
    /// The least time from the day on which a sunset is first published to the sunset. Default: 30d.
    sunset_notice: Option<Span>,
}

/// A place where a rule is not held.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenException {
    /// The rule.
    rule: String,
    /// An API (`orders`) or a version of one (`orders/v1`). Default: every contract.
    #[serde(default)]
    #[schemars(regex(pattern = "^[a-z0-9._-]+(/[a-z0-9._-]+)?$"))]
    contract: Option<String>,
    /// The place, and everything below it: `#/components/schemas/Order`, or `schemas/order.yaml#/properties`.
    /// Default: the whole contract.
    #[serde(default)]
    #[schemars(regex(pattern = "^[^#]*#(/.*)?$"))]
    at: Option<String>,
    /// Why this is right.
    #[schemars(length(min = 1))]
    reason: String,
    /// The day after which it is an exception no more, as YYYY-MM-DD.
    #[serde(default)]
    #[schemars(extend("format" = "date"))]
    until: Option<String>,
}

/// A rule: every object of a kind, or every one that `when` fits, must fit a schema.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenOwn {
    /// What is looked at, one by one. References to it are followed; those inside it stay as they are written.
    object: Object,
    /// A JSON Schema (2020-12): only objects that fit it are meant. `method`, `path` and `operationId` of an
    /// operation stand beside its own keys, as `x-method` and `x-path`.
    #[serde(default)]
    when: Option<Map<String, Value>>,
    /// A JSON Schema (2020-12) that each of them must fit.
    must: Map<String, Value>,
    /// What a finding says: one sentence.
    #[schemars(length(min = 1))]
    message: String,
    /// What would mend it.
    #[serde(default)]
    #[schemars(length(min = 1))]
    help: Option<String>,
    /// How strictly it is held. Default: error.
    #[serde(default)]
    level: Option<Level>,
}

impl Rules {
    /// Reads `contract-rules.yaml` in the folder `policies`. Without such a file the built-in rules are held as
    /// strictly as they come. `today` decides which exceptions have ended.
    ///
    /// # Errors
    /// All mistakes in it, each with its place.
    pub fn load(policies: &Path, today: Date) -> Result<(Self, Diagnostics), Diagnostics> {
        let path = policies.join(FILE);
        let name = path.display().to_string();
        match path.try_exists() {
            Ok(false) if !path.is_symlink() => Ok((Self::default(), Diagnostics::new())),
            Ok(_) => Self::read(&Document::read(&path, &name)?, today),
            Err(fault) => {
                Err(Diagnostic::error(Place::file(&name), format!("cannot be read: {}", fault.kind())).into())
            }
        }
    }

    fn read(document: &Document, today: Date) -> Result<(Self, Diagnostics), Diagnostics> {
        let Written { rules, exceptions, own, sunset_notice } = document.to()?;
        let mut mistakes = Diagnostics::new();
        let own: Vec<OwnRule> = own
            .into_iter()
            .filter_map(|(id, written)| {
                let rule = own_rule(document, id, written);
                mistakes.keep(rule)
            })
            .collect();
        let mut held = Vec::new();
        for (n, written) in exceptions.into_iter().enumerate() {
            held.extend(exception(document, n, written, &own, today, &mut mistakes));
        }
        let sunset_notice = sunset_notice.map_or(SUNSET_NOTICE, |span| span.0);
        mistakes.into_result(Some(Self { levels: rules, exceptions: held, own, sunset_notice }))
    }

    /// How strictly a built-in rule is held.
    #[must_use]
    pub fn level(&self, rule: &BuiltIn) -> Level {
        self.levels.get(rule.id).copied().unwrap_or(rule.level)
    }

    /// The least time between the first word of a sunset and the sunset.
    #[must_use]
    pub const fn sunset_notice(&self) -> Duration {
        self.sunset_notice
    }

    /// The same rules with these held as errors, whatever the file says.
    #[must_use]
    pub(in super::super) fn insisting_on(mut self, rules: &[&BuiltIn]) -> Self {
        self.levels.extend(rules.iter().map(|rule| (rule.id.to_owned(), Level::Error)));
        self
    }

    /// The JSON Schema of the file, for editors.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(Written).to_value()
    }
}

impl Default for Rules {
    fn default() -> Self {
        let (levels, exceptions, own) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { levels, exceptions, own, sunset_notice: SUNSET_NOTICE }
    }
}

impl Exception {
    /// Whether the place at `pointer` in `file` of the contract `api/version` is one where `rule` is not held.
    pub(super) fn covers(&self, rule: &str, contract: &str, file: &str, pointer: &str) -> bool {
        let api = contract.split('/').next().unwrap_or_default();
        let of_contract = self.contract.as_deref().is_none_or(|named| named == contract || named == api);
        let at_place = self.at.as_ref().is_none_or(|(in_file, below)| {
            in_file == file
                && pointer
                    .strip_prefix(below.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        self.rule == rule && of_contract && at_place
    }
}

fn own_rule(document: &Document, id: String, written: WrittenOwn) -> Result<OwnRule, Diagnostics> {
    let at = format!("/own/{}", token(&id));
    let WrittenOwn { object, when, must, message, help, level } = written;
    let mut mistakes = Diagnostics::new();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if id.is_empty() || !id.bytes().all(plain) {
        let told = Diagnostic::error(document.key_place(&at), format!("`{id}` is not the id of a rule"));
        mistakes.push(told.help("a-z, 0-9 and `-`"));
    }
    if BUILT_IN.iter().any(|rule| rule.id == id) {
        let told = Diagnostic::error(document.key_place(&at), format!("`{id}` is a built-in rule"));
        mistakes.push(told.help("say how strictly it is held under `rules`; give your own another id"));
    }
    let mut compile = |key: &str, schema: Map<String, Value>| {
        let options = jsonschema::options()
            .offline()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(jsonschema::PatternOptions::regex());
        let built = options.build(&Value::Object(schema)).map_err(|fault| {
            let place = document.place(&format!("{at}/{key}{}", fault.instance_path().as_str()));
            Diagnostics::from(Diagnostic::error(place, format!("not a usable schema: {fault}")))
        });
        mistakes.keep(built)
    };
    let when = when.map(|schema| compile("when", schema));
    let must = compile("must", must);
    let level = level.unwrap_or(Level::Error);
    let when = when.map_or(Some(None), |built| built.map(Some));
    let rule = when.zip(must).map(|(when, must)| OwnRule { id, object, when, must, message, help, level });
    mistakes.into_result(rule).map(|(rule, _)| rule)
}

/// An exception, unless its time is over.
fn exception(
    document: &Document,
    number: usize,
    written: WrittenException,
    own: &[OwnRule],
    today: Date,
    told: &mut Diagnostics,
) -> Option<Exception> {
    let at = format!("/exceptions/{number}");
    let WrittenException { rule, contract, at: place, reason, until } = written;
    let known = || BUILT_IN.iter().map(|rule| rule.id).chain(own.iter().map(|rule| rule.id.as_str()));
    if !known().any(|id| id == rule) {
        let mistake =
            Diagnostic::error(document.place(&format!("{at}/rule")), format!("unknown rule `{rule}`"));
        told.push(mistake.did_you_mean(&rule, known()));
    }
    if let Some(until) = until {
        let place = document.place(&format!("{at}/until"));
        match until.parse::<Date>() {
            Err(_not_a_date) => {
                told.push(Diagnostic::error(place, format!("`{until}` is no date; write YYYY-MM-DD")));
            }
            Ok(last) if last < today => {
                let over =
                    Diagnostic::warning(place, format!("this exception from `{rule}` ended on {last}"));
                told.push(over.help("mend the contract, or say again why not and until when"));
                return None;
            }
            Ok(_) => {}
        }
    }
    let at_place = place.and_then(|place| {
        let (file, pointer) = place.split_once('#')?;
        Some((file.trim_start_matches("./").to_owned(), pointer.to_owned()))
    });
    Some(Exception { rule, contract, at: at_place, reason, place: document.place(&at) })
}

/// The file in the folder of the policies.
const FILE: &str = "contract-rules.yaml";
/// A month to read an announcement, plan and move; large partners ask for more.
const SUNSET_NOTICE: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::super::rule::{OPEN_OBJECT, UNBOUNDED_NUMBER, UNBOUNDED_STRING};
    use super::*;

    fn read(text: &str) -> Result<(Rules, Diagnostics), Diagnostics> {
        let today = "2026-11-28".parse().unwrap();
        Document::parse("policies/contract-rules.yaml", text)
            .and_then(|document| Rules::read(&document, today))
    }

    #[test]
    fn levels_exceptions_and_own_rules_are_read() {
        let (rules, warnings) = read(
            "rules: {unbounded-string: warning, unbounded-number: error}
exceptions:
  - {rule: unbounded-array, contract: orders/v1, at: '#/components/schemas/Order', reason: old}
  - {rule: named-owner, contract: stock, reason: one team}
  - {rule: open-object, at: 'schemas/x.yaml#', reason: free form, until: 2026-11-28}
  - {rule: open-object, reason: forgotten, until: 2026-11-27}
own:
  named-owner: {object: operation, must: {required: [x-owner]}, message: every operation has an owner}
sunset_notice: 90d
",
        )
        .unwrap();
        assert_eq!(rules.level(UNBOUNDED_STRING), Level::Warning);
        assert_eq!(rules.level(UNBOUNDED_NUMBER), Level::Error);
        assert_eq!(rules.level(OPEN_OBJECT), Level::Error);
        assert_eq!(rules.sunset_notice().as_secs(), 90 * 86_400);
        assert_eq!((rules.own.len(), rules.exceptions.len()), (1, 3));
        assert!(warnings.to_string().contains("ended on 2026-11-27"), "{warnings}");
        let covers = |n: usize, rule: &str, contract: &str, file: &str, pointer: &str| {
            rules.exceptions[n].covers(rule, contract, file, pointer)
        };
        assert!(covers(0, "unbounded-array", "orders/v1", "", "/components/schemas/Order/properties/a"));
        assert!(!covers(0, "unbounded-array", "orders/v1", "", "/components/schemas/Orders"));
        assert!(!covers(0, "unbounded-array", "orders/v2", "", "/components/schemas/Order"));
        assert!(!covers(0, "unbounded-string", "orders/v1", "", "/components/schemas/Order"));
        assert!(covers(1, "named-owner", "stock/v7", "", "/anything"));
        assert!(covers(2, "open-object", "a/v1", "schemas/x.yaml", "/properties"));
        assert!(!covers(2, "open-object", "a/v1", "", "/properties"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_help() {
        for (text, place, help) in [
            (
                "rules: {unbounded-strin: error}",
                ":1:9: error: unknown key `unbounded-strin`",
                "`unbounded-string`",
            ),
            ("rules: {load: off}", ":1:9: error: unknown key `load`", ""),
            ("rules: {open-object: eror}", ":1:22: error: `eror`", "`error`"),
            ("exceptions: [{rule: open-objekt, reason: x}]", ":1:21: error: unknown rule", "`open-object`"),
            ("exceptions: [{rule: open-object}]", "key `reason` is missing", ""),
            ("exceptions: [{rule: open-object, reason: x, until: soon}]", ":1:52: error:", ""),
            ("exceptions: [{rule: open-object, reason: x, at: /a}]", ":1:49: error:", ""),
            ("own: {a: {object: operatoin, must: {}, message: x}}", ":1:19: error:", "`operation`"),
            (
                "own: {a: {object: schema, must: {type: strin}, message: x}}",
                ":1:40: error: not a usable schema",
                "",
            ),
            ("own: {a: {object: schema, when: {pattern: '(?=a)'}, must: {}, message: x}}", ":1:", ""),
            (
                "own: {open-object: {object: schema, must: {}, message: x}}",
                "is a built-in rule",
                "another id",
            ),
            ("own: {A b: {object: schema, must: {}, message: x}}", "not the id of a rule", ""),
            ("sunset_notice: 3", ":1:16: error:", ""),
            ("exemptions: []", "unknown key `exemptions`", "`exceptions`"),
        ] {
            let told = match read(text) {
                Ok(read) => panic!("{text} was read as {read:?}"),
                Err(mistakes) => mistakes.to_string(),
            };
            assert!(told.contains(place) && told.contains(help), "{text}\n{told}");
        }
    }

    #[test]
    fn the_schema_for_editors_knows_every_rule() {
        let schema = Rules::schema().to_string();
        for rule in BUILT_IN.iter().filter(|rule| rule.id != "load") {
            assert!(schema.contains(&format!("\"{}\"", rule.id)), "{}", rule.id);
        }
    }
}
