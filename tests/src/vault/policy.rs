//! What may a token do? The part of Vault's policies that is used here: `path "a/*" { capabilities = [...] }`.

use std::collections::BTreeSet;

/// The rules of one policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    path: String,
    capabilities: BTreeSet<String>,
}

impl Policy {
    /// Reads the policy language as far as it is used: one path after another, `#` for comments.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let without_comments: String =
            text.lines().map(|line| line.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        let mut rules = Vec::new();
        let mut rest = without_comments.trim();
        while !rest.is_empty() {
            rest = rest.strip_prefix("path")?.trim_start().strip_prefix('"')?;
            let (path, after) = rest.split_once('"')?;
            let (body, after) = after.trim_start().strip_prefix('{')?.split_once('}')?;
            let list = body.trim().strip_prefix("capabilities")?.trim_start().strip_prefix('=')?;
            let list = list.trim().strip_prefix('[')?.strip_suffix(']')?;
            let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
            let capabilities = names.filter(|name| !name.is_empty()).collect();
            rules.push(Rule { path: path.to_owned(), capabilities });
            rest = after.trim_start();
        }
        Some(Self(rules))
    }

    /// What Vault gives to every token.
    pub(super) fn default_policy() -> Self {
        let rules = [
            ("auth/token/lookup-self", "read"),
            ("auth/token/renew-self", "update"),
            ("auth/token/revoke-self", "update"),
            ("sys/leases/renew", "update"),
            ("sys/leases/lookup", "update"),
            ("sys/wrapping/lookup", "update"),
            ("sys/wrapping/unwrap", "update"),
            ("sys/wrapping/wrap", "update"),
        ];
        let rule = |(path, capability): (&str, &str)| Rule {
            path: path.to_owned(),
            capabilities: [capability.to_owned()].into(),
        };
        Self(rules.into_iter().map(rule).collect())
    }

    /// Whether one of `wanted` may be done at `path`; a rule that denies wins.
    pub(super) fn allows(&self, path: &str, wanted: &[&str]) -> Verdict {
        let fitting: Vec<&Rule> = self.0.iter().filter(|rule| fits(&rule.path, path)).collect();
        if fitting.iter().any(|rule| rule.capabilities.contains("deny")) {
            return Verdict::Denied;
        }
        let allowed = |rule: &&Rule| wanted.iter().any(|name| rule.capabilities.contains(*name));
        if fitting.iter().any(allowed) { Verdict::Allowed } else { Verdict::Silent }
    }
}

/// What one policy says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    Silent,
}

/// `+` is one segment, `*` at the end is anything.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, open) = match pattern.strip_suffix('*') {
        Some(start) => (start, true),
        None => (pattern, false),
    };
    let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    if wanted.len() > given.len() || (!open && wanted.len() != given.len()) {
        return false;
    }
    let last = wanted.len() - 1;
    wanted.iter().zip(&given).enumerate().all(|(place, (wanted, given))| {
        *wanted == "+" || wanted == given || (open && place == last && given.starts_with(wanted))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_allows_what_it_lists() {
        let text = "# ours\npath \"secret/data/odoo/*\" { capabilities = [\"read\"] }\n\
                    path \"pki/sign/+\" { capabilities = [\"create\", \"update\"] }\n\
                    path \"secret/data/odoo/root\" { capabilities = [\"deny\"] }";
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.allows("secret/data/odoo/api", &["read"]), Verdict::Allowed);
        assert_eq!(policy.allows("secret/data/odoo/api", &["update"]), Verdict::Silent);
        assert_eq!(policy.allows("secret/data/odoo/root", &["read"]), Verdict::Denied);
        assert_eq!(policy.allows("secret/data/other", &["read"]), Verdict::Silent);
        assert_eq!(policy.allows("pki/sign/gateway", &["create", "update"]), Verdict::Allowed);
        assert_eq!(policy.allows("pki/sign/a/b", &["update"]), Verdict::Silent);
        assert!(Policy::parse("path secret").is_none());
    }
}
