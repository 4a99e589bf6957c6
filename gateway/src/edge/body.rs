//! How much of a request's body is read, how long may it take, and who pays for the memory?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::proxy::Session;
use tokio::time::timeout;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// It is longer than the operation takes.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// What the operation takes.
        max: usize,
    },
    /// It took longer than allowed, in all.
    #[error("the body took too long")]
    Slow,
    /// It ended before its announced end, or its framing is broken.
    #[error("the body is cut or its framing is broken")]
    Broken,
    /// The machine holds as many bytes as it may.
    #[error("too many bytes are held at once")]
    Overloaded,
}

/// The bytes of all bodies that are held at this moment, on the whole machine.
#[derive(Debug)]
pub struct Buffered {
    held: AtomicUsize,
    max: usize,
}

/// Bytes accounted for; given back when dropped.
#[derive(Debug)]
pub struct Held {
    buffered: Arc<Buffered>,
    bytes: usize,
}

impl Buffered {
    /// Nothing held yet; at most `max` bytes at once.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), max })
    }

    /// Accounts for bytes about to be held.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Held { buffered: Arc::clone(self), bytes: 0 };
        held.grow(bytes).then_some(held)
    }
}

impl Held {
    /// Accounts for more; whether it may be held.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let before = self.buffered.held.fetch_add(bytes, Ordering::AcqRel);
        self.bytes = self.bytes.saturating_add(bytes);
        before.saturating_add(bytes) <= self.buffered.max
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.buffered.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Reads the whole body, at most `max` bytes, within `time` in all.
///
/// # Errors
/// [`BodyFault`]; the rest of the body is then unread.
pub async fn read(
    session: &mut Session,
    max: usize,
    time: Duration,
    buffered: &Arc<Buffered>,
) -> Result<(Bytes, Held), BodyFault> {
    let announced = announced_length(session);
    if announced.is_some_and(|length| length > max) {
        return Err(BodyFault::TooLarge { max });
    }
    let mut held = buffered.hold(announced.unwrap_or(0)).ok_or(BodyFault::Overloaded)?;
    let whole = timeout(time, chunks(session, max, announced, &mut held)).await;
    let whole = whole.unwrap_or(Err(BodyFault::Slow));
    if let Err(BodyFault::Broken | BodyFault::Slow) = whole {
        // Where this body ends, and so where another request would begin, is not known any more.
        session.set_keepalive(None);
    }
    Ok((whole?, held))
}

async fn chunks(
    session: &mut Session,
    max: usize,
    announced: Option<usize>,
    held: &mut Held,
) -> Result<Bytes, BodyFault> {
    if session.is_body_empty() {
        return Ok(Bytes::new());
    }
    // RFC 9110 section 10.1.1: Pingora leaves this to whoever reads the body.
    if session.req_header().headers.contains_key(EXPECT) {
        session.write_continue_response().await.map_err(|_broken| BodyFault::Broken)?;
    }
    let Some(first) = next(session).await? else { return Ok(Bytes::new()) };
    if announced == Some(first.len()) {
        // The whole body came in one read: nothing to copy together.
        return match next(session).await? {
            None => Ok(first),
            Some(_) => Err(BodyFault::Broken),
        };
    }
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(first.len()));
    let mut chunk = Some(first);
    while let Some(bytes) = chunk {
        let length = whole.len().saturating_add(bytes.len());
        if length > max {
            return Err(BodyFault::TooLarge { max });
        }
        if announced.is_none() && !held.grow(bytes.len()) {
            return Err(BodyFault::Overloaded);
        }
        whole.extend_from_slice(&bytes);
        chunk = next(session).await?;
    }
    match announced {
        Some(length) if length != whole.len() => Err(BodyFault::Broken),
        _ => Ok(whole.freeze()),
    }
}

async fn next(session: &mut Session) -> Result<Option<Bytes>, BodyFault> {
    session.downstream_session.read_request_body().await.map_err(|fault| {
        tracing::debug!(%fault, "a body could not be read");
        BodyFault::Broken
    })
}

fn announced_length(session: &Session) -> Option<usize> {
    session.req_header().headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_held_up_to_the_limit_and_given_back() {
        let buffered = Buffered::new(100);
        let held = buffered.hold(60).unwrap();
        assert!(buffered.hold(41).is_none());
        assert!(buffered.hold(40).is_some());
        drop(held);
        assert!(buffered.hold(100).is_some());
        assert_eq!(buffered.held.load(Ordering::Acquire), 0);
    }
}
