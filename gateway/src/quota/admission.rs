//! May this call go on now, or when?
//!
//! The room's verb and its two answers. Time is an argument; all of it is counted from the moment at
//! which [`Quotas`] was made.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};

use super::accounts::{Account, Accounts, Place};
use super::addresses::Addresses;
use super::headers::{Standing, applying, whole_seconds};
use super::limits::{Limits, OperationLimits, Plan};
use super::window::{Left, Verdict, nanoseconds};

/// What has been used: by each caller, and by each client address. One for the life of the process.
///
/// What was used is kept by the windows' names, not by their numbers: a reload that changes a quota,
/// or moves a caller to another plan, carries over the share that was used.
#[derive(Debug)]
pub struct Quotas {
    began: Instant,
    accounts: Accounts,
    addresses: Addresses,
}

/// The proof that a call was counted. It holds one of the caller's places among its calls in flight,
/// until it is dropped: keep it until the answer is out.
///
/// ```compile_fail
/// // Only `Quotas::admit` makes one.
/// let forged = gateway::quota::Admission { standing: todo!(), _place: todo!() };
/// ```
#[derive(Debug)]
#[must_use = "dropping it gives the caller's place back"]
pub struct Admission {
    standing: Standing,
    _place: Place,
}

/// The call may not go on now. It was not counted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the call is over a limit ({})", reason.code())]
pub struct Exceeded {
    reason: Reason,
    violated: Vec<Arc<str>>,
    retry_after: Option<Duration>,
    standing: Option<Standing>,
}

/// Which kind of limit a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A window of the plan or of the operation has no room for it yet.
    Rate,
    /// A window of the plan or of the operation never has room for it: the call costs more than the quota.
    Cost,
    /// As many of the caller's calls run as may.
    Concurrency,
    /// The client address was refused too often.
    Address,
}

impl Quotas {
    /// Nothing used yet. `began` is the moment from which time is counted.
    #[must_use]
    pub fn new(began: Instant) -> Self {
        Self { began, accounts: Accounts::new(), addresses: Addresses::new() }
    }

    /// Counts a call of `caller` and takes a place among its calls in flight.
    ///
    /// `caller` is the name whose use is counted: a caller's id, with the subject where one entry
    /// stands for many people. All windows are judged before any is charged.
    ///
    /// # Errors
    /// A limit is exceeded; then nothing was charged.
    pub fn admit(
        &self,
        caller: &str,
        plan: &Arc<Plan>,
        operation: Option<&Arc<OperationLimits>>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Admission, Exceeded> {
        let now = self.count(now);
        self.accounts.with(caller, |account| {
            // A plan counts cost, so that one quota serves dear and cheap calls; the limit of an operation
            // counts its calls, which cost all the same.
            let costs = plan.windows().iter().map(|_| cost).chain(std::iter::repeat(NonZeroU32::MIN));
            let verdicts: Vec<Verdict> = applying(plan, operation.map(Arc::as_ref))
                .zip(costs)
                .map(|(window, cost)| window.judge(account.whole_at(window), now, cost))
                .collect();
            if let Some(exceeded) = over_a_window(account, &verdicts, plan, operation, now) {
                return Err(exceeded);
            }
            if !account.has_place(plan.concurrency()) {
                return Err(Exceeded {
                    reason: Reason::Concurrency,
                    violated: vec![CONCURRENCY_NAME.into()],
                    retry_after: Some(CONCURRENCY_RETRY),
                    standing: Some(standing(account, plan, operation, now)),
                });
            }
            for (window, verdict) in applying(plan, operation.map(Arc::as_ref)).zip(verdicts) {
                if let Verdict::Fits(whole_at) = verdict {
                    account.charge(window, whole_at);
                }
            }
            let standing = standing(account, plan, operation, now);
            Ok(Admission { standing, _place: account.take_place() })
        })
    }

    /// What `caller` has left, without a call: for the answers of calls that were refused before they
    /// were counted.
    #[must_use]
    pub fn standing(
        &self,
        caller: &str,
        plan: &Arc<Plan>,
        operation: Option<&Arc<OperationLimits>>,
        now: Instant,
    ) -> Standing {
        let now = self.count(now);
        self.accounts.with(caller, |account| standing(account, plan, operation, now))
    }

    /// Whether a client address has guesses left; asked before anything else is done for it.
    ///
    /// # Errors
    /// The address was refused too often.
    pub fn address_allows(&self, limits: &Limits, address: IpAddr, now: Instant) -> Result<(), Exceeded> {
        let (window, now) = (limits.addresses(), self.count(now));
        match window.judge(self.addresses.whole_at(address), now, NonZeroU32::MIN) {
            Verdict::Fits(_) => Ok(()),
            Verdict::Wait(ns) => Err(Exceeded {
                reason: Reason::Address,
                violated: vec![Arc::clone(window.name())],
                retry_after: Some(Duration::from_nanos(ns)),
                standing: None,
            }),
            // The quota is at least 1, and so is the cost.
            Verdict::Never => Ok(()),
        }
    }

    /// Counts a refused or an anonymous call against its client address.
    pub fn address_refused(&self, limits: &Limits, address: IpAddr, now: Instant) {
        let (window, now) = (limits.addresses(), self.count(now));
        self.addresses.charge(address, |whole_at| match window.judge(whole_at, now, NonZeroU32::MIN) {
            Verdict::Fits(then) => then,
            // Calls that were let in together may be one too many: the window stays empty.
            Verdict::Wait(_) | Verdict::Never => whole_at,
        });
    }

    /// Forgets what is whole again; to be called every minute or so.
    pub fn sweep(&self, now: Instant) {
        self.accounts.sweep(self.count(now));
    }

    fn count(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.began))
    }
}

