//! What of the gateway's own was shown to an upstream, and what did its answer say about it?
//!
//! A request shows one edition, and another one if the first is refused. RFC 9110 sections 15.5.2 and
//! 15.5.4: a request that is refused for its credentials was not carried out, so that sending it again does
//! nothing twice.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use super::edition::Edition;
use super::held::Credential;
use super::rotation::{Changed, Said};
use super::shown::refuses;
use super::version::Version;

/// An edition that a request shows. To be judged by the upstream's answer.
pub struct Own {
    credential: Arc<Credential>,
    edition: Arc<Edition>,
    /// What was refused before, and how.
    refused: Vec<(Version, StatusCode)>,
    verdict: Verdict,
}

#[derive(PartialEq, Eq)]
enum Verdict {
    Open,
    Told,
}

impl Own {
    pub(super) fn first(credential: &Arc<Credential>, edition: Arc<Edition>) -> Self {
        Self { credential: Arc::clone(credential), edition, refused: Vec::new(), verdict: Verdict::Open }
    }

    /// The credential's name in the files.
    #[must_use]
    pub fn name(&self) -> &str {
        self.credential.name()
    }

    /// Which value of it.
    #[must_use]
    pub fn version(&self) -> Version {
        self.edition.version()
    }

    /// The secret itself, where it is written into no field.
    pub(super) fn bytes(&self) -> Option<&Zeroizing<Vec<u8>>> {
        self.edition.bytes()
    }

    /// Writes the field, in place of whatever stands there.
    pub fn apply(&self, headers: &mut HeaderMap) {
        self.edition.apply(&self.credential.header, headers);
    }

    /// The upstream has answered with `status`. Gives what to show in another attempt, if there is to be one;
    /// waits no longer than `within` for it.
    pub async fn judged(&mut self, status: StatusCode, within: Duration) -> Option<Self> {
        let other = if refuses(status) { self.other(within).await } else { None };
        let Some(edition) = other else {
            self.told(status);
            return None;
        };
        self.verdict = Verdict::Told;
        let mut refused = std::mem::take(&mut self.refused);
        refused.push((self.version(), status));
        Some(Self { credential: Arc::clone(&self.credential), edition, refused, verdict: Verdict::Open })
    }

    /// What to show after a refusal. Once anything else there is; and once more the first, if it is the newer of
    /// the two and the older one is refused as well: then the upstream has learned of it in between.
    async fn other(&self, within: Duration) -> Option<Arc<Edition>> {
        let version = self.version();
        match self.refused.as_slice() {
            [] => self.credential.instead_of(version, within).await,
            [(first, _)] => {
                let mut rotation = self.credential.rotation();
                let newer = rotation.is_newer(*first, version);
                rotation.in_hand(*first, Instant::now()).filter(|_| newer)
            }
            _ => None,
        }
    }

    /// The upstream has answered with `status`, and the request cannot be sent again. If it was refused, the
    /// source is read for those that follow.
    pub async fn judged_once(&mut self, status: StatusCode) {
        self.told(status);
        if refuses(status) {
            drop(self.credential.instead_of(self.version(), Duration::ZERO).await);
        }
    }

    /// The upstream has answered with `status`, and nothing is sent again.
    fn told(&mut self, status: StatusCode) {
        self.verdict = Verdict::Told;
        let version = self.version();
        if !refuses(status) {
            self.said(version, Said::Accepted);
            for (other, _) in self.refused.iter().filter(|(other, _)| *other != version) {
                self.said(*other, Said::Refused);
            }
            return;
        }
        let all = self.refused.iter().copied().chain([(version, status)]);
        // Refused alike, for what is asked and not for who asks: that says nothing of any of them.
        let alike =
            !self.refused.is_empty() && all.clone().all(|(_, status)| status == StatusCode::FORBIDDEN);
        for (version, _) in all {
            if alike {
                self.credential.rotation().unsaid(version);
            } else {
                self.said(version, Said::Refused);
            }
        }
    }

    /// A verdict about one version; operators are told what it has changed.
    fn said(&self, version: Version, said: Said) {
        let changed = self.credential.rotation().said(version, said, Instant::now());
        let credential = self.name();
        match changed {
            Changed::Nothing => {}
            Changed::Rotated(version) => tracing::info!(credential, %version, "a credential was rotated"),
            Changed::SetAside(version) => tracing::warn!(
                credential,
                %version,
                "the new version of a credential is refused; the old one serves"
            ),
        }
    }
}

