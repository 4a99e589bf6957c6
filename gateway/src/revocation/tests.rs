//! What is revoked, and what a restart, a broken file and a full disk do to it.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn entry(value: Value) -> Entry {
    let mut value = value;
    value.as_object_mut().unwrap().entry("reason").or_insert(json!("stolen"));
    serde_json::from_value(value).unwrap()
}

/// What a token of the client `acme` for the subject `s` shows, issued a minute ago.
fn shown() -> Shown<'static> {
    Shown {
        issuer: "retail",
        id: Some("t1"),
        client_id: Some("acme"),
        subject: Some("s"),
        issued: now().checked_sub(SignedDuration::from_secs(60)).ok(),
    }
}

fn revoked(value: Value, shown: Shown<'_>, at: Timestamp) -> bool {
    let revocations = Revocations::default();
    assert!(revocations.rewrite(Some(vec![entry(value)])));
    revocations.holds(&shown, at)
}

#[test]
fn an_entry_holds_for_what_it_names_and_nothing_else() {
    let (token, client) =
        (json!({"issuer": "retail", "jti": "t1"}), json!({"issuer": "retail", "client_id": "acme"}));
    let subject = json!({"issuer": "retail", "subject": "s"});
    for value in [json!({"token": token}), json!({"client": client}), json!({"subject": subject})] {
        assert!(revoked(value.clone(), shown(), now()), "{value}");
        assert!(!revoked(value.clone(), Shown { issuer: "other", ..shown() }, now()), "{value}");
        let other = Shown { id: Some("acme"), client_id: Some("s"), subject: Some("t1"), ..shown() };
        assert!(!revoked(value.clone(), other, now()), "{value}");
        let silent = Shown { id: None, client_id: None, subject: None, ..shown() };
        assert!(!revoked(value.clone(), silent, now()), "{value}");
    }
}

#[test]
fn an_entry_may_hold_for_older_tokens_and_for_a_time() {
    let client = json!({"issuer": "retail", "client_id": "acme"});
    let before = |at: Timestamp| json!({"client": client, "issued_before": at.to_string()});
    assert!(revoked(before(now()), shown(), now()));
    assert!(!revoked(before(later(-60)), shown(), now()), "issued at that time, not before");
    assert!(revoked(before(later(-60)), Shown { issued: None, ..shown() }, now()), "it may be older");
    let all = json!({"issuer": "retail", "issued_before": now().to_string()});
    assert!(revoked(all.clone(), shown(), now()));
    assert!(!revoked(all.clone(), Shown { issued: Some(now()), ..shown() }, now()));
    assert!(!revoked(all, Shown { issuer: "other", ..shown() }, now()));
    let until = json!({"client": client, "until": later(10).to_string()});
    assert!(revoked(until.clone(), shown(), later(9)));
    assert!(!revoked(until, shown(), later(10)));
}

#[test]
fn mistakes_of_the_file_are_told_with_their_places() {
    let read =
        |text: &str| Revocations::read(&Document::parse("revocations.yaml", text).unwrap(), &["retail"]);
    let told = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(read("revocations: []\n").unwrap(), []);
    let good = "revocations:\n  - client: { issuer: retail, client_id: acme }\n    reason: \"lost laptop\"\n";
    assert_eq!(read(good).unwrap().len(), 1);
    for (lines, wanted) in [
        ("- reason: x", "names one of"),
        (
            "- token: { issuer: retail, jti: a }\n    client: { issuer: retail, client_id: b }\n    reason: x",
            "names one of",
        ),
        ("- client: { issuer: retial, client_id: a }\n    reason: x", "did you mean `retail`?"),
        ("- issuer: retail\n    reason: x", "needs `issued_before`"),
        ("- token: { issuer: retail, jti: \"\" }\n    reason: x", "is shorter than 1 character"),
        ("- token: { issuer: retail, jti: a }\n    reason: \"\"", "is shorter than 1 character"),
        ("- token: { issuer: retail, jti: \"a\\nb\" }\n    reason: x", "1 to 200 characters"),
        ("- token: { issuer: retail, jti: a, sub: b }\n    reason: x", "sub"),
        ("- token: { issuer: retail, jti: a }", "reason"),
        ("- token: { issuer: retail, jti: a }\n    until: tomorrow\n    reason: x", "until"),
    ] {
        let told = told(&format!("revocations:\n  {lines}\n"));
        let has_its_place = (2..=4).any(|line| told.contains(&format!("revocations.yaml:{line}:")));
        assert!(told.contains(wanted) && has_its_place, "{lines}: {told}");
    }
    assert!(told("{}\n").contains("revocations"));
}

