//! The raw requests of public suites, read where they lie; none is kept here.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use testbed::World;
use testbed::gateway::Gateway;

use super::{is_unambiguous, open_world};

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

/// What became of a case.
struct Outcome {
    statuses: Vec<u16>,
    seen: Vec<testbed::Received>,
}

/// To be refused for what follows a first request that is sound: that one passes, and the connection ends.
const FIRST_IS_SOUND: [&str; 1] = ["s0237"];

/// Let pass by the suite's parser and refused here.
const REFUSED_ON_PURPOSE: [(&str, &str); 6] = [
    ("s0341", "RFC 3986 section 2: a target has no quotes and no backslashes"),
    ("s0343", "the target names another host than `Host` does"),
    ("s0344", "the target names another host than `Host` does"),
    ("s0346", "the target names another host than `Host` does"),
    ("s0348", "RFC 9112 section 3.2: a target has no fragment"),
    ("s0350", "RFC 9110 section 4.2.4: user information in a target hides who the host is"),
];

#[tokio::test]
async fn what_reaches_the_upstream_has_one_reading() {
    let cases = cases();
    let world = open_world().await;
    let gateway = Gateway::start(&world).await;
    let mut wrong = Vec::new();
    for case in &cases {
        let outcome = play(&world, &gateway, case).await;
        if let Err(why) = judge(case, &outcome) {
            let bytes = String::from_utf8_lossy(&STANDARD.decode(&case.raw_b64).unwrap()).into_owned();
            let Outcome { statuses, seen } = outcome;
            wrong.push(format!(
                "{} {} {}: {why}\n  {bytes:?}\n  {statuses:?} {seen:?}",
                case.id, case.expected.verdict, case.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

async fn play(world: &World, gateway: &Gateway, case: &Case) -> Outcome {
    world.odoo.reset();
    world.odoo.always(|_| testbed::upstream::Answer::json(200, &serde_json::json!({})));
    let bytes = with_host(&STANDARD.decode(&case.raw_b64).unwrap());
    let mut connection = gateway.raw().await;
    // It may be answered and closed before everything is sent.
    drop(connection.send(bytes).await);
    drop(connection.finish().await);
    let answers = connection.read_to_end().await.unwrap_or_default();
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let statuses =
        answers.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect();
    Outcome { statuses, seen: world.odoo.seen() }
}

fn judge(case: &Case, Outcome { statuses, seen }: &Outcome) -> Result<(), String> {
    for request in seen {
        is_unambiguous(request)?;
    }
    let refused = statuses.last().is_none_or(|status| *status >= 400);
    let on_purpose = REFUSED_ON_PURPOSE.iter().any(|(id, _)| *id == case.id);
    let sound = usize::from(FIRST_IS_SOUND.contains(&case.id.as_str()));
    match case.expected.verdict.as_str() {
        "reject" if seen.len() > sound => Err("it passed".to_owned()),
        "reject" if sound == 0 && !refused => Err("it was not refused".to_owned()),
        "accept" if on_purpose && !seen.is_empty() => Err("it passed, and is listed as refused".to_owned()),
        // The contract's word, not the parser's: a body must say what it is.
        "accept" if !on_purpose && seen.is_empty() && !statuses.contains(&415) => {
            Err("it did not pass".to_owned())
        }
        // `safe`, `either`, `wait`, `first-ok-then-reject`: refused, or passed on in one reading.
        _ => Ok(()),
    }
}

/// The cases, if they are on this machine.
#[allow(clippy::print_stderr, reason = "says that nothing was tested")]
fn cases() -> Vec<Case> {
    let beside = || testbed::repository::folder("../shared/conformance");
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