/// No answer came: that says nothing about what was shown, and somebody else tries it.
impl Drop for Own {
    fn drop(&mut self) {
        if self.verdict == Verdict::Told {
            return;
        }
        let mut rotation = self.credential.rotation();
        rotation.unsaid(self.edition.version());
        for (version, _) in &self.refused {
            rotation.unsaid(*version);
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("name", &self.name())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::rotation::Rotation;
    use crate::credential::{
        CredentialSettings, Credentials, Form, Means, Origin, Request, Sources, VersionKey,
    };
    use crate::diagnostic::Place;
    use std::path::Path;

    /// A credential in a file, and an upstream that takes what it is told to.
    struct Bench {
        folder: tempfile::TempDir,
        credential: Arc<Credential>,
    }

    impl Bench {
        fn new(secret: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("key"), secret).unwrap();
            let settings = CredentialSettings {
                name: "odoo".to_owned(),
                origin: Origin::Kept("file:key".parse().unwrap()),
                header: http::header::AUTHORIZATION,
                form: Form::Raw,
                refresh_every: Some(Duration::ZERO),
                overlap: Duration::from_secs(60),
                age_max: Duration::from_secs(60),
                place: Place::file("gateway.yaml"),
            };
            let sources = Sources { base_dir: folder.path(), variable: &|_| None, vault: None };
            let key = Arc::new(VersionKey::random().unwrap());
            let (all, _) = Credentials::load(&[settings], &sources, &key, None).unwrap();
            let Some(Means::Own(credential)) = all.find("odoo") else { panic!("it is of the gateway's own") };
            let credential = Arc::clone(credential);
            Self { folder, credential }
        }

        fn write(&self, secret: &str) {
            write(self.folder.path(), secret);
        }

        fn take(&self) -> Own {
            self.credential.in_hand(Request::Repeatable).unwrap()
        }

        fn state(&self) -> &'static str {
            self.credential.state().standing.state
        }

        /// One request to an upstream that takes only `taken`: the final status, and what was shown.
        async fn request(&self, taken: &[&str], refusal: StatusCode) -> (StatusCode, Vec<String>) {
            let mut shown = self.take();
            let mut seen = vec![sent(&shown)];
            let answer = |sent: &str| if taken.contains(&sent) { StatusCode::OK } else { refusal };
            let first = answer(&seen[0]);
            let mut last = first;
            while let Some(other) = shown.judged(last, Duration::from_secs(5)).await {
                shown = other;
                seen.push(sent(&shown));
                last = answer(seen.last().unwrap());
                assert!(seen.len() <= 3, "there is no fourth attempt");
            }
            (last, seen)
        }
    }

    fn write(folder: &Path, secret: &str) {
        std::fs::write(folder.join("next"), secret).unwrap();
        std::fs::rename(folder.join("next"), folder.join("key")).unwrap();
    }

