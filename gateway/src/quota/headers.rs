//! How is a caller told what it has left? (draft-ietf-httpapi-ratelimit-headers-10)
//!
//! `RateLimit-Policy` is written at load. `RateLimit` names the one window that will stop the caller
//! first, which is the one it must pace itself by.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::limits::{OperationLimits, Plan};
use super::window::{Left, Window};

/// What a caller has left of each window that applies to a call.
#[derive(Debug, Clone)]
pub struct Standing {
    plan: Arc<Plan>,
    operation: Option<Arc<OperationLimits>>,
    left: Vec<Left>,
}

/// What is left of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState<'a> {
    /// The name in the header fields.
    pub name: &'a str,
    /// Calls of cost 1 when whole.
    pub quota: u32,
    /// Its length in seconds.
    pub window_s: u64,
    /// Calls of cost 1 that would pass now.
    pub remaining: u32,
    /// Seconds until it is whole again, or, of a window that refused, until the call would pass.
    pub reset_s: u64,
}

impl Standing {
    /// `left` has one entry for each window of [`applying`], in that order.
    pub(super) const fn new(
        plan: Arc<Plan>,
        operation: Option<Arc<OperationLimits>>,
        left: Vec<Left>,
    ) -> Self {
        Self { plan, operation, left }
    }

    /// Each window with what is left of it: the plan's first, the shortest first.
    pub fn windows(&self) -> impl Iterator<Item = WindowState<'_>> {
        applying(&self.plan, self.operation.as_deref()).zip(&self.left).map(|(window, left)| WindowState {
            name: window.name(),
            quota: window.quota().get(),
            window_s: window.length().as_secs(),
            remaining: left.calls,
            reset_s: whole_seconds(left.whole_in),
        })
    }

    /// Writes `RateLimit-Policy` and `RateLimit` into an answer, in the place of what stands there.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_POLICY, self.plan.policy().clone());
        if let Some(policy) = self.operation.as_ref().and_then(|operation| operation.policy()) {
            // RFC 9651 section 3.1: a List may stand on several lines.
            headers.append(RATE_LIMIT_POLICY, policy.clone());
        }
        if let Some(field) = self.limiting().and_then(|state| rate_limit_field(&state)) {
            headers.insert(RATE_LIMIT, field);
        }
    }

    /// The window that stops the caller first: the least left, and of equals the longest to wait for.
    fn limiting(&self) -> Option<WindowState<'_>> {
        self.windows().min_by_key(|state| (state.remaining, std::cmp::Reverse(state.reset_s)))
    }
}

/// The windows that apply to a call, in the one order used throughout.
pub(super) fn applying<'a>(
    plan: &'a Plan,
    operation: Option<&'a OperationLimits>,
) -> impl Iterator<Item = &'a Window> {
    plan.windows().iter().chain(operation.map_or(&[][..], OperationLimits::windows))
}

/// `RateLimit-Policy` for these windows; nothing for none. Names are fit for a String by construction.
pub(super) fn policy_field(windows: &[Window]) -> Option<HeaderValue> {
    let mut text = String::new();
    for window in windows {
        let separator = if text.is_empty() { "" } else { ", " };
        let (name, quota, length) = (window.name(), window.quota(), window.length().as_secs());
        write!(text, "{separator}\"{name}\";q={quota};w={length}").ok()?;
    }
    if text.is_empty() { None } else { HeaderValue::try_from(text).ok() }
}

fn rate_limit_field(state: &WindowState<'_>) -> Option<HeaderValue> {
    let WindowState { name, remaining, reset_s, quota: _, window_s: _ } = state;
    HeaderValue::try_from(format!("\"{name}\";r={remaining};t={reset_s}")).ok()
}

/// Rounded up: a client that waits as long as it was told must not come too early.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// What a caller has left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What a caller may use.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::quota::limits::{Limits, OperationLimit};
    use std::num::NonZeroU32;

    fn plan() -> Arc<Plan> {
        let text = "plans: {a: {windows: [{name: burst, quota: 100, window: 60s}, {name: daily, quota: 5000, window: 1d}]}}";
        Arc::clone(Limits::load(&Document::parse("l", text).unwrap()).unwrap().0.plan("a").unwrap())
    }

    fn written(operation: Option<Arc<OperationLimits>>, left: &[(u32, u64)]) -> (Vec<String>, String) {
        let left =
            left.iter().map(|(calls, ms)| Left { calls: *calls, whole_in: Duration::from_millis(*ms) });
        let mut headers = HeaderMap::new();
        headers.insert(RATE_LIMIT, HeaderValue::from_static("old"));
        headers.insert(RATE_LIMIT_POLICY, HeaderValue::from_static("old"));
        Standing::new(plan(), operation, left.collect()).write(&mut headers);
        let policies = headers.get_all(RATE_LIMIT_POLICY).iter().map(|v| v.to_str().unwrap().to_owned());
        (policies.collect(), headers[RATE_LIMIT].to_str().unwrap().to_owned())
    }

    #[test]
    fn the_fields_have_the_drafts_form() {
        let (policies, left) = written(None, &[(42, 17_001), (4000, 9_000)]);
        assert_eq!(policies, ["\"burst\";q=100;w=60, \"daily\";q=5000;w=86400"]);
        assert_eq!(left, "\"burst\";r=42;t=18");
    }

    #[test]
    fn the_window_with_the_least_left_is_named() {
        assert_eq!(written(None, &[(42, 0), (41, 100)]).1, "\"daily\";r=41;t=1");
        assert_eq!(written(None, &[(0, 1000), (0, 2000)]).1, "\"daily\";r=0;t=2");
    }

    #[test]
    fn an_operations_own_windows_follow_the_plans() {
        let limit = OperationLimit {
            name: "hourly".to_owned(),
            quota: NonZeroU32::MIN,
            window: Duration::from_secs(3600),
        };
        let operation = Arc::new(OperationLimits::new("orders.v2.create", &[limit]).unwrap());
        let (policies, left) = written(Some(operation), &[(42, 0), (41, 100), (1, 0)]);
        assert_eq!(policies.last().unwrap(), "\"orders.v2.create/hourly\";q=1;w=3600");
        assert_eq!(left, "\"orders.v2.create/hourly\";r=1;t=0");
    }

    #[test]
    fn an_operation_without_limits_adds_nothing() {
        let operation = Arc::new(OperationLimits::new("orders.v2.create", &[]).unwrap());
        assert_eq!(written(Some(operation), &[(42, 0), (41, 100)]).0.len(), 1);
    }
}
