//! Who signs the checkpoints of a log: a key that is here, or one that is elsewhere and answers when it can?
//!
//! A key elsewhere never leaves its place. Its public half is known here, so that whatever comes back is checked
//! before it is kept, and so that a log can be opened while nobody signs.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use super::checkpoint::{Checkpoint, KeyError, SigningKey, VerifierKey};
use super::tree::Hash;

/// What signs the checkpoints of a log.
#[derive(Debug, Clone)]
pub enum Signer {
    /// A key in this process.
    Here(SigningKey),
    /// A key that is asked for each signature.
    Elsewhere(Elsewhere),
}

/// A key elsewhere.
#[derive(Clone)]
pub struct Elsewhere {
    verifier: VerifierKey,
    /// Set once whoever can ask it is there.
    ask: Arc<OnceLock<Ask>>,
}

/// Signs a message by Ed25519, or says by a stable code why not. May take a while.
pub type Ask = Box<dyn Fn(&[u8]) -> Result<[u8; 64], &'static str> + Send + Sync>;

impl Signer {
    /// What an auditor needs to check what it signs.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        match self {
            Self::Here(key) => key.verifier(),
            Self::Elsewhere(key) => &key.verifier,
        }
    }

    /// The name of the log, which is also the name of the key.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.verifier().name()
    }
}

impl From<SigningKey> for Signer {
    fn from(key: SigningKey) -> Self {
        Self::Here(key)
    }
}

impl Elsewhere {
    /// The key with this public half. Nobody can ask it yet.
    #[must_use]
    pub fn new(verifier: VerifierKey) -> Self {
        Self { verifier, ask: Arc::default() }
    }

    /// From now on the key is asked in this way; the first way given is the one.
    pub fn connect(&self, ask: Ask) {
        if self.ask.set(ask).is_err() {
            tracing::debug!("the signing key of the audit log is connected already");
        }
    }

    /// Vouches for a tree, or says why not yet.
    pub(super) fn sign(&self, size: u64, root: Hash) -> Result<Checkpoint, &'static str> {
        let ask = self.ask.get().ok_or(NOT_CONNECTED)?;
        Checkpoint::vouched(&self.verifier, size, root, ask).map_err(|unsigned| unsigned.unwrap_or(OTHER_KEY))
    }
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elsewhere({})", self.verifier)
    }
}

impl VerifierKey {
    /// A public key in a file, for the log called `origin`: PEM (`BEGIN PUBLIC KEY`, RFC 8410 section 4), or the
    /// 32 bytes in base64, as Vault writes them.
    ///
    /// # Errors
    /// The name cannot be the name of a key, or the file holds no Ed25519 key.
    pub fn from_file(origin: &str, text: &[u8]) -> Result<Self, KeyError> {
        let wrong = KeyError::PublicFile;
        let bytes = match SubjectPublicKeyInfoDer::from_pem_slice(text) {
            Ok(info) => info.strip_prefix(&SPKI_ED25519).ok_or(wrong)?.to_vec(),
            Err(_no_pem) => BASE64.decode(text.trim_ascii()).map_err(|_not_base64| wrong)?,
        };
        Self::new(origin, bytes.try_into().map_err(|_other_length| wrong)?)
    }
}

/// RFC 8410 section 4: all of the DER but the key itself.
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Before the gateway serves.
const NOT_CONNECTED: &str = "audit-signer-not-connected";
/// What came back is not by the key whose public half is configured: it was rotated, or it is another.
const OTHER_KEY: &str = "audit-signer-other-key";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;
    use rcgen::PublicKeyData as _;

    #[test]
    fn a_signature_of_another_key_is_not_kept() {
        let (key, other) = (samples::key(), rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
        let other = SigningKey::from_der(key.origin(), &other.serialize_der()).unwrap();
        let elsewhere = |by: SigningKey| {
            let elsewhere = Elsewhere::new(key.verifier().clone());
            assert_eq!(elsewhere.sign(1, Hash::leaf(b"x")), Err(NOT_CONNECTED));
            elsewhere.connect(Box::new(move |message| Ok(by.sign_bytes(message))));
            elsewhere.sign(1, Hash::leaf(b"x"))
        };
        assert_eq!(elsewhere(key.clone()), Ok(key.sign(1, Hash::leaf(b"x"))));
        assert_eq!(elsewhere(other), Err(OTHER_KEY));
        let silent = Elsewhere::new(key.verifier().clone());
        silent.connect(Box::new(|_| Err("vault-sealed")));
        assert_eq!(silent.sign(1, Hash::leaf(b"x")), Err("vault-sealed"));
    }

    #[test]
    fn a_public_key_is_read_as_pem_and_as_vault_writes_it() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let wanted = SigningKey::from_der("log", &pair.serialize_der()).unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64.encode(pair.subject_public_key_info())
        );
        let bare = format!("{}\n", BASE64.encode(pair.der_bytes()));
        for text in [pem, bare] {
            assert_eq!(VerifierKey::from_file("log", text.as_bytes()).as_ref(), Ok(wanted.verifier()));
        }
        let other = rcgen::KeyPair::generate().unwrap().public_key_pem();
        for text in [other.as_str(), "", "AAAA", "no key"] {
            assert_eq!(VerifierKey::from_file("log", text.as_bytes()), Err(KeyError::PublicFile), "{text}");
        }
    }
}
