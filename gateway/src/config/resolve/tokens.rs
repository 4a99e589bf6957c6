//! What is asked of access tokens, whoever issued them, and under which origins are they shown?

use super::super::raw;
use super::super::settings::default;
use super::{Resolve, time};
use crate::identity::{DPOP_WINDOW, DPOP_WINDOW_MAX, DpopSettings, NonceRule, Origin};

impl Resolve<'_> {
    pub(super) fn dpop(&mut self, written: raw::Tokens) -> DpopSettings {
        let raw::Tokens { dpop } = written;
        let window = time(dpop.window, DPOP_WINDOW);
        if window.is_zero() || window > DPOP_WINDOW_MAX {
            self.error(
                "/tokens/dpop/window",
                "a proof lives for 5 minutes at most",
                "such as `window: 60s`; proofs are made for each request",
            );
        }
        let algorithms = dpop.algorithms.unwrap_or_else(|| default::DPOP_ALGORITHMS.to_vec());
        if algorithms.is_empty() {
            self.error(
                "/tokens/dpop/algorithms",
                "no algorithm is named, so no proof would pass",
                "such as `algorithms: [ES256]`",
            );
        }
        DpopSettings { nonce: dpop.nonce.unwrap_or(NonceRule::Required), window, algorithms }
    }

    /// The origins of the listener at `at`.
    pub(super) fn origins(&mut self, at: &str, written: &[String]) -> Vec<Origin> {
        let mut origins = Vec::with_capacity(written.len());
        for (n, text) in written.iter().enumerate() {
            match Origin::parse(text) {
                Some(origin) => origins.push(origin),
                None => self.error(
                    &format!("{at}/origins/{n}"),
                    &format!("`{text}` is no origin"),
                    "a scheme, a host and perhaps a port: https://api.example",
                ),
            }
        }
        origins
    }
}
