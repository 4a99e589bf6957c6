//! What bytes stand behind the content coding of a request body? RFC 9110 section 8.4.
//!
//! A coded body is decoded before it is checked, within two bounds, and what was checked is what goes on. It
//! does not know what the bytes must be.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::operation::Operation;
use super::settings::Coding;
use super::violation::{Location, RequestFault, Violation};

impl Operation {
    /// The bytes that `body` stands for: itself, if the head names no coding.
    ///
    /// # Errors
    /// The coding is not one that the operation allows, or the body is not what its coding says, or far larger.
    pub fn decode(&self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, RequestFault> {
        match self.coding(headers)? {
            None => Ok(body),
            // A body that is not there has no coding either.
            Some(Coding::Gzip) if body.is_empty() => Ok(body),
            Some(Coding::Gzip) => inflate(&body, self.settings.request_bytes_max),
        }
    }

    /// The coding that the head names, if the operation allows it: one at most.
    pub(super) fn coding(&self, headers: &HeaderMap) -> Result<Option<Coding>, RequestFault> {
        let mut named = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            for word in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if word.is_empty() || word.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                // RFC 9110 section 8.4.1.3: `x-gzip` is another word for it.
                let gzip = [&b"gzip"[..], b"x-gzip"].iter().any(|known| word.eq_ignore_ascii_case(known));
                let coding = gzip.then_some(Coding::Gzip);
                let allowed = coding.filter(|coding| self.settings.request_codings.contains(coding));
                if allowed.is_none() || named.is_some() {
                    return Err(RequestFault::Encoding { accepted: self.codings() });
                }
                named = allowed;
            }
        }
        Ok(named)
    }

    /// What `Accept-Encoding` says of the operation.
    fn codings(&self) -> &'static str {
        if self.settings.request_codings.contains(&Coding::Gzip) { "gzip, identity" } else { "identity" }
    }
}

/// The bytes in one whole member of RFC 1952.
fn inflate(coded: &[u8], max: usize) -> Result<Bytes, RequestFault> {
    let mut reader = GzDecoder::new(coded);
    let mut whole = Vec::with_capacity(coded.len().saturating_mul(LIKELY_RATIO).min(max));
    let mut chunk = [0_u8; CHUNK];
    loop {
        let read = reader.read(&mut chunk).map_err(|_broken| malformed("a whole gzip member"))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        whole.extend_from_slice(bytes);
        if whole.len() > max {
            return Err(RequestFault::TooLarge { max });
        }
        if whole.len() > RATIO_FREE && whole.len() > coded.len().saturating_mul(RATIO_MAX) {
            return Err(malformed(&format!("a body at most {RATIO_MAX} times as large as its coding")));
        }
    }
    // RFC 1952 section 2.2 lets another member follow, but not every server reads it.
    if !reader.into_inner().is_empty() {
        return Err(malformed("one gzip member with nothing after it"));
    }
    Ok(whole.into())
}

fn malformed(expected: &str) -> RequestFault {
    RequestFault::Malformed(Violation::new(Location::Body(String::new()), "contentEncoding", expected))
}

/// JSON shrinks to about this.
const LIKELY_RATIO: usize = 6;
/// Very repetitive JSON shrinks to a fiftieth; deflate can make a thousandth of zeros.
const RATIO_MAX: usize = 100;
/// Up to here the ratio does not matter: it harms nobody.
const RATIO_FREE: usize = 64 << 10;
const CHUNK: usize = 16 << 10;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::sample;
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn expected(fault: RequestFault) -> String {
        match fault {
            RequestFault::Malformed(violation) => format!("{}: {}", violation.keyword, violation.expected),
            RequestFault::TooLarge { max } => format!("too large: {max}"),
            other => panic!("{other:?}"),
        }
    }

    fn operation(settings: &str) -> std::sync::Arc<Operation> {
        let catalogue = sample::catalogue(&format!(
            "paths: {{/a: {{post: {{operationId: a, x-gateway: {{{settings}}}, responses: {{'204': {{description: x}}}}}}}}}}\n"
        ));
        std::sync::Arc::clone(&catalogue.operations()[0])
    }

    #[test]
    fn a_member_is_read_whole_or_not_at_all() {
        let good = gzip(b"hello");
        assert_eq!(inflate(&good, 5).unwrap(), "hello");
        assert_eq!(expected(inflate(&good, 4).unwrap_err()), "too large: 4");
        let (mut checksum, mut twice) = (good.clone(), good.clone());
        let last = checksum.len() - 5;
        checksum[last] ^= 1;
        twice.extend(gzip(b"more"));
        for (coded, told) in [
            (&good[..good.len() - 1], "a whole gzip member"),
            (&good[..12], "a whole gzip member"),
            (&checksum, "a whole gzip member"),
            (b"hello", "a whole gzip member"),
            (&[&good[..], b"x"].concat(), "nothing after it"),
            (&twice, "nothing after it"),
        ] {
            let fault = expected(inflate(coded, 100).unwrap_err());
            assert!(fault.starts_with("contentEncoding") && fault.contains(told), "{fault}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_its_ratio_and_by_its_size() {
        let bomb = gzip(&vec![0; 8 << 20]);
        assert!(expected(inflate(&bomb, 16 << 20).unwrap_err()).contains("100 times"));
        assert_eq!(expected(inflate(&bomb, 1 << 14).unwrap_err()), "too large: 16384");
        // So small that it harms nobody.
        let small = gzip(&vec![b' '; 60 << 10]);
        assert_eq!(inflate(&small, 1 << 20).unwrap().len(), 60 << 10);
    }

    #[test]
    fn only_allowed_codings_are_read_and_only_one() {
        let coded = Bytes::from(gzip(b"{}"));
        let (allowing, strict) = (operation("request_codings: [gzip]"), operation(""));
        for (value, read) in [
            ("gzip", true),
            ("X-GZIP", true),
            ("identity, gzip", true),
            ("gzip, gzip", false),
            ("gzip, br", false),
            ("br", false),
            ("gz", false),
        ] {
            let headers = sample::headers(&[("content-encoding", value)]);
            let decoded = allowing.decode(&headers, coded.clone());
            match decoded {
                Ok(decoded) => assert_eq!((decoded.as_ref(), read), (&b"{}"[..], true), "{value}"),
                Err(fault) => {
                    assert_eq!(
                        (fault, read),
                        (RequestFault::Encoding { accepted: "gzip, identity" }, false),
                        "{value}"
                    );
                }
            }
            let refused = strict.decode(&headers, coded.clone());
            assert_eq!(refused, Err(RequestFault::Encoding { accepted: "identity" }), "{value}");
        }
        for fields in [&[][..], &[("content-encoding", "identity")], &[("content-encoding", " ,identity,")]] {
            assert_eq!(
                strict.decode(&sample::headers(fields), coded.clone()),
                Ok(coded.clone()),
                "{fields:?}"
            );
        }
        let none = allowing.decode(&sample::headers(&[("content-encoding", "gzip")]), Bytes::new());
        assert_eq!(none, Ok(Bytes::new()));
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read_back_and_any_bytes_are_answered(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            cut in 0..400_usize,
        ) {
            let coded = gzip(&bytes);
            prop_assert_eq!(inflate(&coded, 400).unwrap(), bytes.as_slice());
            if cut < coded.len() {
                prop_assert!(inflate(&coded[..cut], 400).is_err());
            }
            // A member begins with two bytes of its own.
            if !bytes.starts_with(&[0x1f, 0x8b]) {
                prop_assert!(inflate(&bytes, 400).is_err());
            }
        }
    }
}
