//! Where is a secret kept, and what is there now?
//!
//! One reading: a file, a variable, a path in Vault or a grant of an authorization server. What is read is
//! wiped when it is dropped, and no fault repeats any of it.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::grant::Grant;
use super::load::Origin;
use super::reference::{Reference, VaultReference};
use crate::oauth::{OauthFault, ReadSecret};
use crate::vault::{Lease, Secret, Vault, VaultFault};

/// Where a secret is kept.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Variable(String),
    Vault { vault: Arc<Vault>, at: VaultReference },
    Granted(Box<Grant>),
}

/// Where references lead.
pub struct Sources<'a> {
    /// The folder that relative paths start from.
    pub base_dir: &'a Path,
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Vault, if the files name one.
    pub vault: Option<&'a Arc<Vault>>,
}

/// What a source held.
pub(super) struct Fetched {
    pub(super) secret: Zeroizing<Vec<u8>>,
    /// The source's own number for this value.
    pub(super) number: Option<u64>,
    /// How long it proves anything, if the source says so.
    pub(super) lives: Option<Duration>,
    /// In how long it is to be read again, if the source says so.
    pub(super) again: Option<Duration>,
    /// What it is lent by, if it is.
    pub(super) loan: Option<Loan>,
    pub(super) exposure: Exposure,
}

/// A secret that was made for the gateway, and is Vault's to take back. Each reading makes another one, so it
/// is read again only when its time has come.
#[derive(Debug)]
pub(super) struct Loan(Secret);

impl Loan {
    /// For how long it may be shown from now on; nothing when it is to be read again. Renewals make it longer.
    pub(super) fn lives(&self) -> Option<Duration> {
        let left = self.0.ttl().filter(|left| !left.is_zero())?;
        let whole = self.0.lease().map(Lease::duration).unwrap_or_default();
        // It is to be read again at five sixths of its life at the latest; what is left is for the reading.
        Some(left.saturating_add(whole.checked_div(6).unwrap_or_default()))
    }
}

/// Who else can read it where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposure {
    Few,
    Everybody,
}

/// Why a secret could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceFault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Missing(std::io::ErrorKind),
    /// A pipe, a device or a folder.
    #[error("is not in a regular file")]
    NoFile,
    /// Larger than any secret.
    #[error("is larger than {SECRET_BYTES_MAX} bytes")]
    TooLarge,
    /// The variable is not set.
    #[error("is in a variable that is not set")]
    Unset,
    /// The files name no Vault.
    #[error("is in Vault, and no Vault is configured")]
    NoVault,
    /// Vault does not give it.
    #[error("is not to be had from Vault: {}", .0.reason())]
    Vault(VaultFault),
    /// What Vault gives lacks this field.
    #[error("has no field `{0}` in Vault")]
    NoField(String),
    /// The authorization server cannot be what the settings say.
    #[error("is a token, and {0}")]
    Server(String),
    /// The authorization server does not give it.
    #[error("is not to be had: {0}")]
    Oauth(OauthFault),
    /// The authorization server does not let the gateway act for this caller.
    #[error("is not given on behalf of this caller: {0}")]
    NotOnBehalf(&'static str),
    /// The caller has shown no token that could be exchanged.
    #[error("is given on behalf of a token, and the caller has shown none")]
    NoSubject,
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// What no header field can carry.
    #[error("holds characters that no header field can carry")]
    Unsendable,
    /// The form `basic` wants `user:password`.
    #[error("is not of the form `user:password`")]
    NoColon,
    /// The reading itself was given up.
    #[error("was not read to its end")]
    GivenUp,
}

