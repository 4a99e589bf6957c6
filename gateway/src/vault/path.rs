//! Where in Vault is a secret? Parses `kv2:secret/odoo/api`, and nothing that could lead elsewhere.

use std::fmt;
use std::str::FromStr;

/// How a mount is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Key/value, version 1: one value.
    Kv1,
    /// Key/value, version 2: the latest version is read.
    Kv2,
    /// Any engine that makes a secret when it is read, and lends it by lease.
    Dynamic,
}

/// The place of a secret in Vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretPath {
    /// How it is read.
    pub engine: Engine,
    /// Where the engine is mounted, such as `secret` or `teams/shop/kv`.
    pub mount: String,
    /// The path below the mount, such as `odoo/api`, or `creds/shop` for database credentials.
    pub path: String,
}

/// A text that names no place in Vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretPathError {
    /// No known engine before the colon.
    #[error("the engine is one of `kv1`, `kv2` and `dynamic`")]
    Engine,
    /// No mount, or no path below it.
    #[error("a mount and a path below it are wanted, such as `kv2:secret/odoo/api`")]
    Missing,
    /// A segment that is empty, or `.`, or `..`, or has other characters than Vault's paths usually have.
    #[error("a path is made of segments of letters, digits and `-_.@+=~:`")]
    Segment,
}

impl FromStr for SecretPath {
    type Err = SecretPathError;

    /// The mount is the first segment; one with slashes ends at `//`: `kv2:teams/shop//odoo/api`.
    fn from_str(text: &str) -> Result<Self, SecretPathError> {
        let (engine, place) = text.split_once(':').ok_or(SecretPathError::Engine)?;
        let engine = match engine {
            "kv1" => Engine::Kv1,
            "kv2" => Engine::Kv2,
            "dynamic" => Engine::Dynamic,
            _ => return Err(SecretPathError::Engine),
        };
        let (mount, path) = match place.split_once("//") {
            Some(parts) => parts,
            None => place.split_once('/').ok_or(SecretPathError::Missing)?,
        };
        if mount.is_empty() || path.is_empty() {
            return Err(SecretPathError::Missing);
        }
        if !is_path(mount) || !is_path(path) {
            return Err(SecretPathError::Segment);
        }
        Ok(Self { engine, mount: mount.to_owned(), path: path.to_owned() })
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.engine {
            Engine::Kv1 => "kv1",
            Engine::Kv2 => "kv2",
            Engine::Dynamic => "dynamic",
        };
        let between = if self.mount.contains('/') { "//" } else { "/" };
        write!(f, "{engine}:{}{between}{}", self.mount, self.path)
    }
}

/// Whether a mount or a path goes down only: what is written is what is asked for, without any escaping.
#[must_use]
pub fn is_path(text: &str) -> bool {
    text.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+=~:".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_names_engine_mount_and_place() {
        let check = |text: &str, engine, mount: &str, path: &str| {
            let parsed: SecretPath = text.parse().unwrap();
            assert_eq!(parsed, SecretPath { engine, mount: mount.to_owned(), path: path.to_owned() });
            assert_eq!(parsed.to_string(), text);
        };
        check("kv2:secret/odoo/api", Engine::Kv2, "secret", "odoo/api");
        check("kv1:old/odoo", Engine::Kv1, "old", "odoo");
        check("dynamic:database/creds/shop", Engine::Dynamic, "database", "creds/shop");
        check("kv2:teams/shop//odoo/api", Engine::Kv2, "teams/shop", "odoo/api");
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_path() {
        let check = |text: &str, error| assert_eq!(text.parse::<SecretPath>(), Err(error), "{text}");
        check("secret/odoo", SecretPathError::Engine);
        check("kv3:secret/odoo", SecretPathError::Engine);
        check("kv2:secret", SecretPathError::Missing);
        check("kv2:/odoo", SecretPathError::Missing);
        check("kv2:secret/", SecretPathError::Missing);
        for text in [
            "kv2:secret/../sys/raw",
            "kv2:secret/a/./b",
            "kv2:secret/a?version=1",
            "kv2:secret/a#b",
            "kv2:secret/a%2e",
            "kv2:secret/a b",
            "kv2:secret/a//b//c",
            "kv2:secret/ä",
            "kv2:secret/a\\b",
        ] {
            check(text, SecretPathError::Segment);
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_what_is_shown(text in "(kv1|kv2|dynamic|x):[a-z./% ?~-]{0,24}") {
            if let Ok(parsed) = text.parse::<SecretPath>() {
                prop_assert_eq!(parsed.to_string().parse::<SecretPath>(), Ok(parsed.clone()));
                let all = format!("{}/{}", parsed.mount, parsed.path);
                prop_assert!(all.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            }
        }
    }
}
