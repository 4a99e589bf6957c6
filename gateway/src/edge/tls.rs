//! Which certificates does a listener show, and which client certificates does it trust?
//!
//! Made of what the keyring holds, and made anew when that has changed: a handshake uses the newest, whether
//! the files of policies and contracts load at that moment or not. Sessions resume only within one making,
//! because each has a rustls configuration, and so a session store, of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::trust::{Believed, ClientTrust};
use crate::config::{ClientCrl, ListenerTlsSettings};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::keyring::{Bundle, Holding, KeyPair, Keyring, KeyringFault, RevocationLists, Roots};

/// The TLS side of one listener. It outlives snapshots for as long as its settings stay the same.
#[derive(Debug)]
pub struct ListenerTls {
    holdings: Holdings,
    http2: bool,
    made: ArcSwap<Made>,
}

/// What a listener's TLS is made of.
#[derive(Debug)]
struct Holdings {
    shown: Vec<Arc<Holding<KeyPair>>>,
    roots: Option<Arc<Holding<Roots>>>,
    /// Each with how long a list serves past its end.
    lists: Vec<(Arc<Holding<RevocationLists>>, Duration)>,
    /// By trust domain; nothing where none is named.
    spiffe: Option<BTreeMap<String, Arc<Holding<Bundle>>>>,
}

/// What was made of the holdings at one time.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) server: Arc<ServerConfig>,
    trust: Option<Arc<ClientTrust>>,
    /// The host names of the certificates.
    names: Arc<[String]>,
    /// The generations of the holdings.
    of: Vec<u64>,
}

impl ListenerTls {
    /// The TLS side that these settings ask for: `previous`, if it is the same. `http2` says whether HTTP/2 is
    /// offered.
    ///
    /// # Errors
    /// Every file that cannot be read, or does not hold what it should, by name.
    pub fn load(
        settings: &ListenerTlsSettings,
        http2: bool,
        keyring: &Keyring,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Diagnostics> {
        let holdings = Holdings::take(settings, keyring, Timestamp::now())?;
        if let Some(same) = previous.filter(|same| same.http2 == http2 && same.holdings.are(&holdings)) {
            same.renew();
            return Ok(Arc::clone(same));
        }
        let made = make(&holdings, http2).map_err(|fault| {
            let place = Place::file(&settings.name);
            Diagnostics::from(Diagnostic::error(place, format!("TLS cannot be set up: {fault}")))
        })?;
        Ok(Arc::new(Self { holdings, http2, made: ArcSwap::from_pointee(made) }))
    }

    /// Makes it anew if the keyring holds something else now. What cannot be made replaces nothing.
    pub fn renew(&self) {
        let made = self.made.load();
        let over = made.trust.as_ref().is_some_and(|trust| trust.is_over(Timestamp::now()));
        if made.of == self.holdings.generations() && !over {
            return;
        }
        match make(&self.holdings, self.http2) {
            Ok(made) => self.made.store(Arc::new(made)),
            Err(fault) => tracing::error!(%fault, "the TLS of a listener cannot be renewed"),
        }
    }

    /// The host names of the certificates it shows, wildcards among them.
    #[must_use]
    pub fn names(&self) -> Arc<[String]> {
        Arc::clone(&self.made.load().names)
    }

    /// What decides whether a client certificate is trusted, if the listener asks for one.
    #[must_use]
    pub fn trust(&self) -> Option<Arc<ClientTrust>> {
        self.made.load().trust.clone()
    }

    /// What a handshake uses now.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.made.load().server)
    }
}

