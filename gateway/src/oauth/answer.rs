//! What did the authorization server answer? Read strictly: what is missing is never taken for what fits.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::fault::OauthFault;
use crate::document::unique;
use crate::fetch::Answer;

/// A token that the server gave.
pub struct Granted {
    /// The token, to be shown as `Bearer`.
    pub access_token: Zeroizing<String>,
    /// How long it lives from now on, if the server said.
    pub lives: Option<Duration>,
}

/// What is known of a token (RFC 7662 section 2.2).
pub enum Introspection {
    /// It is good for nothing, whatever the reason.
    Inactive,
    /// It is good, and says this.
    Active(Map<String, Value>),
    /// A signed answer (RFC 9701 section 5), whose signature is not checked here.
    Signed(Zeroizing<String>),
}

impl Granted {
    /// RFC 6749 section 5.1.
    pub(super) fn read(answer: &Answer) -> Result<Self, OauthFault> {
        let members = good(answer)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        // A token of another type cannot be shown as we show it (section 7.1).
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(OauthFault::BadAnswer);
        }
        // RFC 6750 section 2.1: it goes into a header field.
        let token = text("access_token").filter(|token| is_sendable(token)).ok_or(OauthFault::BadAnswer)?;
        let lives = match members.get("expires_in") {
            None => None,
            Some(seconds) => Some(Duration::from_secs(seconds.as_u64().ok_or(OauthFault::BadAnswer)?)),
        };
        Ok(Self { access_token: Zeroizing::new(token.to_owned()), lives })
    }
}

impl Introspection {
    /// RFC 7662 section 2.2, in plain JSON.
    pub(super) fn plain(answer: &Answer) -> Result<Self, OauthFault> {
        if answer.media_type != "application/json" {
            return Err(good(answer).err().unwrap_or(OauthFault::BadAnswer));
        }
        Self::of(good(answer)?).ok_or(OauthFault::BadAnswer)
    }

    /// RFC 9701 section 5: nothing but a signed answer will do where one was asked for.
    pub(super) fn signed(answer: &Answer) -> Result<Self, OauthFault> {
        if answer.status != StatusCode::OK {
            return Err(refusal(answer));
        }
        if answer.media_type != "application/token-introspection+jwt" {
            return Err(OauthFault::BadAnswer);
        }
        let text = std::str::from_utf8(&answer.body).or(Err(OauthFault::BadAnswer))?;
        Ok(Self::Signed(Zeroizing::new(text.to_owned())))
    }

    /// What the members of an answer say; nothing if they do not say whether the token is active.
    #[must_use]
    pub fn of(members: Map<String, Value>) -> Option<Self> {
        match members.get("active") {
            Some(Value::Bool(true)) => Some(Self::Active(members)),
            // RFC 7662 section 2.2: nothing else is to be said then, and nothing else is looked at.
            Some(Value::Bool(false)) => Some(Self::Inactive),
            Some(_) | None => None,
        }
    }
}

/// Whether the server does not know who asked it (RFC 6749 section 5.2, RFC 7662 section 2.3).
pub(super) fn is_unknown(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED || refusal(answer) == OauthFault::Refused("invalid_client")
}

fn good(answer: &Answer) -> Result<Map<String, Value>, OauthFault> {
    if answer.status != StatusCode::OK {
        return Err(refusal(answer));
    }
    unique::object(&answer.body).ok_or(OauthFault::BadAnswer)
}

/// RFC 6749 section 5.2: of the error only a code that is known is kept, so that no server writes our logs.
fn refusal(answer: &Answer) -> OauthFault {
    let status = OauthFault::Status(answer.status.as_u16());
    if answer.status != StatusCode::BAD_REQUEST && answer.status != StatusCode::UNAUTHORIZED {
        return status;
    }
    let Some(members) = unique::object(&answer.body) else { return status };
    let code = members.get("error").and_then(Value::as_str);
    let known = code.and_then(|code| CODES.iter().find(|known| **known == code));
    known.map_or(status, |code| OauthFault::Refused(code))
}

