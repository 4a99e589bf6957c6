//! Which rules are built in, what does each ask, and how strictly unless said otherwise?

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a finding of a rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A contract with this is not published.
    Error,
    /// Worth a look.
    Warning,
    /// Nobody looks.
    Off,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Off => "off",
        }
    }
}

/// A rule that the gateway brings.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// What files and findings call it.
    pub id: &'static str,
    /// How strictly it is held, unless `contract-rules.yaml` says otherwise.
    pub level: Level,
    /// What it asks for.
    pub about: &'static str,
    /// What would mend a breach of it.
    pub(super) help: &'static str,
}

macro_rules! rules {
    ($($name:ident: $id:literal, $level:ident, $about:literal, $help:literal;)*) => {
        $(pub(in crate::contract) const $name: &BuiltIn =
            &BuiltIn { id: $id, level: Level::$level, about: $about, help: $help };)*
        /// Every rule that is built in, by what it is about.
        pub const BUILT_IN: &[&BuiltIn] = &[$($name),*];
    };
}

rules! {
    LOAD: "load", Error,
        "The contract is one that the gateway loads: what `gateway check` says of it.",
        "the gateway serves what it can enforce, and nothing else";
    INVALID_EXAMPLE: "invalid-example", Error,
        "Examples and defaults satisfy their schemas.",
        "mend the example, or the schema that does not say what is meant";
    MISSING_SECURITY: "missing-security", Error,
        "Every operation says who may call it.",
        "add `security`, here or at the root; `security: []` makes the operation public";
    IDLE_TOKEN_BINDING: "idle-token-binding", Error,
        "`token_binding` is asked for only where a token is.",
        "ask for a token in `security`, or remove `token_binding`: whoever reads it believes the operation safer than it is";
    IDLE_SIGN_IN: "idle-sign-in", Error,
        "`sign_in` is asked for only where persons are served, by a token that can say how they signed in.",
        "add `person` to `kinds` and ask for a token in `security`, or remove `sign_in`: machines are never asked";
    MISSING_SIGN_IN: "missing-sign-in", Warning,
        "An operation by which persons change something says how they must have signed in. Off is right where `kinds` in `callers.yaml` asks it of every person.",
        "add `x-gateway: { sign_in: { amr: [mfa], age_max: 12h } }`, here or at the root, or switch the rule off where `kinds.person.sign_in` in `callers.yaml` asks for it";
    WILDCARD_SCOPE: "wildcard-scope", Error,
        "No scope stands for all scopes.",
        "name each scope that is meant: a token with a wildcard opens what nobody thought of";
    SECRET_IN_QUERY: "secret-in-query", Error,
        "No secret travels in a query, which ends up in logs, histories and `Referer` fields.",
        "use the `Authorization` header, a header of its own, or the body";
    PLAIN_SERVER: "plain-server", Error,
        "No server is asked without TLS.",
        "write `https://`, or a path alone";
    MISSING_ERROR_RESPONSE: "missing-error-response", Error,
        "Every operation says how it answers what it does not accept.",
        "describe a 4xx status, `4XX` or `default`; the gateway passes on only what is described";
    UNBOUNDED_STRING: "unbounded-string", Error,
        "Every string has a longest length.",
        "add `maxLength`, an `enum`, a `format` of bounded length, or a `pattern` from `^` to `$` without `*` and `+`";
    UNBOUNDED_ARRAY: "unbounded-array", Error,
        "Every array has a greatest number of items.",
        "add `maxItems`";
    UNBOUNDED_OBJECT: "unbounded-object", Error,
        "Every object that takes any property has a greatest number of them.",
        "add `maxProperties`, or name the properties and say `additionalProperties: false`";
    OPEN_OBJECT: "open-object", Error,
        "Every object says whether it may have other properties than those it names.",
        "add `additionalProperties: false`, or, around an `allOf`, `unevaluatedProperties: false`";
    UNBOUNDED_NUMBER: "unbounded-number", Off,
        "Every number has a least and a greatest value.",
        "add `minimum` and `maximum`, or a `format` such as `int32`";
    MISSING_DESCRIPTION: "missing-description", Warning,
        "Every operation says what it is for.",
        "add a `summary` or a `description`";
}

/// How strictly each built-in rule is held, as it is written: a map whose keys are the rules above.
pub(super) fn levels_schema(generator: &mut SchemaGenerator) -> Schema {
    let level = generator.subschema_for::<Level>();
    let properties: Map<String, Value> = BUILT_IN
        .iter()
        // What does not load is not served, whatever a file of rules says.
        .filter(|rule| **rule != LOAD)
        .map(|rule| {
            let about = format!("{} Default: {}.", rule.about, rule.level.as_str());
            (rule.id.to_owned(), json!({ "description": about, "allOf": [level] }))
        })
        .collect();
    json_schema!({ "type": "object", "additionalProperties": false, "properties": properties })
}
