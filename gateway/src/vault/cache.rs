//! What was good last time, for a start while Vault is away: sealed on the disk, and for a limited time.
//!
//! Off unless it is configured. Each secret is sealed by AES-256-GCM (NIST SP 800-38D) under a key that is kept
//! elsewhere, with a random nonce, bound to the address of Vault and to its own path, so that no entry passes for
//! another. The time of reading is inside the seal. What does not open is not there, and is an alarm.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::Fields;
use super::path::SecretPath;
use super::proof;
use super::secret::Secret;
use super::settings::{CacheSettings, Source, VaultSettings};
use crate::disk::{self, Readers};

/// The last good values of one Vault.
pub(super) struct Cache {
    settings: CacheSettings,
    /// Address and namespace of the Vault that the values are of.
    of: String,
    /// Held while the file is written: there is one writer at a time.
    writing: tokio::sync::Mutex<()>,
    /// What this process has read from Vault itself: it is in hand, and must not live longer by a copy.
    in_hand: Mutex<HashSet<String>>,
    /// What was complained of already, by path.
    told: Mutex<HashSet<String>>,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    entries: BTreeMap<String, Sealed>,
}

/// One secret in its seal, both parts in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    nonce: String,
    sealed: String,
}

/// What is in a seal.
#[derive(Serialize)]
struct Written<'a> {
    read_at: i64,
    version: Option<u64>,
    fields: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
struct Opened {
    read_at: i64,
    version: Option<u64>,
    fields: Fields,
}

impl Cache {
    pub(super) fn new(settings: &VaultSettings) -> Option<Self> {
        let namespace = settings.namespace.as_deref().unwrap_or_default();
        Some(Self {
            of: format!("{}\n{namespace}", settings.address),
            settings: settings.cache.clone()?,
            writing: tokio::sync::Mutex::default(),
            in_hand: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// Keeps what was just read. That it cannot be kept is no reason to fail: it is in hand.
    pub(super) async fn keep(&self, at: &SecretPath, secret: &Secret, now: Timestamp) {
        let at = at.to_string();
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone());
        let Some(sealed) = self.seal(&at, secret, now).await else {
            return self.complain(&at, "it cannot be sealed: is the key of the cache there, with 32 bytes?");
        };
        let changed = self.change(|kept| {
            kept.entries.insert(at.clone(), sealed);
            true
        });
        match changed.await {
            Ok(()) => self.content(&at),
            Err(_unwritable) => self.complain(&at, "the file of the cache cannot be written"),
        }
    }

    /// Lets go of what Vault says is not there, or not for the gateway.
    pub(super) async fn forget(&self, at: &SecretPath) {
        let at = at.to_string();
        if self.change(|kept| kept.entries.remove(&at).is_some()).await.is_err() {
            self.complain(&at, "the file of the cache cannot be written");
        }
    }

    /// What was good when another process read it, if it is not too old at `now`.
    pub(super) async fn find(&self, at: &SecretPath, now: Timestamp) -> Option<Secret> {
        let at = at.to_string();
        if self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).contains(&at) {
            return None;
        }
        let kept = load(self.settings.file.clone()).await.ok()?;
        let sealed = kept.entries.get(&at)?;
        let Some(opened) = self.open(&at, sealed).await else {
            if self.is_new_complaint(&at) {
                tracing::error!(
                    secret = at,
                    file = %self.settings.file.display(),
                    "what was kept of this secret does not open: it was altered, or the key of the cache is another"
                );
            }
            return None;
        };
        let age = now.as_second().saturating_sub(opened.read_at);
        // From the future is as wrong as too old.
        let fresh = u64::try_from(age).is_ok_and(|age| Duration::from_secs(age) <= self.settings.age_max);
        if !fresh {
            return None;
        }
        tracing::warn!(secret = at, age_s = age, "Vault is away; what was good last time is used");
        let Fields(fields) = opened.fields;
        Some(Secret::kept(fields, opened.version))
    }

    async fn seal(&self, at: &str, secret: &Secret, now: Timestamp) -> Option<Sealed> {
        let key = self.key().await?;
        let fields = secret.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let written = Written { read_at: now.as_second(), version: secret.version, fields };
        // Reserved at once, with room for the tag: a buffer that grows would leave a copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX));
        serde_json::to_writer(&mut *text, &written).ok()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let bound = Aad::from(self.bound(at));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut *text).ok()?;
        Some(Sealed { nonce: STANDARD.encode(nonce), sealed: STANDARD.encode(&*text) })
    }

