//! From what is written to what it means: defaults, files, references, and what can never work.

mod audit;
mod client;
mod credential;
mod introspection;
mod issuer;
mod keyring;
mod tokens;
mod upstream;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::raw;
use super::settings::{EdgeLimits, ListenerSettings, Settings, default};
use crate::contract::publish::Unpublished;
use crate::credential::Serving;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, token};
use crate::edge::{HeadLimits, TrustedHops};
use crate::identity::IssuerSettings;
use crate::problem::Pages;
use crate::telemetry::Format;
use crate::units::{ByteSize, Span};
use crate::upstream::UpstreamSettings;
use crate::usage::UsageSettings;

/// Reads `gateway.yaml` and what it names. Paths in it are relative to its own folder. Clients of authorization
/// servers take what they show of the credentials in `serving`.
///
/// # Errors
/// Every mistake in it, and every file it names that cannot be read.
pub fn load(path: &Path, serving: &Arc<Serving>) -> Result<(Settings, Diagnostics), Diagnostics> {
    let document = Document::read(path, &path.display().to_string())?;
    let written: raw::Gateway = document.to()?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut resolve = Resolve {
        document: &document,
        folder,
        mistakes: Diagnostics::new(),
        sources: vec![path.to_owned()],
        keyring: PathBuf::new(),
        has_vault: false,
        serving,
        credentials: written.credentials.keys().cloned().collect(),
        of_clients: BTreeSet::new(),
    };
    let settings = resolve.gateway(written);
    let Resolve { mistakes, sources, .. } = resolve;
    mistakes.into_result(settings.map(|settings| Settings { sources, ..settings }))
}

/// The JSON Schema of `gateway.yaml`.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(raw::Gateway).to_value()
}

/// One reading of the file.
struct Resolve<'a> {
    document: &'a Document,
    folder: &'a Path,
    mistakes: Diagnostics,
    sources: Vec<PathBuf>,
    /// Where what was fetched of certificates, lists and bundles is kept.
    keyring: PathBuf,
    has_vault: bool,
    serving: &'a Arc<Serving>,
    /// The names of all credentials.
    credentials: Vec<String>,
    /// Of these, those that are shown to authorization servers.
    of_clients: BTreeSet<String>,
}

