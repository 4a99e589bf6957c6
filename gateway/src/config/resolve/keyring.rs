//! Where do certificates, keys, roots and revocation lists come from?
//!
//! Files of these are no sources of a snapshot: the keyring looks at them itself, and what changes in them is
//! used without a reload. Nothing is fetched here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::super::raw;
use super::super::settings::{ClientCrl, ListenerTlsSettings, default};
use super::{Resolve, time};
use crate::document::token;
use crate::fetch::{self, Trust};
use crate::identity::is_trust_domain;
use crate::keyring::{Origin, Remote, Source};
use crate::units::Span;
use crate::vault::{CertificateOrder, is_path};

/// A server as it is written.
struct Written<'a> {
    url: &'a str,
    ca: Option<PathBuf>,
    insecure_http: bool,
    timeout: Option<Span>,
}

impl Resolve<'_> {
    pub(super) fn listener_tls(
        &mut self,
        name: &str,
        at: &str,
        written: raw::ListenerTls,
    ) -> Option<ListenerTlsSettings> {
        let raw::ListenerTls { certificates, client_roots, client_crls, spiffe } = written;
        if client_roots.is_none() && !client_crls.is_empty() {
            self.error(
                &format!("{at}/client_crls"),
                "revocation lists are those of client roots, and there are none",
                "name the `client_roots`, or remove the lists",
            );
        }
        let certificates: Vec<_> = certificates
            .into_iter()
            .enumerate()
            .map(|(n, pair)| self.pair(&format!("{at}/certificates/{n}"), pair))
            .collect();
        let client_crls: Vec<_> = client_crls
            .into_iter()
            .enumerate()
            .map(|(n, list)| self.list(&format!("{at}/client_crls/{n}"), list))
            .collect();
        let spiffe = match spiffe {
            None => None,
            Some(domains) => Some(self.trust_domains(&format!("{at}/spiffe"), domains)?),
        };
        Some(ListenerTlsSettings {
            name: name.to_owned(),
            certificates: certificates.into_iter().collect::<Option<_>>()?,
            client_roots: client_roots.map(|roots| Source::File(self.folder.join(roots))),
            client_crls: client_crls.into_iter().collect::<Option<_>>()?,
            spiffe,
        })
    }

    pub(super) fn pair(&mut self, at: &str, written: raw::OwnCertificate) -> Option<Source> {
        match written {
            raw::OwnCertificate { chain: Some(chain), key: Some(key), vault_pki: None } => {
                Some(Source::Pair { chain: self.folder.join(chain), key: self.folder.join(key) })
            }
            raw::OwnCertificate { chain: None, key: None, vault_pki: Some(order) } => {
                self.issued(&format!("{at}/vault_pki"), order)
            }
            _ => {
                self.error(
                    at,
                    "a certificate comes from two files or from Vault",
                    "give `chain` and `key`, or `vault_pki`",
                );
                None
            }
        }
    }

    fn issued(&mut self, at: &str, written: raw::VaultPki) -> Option<Source> {
        let raw::VaultPki { mount, role, common_name, dns, uris, ips, ttl, renew_at } = written;
        self.in_vault(at, &[("mount", &mount), ("role", &role)])?;
        if dns.is_empty() && uris.is_empty() && ips.is_empty() {
            self.error(at, "a certificate without names is nobody's", "give it `dns`, `uris` or `ips`");
            return None;
        }
        let renew_at = renew_at.unwrap_or(default::RENEW_AT);
        if !(default::RENEW_AT_MIN..=default::RENEW_AT_MAX).contains(&renew_at) {
            self.error(
                &format!("{at}/renew_at"),
                "this is no part of a certificate's life that leaves time on both sides",
                "between 0.1 and 0.95, such as 0.66",
            );
            return None;
        }
        let thousandths = Duration::from_secs(1).mul_f64(renew_at).as_millis();
        let renew_at = u32::try_from(thousandths).unwrap_or(u32::MAX);
        let order = CertificateOrder { mount, role, common_name, dns, uris, ips, ttl: ttl.map(|ttl| ttl.0) };
        Some(Source::Remote(Arc::new(Remote {
            origin: Origin::Issued { order, renew_at },
            refresh: default::RENEWAL,
            // A key is never written down.
            kept: None,
        })))
    }

    fn list(&mut self, at: &str, written: raw::ClientCrl) -> Option<ClientCrl> {
        let written = match written {
            raw::ClientCrl::File(file) => {
                let source = Source::File(self.folder.join(file));
                return Some(ClientCrl { source, stale_max: Duration::ZERO });
            }
            raw::ClientCrl::Fetched(written) => written,
        };
        let raw::FetchedCrl { url, vault_pki, ca, insecure_http, refresh, timeout, stale_max, file } =
            written;
        let origin = match (&url, vault_pki) {
            (Some(url), None) => self.url(at, Written { url, ca, insecure_http, timeout })?,
            (None, Some(mount)) => {
                self.in_vault(at, &[("vault_pki", &mount)])?;
                Origin::List { mount }
            }
            _ => {
                self.error(
                    at,
                    "a revocation list comes from a file, from a URL or from Vault",
                    "write a path, `{ url: https://... }` or `{ vault_pki: MOUNT }`",
                );
                return None;
            }
        };
        let remote = self.remote(origin, time(refresh, default::CRL_REFRESH), file);
        Some(ClientCrl { source: remote, stale_max: stale_max.map_or(Duration::ZERO, |span| span.0) })
    }

    fn trust_domains(
        &mut self,
        at: &str,
        written: BTreeMap<String, raw::SpiffeBundle>,
    ) -> Option<BTreeMap<String, Source>> {
        let mut domains = BTreeMap::new();
        let mut whole = true;
        for (domain, bundle) in written {
            let at = format!("{at}/{}", token(&domain));
            if !is_trust_domain(&domain) {
                self.error(
                    &at,
                    &format!("`{domain}` is no SPIFFE trust domain"),
                    "write it as in the ids, such as retailer.example, in lower case",
                );
                whole = false;
            }
            match self.bundle(&at, bundle) {
                Some(source) => drop(domains.insert(domain, source)),
                None => whole = false,
            }
        }
        whole.then_some(domains)
    }

    fn bundle(&mut self, at: &str, written: raw::SpiffeBundle) -> Option<Source> {
        let raw::SpiffeBundle { file, url, ca, insecure_http, refresh, timeout } = written;
        match (file, &url) {
            (Some(file), None) => Some(Source::File(self.folder.join(file))),
            (None, Some(url)) => {
                let origin = self.url(at, Written { url, ca, insecure_http, timeout })?;
                Some(self.remote(origin, time(refresh, default::BUNDLE_REFRESH), None))
            }
            _ => {
                self.error(at, "a bundle comes from a file or from a URL", "give one of `file` and `url`");
                None
            }
        }
    }

    fn url(&mut self, at: &str, written: Written<'_>) -> Option<Origin> {
        let Written { url, ca, insecure_http, timeout } = written;
        let plain = url.starts_with("http://") && !insecure_http;
        if plain || !fetch::is_safe(url) {
            self.error(
                &format!("{at}/url"),
                "what is trusted is fetched over `https:`, from an address without a user",
                "such as https://pki.example/clients.crl; `insecure_http: true` allows a loopback address",
            );
            return None;
        }
        let ca = match ca {
            Some(ca) => Some(self.read(&format!("{at}/ca"), &ca)?),
            None => None,
        };
        let trust = Trust { ca, timeout: time(timeout, default::KEYRING_TIMEOUT) };
        Some(Origin::Url { url: url.to_owned(), trust })
    }

    /// With the place where the last good answer is kept, by what is asked for.
    fn remote(&self, origin: Origin, refresh: Duration, kept: Option<PathBuf>) -> Source {
        let name = match &origin {
            Origin::Url { url, .. } => url.clone(),
            Origin::List { mount } => format!("vault:{mount}"),
            Origin::Issued { .. } => String::new(),
        };
        let name = digest(&SHA256, name.as_bytes());
        let name: String = name.as_ref().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let kept =
            kept.map_or_else(|| self.keyring.join(format!("{name}.kept")), |kept| self.folder.join(kept));
        Source::Remote(Arc::new(Remote { origin, refresh, kept: Some(kept) }))
    }

    /// What is named in Vault can be there, and there is a Vault.
    fn in_vault(&mut self, at: &str, names: &[(&str, &str)]) -> Option<()> {
        if !self.has_vault {
            self.error(at, "no Vault is named", "say where it is: `vault: { address: ..., auth: ... }`");
            return None;
        }
        for (key, name) in names {
            if !is_path(name) {
                let help = "name it as Vault does, without a slash at either end";
                self.error(&format!("{at}/{key}"), &format!("`{name}` is no {key} of Vault"), help);
                return None;
            }
        }
        Some(())
    }
}

/// The switches of a listener that open something, by their place.
pub(super) fn insecure(name: &str, tls: &raw::ListenerTls) -> Vec<String> {
    let at = format!("listeners.{name}.tls");
    let lists = tls.client_crls.iter().enumerate().filter_map(|(n, list)| match list {
        raw::ClientCrl::Fetched(list) if list.insecure_http => {
            Some(format!("{at}.client_crls.{n}.insecure_http"))
        }
        raw::ClientCrl::Fetched(_) | raw::ClientCrl::File(_) => None,
    });
    let domains = tls.spiffe.iter().flatten().filter(|(_, bundle)| bundle.insecure_http);
    lists.chain(domains.map(|(domain, _)| format!("{at}.spiffe.{domain}.insecure_http"))).collect()
}

/// Enough of a hash that no two sources share a file.
const NAME_BYTES: usize = 16;
