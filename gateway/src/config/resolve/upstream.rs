//! Where requests go, and over which TLS?

use super::super::raw;
use super::super::settings::default;
use super::{Resolve, time};
use crate::diagnostic::Diagnostic;
use crate::document::token;
use crate::keyring::Source;
use crate::upstream::{Protocol, TlsSettings, UpstreamSettings};

impl Resolve<'_> {
    pub(super) fn upstream(&mut self, name: String, written: raw::Upstream) -> Option<UpstreamSettings> {
        let at = format!("/upstreams/{}", token(&name));
        if let Some(credential) = &written.credential
            && !self.credentials.contains(credential)
        {
            let place = self.document.place(&format!("{at}/credential"));
            let mistake = Diagnostic::error(place, format!("credential `{credential}` is not defined"));
            self.mistakes.push(mistake.did_you_mean(credential, self.credentials.iter().map(String::as_str)));
        }
        let tls = match written.tls {
            None => None,
            Some(tls) => Some(self.upstream_tls(&format!("{at}/tls"), tls)?),
        };
        let identity_header = written.identity_header.as_deref().unwrap_or(default::IDENTITY_HEADER);
        let identity_header = self.header(&format!("{at}/identity_header"), identity_header)?;
        let response_headers: Option<Vec<_>> = written
            .response_headers
            .iter()
            .enumerate()
            .map(|(n, name)| self.header(&format!("{at}/response_headers/{n}"), name))
            .collect();
        Some(UpstreamSettings {
            name,
            addresses: written.addresses,
            tls,
            protocol: if written.http2 { Protocol::Http2 } else { Protocol::Http1 },
            connect_timeout: time(written.connect_timeout, default::CONNECT_TIMEOUT),
            first_byte_timeout: time(written.first_byte_timeout, default::FIRST_BYTE_TIMEOUT),
            idle_timeout: time(written.idle_timeout, default::UPSTREAM_IDLE),
            host: written.host,
            in_flight_max: written.in_flight_max.unwrap_or(default::IN_FLIGHT),
            credential: written.credential,
            identity_header,
            response_headers: response_headers?,
        })
    }

    fn upstream_tls(&mut self, at: &str, written: raw::UpstreamTls) -> Option<TlsSettings> {
        let client = match written.client {
            None => None,
            Some(pair) => Some(self.pair(&format!("{at}/client"), pair)?),
        };
        let roots = Source::File(self.folder.join(written.roots));
        Some(TlsSettings { server_name: written.server_name, roots, client })
    }
}