impl Resolve<'_> {
    fn gateway(&mut self, written: raw::Gateway) -> Option<Settings> {
        let raw::Gateway {
            listeners,
            admin,
            policies,
            contracts,
            insecure_unpublished_contracts,
            issuers,
            tokens,
            upstreams,
            credentials,
            vault,
            audit,
            usage,
            limits,
            run,
            answers,
            lifecycle,
        } = written;
        let mut insecure = insecure(&listeners, &admin, &issuers, &credentials, &lifecycle);
        insecure.extend(insecure_unpublished_contracts.then(|| "insecure_unpublished_contracts".to_owned()));
        let open = vault.as_ref().filter(|vault| vault.insecure_http);
        insecure.extend(open.map(|_| "vault.insecure_http".to_owned()));
        self.has_vault = vault.is_some();
        self.keyring = beside(&self.folder.join(&audit.directory), default::KEYRING);
        let vault = vault.and_then(|vault| self.vault(vault));
        let admin = self.admin(&admin);
        let listeners = self.listeners(listeners);
        let limits = self.limits(&limits);
        let claims = self.claims(&issuers);
        let dpop = self.dpop(tokens);
        let issuers: Vec<Option<IssuerSettings>> =
            issuers.into_iter().map(|(name, issuer)| self.issuer(name, issuer)).collect();
        let shown = upstreams.values().filter_map(|upstream| upstream.credential.clone()).collect();
        let upstreams: Vec<Option<UpstreamSettings>> =
            upstreams.into_iter().map(|(name, upstream)| self.upstream(name, upstream)).collect();
        let credentials = self.credentials(credentials, shown);
        let (audit, audit_transit) = self.audit(audit, vault.is_some())?;
        let usage = self.usage(usage, &audit.directory);
        let folder =
            |path: Option<PathBuf>, usual: &str| self.folder.join(path.unwrap_or_else(|| usual.into()));
        Some(Settings {
            policies: folder(policies, default::POLICIES),
            contracts: folder(contracts, default::CONTRACTS),
            unpublished: unpublished(insecure_unpublished_contracts),
            listeners: listeners?,
            admin: admin?,
            issuers: issuers.into_iter().collect::<Option<_>>()?,
            claims,
            dpop,
            upstreams: upstreams.into_iter().collect::<Option<_>>()?,
            credentials: credentials?,
            vault,
            revocations: audit.directory.with_file_name(default::REVOCATIONS),
            audit,
            audit_transit,
            usage,
            partners: self.keyring.join(default::PARTNERS),
            limits,
            threads: run.threads.filter(|threads| *threads > 0).unwrap_or_else(cores),
            grace: time(run.grace, default::GRACE),
            log: log_format(run.log),
            log_filter: run.log_filter.unwrap_or_else(|| "info".to_owned()),
            node: run.node.unwrap_or_else(|| "gateway".to_owned()),
            pages: self.pages(answers.problem_types),
            realm: self.realm(answers.realm),
            lifecycle_clock: lifecycle.insecure_clock,
            insecure,
            sources: Vec::new(),
        })
    }

    fn admin(&mut self, admin: &raw::Admin) -> Option<SocketAddr> {
        let address = match admin.address {
            Some(address) => address,
            None => default::ADMIN.parse().ok()?,
        };
        if !address.ip().is_loopback() && !admin.insecure_beyond_loopback {
            self.error(
                "/admin/address",
                "the admin listener has no access control, so it listens on loopback only",
                "use 127.0.0.1, or set `insecure_beyond_loopback: true` behind a network of your own",
            );
        }
        Some(address)
    }

    fn listeners(&mut self, written: BTreeMap<String, raw::Listener>) -> Option<Vec<ListenerSettings>> {
        if written.is_empty() {
            self.error("/listeners", "no listener is named", "name at least one, with its `address`");
        }
        let all: Vec<_> = written.into_iter().map(|(name, listener)| self.listener(name, listener)).collect();
        all.into_iter().collect()
    }

    fn listener(&mut self, name: String, written: raw::Listener) -> Option<ListenerSettings> {
        let at = format!("/listeners/{}", token(&name));
        let plain = written.tls.is_none();
        if plain && !written.insecure_no_tls {
            self.error(
                &at,
                &format!("listener `{name}` has no TLS"),
                "give it `tls`, or set `insecure_no_tls: true` for a loopback address",
            );
        }
        if plain && !written.address.ip().is_loopback() && !written.insecure_no_tls_beyond_loopback {
            self.error(
                &format!("{at}/address"),
                &format!("listener `{name}` has no TLS and other machines can reach it"),
                "listen on 127.0.0.1, or set `insecure_no_tls_beyond_loopback: true`",
            );
        }
        if !plain && written.insecure_no_tls {
            self.error(
                &at,
                &format!("listener `{name}` has both `tls` and `insecure_no_tls`"),
                "remove one of them",
            );
        }
        if written.proxy_protocol && written.trusted_hops.is_empty() {
            self.error(
                &format!("{at}/proxy_protocol"),
                "a PROXY header is believed only from trusted hops, and none is named",
                "name the networks of your load balancers in `trusted_hops`",
            );
        }
        let origins = self.origins(&at, &written.origins);
        let tls = match written.tls {
            None => None,
            Some(tls) => Some(self.listener_tls(&name, &format!("{at}/tls"), tls)?),
        };
        let raw::Listener { address, http2, proxy_protocol, trusted_hops, .. } = written;
        let trusted_hops = TrustedHops::new(trusted_hops);
        let http2 = http2.unwrap_or(true);
        Some(ListenerSettings { name, address, origins, tls, http2, proxy_protocol, trusted_hops })
    }

    fn usage(&mut self, written: raw::Usage, audit: &Path) -> Option<UsageSettings> {
        let raw::Usage { file, keep, enabled } = written;
        let days = keep.map_or(u64::from(default::USAGE_DAYS), |keep| keep.0.as_secs() / DAY_S);
        let days = u32::try_from(days).unwrap_or(u32::MAX);
        if days == 0 {
            self.error("/usage/keep", "counts are kept for a day at least", "such as `keep: 400d`");
        }
        let file = file.map_or_else(|| beside(audit, default::USAGE), |file| self.folder.join(file));
        (enabled != Some(false)).then_some(UsageSettings { file, keep_days: days })
    }

    fn limits(&mut self, written: &raw::Limits) -> EdgeLimits {
        EdgeLimits {
            head: HeadLimits {
                bytes_max: size(written.head, default::HEAD_BYTES),
                fields_max: written.fields.unwrap_or(default::FIELDS),
                target_max: size(written.target, default::TARGET_BYTES),
                field_line_max: size(written.field, default::FIELD_BYTES),
            },
            head_time: time(written.head_time, default::HEAD_TIME),
            body_time: time(written.body_time, default::BODY_TIME),
            handshake_time: time(written.handshake_time, default::HANDSHAKE_TIME),
            idle_time: time(written.idle_time, default::IDLE_TIME),
            requests_per_connection: count(written.requests_per_connection, default::REQUESTS_PER_CONNECTION),
            streams_per_connection: count(written.streams_per_connection, default::STREAMS_PER_CONNECTION),
            connections_max: written.connections.unwrap_or(default::CONNECTIONS),
            connections_per_address_max: written
                .connections_per_address
                .unwrap_or(default::CONNECTIONS_PER_ADDRESS),
            buffered_bytes_max: size(written.buffered, default::BUFFERED_BYTES),
        }
    }

    fn pages(&mut self, written: Option<String>) -> Pages {
        let base = written.unwrap_or_else(|| "https://gateway.example/problems/".to_owned());
        if !base.ends_with('/') || base.parse::<http::Uri>().is_err() {
            self.error(
                "/answers/problem_types",
                "this is no URL that ends in `/`",
                "such as https://docs.example/problems/",
            );
        }
        Pages::new(base)
    }

    fn realm(&mut self, written: Option<String>) -> String {
        let realm = written.unwrap_or_else(|| "api".to_owned());
        // RFC 9110 section 5.6.4: what needs no escape in a quoted string.
        if !realm.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ') {
            self.error(
                "/answers/realm",
                "a realm is made of printable ASCII without quotes",
                "such as `api`",
            );
        }
        realm
    }

    fn header(&mut self, at: &str, name: &str) -> Option<http::HeaderName> {
        let parsed = name.parse().ok();
        if parsed.is_none() {
            self.error(at, &format!("`{name}` is no header name"), "letters, digits and hyphens");
        }
        parsed
    }

    /// A file whose change means a reload.
    fn source(&mut self, path: PathBuf) -> PathBuf {
        let path = self.folder.join(path);
        self.sources.push(path.clone());
        path
    }

    fn read(&mut self, at: &str, path: &Path) -> Option<Vec<u8>> {
        let path = self.source(path.to_owned());
        match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(fault) => {
                let message = format!("{} cannot be read: {}", path.display(), fault.kind());
                self.mistakes.push(Diagnostic::error(self.place(at), message));
                None
            }
        }
    }

    fn error(&mut self, at: &str, message: &str, help: &str) {
        self.mistakes.push(Diagnostic::error(self.place(at), message).help(help));
    }

    fn place(&self, at: &str) -> Place {
        self.document.key_place(at)
    }
}