    fn sent(shown: &Own) -> String {
        let mut headers = HeaderMap::new();
        shown.apply(&mut headers);
        headers[http::header::AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_refusal_reads_the_source_at_once_and_the_request_is_sent_again() {
        for refusal in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            let bench = Bench::new("one");
            assert_eq!(bench.request(&["one"], refusal).await, (StatusCode::OK, vec!["one".into()]));
            bench.write("two");
            let expected = (StatusCode::OK, vec!["one".into(), "two".into()]);
            assert_eq!(bench.request(&["two"], refusal).await, expected);
            assert_eq!(bench.state(), "overlap");
            assert_eq!(bench.request(&["two"], refusal).await, (StatusCode::OK, vec!["two".into()]));
        }
    }

    #[tokio::test]
    async fn a_wrong_new_secret_costs_one_attempt_and_no_answer() {
        let bench = Bench::new("one");
        bench.write("wrong");
        bench.credential.rotate().await.unwrap();
        let expected = (StatusCode::OK, vec!["wrong".into(), "one".into()]);
        assert_eq!(bench.request(&["one"], StatusCode::UNAUTHORIZED).await, expected);
        assert_eq!(bench.state(), "aside");
        let expected = (StatusCode::OK, vec!["one".into()]);
        assert_eq!(bench.request(&["one"], StatusCode::UNAUTHORIZED).await, expected);
    }

    #[tokio::test]
    async fn a_part_of_the_upstream_that_lags_behind_is_shown_the_old_secret() {
        let bench = Bench::new("one");
        bench.write("two");
        bench.credential.rotate().await.unwrap();
        bench.request(&["two"], StatusCode::UNAUTHORIZED).await;
        let expected = (StatusCode::OK, vec!["two".into(), "one".into()]);
        assert_eq!(bench.request(&["one"], StatusCode::UNAUTHORIZED).await, expected);
        assert_eq!(sent(&bench.take()), "two", "it stays the current one");
    }

    #[tokio::test]
    async fn an_upstream_that_learns_of_the_new_secret_between_two_attempts_is_shown_it_again() {
        let bench = Bench::new("one");
        bench.write("two");
        bench.credential.rotate().await.unwrap();
        let mut first = bench.take();
        let mut second = first.judged(StatusCode::UNAUTHORIZED, Duration::ZERO).await.unwrap();
        let mut third = second.judged(StatusCode::FORBIDDEN, Duration::ZERO).await.unwrap();
        assert_eq!([sent(&first), sent(&second), sent(&third)], ["two", "one", "two"]);
        assert!(third.judged(StatusCode::OK, Duration::ZERO).await.is_none());
        assert_eq!((bench.state(), sent(&bench.take())), ("overlap", "two".into()));
    }

    #[tokio::test]
    async fn what_another_request_has_found_good_meanwhile_is_shown_again_too() {
        let bench = Bench::new("one");
        bench.write("two");
        bench.credential.rotate().await.unwrap();
        let mut first = bench.take();
        let mut second = first.judged(StatusCode::UNAUTHORIZED, Duration::ZERO).await.unwrap();
        // The upstream switches, and somebody else is the first to be told so.
        assert_eq!(bench.request(&["two"], StatusCode::FORBIDDEN).await.0, StatusCode::OK);
        assert_eq!(bench.state(), "overlap");
        let third = second.judged(StatusCode::FORBIDDEN, Duration::ZERO).await.unwrap();
        assert_eq!([sent(&first), sent(&second), sent(&third)], ["two", "one", "two"]);
    }

    #[tokio::test]
    async fn what_is_forbidden_to_every_version_says_nothing_of_any() {
        let bench = Bench::new("one");
        bench.write("two");
        bench.credential.rotate().await.unwrap();
        let expected = (StatusCode::FORBIDDEN, vec!["two".into(), "one".into(), "two".into()]);
        assert_eq!(bench.request(&[], StatusCode::FORBIDDEN).await, expected);
        assert_eq!(bench.state(), "trying");
        assert_eq!(sent(&bench.take()), "two", "the next request tries it again");
    }

    #[tokio::test]
    async fn with_nothing_else_in_hand_or_at_its_source_the_refusal_stands() {
        let bench = Bench::new("one");
        let expected = (StatusCode::UNAUTHORIZED, vec!["one".into()]);
        assert_eq!(bench.request(&[], StatusCode::UNAUTHORIZED).await, expected);
    }

    #[tokio::test]
    async fn a_request_without_an_answer_leaves_the_trial_to_another() {
        let bench = Bench::new("one");
        bench.write("two");
        bench.credential.rotate().await.unwrap();
        let tries = bench.take();
        assert_eq!((sent(&tries), sent(&bench.take())), ("two".into(), "one".into()));
        drop(tries);
        assert_eq!(sent(&bench.take()), "two");
    }

    #[tokio::test]
    async fn what_has_ended_is_waited_for_unless_its_source_is_known_to_fail() {
        let bench = Bench::new("one");
        let forget = || *bench.credential.rotation() = Rotation::new(Duration::from_secs(60));
        bench.write("two");
        forget();
        assert_eq!(sent(&bench.credential.take(Request::Once).await.unwrap()), "two");

        std::fs::remove_file(bench.folder.path().join("key")).unwrap();
        forget();
        assert!(bench.credential.take(Request::Once).await.unwrap_err().fault.is_some());
        bench.write("three");
        assert!(bench.credential.take(Request::Once).await.is_err(), "whoever keeps house reads it");
        bench.credential.rotate().await.unwrap();
        assert_eq!(sent(&bench.credential.take(Request::Once).await.unwrap()), "three");
    }

    #[tokio::test]
    async fn what_is_sent_once_is_judged_for_those_that_follow() {
        let bench = Bench::new("one");
        bench.write("two");
        let mut shown = bench.credential.in_hand(Request::Once).unwrap();
        assert_eq!(sent(&shown), "one");
        shown.judged_once(StatusCode::UNAUTHORIZED).await;
        // The reading has begun; whoever asks next joins it.
        bench.credential.rotate().await.unwrap();
        assert_eq!(sent(&bench.take()), "two");
    }
}
