//! Who vouches for a tree, and how is that checked with the public key alone?
//!
//! C2SP signed-note and tlog-checkpoint with Ed25519 (RFC 8032). It knows trees by size and root, and
//! no files.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroize as _;

use super::tree::Hash;

/// A size and root that the holder of a trusted key has signed. There is no other way to get one than
/// to sign it or to check a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    tree: Tree,
    note: String,
}

/// What the text of a checkpoint says, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Checkpoint {
    /// Checks a signed note, as it stands in a `.checkpoints` file or was kept elsewhere.
    ///
    /// # Errors
    /// The text is no checkpoint, or no key of `keys` signed it.
    pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let (text, signatures) = split(note)?;
        let tree = Tree::read(text)?;
        let mut signed = false;
        for line in signatures.lines() {
            let signature = Signature::read(line)?;
            // C2SP signed-note: signatures of unknown keys are ignored; one of a known key must hold.
            for key in keys.iter().filter(|key| key.made(&signature)) {
                key.check(text, &signature)?;
                // C2SP tlog-checkpoint: the name of the log's key matches the origin line.
                signed |= key.name == tree.origin;
            }
        }
        let note = note.to_owned();
        if signed { Ok(Self { tree, note }) } else { Err(CheckpointError::UnknownKey) }
    }

    /// A tree that a key elsewhere vouches for. Its signature is checked before it is believed; nothing instead
    /// of a reason means that it does not hold.
    pub(super) fn vouched<E>(
        key: &VerifierKey,
        size: u64,
        root: Hash,
        ask: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<Self, Option<E>> {
        let tree = Tree { origin: key.name.clone(), size, root };
        let text = tree.to_string();
        let signature = ask(text.as_bytes()).map_err(Some)?;
        let checked = Signature { name: &key.name, id: key.id, bytes: signature.to_vec() };
        key.check(&text, &checked).map_err(|_does_not_hold| None)?;
        Ok(Self { tree, note: key.note(&text, &signature) })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.tree.origin
    }

    /// How many entries it covers.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size
    }

    /// The hash of the tree over them.
    #[must_use]
    pub const fn root(&self) -> Hash {
        self.tree.root
    }

    /// The signed text, to be kept where the operators of the log cannot change it.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

/// Why a text is not a checkpoint to rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not of the form of a signed checkpoint.
    #[error("the text is not a signed checkpoint")]
    Form,
    /// A trusted key is named, and did not sign this text.
    #[error("the signature does not hold")]
    Signature,
    /// Signed by nobody who is trusted.
    #[error("no trusted key signed the checkpoint")]
    UnknownKey,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is empty or has a space, a control character or a plus.
    #[error("a key name is a text without spaces and plus, such as `gateway.example/audit/node-1`")]
    Name,
    /// Not an Ed25519 private key.
    #[error("the signing key is not an Ed25519 key in PKCS#8")]
    Private,
    /// Not an Ed25519 public key.
    #[error("the public key is not one of Ed25519, in PEM or as 32 bytes in base64")]
    PublicFile,
    /// Not of the form of a verifier key.
    #[error("a verifier key is written as `name+hash+base64`")]
    Public,
}

/// The private key of a log, bound to the log's name.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: VerifierKey,
}

impl SigningKey {
    /// The key in a PEM file (`BEGIN PRIVATE KEY`), for the log called `origin`.
    ///
    /// # Errors
    /// The name cannot be the name of a key, or the file holds no Ed25519 key.
    pub fn from_pem(origin: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_not_pem| KeyError::Private)?;
        let key = Self::from_der(origin, der.secret_pkcs8_der());
        der.zeroize();
        key
    }

    /// The key as PKCS#8 DER (RFC 5958; RFC 8410 section 7), for the log called `origin`.
    ///
    /// # Errors
    /// As [`SigningKey::from_pem`].
    pub fn from_der(origin: &str, der: &[u8]) -> Result<Self, KeyError> {
        // Version 1 files (OpenSSL) lack the public key; ring derives it then.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_rejected| KeyError::Private)?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_length| KeyError::Private)?;
        Ok(Self { public: VerifierKey::new(origin, bytes)?, pair: Arc::new(pair) })
    }

    /// What an auditor needs to check what this key signs.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// The name of the log, which is also the name of the key.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.public.name
    }

    /// Vouches for a tree.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> Checkpoint {
        let tree = Tree { origin: self.public.name.clone(), size, root };
        let text = tree.to_string();
        let note = self.public.note(&text, self.pair.sign(text.as_bytes()).as_ref());
        Checkpoint { tree, note }
    }

    /// A bare signature, as a key elsewhere gives it.
    #[cfg(test)]
    pub(super) fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().unwrap()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret not shown)", self.public)
    }
}

