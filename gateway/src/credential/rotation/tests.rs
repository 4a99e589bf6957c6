//! The state machine, step by step and against a model of an upstream that changes its mind.

#![allow(clippy::arithmetic_side_effects, reason = "a test")]

use super::*;
use crate::credential::edition::Edition;
use proptest::prelude::*;

const OVERLAP: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(3600);

fn edition(number: u64) -> Arc<Edition> {
    Arc::new(Edition::for_tests(number))
}

struct Bench {
    rotation: Rotation,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { rotation: Rotation::new(OVERLAP), now: Instant::now() }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn offer(&mut self, number: u64) -> Offered {
        self.rotation.offer(edition(number), self.now + LIFE, self.now)
    }

    fn take(&mut self) -> Option<u64> {
        self.rotation.take(Request::Repeatable, self.now).map(number)
    }

    fn take_once(&mut self) -> Option<u64> {
        self.rotation.take(Request::Once, self.now).map(number)
    }

    fn instead_of(&mut self, one: u64) -> Option<u64> {
        self.rotation.instead_of(Version::Numbered(one), self.now).map(number)
    }

    fn said(&mut self, one: u64, said: Said) -> Changed {
        self.rotation.said(Version::Numbered(one), said, self.now)
    }

    fn shows_only(&mut self, one: u64) -> bool {
        let standing = self.rotation.standing(self.now);
        standing.next.is_none()
            && standing.current.is_some_and(|(version, _)| version == Version::Numbered(one))
    }

    fn state(&mut self) -> &'static str {
        self.rotation.standing(self.now).state
    }
}

fn number(edition: Arc<Edition>) -> u64 {
    match edition.version() {
        Version::Numbered(number) => number,
        Version::Fingerprint(_) => panic!("editions here are numbered"),
    }
}

#[test]
fn the_first_edition_serves_at_once() {
    let mut bench = Bench::new();
    assert_eq!((bench.take(), bench.state()), (None, "empty"));
    assert_eq!(bench.offer(1), Offered::First);
    assert_eq!(bench.offer(1), Offered::Known);
    assert_eq!((bench.take(), bench.take(), bench.state()), (Some(1), Some(1), "steady"));
}

#[test]
fn one_request_tries_the_next_edition_and_the_old_one_stays_for_the_overlap() {
    let mut bench = Bench::new();
    bench.offer(1);
    assert_eq!(bench.offer(2), Offered::Next);
    assert_eq!((bench.take(), bench.take(), bench.state()), (Some(2), Some(1), "trying"));
    assert_eq!(bench.said(1, Said::Accepted), Changed::Nothing);
    assert_eq!(bench.state(), "trying", "the verdict about the old one decides nothing");
    assert_eq!(bench.said(2, Said::Accepted), Changed::Rotated(Version::Numbered(2)));
    assert_eq!((bench.take(), bench.state()), (Some(2), "overlap"));
    // A part of the upstream that does not know the new one yet.
    assert_eq!(bench.instead_of(2), Some(1));
    bench.pass(OVERLAP);
    assert_eq!((bench.instead_of(2), bench.state()), (None, "steady"));
}

#[test]
fn a_refused_edition_is_set_aside_and_tried_again_later() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.offer(2);
    assert_eq!(bench.take(), Some(2));
    assert_eq!(bench.instead_of(2), Some(1));
    assert_eq!(bench.said(2, Said::Refused), Changed::SetAside(Version::Numbered(2)));
    assert_eq!((bench.take(), bench.state()), (Some(1), "aside"));
    assert_eq!(
        bench.instead_of(1),
        Some(2),
        "if the old one is refused now, the time of the new one has come"
    );
    bench.pass(ASIDE_FIRST);
    assert_eq!((bench.take(), bench.take()), (Some(2), Some(1)));
    assert_eq!(bench.said(2, Said::Refused), Changed::SetAside(Version::Numbered(2)));
    bench.pass(ASIDE_FIRST);
    assert_eq!(bench.take(), Some(1), "ever later");
    bench.pass(ASIDE_FIRST);
    assert_eq!(bench.take(), Some(2));
}

#[test]
fn a_trial_without_a_verdict_is_made_by_somebody_else() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.offer(2);
    assert_eq!((bench.take(), bench.take()), (Some(2), Some(1)));
    bench.rotation.unsaid(Version::Numbered(2));
    assert_eq!(bench.take(), Some(2));
    bench.pass(TRIAL_MAX + Duration::from_secs(1));
    assert_eq!(bench.take(), Some(2), "nobody has heard of the one before");
}

#[test]
fn what_is_sent_once_tries_nothing_unless_nobody_else_does() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.offer(2);
    assert_eq!(bench.take_once(), Some(1));
    bench.pass(PATIENCE + Duration::from_secs(1));
    assert_eq!(bench.take_once(), Some(2));
}

#[test]
fn a_source_that_goes_back_takes_back_what_was_to_come() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.offer(2);
    assert_eq!(bench.offer(1), Offered::Known);
    assert_eq!((bench.take(), bench.state()), (Some(1), "steady"));
    // And one that goes back after the change is another change.
    bench.offer(2);
    bench.take();
    assert_eq!(bench.said(2, Said::Accepted), Changed::Rotated(Version::Numbered(2)));
    assert_eq!(bench.offer(1), Offered::Next);
    assert_eq!(bench.take(), Some(1));
}

