//! Are all the secrets that are kept here there, and can they be sent? Reads them at load, and says all that
//! is wrong. What is kept elsewhere is read once the gateway runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::edition::Form;
use super::exchanged::OnBehalf;
use super::grant::{Grant, GrantSettings};
use super::held::{Credential, CredentialState};
use super::means::Means;
use super::reading::Brought;
use super::reference::Reference;
use super::source::{Exposure, Source, SourceFault, Sources};
use super::version::VersionKey;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// One credential, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSettings {
    /// Its name, as upstreams use it.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The field it is sent in.
    pub header: HeaderName,
    /// How it is written there.
    pub form: Form,
    /// How often its source is asked anew; absent: as suits the source.
    pub refresh_every: Option<Duration>,
    /// How long the old value may still be shown after the new one was taken.
    pub overlap: Duration,
    /// How long a value serves that cannot be read anew.
    pub age_max: Duration,
    /// Where the reference stands, for what is wrong with it.
    pub place: Place,
}

/// Where a credential comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A secret that is kept somewhere.
    Kept(Reference),
    /// A token that an authorization server gives to the gateway itself.
    Granted(GrantSettings),
    /// A token that it gives in place of the caller's.
    OnBehalf(GrantSettings),
}

/// The credentials of one snapshot.
#[derive(Debug, Default)]
pub struct Credentials(HashMap<Arc<str>, Means>);

impl Credentials {
    /// The credentials of a configuration; what is in hand of `previous` stays in hand. Blocks on files: for
    /// load, never for a request.
    ///
    /// # Errors
    /// Everything wrong with any of them. Beside the credentials come the warnings.
    pub fn load(
        settings: &[CredentialSettings],
        sources: &Sources<'_>,
        key: &Arc<VersionKey>,
        previous: Option<&Self>,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = HashMap::with_capacity(settings.len());
        let mut mistakes = Diagnostics::new();
        for one in settings {
            let before = previous.and_then(|previous| previous.find(&one.name));
            match means(one, sources, key, before, &mut mistakes) {
                Ok(means) => {
                    if found.insert(Arc::clone(means.name()), means).is_some() {
                        let message = format!("the credential `{}` is defined twice", one.name);
                        mistakes.push(Diagnostic::error(one.place.clone(), message));
                    }
                }
                Err(fault) => mistakes.push(told(&fault, one)),
            }
        }
        mistakes.into_result(Some(Self(found)))
    }

    /// The credential called `name`; asked at load.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Means> {
        self.0.get(name)
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(Arc::as_ref)
    }

    /// Those of the gateway's own, which are kept good.
    fn own(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.0.values().filter_map(|means| match means {
            Means::Own(credential) => Some(credential),
            Means::OnBehalf(_) => None,
        })
    }

    /// How each is, by name.
    #[must_use]
    pub fn states(&self) -> Vec<CredentialState> {
        let mut states: Vec<_> = self.0.values().map(Means::state).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// Reads the sources that are due, and returns when that has ended. To be called every second or so.
    pub async fn refresh(&self) {
        let mut readings = tokio::task::JoinSet::new();
        for credential in self.own().map(Arc::clone) {
            readings.spawn(async move { credential.refresh().await });
        }
        while readings.join_next().await.is_some() {}
    }
}

/// Never shows what was read.
fn told(fault: &SourceFault, settings: &CredentialSettings) -> Diagnostic {
    let message = format!("the secret of the credential `{}` {fault}", settings.name);
    Diagnostic::error(settings.place.clone(), message).help(fault.help())
}

fn means(
    settings: &CredentialSettings,
    sources: &Sources<'_>,
    key: &Arc<VersionKey>,
    previous: Option<&Means>,
    mistakes: &mut Diagnostics,
) -> Result<Means, SourceFault> {
    if let Origin::OnBehalf(grant) = &settings.origin {
        if let Some(Means::OnBehalf(same)) = previous
            && same.is_of(settings, grant)
        {
            return Ok(Means::OnBehalf(Arc::clone(same)));
        }
        let grant = Grant::new(grant, None)?;
        return Ok(Means::OnBehalf(Arc::new(OnBehalf::new(settings, grant, key))));
    }
    let before = match previous {
        Some(Means::Own(before)) => Some(before.as_ref()),
        Some(Means::OnBehalf(_)) | None => None,
    };
    load(settings, sources, key, before, mistakes).map(|credential| Means::Own(Arc::new(credential)))
}

