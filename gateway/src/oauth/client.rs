//! As whom, and with what proof, does the gateway speak to an authorization server?

use std::fmt;
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

/// A secret that is read at each use, so that its rotation is seen.
#[derive(Clone)]
pub struct ReadSecret {
    name: Arc<str>,
    read: Arc<dyn Fn() -> Option<Zeroizing<Vec<u8>>> + Send + Sync>,
}

impl ReadSecret {
    /// The secret that `read` gives. `name` says where it is kept: the same name is the same secret.
    pub fn new(name: &str, read: impl Fn() -> Option<Zeroizing<Vec<u8>>> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), read: Arc::new(read) }
    }

    /// The secret of now; nothing when it is not to be had.
    #[must_use]
    pub fn read(&self) -> Option<Zeroizing<Vec<u8>>> {
        (self.read)()
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
