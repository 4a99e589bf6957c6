//! Every secret that passed through a test: does any of them stand where it must not?
//!
//! Whoever makes a secret notes it here, where it is born. When a gateway of a test is let go of, all that it
//! wrote (its output, its audit log, its counts and state) is searched for all of them, in every form they travel in.
//!
//! A secret is what lets in whoever holds it and nothing else: a token, a password, a private key, the signature of
//! a signed token. What only names such a thing is none and may be on record: the `jti` of a signed token, a Vault
//! token's accessor, a lease id (to renew or end the lease one needs a token), a role or user name, a fingerprint.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::Location;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// All forms of all secrets, by their first [`WINDOW`] bytes, so that a text is searched once for all of them.
static NOTED: Mutex<Option<HashMap<Window, Vec<Noted>>>> = Mutex::new(None);

type Window = [u8; WINDOW];

/// One form of one secret.
struct Noted {
    form: String,
    secret: String,
    /// Who noted it.
    by: &'static Location<'static>,
}

/// Notes a secret. Of a signed token that is its signature: what it says is no secret.
///
/// # Panics
/// It is too short to be told from other text, and so nobody would know whether the gateway keeps it.
#[track_caller]
pub fn note(secret: &str) {
    let secret = match secret.rsplit_once('.') {
        // Unsigned, it proves nothing to anybody.
        Some((_, "")) if secret.starts_with("eyJ") => return,
        Some((_, signature)) if secret.starts_with("eyJ") => signature,
        _ => secret,
    };
    let by = Location::caller();
    assert!(secret.len() >= WINDOW, "{by}: a secret of {} bytes could be found by chance", secret.len());
    let mut noted = noted();
    let noted = noted.get_or_insert_default();
    for form in forms(secret) {
        let window = form.as_bytes().first_chunk().expect("no form is shorter than the secret");
        let alike = noted.entry(*window).or_default();
        if alike.iter().all(|known| known.form != form) {
            alike.push(Noted { form, secret: secret.to_owned(), by });
        }
    }
}

/// Notes a private key: a line from the middle of its PEM, which no other key has.
///
/// # Panics
/// There is none in this PEM.
#[track_caller]
pub fn note_key(pem: &str) {
    let is_key = |line: &&str| line.starts_with("-----BEGIN") && line.ends_with("PRIVATE KEY-----");
    let from_there = pem.lines().skip_while(|line| !is_key(line)).skip(1);
    let lines: Vec<&str> = from_there.take_while(|line| !line.starts_with("-----")).collect();
    note(lines.get(lines.len() / 2).expect("a private key in PEM"));
}

/// The noted secrets that stand in `text` in any form, and who noted each.
#[must_use]
pub fn found_in(text: &str) -> BTreeMap<String, &'static Location<'static>> {
    let noted = noted();
    let Some(noted) = noted.as_ref() else { return BTreeMap::new() };
    let bytes = text.as_bytes();
    let places = bytes.windows(WINDOW).enumerate().filter_map(|(at, window)| {
        let alike = noted.get(window.first_chunk::<WINDOW>()?)?;
        Some((bytes.get(at..)?, alike))
    });
    let found = places
        .flat_map(|(rest, alike)| alike.iter().filter(move |one| rest.starts_with(one.form.as_bytes())));
    found.map(|one| (one.secret.clone(), one.by)).collect()
}

/// A secret as it is, as it stands in URLs, forms and JSON, as `Debug` shows its bytes, in hexadecimal, and whatever
/// of these in base64.
fn forms(secret: &str) -> BTreeSet<String> {
    let mut url = reqwest::Url::parse("http://form.example/").expect("this is a URL");
    url.query_pairs_mut().append_key_only(secret);
    let in_form = url.query().unwrap_or_default().to_owned();
    let in_json = serde_json::Value::from(secret).to_string();
    let in_json =
        in_json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned();
    let written = BTreeSet::from([secret.to_owned(), in_form, in_json]);
    let in_base64 = written.iter().flat_map(|text| base64_forms(text.as_bytes())).collect::<Vec<_>>();
    let bytes = format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned();
    let hexadecimal = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    written.into_iter().chain(in_base64).chain([bytes, hexadecimal]).collect()
}

