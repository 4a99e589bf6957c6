//! Where in a request may a token stand? In `Authorization`, once, after `Bearer` or `DPoP`; nowhere else.
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
    /// `Authorization: Bearer` or `DPoP` that is not followed by exactly one token.
    #[error("the authorization field does not hold one access token")]
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
            Self::Malformed => "send one access token as `Authorization: Bearer TOKEN` or `DPoP TOKEN`",
            Self::InQuery => "send the access token in the Authorization field, never in the query",
        }
    }
}

/// How a token is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// As it is (RFC 6750).
    Bearer,
    /// With a proof of the key it is bound to (RFC 9449 section 7.1).
    Dpop,
}

/// An access token as a request shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) scheme: AuthScheme,
    pub(super) token: &'a str,
}

impl AuthScheme {
    /// The scheme of a request's first `Authorization` field, whatever follows it.
    #[must_use]
    pub fn of(request: &Parts) -> Option<Self> {
        let field = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
        Self::parse(field.split_once(' ').map_or(field, |(scheme, _)| scheme))
    }

    /// Its name in challenges.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// RFC 9110 section 11.1: the scheme is case-insensitive.
    fn parse(word: &str) -> Option<Self> {
        [Self::Bearer, Self::Dpop].into_iter().find(|scheme| word.eq_ignore_ascii_case(scheme.as_str()))
    }
}

/// The token of a request; nothing when there is none or another scheme is used.
pub(super) fn shown(request: &Parts) -> Result<Option<Shown<'_>>, RequestFault> {
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
    let Some(scheme) = AuthScheme::parse(scheme) else { return Ok(None) };
    // RFC 9110 section 11.4: one or more spaces, then token68.
    let token = rest.trim_start_matches(' ');
    if is_token68(token) { Ok(Some(Shown { scheme, token })) } else { Err(RequestFault::Malformed) }
}

/// The token that a request shows, as its client wrote it; nothing when it shows none in a way that is accepted.
/// Of a request whose caller was identified by one this is the token that was verified.
#[must_use]
pub fn token_of(request: &Parts) -> Option<&str> {
    shown(request).ok().flatten().map(|shown| shown.token)
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
        let by = |scheme, token| Some(Shown { scheme, token });
        for (authorization, token) in [
            (vec![], None),
            (vec![&b"Bearer a.b.c"[..]], by(AuthScheme::Bearer, "a.b.c")),
            (vec![b"bEARER a.b.c"], by(AuthScheme::Bearer, "a.b.c")),
            (vec![b"Bearer   a=="], by(AuthScheme::Bearer, "a==")),
            (vec![b"Basic dTpw"], None),
            (vec![b"DPoP a.b.c"], by(AuthScheme::Dpop, "a.b.c")),
            (vec![b"dpop a.b.c"], by(AuthScheme::Dpop, "a.b.c")),
            (vec![b"Bearers a"], None),
        ] {
            let request = request("/", &authorization);
            assert_eq!(shown(&request), Ok(token), "{authorization:?}");
            assert_eq!(AuthScheme::of(&request), token.map(|shown| shown.scheme), "{authorization:?}");
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
            b"DPoP",
            b"DPoP a, DPoP b",
        ];
        for value in malformed {
            assert_eq!(shown(&request("/", &[value])), Err(RequestFault::Malformed), "{value:?}");
        }
        for pair in [[&b"Bearer a"[..], b"Bearer a"], [b"Basic a", b"Bearer a"], [b"Bearer a", b""]] {
            assert_eq!(shown(&request("/", &pair)), Err(RequestFault::Repeated), "{pair:?}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_refused_however_it_is_written() {
        for uri in ["/?access_token=a", "/?x=1&access_token", "/?access%5Ftoken=a", "/?%61ccess_token=a"] {
            assert_eq!(shown(&request(uri, &[b"Bearer a"])), Err(RequestFault::InQuery), "{uri}");
        }
        for uri in ["/access_token=1", "/?x=access_token", "/?my_access_token=1"] {
            assert_eq!(shown(&request(uri, &[])), Ok(None), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_a_token68(value in proptest::collection::vec(0x20_u8..=0xff, 0..40)) {
            prop_assume!(http::HeaderValue::from_bytes(&value).is_ok());
            let parts = request("/", &[&[&b"Bearer "[..], &value[..]].concat()]);
            if let Ok(shown) = shown(&parts) {
                prop_assert!(is_token68(shown.unwrap().token));
            }
        }
    }
}