impl SourceFault {
    /// A stable code for status pages and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "file-missing",
            Self::NoFile => "not-a-file",
            Self::TooLarge => "too-large",
            Self::Unset => "variable-unset",
            Self::NoVault => "no-vault",
            Self::Vault(fault) => fault.reason(),
            Self::NoField(_) => "field-missing",
            Self::Server(_) => "server-settings",
            Self::Oauth(fault) => match fault {
                OauthFault::Refused(_) => "token-refused",
                _ => "token-unavailable",
            },
            Self::NotOnBehalf(_) => "not-on-behalf",
            Self::NoSubject => "no-subject",
            Self::Empty => "empty",
            Self::Unsendable => "unsendable",
            Self::NoColon => "no-colon",
            Self::GivenUp => "given-up",
        }
    }

    /// What would mend it.
    pub(super) const fn help(&self) -> &'static str {
        match self {
            Self::Missing(_) => "the path starts from the folder of this file",
            Self::NoFile => "pipes and devices are not read",
            Self::TooLarge => "is it the right file?",
            Self::Unset => "set it before the gateway starts",
            Self::NoVault => "say in `vault:` where it is and how to log in",
            Self::Vault(_) => "ask Vault: vault kv get, vault token capabilities",
            Self::Server(_) => "say where the authorization server is, over https",
            Self::Oauth(_) => "ask the authorization server what it has against this client",
            Self::NotOnBehalf(_) => "let the gateway's client exchange tokens for this audience",
            Self::NoSubject => "ask for a token in each alternative of the operation's security",
            Self::NoField(_) => "the fields are named after `#`",
            Self::Empty => "write the secret, and nothing else",
            Self::Unsendable => "one line of printable ASCII is wanted; one line end after it is ignored",
            Self::NoColon => "the form `basic` wants both, with a colon between",
            Self::GivenUp => "it is read again by itself",
        }
    }
}

impl Source {
    /// Where `reference` leads.
    pub(super) fn new(
        origin: &Origin,
        sources: &Sources<'_>,
        previous: Option<&Self>,
    ) -> Result<Self, SourceFault> {
        Ok(match origin {
            Origin::Kept(Reference::File { path }) => Self::File(sources.base_dir.join(path)),
            Origin::Kept(Reference::Env { name }) => Self::Variable(name.clone()),
            Origin::Kept(Reference::Vault(at)) => {
                let vault = sources.vault.ok_or(SourceFault::NoVault)?;
                Self::Vault { vault: Arc::clone(vault), at: at.clone() }
            }
            Origin::Granted(settings) | Origin::OnBehalf(settings) => {
                let before = previous.and_then(|previous| match previous {
                    Self::Granted(grant) => Some(grant.as_ref()),
                    Self::File(_) | Self::Variable(_) | Self::Vault { .. } => None,
                });
                Self::Granted(Box::new(Grant::new(settings, before)?))
            }
        })
    }

    /// Whether it is on this machine, so that it is read when the files are loaded.
    pub(super) const fn is_local(&self) -> bool {
        matches!(self, Self::File(_) | Self::Variable(_))
    }

    /// What a file or a variable holds. Blocks on files.
    pub(super) fn read_local(
        &self,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Fetched, SourceFault> {
        let (read, exposure) = match self {
            Self::File(path) => read_file(path, SECRET_BYTES_MAX)?,
            Self::Variable(name) => (read_variable(variable, name)?, Exposure::Few),
            Self::Vault { .. } | Self::Granted(_) => return Err(SourceFault::GivenUp),
        };
        let secret = Zeroizing::new(without_line_end(&read).to_vec());
        Ok(Fetched { secret, number: None, lives: None, again: None, loan: None, exposure })
    }

    /// What it holds now.
    pub(super) async fn read(&self) -> Result<Fetched, SourceFault> {
        match self {
            Self::File(_) | Self::Variable(_) => {
                let own = self.clone();
                let reading =
                    tokio::task::spawn_blocking(move || own.read_local(&|name| std::env::var_os(name)));
                reading.await.unwrap_or(Err(SourceFault::GivenUp))
            }
            Self::Vault { vault, at } => read_vault(vault, at).await,
            Self::Granted(grant) => grant.own().await,
        }
    }

    /// Where it is, for people; never what is there.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::File(path) => format!("file {}", path.display()),
            Self::Variable(name) => format!("variable {name}"),
            Self::Vault { at, .. } => format!("vault {at}"),
            Self::Granted(grant) => grant.describe(),
        }
    }

    /// How often it is asked anew when nothing is configured.
    pub(super) const fn usual_refresh(&self) -> Duration {
        match self {
            Self::File(_) | Self::Variable(_) => LOCAL_REFRESH,
            Self::Vault { .. } => VAULT_REFRESH,
            // A token says itself when the next one is due.
            Self::Granted(_) => GRANT_REFRESH,
        }
    }
}

