//! Which policies are written under a directory, and where does each stand?
//!
//! Reads the `*.cedar` files and parses them. This is the one file that takes offsets out of Cedar's
//! values and errors and turns them into places. It does not know what a policy may say.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{EntityUid, ParseErrors, Policy, PolicySet, Template};

use super::depth::{self, TooDeep};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// One policy as written.
pub(super) struct Written {
    pub(super) policy: Policy,
    pub(super) source: Source,
    pub(super) place: Place,
}

/// The file a policy stands in.
#[derive(Clone)]
pub(super) struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

/// Every policy under `directory`, by file and line. Mistakes go to `found`; what can be read is given.
pub(super) fn read(directory: &Path, found: &mut Diagnostics) -> Vec<Written> {
    let mut written: Vec<Written> = Vec::new();
    for path in files(directory, &["cedar"], found) {
        if let Some(source) = found.keep(Source::read(&path))
            && let Some(policies) = found.keep(source.parse())
        {
            written.extend(policies);
        }
    }
    if written.len() > POLICIES_MAX {
        let place = Place::file(&directory.display().to_string());
        found.push(Diagnostic::error(place, format!("holds more than {POLICIES_MAX} policies")));
        written.truncate(POLICIES_MAX);
    }
    written
}

/// The files below `directory` whose names end in one of `extensions`, in order. Names that begin with a dot are
/// left out: editors keep copies there, and so does Kubernetes behind a mounted `ConfigMap`.
pub(super) fn files(directory: &Path, extensions: &[&str], found: &mut Diagnostics) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(directory, extensions, 0, &mut files, found);
    files.sort();
    if files.len() > FILES_MAX {
        let place = Place::file(&directory.display().to_string());
        found.push(Diagnostic::error(place, format!("holds more than {FILES_MAX} files")));
        files.truncate(FILES_MAX);
    }
    files
}

fn walk(
    directory: &Path,
    extensions: &[&str],
    depth: usize,
    files: &mut Vec<PathBuf>,
    found: &mut Diagnostics,
) {
    let place = || Place::file(&directory.display().to_string());
    if depth > DEPTH_MAX {
        found.push(Diagnostic::error(place(), format!("is nested deeper than {DEPTH_MAX} directories")));
        return;
    }
    let entries = match std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(e) => {
            found.push(Diagnostic::error(place(), format!("cannot be read: {}", e.kind())));
            return;
        }
    };
    for path in entries.iter().map(std::fs::DirEntry::path) {
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            walk(&path, extensions, depth.saturating_add(1), files, found);
        } else if path.extension().is_some_and(|e| extensions.iter().any(|known| e == *known)) {
            files.push(path);
        }
    }
}

impl Source {
    fn read(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let fail = |message: String| Diagnostics::from(Diagnostic::error(Place::file(&name), message));
        let unreadable = |e: std::io::Error| fail(format!("cannot be read: {}", e.kind()));
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(fail(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok(Self { name: name.into(), text: text.into() })
    }

    fn parse(&self) -> Result<Vec<Written>, Diagnostics> {
        depth::check(&self.text).map_err(|TooDeep { at, what }| Diagnostic::error(self.place(at), what))?;
        let set = PolicySet::from_str(&self.text).map_err(|errors| self.told(&errors))?;
        let mut mistakes = Diagnostics::new();
        for template in set.templates() {
            mistakes.push(
                Diagnostic::error(
                    self.place(start_of_template(template)),
                    "is a template, which nothing fills",
                )
                .help("write the caller, group or contract in place of the `?` slot"),
            );
        }
        let mut policies: Vec<(usize, &Policy)> = set.policies().map(|p| (start_of(p), p)).collect();
        policies.sort_by_key(|(start, _)| *start);
        let written = policies.into_iter().map(|(start, policy)| Written {
            policy: policy.clone(),
            source: self.clone(),
            place: self.place(start),
        });
        mistakes.into_result(Some(written.collect())).map(|(written, _)| written)
    }

    fn told(&self, errors: &ParseErrors) -> Diagnostics {
        let mut mistakes = Diagnostics::new();
        for error in errors.iter() {
            mistakes.push(self.mistake(error, Diagnostic::error, ""));
        }
        mistakes
    }

    /// One of Cedar's own mistakes, at the place it names, without the `prefix` the place makes needless.
    pub(super) fn mistake(
        &self,
        mistake: &dyn miette::Diagnostic,
        weigh: fn(Place, String) -> Diagnostic,
        prefix: &str,
    ) -> Diagnostic {
        let at = offset(mistake).unwrap_or_default();
        let said = mistake.to_string();
        let told = weigh(self.place(at), said.strip_prefix(prefix).unwrap_or(&said).to_owned());
        match mistake.help().map(|help| help.to_string()) {
            // Only callers have facts, and Cedar's word for the one in hand is `e`.
            Some(help) => {
                told.help(help.strip_prefix(prefix).unwrap_or(&help).replace("`e has ", "`principal has "))
            }
            None => told,
        }
    }

    /// The place of a byte offset.
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(line_start..).unwrap_or_default().chars().count().saturating_add(1);
        Place::new(Arc::clone(&self.name), Arc::clone(&self.text), line, column)
    }
}

/// Where Cedar says a mistake is.
pub(super) fn offset(mistake: &dyn miette::Diagnostic) -> Option<usize> {
    mistake.labels()?.map(|label| label.offset()).min()
}

/// Where an entity literal stands, for literals that were parsed.
pub(super) fn start_of_literal(literal: &EntityUid) -> Option<usize> {
    literal.as_ref().loc().map(|loc| loc.span.offset())
}

/// Where an annotation stands: `@` and all.
pub(super) fn start_of_annotation(policy: &Policy, key: &str) -> Option<usize> {
    let (_, annotation) =
        policy.as_ref().annotations().find(|(name, _)| AsRef::<str>::as_ref(name) == key)?;
    annotation.loc.as_ref().map(|loc| loc.span.offset())
}

fn start_of(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |loc| loc.span.offset())
}

