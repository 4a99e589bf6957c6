//! How does Vault sign with a key that it never gives away? Ed25519 of the transit engine, over the message itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vaultrs::api::transit::requests::SignDataRequest;

use super::answer::TransitKeys;
use super::fault::VaultFault;

/// A key of the transit engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransitKey {
    /// Where the engine is mounted.
    pub mount: String,
    /// The key's name.
    pub name: String,
    /// Which version signs; the latest when nothing is said.
    pub version: Option<u64>,
}

/// The public half of a key, as RFC 8032 section 5.1.5 has it.
pub type PublicKey = [u8; PUBLIC_KEY_BYTES];

/// A signature, and the version of the key that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The bytes, as RFC 8032 section 5.1.6 has them.
    pub bytes: [u8; SIGNATURE_BYTES],
    /// Which version of the key.
    pub key_version: u64,
}

impl TransitKey {
    pub(super) fn request(&self, message: &[u8]) -> SignDataRequest {
        SignDataRequest {
            mount: self.mount.clone(),
            name: self.name.clone(),
            key_version: self.version,
            input: STANDARD.encode(message),
            // The key signs the message itself (RFC 8032 section 5.1), not a digest of it.
            prehashed: Some(false),
            ..SignDataRequest::default()
        }
    }
}

impl TransitKeys {
    /// The public half of one version, if the key is one of Ed25519.
    pub(super) fn version(&self, version: u64) -> Result<PublicKey, VaultFault> {
        let public = self.keys.get(&version.to_string()).filter(|_| self.kind == "ed25519");
        let public = public.ok_or(VaultFault::BadAnswer)?;
        let bytes = STANDARD.decode(&public.public_key).map_err(|_unreadable| VaultFault::BadAnswer)?;
        bytes.try_into().map_err(|_other_length| VaultFault::BadAnswer)
    }
}

impl Signature {
    /// `vault:v1:BASE64`, as transit writes a signature.
    pub(super) fn parse(text: &str) -> Result<Self, VaultFault> {
        let parts = text.strip_prefix("vault:v").and_then(|rest| rest.split_once(':'));
        let (version, signature) = parts.ok_or(VaultFault::BadAnswer)?;
        let key_version = version.parse().map_err(|_no_number| VaultFault::BadAnswer)?;
        let bytes = STANDARD.decode(signature).map_err(|_unreadable| VaultFault::BadAnswer)?;
        let bytes = bytes.try_into().map_err(|_other_length| VaultFault::BadAnswer)?;
        Ok(Self { bytes, key_version })
    }
}

/// RFC 8032 section 5.1.5.
const PUBLIC_KEY_BYTES: usize = 32;
/// RFC 8032 section 5.1.6.
const SIGNATURE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_signature_is_read_as_transit_writes_it() {
        let text = format!("vault:v3:{}", STANDARD.encode([7; 64]));
        assert_eq!(Signature::parse(&text), Ok(Signature { bytes: [7; 64], key_version: 3 }));
        let short = format!("vault:v3:{}", STANDARD.encode([7; 63]));
        for wrong in
            ["", "vault:v1", "vault:v:AAAA", "vault:vx:AAAA", "v1:AAAA", "vault:v1:%%", short.as_str()]
        {
            assert_eq!(Signature::parse(wrong), Err(VaultFault::BadAnswer), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,120}") {
            drop(Signature::parse(&text));
        }
    }
}
