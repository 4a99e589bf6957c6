//! A token of an authorization server as a secret: for the gateway itself, or in place of a caller's.
//!
//! RFC 6749 section 4.4 for the gateway itself: such a token is a secret like any other, that ends soon. RFC
//! 8693 in place of a caller's.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::source::{Exposure, Fetched, SourceFault};
use crate::oauth::{Exchange, Granted, OauthFault, Server, ServerSettings};

/// What is asked of which authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSettings {
    /// The server, and who the gateway is there.
    pub server: ServerSettings,
    /// What the token is to allow.
    pub scopes: Vec<String>,
    /// Where it is for.
    pub audience: Option<String>,
}

/// A server that gives tokens.
#[derive(Clone)]
pub(super) struct Grant {
    settings: GrantSettings,
    server: Arc<Server>,
}

impl Grant {
    /// The same server as before where its settings are the same, so that what it knows is kept.
    pub(super) fn new(settings: &GrantSettings, previous: Option<&Self>) -> Result<Self, SourceFault> {
        if let Some(same) = previous.filter(|previous| previous.settings == *settings) {
            return Ok(same.clone());
        }
        let server = Server::new(settings.server.clone());
        let server = server.map_err(|mistake| SourceFault::Server(mistake.to_string()))?;
        Ok(Self { settings: settings.clone(), server: Arc::new(server) })
    }

    pub(super) const fn settings(&self) -> &GrantSettings {
        &self.settings
    }

    /// A token for the gateway itself.
    pub(super) async fn own(&self) -> Result<Fetched, SourceFault> {
        let GrantSettings { scopes, audience, .. } = &self.settings;
        let asked = Instant::now();
        let granted = self.server.client_credentials(scopes, audience.as_deref()).await;
        Ok(fetched(granted.map_err(SourceFault::Oauth)?, asked))
    }

    /// A token in place of `subject`.
    pub(super) async fn on_behalf_of(&self, subject: &str) -> Result<Fetched, SourceFault> {
        let GrantSettings { scopes, audience, .. } = &self.settings;
        let order = Exchange {
            subject_token: subject,
            actor_token: None,
            audience: audience.as_deref(),
            resource: None,
            scopes,
        };
        let asked = Instant::now();
        let granted = self.server.exchange(&order).await.map_err(|fault| match fault {
            OauthFault::Refused(code) => SourceFault::NotOnBehalf(code),
            other => SourceFault::Oauth(other),
        });
        Ok(fetched(granted?, asked))
    }

    pub(super) fn describe(&self) -> String {
        format!("token of {}", self.settings.server.issuer.as_deref().unwrap_or("an authorization server"))
    }
}

/// What was granted, asked for at `asked`: its life began no earlier.
fn fetched(granted: Granted, asked: Instant) -> Fetched {
    let Granted { access_token, lives } = granted;
    let lives = lives.unwrap_or(LIVES_UNSAID).saturating_sub(asked.elapsed()).saturating_sub(ON_THE_WAY);
    let secret = Zeroizing::new(access_token.as_bytes().to_vec());
    let again = lives.mul_f64(AHEAD);
    Fetched {
        secret,
        number: None,
        lives: Some(lives),
        again: Some(again),
        loan: None,
        exposure: Exposure::Few,
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// RFC 6749 section 5.1 recommends `expires_in`; who leaves it out is asked again soon.
const LIVES_UNSAID: Duration = Duration::from_secs(300);
/// A token ends at a whole second, and takes its time to an upstream.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Of a token's life, the part after which the next one is fetched: the rest is for some failures.
const AHEAD: f64 = 0.7;
