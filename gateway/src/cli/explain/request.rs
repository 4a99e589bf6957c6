//! Does the request fit the contract, and which deprecated parts of it does it use?

use bytes::Bytes;
use http::request::Parts;
use jiff::Timestamp;

use super::{Refused, refuse, say};
use crate::contract::{Matched, Operation, RequestFault, Target, Violations};

pub(super) fn check(
    operation: &Operation,
    matched: &Matched,
    target: &Target,
    (parts, body): (&Parts, &Bytes),
    now: Timestamp,
) -> Result<(), Refused> {
    let max = operation.settings().request_bytes_max;
    if body.len() > max {
        return Err(refuse(
            "request",
            &format!("the body is longer than {max} bytes (413 content-too-large)"),
        ));
    }
    let checked = operation.check_request(parts, matched, target, body);
    let used = operation.used(parts, matched, target, Some((body, checked.as_ref().ok())), now);
    for field in used.fields().iter().filter(|field| field.is_deprecated()) {
        let until = field.sunset().map_or_else(String::new, |sunset| format!(", sunset {sunset}"));
        say("uses", &format!("{} {}, which is deprecated{until}", field.place().as_str(), field.name()));
    }
    match used.judge(checked) {
        Ok(_) => {
            say("request", "fits the contract");
            Ok(())
        }
        Err(fault) => {
            let refused = refuse("request", &format!("{fault} ({})", fault.reason()));
            match &fault {
                RequestFault::Violations(violations) => print_violations(violations),
                RequestFault::Malformed(violation) => {
                    say("", &format!("{}: {}", violation.location, violation.expected));
                }
                RequestFault::MediaType { accepted, .. } => {
                    say("", &format!("accepted: {}", accepted.join(", ")));
                }
                RequestFault::NotAcceptable { offered } => {
                    say("", &format!("offered: {}", offered.join(", ")));
                }
                RequestFault::Encoding { accepted } => say("", &format!("accepted: {accepted}")),
                RequestFault::TooLarge { max } => say("", &format!("accepted: {max} bytes")),
            }
            Err(refused)
        }
    }
}

fn print_violations(violations: &Violations) {
    for violation in violations.as_slice() {
        say("", &format!("{}: {} ({})", violation.location, violation.expected, violation.keyword));
    }
}