/// The base64 of a secret that stands between other bytes, as in `id:secret` (RFC 7617): those of its characters
/// that do not depend on the others. In the alphabet for URLs as well (RFC 4648 section 5).
fn base64_forms(secret: &[u8]) -> impl Iterator<Item = String> {
    // A character is six bits, so it matters whether 0, 1 or 2 bytes (and any number of threes) come before.
    let standard: Vec<String> = (0..3)
        .map(|before| {
            let text = STANDARD_NO_PAD.encode([vec![0; before], secret.to_vec()].concat());
            let (first, end) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
            text.get(first..end).expect("base64 is ASCII").to_owned()
        })
        .collect();
    let for_urls: Vec<String> =
        standard.iter().map(|text| text.replace('+', "-").replace('/', "_")).collect();
    standard.into_iter().chain(for_urls)
}

/// All that stands in a gateway's folder and was not put there by whoever made the folder.
pub(crate) fn written_below(folder: &Path) -> String {
    const PUT_THERE: [&str; 4] = ["certs", "policies", "contracts", "gateway.yaml"];
    let mut text = String::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let made = |path: &Path| path.parent() != Some(folder) || !is_one_of(path, &PUT_THERE);
            open.extend(entries.map(|entry| entry.path()).filter(|path| made(path)));
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
    }
    text
}

fn is_one_of(path: &Path, names: &[&str]) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name))
}

fn noted() -> MutexGuard<'static, Option<HashMap<Window, Vec<Noted>>>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shorter secret would be found by chance.
const WINDOW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        found_in(text).into_keys().collect()
    }

    #[test]
    fn what_is_noted_is_found_wherever_it_stands() {
        note("a-password-of-some-length");
        note("eyJhbGciOiJ.eyJzdWIiOiJ.c2lnbmF0dXJlLW9mLXRoaXM");
        note("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ.");
        note_key(
            "-----BEGIN CERTIFICATE-----\na\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n\
             first-line-of-this-key\nmiddle-line-of-this-key\n-----END EC PRIVATE KEY-----",
        );
        assert_eq!(found("x a-password-of-some-length y"), ["a-password-of-some-length"]);
        assert_eq!(found("in part: a-password-of-som"), Vec::<String>::new());
        assert_eq!(found("ü c2lnbmF0dXJlLW9mLXRoaXM"), ["c2lnbmF0dXJlLW9mLXRoaXM"]);
        assert_eq!(found("eyJhbGciOiJ.eyJzdWIiOiJ."), Vec::<String>::new(), "what it says is no secret");
        assert_eq!(found("middle-line-of-this-key"), ["middle-line-of-this-key"]);
    }

    #[test]
    fn a_secret_is_found_in_every_form_it_travels_in() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let secret = "p\"s/ü?>~ of a certain length";
        note(secret);
        let in_form = "p%22s%2F%C3%BC%3F%3E%7E+of+a+certain+length";
        for around in ["", "i", "id", "id:"] {
            let basic = |secret: &str| STANDARD.encode(format!("{around}{secret}{around}"));
            for text in [
                format!("{around}{secret}{around}"),
                format!("client_secret={around}{in_form}&{around}"),
                serde_json::json!({ "key": format!("{around}{secret}{around}") }).to_string(),
                format!("Basic {}", basic(secret)),
                format!("Basic {}", basic(in_form)),
                URL_SAFE_NO_PAD.encode(format!("{around}{secret}{around}")),
                format!("{:?}", format!("{around}{secret}{around}").as_bytes()),
            ] {
                assert_eq!(found(&text), [secret], "{text}");
            }
        }
        assert_eq!(found(&secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()), [secret]);
    }

    #[test]
    fn who_noted_it_is_told() {
        note("a-password-noted-by-this-test");
        let line = line!() - 1;
        let found = found_in("a-password-noted-by-this-test");
        assert_eq!(found.values().map(|by| (by.file(), by.line())).collect::<Vec<_>>(), [(file!(), line)]);
    }

    #[test]
    #[should_panic(expected = "could be found by chance")]
    fn what_is_too_short_to_be_searched_for_is_told_at_once() {
        note("fifteen-bytes-..");
        note("fifteen-bytes..");
    }

    #[test]
    fn what_a_gateway_wrote_is_searched_and_what_it_was_given_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("gateway.yaml", "given-1"),
            ("certs/key", "given-2"),
            ("audit/segment", "written-1"),
            ("audit/certs", "written-2"),
            ("usage.sqlite", "written-3"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let written = written_below(folder.path());
        assert!(!written.contains("given"), "{written}");
        assert!(["written-1", "written-2", "written-3"].iter().all(|one| written.contains(one)), "{written}");
    }
}
