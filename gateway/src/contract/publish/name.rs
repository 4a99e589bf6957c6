//! What is a contract called, and which of its versions promise not to break each other?

use std::fmt;
use std::str::FromStr;

/// One version of one API: `orders/v2`, as its folder is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    api: String,
    version: String,
}

/// What is no name of a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no contract; write API/VERSION, such as `orders/v2`")]
pub struct NotAName(String);

/// Versions of one API with the same major are held to what each other promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Major {
    /// The first number: `v1`, `v1_1` and `1-2` have the major 1.
    Number(u64),
    /// A name that is no number, a date among them: it promises for itself alone.
    Own(String),
}

impl Name {
    /// The contract `version` of `api`.
    #[must_use]
    pub fn new(api: &str, version: &str) -> Self {
        Self { api: api.to_owned(), version: version.to_owned() }
    }

    /// The API.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Which versions of the API it must not break.
    #[must_use]
    pub fn major(&self) -> Major {
        match numbers(&self.version).as_deref() {
            Some([major, ..]) if !is_date(&self.version) => Major::Number(*major),
            _ => Major::Own(self.version.clone()),
        }
    }

    /// Whether `other` is an earlier version of the same API and major.
    pub(super) fn follows(&self, other: &Self) -> bool {
        let (mine, theirs) = (numbers(&self.version), numbers(&other.version));
        self.api == other.api && self.major() == other.major() && mine > theirs
    }
}

/// The numbers of `v1`, `1.2`, `v1_2_3`; nothing if there is anything else in the name.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let plain = version.strip_prefix('v').unwrap_or(version);
    plain.split(['.', '_', '-']).map(|part| part.parse().ok()).collect()
}

/// `2026-11` and `2026-11-01`. A new date is how an API that is versioned by date breaks with the one before.
fn is_date(version: &str) -> bool {
    let parts: Vec<&str> = version.split('-').collect();
    let is = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
    match parts.as_slice() {
        [year, month] => is(year, 4) && is(month, 2),
        [year, month, day] => is(year, 4) && is(month, 2) && is(day, 2),
        _ => false,
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.api, self.version)
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        // What a shell completes to is understood too: `contracts/orders/v2/`.
        let trimmed = text.trim_end_matches('/');
        let mut parts = trimmed.rsplit('/');
        let plain = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b))
        };
        let version = parts.next().filter(plain);
        let api = parts.next().filter(plain);
        match (api, version) {
            (Some(api), Some(version)) if !api.starts_with('.') && !version.starts_with('.') => {
                Ok(Self::new(api, version))
            }
            _ => Err(NotAName(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_read_as_people_and_shells_write_it() {
        for text in ["orders/v2", "contracts/orders/v2", "/a/b/contracts/orders/v2/"] {
            assert_eq!(name(text), Name::new("orders", "v2"), "{text}");
        }
        for text in ["orders", "", "/", "orders/", "Orders/v2", "orders/v 2", "../v2", "orders/.."] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_major_is_the_first_number_unless_the_version_is_a_date_or_a_word() {
        for (version, major) in [
            ("v1", Major::Number(1)),
            ("v1.1", Major::Number(1)),
            ("v1_1", Major::Number(1)),
            ("1-2-3", Major::Number(1)),
            ("v10", Major::Number(10)),
            ("2026-11", Major::Own("2026-11".to_owned())),
            ("2026-11-01", Major::Own("2026-11-01".to_owned())),
            ("v2beta", Major::Own("v2beta".to_owned())),
            ("v2-beta", Major::Own("v2-beta".to_owned())),
            ("next", Major::Own("next".to_owned())),
        ] {
            assert_eq!(Name::new("a", version).major(), major, "{version}");
        }
    }

    #[test]
    fn a_version_follows_the_earlier_ones_of_its_api_and_major() {
        for (one, other, follows) in [
            ("a/v1_1", "a/v1", true),
            ("a/v1_10", "a/v1_9", true),
            ("a/v1", "a/v1_1", false),
            ("a/v1", "a/v1", false),
            ("a/v2", "a/v1", false),
            ("b/v1_1", "a/v1", false),
            ("a/2026-12", "a/2026-11", false),
        ] {
            assert_eq!(name(one).follows(&name(other)), follows, "{one} {other}");
        }
    }
}
