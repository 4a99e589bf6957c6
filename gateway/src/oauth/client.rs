//! As whom, and with what proof, does the gateway speak to an authorization server?

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Who the gateway is to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Its `client_id`.
    pub id: String,
    /// How it proves that.
    pub authentication: ClientAuthentication,
}

/// How a client proves who it is (RFC 6749 section 2.3, RFC 7523, RFC 8705).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: a password in `Authorization`.
    SecretBasic(ReadSecret),
    /// `client_secret_post`: a password in the form.
    SecretPost(ReadSecret),
    /// `private_key_jwt`: a signed assertion that lives for a minute.
    PrivateKeyJwt {
        /// The private key, PEM with PKCS #8.
        key: ReadSecret,
        /// What the server calls it.
        key_id: Option<String>,
    },
    /// `tls_client_auth` or `self_signed_tls_client_auth`: the certificate of the connection.
    MutualTls {
        /// The chain, PEM.
        chain: ReadSecret,
        /// Its key, PEM.
        key: ReadSecret,
    },
}

/// A secret that is taken anew at each use, so that its rotation is seen.
#[derive(Clone)]
pub struct ReadSecret {
    name: Arc<str>,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// It is read on the spot.
    Read(Arc<dyn Fn() -> Option<Zeroizing<Vec<u8>>> + Send + Sync>),
    /// Somebody has it in hand, and wants to know what became of it.
    Kept(Arc<dyn Fn() -> Later + Send + Sync>),
}

/// A secret that is waited for; nothing where it is not to be had.
pub type Later = Pin<Box<dyn Future<Output = Option<Taken>> + Send>>;

/// A secret for one question. To be judged by the server's answer.
pub struct Taken {
    bytes: Zeroizing<Vec<u8>>,
    judge: Option<Judge>,
}

type Judge = Box<dyn FnOnce(Verdict) -> Later + Send>;

/// What a server said of who asked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It took the proof, whatever else it thinks of the question.
    Known,
    /// It did not, so that another proof may be taken.
    Unknown,
}

impl ReadSecret {
    /// The secret that `read` gives. `name` says where it is kept: the same name is the same secret.
    pub fn new(name: &str, read: impl Fn() -> Option<Zeroizing<Vec<u8>>> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), way: Way::Read(Arc::new(read)) }
    }

    /// The secret that `take` gives, of which there may be several versions.
    pub fn kept(name: &str, take: impl Fn() -> Later + Send + Sync + 'static) -> Self {
        Self { name: name.into(), way: Way::Kept(Arc::new(take)) }
    }

    /// Whether there is anything where it is read on the spot; of what somebody keeps, they tell themselves.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match &self.way {
            Way::Read(read) => read().is_some_and(|bytes| !bytes.is_empty()),
            Way::Kept(_) => true,
        }
    }

    /// The secret of now; nothing when it is not to be had.
    pub async fn take(&self) -> Option<Taken> {
        match &self.way {
            Way::Read(read) => read().map(|bytes| Taken { bytes, judge: None }),
            Way::Kept(take) => take().await,
        }
        .filter(|taken| !taken.bytes.is_empty())
    }
}

impl Taken {
    /// A version of a secret; `judge` is told of the server's answer, and gives another version to try instead,
    /// if there is one.
    pub fn new(bytes: Zeroizing<Vec<u8>>, judge: impl FnOnce(Verdict) -> Later + Send + 'static) -> Self {
        Self { bytes, judge: Some(Box::new(judge)) }
    }

    /// What is shown.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The server has answered. Gives what to try instead. A version of which nothing is said was not shown.
    pub(super) async fn judged(self, verdict: Verdict) -> Option<Self> {
        self.judge?(verdict).await
    }
}

impl PartialEq for ReadSecret {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ReadSecret {}

impl fmt::Debug for ReadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadSecret").field(&self.name).finish()
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taken")
    }
}