/// Visible ASCII, as RFC 6749 appendix A.12 has it.
fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("lives", &self.lives).finish_non_exhaustive()
    }
}

// What a person's token says is hers.
impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "Inactive",
            Self::Active(_) => "Active",
            Self::Signed(_) => "Signed",
        })
    }
}

/// RFC 6749 section 5.2 and RFC 8707 section 2.
const CODES: [&str; 7] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, media_type: &str, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            media_type: media_type.to_owned(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    #[test]
    fn a_token_is_granted_or_the_answer_is_refused() {
        let check = |body: &str, expected: Result<(&str, Option<u64>), OauthFault>| {
            let read = Granted::read(&answer(200, "application/json", body));
            let read = read.as_ref().map(|granted| (granted.access_token.as_str(), granted.lives));
            let expected = expected.map(|(token, lives)| (token, lives.map(Duration::from_secs)));
            assert_eq!(read.map_err(Clone::clone), expected, "{body}");
        };
        check(r#"{"access_token":"a.b","token_type":"bearer","expires_in":60}"#, Ok(("a.b", Some(60))));
        check(r#"{"access_token":"a","token_type":"Bearer","scope":"x"}"#, Ok(("a", None)));
        for body in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            "{\"access_token\":\"a\\r\\nx: y\",\"token_type\":\"Bearer\"}",
            r#"{"access_token":["a"],"token_type":"Bearer"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":"60"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":-1}"#,
            "[]",
            "",
        ] {
            check(body, Err(OauthFault::BadAnswer));
        }
    }

    #[test]
    fn only_a_plain_yes_makes_a_token_active() {
        let check = |media_type: &str, body: &str, expected: Result<&str, OauthFault>| {
            let read = Introspection::plain(&answer(200, media_type, body)).map(|read| format!("{read:?}"));
            assert_eq!(read.as_deref().map_err(Clone::clone), expected, "{body}");
        };
        check("application/json", r#"{"active":true,"sub":"x"}"#, Ok("Active"));
        check("application/json", r#"{"active":false,"sub":"x"}"#, Ok("Inactive"));
        check("text/html", r#"{"active":true}"#, Err(OauthFault::BadAnswer));
        for body in [
            "{}",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"active":false,"active":true}"#,
            r#"[{"active":true}]"#,
            "true",
        ] {
            check("application/json", body, Err(OauthFault::BadAnswer));
        }
    }

    #[test]
    fn where_a_signed_answer_was_asked_for_no_other_will_do() {
        let check = |status, media_type: &str, expected: Result<&str, OauthFault>| {
            let read = Introspection::signed(&answer(status, media_type, "a.b.c"));
            let read = read.map(|read| format!("{read:?}"));
            assert_eq!(read.as_deref().map_err(Clone::clone), expected, "{media_type}");
        };
        check(200, "application/token-introspection+jwt", Ok("Signed"));
        check(200, "application/jwt", Err(OauthFault::BadAnswer));
        check(200, "application/json", Err(OauthFault::BadAnswer));
        check(500, "application/token-introspection+jwt", Err(OauthFault::Status(500)));
    }

    #[test]
    fn of_a_refusal_only_a_known_code_is_kept() {
        let check = |status, body: &str, expected: OauthFault| {
            assert_eq!(Granted::read(&answer(status, "application/json", body)).err(), Some(expected));
        };
        check(401, r#"{"error":"invalid_client"}"#, OauthFault::Refused("invalid_client"));
        check(400, r#"{"error":"invalid_target"}"#, OauthFault::Refused("invalid_target"));
        check(400, r#"{"error":"\nfake log line"}"#, OauthFault::Status(400));
        check(500, r#"{"error":"invalid_client"}"#, OauthFault::Status(500));
        check(503, "<html>", OauthFault::Status(503));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(status in 200_u16..600, body in "\\PC{0,80}") {
            let heard = answer(status, "application/json", &body);
            let _read_or_not = (Granted::read(&heard).is_ok(), Introspection::plain(&heard).is_ok());
        }
    }
}
