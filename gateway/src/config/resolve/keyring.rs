//! Where do certificates, keys, roots and revocation lists come from?
//!
//! Files of these are no sources of a snapshot: the keyring looks at them itself, and what changes in them is
//! used without a reload.

use super::super::raw;
use super::super::settings::ListenerTlsSettings;
use super::Resolve;
use crate::keyring::Source;

impl Resolve<'_> {
    pub(super) fn listener_tls(&self, name: &str, written: raw::ListenerTls) -> ListenerTlsSettings {
        ListenerTlsSettings {
            name: name.to_owned(),
            certificates: written.certificates.into_iter().map(|pair| self.pair(pair)).collect(),
            client_roots: written.client_roots.map(|roots| Source::File(self.folder.join(roots))),
            client_crls: written
                .client_crls
                .into_iter()
                .map(|list| Source::File(self.folder.join(list)))
                .collect(),
        }
    }

    pub(super) fn pair(&self, written: raw::KeyPair) -> Source {
        Source::Pair { chain: self.folder.join(written.chain), key: self.folder.join(written.key) }
    }
}
