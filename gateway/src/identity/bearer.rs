//! Where in a request may a token stand? In `Authorization`, once, after `Bearer`; nowhere else.
//!
//! It does not look into the token.

use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::percent_decode_str;

/// A request that shows a token in a way no client may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// More than one `Authorization` field.
    #[error("the request has more than one authorization field")]
    Repeated,
    /// `Authorization: Bearer` that is not followed by exactly one token.
    #[error("the authorization field does not hold one bearer token")]
    Malformed,
    /// A token in the query, where logs and browser histories keep it.
    #[error("the request has an access token in its query")]
    InQuery,
}

impl RequestFault {
    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Repeated => "authorization-repeated",
            Self::Malformed => "authorization-malformed",
            Self::InQuery => "token-in-query",
        }
    }

    /// What the client may be told.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Repeated => "send the Authorization field once",
            Self::Malformed => "send one access token as `Authorization: Bearer TOKEN`",
            Self::InQuery => "send the access token in the Authorization field, never in the query",
        }
    }
}

/// The bearer token of a request; nothing when there is none or another scheme is used.
pub(super) fn bearer(request: &Parts) -> Result<Option<&str>, RequestFault> {
    // RFC 6750 section 2.3 and RFC 9700 section 4.3.2: a token in a URI leaks, so it is refused.
    if request.uri.query().is_some_and(has_token) {
        return Err(RequestFault::InQuery);
    }
    let mut fields = request.headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    // RFC 6750 section 2: clients must not use more than one method, and a field of credentials is no list.
    if fields.next().is_some() {
        return Err(RequestFault::Repeated);
    }
    let Ok(field) = field.to_str() else { return Err(RequestFault::Malformed) };
    let (scheme, rest) = field.split_once(' ').unwrap_or((field, ""));
    // RFC 9110 section 11.1: the scheme is case-insensitive.
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    // RFC 9110 section 11.4: one or more spaces, then token68.
    let token = rest.trim_start_matches(' ');
    if is_token68(token) { Ok(Some(token)) } else { Err(RequestFault::Malformed) }
}

fn has_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        percent_decode_str(name).eq("access_token".bytes())
    })
}

/// RFC 6750 section 2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn request(uri: &str, authorization: &[&[u8]]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for value in authorization {
            request = request.header(AUTHORIZATION, http::HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_token_of_one_authorization_field_is_taken() {
        for (authorization, token) in [
            (vec![], None),
            (vec![&b"Bearer a.b.c"[..]], Some("a.b.c")),
            (vec![b"bEARER a.b.c"], Some("a.b.c")),
            (vec![b"Bearer   a=="], Some("a==")),
            (vec![b"Basic dTpw"], None),
            (vec![b"DPoP a.b.c"], None),
            (vec![b"Bearers a"], None),
        ] {
            assert_eq!(bearer(&request("/", &authorization)), Ok(token), "{authorization:?}");
        }
    }

    #[test]
    fn a_token_shown_in_another_way_is_refused() {
        let malformed = [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer \ta",
            b"Bearer ===",
            b"Bearer a=b",
            b"Bearer a\xff",
            b"Bearer \"a\"",
        ];
        for value in malformed {
            assert_eq!(bearer(&request("/", &[value])), Err(RequestFault::Malformed), "{value:?}");
        }
        for pair in [[&b"Bearer a"[..], b"Bearer a"], [b"Basic a", b"Bearer a"], [b"Bearer a", b""]] {
            assert_eq!(bearer(&request("/", &pair)), Err(RequestFault::Repeated), "{pair:?}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_refused_however_it_is_written() {
        for uri in ["/?access_token=a", "/?x=1&access_token", "/?access%5Ftoken=a", "/?%61ccess_token=a"] {
            assert_eq!(bearer(&request(uri, &[b"Bearer a"])), Err(RequestFault::InQuery), "{uri}");
        }
        for uri in ["/access_token=1", "/?x=access_token", "/?my_access_token=1"] {
            assert_eq!(bearer(&request(uri, &[])), Ok(None), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_a_token68(value in proptest::collection::vec(0x20_u8..=0xff, 0..40)) {
            prop_assume!(http::HeaderValue::from_bytes(&value).is_ok());
            let parts = request("/", &[&[&b"Bearer "[..], &value[..]].concat()]);
            if let Ok(token) = bearer(&parts) {
                prop_assert!(is_token68(token.unwrap()));
            }
        }
    }
}
