//! An honest client of the gateway: HTTP/1.1 or HTTP/2 over TLS, with or without a certificate.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::certificates::Identity;
use crate::tls;
use crate::world::SERVER_NAME;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A client being made.
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder<'a> {
    address: SocketAddr,
    roots_pem: &'a str,
    identity: Option<&'a Identity>,
    protocol: Protocol,
}

/// A client; its connections are kept between calls.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl<'a> ClientBuilder<'a> {
    pub(super) const fn new(address: SocketAddr, roots_pem: &'a str) -> Self {
        Self { address, roots_pem, identity: None, protocol: Protocol::Http1 }
    }

    /// Shows this certificate.
    pub const fn certificate(mut self, identity: &'a Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Speaks this protocol and no other.
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The client.
    #[must_use]
    pub fn build(self) -> Client {
        tls::install_provider();
        let Self { address, roots_pem, identity, protocol } = self;
        let root = reqwest::Certificate::from_pem(roots_pem.as_bytes()).expect("a root is PEM");
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([root])
            .resolve(SERVER_NAME, address)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        builder = match protocol {
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => builder.http2_prior_knowledge(),
        };
        if let Some(identity) = identity {
            let pem = format!("{}{}", identity.chain_pem, identity.key_pem);
            builder =
                builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity is PEM"));
        }
        let http = builder.build().expect("a client can be made");
        Client { http, base: format!("https://{SERVER_NAME}:{}", address.port()) }
    }
}

impl Client {
    pub(super) fn of_admin(address: SocketAddr) -> Self {
        tls::install_provider();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client can be made");
        Self { http, base: format!("http://{address}") }
    }

    /// The address of a path, as callers know it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request with a token that is bound to a key, and a proof of the key (RFC 9449 section 7.1).
    pub fn request_with_proof(
        &self,
        method: Method,
        path: &str,
        token: &str,
        proof: &str,
    ) -> reqwest::RequestBuilder {
        self.request(method, path).header("authorization", format!("DPoP {token}")).header("dpop", proof)
    }

    /// A request to be completed: headers, token, body.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// There is none: the connection or the handshake failed, or the answer was cut.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Reply { status, headers, body: answer.bytes().await? })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// There is none.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap_or_else(|e| panic!("no answer: {e:?}"))
    }

    /// GET without a token.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET with a token.
    pub async fn get_as(&self, token: &str, path: &str) -> Reply {
        self.send(self.request(Method::GET, path).bearer_auth(token)).await
    }

    /// Sends a JSON body with a token.
    pub async fn send_json(&self, token: &str, method: Method, path: &str, body: &Value) -> Reply {
        let request =
            self.request(method, path).bearer_auth(token).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }
}

impl Reply {
    /// A field's value; `None` also when it came more than once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok();
        if values.next().is_some() { None } else { first }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The problem of a refusal (RFC 9457), whose members agree with the answer around it.
    ///
    /// # Panics
    /// It is none, or its `status` is another than that of the answer.
    #[must_use]
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        for member in ["type", "title", "instance"] {
            assert!(problem[member].is_string(), "`{member}` is missing: {problem}");
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;
    use crate::repository;
    use crate::upstream::{Answer, Security, Upstream};
    use serde_json::json;

    #[tokio::test]
    async fn it_trusts_its_roots_only_and_shows_its_certificate() {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let identity = servers.server(&[SERVER_NAME]);
        let security = Security::Tls { identity: &identity, clients: Some(&clients.pem()) };
        let peer = Upstream::start(&repository::folder("contracts"), security).await;
        let (trusted, other) = (servers.pem(), clients.pem());
        let me = clients.client_dns("client.acme.example");
        for (roots, identity, works) in
            [(&trusted, Some(&me), true), (&trusted, None, false), (&other, Some(&me), false)]
        {
            let mut builder = ClientBuilder::new(peer.address(), roots);
            builder.identity = identity;
            let client = builder.build();
            let answer = client.try_send(client.request(Method::GET, "/stock/v1/status")).await;
            assert_eq!(answer.is_ok(), works);
        }
    }

    const TOKEN: &str = "a-token-of-some-caller";

    #[tokio::test]
    async fn a_problem_agrees_with_its_answer() {
        let peer = Upstream::start(&repository::folder("contracts"), Security::None).await;
        let client = Client::of_admin(peer.address());
        peer.next(|_| Answer::problem(409).edit(|body| body["instance"] = json!("urn:uuid:1")));
        let reply = client.send_json(TOKEN, Method::POST, "/orders/v2/orders", &json!({"a": 1})).await;
        assert_eq!(reply.problem()["status"], 409);
        let seen = peer.seen();
        assert_eq!(seen[0].header("authorization"), Some(&*format!("Bearer {TOKEN}")));
        assert_eq!(seen[0].json(), json!({"a": 1}));
        assert_eq!(
            client.get_as(TOKEN, "/stock/v1/status").await.header("content-type"),
            Some("application/json")
        );
    }
}
