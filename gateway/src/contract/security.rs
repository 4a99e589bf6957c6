//! How must a caller prove itself, by the contract? OpenAPI security requirements.
//!
//! Only tokens and client certificates prove anything here. An alternative that asks for a key or a password
//! is left out, which leaves fewer ways in; a contract that has no other does not load. It does not know
//! callers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::source::{At, Source};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// One alternative of a `security` list: everything in it is needed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// An access token with at least these scopes.
    pub token: Option<Scopes>,
    /// A client certificate on the connection.
    pub certificate: bool,
}

/// The scopes that a token must have, all of them; sorted. Empty when any valid token will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether no scope is asked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a scheme means for a requirement that names it.
enum Meaning {
    Read,
    /// It proves too little to be asked for; why.
    TooLittle(Diagnostic),
}

/// The alternatives at `at` (a `security` list), and what is worth a look; none at all when the operation is
/// public.
pub(super) fn read(source: &Source, at: &At) -> Result<(Vec<Requirement>, Diagnostics), Diagnostics> {
    let (mut mistakes, mut left_out) = (Diagnostics::new(), Vec::new());
    let Some(alternatives) = source.value(at).and_then(Value::as_array) else {
        return Err(source.error(at, "`security` is a list").into());
    };
    let mut requirements = Vec::new();
    for (n, alternative) in alternatives.iter().enumerate() {
        let at = at.item(n);
        let Some(schemes) = alternative.as_object() else {
            mistakes.push(source.error(&at, "a security requirement is a mapping of schemes to scopes"));
            continue;
        };
        let mut requirement = Requirement { token: None, certificate: false };
        let mut enforced = true;
        for name in schemes.keys() {
            match add(source, &at.key(name), name, &mut requirement) {
                Ok(Meaning::Read) => {}
                Ok(Meaning::TooLittle(why)) => {
                    enforced = false;
                    left_out.push((at.clone(), name.clone(), why));
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        // Half of what is needed together is not enough.
        if enforced {
            requirements.push(requirement);
        }
    }
    for (at, name, why) in left_out {
        if requirements.is_empty() {
            // Without alternatives the operation would be public.
            mistakes.push(why);
        } else {
            let told =
                format!("this alternative is left out: the security scheme `{name}` proves too little");
            mistakes.push(source.warning(&at, told).help(HELP));
        }
    }
    mistakes.into_result(Some(requirements))
}

/// Adds what the scheme `name`, required at `at`, asks for.
fn add(source: &Source, at: &At, name: &str, requirement: &mut Requirement) -> Result<Meaning, Diagnostic> {
    let schemes = source.root().key("components").key("securitySchemes");
    if source.member(&schemes, name).is_none() {
        let known = source.value(&schemes).and_then(Value::as_object);
        let known: Vec<&str> = known.into_iter().flat_map(|all| all.keys()).map(String::as_str).collect();
        let mistake = Diagnostic::error(source.key_place(at), format!("unknown security scheme `{name}`"));
        return Err(mistake.did_you_mean(name, known));
    }
    let scheme = source.follow(schemes.key(name))?;
    let word = |key: &str| source.member(&scheme, key).and_then(Value::as_str).unwrap_or_default();
    match (word("type"), word("scheme").to_ascii_lowercase().as_str()) {
        // `mutualTLS` is new in 3.1; in 3.0 there is no other word for it, so it is understood too.
        ("mutualTLS", _) => {
            requirement.certificate = true;
            Ok(Meaning::Read)
        }
        ("oauth2" | "openIdConnect", _) | ("http", "bearer") => {
            let scopes = required_scopes(source, at, &scheme)?;
            let token = requirement.token.get_or_insert_default();
            let all: BTreeSet<String> = token.0.drain(..).chain(scopes).collect();
            token.0 = all.into_iter().collect();
            Ok(Meaning::Read)
        }
        (kind @ ("apiKey" | "http"), _) => {
            let told = format!("the security scheme `{name}` (`{kind}`) proves too little to be served");
            Ok(Meaning::TooLittle(source.error(&scheme, told).help(HELP)))
        }
        (kind, _) => {
            let told = format!("`{kind}` is no type of a security scheme");
            let known = ["apiKey", "http", "mutualTLS", "oauth2", "openIdConnect"];
            Err(source.error(&scheme.key("type"), told).did_you_mean(kind, known))
        }
    }
}

const HELP: &str = "use `oauth2`, `openIdConnect`, `http` with `bearer`, or `mutualTLS`";

fn required_scopes(source: &Source, at: &At, scheme: &At) -> Result<Vec<String>, Diagnostic> {
    let Some(listed) = source.value(at).and_then(Value::as_array) else {
        return Err(source.error(at, "the scopes of a security requirement are a list"));
    };
    let flows = source.member(scheme, "flows").and_then(Value::as_object);
    let declared: Option<BTreeSet<&str>> = flows.map(|flows| {
        let scopes = flows.values().filter_map(|flow| flow.get("scopes")?.as_object());
        scopes.flat_map(|scopes| scopes.keys()).map(String::as_str).collect()
    });
    let mut scopes = Vec::new();
    for (n, scope) in listed.iter().enumerate() {
        let at = at.item(n);
        // RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
        let is_token =
            |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        let Some(scope) = scope.as_str().filter(is_token) else {
            return Err(source.error(&at, "a scope is a word without spaces, quotes and backslashes"));
        };
        if let Some(declared) = declared.as_ref().filter(|declared| !declared.contains(scope)) {
            let mistake =
                source.error(&at, format!("the scope `{scope}` is not declared in any flow of its scheme"));
            return Err(mistake.did_you_mean(scope, declared.iter().copied()));
        }
        scopes.push(scope.to_owned());
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: &str = "
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://i/t', scopes: {'orders:read': r, 'orders:write': w}}}}
    oidc: {type: openIdConnect, openIdConnectUrl: 'https://i/.well-known/openid-configuration'}
    bearer: {type: http, scheme: Bearer}
    mtls: {type: mutualTLS}
    key: {type: apiKey, in: header, name: X-Key}
    basic: {type: http, scheme: basic}
    odd: {type: oauth}
";

    fn read_list(list: &str) -> Result<(Vec<Requirement>, Diagnostics), Diagnostics> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), format!("security: {list}{SCHEMES}")).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        read(&source, &source.root().key("security"))
    }

    fn requirement(scopes: Option<&[&str]>, certificate: bool) -> Requirement {
        let token = scopes.map(|scopes| Scopes(scopes.iter().map(|s| (*s).to_owned()).collect()));
        Requirement { token, certificate }
    }

    #[test]
    fn alternatives_are_read_as_or_of_ands() {
        for (list, requirements) in [
            ("[]", vec![]),
            ("[{}]", vec![requirement(None, false)]),
            ("[{oauth: []}]", vec![requirement(Some(&[]), false)]),
            (
                "[{oauth: ['orders:write', 'orders:read']}]",
                vec![requirement(Some(&["orders:read", "orders:write"]), false)],
            ),
            (
                "[{mtls: []}, {bearer: [admin]}]",
                vec![requirement(None, true), requirement(Some(&["admin"]), false)],
            ),
            ("[{mtls: [], oidc: [openid]}]", vec![requirement(Some(&["openid"]), true)]),
            (
                "[{oauth: ['orders:read'], bearer: [x]}]",
                vec![requirement(Some(&["orders:read", "x"]), false)],
            ),
        ] {
            let (read, told) = read_list(list).unwrap();
            assert_eq!((read, told.is_empty()), (requirements, true), "{list}");
        }
    }

    #[test]
    fn an_alternative_that_proves_too_little_is_left_out_and_never_opens_the_operation() {
        for (list, requirements) in [
            ("[{basic: []}, {bearer: []}]", vec![requirement(Some(&[]), false)]),
            ("[{mtls: []}, {bearer: [], key: []}]", vec![requirement(None, true)]),
            ("[{key: []}, {basic: []}, {mtls: []}]", vec![requirement(None, true)]),
        ] {
            let (read, told) = read_list(list).unwrap();
            assert_eq!(read, requirements, "{list}");
            assert!(told.to_string().contains("this alternative is left out"), "{list}: {told}");
        }
        assert!(read_list("[{bearer: [], key: []}]").is_err());
    }

    #[test]
    fn what_proves_too_little_or_is_not_declared_does_not_load() {
        for (list, told) in [
            ("[{key: []}]", "`key` (`apiKey`) proves too little"),
            ("[{basic: []}]", "`basic` (`http`) proves too little"),
            ("[{odd: []}]", "`oauth` is no type of a security scheme"),
            ("[{oaut: []}]", "unknown security scheme `oaut`"),
            ("[{oauth: ['orders:raed']}]", "did you mean `orders:read`?"),
            ("[{bearer: ['a b']}]", "a scope is a word"),
            ("[{bearer: x}]", "are a list"),
            ("[bearer]", "a mapping of schemes"),
            ("bearer", "is a list"),
        ] {
            let shown = read_list(list).unwrap_err().to_string();
            assert!(shown.contains(told), "{list}: {shown}");
        }
    }
}