fn start_of_template(template: &Template) -> usize {
    template.as_ref().loc().map_or(0, |loc| loc.span.offset())
}

/// One file a team; a thousand teams are more than any retailer has.
const FILES_MAX: usize = 1_000;
/// Policies are written by hand: this is some ten thousand lines in one file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Each is checked against every operation it may meet, at every load.
const POLICIES_MAX: usize = 10_000;
/// `policies/<area>/<team>/`, and one to spare; it also ends a walk through a loop of links.
const DEPTH_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::retailer::*;
    use super::*;

    const POLICY: &str = "@id(\"p\") permit (principal is Caller, action, resource);";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        match load_files(files) {
            Ok((_, warnings)) => warnings.iter().map(short).collect(),
            Err(mistakes) => mistakes.iter().map(short).collect(),
        }
    }

    #[test]
    fn bad_syntax_is_told_with_its_place_in_each_file() {
        let told = found(&[
            ("a.cedar", "@id(\"a\")\npermit (principal is Caller, action, resource)\nwhen { 1 + };"),
            ("b.cedar", "@id(\"b\") permit (principal, acton, resource);"),
            ("c.cedar", POLICY),
        ]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("a.cedar:3:12: Error: unexpected token `}`"), "{told:?}");
        assert!(told[1].starts_with("b.cedar:1:29: Error: "), "{told:?}");
    }

    #[test]
    fn columns_count_characters_and_lines_both_endings() {
        let text = "// \u{e9}\r\n@description(\"\u{e9}\u{1f600}\") @id(\"B\") permit (principal is Caller, action, resource);";
        assert!(found(&[("a.cedar", text)])[0].starts_with("a.cedar:2:20: Error: `B` is not an id"));
    }

    #[test]
    fn a_template_is_refused() {
        let told = found(&[("a.cedar", "@id(\"a\") permit (principal == ?principal, action, resource);")]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("a.cedar:1:1: Error: is a template, which nothing fills"), "{told:?}");
    }

    #[test]
    fn only_cedar_files_count_and_hidden_ones_do_not() {
        let broken = "not cedar";
        let files = [
            ("p.cedar", POLICY),
            ("notes.md", broken),
            (".p.cedar", broken),
            ("..data/p.cedar", POLICY),
            ("tests/t.yaml", broken),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
    }

    #[test]
    fn files_in_folders_count_too() {
        let told = found(&[("team/area/p.cedar", "permit")]);
        assert!(told[0].starts_with("p.cedar:1:"), "{told:?}");
        let told = found(&[("a/b/c/d/p.cedar", POLICY)]);
        assert!(told[0].contains("is nested deeper than 3 directories"), "{told:?}");
    }

    #[test]
    fn an_empty_directory_is_a_warning_and_none_an_error() {
        assert!(found(&[])[0].contains("Warning: holds no policy, so everything is refused"));
        let gone = Path::new("/nowhere/policies");
        let Err(mistakes) = super::super::Policies::load(gone, &callers(), &operations(), &claims()) else {
            panic!()
        };
        assert_eq!(mistakes.to_string(), "/nowhere/policies:1:1: error: cannot be read: entity not found");
    }

    #[test]
    fn a_file_too_large_or_not_text_is_refused() {
        let large = format!("{POLICY}//{}", " ".repeat(1024 * 1024));
        assert!(found(&[("a.cedar", &large)])[0].contains("is larger than 1048576 bytes"));
        let directory = directory(&[]);
        std::fs::write(directory.path().join("a.cedar"), b"\xff\xfe").unwrap();
        let mut mistakes = Diagnostics::new();
        assert!(read(directory.path(), &mut mistakes).is_empty());
        assert!(mistakes.to_string().contains("cannot be read: invalid data"), "{mistakes}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_text_is_read_or_told_and_never_panics(text in "(@id\\(\"a\"\\)|permit|forbid|\\(|\\)|principal|action|when|\\{|\\}|;|\"|[a-z.\u{e9}]| |\n|==|in){0,24}") {
            let source = Source { name: "a".into(), text: text.into() };
            if let Err(mistakes) = source.parse() {
                prop_assert!(mistakes.has_errors());
            }
        }
    }
}
