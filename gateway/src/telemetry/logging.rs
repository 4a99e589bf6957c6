//! How are log lines written, and how often is the same one repeated?

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::util::TryInitError;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Readable,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("the log filter cannot be read")]
    Filter(#[source] ParseError),
    /// The process logs already.
    #[error("the log was set up twice")]
    Twice(#[source] TryInitError),
}

/// Writes log lines to standard error, from now on. `filter` is a level (`info`) or directives
/// (`info,gateway::upstream=debug`).
///
/// # Errors
/// The filter cannot be read, or this was called before.
pub fn init(format: Format, filter: &str) -> Result<(), LoggingError> {
    subscriber(format, filter, std::io::stderr)?.try_init().map_err(LoggingError::Twice)
}

fn subscriber<W>(
    format: Format,
    filter: &str,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // What comes later in the list wins: the operator can have the quiet ones back.
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(LoggingError::Filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        Format::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish())
        }
        Format::Readable => Box::new(lines.with_ansi(false).finish()),
    })
}

/// Keeps an event that happens a thousand times a second from filling the disk: each key is let
/// through once in a period, and says then how many were held back.
#[derive(Debug)]
pub struct Repeats {
    period: Duration,
    seen: Mutex<HashMap<&'static str, Seen>>,
}

#[derive(Debug)]
struct Seen {
    last: Instant,
    held_back: u64,
}

impl Repeats {
    /// Each key once in `period`.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self { period, seen: Mutex::default() }
    }

    /// Whether the event is to be logged now: how many were held back since the last one that was, or
    /// nothing if this one is held back too. Keys stand in the code, so there are few.
    #[must_use]
    pub fn admit(&self, key: &'static str, now: Instant) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = seen.get_mut(key) else {
            seen.insert(key, Seen { last: now, held_back: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(seen.last) < self.period {
            seen.held_back = seen.held_back.saturating_add(1);
            return None;
        }
        seen.last = now;
        Some(std::mem::take(&mut seen.held_back))
    }
}

/// The listener logs every scan and every failed handshake as an error; they are counted instead. The
/// others trace what the gateway tells better.
const QUIET: &str =
    "pingora_core::services::listening=off,pingora_proxy=error,hyper=warn,reqwest=warn,h2=warn,rustls=warn";

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, events: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, events);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_its_fields_at_the_top() {
        let text = logged(Format::Json, "info", || tracing::info!(upstream = "odoo", "reloaded"));
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(
            (&line["message"], &line["upstream"], &line["level"]),
            (&"reloaded".into(), &"odoo".into(), &"INFO".into())
        );
    }

    #[test]
    fn a_readable_line_is_plain_text() {
        let text = logged(Format::Readable, "info", || tracing::warn!(upstream = "odoo", "slow"));
        assert!(text.contains("slow upstream=\"odoo\""), "{text}");
        assert!(!text.contains('\u{1b}'), "no control characters in a log file");
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        let forged = "x\n{\"message\":\"forged\"}";
        let text = logged(Format::Json, "info", || tracing::info!(path = forged, "refused"));
        assert_eq!(text.lines().count(), 1);
        let text = logged(Format::Readable, "info", || tracing::info!(path = forged, "refused"));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn scans_are_not_logged_unless_asked_for() {
        let scan = || tracing::error!(target: "pingora_core::services::listening", "handshake failed");
        assert_eq!(logged(Format::Readable, "info", scan), "");
        assert!(
            logged(Format::Readable, "info,pingora_core::services::listening=error", scan)
                .contains("handshake")
        );
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let refused = subscriber(Format::Json, "gateway=loud", std::io::stderr);
        assert!(matches!(refused, Err(LoggingError::Filter(_))));
    }

    #[test]
    fn a_repeated_event_says_how_many_were_held_back() {
        let (repeats, began) = (Repeats::new(Duration::from_secs(10)), Instant::now());
        let at = |secs: u64| began + Duration::from_secs(secs);
        assert_eq!(repeats.admit("a", at(0)), Some(0));
        assert_eq!(repeats.admit("b", at(1)), Some(0));
        assert_eq!(repeats.admit("a", at(1)), None);
        assert_eq!(repeats.admit("a", at(9)), None);
        assert_eq!(repeats.admit("a", at(10)), Some(2));
        assert_eq!(repeats.admit("a", at(20)), Some(0));
    }
}
