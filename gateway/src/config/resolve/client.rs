//! As whom, and with what proof, does the gateway speak to an authorization server?

use std::path::Path;

use super::super::raw;
use super::Resolve;
use crate::credential::{self, CredentialSettings, Form, Origin};
use crate::diagnostic::Diagnostic;
use crate::document::token;
use crate::oauth::{ClientAuthentication, ClientSettings, ReadSecret};

impl Resolve<'_> {
    pub(super) fn oauth_client(&mut self, at: &str, written: &raw::OauthClient) -> Option<ClientSettings> {
        let raw::OauthClient { id, secret, secret_in_form, private_key, key_id, certificate } = written;
        let authentication = match (secret, private_key, certificate) {
            (Some(secret), None, None) => {
                let secret = self.secret(&format!("{at}/secret"), secret)?;
                if *secret_in_form {
                    ClientAuthentication::SecretPost(secret)
                } else {
                    ClientAuthentication::SecretBasic(secret)
                }
            }
            (None, Some(key), None) => ClientAuthentication::PrivateKeyJwt {
                key: self.secret(&format!("{at}/private_key"), key)?,
                key_id: key_id.clone(),
            },
            (None, None, Some(pair)) => {
                let file = |path: &Path| format!("file:{}", path.display());
                ClientAuthentication::MutualTls {
                    chain: self.secret(&format!("{at}/certificate/chain"), &file(&pair.chain))?,
                    key: self.secret(&format!("{at}/certificate/key"), &file(&pair.key))?,
                }
            }
            (None, None, None) | (Some(_), ..) | (_, Some(_), _) => {
                let help = "give exactly one of `secret`, `private_key` and `certificate`";
                self.error(at, "one proof of who the gateway is there is wanted", help);
                return None;
            }
        };
        Some(ClientSettings { id: id.clone(), authentication })
    }

    /// A secret that is read at each use, and can be read now; or one of `credentials`.
    fn secret(&mut self, at: &str, written: &str) -> Option<ReadSecret> {
        if let Some(name) = written.strip_prefix("credential:") {
            return self.one_of_credentials(at, name);
        }
        let reference = self.reference(at, written)?;
        let Some(secret) = credential::read_at_each_use(&reference, self.folder) else {
            let help = "name it under `credentials`, and write `credential:NAME` here: so it is read anew";
            self.error(at, "what is in Vault is not read at each use", help);
            return None;
        };
        if !secret.is_there() {
            self.error(
                at,
                "the secret cannot be read, or is empty",
                "is it there, and may the gateway read it?",
            );
            return None;
        }
        Some(secret)
    }

    fn one_of_credentials(&mut self, at: &str, name: &str) -> Option<ReadSecret> {
        if !self.credentials.iter().any(|known| known == name) {
            let mistake =
                Diagnostic::error(self.place(at), format!("the credential `{name}` is not defined"));
            self.mistakes.push(mistake.did_you_mean(name, self.credentials.iter().map(String::as_str)));
            return None;
        }
        self.of_clients.insert(name.to_owned());
        Some(self.serving.secret(name))
    }

    /// Of the credentials those that clients show to authorization servers: they stand in no header field.
    pub(super) fn of_clients(&mut self, all: &mut [Option<CredentialSettings>], has_field: &[String]) {
        for settings in all.iter_mut().flatten().filter(|one| self.of_clients.contains(&one.name)) {
            let at = format!("/credentials/{}", token(&settings.name));
            let mut wrong = |message, help| {
                let place = self.document.key_place(&at);
                self.mistakes.push(Diagnostic::error(place, message).help(help));
            };
            if !matches!(settings.origin, Origin::Kept(_)) {
                let help = "name a secret that is kept somewhere: `from`";
                wrong("a token is no proof of who the gateway is to an authorization server", help);
            }
            if has_field.contains(&settings.name) {
                let help = "take `header` and `form` away, and let no upstream name it";
                wrong("what an authorization server is shown stands in no header field of a request", help);
            }
            settings.form = Form::Bytes;
        }
    }
}
