//! How does the gateway log in? One exchange per method: what proves it, against a token.

use reqwest::Identity;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use vaultrs::api::token::requests::LookupTokenSelfRequest;
use zeroize::Zeroizing;

use super::answer::{Fields, Granted, Looked, Text, Unwrapped, Wrapping};
use super::fault::{Failed, VaultFault};
use super::proof::{self, NoProof};
use super::settings::{Auth, Source};
use super::wire::{Call, Token, Wire};

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginFault {
    /// What proves the gateway is not where it should be, or is no such thing.
    NoProof,
    /// The wrapping token is used up, or has ended: whoever used it has the secret id.
    WrappingUsed,
    /// The wrapping token wraps something else than a secret id of this method.
    WrappingForeign,
    /// Vault did not let it in.
    Vault(Failed),
}

/// The secret id that a wrapping token gave, for the next login.
#[derive(Default)]
pub(super) struct Unpacked {
    /// The digest of the wrapping token that was last tried.
    of: Option<Box<[u8]>>,
    secret_id: Option<Zeroizing<String>>,
}

/// A token, and what Vault says of it.
pub(super) struct LoggedIn {
    pub(super) token: Token,
    /// Seconds; zero for one that never ends.
    pub(super) ttl_s: u64,
    pub(super) renewable: bool,
}

impl LoginFault {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NoProof => "vault-login-no-proof",
            Self::WrappingUsed => "vault-login-wrapping-used",
            Self::WrappingForeign => "vault-login-wrapping-foreign",
            Self::Vault(Failed { fault: VaultFault::Denied | VaultFault::Status(400), .. }) => {
                "vault-login-refused"
            }
            Self::Vault(Failed { fault, .. }) => fault.reason(),
        }
    }

    /// What it is to somebody who only wanted a secret.
    pub(super) const fn outward(self) -> VaultFault {
        match self {
            Self::Vault(Failed { fault, .. }) if fault.may_pass() => fault,
            _ => VaultFault::NoSession,
        }
    }
}

impl From<NoProof> for LoginFault {
    fn from(_: NoProof) -> Self {
        Self::NoProof
    }
}

impl From<Failed> for LoginFault {
    fn from(failed: Failed) -> Self {
        Self::Vault(failed)
    }
}

impl From<VaultFault> for LoginFault {
    fn from(fault: VaultFault) -> Self {
        Self::Vault(fault.into())
    }
}

/// Logs in by the configured method.
pub(super) async fn log_in(
    auth: &Auth,
    wire: &Wire,
    unpacked: &mut Unpacked,
) -> Result<LoggedIn, LoginFault> {
    match auth {
        Auth::TokenFile(path) => {
            let read = proof::read(&Source::File(path.clone())).await?;
            look_up(wire, Token::new(&read).ok_or(LoginFault::NoProof)?).await
        }
        Auth::AppRole { mount, role_id, secret_id, wrapped } => {
            let role_id = text(role_id).await?;
            let secret_id = match wrapped {
                false => text(secret_id).await?,
                true => unpacked.secret_id(wire, mount, secret_id).await?,
            };
            enter(wire, mount, &AppRole { role_id: &role_id, secret_id: &secret_id }).await
        }
        Auth::Kubernetes { mount, role, jwt } | Auth::Jwt { mount, role, jwt } => {
            let jwt = text(&Source::File(jwt.clone())).await?;
            enter(wire, mount, &Jwt { role, jwt: &jwt }).await
        }
        Auth::Certificate { mount, name, chain, key } => {
            let (chain, key) = (proof::read_file(chain).await?, proof::read_file(key).await?);
            let both = Zeroizing::new([chain.as_slice(), b"\n", key.as_slice()].concat());
            let identity = Identity::from_pem(&both).map_err(|_unusable| LoginFault::NoProof)?;
            wire.present(identity).map_err(|_unusable| LoginFault::NoProof)?;
            enter(wire, mount, &Certificate { name }).await
        }
    }
}

