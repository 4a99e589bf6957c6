//! Do the verdicts agree with those of public test suites? Runs where their cases are at hand.
//!
//! The cases are kept outside the repository: in the folder that `GATEWAY_CONFORMANCE_DIR` names, or
//! in `../shared/conformance` or `../../shared/conformance` beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use serde::Deserialize;

use super::catalogue::Catalogue;
use super::load::Missing;
use super::sample;
use super::target::Target;

/// Cases whose verdict here differs from the suite's, and why that is right.
const DIFFERING: &[(&str, &str)] = &[
    ("p0109", "a parameter with `content: application/json` is JSON, and a word without quotes is not"),
    ("p0171", "OpenAPI 3.2 is not served"),
    ("p0243", "-9223372036854775809 is no int64: the smallest is one more"),
    ("p0241", "9223372036854775808 is no int64: the largest is one less"),
    (
        "p0336",
        "a discriminator names the branch that errors are told of; `oneOf` still wants exactly one to fit",
    ),
    ("p0720", "OpenAPI 3.2 is not served"),
    ("p0767", "an empty and a full value of one name: which of them counts is for each server to guess"),
    ("p0843", "RFC 9110 section 9.3.2: HEAD is served wherever GET is"),
    ("p0868", "YAML is not read, so nothing could check it: a described body that is not read is 415"),
    ("p0880", "OpenAPI 3.0.4 section 4.7.24.1: `nullable` adds null to `type`, not to `enum`"),
    ("p0924", "in 2020-12 `exclusiveMinimum` is a number, so the schema is not valid"),
    ("r0015", "`type: array` without `items` is a schema that any array fits"),
];

#[derive(Deserialize)]
struct Case {
    id: String,
    contract: String,
    request: Message,
    expected: Expected,
    upstream: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    method: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    status: u16,
    headers: Vec<(String, String)>,
    body_b64: String,
}

#[derive(Deserialize)]
struct Expected {
    verdict: String,
}

impl Message {
    fn headers(&self) -> Option<HeaderMap> {
        let pair = |(name, value): &(String, String)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        self.headers.iter().map(pair).collect()
    }

    fn body(&self) -> Bytes {
        base64::engine::general_purpose::STANDARD.decode(&self.body_b64).unwrap().into()
    }
}

/// Where the cases are, if they are at hand.
pub(super) fn folder() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let beside = ["../shared/conformance", "../../shared/conformance"].map(|near| repository.join(near));
    let named = std::env::var_os("GATEWAY_CONFORMANCE_DIR").map(PathBuf::from);
    named.into_iter().chain(beside).find(|folder| folder.join("requests.jsonl").exists())
}

fn cases(folder: &Path, file: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The contract of a case, in a catalogue of its own.
fn catalogue(contract: &Path) -> Result<Catalogue, String> {
    let root = tempfile::tempdir().unwrap();
    let version = root.path().join("api").join("v1");
    std::fs::create_dir_all(&version).unwrap();
    std::fs::copy(contract, version.join("openapi.json")).unwrap();
    let loaded = Catalogue::load_with(root.path(), None, Missing::Assume);
    loaded.map(|(catalogue, _)| catalogue).map_err(|mistakes| mistakes.to_string())
}

/// Why the request is refused, if it is.
fn refusal(catalogue: &Catalogue, message: &Message) -> Option<String> {
    let target = match Target::from_origin_form(&message.target) {
        Ok(target) => target,
        Err(wrong) => return Some(wrong.to_string()),
    };
    let method: Method = message.method.parse().unwrap();
    let matched = match sample::find(catalogue, method.as_str(), &target) {
        Ok(matched) => matched,
        Err(none) => return Some(format!("{none:?}")),
    };
    let Some(headers) = message.headers() else { return Some("a header cannot be sent".to_owned()) };
    let mut request = Request::builder().method(method).uri("/").body(()).unwrap();
    *request.headers_mut() = headers;
    let (parts, ()) = request.into_parts();
    let checked = matched.operation().check_request(&parts, &matched, &target, &message.body());
    checked.err().map(|fault| format!("{fault:?}"))
}

fn response_fault(catalogue: &Catalogue, case: &Case) -> Option<String> {
    let target = Target::from_origin_form(&case.request.target).ok()?;
    let method: Method = case.request.method.parse().unwrap();
    let matched = sample::find(catalogue, method.as_str(), &target).ok()?;
    let upstream = case.upstream.as_ref()?;
    let status = StatusCode::from_u16(upstream.status).unwrap();
    let headers = upstream.headers().unwrap();
    let fault = matched.operation().check_response_to(&method, status, &headers, &upstream.body());
    fault.err().map(|fault| format!("{fault:?}"))
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn skipped(file: &str) {
    eprintln!("{file} is not at hand: set GATEWAY_CONFORMANCE_DIR to check it");
}

#[allow(clippy::arithmetic_side_effects, reason = "a test")]
fn run(file: &str) {
    let Some(folder) = folder() else { return skipped(file) };
    let (mut wrong, mut differing, mut right) = (Vec::new(), BTreeMap::new(), 0_usize);
    let mut loaded: BTreeMap<String, Result<Catalogue, String>> = BTreeMap::new();
    for case in cases(&folder, file) {
        let catalogue =
            loaded.entry(case.contract.clone()).or_insert_with(|| catalogue(&folder.join(&case.contract)));
        let verdict = match (catalogue, &case.upstream) {
            // A contract that does not load serves nothing.
            (Err(mistakes), _) => Some(mistakes.clone()),
            (Ok(catalogue), None) => refusal(catalogue, &case.request),
            (Ok(catalogue), Some(_)) => response_fault(catalogue, &case),
        };
        let agrees = verdict.is_some() == (case.expected.verdict == "reject");
        let listed = DIFFERING.iter().find(|(id, _)| *id == case.id);
        match (agrees, listed) {
            (true, None) => right += 1,
            (false, Some((id, why))) => {
                differing.insert(*id, *why);
            }
            (true, Some((id, _))) => wrong.push(format!("{id} agrees now: take it off the list")),
            (false, None) => wrong.push(format!("{} wants {}: {verdict:?}", case.id, case.expected.verdict)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{right} agree, {} differ with a reason\n{}",
        differing.len(),
        wrong.join("\n")
    );
}

#[test]
fn requests_are_judged_as_public_suites_judge_them() {
    run("requests.jsonl");
}

#[test]
fn responses_are_judged_as_public_suites_judge_them() {
    run("responses.jsonl");
}
