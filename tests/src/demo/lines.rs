//! Which lines are worth trying, and what does each answer? The README shows the same lines.

/// A line to paste into a shell at the root of the repository, while the demo runs.
#[derive(Debug)]
pub struct Line {
    /// What it shows.
    pub title: &'static str,
    /// What to expect, for people.
    pub expect: &'static str,
    /// The line itself; a backslash continues it.
    pub command: String,
    /// The status of its answer, if it prints one.
    status: Option<u16>,
    /// What else must stand in what it prints, in lower case.
    fragments: &'static [&'static str],
}

/// The six lines, for a gateway at this port of `localhost`; `program` is its path as a shell says it.
#[must_use]
pub fn worth_trying(port: u16, program: &str) -> [Line; 6] {
    [
        order_placed(port),
        scope_missing(port),
        contract_violated(port),
        version_deprecated(port),
        rate_limited(port),
        audit_verified(program),
    ]
}

impl Line {
    /// Whether what it printed is the documented answer; else what is missing.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn judge(&self, printed: &str) -> Result<(), String> {
        let first = printed.lines().next().unwrap_or_default();
        if let Some(status) = self.status
            && first.split_ascii_whitespace().nth(1) != Some(&status.to_string())
        {
            return Err(format!("the status is not {status}"));
        }
        let lower = printed.replace('\r', "").to_lowercase();
        match self.fragments.iter().find(|fragment| !lower.contains(**fragment)) {
            Some(missing) => Err(format!("`{}` is missing", missing.trim())),
            None => Ok(()),
        }
    }
}

fn order_placed(port: u16) -> Line {
    Line {
        title: "An allowed call: a marketplace places an order, with its token and its certificate.",
        expect: "201, where the order can be read, and what is left of the rate plan.",
        command: post_order(port, "@deploy/run/order.json"),
        status: Some(201),
        fragments: &["\nlocation: /orders/v2/orders/s00042", "\nratelimit: ", "\"orderid\":\"s00042\""],
    }
}

fn scope_missing(port: u16) -> Line {
    Line {
        title: "A missing scope: a carrier asks for stock levels.",
        expect: "403 insufficient-scope; WWW-Authenticate names the scope that would do.",
        command: get(port, "swift-carrier", "/stock/v1/levels/MUG-0042"),
        status: Some(403),
        fragments: &["\nwww-authenticate: bearer", "scope=\"stock:read\"", "problems/insufficient-scope\""],
    }
}

fn contract_violated(port: u16) -> Line {
    let mistakes = r#""$(sed 's/"EUR"/"euro"/; s/"quantity": 2/"quantity": 0/' deploy/run/order.json)""#;
    Line {
        title: "A contract violation: the same order with two mistakes.",
        expect: "422 contract-violation; both places, with what would pass.",
        command: post_order(port, mistakes),
        status: Some(422),
        fragments: &["problems/contract-violation\"", "/currency\"", "/lines/0/quantity\""],
    }
}

fn version_deprecated(port: u16) -> Line {
    Line {
        title: "A deprecated version: the marketplace still reads an order through version 1.",
        expect: "200 with Deprecation, Sunset, and Links to the successor and the guide.",
        command: get(port, "acme-marketplace", "/orders/v1/orders/S00042"),
        status: Some(200),
        fragments: &["\ndeprecation: @", "\nsunset: ", "rel=\"successor-version\"", "rel=\"deprecation\""],
    }
}

fn rate_limited(port: u16) -> Line {
    let call = curl("-s -i -o deploy/run/answer -w '%{http_code}'", "reconciliation-bot");
    Line {
        title: "A rate limit: a bot lists orders; a list costs 2, and its burst is 120 a minute.",
        expect: "call 61, or one soon after, to be refused: 429 with Retry-After and RateLimit.",
        command: format!(
            "for call in $(seq 100); do [ \"$({call}\n  https://localhost:{port}/orders/v2/orders)\" = 429 ] \
             && break; done; echo \"call $call:\"; cat deploy/run/answer"
        ),
        status: None,
        fragments: &["call ", " 429", "\nretry-after: ", "\nratelimit: \"burst\";r=0;", "#quota-exceeded\""],
    }
}

fn audit_verified(program: &str) -> Line {
    Line {
        title: "An audit verification: every call above is on record, and nobody has touched the records.",
        expect: "ok, and a signed checkpoint to keep.",
        command: format!(
            "{program} audit verify --directory deploy/run/audit --key certs/development/audit.pub"
        ),
        status: None,
        fragments: &["ok: ", "are as they were written", "gateway.example/audit\n"],
    }
}

fn get(port: u16, caller: &str, path: &str) -> String {
    format!("{}\n  https://localhost:{port}{path}", curl("-i", caller))
}

fn post_order(port: u16, body: &str) -> String {
    let (caller, folder) = ("acme-marketplace", "certs/development");
    let proof = format!("--cert {folder}/{caller}.pem --key {folder}/{caller}.key");
    let content = format!("-H \"Content-Type: application/json\" -d {body}");
    let call = curl("-i", caller);
    format!("{call}\n  {proof} \\\n  {content} \\\n  https://localhost:{port}/orders/v2/orders")
}

/// The beginning of a call as a caller with a token.
fn curl(options: &str, caller: &str) -> String {
    format!(
        "curl {options} --cacert certs/development/servers-ca.pem \\\n  \
         -H \"Authorization: Bearer $(cat deploy/run/tokens/{caller})\" \\"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_status_and_by_every_fragment() {
        let [_, scope, ..] = worth_trying(8443, "target/debug/gateway");
        let good = "HTTP/2 403 \r\nWWW-Authenticate: Bearer realm=\"api\", scope=\"stock:read\"\r\n\r\n\
                    {\"type\":\"https://gateway.example/problems/insufficient-scope\"}";
        for (printed, missing) in [
            (good.to_owned(), Ok(())),
            (good.replace("403", "401"), Err("the status is not 403")),
            (good.replace("stock:read", "stock"), Err("`scope=\"stock:read\"` is missing")),
            (String::new(), Err("the status is not 403")),
        ] {
            assert_eq!(scope.judge(&printed), missing.map_err(str::to_owned));
        }
    }

    #[test]
    fn every_line_can_be_pasted_as_a_whole() {
        for line in worth_trying(8443, "target/debug/gateway") {
            let parts: Vec<&str> = line.command.lines().collect();
            let (last, before) = parts.split_last().unwrap();
            assert!(before.iter().all(|part| part.ends_with('\\')), "{}", line.command);
            assert!(!last.ends_with('\\'), "{}", line.command);
            assert!(
                std::process::Command::new("sh")
                    .args(["-n", "-c", &line.command])
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }
}
