//! A real authorization server (npm `oidc-provider`): do tokens of somebody else's making work too?
//!
//! `tests/run` installs it; it runs under node, on loopback, with keys of its own.

use std::fmt;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    ClientId, ClientSecret, HttpRequest, HttpResponse, RequestTokenError, Scope, StandardErrorResponse,
    TokenResponse, TokenUrl,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::{Authority, Identity};
use crate::issuer::{Algorithm, Client, Mint, SigningKey};
use crate::process::Process;
use crate::{repository, secrets, tls};

/// A running `oidc-provider`.
pub struct OidcProvider {
    issuer: String,
    roots_pem: Option<String>,
    /// Held for its end: the server goes when this does.
    _process: Process,
    /// Its certificate and key.
    _files: TempDir,
}

/// What a provider is to be.
#[derive(Debug, Default)]
pub struct Site<'a> {
    /// Whom its tokens are for.
    pub audience: &'a str,
    /// Whom it knows.
    pub clients: Vec<Registered>,
    /// Its certificate, and who signs it and the certificates of its clients; plain HTTP without.
    pub tls: Option<(&'a Identity, &'a Authority)>,
    /// Whether proofs of possession need its nonce.
    pub nonces: bool,
}

/// A client as the provider knows it.
#[derive(Debug, Clone)]
pub struct Registered(Value);

impl Registered {
    /// A client that proves itself by its secret; its tokens are JWTs of this algorithm.
    #[must_use]
    pub fn new(client: &Client, algorithm: Algorithm) -> Self {
        let Client { id, secret, scopes, claims: _ } = client;
        secrets::note(secret);
        Self(json!({"id": id, "secret": secret, "scope": scopes.join(" "), "alg": algorithm.name()}))
    }

    /// A client that only asks what tokens say; how it proves itself is to be added.
    #[must_use]
    pub fn asking(id: &str) -> Self {
        Self(json!({"id": id, "introspects": true}))
    }

    /// Adds one property of `server.mjs`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0[name] = value.into();
        if name == "secret" {
            self.0[name].as_str().into_iter().for_each(secrets::note);
        }
        self
    }
}

impl OidcProvider {
    /// Starts it over plain HTTP, with these clients and the algorithm their tokens are signed by
    /// (`ES256` or `RS256`).
    ///
    /// # Panics
    /// It does not start, for instance because it is not installed.
    pub async fn start(audience: &str, clients: &[(Client, Algorithm)]) -> Self {
        let clients = clients.iter().map(|(client, algorithm)| Registered::new(client, *algorithm)).collect();
        Self::start_as(&Site { audience, clients, ..Site::default() }).await
    }

