//! Where does a streamed operation go? Its bodies pass through Pingora's own phases, over the same trust
//! and to the same addresses as buffered calls.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use pingora::ErrorType;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::OwnedSemaphorePermit;

use super::addresses::Lease;
use super::call::Upstream;
use super::error::{Effect, Fault, UpstreamError};

/// One streamed call: where it goes, and its place among the upstream's calls until this is dropped.
#[derive(Debug)]
pub struct StreamedCall {
    peer: HttpPeer,
    _lease: Lease,
    _permit: OwnedSemaphorePermit,
}

impl StreamedCall {
    /// Where it goes.
    #[must_use]
    pub const fn peer(&self) -> &HttpPeer {
        &self.peer
    }
}

impl Upstream {
    /// A place for one streamed call, at the address with the fewest calls.
    ///
    /// # Errors
    /// The upstream has all the calls it may have, or no address is known.
    pub fn streamed_call(&self, now: Instant) -> Result<StreamedCall, UpstreamError> {
        let refused = |fault| UpstreamError { fault, effect: Effect::None, attempts: 0, address: None };
        self.transport.is_ready().map_err(refused)?;
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_none_left| refused(Fault::Busy))?;
        let lease = self.addresses.choose(now, None).ok_or_else(|| refused(Fault::Unreachable))?;
        let mut peer = lease.peer(&self.transport).as_ref().clone();
        // The phases read in pieces: what is bounded is each silence, not the whole.
        peer.options.read_timeout = Some(self.settings.first_byte_timeout);
        peer.options.write_timeout = Some(self.settings.first_byte_timeout);
        peer.options.idle_timeout = Some(self.settings.idle_timeout);
        Ok(StreamedCall { peer, _lease: lease, _permit: permit })
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