/// What Vault says of a token.
pub(super) async fn look_up(wire: &Wire, token: Token) -> Result<LoggedIn, LoginFault> {
    let call = Call::of(&LookupTokenSelfRequest {})?;
    let Looked { ttl, renewable } = wire.ask(&call, Some(&token)).await?.data.ok_or(VaultFault::BadAnswer)?;
    Ok(LoggedIn { token, ttl_s: ttl, renewable })
}

async fn enter(wire: &Wire, mount: &str, shown: &impl Serialize) -> Result<LoggedIn, LoginFault> {
    // A secret id may be good for a counted number of logins.
    let call = Call::put(format!("auth/{mount}/login"), shown)?.once();
    let granted = wire.ask::<Fields>(&call, None).await?.auth.ok_or(VaultFault::BadAnswer)?;
    let Granted { client_token: Text(token), lease_duration, renewable } = granted;
    // Empty where Vault wants a second factor, which no machine has.
    let token = Token::new(token.as_bytes()).ok_or(VaultFault::BadAnswer)?;
    Ok(LoggedIn { token, ttl_s: lease_duration, renewable })
}

async fn text(source: &Source) -> Result<Zeroizing<String>, LoginFault> {
    let read = proof::read(source).await?;
    let text = std::str::from_utf8(&read).map_err(|_not_text| LoginFault::NoProof)?;
    Ok(Zeroizing::new(text.to_owned()))
}

impl Unpacked {
    /// The secret id in the wrapping token at `source`: taken out once, and kept for the next logins.
    async fn secret_id(
        &mut self,
        wire: &Wire,
        mount: &str,
        source: &Source,
    ) -> Result<Zeroizing<String>, LoginFault> {
        let read = proof::read(source).await?;
        let of = digest(&SHA256, &read);
        if self.of.as_deref() == Some(of.as_ref()) {
            // Tried before: what it gave is all it gives.
            return self.secret_id.clone().ok_or(LoginFault::WrappingUsed);
        }
        let token = Token::new(&read).ok_or(LoginFault::NoProof)?;
        let secret_id = unwrap(wire, mount, &token).await;
        match &secret_id {
            Ok(secret_id) => self.secret_id = Some(secret_id.clone()),
            Err(LoginFault::WrappingUsed) => self.secret_id = None,
            // Not used up as far as is known: tried again.
            Err(_) => return secret_id,
        }
        self.of = Some(of.as_ref().into());
        secret_id
    }
}

/// Takes a secret id out of its wrapping, if a secret id of this method is what is in it.
async fn unwrap(wire: &Wire, mount: &str, token: &Token) -> Result<Zeroizing<String>, LoginFault> {
    let look = Call::put("sys/wrapping/lookup".to_owned(), &Wrapped { token: token.as_str() })?;
    let Wrapping { creation_path } =
        wire.ask(&look, None).await.map_err(used)?.data.ok_or(VaultFault::BadAnswer)?;
    // Whoever can put a token here could otherwise have the gateway log in with a secret id of their own making.
    let below = creation_path.strip_prefix(&format!("auth/{mount}/role/"));
    if below.and_then(|below| below.strip_suffix("/secret-id")).is_none_or(|role| role.contains('/')) {
        return Err(LoginFault::WrappingForeign);
    }
    let call = Call::put("sys/wrapping/unwrap".to_owned(), &Nothing {})?.once();
    let Unwrapped { secret_id } =
        wire.ask(&call, Some(token)).await.map_err(used)?.data.ok_or(VaultFault::BadAnswer)?;
    Ok(secret_id.0)
}

/// Vault says 400 of a wrapping token that is used up, has ended, or never was.
fn used(failed: Failed) -> LoginFault {
    match failed.fault {
        VaultFault::Status(400) | VaultFault::Denied => LoginFault::WrappingUsed,
        _ => LoginFault::Vault(failed),
    }
}

#[derive(Serialize)]
struct AppRole<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct Jwt<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct Certificate<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Wrapped<'a> {
    token: &'a str,
}

#[derive(Serialize)]
struct Nothing {}
