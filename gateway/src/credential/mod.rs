//! With what does the gateway prove itself to an upstream?
//!
//! A [`Credential`] knows where its secret is kept ([`Reference`]), reads it now and then, and holds the
//! editions in hand: the current one, the next one that is tried, and the one before that may still serve.
//! A secret leaves this room only as a header field of one request, by [`Shown`], which is told what the
//! upstream said. It is never shown elsewhere: not by `Debug`, not in a diagnostic, not in a log. Audit
//! records name it by name and version. Knows no upstream and no caller.

mod edition;
mod exchanged;
mod grant;
mod held;
mod load;
mod means;
mod own;
mod reading;
mod reference;
mod rotation;
mod serving;
mod shown;
mod source;
mod version;

pub use edition::Form;
pub use exchanged::{Exchanged, OnBehalf};
pub use grant::GrantSettings;
pub use held::{Credential, CredentialState, Unavailable};
pub use load::{CredentialSettings, Credentials, Origin};
pub use means::Means;
pub use own::Own;
pub use reference::{Reference, ReferenceError, VaultReference};
pub use rotation::{Request, Standing};
pub use serving::Serving;
pub use shown::{Shown, is_unknown};
pub use source::{SourceFault, Sources, read_at_each_use};
pub use version::{NoRandomness, Version, VersionKey};
