//! How is one question put to Vault? Over HTTPS to the configured address only, bounded in time and in size.
//!
//! The requests that carry no secret are those of `vaultrs`; they are sent from here rather than by it, because
//! its own way has no bound for an answer, tells no `Retry-After`, and leaves secrets in memory that is not wiped.

use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use reqwest::{Certificate, Client, Identity, Response, StatusCode, Url};
use rustify::endpoint::Endpoint;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::answer::Envelope;
use super::fault::{Failed, VaultFault};
use super::path::is_path;
use super::retry;
use super::settings::{VaultMistake, VaultSettings};
use crate::fetch::{self, FetchFault};

/// The way to one Vault.
pub(super) struct Wire {
    base: Url,
    namespace: Option<HeaderValue>,
    roots: Option<Vec<Certificate>>,
    timeout: Duration,
    client: ArcSwap<Client>,
}

/// One question.
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<Zeroizing<Vec<u8>>>,
    /// Whether asking again could do harm: what is used once, or counted.
    once: bool,
}

/// A token as it is sent. Its bytes are wiped when the last copy is dropped.
#[derive(Clone)]
pub(super) struct Token(HeaderValue);

impl Token {
    /// Nothing for what is no token: empty, or with characters that a header cannot carry.
    pub(super) fn new(token: &[u8]) -> Option<Self> {
        let printable = token.iter().all(u8::is_ascii_graphic);
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !printable {
            return None;
        }
        let bytes = Bytes::from_owner(Zeroizing::new(token.to_vec()));
        let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    pub(super) fn is(&self, token: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), token).into()
    }

    /// To put it into a body.
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Call {
    /// A request as `vaultrs` describes it.
    pub(super) fn of(endpoint: &impl Endpoint) -> Result<Self, VaultFault> {
        let body = endpoint.body().map_err(|_unwritable| VaultFault::BadAnswer)?;
        Ok(Self {
            method: endpoint.method().into(),
            // Some of its paths begin with a slash, and some with a tabulator.
            path: endpoint.path().trim().trim_matches('/').to_owned(),
            body: body.filter(|body| !body.is_empty()).map(Zeroizing::new),
            once: false,
        })
    }

    pub(super) fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None, once: false }
    }

    /// A request whose body may hold a secret.
    pub(super) fn put(path: String, body: &impl serde::Serialize) -> Result<Self, VaultFault> {
        // Reserved at once: a buffer that grows would leave a copy behind.
        let mut written = Zeroizing::new(Vec::with_capacity(BODY_BYTES));
        serde_json::to_writer(&mut *written, body).map_err(|_unwritable| VaultFault::BadAnswer)?;
        Ok(Self { method: Method::PUT, path, body: Some(written), once: false })
    }

    pub(super) fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

impl Wire {
    pub(super) fn new(settings: &VaultSettings) -> Result<Self, VaultMistake> {
        let base: Url = settings.address.parse().map_err(|_unreadable| {
            VaultMistake::new("address", "is no URL, such as https://vault.example:8200")
        })?;
        if !base.username().is_empty()
            || base.password().is_some()
            || base.query().is_some()
            || base.path() != "/"
        {
            return Err(VaultMistake::new("address", "has more than scheme, host and port"));
        }
        if !fetch::is_safe(&settings.address) {
            return Err(VaultMistake::new("address", "is `https:` only, or `http:` to a loopback address"));
        }
        let namespace = settings.namespace.as_deref().map(namespace).transpose()?;
        let roots = settings.ca.as_deref().map(fetch::roots).transpose();
        let roots = roots.map_err(|message| VaultMistake::new("ca", message))?;
        let client = client(roots.as_deref(), settings.timeout, None)?;
        Ok(Self { base, namespace, roots, timeout: settings.timeout, client: ArcSwap::from_pointee(client) })
    }

    /// From now on this certificate is shown in every handshake.
    pub(super) fn present(&self, identity: Identity) -> Result<(), VaultMistake> {
        let client = client(self.roots.as_deref(), self.timeout, Some(identity))?;
        self.client.store(std::sync::Arc::new(client));
        Ok(())
    }

