//! Are all the secrets there, and can they be sent? Reads every one at load, and says all that is wrong.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use http::HeaderName;
use zeroize::Zeroizing;

use super::reference::Reference;
use super::secret::{Credential, Form, Unsendable};
use super::version::VersionKey;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// One credential, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSettings {
    /// Its name, as upstreams use it.
    pub name: String,
    /// Where the secret is kept.
    pub reference: Reference,
    /// The field it is sent in.
    pub header: HeaderName,
    /// How it is written there.
    pub form: Form,
    /// Where the reference stands, for what is wrong with it.
    pub place: Place,
}

/// Where references lead.
pub struct Sources<'a> {
    /// The folder that relative paths start from.
    pub base_dir: &'a Path,
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

/// The credentials of one snapshot.
#[derive(Debug, Default)]
pub struct Credentials(HashMap<Arc<str>, Arc<Credential>>);

impl Credentials {
    /// Reads every secret. Blocks on files: for load, never for a request.
    ///
    /// # Errors
    /// Everything wrong with any of them. Beside the credentials come the warnings.
    pub fn load(
        settings: &[CredentialSettings],
        sources: &Sources<'_>,
        key: &VersionKey,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = HashMap::with_capacity(settings.len());
        let mut mistakes = Diagnostics::new();
        for one in settings {
            match load(one, sources, key, &mut mistakes) {
                Ok(credential) => {
                    if found.insert(Arc::clone(&credential.name), Arc::new(credential)).is_some() {
                        let message = format!("the credential `{}` is defined twice", one.name);
                        mistakes.push(Diagnostic::error(one.place.clone(), message));
                    }
                }
                Err(fault) => mistakes.push(fault.at(one)),
            }
        }
        mistakes.into_result(Some(Self(found)))
    }

    /// The credential called `name`; asked at load.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Credential>> {
        self.0.get(name)
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(Arc::as_ref)
    }
}

/// Why a secret cannot be used.
enum Fault {
    Missing(std::io::ErrorKind),
    NoFile,
    TooLarge,
    Unset,
    Unsendable(Unsendable),
}

impl Fault {
    /// Never shows what was read.
    fn at(self, settings: &CredentialSettings) -> Diagnostic {
        let name = &settings.name;
        let (what, help) = match self {
            Self::Missing(kind) => {
                (format!("cannot be read: {kind}"), "the path starts from the folder of this file")
            }
            Self::NoFile => ("is not in a regular file".into(), "pipes and devices are not read"),
            Self::TooLarge => (format!("is larger than {SECRET_BYTES_MAX} bytes"), "is it the right file?"),
            Self::Unset => ("is in a variable that is not set".into(), "set it before the gateway starts"),
            Self::Unsendable(Unsendable::Empty) => ("is empty".into(), "write the secret, and nothing else"),
            Self::Unsendable(Unsendable::Control) => (
                "holds characters that no header field can carry".into(),
                "one line of printable ASCII is wanted; one line end after it is ignored",
            ),
            Self::Unsendable(Unsendable::NoColon) => (
                "is not of the form `user:password`".into(),
                "the form `basic` wants both, with a colon between",
            ),
        };
        let message = format!("the secret of the credential `{name}` {what}");
        Diagnostic::error(settings.place.clone(), message).help(help)
    }
}

fn load(
    settings: &CredentialSettings,
    sources: &Sources<'_>,
    key: &VersionKey,
    mistakes: &mut Diagnostics,
) -> Result<Credential, Fault> {
    let read = match &settings.reference {
        Reference::File { path } => {
            let (secret, exposure) = read_file(&sources.base_dir.join(path))?;
            if exposure == Exposure::Everybody {
                let name = &settings.name;
                let message =
                    format!("everybody on this machine can read the secret of the credential `{name}`");
                let warning = Diagnostic::warning(settings.place.clone(), message);
                mistakes.push(warning.help("take the file's rights from others: chmod o= FILE"));
            }
            secret
        }
        Reference::Env { name } => read_variable(sources, name)?,
    };
    let secret = without_line_end(&read);
    Ok(Credential {
        name: settings.name.as_str().into(),
        version: key.version(&settings.name, secret),
        header: settings.header.clone(),
        value: settings.form.value(secret).map_err(Fault::Unsendable)?,
    })
}

/// Who can read a file.
#[derive(PartialEq, Eq)]
enum Exposure {
    Few,
    Everybody,
}

fn read_file(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Exposure), Fault> {
    let missing = |error: std::io::Error| Fault::Missing(error.kind());
    // Asked before opening: to open a pipe would wait for its other end.
    if !path.metadata().map_err(missing)?.is_file() {
        return Err(Fault::NoFile);
    }
    let file = File::open(path).map_err(missing)?;
    let exposure = exposure(&file.metadata().map_err(missing)?);
    // One allocation of the final size: a buffer that grows would leave copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX.saturating_add(1)));
    let one_too_many = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_too_many).read_to_end(&mut secret).map_err(missing)?;
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    Ok((secret, exposure))
}

fn exposure(metadata: &Metadata) -> Exposure {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o004 == 0 { Exposure::Few } else { Exposure::Everybody }
}

fn read_variable(sources: &Sources<'_>, name: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let secret = (sources.variable)(name).map(|text| Zeroizing::new(text.into_encoded_bytes()));
    let secret = secret.ok_or(Fault::Unset)?;
    if secret.len() > SECRET_BYTES_MAX { Err(Fault::TooLarge) } else { Ok(secret) }
}

/// Editors and `echo` end a file with one line end that is no part of the secret.
fn without_line_end(read: &[u8]) -> &[u8] {
    let Some(line) = read.strip_suffix(b"\n") else { return read };
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("base_dir", &self.base_dir).finish_non_exhaustive()
    }
}

