//! Where is a secret kept? Parses the reference that stands in a file instead of the secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::vault::SecretPath;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `file:PATH`, relative to the folder of the file it stands in.
    File {
        /// The path as written.
        path: PathBuf,
    },
    /// `env:NAME`.
    Env {
        /// The variable.
        name: String,
    },
    /// `vault:ENGINE:PATH#FIELD`.
    Vault(VaultReference),
}

/// Fields at a path in Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultReference {
    /// The engine, its mount, and the path in it.
    pub path: SecretPath,
    /// One field, or two that are joined by a colon (`#username:password`).
    pub fields: Vec<String>,
}

/// A text that is no reference. Never shows the text: it may be the secret itself, put in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No known scheme.
    #[error("a reference to a secret is wanted, never the secret itself")]
    Scheme,
    /// Nothing, or nothing usable, after the scheme.
    #[error("the reference names no file or variable")]
    Name,
    /// Not a path and fields in Vault.
    #[error("the reference names no field at a path in Vault")]
    Vault,
}

impl ReferenceError {
    /// What would mend it.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Scheme | Self::Name => "write `file:PATH`, `env:NAME` or `vault:kv2:MOUNT/PATH#FIELD`",
            Self::Vault => {
                "write `vault:kv2:MOUNT/PATH#FIELD` (or kv1, or dynamic); two fields are written `#username:password`"
            }
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.split_once(':') {
            Some(("file", path)) if path.is_empty() || path.contains('\0') => Err(ReferenceError::Name),
            Some(("file", path)) => Ok(Self::File { path: Path::new(path).to_owned() }),
            Some(("env", name)) if is_variable(name) => Ok(Self::Env { name: name.to_owned() }),
            Some(("env", _)) => Err(ReferenceError::Name),
            Some(("vault", at)) => at.parse().map(Self::Vault),
            Some(_) | None => Err(ReferenceError::Scheme),
        }
    }
}

impl FromStr for VaultReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (path, fields) = text.rsplit_once('#').ok_or(ReferenceError::Vault)?;
        let path = path.parse().map_err(|_unknown| ReferenceError::Vault)?;
        let fields: Vec<String> = fields.split(':').map(str::to_owned).collect();
        let is_field = |field: &String| {
            !field.is_empty()
                && field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        if fields.len() > 2 || !fields.iter().all(is_field) {
            return Err(ReferenceError::Vault);
        }
        Ok(Self { path, fields })
    }
}

impl fmt::Display for VaultReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.fields.join(":"))
    }
}

/// POSIX: letters, digits and underscores, and no digit first.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_names_a_file_or_a_variable() {
        let check = |text: &str, expected: Result<Reference, ReferenceError>| {
            assert_eq!(text.parse(), expected, "{text:?}");
        };
        let file = |path: &str| Ok(Reference::File { path: path.into() });
        check("file:certs/odoo.key", file("certs/odoo.key"));
        check("file:/run/secrets/a:b", file("/run/secrets/a:b"));
        check("env:ODOO_KEY", Ok(Reference::Env { name: "ODOO_KEY".into() }));
        check("file:", Err(ReferenceError::Name));
        check("file:a\0b", Err(ReferenceError::Name));
        for name in ["env:", "env:1A", "env:A B", "env:A=B", "env:Ä"] {
            check(name, Err(ReferenceError::Name));
        }
        for text in [
            "vault:",
            "vault:secret/odoo#key",
            "vault:kv2:secret/odoo",
            "vault:kv2:secret/odoo#",
            "vault:kv2:secret/odoo#a:b:c",
            "vault:kv2:secret/odoo#a b",
            "vault:kv9:secret/odoo#key",
        ] {
            check(text, Err(ReferenceError::Vault));
        }
        for text in ["", "hunter2", "File:x", "http://x", "3f9a41c0", " file:x"] {
            check(text, Err(ReferenceError::Scheme));
        }
    }

    #[test]
    fn a_reference_to_vault_names_engine_path_and_fields() {
        for (place, fields) in [
            ("kv2:secret/odoo/api#key", vec!["key"]),
            ("dynamic:database/creds/odoo#username:password", vec!["username", "password"]),
        ] {
            let Ok(Reference::Vault(at)) = format!("vault:{place}").parse() else { panic!("{place}") };
            assert_eq!(at.fields, fields);
            assert_eq!(at.to_string(), place);
        }
    }

    proptest! {
        #[test]
        fn a_secret_in_the_wrong_place_is_not_repeated(text in "[a-z0-9]{12,40}:?[a-z0-9]{0,20}") {
            if let Err(error) = text.parse::<Reference>() {
                let shown = format!("{error} {error:?} {}", error.help());
                prop_assert!(!shown.contains(&text));
            }
        }
    }
}