/// A public key with the name of its log: `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl VerifierKey {
    pub(super) fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        // C2SP signed-note: key names are non-empty, without Unicode spaces and plus.
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(forbidden) {
            return Err(KeyError::Name);
        }
        // C2SP signed-note: key ID = SHA-256(name || 0x0A || type || public key)[:4].
        let hashed = digest(&SHA256, &[name.as_bytes(), b"\n", &[TYPE_ED25519], &public].concat());
        let id = hashed.as_ref().first_chunk().copied().unwrap_or_default();
        Ok(Self { name: name.to_owned(), id, public })
    }

    /// The name of the log whose checkpoints it checks.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A text with the line of a signature below it (C2SP signed-note).
    fn note(&self, text: &str, signature: &[u8]) -> String {
        let encoded = BASE64.encode([self.id.as_slice(), signature].concat());
        format!("{text}\n\u{2014} {} {encoded}\n", self.name)
    }

    fn made(&self, signature: &Signature<'_>) -> bool {
        signature.name == self.name && signature.id == self.id
    }

    fn check(&self, text: &str, signature: &Signature<'_>) -> Result<(), CheckpointError> {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(text.as_bytes(), &signature.bytes)
            .map_err(|_unspecified| CheckpointError::Signature)
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // The base64 part may hold a plus, so only the first two divide.
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Public);
        };
        let bytes = BASE64.decode(encoded).map_err(|_not_base64| KeyError::Public)?;
        let public = match bytes.split_first() {
            Some((&TYPE_ED25519, public)) => public.try_into().map_err(|_length| KeyError::Public)?,
            _ => return Err(KeyError::Public),
        };
        let key = Self::new(name, public)?;
        if hex(key.id) == id { Ok(key) } else { Err(KeyError::Public) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE64.encode([&[TYPE_ED25519], self.public.as_slice()].concat());
        write!(f, "{}+{}+{encoded}", self.name, hex(self.id))
    }
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

struct Signature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl<'a> Signature<'a> {
    /// Reads `— name base64(id || signature)`.
    fn read(line: &'a str) -> Result<Self, CheckpointError> {
        let form = CheckpointError::Form;
        let (name, encoded) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(form)?;
        let bytes = BASE64.decode(encoded).map_err(|_not_base64| form)?;
        let (id, bytes) = bytes.split_first_chunk().ok_or(form)?;
        Ok(Self { name, id: *id, bytes: bytes.to_vec() })
    }
}

/// The text of a note, with its last line feed, and its signature lines.
fn split(note: &str) -> Result<(&str, &str), CheckpointError> {
    let form = CheckpointError::Form;
    // C2SP signed-note: UTF-8 without control characters other than the line feed.
    if note.len() > NOTE_BYTES_MAX || !note.ends_with('\n') || note.contains(|c| c < ' ' && c != '\n') {
        return Err(form);
    }
    // C2SP signed-note: the last empty line divides the text from the signatures.
    let (text, signatures) = note.rsplit_once("\n\n").ok_or(form)?;
    let text = note.get(..text.len().saturating_add(1)).ok_or(form)?;
    if signatures.is_empty() { Err(form) } else { Ok((text, signatures)) }
}

impl Tree {
    /// Reads a note without asking who signed it.
    pub(super) fn unchecked(note: &str) -> Result<Self, CheckpointError> {
        split(note).and_then(|(text, _)| Self::read(text))
    }

    fn read(text: &str) -> Result<Self, CheckpointError> {
        let form = CheckpointError::Form;
        let mut lines = text.lines();
        let (Some(origin), Some(digits), Some(encoded)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(form);
        };
        let size: u64 = digits.parse().map_err(|_not_a_number| form)?;
        let root = BASE64.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(form)?;
        // C2SP tlog-checkpoint: no leading zeroes; extension lines are not recommended, and this log
        // never writes one.
        if origin.is_empty() || size.to_string() != digits || lines.next().is_some() {
            return Err(form);
        }
        Ok(Self { origin: origin.to_owned(), size, root: Hash::new(root) })
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.as_bytes()))
    }
}

