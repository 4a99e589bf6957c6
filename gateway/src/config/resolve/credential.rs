//! What is shown to upstreams, where is it kept, and how long does each version of it serve?

use super::super::raw;
use super::super::settings::default;
use super::{Resolve, time};
use crate::credential::{CredentialSettings, Form, Origin, Reference};
use crate::diagnostic::Diagnostic;
use crate::document::token;

impl Resolve<'_> {
    pub(super) fn credential(
        &mut self,
        name: String,
        written: raw::Credential,
    ) -> Option<CredentialSettings> {
        let at = format!("/credentials/{}", token(&name));
        let reference = match written.from.parse::<Reference>() {
            Ok(reference) => reference,
            Err(fault) => {
                // Whoever wrote the secret itself here must not find it in the log as well.
                let place = self.place(&format!("{at}/from")).hidden();
                self.mistakes.push(Diagnostic::error(place, fault.to_string()).help(fault.help()));
                return None;
            }
        };
        let header = written.header.as_deref().unwrap_or("authorization");
        let header = self.header(&format!("{at}/header"), header)?;
        let form = match written.form {
            None | Some(raw::CredentialForm::Raw) => Form::Raw,
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
            origin: Origin::Kept(reference),
            header,
            form,
            refresh_every,
            overlap: time(written.overlap, default::CREDENTIAL_OVERLAP),
            age_max,
            place: self.document.place(&format!("{at}/from")),
        })
    }
}