impl Admission {
    /// What the caller has left after this call.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Exceeded {
    /// Which kind of limit.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The names of the limits, as `violated-policies` of the problem type `quota-exceeded` gives them.
    #[must_use]
    pub fn violated(&self) -> &[Arc<str>] {
        &self.violated
    }

    /// After what time the same call would pass, if it ever does.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the caller has left; nothing for an address, which is not told.
    #[must_use]
    pub const fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Writes the header fields of the refusal: `Retry-After`, `RateLimit-Policy`, `RateLimit`.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(time) = self.retry_after {
            // RFC 9110 section 10.2.3: a number of seconds; at least one, or clients come back at once.
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(time).max(1)));
        }
        if let Some(standing) = &self.standing {
            standing.write(headers);
        }
    }
}

impl Reason {
    /// The code in audit records and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Rate => "quota-rate",
            Self::Cost => "quota-cost",
            Self::Concurrency => "quota-concurrency",
            Self::Address => "quota-address",
        }
    }
}

/// The refusal, if one of the windows has no room.
fn over_a_window(
    account: &Account,
    verdicts: &[Verdict],
    plan: &Arc<Plan>,
    operation: Option<&Arc<OperationLimits>>,
    now: u64,
) -> Option<Exceeded> {
    let (mut violated, mut wait_ns, mut ever) = (Vec::new(), 0_u64, true);
    let mut left = Vec::with_capacity(verdicts.len());
    for (window, verdict) in applying(plan, operation.map(Arc::as_ref)).zip(verdicts) {
        let mut state = window.left(account.whole_at(window), now);
        match verdict {
            Verdict::Fits(_) => {}
            Verdict::Wait(ns) => {
                violated.push(Arc::clone(window.name()));
                wait_ns = wait_ns.max(*ns);
                // The field must not promise another time than Retry-After does.
                state = Left { calls: 0, whole_in: Duration::from_nanos(*ns) };
            }
            Verdict::Never => {
                violated.push(Arc::clone(window.name()));
                ever = false;
            }
        }
        left.push(state);
    }
    let reason = if ever { Reason::Rate } else { Reason::Cost };
    let standing = Some(Standing::new(Arc::clone(plan), operation.cloned(), left));
    let retry_after = ever.then(|| Duration::from_nanos(wait_ns));
    (!violated.is_empty()).then_some(Exceeded { reason, violated, retry_after, standing })
}

fn standing(
    account: &Account,
    plan: &Arc<Plan>,
    operation: Option<&Arc<OperationLimits>>,
    now: u64,
) -> Standing {
    let left = applying(plan, operation.map(Arc::as_ref))
        .map(|window| window.left(account.whole_at(window), now))
        .collect();
    Standing::new(Arc::clone(plan), operation.cloned(), left)
}

