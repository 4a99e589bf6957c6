//! What does `policies/limits.yaml` allow, and is what it says sound?
//!
//! Everything a request needs of it is made here: windows sorted, header fields written.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use super::headers::policy_field;
use super::window::{Window, WindowFault};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Document, token};
use crate::units::Span;

/// The rate plans, and the limit for each client address.
#[derive(Debug, Clone)]
pub struct Limits {
    plans: BTreeMap<String, Arc<Plan>>,
    addresses: Window,
}

/// How often the callers of one plan may call, and how many of their calls may run at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    name: String,
    windows: Vec<Window>,
    concurrency: NonZeroU32,
    policy: HeaderValue,
}

/// A limit of one operation for each caller, as its contract says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLimit {
    /// A name within the operation.
    pub name: String,
    /// Calls of cost 1.
    pub quota: NonZeroU32,
    /// The time in which they may be made.
    pub window: Duration,
}

/// The limits of one operation, made ready at load. They hold for each caller on its own.
#[derive(Debug, PartialEq, Eq)]
pub struct OperationLimits {
    windows: Vec<Window>,
    policy: Option<HeaderValue>,
}

impl Limits {
    /// Reads `policies/limits.yaml`.
    ///
    /// # Errors
    /// All mistakes of the file, each with its place.
    pub fn load(document: &Document) -> Result<(Self, Diagnostics), Diagnostics> {
        let raw: RawLimits = document.to()?;
        let mut mistakes = Diagnostics::new();
        let mut plans = BTreeMap::new();
        for (name, plan) in raw.plans {
            let at = format!("/plans/{}", token(&name));
            if let Some(plan) = resolve(document, &at, &name, &plan, &mut mistakes) {
                plans.insert(name, Arc::new(plan));
            }
        }
        let RawAddresses { quota, window } = raw.addresses.unwrap_or(ADDRESSES_DEFAULT);
        let addresses = Window::new("addresses", quota, window.0)
            .map_err(|fault| told(document, "/addresses", fault).into());
        let addresses = mistakes.keep(addresses);
        mistakes.into_result(addresses.map(|addresses| Self { plans, addresses }))
    }

    /// The plan of this name.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<&Arc<Plan>> {
        self.plans.get(name)
    }

    /// The names of all plans, sorted.
    pub fn plan_names(&self) -> impl Iterator<Item = &str> {
        self.plans.keys().map(String::as_str)
    }

    pub(super) const fn addresses(&self) -> &Window {
        &self.addresses
    }

    /// The JSON Schema of the file, for editors.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(RawLimits).to_value()
    }
}

impl Plan {
    /// Its name in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its windows, the shortest first.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// How many calls of one caller may run at once.
    #[must_use]
    pub const fn concurrency(&self) -> NonZeroU32 {
        self.concurrency
    }

    pub(super) const fn policy(&self) -> &HeaderValue {
        &self.policy
    }
}

impl OperationLimits {
    /// Makes an operation's limits ready.
    ///
    /// # Errors
    /// The first limit that cannot be a window, by its place in `limits`, and why.
    pub fn new(operation: &str, limits: &[OperationLimit]) -> Result<Self, (usize, WindowFault)> {
        let windows: Result<Vec<Window>, _> = limits
            .iter()
            .enumerate()
            .map(|(n, limit)| {
                Window::of_operation(operation, &limit.name, limit.quota, limit.window)
                    .map_err(|fault| (n, fault))
            })
            .collect();
        let windows = windows?;
        let policy = policy_field(&windows);
        Ok(Self { windows, policy })
    }

    pub(super) fn windows(&self) -> &[Window] {
        &self.windows
    }

    pub(super) const fn policy(&self) -> Option<&HeaderValue> {
        self.policy.as_ref()
    }
}