    async fn open(&self, at: &str, sealed: &Sealed) -> Option<Opened> {
        let key = self.key().await?;
        let nonce = STANDARD.decode(&sealed.nonce).ok()?.try_into().ok()?;
        let mut text = Zeroizing::new(STANDARD.decode(&sealed.sealed).ok()?);
        let bound = Aad::from(self.bound(at));
        let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), bound, &mut text).ok()?;
        serde_json::from_slice(opened).ok()
    }

    /// What an entry is bound to: the same secret of another Vault, or another of the same, does not open.
    fn bound(&self, at: &str) -> Vec<u8> {
        format!("gateway vault cache 1\n{}\n{at}", self.of).into_bytes()
    }

    /// The key: 32 bytes, as they are, in hexadecimal or in base64. Read each time, so that it is nowhere longer
    /// than it is used.
    async fn key(&self) -> Option<LessSafeKey> {
        let read = match &self.settings.key {
            // As it is: a byte of the key may look like the end of a line.
            Source::File(path) => proof::read_file(path).await.ok()?,
            variable @ Source::Variable(_) => proof::read(variable).await.ok()?,
        };
        let bytes = match read.len() {
            KEY_BYTES => read,
            _ => decoded(read.trim_ascii())?,
        };
        UnboundKey::new(&AES_256_GCM, &bytes).ok().map(LessSafeKey::new)
    }

    async fn change(&self, how: impl FnOnce(&mut Kept) -> bool) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock().await;
        let file = self.settings.file.clone();
        // A file that is not whole is written anew: it holds copies only.
        let mut kept = load(file.clone()).await.unwrap_or_default();
        if !how(&mut kept) {
            return Ok(());
        }
        let text = serde_json::to_vec(&kept)?;
        tokio::task::spawn_blocking(move || disk::replace(&file, &text, Readers::Owner))
            .await
            .map_err(io::Error::other)?
    }

    fn complain(&self, at: &str, why: &'static str) {
        if self.is_new_complaint(at) {
            tracing::warn!(secret = at, file = %self.settings.file.display(), why, "a secret is not kept for an outage");
        }
    }

    fn is_new_complaint(&self, at: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(at.to_owned())
    }

    fn content(&self, at: &str) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(at);
    }
}

/// What is in the file; nothing where there is none.
async fn load(file: PathBuf) -> io::Result<Kept> {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        match File::open(&file) {
            Ok(opened) => opened.take(FILE_BYTES_MAX).read_to_end(&mut text)?,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(fault) => return Err(fault),
        };
        Ok(serde_json::from_slice(&text)?)
    });
    read.await.map_err(io::Error::other)?
}

fn decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = match text.len() {
        HEX_CHARACTERS => {
            let pairs =
                text.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            Zeroizing::new(pairs.collect::<Option<Vec<u8>>>()?)
        }
        _ => Zeroizing::new(STANDARD.decode(text).ok()?),
    };
    (bytes.len() == KEY_BYTES).then_some(bytes)
}

