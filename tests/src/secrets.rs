//! Every secret that passed through a test: does any of them stand where it must not?
//!
//! Whoever makes a secret (a token, a key, a password) notes it here. When a gateway of a test is let go of,
//! all that it wrote (its output, its audit log, its counts and state) is searched for all of them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By their first [`WINDOW`] bytes, so that a text is searched once for all of them.
static NOTED: Mutex<Option<Noted>> = Mutex::new(None);

#[derive(Default)]
struct Noted {
    windows: HashSet<[u8; WINDOW]>,
    secrets: HashSet<String>,
}

/// Notes a secret. Of a signed token that is its signature: what it says is no secret.
pub fn note(secret: &str) {
    let kept = match secret.rsplit_once('.') {
        Some((_, signature)) if secret.starts_with("eyJ") => signature,
        _ => secret,
    };
    if let Some(window) = kept.as_bytes().first_chunk() {
        let mut noted = noted();
        let noted = noted.get_or_insert_default();
        noted.windows.insert(*window);
        noted.secrets.insert(kept.to_owned());
    }
}

/// Notes a private key: a line from the middle of its PEM, which no other key has.
pub fn note_key(pem: &str) {
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    if let Some(line) = lines.get(lines.len() / 2) {
        note(line);
    }
}

/// The noted secrets that stand in `text`.
#[must_use]
pub fn found_in(text: &str) -> Vec<String> {
    let noted = noted();
    let Some(noted) = noted.as_ref() else { return Vec::new() };
    let at = |(n, window): (usize, &[u8])| {
        let known = window.first_chunk().is_some_and(|window| noted.windows.contains(window));
        known.then_some(n)
    };
    let places = text.as_bytes().windows(WINDOW).enumerate().filter_map(at);
    let mut found: Vec<String> = places
        .filter_map(|n| text.get(n..))
        .filter_map(|rest| noted.secrets.iter().find(|secret| rest.starts_with(secret.as_str())).cloned())
        .collect();
    found.sort();
    found.dedup();
    found
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

fn noted() -> MutexGuard<'static, Option<Noted>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shorter secrets are not noted: they would be found by chance.
const WINDOW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_wherever_it_stands() {
        note("a-password-of-some-length");
        note("eyJhbGciOiJ.eyJzdWIiOiJ.c2lnbmF0dXJlLW9mLXRoaXM");
        note_key("-----BEGIN PRIVATE KEY-----\nfirst-line-of-this-key\nmiddle-line-of-this-key\n-----END");
        assert_eq!(found_in("x a-password-of-some-length y"), ["a-password-of-some-length"]);
        assert_eq!(found_in("in part: a-password-of-som"), Vec::<String>::new());
        assert_eq!(found_in("ü c2lnbmF0dXJlLW9mLXRoaXM"), ["c2lnbmF0dXJlLW9mLXRoaXM"]);
        assert_eq!(found_in("eyJhbGciOiJ.eyJzdWIiOiJ."), Vec::<String>::new(), "what it says is no secret");
        assert_eq!(found_in("middle-line-of-this-key"), ["middle-line-of-this-key"]);
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