fn resolve(
    document: &Document,
    at: &str,
    name: &str,
    raw: &RawPlan,
    mistakes: &mut Diagnostics,
) -> Option<Plan> {
    let mut windows: Vec<Window> = Vec::new();
    for (n, raw) in raw.windows.iter().enumerate() {
        match Window::new(&raw.name, raw.quota, raw.window.0) {
            Err(fault) => mistakes.push(told(document, &format!("{at}/windows/{n}"), fault)),
            Ok(window) if windows.iter().any(|other| other.name() == window.name()) => {
                let place = document.place(&format!("{at}/windows/{n}/name"));
                mistakes
                    .push(Diagnostic::error(place, format!("the window `{}` is defined twice", raw.name)));
            }
            Ok(window) => windows.push(window),
        }
    }
    windows.sort_by_key(Window::length);
    warn_of_idle_windows(document, at, &windows, mistakes);
    let policy = policy_field(&windows)?;
    let concurrency = raw.concurrency.unwrap_or(CONCURRENCY_DEFAULT);
    Some(Plan { name: name.to_owned(), windows, concurrency, policy })
}

/// A longer window with no smaller rate can never be the one that refuses.
fn warn_of_idle_windows(document: &Document, at: &str, windows: &[Window], mistakes: &mut Diagnostics) {
    for pair in windows.windows(2) {
        let [shorter, longer] = pair else { continue };
        let allowed = |w: &Window, by: &Window| {
            u128::from(w.quota().get()).saturating_mul(u128::from(by.length().as_secs()))
        };
        if allowed(longer, shorter) >= allowed(shorter, longer) && longer.quota() >= shorter.quota() {
            let message =
                format!("the window `{}` never refuses what `{}` lets pass", longer.name(), shorter.name());
            mistakes.push(Diagnostic::warning(document.place(at), message));
        }
    }
}

fn told(document: &Document, window: &str, fault: WindowFault) -> Diagnostic {
    let key = match fault {
        WindowFault::Length => "window",
        WindowFault::Quota => "quota",
        WindowFault::Name => "name",
    };
    Diagnostic::error(document.place(&format!("{window}/{key}")), fault.to_string())
}

/// The rate plans, and how often one client address may be refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    /// Plans by name; a caller in callers.yaml names one.
    plans: BTreeMap<String, RawPlan>,
    /// Refused and anonymous calls for each client address (an IPv6 address counts by its /64).
    #[serde(default)]
    addresses: Option<RawAddresses>,
}

/// How often and how many at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    /// All of them hold; a call passes only where each has room.
    #[schemars(length(min = 1, max = 8))]
    windows: Vec<RawWindow>,
    /// How many calls of one caller may run at once (32 when not said).
    #[serde(default)]
    concurrency: Option<NonZeroU32>,
}

/// So many calls in such a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    /// The name callers see in the RateLimit header field. What was used is kept by this name.
    name: String,
    /// Calls of cost 1; an operation's contract may say that it costs more.
    quota: NonZeroU32,
    /// The time in which they may be made.
    window: Span,
}

/// So many in such a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawAddresses {
    quota: NonZeroU32,
    window: Span,
}

/// Enough for a partner with a few workers; far below what an upstream has in all.
const CONCURRENCY_DEFAULT: NonZeroU32 = NonZeroU32::MIN.saturating_add(31);
/// A person who mistypes is not locked out for long; a machine that guesses gets 43 200 tries a day.
const ADDRESSES_DEFAULT: RawAddresses =
    RawAddresses { quota: NonZeroU32::MIN.saturating_add(29), window: Span(Duration::from_secs(60)) };

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<(Limits, Diagnostics), Diagnostics> {
        Limits::load(&Document::parse("limits.yaml", text).unwrap())
    }

    const SOUND: &str = "\
plans:
  marketplace:
    windows:
      - {name: daily, quota: 5000, window: 1d}
      - {name: burst, quota: 100, window: 60s}
    concurrency: 20