impl Holdings {
    fn take(settings: &ListenerTlsSettings, keyring: &Keyring, now: Timestamp) -> Result<Self, Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let mut shown = Vec::new();
        for source in &settings.certificates {
            shown.extend(mistakes.keep(keyring.pair(source, now).map_err(told)));
        }
        if settings.certificates.is_empty() {
            mistakes
                .push(Diagnostic::error(Place::file("gateway.yaml"), "a TLS listener shows no certificate"));
        }
        let roots = settings.client_roots.as_ref();
        let roots = roots.and_then(|source| mistakes.keep(keyring.roots(source, now).map_err(told)));
        let mut lists = Vec::new();
        if let Some(signers) = &roots {
            for ClientCrl { source, stale_max } in &settings.client_crls {
                let held = mistakes.keep(keyring.lists(source, signers, now).map_err(told));
                lists.extend(held.map(|held| (held, *stale_max)));
            }
        }
        let mut spiffe = settings.spiffe.as_ref().map(|_| BTreeMap::new());
        for (domain, source) in settings.spiffe.iter().flatten() {
            if let Some(held) = mistakes.keep(keyring.bundle(source, now).map_err(told)) {
                spiffe.get_or_insert_default().insert(domain.clone(), held);
            }
        }
        let (holdings, _) = mistakes.into_result(Some(Self { shown, roots, lists, spiffe }))?;
        Ok(holdings)
    }

    /// What client certificates are held against, if any are asked for.
    fn trust(&self) -> Result<Option<Arc<ClientTrust>>, rustls::Error> {
        if self.roots.is_none() && self.spiffe.is_none() {
            return Ok(None);
        }
        let current = |(held, stale): &(Arc<Holding<RevocationLists>>, Duration)| (held.current(), *stale);
        let bundles = |domains: &BTreeMap<String, Arc<Holding<Bundle>>>| {
            domains.iter().map(|(domain, held)| (domain.clone(), held.current())).collect()
        };
        let believed = Believed {
            roots: self.roots.as_ref().and_then(|roots| roots.current()),
            lists: self.lists.iter().map(current).collect(),
            spiffe: self.spiffe.as_ref().map(bundles),
        };
        ClientTrust::new(&believed, Timestamp::now()).map(Arc::new).map(Some)
    }

    fn are(&self, other: &Self) -> bool {
        let same_roots = match (&self.roots, &other.roots) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let stale = |lists: &[(_, Duration)]| lists.iter().map(|(_, stale)| *stale).collect::<Vec<_>>();
        same_roots
            && all_same(self.shown.iter(), other.shown.iter())
            && all_same(self.lists.iter().map(|(held, _)| held), other.lists.iter().map(|(held, _)| held))
            && stale(&self.lists) == stale(&other.lists)
            && self.spiffe.as_ref().map(|all| all.keys().collect::<Vec<_>>())
                == other.spiffe.as_ref().map(|all| all.keys().collect::<Vec<_>>())
            && all_same(
                self.spiffe.iter().flat_map(BTreeMap::values),
                other.spiffe.iter().flat_map(BTreeMap::values),
            )
    }

    fn generations(&self) -> Vec<u64> {
        let shown = self.shown.iter().map(|one| one.generation());
        let trusted = self.roots.iter().map(|one| one.generation());
        let lists = self.lists.iter().map(|(one, _)| one.generation());
        let bundles = self.spiffe.iter().flat_map(BTreeMap::values).map(|one| one.generation());
        shown.chain(trusted).chain(lists).chain(bundles).collect()
    }
}

fn all_same<'a, T: 'a>(
    these: impl Iterator<Item = &'a Arc<T>>,
    those: impl Iterator<Item = &'a Arc<T>>,
) -> bool {
    these.map(Arc::as_ptr).eq(those.map(Arc::as_ptr))
}

fn told(fault: KeyringFault) -> Diagnostics {
    Diagnostic::error(Place::file(&fault.name), fault.why.to_string()).into()
}

fn make(holdings: &Holdings, http2: bool) -> Result<Made, rustls::Error> {
    // Before the contents: what changes in between is made anew once more.
    let of = holdings.generations();
    let trust = holdings.trust()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match &trust {
        Some(trust) => {
            let verifier: Arc<dyn ClientCertVerifier> = Arc::<ClientTrust>::clone(trust);
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let shown = Shown::of(&holdings.shown);
    let names = shown.by_name.iter().map(|(name, _)| name.clone()).collect();
    let mut server = builder.with_cert_resolver(Arc::new(shown));
    server.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    // Early data can be replayed by whoever recorded it (RFC 8446 section 8).
    server.max_early_data_size = 0;
    Ok(Made { server: Arc::new(server), trust, names, of })
}

/// The certificates of a listener, by the names in them.
#[derive(Debug)]
struct Shown {
    first: Option<Arc<CertifiedKey>>,
    by_name: Vec<(String, Arc<CertifiedKey>)>,
}

impl Shown {
    fn of(pairs: &[Arc<Holding<KeyPair>>]) -> Self {
        let held: Vec<_> = pairs.iter().filter_map(|pair| pair.current()).collect();
        let named = held.iter().flat_map(|held| {
            let (names, key) = (held.content.dns_names(), held.content.certified());
            names.iter().map(|name| (name.clone(), Arc::clone(key)))
        });
        Self {
            by_name: named.collect(),
            first: held.first().map(|held| Arc::clone(held.content.certified())),
        }
    }
}

impl ResolvesServerCert for Shown {
    /// Without any certificate the handshake is refused.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().unwrap_or_default();
        let fitting = self.by_name.iter().find(|(name, _)| covers(name, asked));
        fitting.map(|(_, key)| key).or(self.first.as_ref()).map(Arc::clone)
    }
}

/// RFC 6125 section 6.4.3: a wildcard stands for exactly the left-most label.
pub(super) fn covers(name: &str, asked: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked),
        Some(parent) => asked
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, asked, fits) in [
            ("api.example", "api.example", true),
            ("API.example", "api.EXAMPLE", true),
            ("*.example", "api.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("api.example", "", false),
        ] {
            assert_eq!(covers(name, asked), fits, "{name} {asked}");
        }
    }
}
