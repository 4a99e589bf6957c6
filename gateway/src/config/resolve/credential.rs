//! What is shown to upstreams, where is it kept, and how long does each version of it serve?

use std::collections::BTreeMap;

use super::super::raw;
use super::super::settings::default;
use super::issuer::well_known;
use super::{Resolve, time};
use crate::credential::{CredentialSettings, Form, GrantSettings, Origin, Reference};
use crate::diagnostic::Diagnostic;
use crate::document::token;
use crate::fetch::Trust;
use crate::oauth::{Endpoints, ServerSettings};

impl Resolve<'_> {
    /// All of them; upstreams name those that are in `shown`.
    pub(super) fn credentials(
        &mut self,
        written: BTreeMap<String, raw::Credential>,
        shown: Vec<String>,
    ) -> Option<Vec<CredentialSettings>> {
        let mut has_field = shown;
        let formed = written.iter().filter(|(_, one)| one.header.is_some() || one.form.is_some());
        has_field.extend(formed.map(|(name, _)| name.clone()));
        let mut all: Vec<_> = written.into_iter().map(|(name, one)| self.credential(name, one)).collect();
        self.of_clients(&mut all, &has_field);
        all.into_iter().collect()
    }

    fn credential(&mut self, name: String, written: raw::Credential) -> Option<CredentialSettings> {
        let at = format!("/credentials/{}", token(&name));
        let (origin, usual_form) = match (&written.from, &written.oauth) {
            (Some(from), None) => (Origin::Kept(self.reference(&format!("{at}/from"), from)?), Form::Raw),
            (None, Some(grant)) => (self.grant(&format!("{at}/oauth"), &name, grant)?, Form::Bearer),
            (None, None) | (Some(_), Some(_)) => {
                let help = "give exactly one of `from` and `oauth`";
                self.error(&at, "a credential is a secret or a token of an authorization server", help);
                return None;
            }
        };
        let header = written.header.as_deref().unwrap_or("authorization");
        let header = self.header(&format!("{at}/header"), header)?;
        let form = match written.form {
            None => usual_form,
            Some(raw::CredentialForm::Raw) => Form::Raw,
            Some(raw::CredentialForm::Bearer) => Form::Bearer,
            Some(raw::CredentialForm::Basic) => Form::Basic,
        };
        let refresh_every = written.refresh.map(|span| span.0);
        if refresh_every.is_some_and(|every| every < default::CREDENTIAL_REFRESH_MIN) {
            self.error(
                &format!("{at}/refresh"),
                "its source would be asked without a pause",
                "1s is the shortest",
            );
        }
        let age_max = time(written.age_max, default::CREDENTIAL_AGE);
        if age_max.is_zero() || refresh_every.is_some_and(|every| age_max < every) {
            self.error(
                &format!("{at}/age_max"),
                "each version would end before it is read again",
                "give it several times `refresh`",
            );
        }
        Some(CredentialSettings {
            name,
            origin,
            header,
            form,
            refresh_every,
            overlap: time(written.overlap, default::CREDENTIAL_OVERLAP),
            age_max,
            place: self
                .document
                .place(&format!("{at}/{}", if written.from.is_some() { "from" } else { "oauth" })),
        })
    }

    /// Where a secret is kept.
    pub(super) fn reference(&mut self, at: &str, written: &str) -> Option<Reference> {
        match written.parse::<Reference>() {
            Ok(reference) => Some(reference),
            Err(fault) => {
                // Whoever wrote the secret itself here must not find it in the log as well.
                let place = self.place(at).hidden();
                self.mistakes.push(Diagnostic::error(place, fault.to_string()).help(fault.help()));
                None
            }
        }
    }

    fn grant(&mut self, at: &str, name: &str, written: &raw::Grant) -> Option<Origin> {
        let raw::Grant { issuer, discovery, token_url, insecure_http, scopes, audience, on_behalf, .. } =
            written;
        let help = "such as https://login.example/token";
        let endpoints = match (token_url, discovery, issuer) {
            (Some(url), None, _) => {
                self.safe(&format!("{at}/token_url"), url, *insecure_http, help);
                Endpoints::Given { token: Some(url.clone()), introspection: None }
            }
            (None, Some(document), Some(issuer)) => {
                self.safe(&format!("{at}/issuer"), issuer, *insecure_http, "such as https://login.example");
                Endpoints::Discover(well_known(*document))
            }
            _ => {
                let help = "give `token_url`, or `issuer` and `discovery`";
                self.error(at, "nothing says where the token is asked for", help);
                return None;
            }
        };
        let ca = match &written.ca {
            Some(ca) => Some(self.read(&format!("{at}/ca"), ca)?),
            None => None,
        };
        let trust = Trust { ca, timeout: time(written.timeout, default::KEYS_TIMEOUT) };
        let client = self.oauth_client(&format!("{at}/client"), &written.client)?;
        let server =
            ServerSettings { name: name.to_owned(), issuer: issuer.clone(), endpoints, client, trust };
        let settings = GrantSettings { server, scopes: scopes.clone(), audience: audience.clone() };
        Some(if *on_behalf { Origin::OnBehalf(settings) } else { Origin::Granted(settings) })
    }
}