#[test]
fn an_order_outlives_a_restart_and_a_lifted_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("revocations.json");
    let open = || Revocations::open(None, state.clone()).unwrap();
    let first = open();
    let order = entry(json!({"client": {"issuer": "retail", "client_id": "acme"}}));
    let ordered = first.order(order, "alice", &["retail"], now()).unwrap();
    assert!(first.holds(&shown(), now()) && open().holds(&shown(), now()));
    assert_eq!(open().in_force(now()).revocations, std::slice::from_ref(&ordered));
    assert!(first.rewrite(Some(Vec::new())) && !first.rewrite(Some(Vec::new())));
    assert!(first.holds(&shown(), now()), "the file takes no order back");
    assert_eq!(first.lift("another", "alice").unwrap(), None);
    assert_eq!(first.lift(&ordered.id, "alice").unwrap(), Some(ordered));
    assert!(!first.holds(&shown(), now()) && !open().holds(&shown(), now()));
}

#[test]
fn what_has_ended_by_itself_is_not_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let until = |until: &str| {
        entry(json!({"issuer": "retail", "issued_before": "2026-01-01T00:00:00Z", "until": until}))
    };
    let (ended, lasting) = (until("2020-01-01T00:00:00Z"), until("2999-01-01T00:00:00Z"));
    let written = Some(vec![ended.clone(), lasting.clone()]);
    let own = Revocations::open(written, folder.path().join("revocations.json")).unwrap();
    let earlier = "2019-01-01T00:00:00Z".parse().unwrap();
    own.order(ended.clone(), "alice", &["retail"], earlier).unwrap();
    assert_eq!(own.in_force(earlier).revocations.len(), 1);
    // Ordered now it would hold for nobody, and whoever orders it would not know.
    let refused = own.order(ended, "alice", &["retail"], now());
    assert!(matches!(refused, Err(OrderFault::Mistake(EntryMistake::Over))), "{refused:?}");
    let lasting_order = own.order(lasting.clone(), "bob", &["retail"], now()).unwrap();
    assert_eq!(own.in_force(now()), InForce { revocations: vec![lasting_order], written: vec![lasting] });
}

#[test]
fn an_order_that_cannot_be_meant_or_kept_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let good = || entry(json!({"client": {"issuer": "retail", "client_id": "acme"}}));
    let gone = Revocations::open(None, folder.path().join("gone/revocations.json")).unwrap();
    assert!(matches!(gone.order(good(), "alice", &["retail"], now()), Err(OrderFault::Unwritten(_))));
    let own = Revocations::open(None, folder.path().join("revocations.json")).unwrap();
    for (order, by, issuers) in [
        (good(), "", &["retail"][..]),
        (good(), "a\nb", &["retail"]),
        (good(), "alice", &["other"]),
        (entry(json!({})), "alice", &["retail"]),
        (entry(json!({"issuer": "retail"})), "alice", &["retail"]),
    ] {
        assert!(matches!(own.order(order, by, issuers, now()), Err(OrderFault::Mistake(_))));
    }
    for revocations in [gone, own] {
        assert!(!revocations.holds(&shown(), now()));
        assert_eq!(revocations.count(), Count { written: 0, ordered: 0 });
    }
}

#[test]
fn what_is_not_needed_any_more_goes_with_the_next_order() {
    let folder = tempfile::tempdir().unwrap();
    let own = Revocations::open(None, folder.path().join("r.json")).unwrap();
    let order = |jti: &str, until: i64| {
        entry(json!({"token": {"issuer": "retail", "jti": jti}, "until": later(until).to_string()}))
    };
    own.order(order("a", 10), "alice", &["retail"], now()).unwrap();
    own.order(order("b", 100), "alice", &["retail"], later(5)).unwrap();
    assert_eq!(own.count().ordered, 2);
    own.order(order("c", 100), "alice", &["retail"], later(11)).unwrap();
    assert_eq!(own.count().ordered, 2);
}

#[test]
fn a_state_file_that_is_not_whole_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("revocations.json");
    let own = Revocations::open(None, state.clone()).unwrap();
    own.order(
        entry(json!({"issuer": "retail", "issued_before": now().to_string()})),
        "a",
        &["retail"],
        now(),
    )
    .unwrap();
    let whole = std::fs::read(&state).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&state, whole.get(..cut).unwrap()).unwrap();
        assert!(Revocations::open(None, state.clone()).is_err(), "cut at {cut}");
    }
    for text in
        ["{}", r#"{"version": 2, "revocations": []}"#, r#"{"version": 1, "version": 1, "revocations": []}"#]
    {
        std::fs::write(&state, text).unwrap();
        assert!(Revocations::open(None, state.clone()).is_err(), "{text}");
    }
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    assert!(Revocations::open(None, state).is_err());
}

#[test]
fn a_subject_is_not_shown() {
    let entry = entry(json!({"subject": {"issuer": "retail", "subject": "jane.doe"}}));
    assert!(!format!("{entry:?} {:?}", shown()).contains("jane.doe"));
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(text in "(revocations: )?\\PC{0,60}") {
        if let Ok(document) = Document::parse("revocations.yaml", &text) {
            let _read_or_refused = Revocations::read(&document, &["retail"]).is_ok();
        }
    }
}
