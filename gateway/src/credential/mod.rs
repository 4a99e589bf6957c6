//! With what does the gateway prove itself to an upstream?
//!
//! A [`Credential`] is read at load from where its [`Reference`] points, and leaves this room only as a
//! header field of one request. It is never shown: not by `Debug`, not in a diagnostic, not in a log.
//! Audit records name it by name and version. Knows no upstream and no caller.

mod load;
mod reference;
mod secret;
mod version;

pub use load::{CredentialSettings, Credentials, Sources};
pub use reference::{Reference, ReferenceError};
pub use secret::{Credential, Form};
pub use version::{NoRandomness, Version, VersionKey};