/// C2SP signed-note: the type byte of Ed25519.
const TYPE_ED25519: u8 = 0x01;
/// Room for a checkpoint with the signatures of a dozen witnesses; whatever is longer is no checkpoint.
const NOTE_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use crate::audit::samples;

    /// The example of the Go `note` package, where the form comes from.
    const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NEUMANN_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                                then you don't know what your problem is.\n";
    const NEUMANN_SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNI\
                                     uGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn the_published_note_is_accepted_and_not_one_letter_less() {
        let key: VerifierKey = NEUMANN.parse().unwrap();
        assert_eq!(key.to_string(), NEUMANN);
        let signature = Signature::read(NEUMANN_SIGNATURE).unwrap();
        assert!(key.made(&signature));
        assert_eq!(key.check(NEUMANN_TEXT, &signature), Ok(()));
        let shorter = NEUMANN_TEXT.trim_end();
        assert_eq!(key.check(shorter, &signature), Err(CheckpointError::Signature));
    }

    #[test]
    fn what_was_signed_is_opened_with_the_public_key() {
        let key = samples::key();
        let signed = key.sign(42, Hash::leaf(b"x"));
        let public: VerifierKey = key.verifier().to_string().parse().unwrap();
        let opened = Checkpoint::open(signed.note(), &[public]).unwrap();
        assert_eq!(opened, signed);
        assert_eq!((opened.size(), opened.root()), (42, Hash::leaf(b"x")));
        assert_eq!(opened.origin(), samples::ORIGIN);
        assert_eq!(opened.note().lines().nth(1), Some("42"));
    }

    #[test]
    fn a_key_of_openssl_without_its_public_half_is_accepted() {
        // RFC 8410 section 10.3, the first example: a key that everybody knows.
        let der = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
        let pem =
            ["BEGIN", "END"].map(|end| format!("-----{end} PRIVATE KEY-----")).join(&format!("\n{der}\n"));
        let key = SigningKey::from_pem("a.example/log", pem.as_bytes()).unwrap();
        // RFC 8410 section 10.1: the public key of the same pair.
        let public = BASE64.decode("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
        assert_eq!(key.verifier().public.as_slice(), public);
    }

    #[test]
    fn a_changed_foreign_or_misshapen_note_is_refused() {
        let key = samples::key();
        let public = std::slice::from_ref(key.verifier());
        let note = key.sign(42, Hash::leaf(b"x")).note().to_owned();
        let other = SigningKey::from_der(samples::ORIGIN, &samples::fresh_pkcs8()).unwrap();
        let renamed = SigningKey::from_der("another.example/log", &samples::PKCS8).unwrap();
        let signature = note.lines().last().unwrap();
        let check = |note: &str, expected: CheckpointError| {
            assert_eq!(Checkpoint::open(note, public), Err(expected), "{note}");
        };
        check(&note.replacen("42", "43", 1), CheckpointError::Signature);
        check(other.sign(42, Hash::leaf(b"x")).note(), CheckpointError::UnknownKey);
        check(renamed.sign(42, Hash::leaf(b"x")).note(), CheckpointError::UnknownKey);
        check(&note.replacen("42", "042", 1), CheckpointError::Form);
        check(&note.replacen("42", "-42", 1), CheckpointError::Form);
        check(&note.replacen("42\n", "", 1), CheckpointError::Form);
        check(&note.replacen("\n\n", "\nmore\n\n", 1), CheckpointError::Form);
        check(&note.replacen("42", "42\r", 1), CheckpointError::Form);
        check(note.trim_end(), CheckpointError::Form);
        check(&note.replacen(signature, "", 1), CheckpointError::Form);
        check(&note.replacen(signature, "\u{2014} x", 1), CheckpointError::Form);
        check(&" ".repeat(NOTE_BYTES_MAX + 1), CheckpointError::Form);
        check("", CheckpointError::Form);
    }

    #[test]
    fn signatures_of_unknown_keys_beside_the_logs_own_are_ignored() {
        let key = samples::key();
        let witness = SigningKey::from_der("witness.example", &samples::fresh_pkcs8()).unwrap();
        let mut note = key.sign(42, Hash::leaf(b"x")).note().to_owned();
        let cosigned = witness.sign(42, Hash::leaf(b"x"));
        note.push_str(cosigned.note().lines().last().unwrap());
        note.push('\n');
        assert!(Checkpoint::open(&note, std::slice::from_ref(key.verifier())).is_ok());
        // A witness alone does not make a log's checkpoint.
        assert!(Checkpoint::open(cosigned.note(), std::slice::from_ref(key.verifier())).is_err());
    }

    #[test]
    fn a_key_with_a_wrong_name_hash_or_form_is_refused() {
        for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
            let refused = SigningKey::from_der(name, &samples::PKCS8).unwrap_err();
            assert_eq!(refused, KeyError::Name, "{name:?}");
        }
        for key in ["", "x", "a+b", &NEUMANN.replace("c74f", "c74e"), &NEUMANN.replace("+AR", "+BR")] {
            assert_eq!(key.parse::<VerifierKey>(), Err(KeyError::Public), "{key}");
        }
        assert_eq!(SigningKey::from_pem("a", b"no pem").unwrap_err(), KeyError::Private);
        assert_eq!(SigningKey::from_der("a", b"no der").unwrap_err(), KeyError::Private);
    }

    #[test]
    fn a_signing_key_shows_only_its_public_half() {
        let shown = format!("{:?}", samples::key());
        assert!(shown.contains(&samples::key().verifier().to_string()));
        assert!(shown.contains("not shown"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_without_panic(text in "(.|\n){0,300}") {
            proptest::prop_assert!(Checkpoint::open(&text, &[]).is_err());
        }
    }
}