addresses: {quota: 30, window: 60s}
";

    #[test]
    fn plans_are_read_with_the_shortest_window_first() {
        let (limits, said) = load(SOUND).unwrap();
        assert!(said.is_empty());
        let plan = limits.plan("marketplace").unwrap();
        let names: Vec<&str> = plan.windows().iter().map(|w| &**w.name()).collect();
        assert_eq!(names, ["burst", "daily"]);
        assert_eq!((plan.name(), plan.concurrency().get()), ("marketplace", 20));
        assert_eq!(limits.plan_names().collect::<Vec<_>>(), ["marketplace"]);
        assert!(limits.plan("other").is_none());
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let (limits, _) = load("plans: {a: {windows: [{name: b, quota: 1, window: 1s}]}}").unwrap();
        assert_eq!(limits.plan("a").unwrap().concurrency().get(), 32);
        assert_eq!((limits.addresses().quota().get(), limits.addresses().length().as_secs()), (30, 60));
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        let check = |text: &str, culprit: &str, expected: &str| {
            let told = load(text).unwrap_err().to_string();
            let place = format!("limits.yaml:1:{}: error: {expected}", text.rfind(culprit).unwrap() + 1);
            assert!(told.contains(&place), "{place}\n{told}");
        };
        check("plans: {a: {windows: []}}", "[]", "");
        check("plans: {a: {windows: [{name: b, quota: 0, window: 1s}]}}", "0", "");
        check("plans: {a: {window: []}}", "window", "unknown key `window`");
        check("plans: {a: {windows: [{name: B!, quota: 1, window: 1s}]}}", "B!", "a name is 1 to 64");
        check("plans: {a: {windows: [{name: b, quota: 1, window: 1500ms}]}}", "1500ms", "a window is");
        check(
            "plans: {a: {windows: [{name: b, quota: 2000000, window: 1s}]}}",
            "2000000",
            "a quota is at most",
        );
        check("plans: {a/b: {windows: [{name: b, quota: 1, window: 40d}]}}", "40d", "a window is");
        check("{plans: {}, addresses: {quota: 1, window: 1ms}}", "1ms", "a window is");
        check(
            "plans: {a: {windows: [{name: b, quota: 1, window: 1s}, {name: b, quota: 2, window: 1m}]}}",
            "b, quota: 2",
            "the window `b` is defined twice",
        );
    }

    #[test]
    fn the_mistakes_of_all_plans_are_told_at_once() {
        let window = "{windows: [{name: B, quota: 1, window: 1s}]}";
        let told = load(&format!("plans: {{a: {window}, c: {window}}}")).unwrap_err();
        assert_eq!(told.iter().count(), 2);
    }

    #[test]
    fn a_window_that_can_never_refuse_is_worth_a_warning() {
        let said = |second: &str| {
            let text = format!("plans: {{a: {{windows: [{{name: b, quota: 10, window: 1m}}, {second}]}}}}");
            load(&text).unwrap().1.to_string()
        };
        assert!(said("{name: c, quota: 600, window: 1h}").contains("`c` never refuses what `b` lets pass"));
        assert_eq!(said("{name: c, quota: 599, window: 1h}"), "");
    }

    #[test]
    fn an_operations_limits_say_which_one_is_wrong() {
        let limit = |name: &str| OperationLimit {
            name: name.to_owned(),
            quota: NonZeroU32::MIN,
            window: Duration::from_secs(1),
        };
        assert!(OperationLimits::new("a.v1.b", &[limit("x")]).is_ok());
        assert_eq!(
            OperationLimits::new("a.v1.b", &[limit("x"), limit("Y")]).unwrap_err(),
            (1, WindowFault::Name)
        );
    }

    #[test]
    fn the_schema_names_every_key() {
        let schema = Limits::schema().to_string();
        for key in ["plans", "windows", "concurrency", "addresses", "quota", "window", "name"] {
            assert!(schema.contains(&format!("\"{key}\"")), "{key}");
        }
    }
}
