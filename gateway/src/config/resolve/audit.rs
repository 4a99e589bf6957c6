//! Where is the audit log, and who signs it?

use zeroize::Zeroizing;

use super::super::raw;
use super::super::settings::default;
use super::{Resolve, time};
use crate::audit::{Elsewhere, LogSettings, Signer, SigningKey, VerifierKey};
use crate::vault::{TransitKey, is_path};

impl Resolve<'_> {
    /// The log, and the key of Vault that signs it, where one does.
    pub(super) fn audit(
        &mut self,
        written: raw::Audit,
        has_vault: bool,
    ) -> Option<(LogSettings, Option<TransitKey>)> {
        let (signer, transit) = match (written.signing_key, written.signing) {
            (Some(file), None) => (self.audit_key(&written.origin, &file)?.into(), None),
            (None, Some(signing)) => {
                let (signer, transit) = self.audit_signing(&written.origin, signing, has_vault)?;
                (signer, Some(transit))
            }
            _ => {
                self.error(
                    "/audit",
                    "checkpoints are signed by a `signing_key` or by `signing`",
                    "give exactly one of them",
                );
                return None;
            }
        };
        let size = written.segment_size.map(|size| u64::try_from(size.0).unwrap_or(u64::MAX));
        let log = LogSettings {
            segment_bytes_max: size.unwrap_or(default::SEGMENT_BYTES),
            segment_age_max: time(written.segment_age, default::SEGMENT_AGE),
            checkpoint_every: written.checkpoint_records.unwrap_or(default::CHECKPOINT_RECORDS),
            checkpoint_interval: time(written.checkpoint_interval, default::CHECKPOINT_INTERVAL),
            ..LogSettings::new(self.folder.join(written.directory), signer)
        };
        Some((log, transit))
    }

    fn audit_key(&mut self, origin: &str, file: &std::path::Path) -> Option<SigningKey> {
        let key = Zeroizing::new(self.read("/audit/signing_key", file)?);
        match SigningKey::from_pem(origin, &key) {
            Ok(signing_key) => Some(signing_key),
            Err(fault) => {
                let help = "make one: openssl genpkey -algorithm ed25519";
                self.error("/audit/signing_key", &fault.to_string(), help);
                None
            }
        }
    }

    fn audit_signing(
        &mut self,
        origin: &str,
        written: raw::AuditSigning,
        has_vault: bool,
    ) -> Option<(Signer, TransitKey)> {
        let raw::AuditSigning { transit, public_key } = written;
        if !has_vault {
            self.error("/audit/signing/transit", "Vault is not configured", "say where it is, in `vault`");
        }
        let mount = transit.mount.unwrap_or_else(|| "transit".to_owned());
        for (key, text) in [("mount", &mount), ("key", &transit.key)] {
            if !is_path(text) {
                self.error(
                    &format!("/audit/signing/transit/{key}"),
                    "this is no path of Vault",
                    "letters, digits and hyphens, without a slash at either end",
                );
            }
        }
        let file = self.read("/audit/signing/public_key", &public_key)?;
        let verifier = match VerifierKey::from_file(origin, &file) {
            Ok(verifier) => verifier,
            Err(fault) => {
                let help = "write the `public_key` of `vault read transit/keys/NAME` into it";
                self.error("/audit/signing/public_key", &fault.to_string(), help);
                return None;
            }
        };
        let version = Some(transit.version.map_or(1, std::num::NonZeroU64::get));
        Some((Signer::Elsewhere(Elsewhere::new(verifier)), TransitKey { mount, name: transit.key, version }))
    }
}
