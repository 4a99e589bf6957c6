//! Contracts and requests for the tests of this room.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use jiff::Timestamp;

use super::catalogue::{Catalogue, Matched, NoMatch};
use super::request::CheckedRequest;
use super::target::Target;
use super::violation::{RequestFault, Violation};
use crate::diagnostic::Diagnostics;

/// What stands before `paths` in a contract that loads.
pub(super) const HEAD: &str = "
info: {title: Sample, version: '1'}
servers: [{url: 'https://api.example/api/v1'}]
security: []
x-gateway: {upstream: backend}
";

/// Loads contracts from texts: `("orders/v1/openapi.yaml", "...")`.
pub(super) fn load(files: &[(&str, &str)]) -> Result<(Catalogue, Diagnostics), Diagnostics> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("contracts");
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Catalogue::load(&root, None)
}

/// A contract of the given version of OpenAPI with these paths and whatever follows them.
pub(super) fn contract(openapi: &str, paths: &str) -> Result<(Catalogue, Diagnostics), Diagnostics> {
    load(&[("api/v1/openapi.yaml", &format!("openapi: {openapi}{HEAD}{paths}"))])
}

/// A catalogue of one OpenAPI 3.1 contract that loads.
pub(super) fn catalogue(paths: &str) -> Catalogue {
    contract("3.1.0", paths).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

/// Header fields by name and value.
pub(super) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    fields.iter().map(pair).collect()
}

/// The head of a request.
pub(super) fn head(method: &str, fields: &[(&str, &str)]) -> http::request::Parts {
    let mut request = Request::builder().method(method).version(Version::HTTP_11).body(()).unwrap();
    *request.headers_mut() = headers(fields);
    request.into_parts().0
}

/// Matches a request that says nothing about versions but by its path.
pub(super) fn find(catalogue: &Catalogue, method: &str, target: &Target) -> Result<Matched, NoMatch> {
    let chosen = catalogue.choose(target, &HeaderMap::new(), Timestamp::UNIX_EPOCH)?;
    chosen.find(&method.parse::<Method>().unwrap(), target)
}

/// Matches and checks a request.
pub(super) fn check(
    catalogue: &Catalogue,
    (method, target): (&str, &str),
    fields: &[(&str, &str)],
    body: &str,
) -> Result<CheckedRequest, RequestFault> {
    let target = Target::from_origin_form(target).unwrap();
    let matched = find(catalogue, method, &target).unwrap();
    let body = Bytes::from(body.to_owned());
    matched.operation().check_request(&head(method, fields), &matched, &target, &body)
}

/// The violations of a request that must have some.
pub(super) fn violations(result: Result<CheckedRequest, RequestFault>) -> Vec<Violation> {
    match result {
        Err(RequestFault::Violations(violations)) => violations.as_slice().to_vec(),
        other => panic!("violations were wanted, not {other:?}"),
    }
}

/// What is wrong with a body of a contract's `content`; nothing if it passes.
pub(super) fn broken_body(content: &str, content_type: &str, body: &str) -> Option<String> {
    let catalogue = catalogue(&format!(
        "paths:\n  /t:\n    post:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      requestBody: {{required: true, content: {{{content}}}}}\n"
    ));
    match check(&catalogue, ("POST", "/api/v1/t"), &[("content-type", content_type)], body) {
        Ok(_) => None,
        Err(RequestFault::Malformed(one)) => Some(format!("malformed {}", one.keyword)),
        Err(RequestFault::Violations(all)) => {
            let first = &all.as_slice()[0];
            Some(format!("{} {}", first.location, first.keyword))
        }
        Err(RequestFault::MediaType { .. }) => Some("media type".to_owned()),
        Err(other) => panic!("{other:?}"),
    }
}