    /// Asks, again where that may help and time is left, and reads what Vault answers.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call,
        token: Option<&Token>,
    ) -> Result<Envelope<T>, Failed> {
        let body = self.bytes(call, token, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&body).map_err(|_unreadable| VaultFault::BadAnswer.into())
    }

    /// Asks for something whose answer has no content that matters.
    pub(super) async fn tell(&self, call: &Call, token: Option<&Token>) -> Result<(), Failed> {
        self.bytes(call, token, ANSWER_BYTES_MAX).await.map(drop)
    }

    /// The bytes of an answer.
    pub(super) async fn bytes(
        &self,
        call: &Call,
        token: Option<&Token>,
        largest: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let began = Instant::now();
        let mut attempt = 0_u32;
        loop {
            let left = self.timeout.saturating_sub(began.elapsed());
            let failed = match self.attempt(call, token, largest, left).await {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            attempt = attempt.saturating_add(1);
            let own = retry::pause(attempt, FIRST_PAUSE, LONGEST_PAUSE);
            let pause = failed.wait.map_or(own, |asked| asked.max(own));
            let left = self.timeout.saturating_sub(began.elapsed());
            if call.once || !is_worth_another(failed.fault) || attempt >= ATTEMPTS_MAX || pause >= left {
                return Err(failed);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        token: Option<&Token>,
        largest: usize,
        left: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let client = self.client.load_full();
        let mut request = client
            .request(call.method.clone(), self.url(&call.path)?)
            .timeout(left)
            // Vault's own guard against requests that a browser was tricked into.
            .header("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace.clone());
        }
        if let Some(token) = token {
            request = request.header("x-vault-token", token.0.clone());
        }
        if let Some(body) = &call.body {
            let owned = Bytes::from_owner(body.clone());
            request = request.header(header::CONTENT_TYPE, "application/json").body(owned);
        }
        let answer = request.send().await.map_err(|fault| lost(&fault))?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(Zeroizing::default()),
            StatusCode::OK => read(answer, largest).await,
            _ => Err(refused(answer).await),
        }
    }

    fn url(&self, path: &str) -> Result<Url, VaultFault> {
        // Whatever a path was made of: it goes down only.
        if !is_path(path) {
            return Err(VaultFault::BadAnswer);
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| VaultFault::BadAnswer)?
            .clear()
            .push("v1")
            .extend(path.split('/'));
        Ok(url)
    }
}

/// A client whose connection is kept between two questions; how long one may take is told with it.
fn client(
    roots: Option<&[Certificate]>,
    timeout: Duration,
    identity: Option<Identity>,
) -> Result<Client, VaultMistake> {
    let builder = fetch::hardened(roots, identity, timeout);
    let builder = builder.map_err(|message| VaultMistake::new("address", message))?;
    let client = builder.pool_max_idle_per_host(2).pool_idle_timeout(POOL_IDLE).build();
    client.map_err(|_unusable| VaultMistake::new("ca", "cannot be used as trust roots"))
}

fn namespace(name: &str) -> Result<HeaderValue, VaultMistake> {
    let trimmed = name.trim_end_matches('/');
    let value = is_path(trimmed).then(|| HeaderValue::from_str(trimmed).ok()).flatten();
    value.ok_or_else(|| VaultMistake::new("namespace", "is made of segments, such as `retail/shop`"))
}

/// What may be gone a moment later, and is no message to people.
const fn is_worth_another(fault: VaultFault) -> bool {
    match fault {
        VaultFault::Unreachable | VaultFault::Throttled => true,
        VaultFault::Status(status) => status >= 500 || status == 412,
        _ => false,
    }
}

fn lost(fault: &reqwest::Error) -> Failed {
    if fault.is_timeout() { VaultFault::TimedOut.into() } else { VaultFault::Unreachable.into() }
}

async fn read(answer: Response, largest: usize) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let body = fetch::read(answer, largest).await;
    body.map_err(|fault| match fault {
        FetchFault::TimedOut => VaultFault::TimedOut.into(),
        FetchFault::TooLarge => VaultFault::BadAnswer.into(),
        FetchFault::Unreachable(_) | FetchFault::CutOff(_) | FetchFault::Redirected => {
            VaultFault::Unreachable.into()
        }
    })
}

/// What an answer other than 200 says. Of its words only the one about the seal is looked at.
async fn refused(answer: Response) -> Failed {
    let status = answer.status();
    let wait = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let fault = match status.as_u16() {
        300..400 => VaultFault::Standby,
        403 => VaultFault::Denied,
        404 => VaultFault::NotFound,
        429 => VaultFault::Throttled,
        503 if says_sealed(answer).await => VaultFault::Sealed,
        other => VaultFault::Status(other),
    };
    Failed { fault, wait }
}

async fn says_sealed(answer: Response) -> bool {
    let body = read(answer, ERROR_BYTES_MAX).await.unwrap_or_default();
    let sealed = b"is sealed";
    body.windows(sealed.len()).any(|window| window == sealed)
}

/// Vault's own limit for a value is 1 MiB; a JSON text of it may be larger by its escapes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// An error is a line or two.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Tokens of Vault have about a hundred characters; a batch token some more.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// A login with a JWT, or a secret of a few fields.
const BODY_BYTES: usize = 16 << 10;
/// A question a second keeps its connection.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Two repetitions catch a restart of a node behind a load balancer; more would only be a wait.
const ATTEMPTS_MAX: u32 = 3;
/// A connection that was closed while idle works again at once.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Whoever throttles for longer is asked again after this, by the next chore.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
