//! A key elsewhere that signs the audit log, as it is written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// A key that signs the checkpoints of the audit log and never leaves its place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AuditSigning {
    /// A key of Vault's transit engine.
    pub(in crate::config) transit: AuditTransit,
    /// The file of its public half, PEM or as Vault writes it: every signature is checked by it.
    pub(in crate::config) public_key: PathBuf,
}

/// An Ed25519 key of Vault's transit engine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AuditTransit {
    /// Where the engine is mounted. Default: `transit`.
    #[serde(default)]
    pub(in crate::config) mount: Option<String>,
    /// The key's name.
    pub(in crate::config) key: String,
    /// The version that `public_key` is of: others are not asked for when the key is rotated in Vault. Default: 1.
    #[serde(default)]
    pub(in crate::config) version: Option<std::num::NonZeroU64>,
}
