//! Does a contract keep to the rules of the security team, and do its examples keep to the contract?
//!
//! A contract is walked object by object, each once. Findings have a rule, a place and help; of a large
//! document as many are shown as a person reads, and all are counted. It does not know what is published.

mod assurance;
mod built_in;
mod cover;
mod example;
mod findings;
mod rule;
mod rules;
mod secret;
mod walk;

use std::path::Path;

use serde_json::{Value, json};

use super::load::{self, Missing};
use super::publish::Name;
use super::schemas::Schemas;
use super::source::{At, Source};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use assurance::Served;
use example::Examples;
use rules::OwnRule;
use walk::{Visited, Walk};

pub use findings::{Count, Finding, Findings};
pub use rule::{BUILT_IN, BuiltIn, Level};
pub use rules::{Object, Rules};

pub(super) use rule::{INVALID_EXAMPLE, LOAD, MISSING_SECURITY};

/// Holds contracts against rules.
#[derive(Debug)]
pub struct Linter<'r> {
    rules: &'r Rules,
    /// Findings of one rule that are shown of one contract.
    shown_max: usize,
    /// Whether each exception was needed.
    needed: Vec<bool>,
}

/// One contract while it is looked at.
struct Looking<'l> {
    rules: &'l Rules,
    source: &'l Source,
    /// `orders/v2`, or what the document is called.
    contract: &'l str,
    shown_max: usize,
    needed: &'l mut [bool],
    findings: Findings,
    served: Served,
}

impl<'r> Linter<'r> {
    /// Holds contracts against `rules`, and shows at most `shown_max` findings of one rule in one contract.
    #[must_use]
    pub fn new(rules: &'r Rules, shown_max: usize) -> Self {
        Self { rules, shown_max, needed: vec![false; rules.exceptions.len()] }
    }

    /// Looks at the contract in `folder`, which the gateway would serve as `name` and diagnostics call `shown`.
    pub fn contract(&mut self, folder: &Path, name: &Name, shown: &str) -> Findings {
        match Source::read(folder, shown) {
            Ok(source) => self.source(&source, name, Missing::Refuse),
            Err(mistakes) => self.unreadable(shown, mistakes),
        }
    }

    /// Looks at the document at `path` (a file, or a folder with one), which need not know the gateway: what only
    /// the gateway asks for may be missing.
    pub fn document(&mut self, path: &Path) -> Findings {
        let shown = path.display().to_string();
        match Source::open(path, shown.trim_end_matches('/')) {
            Ok(source) => self.source(&source, &Name::new("document", "v1"), Missing::Assume),
            Err(mistakes) => self.unreadable(&shown, mistakes),
        }
    }

    pub(super) fn source(&mut self, source: &Source, name: &Name, missing: Missing) -> Findings {
        let loaded = load::read(source, name.api(), name.version(), missing);
        let told = loaded.map_or_else(|mistakes| mistakes, |loaded| loaded.warnings);
        let contract = name.to_string();
        let mut looking = self.looking(source, &contract);
        looking.told(told);
        looking.look();
        looking.findings.in_order()
    }

    fn looking<'l>(&'l mut self, source: &'l Source, contract: &'l str) -> Looking<'l> {
        Looking {
            rules: self.rules,
            source,
            contract,
            shown_max: self.shown_max,
            needed: &mut self.needed,
            findings: Findings::default(),
            served: Served::default(),
        }
    }

    /// What cannot be read at all is told whole.
    fn unreadable(&self, shown: &str, mistakes: Diagnostics) -> Findings {
        let mut findings = Findings::default();
        for diagnostic in mistakes {
            let count = findings.count(LOAD.id, Level::Error);
            count.found = count.found.saturating_add(1);
            let (rule, pointer) = (LOAD.id.to_owned(), shown.to_owned());
            findings.show(Finding { rule, level: Level::Error, diagnostic, pointer });
        }
        findings
    }

    /// The exceptions that nothing needed, once every contract was looked at.
    #[must_use]
    pub fn needless(&self) -> Diagnostics {
        let mut told = Diagnostics::new();
        for (exception, _) in self.rules.exceptions.iter().zip(&self.needed).filter(|(_, needed)| !**needed) {
            let message = format!("nothing needs this exception from `{}` any more", exception.rule);
            let help = format!("remove it; it was for: {}", exception.reason);
            told.push(Diagnostic::warning(exception.place.clone(), message).help(help));
        }
        told
    }
}

