//! The cases of public suites, read where they lie; none is kept here.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{HeadFault, HeadLimits, Scan, Scanner};

#[derive(Deserialize)]
struct Case {
    id: String,
    name: String,
    raw_b64: String,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    verdict: String,
}

/// To be refused, for what follows the head: by the reader of the body, or when the next head is read.
const JUDGED_AFTER_THE_HEAD: [&str; 8] =
    ["s0237", "s0324", "s0325", "s0336", "s0337", "s0338", "s0339", "s0340"];

/// To be refused, but the line has no end yet: when the time to send a head is over.
const JUDGED_BY_TIME: [&str; 1] = ["s0279"];

/// Let pass by the suite's parser and refused here.
const REFUSED_ON_PURPOSE: [(&str, HeadFault); 6] = [
    // RFC 3986 appendix A: no part of a target holds a quotation mark; RFC 9112 section 3.2: answered with 400.
    ("s0341", HeadFault::TargetByte),
    // The target names another host than `Host` does.
    ("s0343", HeadFault::HostDiffers),
    ("s0344", HeadFault::HostDiffers),
    ("s0346", HeadFault::HostDiffers),
    // RFC 9112 section 3.2: a target has no fragment.
    ("s0348", HeadFault::TargetByte),
    // RFC 9110 section 4.2.4: user information in a target hides who the host is.
    ("s0350", HeadFault::TargetAuthority),
];

/// Looks like two framings and is one: a value that only contains the words, and a name with `_`,
/// which does not go to an upstream.
const ONE_FRAMING: [&str; 2] = ["s0538", "s2536"];

#[test]
fn public_cases_are_judged_as_their_suites_say() {
    let wrong: Vec<String> = cases().iter().filter_map(wrongly_judged).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn wrongly_judged(case: &Case) -> Option<String> {
    let bytes = with_host(&STANDARD.decode(&case.raw_b64).unwrap());
    let got = Scanner::new(HeadLimits::default()).scan(&bytes);
    let listed = |ids: &[&str]| ids.contains(&case.id.as_str());
    let on_purpose = REFUSED_ON_PURPOSE.iter().find(|(id, _)| *id == case.id);
    let complete = matches!(got, Ok(Scan::Complete { .. }));
    let right = match (case.expected.verdict.as_str(), on_purpose) {
        ("reject", _) if listed(&JUDGED_AFTER_THE_HEAD) => complete,
        ("reject", _) if listed(&JUDGED_BY_TIME) => got == Ok(Scan::Incomplete),
        ("safe", _) if listed(&ONE_FRAMING) => complete,
        ("reject" | "safe", _) => got.is_err(),
        ("accept", Some((_, fault))) => got == Err(*fault),
        ("accept", None) => complete,
        // `either`, `wait`, `first-ok-then-reject`: the head alone decides nothing.
        _ => true,
    };
    let Case { id, name, expected, .. } = case;
    (!right).then(|| format!("{id} {} {name}: {got:?}\n  {}", expected.verdict, bytes.escape_ascii()))
}

/// The cases, if they are on this machine.
#[allow(clippy::print_stderr, reason = "says that nothing was tested")]
fn cases() -> Vec<Case> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let directory = std::env::var_os("GATEWAY_CONFORMANCE_DIR").map_or_else(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(directory.join("http1-requests.jsonl")) else {
        eprintln!("no cases: set GATEWAY_CONFORMANCE_DIR to test against the public suites");
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The case with a host in the place that is left for it.
fn with_host(raw: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), raw);
    while let Some(at) = rest.windows(HOST_PLACE.len()).position(|window| window == HOST_PLACE) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"api.example");
        rest = &rest[at + HOST_PLACE.len()..];
    }
    out.extend_from_slice(rest);
    out
}

const HOST_PLACE: &[u8] = b"__HOST__";