async fn read_vault(vault: &Vault, at: &VaultReference) -> Result<Fetched, SourceFault> {
    let read = vault.read(&at.path).await.map_err(SourceFault::Vault)?;
    // One allocation of the final size: a buffer that grows would leave copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX));
    for (n, name) in at.fields.iter().enumerate() {
        let field = read.field(name).ok_or_else(|| SourceFault::NoField(name.clone()))?;
        let colon = usize::from(n > 0);
        if secret.len().saturating_add(field.len()).saturating_add(colon) > SECRET_BYTES_MAX {
            return Err(SourceFault::TooLarge);
        }
        if n > 0 {
            secret.push(b':');
        }
        secret.extend_from_slice(field.as_bytes());
    }
    let (number, again) = (read.version(), read.ttl());
    let loan = read.lease().is_some().then_some(Loan(read));
    Ok(Fetched { secret, number, lives: None, again, loan, exposure: Exposure::Few })
}

/// What authorization servers are shown: read at each use, so that its rotation is seen. Nothing where it is in
/// Vault, which cannot be asked at each use.
#[must_use]
pub fn read_at_each_use(reference: &Reference, base_dir: &Path) -> Option<ReadSecret> {
    let one_line_end_less = |read: Zeroizing<Vec<u8>>| Zeroizing::new(without_line_end(&read).to_vec());
    match reference {
        Reference::File { path } => {
            let path = base_dir.join(path);
            Some(ReadSecret::new(&format!("file:{}", path.display()), move || {
                read_file(&path, PEM_BYTES_MAX).ok().map(|(read, _)| one_line_end_less(read))
            }))
        }
        Reference::Env { name } => {
            let name = name.clone();
            Some(ReadSecret::new(&format!("env:{name}"), move || {
                Some(Zeroizing::new(std::env::var_os(&name)?.into_encoded_bytes()))
            }))
        }
        Reference::Vault(_) => None,
    }
}

fn read_file(path: &Path, bytes_max: usize) -> Result<(Zeroizing<Vec<u8>>, Exposure), SourceFault> {
    let missing = |error: std::io::Error| SourceFault::Missing(error.kind());
    // Asked before opening: to open a pipe would wait for its other end.
    if !path.metadata().map_err(missing)?.is_file() {
        return Err(SourceFault::NoFile);
    }
    let file = File::open(path).map_err(missing)?;
    let exposure = exposure(&file.metadata().map_err(missing)?);
    // One allocation of the final size: a buffer that grows would leave copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(bytes_max.saturating_add(1)));
    let one_too_many = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_too_many).read_to_end(&mut secret).map_err(missing)?;
    if secret.len() > bytes_max {
        return Err(SourceFault::TooLarge);
    }
    Ok((secret, exposure))
}

fn exposure(metadata: &Metadata) -> Exposure {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o004 == 0 { Exposure::Few } else { Exposure::Everybody }
}

fn read_variable(
    variable: &dyn Fn(&str) -> Option<OsString>,
    name: &str,
) -> Result<Zeroizing<Vec<u8>>, SourceFault> {
    let secret = variable(name).map(|text| Zeroizing::new(text.into_encoded_bytes()));
    let secret = secret.ok_or(SourceFault::Unset)?;
    if secret.len() > SECRET_BYTES_MAX { Err(SourceFault::TooLarge) } else { Ok(secret) }
}

/// Editors and `echo` end a file with one line end that is no part of the secret.
fn without_line_end(read: &[u8]) -> &[u8] {
    let Some(line) = read.strip_suffix(b"\n") else { return read };
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("base_dir", &self.base_dir).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

/// What common servers take as one header field.
pub(super) const SECRET_BYTES_MAX: usize = 8 << 10;
/// A chain of several certificates with RSA keys; more than any key or password.
const PEM_BYTES_MAX: usize = 256 << 10;
/// A token that lives longer is fetched again all the same, so that its withdrawal is seen.
const GRANT_REFRESH: Duration = Duration::from_secs(3600);
/// A file that an agent writes is seen as soon as any other file.
const LOCAL_REFRESH: Duration = Duration::from_secs(1);
/// Vault is asked by every gateway; a refusal of the upstream asks it at once.
const VAULT_REFRESH: Duration = Duration::from_secs(60);