impl Looking<'_> {
    /// Takes over what the loader told.
    fn told(&mut self, told: Diagnostics) {
        let (errors, warnings): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|one| one.severity() == Severity::Error);
        let level = if errors.is_empty() { Level::Warning } else { Level::Error };
        for diagnostic in errors.into_iter().chain(warnings) {
            let of = match diagnostic.severity() {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            };
            let count = self.findings.count(LOAD.id, level);
            count.found = count.found.saturating_add(1);
            if count.found <= self.shown_max {
                let (rule, pointer) = (LOAD.id.to_owned(), String::new());
                self.findings.show(Finding { rule, level: of, diagnostic, pointer });
            }
        }
    }

    fn look(&mut self) {
        let Ok(dialect) = load::dialect(self.source) else { return };
        let schemas = Schemas::new(self.source, dialect, load::engine(self.source));
        let mut examples = Examples::new(self.source, schemas);
        let mut walk = Walk::new(self.source, dialect);
        let judges_examples = self.rules.level(INVALID_EXAMPLE) != Level::Off;
        while let Some(visited) = walk.next() {
            let cover = walk.cover(&visited.at);
            self.built_in(&visited, cover);
            self.own(&visited);
            if judges_examples {
                examples.note(&visited);
            }
        }
        self.assurance_of_all();
        for (at, told) in examples.unsatisfying() {
            self.built_in_finding(INVALID_EXAMPLE, &at, told);
        }
    }

    /// Holds one object against the rules of the security team's own.
    fn own(&mut self, visited: &Visited) {
        let rules = self.rules;
        for rule in rules.own.iter().filter(|rule| rule.object == visited.object && rule.level != Level::Off)
        {
            let Some(value) = self.source.value(&visited.at) else { continue };
            let fits = match &visited.call {
                Some((method, path)) => rule.holds_for(&with_call(value, method, path)),
                None => rule.holds_for(value),
            };
            if !fits {
                let OwnRule { id, message, help, level, .. } = rule;
                self.finding(id, *level, &visited.at, message.clone(), help.as_deref());
            }
        }
    }

    fn built_in_finding(&mut self, rule: &'static BuiltIn, at: &At, message: String) {
        self.finding(rule.id, self.rules.level(rule), at, message, Some(rule.help));
    }

    fn finding(&mut self, rule: &str, level: Level, at: &At, message: String, help: Option<&str>) {
        if level == Level::Off {
            return;
        }
        let file = self.source.short_name(at.file);
        let covers = |n: usize| {
            let exception = self.rules.exceptions.get(n);
            exception.is_some_and(|exception| exception.covers(rule, self.contract, file, &at.pointer))
        };
        let excepted = (0..self.rules.exceptions.len()).find(|n| covers(*n));
        let count = self.findings.count(rule, level);
        if let Some(n) = excepted {
            count.excepted = count.excepted.saturating_add(1);
            if let Some(needed) = self.needed.get_mut(n) {
                *needed = true;
            }
            return;
        }
        count.found = count.found.saturating_add(1);
        if count.found > self.shown_max {
            return;
        }
        let diagnostic = match level {
            Level::Error => self.source.error(at, message),
            Level::Warning | Level::Off => self.source.warning(at, message),
        };
        let diagnostic = match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        };
        let pointer = format!("{file}#{}", at.pointer);
        self.findings.show(Finding { rule: rule.to_owned(), level, diagnostic, pointer });
    }
}