/// How `violated-policies` names the limit on calls in flight.
const CONCURRENCY_NAME: &str = "concurrency";
/// When one of the caller's own calls ends is not known; a second is about what calls take.
const CONCURRENCY_RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::quota::limits::OperationLimit;
    use proptest::prelude::*;

    fn limits(text: &str) -> Limits {
        Limits::load(&Document::parse("limits.yaml", text).unwrap()).unwrap().0
    }

    fn plan(windows: &str) -> Arc<Plan> {
        Arc::clone(
            limits(&format!("plans: {{p: {{windows: {windows}, concurrency: 3}}}}")).plan("p").unwrap(),
        )
    }

    fn cost(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn admit(quotas: &Quotas, caller: &str, plan: &Arc<Plan>, now: Instant) -> Result<Admission, Exceeded> {
        quotas.admit(caller, plan, None, cost(1), now)
    }

    fn remaining(standing: &Standing) -> Vec<u32> {
        standing.windows().map(|state| state.remaining).collect()
    }

    const TWO: &str = "[{name: burst, quota: 2, window: 10s}, {name: daily, quota: 3, window: 30m}]";
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_refused_call_costs_nothing_in_any_window() {
        let (began, plan) = (Instant::now(), plan(TWO));
        let quotas = Quotas::new(began);
        assert_eq!(remaining(admit(&quotas, "a", &plan, began).unwrap().standing()), [1, 2]);
        assert_eq!(remaining(admit(&quotas, "a", &plan, began).unwrap().standing()), [0, 1]);
        for _ in 0..5 {
            let refused = admit(&quotas, "a", &plan, began).unwrap_err();
            assert_eq!(refused.reason(), Reason::Rate);
            assert_eq!(refused.violated(), ["burst".into()]);
            assert_eq!(refused.retry_after(), Some(SECOND * 5));
        }
        assert_eq!(remaining(&quotas.standing("a", &plan, None, began)), [0, 1]);
        // The longer window refuses: the shorter keeps what came back.
        assert!(admit(&quotas, "a", &plan, began + SECOND * 10).is_ok());
        let refused = admit(&quotas, "a", &plan, began + SECOND * 10).unwrap_err();
        assert_eq!(refused.violated(), ["daily".into()]);
        assert_eq!(remaining(&quotas.standing("a", &plan, None, began + SECOND * 10)), [1, 0]);
    }

    #[test]
    fn one_callers_use_is_not_anothers() {
        let (began, plan) = (Instant::now(), plan("[{name: burst, quota: 1, window: 10s}]"));
        let quotas = Quotas::new(began);
        assert!(admit(&quotas, "a", &plan, began).is_ok());
        assert!(admit(&quotas, "a", &plan, began).is_err());
        assert!(admit(&quotas, "b", &plan, began).is_ok());
    }

    #[test]
    fn a_call_beyond_the_concurrency_is_refused_until_one_ends() {
        let (began, plan) = (Instant::now(), plan("[{name: burst, quota: 100, window: 10s}]"));
        let quotas = Quotas::new(began);
        let mut running: Vec<Admission> =
            (0..3).map(|_| admit(&quotas, "a", &plan, began).unwrap()).collect();
        let refused = admit(&quotas, "a", &plan, began).unwrap_err();
        assert_eq!((refused.reason(), refused.reason().code()), (Reason::Concurrency, "quota-concurrency"));
        assert_eq!(remaining(refused.standing().unwrap()), [97], "the refused call was not charged");
        running.pop();
        assert!(admit(&quotas, "a", &plan, began).is_ok());
    }

    #[test]
    fn a_call_that_can_never_pass_is_told_apart() {
        let (began, plan) = (Instant::now(), plan(TWO));
        let refused = Quotas::new(began).admit("a", &plan, None, cost(3), began).unwrap_err();
        assert_eq!((refused.reason(), refused.retry_after()), (Reason::Cost, None));
        assert_eq!(refused.violated(), ["burst".into()]);
        let mut headers = HeaderMap::new();
        refused.write(&mut headers);
        assert!(!headers.contains_key(RETRY_AFTER));
    }

    #[test]
    fn an_operations_own_limit_holds_beside_the_plan() {
        let (began, plan) = (Instant::now(), plan(TWO));
        let quotas = Quotas::new(began);
        let limit = OperationLimit { name: "hourly".to_owned(), quota: cost(1), window: SECOND * 3600 };
        let operation = Arc::new(OperationLimits::new("orders.v2.create", &[limit]).unwrap());
        let call = |caller: &str| quotas.admit(caller, &plan, Some(&operation), cost(1), began);
        assert_eq!(remaining(call("a").unwrap().standing()), [1, 2, 0]);
        assert_eq!(call("a").unwrap_err().violated(), ["orders.v2.create/hourly".into()]);
        assert!(call("b").is_ok());
        assert!(admit(&quotas, "a", &plan, began).is_ok(), "another operation is not limited by it");
        let dear = quotas.admit("c", &plan, Some(&operation), cost(2), began).unwrap();
        assert_eq!(remaining(dear.standing()), [0, 1, 0], "the plan counts cost, the operation its calls");
    }

    #[test]
    fn a_refusal_tells_when_to_come_back_in_both_fields() {
        let (began, plan) = (Instant::now(), plan(TWO));
        let quotas = Quotas::new(began);
        let _admitted = quotas.admit("a", &plan, None, cost(2), began);
        let mut headers = HeaderMap::new();
        admit(&quotas, "a", &plan, began + Duration::from_millis(1)).unwrap_err().write(&mut headers);
        assert_eq!(headers["retry-after"], "5");
        assert_eq!(headers["ratelimit"], "\"burst\";r=0;t=5");
        assert_eq!(headers["ratelimit-policy"], "\"burst\";q=2;w=10, \"daily\";q=3;w=1800");
    }

    #[test]
    fn a_reload_gives_nobody_a_fresh_quota() {
        let began = Instant::now();
        let quotas = Quotas::new(began);
        let before = plan("[{name: burst, quota: 10, window: 10s}]");
        let _admitted = quotas.admit("a", &before, None, cost(5), began);
        let same = plan("[{name: burst, quota: 10, window: 10s}, {name: daily, quota: 50, window: 1d}]");
        assert_eq!(remaining(&quotas.standing("a", &same, None, began)), [5, 50]);
        let larger = plan("[{name: burst, quota: 100, window: 10s}]");
        assert_eq!(remaining(&quotas.standing("a", &larger, None, began)), [50]);
    }

    #[test]
    fn an_address_that_guesses_is_slowed_down() {
        let began = Instant::now();
        let (quotas, limits) = (Quotas::new(began), limits("plans: {}\naddresses: {quota: 2, window: 60s}"));
        let guesser = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        let other = "2001:db8:1::1".parse().unwrap();
        for _ in 0..4 {
            quotas.address_refused(&limits, guesser, began);
        }
        let refused = quotas.address_allows(&limits, neighbour, began).unwrap_err();
        assert_eq!((refused.reason(), refused.retry_after()), (Reason::Address, Some(SECOND * 30)));
        assert!(refused.standing().is_none());
        assert!(quotas.address_allows(&limits, other, began).is_ok());
        assert!(quotas.address_allows(&limits, guesser, began + SECOND * 29).is_err());
        assert!(quotas.address_allows(&limits, guesser, began + SECOND * 30).is_ok());
    }

    #[test]
    fn asking_costs_an_address_nothing() {
        let began = Instant::now();
        let (quotas, limits) = (Quotas::new(began), limits("plans: {}\naddresses: {quota: 1, window: 60s}"));
        for _ in 0..5 {
            assert!(quotas.address_allows(&limits, "192.0.2.1".parse().unwrap(), began).is_ok());
        }
    }

    #[test]
    fn sweeping_changes_no_answer() {
        let (began, plan) = (Instant::now(), plan(TWO));
        let quotas = Quotas::new(began);
        let _admitted = admit(&quotas, "a", &plan, began);
        for after in [SECOND, SECOND * 10, SECOND * 3600] {
            let before = remaining(&quotas.standing("a", &plan, None, began + after));
            quotas.sweep(began + after);
            assert_eq!(remaining(&quotas.standing("a", &plan, None, began + after)), before);
        }
    }

    #[test]
    fn threads_together_get_no_more_than_the_quota() {
        let (began, plan) = (Instant::now(), plan("[{name: burst, quota: 500, window: 1h}]"));
        let quotas = Quotas::new(began);
        let passed = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..400 {
                        if admit(&quotas, "a", &plan, began).is_ok() {
                            passed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 500);
    }

    proptest! {
        /// The same verdicts as an established implementation of the same algorithm.
        #[test]
        fn one_window_agrees_with_governor(
            quota in 1u32..20, ms in prop::collection::vec(0u64..5_000, 1..100),
        ) {
            let began = Instant::now();
            let plan = plan(&format!("[{{name: burst, quota: {quota}, window: {quota}s}}]"));
            let quotas = Quotas::new(began);
            let clock = governor::clock::FakeRelativeClock::default();
            let theirs = governor::Quota::per_second(NonZeroU32::MIN).allow_burst(cost(quota));
            let theirs = governor::RateLimiter::direct_with_clock(theirs, clock.clone());
            let mut now = began;
            for step in ms {
                let step = Duration::from_millis(step);
                now += step;
                clock.advance(step);
                prop_assert_eq!(admit(&quotas, "a", &plan, now).is_ok(), theirs.check().is_ok());
            }
        }
    }
}