/// The settings that open something, by their place.
fn insecure(
    listeners: &BTreeMap<String, raw::Listener>,
    admin: &raw::Admin,
    issuers: &BTreeMap<String, raw::Issuer>,
    credentials: &BTreeMap<String, raw::Credential>,
    lifecycle: &raw::Lifecycle,
) -> Vec<String> {
    let mut on = Vec::new();
    for (name, listener) in listeners {
        if listener.insecure_no_tls {
            on.push(format!("listeners.{name}.insecure_no_tls"));
        }
        if listener.insecure_no_tls_beyond_loopback {
            on.push(format!("listeners.{name}.insecure_no_tls_beyond_loopback"));
        }
        on.extend(listener.tls.iter().flat_map(|tls| keyring::insecure(name, tls)));
    }
    if admin.insecure_beyond_loopback {
        on.push("admin.insecure_beyond_loopback".to_owned());
    }
    for (name, issuer) in issuers {
        if matches!(issuer.typ, Some(raw::Typ::InsecureAny)) {
            on.push(format!("issuers.{name}.typ: insecure_any"));
        }
        if issuer.keys.as_ref().is_some_and(|keys| keys.insecure_http) {
            on.push(format!("issuers.{name}.keys.insecure_http"));
        }
        if issuer.introspection.as_ref().is_some_and(|asked| asked.insecure_http) {
            on.push(format!("issuers.{name}.introspection.insecure_http"));
        }
    }
    let plain = |one: &raw::Credential| one.oauth.as_ref().is_some_and(|grant| grant.insecure_http);
    let plain = credentials.iter().filter(|(_, one)| plain(one));
    on.extend(plain.map(|(name, _)| format!("credentials.{name}.oauth.insecure_http")));
    if let Some(clock) = lifecycle.insecure_clock {
        on.push(format!("lifecycle.insecure_clock: {clock}"));
    }
    on
}