fn load(
    settings: &CredentialSettings,
    sources: &Sources<'_>,
    key: &Arc<VersionKey>,
    previous: Option<&Credential>,
    mistakes: &mut Diagnostics,
) -> Result<Credential, SourceFault> {
    let source = Source::new(&settings.origin, sources, previous.map(Credential::source))?;
    if !source.is_local() {
        return Ok(Credential::new(settings, source, key, previous));
    }
    let read = source.read_local(sources.variable)?;
    if read.exposure == Exposure::Everybody {
        let name = &settings.name;
        let message = format!("everybody on this machine can read the secret of the credential `{name}`");
        let warning = Diagnostic::warning(settings.place.clone(), message);
        mistakes.push(warning.help("take the file's rights from others: chmod o= FILE"));
    }
    let credential = Credential::new(settings, source, key, previous);
    match credential.bring(read) {
        Brought::Fault(fault) => Err(fault),
        Brought::New | Brought::Nothing => Ok(credential),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rotation::Request;
    use super::super::source::SECRET_BYTES_MAX;
    use super::*;
    use crate::diagnostic::Severity;
    use http::HeaderMap;
    use http::header::AUTHORIZATION;
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn settings(name: &str, reference: &str) -> CredentialSettings {
        CredentialSettings {
            name: name.into(),
            origin: Origin::Kept(reference.parse().unwrap()),
            header: AUTHORIZATION,
            form: Form::Raw,
            refresh_every: None,
            overlap: Duration::from_secs(60),
            age_max: Duration::from_secs(3600),
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
        let sources = Sources { base_dir: dir, variable: &environment, vault: None };
        Credentials::load(settings, &sources, &Arc::new(VersionKey::random().unwrap()), None)
    }

    fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) {
        std::fs::write(dir.join(name), bytes).unwrap();
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn own<'a>(credentials: &'a Credentials, name: &str) -> &'a Arc<Credential> {
        match credentials.find(name).unwrap() {
            Means::Own(credential) => credential,
            Means::OnBehalf(_) => panic!("`{name}` is of the gateway's own"),
        }
    }

    /// What is sent for a file of these bytes, or the message.
    fn sent(bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "key", bytes, 0o600);
        let (credentials, _) = load_all(dir.path(), &[settings("odoo", "file:key")])
            .map_err(|mistakes| mistakes.iter().next().unwrap().message().to_owned())?;
        let mut headers = HeaderMap::new();
        own(&credentials, "odoo").in_hand(Request::Repeatable).unwrap().apply(&mut headers);
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
        let key = Arc::new(VersionKey::random().unwrap());
        let version = |bytes: &[u8]| {
            write(dir.path(), "key", bytes, 0o600);
            let sources = Sources { base_dir: dir.path(), variable: &environment, vault: None };
            let (credentials, _) =
                Credentials::load(&[settings("odoo", "file:key")], &sources, &key, None).unwrap();
            own(&credentials, "odoo").in_hand(Request::Repeatable).unwrap().version()
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
        assert_eq!(&**credentials.find("odoo").unwrap().name(), "odoo");
        assert!(credentials.find("other").is_none());
        assert!(!format!("{credentials:?}").contains("from-env"));
    }

    #[test]
    fn a_value_that_changed_between_two_loads_is_tried_and_a_new_place_is_no_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(VersionKey::random().unwrap());
        let sources = Sources { base_dir: dir.path(), variable: &environment, vault: None };
        let load = |reference: &str, previous: Option<&Credentials>| {
            Credentials::load(&[settings("odoo", reference)], &sources, &key, previous).unwrap().0
        };
        let state = |credentials: &Credentials| credentials.states().remove(0).standing.state;
        write(dir.path(), "key", b"one", 0o600);
        let first = load("file:key", None);
        assert_eq!(state(&first), "steady");
        let second = load("file:key", Some(&first));
        assert_eq!(state(&second), "steady", "nothing has changed");
        let third = load("env:KEY", Some(&second));
        assert_eq!(state(&third), "trying");
        assert_eq!(state(&first), "trying", "requests that began before know it too");
    }
}