/// Of AES-256.
const KEY_BYTES: usize = 32;
const HEX_CHARACTERS: usize = 64;
/// A secret of Vault may have 1 MiB; those of a gateway have a line.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// Hundreds of secrets.
const FILE_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Auth, SecretPath};

    struct Bench {
        folder: tempfile::TempDir,
        at: SecretPath,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("key"), [7; 32]).unwrap();
            Self { folder, at: "kv2:secret/odoo/api".parse().unwrap() }
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("cache")
        }

        fn cache_of(&self, address: &str) -> Cache {
            let cache = CacheSettings {
                file: self.file(),
                key: Source::File(self.folder.path().join("key")),
                age_max: Duration::from_secs(3_600),
            };
            Cache::new(&VaultSettings {
                address: address.to_owned(),
                namespace: None,
                auth: Auth::TokenFile("token".into()),
                ca: None,
                timeout: Duration::from_secs(1),
                cache: Some(cache),
            })
            .unwrap()
        }

        fn cache(&self) -> Cache {
            self.cache_of("https://vault.example")
        }
    }

    fn secret(value: &str) -> Secret {
        let fields = [("key".to_owned(), Zeroizing::new(value.to_owned()))].into();
        Secret { version: Some(3), ..Secret::kept(fields, None) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000_i64.saturating_add(second)).unwrap()
    }

    fn key(secret: Option<Secret>) -> Option<String> {
        secret.map(|secret| secret.field("key").unwrap().to_string())
    }

    #[tokio::test]
    async fn what_was_kept_is_found_until_it_is_too_old() {
        let bench = Bench::new();
        let cache = bench.cache();
        assert!(cache.find(&bench.at, at(0)).await.is_none());
        cache.keep(&bench.at, &secret("k3y-0ne"), at(0)).await;
        cache.keep(&bench.at, &secret("k3y-tw0"), at(10)).await;
        assert_eq!(key(cache.find(&bench.at, at(10)).await), None, "it is in hand");
        // Another process, after this one.
        let cache = bench.cache();
        let found = cache.find(&bench.at, at(10 + 3_600)).await.unwrap();
        assert_eq!((found.version(), found.is_from_cache()), (Some(3), true));
        assert_eq!(key(Some(found)), Some("k3y-tw0".to_owned()));
        assert_eq!(key(cache.find(&bench.at, at(11 + 3_600)).await), None, "too old");
        assert_eq!(key(cache.find(&bench.at, at(9)).await), None, "from the future");
        assert_eq!(key(cache.find(&"kv1:secret/odoo/api".parse().unwrap(), at(10)).await), None);
        cache.forget(&bench.at).await;
        assert_eq!(key(cache.find(&bench.at, at(10)).await), None);
    }

    #[tokio::test]
    async fn the_file_shows_nothing_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let bench = Bench::new();
        let cache = bench.cache();
        cache.keep(&bench.at, &secret("k3y-0ne"), at(0)).await;
        let first = std::fs::read_to_string(bench.file()).unwrap();
        assert!(!first.contains("k3y"), "{first}");
        assert_eq!(std::fs::metadata(bench.file()).unwrap().permissions().mode() & 0o777, 0o600);
        cache.keep(&bench.at, &secret("k3y-0ne"), at(0)).await;
        assert_ne!(std::fs::read_to_string(bench.file()).unwrap(), first, "another nonce each time");
    }

    #[tokio::test]
    async fn what_was_altered_or_is_of_elsewhere_is_not_there() {
        let bench = Bench::new();
        let other: SecretPath = "kv2:secret/odoo/admin".parse().unwrap();
        bench.cache().keep(&bench.at, &secret("k3y-0ne"), at(0)).await;
        bench.cache().keep(&other, &secret("k3y-tw0"), at(0)).await;
        let good = std::fs::read_to_string(bench.file()).unwrap();
        let find = async |cache: Cache| key(cache.find(&bench.at, at(1)).await);
        assert_eq!(find(bench.cache()).await.as_deref(), Some("k3y-0ne"));
        assert_eq!(find(bench.cache_of("https://vault.other")).await, None);

        // The seal of one secret on the path of the other.
        let mut kept: Kept = serde_json::from_str(&good).unwrap();
        let swapped = kept.entries.remove("kv2:secret/odoo/admin").unwrap();
        kept.entries.insert("kv2:secret/odoo/api".to_owned(), swapped);
        std::fs::write(bench.file(), serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(find(bench.cache()).await, None);

        // Every bit of a seal counts.
        let kept: Kept = serde_json::from_str(&good).unwrap();
        let sealed = STANDARD.decode(&kept.entries["kv2:secret/odoo/api"].sealed).unwrap();
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            let mut kept: Kept = serde_json::from_str(&good).unwrap();
            kept.entries.get_mut("kv2:secret/odoo/api").unwrap().sealed = STANDARD.encode(&altered);
            std::fs::write(bench.file(), serde_json::to_vec(&kept).unwrap()).unwrap();
            assert_eq!(find(bench.cache()).await, None, "byte {place}");
        }
        for text in ["", "{}", "{\"entries\":{\"kv2:secret/odoo/api\":{}}}", "[", "\0"] {
            std::fs::write(bench.file(), text).unwrap();
            assert_eq!(find(bench.cache()).await, None, "{text}");
        }
        // A file that is not whole is written anew.
        bench.cache().keep(&bench.at, &secret("k3y-0ne"), at(0)).await;
        assert_eq!(find(bench.cache()).await.as_deref(), Some("k3y-0ne"));
        std::fs::write(bench.folder.path().join("key"), [8; 32]).unwrap();
        assert_eq!(find(bench.cache()).await, None, "another key");
        std::fs::write(bench.folder.path().join("key"), [8; 31]).unwrap();
        assert_eq!(find(bench.cache()).await, None, "no key");
    }

    #[tokio::test]
    async fn a_key_is_written_in_three_ways() {
        let bench = Bench::new();
        bench.cache().keep(&bench.at, &secret("k3y-0ne"), at(0)).await;
        let path = bench.folder.path().join("key");
        for text in [format!("{}\n", "07".repeat(32)), format!("{}\n", STANDARD.encode([7; 32]))] {
            std::fs::write(&path, &text).unwrap();
            assert!(bench.cache().find(&bench.at, at(0)).await.is_some(), "{text}");
        }
    }
}