const fn unpublished(insecure: bool) -> Unpublished {
    if insecure { Unpublished::Allow } else { Unpublished::Refuse }
}

const fn log_format(written: Option<raw::LogFormat>) -> Format {
    match written {
        None | Some(raw::LogFormat::Json) => Format::Json,
        Some(raw::LogFormat::Readable) => Format::Readable,
    }
}

fn time(written: Option<Span>, usual: Duration) -> Duration {
    written.map_or(usual, |span| span.0)
}

/// Where something is kept when nothing else is said.
pub(super) fn beside(audit: &Path, name: &str) -> PathBuf {
    audit.with_file_name(name)
}

fn size(written: Option<ByteSize>, usual: usize) -> usize {
    written.map_or(usual, |size| size.0)
}

fn count(written: Option<u32>, usual: u32) -> NonZeroU32 {
    NonZeroU32::new(written.unwrap_or(usual)).unwrap_or(NonZeroU32::MIN)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

const DAY_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::KeySource;
    use std::fmt::Write as _;

    /// A key made anew for each test.
    fn signing_key() -> String {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        pair.serialize_pem()
    }

    fn folder(extra: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("audit.key"), signing_key()).unwrap();
        let mut text = String::from(
            "audit: { directory: audit, signing_key: audit.key, origin: gateway.example/audit }\n",
        );
        write!(text, "{extra}").unwrap();
        std::fs::write(folder.path().join("gateway.yaml"), text).unwrap();
        folder
    }

    fn read(folder: &tempfile::TempDir) -> Result<(Settings, Diagnostics), Diagnostics> {
        load(&folder.path().join("gateway.yaml"), &Arc::default())
    }

    fn told(extra: &str) -> String {
        let folder = folder(extra);
        read(&folder).unwrap_err().to_string()
    }

    const LISTENER: &str = "listeners: { plain: { address: \"127.0.0.1:0\", insecure_no_tls: true } }\n";

    #[test]
    fn what_is_not_written_has_its_default() {
        let folder = folder(LISTENER);
        let (settings, _) = read(&folder).unwrap();
        assert_eq!(settings.admin.to_string(), default::ADMIN);
        assert_eq!(settings.limits.head_time, default::HEAD_TIME);
        assert_eq!(settings.policies, folder.path().join("policies"));
        assert_eq!(settings.insecure, ["listeners.plain.insecure_no_tls"]);
        assert_eq!(settings.sources.len(), 2, "the file itself and the signing key");
    }

    #[test]
    fn nothing_listens_in_clear_or_beyond_loopback_without_saying_so() {
        let clear = told("listeners: { a: { address: \"127.0.0.1:0\" } }\n");
        assert!(clear.contains("listener `a` has no TLS"), "{clear}");
        let far = told("listeners: { a: { address: \"0.0.0.0:80\", insecure_no_tls: true } }\n");
        assert!(far.contains("other machines can reach it"), "{far}");
        let admin = told(&format!("{LISTENER}admin: {{ address: \"0.0.0.0:9901\" }}\n"));
        assert!(admin.contains("the admin listener has no access control"), "{admin}");
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = format!(
            "{LISTENER}upstreams:\n  odoo: {{ addresses: [\"127.0.0.1:1\"], credential: odo-key }}\n\
                            credentials:\n  odoo-key: {{ from: \"env:ODOO\" }}\n  vault-key: {{ from: \"nowhere\" }}\n"
        );
        let told = told(&text);
        assert!(told.contains("gateway.yaml:4:"), "{told}");
        assert!(told.contains("did you mean `odoo-key`?"), "{told}");
        assert!(told.contains("gateway.yaml:7:"), "{told}");
    }

    #[test]
    fn an_issuer_has_keys_or_is_asked_about_its_tokens() {
        let with = |more: &str| {
            format!("{LISTENER}issuers:\n  i: {{ issuer: \"https://i.example\", audiences: [a]{more} }}\n")
        };
        let asked = |more: &str| {
            with(&format!(", introspection: {{ client: {{ id: g, secret: \"file:audit.key\" }}{more} }}"))
        };
        let url = "url: \"https://i.example/ask\"";
        for text in
            [asked(&format!(", {url}")), asked(", discovery: oauth"), asked(&format!(", {url}, timeout: 1s"))]
        {
            let folder = folder(&text);
            let (settings, _) = read(&folder).unwrap();
            assert_eq!(settings.issuers[0].keys, KeySource::Nowhere, "{text}");
        }
        let plain = asked(", url: \"http://127.0.0.1:1/ask\", insecure_http: true");
        let insecure = read(&folder(&plain)).unwrap().0.insecure;
        assert!(insecure.contains(&"issuers.i.introspection.insecure_http".to_owned()), "{insecure:?}");
        for (text, place, said) in [
            (with(""), "gateway.yaml:4:", "give `keys` for JWTs, `introspection` for opaque tokens, or both"),
            (asked(""), "gateway.yaml:4:", "nothing says where the issuer is asked"),
            (asked(&format!(", {url}, discovery: oauth")), "gateway.yaml:4:", "give `url` or `discovery`"),
            (asked(", url: \"http://i.example/ask\""), "gateway.yaml:4:", "over `https:` only"),
            (
                asked(&format!(", {url}")).replace("audiences:", "algorithms: [ES256], audiences:"),
                "gateway.yaml:4:",
                "without `keys` no signature is verified",
            ),
        ] {
            let told = told(&text);
            assert!(told.contains(place) && told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn an_unknown_key_is_a_mistake() {
        assert!(told(&format!("{LISTENER}admn: {{}}\n")).contains("did you mean `admin`?"));
    }

    #[test]
    fn a_proxy_header_needs_hops_that_are_trusted() {
        let told = told(
            "listeners: { a: { address: \"127.0.0.1:0\", insecure_no_tls: true, proxy_protocol: true } }\n",
        );
        assert!(told.contains("believed only from trusted hops"), "{told}");
    }

    #[test]
    fn the_schema_describes_every_key() {
        let schema = schema().to_string();
        for key in ["listeners", "insecure_no_tls", "trusted_hops", "checkpoint_interval"] {
            assert!(schema.contains(key), "{key}");
        }
    }
}