/// What common servers take as one header field.
const SECRET_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Severity;
    use http::HeaderMap;
    use http::header::AUTHORIZATION;
    use std::os::unix::fs::PermissionsExt;

    fn settings(name: &str, reference: &str) -> CredentialSettings {
        CredentialSettings {
            name: name.into(),
            reference: reference.parse().unwrap(),
            header: AUTHORIZATION,
            form: Form::Raw,
            place: Place::file("gateway.yaml"),
        }
    }

    fn environment(name: &str) -> Option<OsString> {
        match name {
            "KEY" => Some("from-env".into()),
            "EMPTY" => Some("".into()),
            "LARGE" => Some("x".repeat(SECRET_BYTES_MAX + 1).into()),
            _ => None,
        }
    }

    fn load_all(
        dir: &Path,
        settings: &[CredentialSettings],
    ) -> Result<(Credentials, Diagnostics), Diagnostics> {
        let sources = Sources { base_dir: dir, variable: &environment };
        Credentials::load(settings, &sources, &VersionKey::random().unwrap())
    }

    fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) {
        std::fs::write(dir.join(name), bytes).unwrap();
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What is sent for a file of these bytes, or the message.
    fn sent(bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "key", bytes, 0o600);
        let (credentials, _) = load_all(dir.path(), &[settings("odoo", "file:key")])
            .map_err(|mistakes| mistakes.iter().next().unwrap().message().to_owned())?;
        let mut headers = HeaderMap::new();
        credentials.find("odoo").unwrap().apply(&mut headers);
        Ok(headers[AUTHORIZATION].to_str().unwrap().to_owned())
    }

    #[test]
    fn one_line_end_after_the_secret_is_ignored() {
        assert_eq!(sent(b"k3y").unwrap(), "k3y");
        assert_eq!(sent(b"k3y\n").unwrap(), "k3y");
        assert_eq!(sent(b"k3y\r\n").unwrap(), "k3y");
        assert_eq!(sent(b" k3y ").unwrap(), " k3y ");
        assert!(sent(b"k3y\n\n").is_err());
    }

    #[test]
    fn a_secret_that_cannot_be_sent_is_an_error_that_does_not_show_it() {
        let check = |bytes: &[u8], expected: &str| {
            let message = sent(bytes).unwrap_err();
            assert_eq!(message, format!("the secret of the credential `odoo` {expected}"));
        };
        check(b"", "is empty");
        check(b"\n", "is empty");
        check(b"hunter2\nhunter3", "holds characters that no header field can carry");
        check("hünter2".as_bytes(), "holds characters that no header field can carry");
        check(&[b'x'; SECRET_BYTES_MAX + 1], "is larger than 8192 bytes");
        assert!(sent(&[b'x'; SECRET_BYTES_MAX]).is_ok());
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let all = [
            settings("a", "file:missing"),
            settings("b", "env:UNSET"),
            settings("c", "env:EMPTY"),
            settings("d", "env:LARGE"),
            settings("e", "file:."),
            settings("f", "file:/dev/zero"),
            settings("g", "env:KEY"),
            CredentialSettings { form: Form::Basic, ..settings("h", "env:KEY") },
            settings("g", "env:KEY"),
        ];
        let mistakes = load_all(dir.path(), &all).unwrap_err();
        let said: Vec<_> = mistakes.iter().map(|m| (m.message(), m.place().unwrap().file_name())).collect();
        let of = |name: &str, what: &str| format!("the secret of the credential `{name}` {what}");
        let expected = [
            of("a", "cannot be read: entity not found"),
            of("b", "is in a variable that is not set"),
            of("c", "is empty"),
            of("d", "is larger than 8192 bytes"),
            of("e", "is not in a regular file"),
            of("f", "is not in a regular file"),
            of("h", "is not of the form `user:password`"),
            "the credential `g` is defined twice".into(),
        ];
        assert_eq!(said, expected.each_ref().map(|message| (message.as_str(), "gateway.yaml")));
    }

    #[test]
    fn a_file_that_everybody_can_read_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let check = |mode: u32, warnings: usize| {
            write(dir.path(), "key", b"k3y", mode);
            let (_, said) = load_all(dir.path(), &[settings("odoo", "file:key")]).unwrap();
            assert_eq!(
                said.iter().filter(|d| d.severity() == Severity::Warning).count(),
                warnings,
                "{mode:o}"
            );
        };
        check(0o600, 0);
        check(0o640, 0);
        check(0o644, 1);
        check(0o604, 1);
    }

    #[test]
    fn a_changed_secret_has_another_version_and_an_unchanged_one_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let key = VersionKey::random().unwrap();
        let version = |bytes: &[u8]| {
            write(dir.path(), "key", bytes, 0o600);
            let sources = Sources { base_dir: dir.path(), variable: &environment };
            let (credentials, _) =
                Credentials::load(&[settings("odoo", "file:key")], &sources, &key).unwrap();
            credentials.find("odoo").unwrap().version()
        };
        let first = version(b"one");
        assert_ne!(version(b"two"), first);
        assert_eq!(version(b"one\n"), first);
    }

    #[test]
    fn a_credential_is_found_by_its_name() {
        let (credentials, said) = load_all(Path::new("/"), &[settings("odoo", "env:KEY")]).unwrap();
        assert!(said.is_empty());
        assert_eq!(credentials.names().collect::<Vec<_>>(), ["odoo"]);
        assert_eq!(credentials.find("odoo").unwrap().name(), "odoo");
        assert!(credentials.find("other").is_none());
        assert!(!format!("{credentials:?}").contains("from-env"));
    }
}
