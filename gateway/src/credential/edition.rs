//! One value of a secret, ready to be sent, and the only way it leaves.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::version::Version;

/// One value of a secret as it is sent.
pub(super) struct Edition {
    version: Version,
    written: Written,
}

enum Written {
    /// Into a header field.
    Field(HeaderValue),
    /// Nowhere: whoever asks for the bytes has them.
    Bytes(Zeroizing<Vec<u8>>),
}

/// How a secret is written into its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Raw,
    /// RFC 6750 section 2.1: `Bearer SECRET`.
    Bearer,
    /// RFC 7617 section 2: the secret is `user:password`.
    Basic,
    /// After this text and a space.
    Prefix(String),
    /// In no field at all: what authorization servers are shown, such as a client's password or private key.
    Bytes,
}

/// Why a secret cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsendable {
    Empty,
    Control,
    NoColon,
}

impl Edition {
    pub(super) fn new(version: Version, form: &Form, secret: &[u8]) -> Result<Self, Unsendable> {
        Ok(Self { version, written: form.written(secret)? })
    }

    /// Which value it is.
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Writes the field, in place of whatever stands there.
    pub(super) fn apply(&self, header: &HeaderName, headers: &mut HeaderMap) {
        match &self.written {
            Written::Field(value) => headers.insert(header.clone(), value.clone()),
            // No upstream is shown such a one; what a caller sent does not go on in its place.
            Written::Bytes(_) => headers.remove(header),
        };
    }

    /// The secret itself, where it is written into no field.
    pub(super) fn bytes(&self) -> Option<&Zeroizing<Vec<u8>>> {
        match &self.written {
            Written::Field(_) => None,
            Written::Bytes(bytes) => Some(bytes),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests(number: u64) -> Self {
        Self {
            version: Version::Numbered(number),
            written: Written::Field(HeaderValue::from_static("secret")),
        }
    }
}

impl fmt::Debug for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edition").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Form {
    /// What is sent. Its bytes are wiped when the last copy of it is dropped.
    fn written(&self, secret: &[u8]) -> Result<Written, Unsendable> {
        match self {
            _ if secret.is_empty() => Err(Unsendable::Empty),
            Self::Bytes => Ok(Written::Bytes(Zeroizing::new(secret.to_vec()))),
            Self::Raw | Self::Bearer | Self::Basic | Self::Prefix(_) => {
                self.value(secret).map(Written::Field)
            }
        }
    }

    fn value(&self, secret: &[u8]) -> Result<HeaderValue, Unsendable> {
        if !secret.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(Unsendable::Control);
        }
        let written = match self {
            Self::Raw | Self::Bytes => Zeroizing::new(secret.to_vec()),
            Self::Bearer => joined("Bearer", secret),
            Self::Basic if secret.contains(&b':') => {
                joined("Basic", Zeroizing::new(STANDARD.encode(secret)).as_bytes())
            }
            Self::Basic => return Err(Unsendable::NoColon),
            Self::Prefix(prefix) => joined(prefix, secret),
        };
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(written))
            .map_err(|_invalid| Unsendable::Control)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// One allocation of the final size: a buffer that grows would leave a copy behind.
fn joined(prefix: &str, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let size = prefix.len().saturating_add(secret.len()).saturating_add(1);
    let mut written = Zeroizing::new(Vec::with_capacity(size));
    written.extend_from_slice(prefix.as_bytes());
    written.push(b' ');
    written.extend_from_slice(secret);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::VersionKey;
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_written_in_its_form() {
        let check = |form: Form, secret: &str, expected: Result<&str, Unsendable>| {
            let value = form.written(secret.as_bytes()).map(|written| match written {
                Written::Field(value) => value,
                Written::Bytes(_) => panic!("it goes into a field"),
            });
            assert_eq!(
                value.as_ref().map(|value| value.to_str().unwrap()),
                expected.as_ref().copied(),
                "{form:?}"
            );
            assert!(value.map_or(true, |value| value.is_sensitive()));
        };
        check(Form::Raw, "k3y", Ok("k3y"));
        check(Form::Bearer, "k3y", Ok("Bearer k3y"));
        check(Form::Prefix("bearer".into()), "k3y", Ok("bearer k3y"));
        check(Form::Prefix("bad\r\n".into()), "k3y", Err(Unsendable::Control));
        // The example of RFC 7617 section 2.
        check(Form::Basic, "Aladdin:open sesame", Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        check(Form::Basic, "k3y", Err(Unsendable::NoColon));
        for secret in ["a\nb", "a\rb", "a\0", "a\tb", "ä", "\u{7f}"] {
            check(Form::Raw, secret, Err(Unsendable::Control));
        }
        check(Form::Raw, "", Err(Unsendable::Empty));
    }

    #[test]
    fn what_goes_into_no_field_may_be_any_bytes_and_is_sent_in_none() {
        let key = b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
        let edition = Edition::new(Version::Numbered(1), &Form::Bytes, key).unwrap();
        assert_eq!(edition.bytes().map(|bytes| bytes.as_slice()), Some(key.as_slice()));
        let header = http::header::AUTHORIZATION;
        let mut headers = HeaderMap::from_iter([(header.clone(), HeaderValue::from_static("Bearer theirs"))]);
        edition.apply(&header, &mut headers);
        assert!(headers.is_empty());
        assert_eq!(Edition::new(Version::Numbered(1), &Form::Bytes, b"").err(), Some(Unsendable::Empty));
    }

    fn edition(secret: &str) -> Edition {
        let version = VersionKey::random().unwrap().version("odoo", secret.as_bytes());
        Edition::new(version, &Form::Bearer, secret.as_bytes()).unwrap()
    }

    #[test]
    fn a_credential_replaces_what_stands_in_its_field() {
        let header = http::header::AUTHORIZATION;
        let mut headers = HeaderMap::new();
        headers.append(&header, HeaderValue::from_static("Bearer theirs"));
        headers.append(&header, HeaderValue::from_static("Bearer theirs too"));
        edition("ours").apply(&header, &mut headers);
        let values: Vec<_> = headers.get_all(&header).iter().collect();
        assert_eq!(values, ["Bearer ours"]);
    }

    proptest! {
        #[test]
        fn a_secret_is_never_shown(secret in "[A-Z]{8,40}") {
            let edition = edition(&secret);
            let mut headers = HeaderMap::new();
            edition.apply(&http::header::AUTHORIZATION, &mut headers);
            let shown = format!("{edition:?} {edition:#?} {headers:?}");
            prop_assert!(!shown.contains(&secret));
        }
    }
}
