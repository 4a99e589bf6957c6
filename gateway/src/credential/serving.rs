//! What do those take who are shown to authorization servers, and live longer than a snapshot?
//!
//! A client of such a server outlives reloads, so it knows a credential by its name only: it takes what serves
//! at the moment, and says what became of it. So a client's password or key is rotated as what upstreams are
//! shown is.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::StatusCode;

use super::load::Credentials;
use super::means::Means;
use super::own::Own;
use super::rotation::Request;
use crate::oauth::{ReadSecret, Taken, Verdict};

/// The credentials that serve.
#[derive(Debug, Default)]
pub struct Serving(ArcSwapOption<Credentials>);

impl Serving {
    /// These serve from now on.
    pub fn set(&self, credentials: &Arc<Credentials>) {
        self.0.store(Some(Arc::clone(credentials)));
    }

    /// What serves by the name `name` whenever it is taken.
    #[must_use]
    pub fn secret(self: &Arc<Self>, name: &str) -> ReadSecret {
        // Weak: the credentials have clients that have this.
        let (serving, name) = (Arc::downgrade(self), Arc::<str>::from(name));
        ReadSecret::kept(&format!("credential:{name}"), move || {
            Box::pin(take(Weak::clone(&serving), Arc::clone(&name)))
        })
    }
}

async fn take(serving: Weak<Serving>, name: Arc<str>) -> Option<Taken> {
    let credentials = serving.upgrade()?.0.load_full()?;
    let Means::Own(credential) = credentials.find(&name)? else { return None };
    // A question can be asked twice: nothing is done by one that is refused.
    taken(credential.take(Request::Repeatable).await.ok()?)
}

fn taken(mut own: Own) -> Option<Taken> {
    let bytes = own.bytes()?.clone();
    Some(Taken::new(bytes, move |verdict| {
        let status = match verdict {
            Verdict::Known => StatusCode::OK,
            Verdict::Unknown => StatusCode::UNAUTHORIZED,
        };
        Box::pin(async move { own.judged(status, OTHER_WAIT).await.and_then(taken) })
    }))
}

/// Whoever asks a server waits so long for another proof.
const OTHER_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{CredentialSettings, Form, Origin, Sources, VersionKey};
    use crate::diagnostic::Place;
    use crate::oauth::testing::Fake;
    use crate::oauth::{ClientAuthentication, ClientSettings, Endpoints, OauthFault, Server, ServerSettings};
    use serde_json::json;

    /// Credentials of one client, whose password is in a file.
    struct Bench {
        folder: tempfile::TempDir,
        serving: Arc<Serving>,
        key: Arc<VersionKey>,
    }

    impl Bench {
        fn new(password: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let bench =
                Self { folder, serving: Arc::default(), key: Arc::new(VersionKey::random().unwrap()) };
            bench.write(password);
            bench.load();
            bench
        }

        fn write(&self, password: &str) {
            std::fs::write(self.folder.path().join("next"), password).unwrap();
            std::fs::rename(self.folder.path().join("next"), self.folder.path().join("password")).unwrap();
        }

        /// As a reload does.
        fn load(&self) {
            let settings = CredentialSettings {
                name: "client".to_owned(),
                origin: Origin::Kept("file:password".parse().unwrap()),
                header: http::header::AUTHORIZATION,
                form: Form::Bytes,
                refresh_every: Some(Duration::from_secs(3600)),
                overlap: Duration::from_secs(60),
                age_max: Duration::from_secs(7200),
                place: Place::file("gateway.yaml"),
            };
            let sources = Sources { base_dir: self.folder.path(), variable: &|_| None, vault: None };
            let before = self.serving.0.load_full();
            let (all, _) = Credentials::load(&[settings], &sources, &self.key, before.as_deref()).unwrap();
            self.serving.set(&Arc::new(all));
        }

        fn server(&self, fake: &Fake) -> Server {
            let client = ClientSettings {
                id: "gw".to_owned(),
                authentication: ClientAuthentication::SecretPost(self.serving.secret("client")),
            };
            let endpoints = Endpoints::Given { token: Some(fake.url("/token")), introspection: None };
            let trust = crate::fetch::Trust { ca: None, timeout: Duration::from_secs(5) };
            let settings =
                ServerSettings { name: "login".to_owned(), issuer: None, endpoints, client, trust };
            Server::new(settings).unwrap()
        }
    }

    fn passwords(fake: &Fake) -> Vec<String> {
        fake.asked().iter().filter_map(|asked| asked.parameter("client_secret")).collect()
    }

    #[tokio::test]
    async fn a_server_that_does_not_know_the_client_is_shown_the_newest_secret_at_once() {
        let (bench, fake) = (Bench::new("one"), Fake::start().await);
        let server = bench.server(&fake);
        fake.answer("/token", 200, "application/json", json!({"access_token": "a", "token_type": "Bearer"}));
        assert!(server.client_credentials(&[], None).await.is_ok());

        bench.write("two");
        fake.answer("/token", 401, "application/json", json!({"error": "invalid_client"}));
        let refused = server.client_credentials(&[], None).await.err();
        assert_eq!(refused, Some(OauthFault::Refused("invalid_client")));
        assert_eq!(passwords(&fake), ["one", "one", "two"]);

        // Each refused, nobody knows which is the right one; a reload in between changes nothing.
        bench.load();
        fake.answer("/token", 200, "application/json", json!({"access_token": "a", "token_type": "Bearer"}));
        assert!(server.client_credentials(&[], None).await.is_ok());
    }

    #[tokio::test]
    async fn a_server_that_thinks_something_else_of_the_question_is_asked_once() {
        let (bench, fake) = (Bench::new("one"), Fake::start().await);
        bench.write("two");
        fake.answer("/token", 400, "application/json", json!({"error": "invalid_scope"}));
        let refused = bench.server(&fake).client_credentials(&[], None).await.err();
        assert_eq!((refused, passwords(&fake).len()), (Some(OauthFault::Refused("invalid_scope")), 1));
    }

    #[tokio::test]
    async fn without_the_secret_nobody_is_asked() {
        let (bench, fake) = (Bench::new("one"), Fake::start().await);
        let server = bench.server(&fake);
        bench.serving.set(&Arc::default());
        assert_eq!(server.client_credentials(&[], None).await.err(), Some(OauthFault::NoSecret));
        let server = { Bench::new("one").server(&fake) };
        assert_eq!(server.client_credentials(&[], None).await.err(), Some(OauthFault::NoSecret));
        assert!(fake.asked().is_empty());
    }
}
