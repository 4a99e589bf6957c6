//! Where does a streamed operation go? Its bodies pass through Pingora's own phases, over the same trust
//! and to the same addresses as buffered calls.

use std::time::Instant;

use http::HeaderValue;
use pingora::ErrorType;
use pingora::upstreams::peer::HttpPeer;

use super::call::Upstream;
use super::error::{Effect, Fault, UpstreamError};

impl Upstream {
    /// A peer for one streamed call, at the address with the fewest calls.
    ///
    /// # Errors
    /// No address is known.
    pub fn streamed_peer(&self, now: Instant) -> Result<HttpPeer, UpstreamError> {
        let lease = self.addresses.choose(now, None).ok_or(UpstreamError {
            fault: Fault::Unreachable,
            effect: Effect::None,
            attempts: 0,
            address: None,
        })?;
        let mut peer = lease.peer.clone();
        // The phases read in pieces: what is bounded is each silence, not the whole.
        peer.options.read_timeout = Some(self.settings.first_byte_timeout);
        peer.options.write_timeout = Some(self.settings.first_byte_timeout);
        peer.options.idle_timeout = Some(self.settings.idle_timeout);
        Ok(peer)
    }

    /// The authority that it is asked for.
    #[must_use]
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}

impl UpstreamError {
    /// What an error of the phases means, where the answer has not begun.
    #[must_use]
    pub const fn while_streaming(error: &ErrorType) -> Self {
        let (fault, effect) = match error {
            ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError => (Fault::Unreachable, Effect::None),
            ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert => {
                (Fault::Tls, Effect::None)
            }
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => (Fault::FirstByte, Effect::Possible),
            _ => (Fault::Closed, Effect::Possible),
        };
        Self { fault, effect, attempts: 1, address: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_that_never_arrived_is_certainly_not_done() {
        for (error, done) in [
            (ErrorType::ConnectRefused, false),
            (ErrorType::TLSHandshakeFailure, false),
            (ErrorType::ReadTimedout, true),
            (ErrorType::ConnectionClosed, true),
        ] {
            assert_eq!(UpstreamError::while_streaming(&error).maybe_done(), done, "{error:?}");
        }
    }
}
