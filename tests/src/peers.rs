//! What stands around the gateway in a demonstration: the issuer and the upstreams, with development certificates.

use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use crate::AUDIENCE;
use crate::certificates::Identity;
use crate::issuer::{Client, Issuer, paths};
use crate::retailer::{CALLERS, SampleCaller};
use crate::upstream::{Security, Upstream};

/// The running peers; they end with this value.
#[derive(Debug)]
pub struct Peers {
    /// Gives tokens to the sample callers.
    pub issuer: Issuer,
    /// Over plain TCP.
    pub odoo: Upstream,
    /// Over TLS.
    pub warehouse: Upstream,
}

impl Peers {
    /// Starts them with a folder that `certs/make-development` filled; they answer as `contracts` says.
    ///
    /// # Errors
    /// The certificates are not there.
    pub async fn start(certificates: &Path, contracts: &Path) -> std::io::Result<Self> {
        let identity = Identity::read(certificates, "upstream")?;
        let issuer = Issuer::start(AUDIENCE, Some(&identity)).await;
        for client in CALLERS.iter().filter_map(SampleCaller::client) {
            issuer.register(client);
        }
        let odoo = Upstream::start(contracts, Security::None).await;
        let warehouse =
            Upstream::start(contracts, Security::Tls { identity: &identity, clients: None }).await;
        Ok(Self { issuer, odoo, warehouse })
    }

    /// Their addresses, for whoever configures a gateway.
    #[must_use]
    pub fn addresses(&self) -> Value {
        json!({
            "event": "ready",
            "issuer": self.issuer.name(),
            "jwks": self.issuer.url(paths::JWKS),
            "odoo": self.odoo.address().to_string(),
            "warehouse": self.warehouse.address().to_string(),
        })
    }
}

/// Asks the token endpoint of `issuer` for a client's token: with `scope`, or with all it may have.
///
/// # Errors
/// The issuer cannot be reached or refuses.
pub async fn token(
    client: &Client,
    issuer: &str,
    certificates: &Path,
    scope: Option<&str>,
) -> Result<String, Box<dyn Error>> {
    let root = std::fs::read(certificates.join("internal-ca.pem"))?;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&root)?])
        .no_proxy()
        .build()?;
    let mut form = String::from("grant_type=client_credentials");
    if let Some(scope) = scope {
        // Scopes of the sample need no escape but for the space between them.
        form.push_str(&format!("&scope={}", scope.replace(' ', "+")));
    }
    let asked = http
        .post(format!("{issuer}{}", paths::TOKEN))
        .basic_auth(&client.id, Some(&client.secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer: Value = serde_json::from_str(&asked.send().await?.text().await?)?;
    match answer.get("access_token").and_then(Value::as_str) {
        Some(token) => Ok(token.to_owned()),
        None => Err(format!("the issuer refused: {answer}").into()),
    }
}