impl OwnRule {
    fn holds_for(&self, value: &Value) -> bool {
        let meant = self.when.as_ref().is_none_or(|when| when.is_valid(value));
        !meant || self.must.is_valid(value)
    }
}

/// An operation with its method and path, which stand around it in the contract, beside its own keys.
fn with_call(operation: &Value, method: &str, path: &str) -> Value {
    let mut members = operation.as_object().cloned().unwrap_or_default();
    members.insert("x-method".to_owned(), json!(method));
    members.insert("x-path".to_owned(), json!(path));
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::HEAD;

    const OK: &str = "summary: s, responses: {'204': {description: x}, '4XX': {description: x}}";

    fn rules(text: &str) -> Rules {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("contract-rules.yaml"), text).unwrap();
        let today = "2026-11-28".parse().unwrap();
        Rules::load(folder.path(), today).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
    }

    fn lint_with(rules: &Rules, files: &[(&str, &str)]) -> (Findings, String) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut linter = Linter::new(rules, 20);
        let found = linter.contract(folder.path(), &Name::new("a", "v1"), "contracts/a/v1");
        (found, linter.needless().to_string())
    }

    /// Each finding of a contract as `rule file:line`.
    fn lint(openapi: &str, rest: &str) -> Vec<String> {
        let text = format!("openapi: {openapi}{HEAD}{rest}");
        let (found, _) = lint_with(&Rules::default(), &[("openapi.yaml", &text)]);
        found.shown().iter().map(|one| format!("{} {}", one.rule, one.pointer)).collect()
    }

    fn of_schema(openapi: &str, schema: &str) -> Vec<String> {
        let body = format!("{{content: {{application/json: {{schema: {schema}}}}}}}");
        let found = lint(
            openapi,
            &format!(
                "paths:\n  /a:\n    post: {{operationId: a, {OK}, requestBody: {body}}}\ncomponents:\n  schemas:\n    Base: {{type: object, properties: {{a: {{type: boolean}}}}}}\n"
            ),
        );
        let schema = "/paths/~1a/post/requestBody/content/application~1json/schema";
        found.into_iter().map(|one| one.replace(schema, "")).collect()
    }

    #[test]
    fn a_contract_that_keeps_to_the_rules_has_no_findings() {
        let found = lint("3.1.0", &format!("paths:\n  /a:\n    get: {{operationId: a, {OK}}}\n"));
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_is_asked_of_tokens_and_persons_is_asked_where_it_holds() {
        let schemes =
            "components: {securitySchemes: {t: {type: http, scheme: bearer}, c: {type: mutualTLS}}}";
        let mfa = "sign_in: {amr: [mfa]}";
        for (method, security, gateway, expected) in [
            ("get", "[{t: []}]", "{token_binding: either}".to_owned(), vec![]),
            ("get", "[{c: []}, {t: []}]", "{token_binding: either}".to_owned(), vec![]),
            (
                "get",
                "[{c: []}]",
                "{token_binding: either}".to_owned(),
                vec!["idle-token-binding /token_binding"],
            ),
            ("get", "[]", "{token_binding: either}".to_owned(), vec!["idle-token-binding /token_binding"]),
            ("get", "[{t: []}]", format!("{{{mfa}}}"), vec!["idle-sign-in /sign_in"]),
            ("get", "[{t: []}]", format!("{{kinds: [bot], {mfa}}}"), vec!["idle-sign-in /sign_in"]),
            ("get", "[{t: []}]", format!("{{kinds: [bot, person], {mfa}}}"), vec![]),
            ("get", "[{c: []}]", format!("{{kinds: [person], {mfa}}}"), vec!["idle-sign-in /sign_in"]),
            ("get", "[{t: []}]", "{kinds: [person]}".to_owned(), vec![]),
            ("post", "[{t: []}]", "{kinds: [person]}".to_owned(), vec!["missing-sign-in "]),
            ("post", "[{t: []}]", format!("{{kinds: [person], {mfa}}}"), vec![]),
            ("post", "[{c: []}]", "{kinds: [person]}".to_owned(), vec![]),
            ("post", "[{t: []}]", "{kinds: [bot]}".to_owned(), vec![]),
        ] {
            let operation = format!("{{operationId: a, {OK}, security: {security}, x-gateway: {gateway}}}");
            let found = lint("3.1.0", &format!("paths:\n  /a:\n    {method}: {operation}\n{schemes}\n"));
            let place = format!("#/paths/~1a/{method}");
            let found: Vec<String> = found
                .iter()
                .map(|one| one.replace(&format!("{place}/x-gateway"), "").replace(&place, ""))
                .collect();
            assert_eq!(found, expected, "{method} {security} {gateway}");
        }
    }

    #[test]
    fn what_a_contract_asks_for_all_its_operations_is_asked_of_one_at_least() {
        let text = |kinds: &str, security: &str| {
            format!(
                "openapi: 3.1.0
info: {{title: Sample, version: '1'}}
servers: [{{url: 'https://api.example/api/v1'}}]
security: [{security}]
x-gateway: {{upstream: backend, token_binding: dpop, sign_in: {{amr: [mfa]}}}}
paths:
  /a:
    get: {{operationId: a, {OK}}}
  /b:
    post: {{operationId: b, {OK}, x-gateway: {{kinds: [{kinds}]}}}}
components: {{securitySchemes: {{t: {{type: http, scheme: bearer}}, c: {{type: mutualTLS}}}}}}
"
            )
        };
        for (kinds, security, expected) in [
            ("person", "{t: []}", vec![]),
            ("bot", "{t: []}", vec!["idle-sign-in #/x-gateway/sign_in"]),
            (
                "person",
                "{c: []}",
                vec!["idle-token-binding #/x-gateway/token_binding", "idle-sign-in #/x-gateway/sign_in"],
            ),
        ] {
            let (found, _) = lint_with(&Rules::default(), &[("openapi.yaml", &text(kinds, security))]);
            let mut found: Vec<String> =
                found.shown().iter().map(|one| format!("{} {}", one.rule, one.pointer)).collect();
            found.sort_by_key(|one| std::cmp::Reverse(one.clone()));
            assert_eq!(found, expected, "{kinds} {security}");
        }
    }

    #[test]
    fn what_can_be_asked_of_nobody_is_a_finding_with_its_place() {
        for (gateway, place) in [
            ("{token_binding: bearer}", ":8:"),
            ("{sign_in: {age_max: -5m}}", ":8:"),
            ("{kinds: [person], sign_in: {age_max: 0s}}", "nobody has signed in at this very moment"),
            ("{kinds: [person], sign_in: {acr: ['a b']}}", "a challenge could not tell this word"),
        ] {
            let operation = format!("{{operationId: a, {OK}, x-gateway: {gateway}}}");
            let text = format!("openapi: 3.1.0{HEAD}paths:\n  /a:\n    get: {operation}\n");
            let (found, _) = lint_with(&Rules::default(), &[("openapi.yaml", &text)]);
            let one = found.shown().iter().find(|one| one.rule == "load").expect("a finding");
            assert_eq!(one.level, Level::Error);
            assert!(one.diagnostic.to_string().contains(place), "{gateway}: {}", one.diagnostic);
        }
    }

    #[test]
    fn what_has_no_bound_is_found_where_it_stands() {
        let base = "open-object #/components/schemas/Base";
        for (schema, expected) in [
            ("{type: string}", vec!["unbounded-string #", base]),
            ("{type: string, maxLength: 3}", vec![base]),
            ("{type: array, items: {type: string, maxLength: 3}}", vec!["unbounded-array #", base]),
            ("{type: array, maxItems: 3, items: {type: string}}", vec!["unbounded-string #/items", base]),
            ("{type: object}", vec!["open-object #", base]),
            (
                "{properties: {a: {type: string}}, additionalProperties: false}",
                vec!["unbounded-string #/properties/a", base],
            ),
            ("{type: object, additionalProperties: {type: boolean}}", vec!["unbounded-object #", base]),
            ("{type: object, additionalProperties: {type: boolean}, maxProperties: 3}", vec![base]),
            ("{allOf: [{type: string}, {maxLength: 3}]}", vec![base]),
            (
                "{type: string, maxLength: 9, anyOf: [{type: string, pattern: a}, {type: string, pattern: b}]}",
                vec![base],
            ),
            (
                "{oneOf: [{type: string, maxLength: 3}, {type: string}]}",
                vec!["unbounded-string #/oneOf/1", base],
            ),
            ("{not: {type: string}}", vec![base]),
            ("{type: integer}", vec![base]),
            // Composed objects are closed from outside.
            (
                "{allOf: [{$ref: '#/components/schemas/Base'}, {type: object, properties: {b: {type: boolean}}}], unevaluatedProperties: false}",
                vec![],
            ),
            (
                "{allOf: [{$ref: '#/components/schemas/Base'}, {type: object, properties: {b: {type: boolean}}}]}",
                vec!["open-object #"],
            ),
            ("{$ref: '#/components/schemas/Base'}", vec![base]),
        ] {
            assert_eq!(of_schema("3.1.0", schema), expected, "{schema}");
        }
    }

    #[test]
    fn operations_parameters_and_schemes_are_held_to_their_rules() {
        let param =
            |name: &str| format!("parameters: [{{name: {name}, in: query, schema: {{type: boolean}}}}]");
        for (operation, expected) in [
            (
                "summary: s, responses: {'204': {description: x}}".to_owned(),
                "missing-error-response #/paths/~1a/get/responses",
            ),
            ("responses: {default: {description: x}}".to_owned(), "missing-description #/paths/~1a/get"),
            (format!("{OK}, {}", param("api_key")), "secret-in-query #/paths/~1a/get/parameters/0/name"),
            (
                format!("{OK}, security: [{{oauth: ['orders:*']}}]"),
                "wildcard-scope #/paths/~1a/get/security/0/oauth/0",
            ),
        ] {
            let schemes = "components: {securitySchemes: {oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://x', scopes: {'orders:*': all}}}}}}";
            let found = lint(
                "3.1.0",
                &format!("paths:\n  /a:\n    get: {{operationId: a, {operation}}}\n{schemes}\n"),
            );
            assert!(found.iter().any(|one| one == expected), "{operation}: {found:?}");
            let scope = "#/components/securitySchemes/oauth/flows/clientCredentials/scopes/orders:*";
            assert!(found.contains(&format!("wildcard-scope {scope}")), "{found:?}");
        }
        assert_eq!(
            lint(
                "3.1.0",
                &format!("paths:\n  /a:\n    get: {{operationId: a, {OK}, {}}}\n", param("pageToken"))
            ),
            Vec::<String>::new()
        );
        let plain = lint(
            "3.1.0",
            "paths: {}\ncomponents: {securitySchemes: {k: {type: apiKey, name: key, in: query}}}\n",
        );
        assert!(plain.contains(&"secret-in-query #/components/securitySchemes/k/in".to_owned()), "{plain:?}");
    }

    #[test]
    fn examples_and_defaults_are_held_against_their_schemas() {
        let order = "{type: object, additionalProperties: false, required: [id, n], properties: {id: {type: integer, readOnly: true}, n: {type: integer, minimum: 1, default: 0}, secret: {type: boolean, writeOnly: true}}, example: {id: 1, n: 2, secret: true}}";
        let media = |value: &str| {
            format!("{{schema: {{$ref: '#/components/schemas/O'}}, examples: {{one: {{value: {value}}}}}}}")
        };
        let contract = |request: &str, response: &str| {
            format!(
                "paths:\n  /a:\n    post: {{operationId: a, summary: s, requestBody: {{content: {{application/json: {}}}}}, responses: {{'200': {{description: x, content: {{application/json: {}}}}}, '4XX': {{description: x}}}}, parameters: [{{name: p, in: query, example: x, schema: {{type: integer}}}}]}}\ncomponents: {{schemas: {{O: {order}}}}}\n",
                media(request),
                media(response)
            )
        };
        let found = lint("3.1.0", &contract("{n: 1}", "{id: 1, n: 1}"));
        assert_eq!(
            found,
            [
                "invalid-example #/paths/~1a/post/parameters/0/example",
                "invalid-example #/components/schemas/O/properties/n/default",
            ]
        );
        let found = lint("3.1.0", &contract("{id: 1, n: 1}", "{n: 1}"));
        let examples: Vec<_> = found.iter().filter(|one| one.contains("/examples/one/value")).collect();
        assert_eq!(examples.len(), 2, "{found:?}");
    }

    #[test]
    fn exceptions_take_findings_away_and_needless_ones_are_told() {
        let text = format!(
            "openapi: 3.1.0{HEAD}paths: {{/a: {{get: {{operationId: a, {OK}}}}}}}\ncomponents: {{schemas: {{A: {{type: string}}, B: {{type: string}}}}}}\n"
        );
        let rules = rules(
            "exceptions:
  - {rule: unbounded-string, contract: a, at: '#/components/schemas/A', reason: x}
  - {rule: unbounded-string, contract: b, reason: x}
",
        );
        let (found, needless) = lint_with(&rules, &[("openapi.yaml", &text)]);
        assert_eq!(found.shown().len(), 1);
        assert_eq!(found.shown()[0].pointer, "#/components/schemas/B");
        assert_eq!(found.counts()["unbounded-string"], Count { level: Level::Error, found: 1, excepted: 1 });
        assert!(
            needless.contains("contract-rules.yaml:3:5") && needless.matches("warning").count() == 1,
            "{needless}"
        );
    }

    #[test]
    fn own_rules_say_which_objects_must_fit_what() {
        let text = format!(
            "openapi: 3.1.0{HEAD}paths:\n  /a:\n    get: {{operationId: a, {OK}}}\n    post: {{operationId: b, {OK}}}\n    put: {{operationId: c, x-owner: me, {OK}}}\n"
        );
        let rules = rules(
            "own:
  named-owner:
    object: operation
    when: {properties: {x-method: {enum: [post, put]}}}
    must: {required: [x-owner]}
    message: who writes has an owner
    help: add `x-owner`
    level: warning
",
        );
        let (found, _) = lint_with(&rules, &[("openapi.yaml", &text)]);
        let [one] = found.shown() else { panic!("{found:?}") };
        assert_eq!(
            (one.rule.as_str(), one.level, one.pointer.as_str()),
            ("named-owner", Level::Warning, "#/paths/~1a/post")
        );
        assert_eq!(one.diagnostic.help_text(), Some("add `x-owner`"));
    }

    #[test]
    fn of_many_findings_some_are_shown_and_all_counted() {
        let schemas: String = (0..50).map(|n| format!("    S{n}: {{type: string}}\n")).collect();
        let text = format!("openapi: 3.1.0{HEAD}paths: {{}}\ncomponents:\n  schemas:\n{schemas}");
        let (found, _) = lint_with(&Rules::default(), &[("openapi.yaml", &text)]);
        assert_eq!(found.counts()["unbounded-string"].found, 50);
        assert_eq!(found.shown().iter().filter(|one| one.rule == "unbounded-string").count(), 20);
        assert_eq!(found.hidden(), 30);
        assert_eq!(found.number(Level::Error), 50);
    }

    #[test]
    fn what_does_not_load_or_cannot_be_read_is_an_error() {
        let (found, _) =
            lint_with(&Rules::default(), &[("openapi.yaml", "openapi: 3.1.0\npaths: {}\nsecurty: []\n")]);
        assert!(found.shown().iter().any(|one| one.rule == "load" && one.level == Level::Error), "{found:?}");
        let (found, _) = lint_with(&Rules::default(), &[]);
        assert_eq!((found.number(Level::Error), found.shown().len()), (1, 1));
    }
}