#[test]
fn what_has_ended_is_shown_to_nobody() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.pass(LIFE - Duration::from_secs(1));
    assert_eq!(bench.take(), Some(1));
    bench.pass(Duration::from_secs(1));
    assert_eq!((bench.take(), bench.state()), (None, "empty"));
    assert_eq!(bench.offer(1), Offered::First, "read again, it serves again");
}

#[test]
fn a_loan_that_is_renewed_serves_longer() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.offer(2);
    bench.pass(LIFE - Duration::from_secs(1));
    assert!(bench.rotation.extend(Version::Numbered(2), bench.now + LIFE));
    assert!(!bench.rotation.extend(Version::Numbered(3), bench.now + LIFE));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.take(), Some(2), "the first was not extended");
}

#[test]
fn with_nothing_else_to_show_the_next_edition_is_the_current_one() {
    let mut bench = Bench::new();
    bench.offer(1);
    bench.pass(LIFE - Duration::from_secs(1));
    bench.offer(2);
    bench.pass(Duration::from_secs(1));
    assert_eq!((bench.take(), bench.take(), bench.state()), (Some(2), Some(2), "steady"));
}

#[test]
fn whether_something_newer_is_in_hand_is_known() {
    let mut bench = Bench::new();
    bench.offer(1);
    let newer = |bench: &Bench, one| bench.rotation.has_newer_than(Version::Numbered(one), bench.now);
    assert!(!newer(&bench, 1));
    bench.offer(2);
    assert!(newer(&bench, 1));
    bench.take();
    assert_eq!(bench.said(2, Said::Accepted), Changed::Rotated(Version::Numbered(2)));
    assert!(newer(&bench, 1) && !newer(&bench, 2));
}

/// What happens around the rotation.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The secret is changed at the upstream, which still takes the one before, and in the source.
    Rotated,
    /// The source is read.
    Read,
    /// A request is sent.
    Asked,
    Passes(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        1 => Just(Event::Rotated),
        2 => Just(Event::Read),
        6 => Just(Event::Asked),
        1 => (0_u64..20).prop_map(Event::Passes),
    ];
    proptest::collection::vec(event, 1..200)
}

proptest! {
    /// However reads, requests and rotations interleave: an upstream that takes the newest secret and the
    /// one before it refuses no request for good, because a refused one is sent again with what is in hand.
    #[test]
    fn no_request_is_refused_because_of_a_rotation(events in events()) {
        let mut bench = Bench::new();
        let mut newest = 1;
        bench.offer(newest);
        for event in events {
            match event {
                Event::Rotated => newest += 1,
                Event::Read => drop(bench.offer(newest)),
                Event::Passes(seconds) => bench.pass(Duration::from_secs(seconds)),
                Event::Asked => {
                    let takes = |one: u64| one == newest || one + 1 == newest;
                    let first = bench.take().unwrap();
                    if takes(first) {
                        let _told = bench.said(first, Said::Accepted);
                        continue;
                    }
                    if !bench.rotation.has_newer_than(Version::Numbered(first), bench.now) {
                        // The upstream's refusal is a reason to read at once.
                        bench.offer(newest);
                    }
                    let mut second = bench.instead_of(first);
                    if second.is_some_and(|one| !takes(one)) {
                        bench.offer(newest);
                        second = bench.instead_of(first);
                    }
                    let second = second.unwrap();
                    prop_assert!(takes(second), "{first}, then {second}, of {newest}");
                    let _told = bench.said(second, Said::Accepted);
                }
            }
        }
        let standing = bench.rotation.standing(bench.now);
        prop_assert!(standing.current.is_some());
    }

    /// The secret is in the source before the upstream takes it, and at the upstream's switch nothing but the
    /// new one is taken: the refusal of the old one brings the new one out, also if it was set aside before.
    #[test]
    fn an_upstream_that_switches_late_and_at_once_refuses_no_request_for_good(events in events()) {
        let mut bench = Bench::new();
        let (mut newest, mut taken) = (1, 1);
        bench.offer(newest);
        for event in events {
            match event {
                // Whoever rotates waits until the rotation before is through.
                Event::Rotated if taken == newest && bench.shows_only(taken) => newest += 1,
                Event::Rotated => taken = newest,
                Event::Read => drop(bench.offer(newest)),
                Event::Passes(seconds) => bench.pass(Duration::from_secs(seconds)),
                Event::Asked => {
                    let first = bench.take().unwrap();
                    if first == taken {
                        let _told = bench.said(first, Said::Accepted);
                        continue;
                    }
                    if !bench.rotation.has_newer_than(Version::Numbered(first), bench.now) {
                        bench.offer(newest);
                    }
                    let second = bench.instead_of(first);
                    prop_assert_eq!(second, Some(taken), "instead of {}, of {}", first, newest);
                    let _told = bench.said(taken, Said::Accepted);
                    let _told = bench.said(first, Said::Refused);
                }
            }
        }
    }
}