    /// Starts it.
    ///
    /// # Panics
    /// It does not start, for instance because it is not installed.
    pub async fn start_as(site: &Site<'_>) -> Self {
        let files = tempfile::tempdir().expect("a temporary folder can be made");
        let tls = site.tls.map(|(identity, authority)| {
            identity.write(files.path(), "server");
            let [key, cert, ca] = ["server.key", "server.pem", "ca.pem"].map(|name| files.path().join(name));
            std::fs::write(&ca, authority.pem()).expect("a file can be written");
            json!({"key": key, "cert": cert, "ca": ca})
        });
        let clients: Vec<&Value> = site.clients.iter().map(|client| &client.0).collect();
        let wanted =
            json!({"audience": site.audience, "clients": clients, "tls": tls, "nonces": site.nonces});
        let folder = repository::folder("tests").join("oidc");
        assert!(folder.join("node_modules").is_dir(), "not installed; run: npm ci --prefix tests/oidc");
        let mut command = Command::new("node");
        command.arg("server.mjs").arg(wanted.to_string());
        command.current_dir(folder);
        let mut process = Process::spawn(command);
        let ready = process.wait_for_line(|line| line.contains(r#""event":"ready""#)).await;
        let ready = ready.unwrap_or_else(|printed| panic!("oidc-provider does not serve:\n{printed}"));
        let ready: Value = serde_json::from_str(&ready).expect("the line is JSON");
        Self {
            issuer: ready["issuer"].as_str().expect("the issuer is named").to_owned(),
            roots_pem: site.tls.map(|(_, authority)| authority.pem()),
            _process: process,
            _files: files,
        }
    }

    /// Asks for a token with a certificate (`tls_client_auth`, RFC 8705 section 2.1).
    ///
    /// # Panics
    /// The server cannot be reached or refuses.
    pub async fn token_by_certificate(&self, id: &str, scope: &str, identity: &Identity) -> String {
        let form = format!("grant_type=client_credentials&client_id={id}&scope={scope}");
        let request = self.http(Some(identity)).post(format!("{}/token", self.issuer)).body(form);
        let answer = request.header("content-type", FORM).send().await.expect("it can be reached");
        token_of(&json_of(answer).await)
    }

    /// Asks for a token that is bound to `key` (RFC 9449 section 5), with the nonce the server wants.
    ///
    /// # Panics
    /// The server cannot be reached or refuses, or wants no nonce.
    pub async fn token_by_proof(&self, client: &Client, scope: &str, key: &Arc<SigningKey>) -> String {
        let url = format!("{}/token", self.issuer);
        let form = format!("grant_type=client_credentials&scope={scope}");
        let ask = async |proof: Mint| {
            let request = self.http(None).post(&url).basic_auth(&client.id, Some(&client.secret));
            let request =
                request.header("content-type", FORM).header("dpop", proof.sign()).body(form.clone());
            request.send().await.expect("it can be reached")
        };
        let proof = || Mint::proof(Arc::clone(key), &Method::POST, &url);
        let first = ask(proof()).await;
        let nonce = first.headers().get("dpop-nonce").and_then(|nonce| nonce.to_str().ok());
        let nonce = nonce.expect("the server gives a nonce").to_owned();
        assert_eq!(json_of(first).await["error"], "use_dpop_nonce");
        let answer = json_of(ask(proof().claim("nonce", nonce)).await).await;
        assert_eq!(answer["token_type"], "DPoP", "{answer}");
        token_of(&answer)
    }

    /// Revokes a token of a client (RFC 7009).
    ///
    /// # Panics
    /// The server cannot be reached or refuses.
    pub async fn revoke(&self, client: &Client, token: &str) {
        let request = self.http(None).post(format!("{}/token/revocation", self.issuer));
        let request = request.basic_auth(&client.id, Some(&client.secret)).header("content-type", FORM);
        let answer = request.body(format!("token={token}")).send().await.expect("it can be reached");
        assert_eq!(answer.status(), 200);
    }

    fn http(&self, identity: Option<&Identity>) -> reqwest::Client {
        tls::install_provider();
        let mut builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        if let Some(roots) = &self.roots_pem {
            let root = reqwest::Certificate::from_pem(roots.as_bytes()).expect("a certificate");
            builder = builder.tls_certs_only([root]);
        }
        if let Some(identity) = identity {
            let pem = format!("{}{}", identity.chain_pem, identity.key_pem);
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
        }
        builder.build().expect("a client can be made")
    }

    /// The value of `iss`, which is also its address.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where its public keys are.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.issuer)
    }

    /// Asks for a token as a partner would: client credentials with `client_secret_basic`.
    ///
    /// # Errors
    /// The server refuses: the code of RFC 6749 section 5.2.
    ///
    /// # Panics
    /// The server cannot be reached.
    pub async fn token(&self, client: &Client, scopes: &[&str]) -> Result<String, BasicErrorResponseType> {
        let url = TokenUrl::new(format!("{}/token", self.issuer)).expect("the address is a URL");
        let oauth = BasicClient::new(ClientId::new(client.id.clone()))
            .set_client_secret(ClientSecret::new(client.secret.clone()))
            .set_token_uri(url);
        let scopes = scopes.iter().map(|scope| Scope::new((*scope).to_owned()));
        let http = self.http(None);
        let send = |request| send(&http, request);
        match oauth.exchange_client_credentials().add_scopes(scopes).request_async(&send).await {
            Ok(answer) => {
                let token = answer.access_token().secret();
                secrets::note(token);
                Ok(token.clone())
            }
            Err(RequestTokenError::ServerResponse(refusal)) => Err(code(&refusal)),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Makes new keys and publishes nothing else.
    pub async fn rotate(&self) {
        self.ask_to_rotate("/rotate").await;
    }

    /// Makes new keys and still publishes the old beside them.
    pub async fn rotate_gently(&self) {
        self.ask_to_rotate("/rotate?keep=1").await;
    }

    async fn ask_to_rotate(&self, path: &str) {
        let answer =
            self.http(None).post(format!("{}{path}", self.issuer)).send().await.expect("it can be reached");
        assert_eq!(answer.status(), 204);
    }
}

fn code(refusal: &StandardErrorResponse<BasicErrorResponseType>) -> BasicErrorResponseType {
    refusal.error().clone()
}

/// The body of an answer, which is JSON.
async fn json_of(answer: reqwest::Response) -> Value {
    let text = answer.text().await.expect("an answer has a body");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// The token that the server gives.
fn token_of(answer: &Value) -> String {
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"));
    secrets::note(token);
    token.to_owned()
}

const FORM: &str = "application/x-www-form-urlencoded";

async fn send(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let (head, body) = request.into_parts();
    let url = head.uri.to_string();
    let answer = http.request(head.method, url).headers(head.headers).body(body).send().await?;
    let mut response = http::Response::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}

impl fmt::Debug for OidcProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcProvider").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};

    const AUDIENCE: &str = "https://api.example";

    fn client(id: &str, scopes: &[&str]) -> Client {
        Client {
            id: id.to_owned(),
            secret: format!("{id}-secret-of-a-test"),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            claims: serde_json::Map::new(),
        }
    }

    async fn keys(provider: &OidcProvider) -> JwkSet {
        let text = provider.http(None).get(provider.jwks_url()).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[tokio::test]
    async fn its_tokens_are_access_tokens_of_rfc_9068() {
        let (acme, swift) = (client("acme", &["orders:read"]), client("swift", &["shipments:read"]));
        let clients = [(acme.clone(), Algorithm::Es256), (swift.clone(), Algorithm::Rs256)];
        let provider = OidcProvider::start(AUDIENCE, &clients).await;
        let keys = keys(&provider).await;
        for (client, algorithm) in &clients {
            let token = provider.token(client, &[&client.scopes[0]]).await.unwrap();
            let header = decode_header(&token).unwrap();
            assert_eq!(header.typ.as_deref(), Some("at+jwt"));
            assert_eq!(format!("{:?}", header.alg), algorithm.name());
            let mut validation = Validation::new(header.alg);
            validation.set_audience(&[AUDIENCE]);
            validation.set_issuer(&[provider.issuer()]);
            let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
            let claims = decode::<Value>(&token, &key, &validation).unwrap().claims;
            assert_eq!(
                (&claims["client_id"], &claims["scope"]),
                (&json!(client.id), &json!(client.scopes[0]))
            );
        }
        let wrong = Client { secret: "wrong".to_owned(), ..acme.clone() };
        assert_eq!(provider.token(&wrong, &[]).await, Err(BasicErrorResponseType::InvalidClient));
        assert_eq!(
            provider.token(&acme, &["shipments:read"]).await,
            Err(BasicErrorResponseType::InvalidScope)
        );
    }

    #[tokio::test]
    async fn rotation_replaces_or_adds_keys() {
        let acme = client("acme", &["orders:read"]);
        let provider = OidcProvider::start(AUDIENCE, &[(acme.clone(), Algorithm::Es256)]).await;
        let kid = async || decode_header(provider.token(&acme, &[]).await.unwrap()).unwrap().kid.unwrap();
        let first = kid().await;
        provider.rotate_gently().await;
        let second = kid().await;
        let both = keys(&provider).await;
        assert!(first != second && both.find(&first).is_some() && both.find(&second).is_some());
        provider.rotate().await;
        let third = kid().await;
        let one = keys(&provider).await;
        assert!(one.find(&first).is_none() && one.find(&second).is_none() && one.find(&third).is_some());
    }
}
