//! How is an issuer asked about its tokens?

use super::super::raw;
use super::super::settings::default;
use super::issuer::well_known;
use super::{Resolve, time};
use crate::fetch::Trust;
use crate::identity::{Introspected, IntrospectionSettings};
use crate::oauth::{AnswerForm, Endpoints, ServerSettings};

impl Resolve<'_> {
    /// `at` is the place of the issuer, `of` what is written of it, `of_keys` how its key server is trusted.
    pub(super) fn introspection(
        &mut self,
        at: &str,
        name: &str,
        written: &raw::Introspection,
        of: &raw::Issuer,
        of_keys: Trust,
    ) -> Option<IntrospectionSettings> {
        let issuer_at = format!("{at}/issuer");
        let at = format!("{at}/introspection");
        let keys = of.keys.as_ref();
        let insecure_http = written.insecure_http || keys.is_some_and(|keys| keys.insecure_http);
        let endpoints = match (&written.url, written.discovery, keys.and_then(|keys| keys.discovery)) {
            (Some(url), None, _) => {
                let help = "such as https://login.example/introspect";
                self.safe(&format!("{at}/url"), url, insecure_http, help);
                Endpoints::Given { token: None, introspection: Some(url.clone()) }
            }
            (None, Some(document), _) => {
                let help = "its metadata are found by its name, such as https://login.example";
                self.safe(&issuer_at, &of.issuer, insecure_http, help);
                Endpoints::Discover(well_known(document))
            }
            (None, None, Some(document)) => Endpoints::Discover(well_known(document)),
            (Some(_), Some(_), _) => {
                self.error(&at, "the issuer is asked in one place", "give `url` or `discovery`");
                return None;
            }
            (None, None, None) => {
                let help = "give its `url`, or let it be found by `discovery`";
                self.error(&at, "nothing says where the issuer is asked about its tokens", help);
                return None;
            }
        };
        let ca = match &written.ca {
            Some(ca) => Some(self.read(&format!("{at}/ca"), ca)?),
            None => of_keys.ca,
        };
        let timeout = written.timeout.map_or(of_keys.timeout, |span| span.0);
        let trust = Trust { ca, timeout };
        let client = self.oauth_client(&format!("{at}/client"), &written.client)?;
        let issuer = Some(of.issuer.clone());
        Some(IntrospectionSettings {
            server: ServerSettings { name: name.to_owned(), issuer, endpoints, client, trust },
            tokens: written.tokens.unwrap_or(Introspected::Opaque),
            prefix: written.prefix.clone(),
            form: if written.signed { AnswerForm::Signed } else { AnswerForm::Plain },
            cache: time(written.cache, default::INTROSPECTION_CACHE),
            negative_cache: time(written.negative_cache, default::NEGATIVE_CACHE),
            stale_max: time(written.stale_max, default::STALE_MAX),
        })
    }
}
