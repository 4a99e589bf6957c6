//! What is wrong in a file, where, and what would mend it?
//!
//! Every file the gateway reads reports through these types: all mistakes at once, each with file,
//! line, column and help. Nothing here knows which file means what.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Every mistake found in one reading, in the order of the files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

/// One mistake, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    place: Option<Place>,
    message: String,
    help: Option<String>,
}

/// Whether the file may be used in spite of the mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing that contains this is ever served.
    Error,
    /// Served, and worth a look.
    Warning,
}

/// A place in a file: `policies/callers.yaml:14:7`. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<str>,
    line: usize,
    column: usize,
    text: Arc<str>,
}

impl Place {
    /// A place in `file`, whose whole text is `text` (shared, so that the line can be shown).
    #[must_use]
    pub fn new(file: Arc<str>, text: Arc<str>, line: usize, column: usize) -> Self {
        Self { file, line, column, text }
    }

    /// The file as a whole, for mistakes that have no line of their own.
    #[must_use]
    pub fn file(file: &str) -> Self {
        Self { file: file.into(), line: 1, column: 1, text: "".into() }
    }

    /// The file's name as it was given to the loader.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// The same place without its line's text, which may be what nobody must read.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { text: "".into(), ..self }
    }

    fn source_line(&self) -> Option<&str> {
        self.text.lines().nth(self.line.saturating_sub(1)).filter(|line| !line.trim().is_empty())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Diagnostic {
    /// A mistake that keeps the file from being used. One lower-case sentence, input in backticks.
    #[must_use]
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: Some(place), message: message.into(), help: None }
    }

    /// Something worth a look that does not keep the file from being used.
    #[must_use]
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: Some(place), message: message.into(), help: None }
    }

    /// The same with a sentence that says what would mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with "did you mean" when a candidate is near `word`, else the list of candidates.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: Vec<&str> = candidates.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        match nearest(word, &known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => {
                let more = known.len().saturating_sub(LISTED_MAX);
                let listed: Vec<String> = known.iter().take(LISTED_MAX).map(|k| format!("`{k}`")).collect();
                let tail = if more == 0 { String::new() } else { format!(" and {more} more") };
                self.help(format!("known here: {}{tail}", listed.join(", ")))
            }
        }
    }

    fn sort_key(&self) -> (Option<&str>, usize, usize) {
        let place = self.place.as_ref();
        (place.map(Place::file_name), place.map_or(0, Place::line), place.map_or(0, Place::column))
    }

    fn repeat_key(&self) -> (Option<Arc<str>>, String) {
        (self.place.as_ref().map(|place| Arc::clone(&place.file)), self.message.clone())
    }

    /// Error or warning.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Where, if the mistake has a place.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The sentence, without place and help.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would mend it.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{severity}: {}", self.message)?;
        if let Some((place, line)) = self.place.as_ref().and_then(|p| Some((p, p.source_line()?))) {
            let margin = place.line.to_string();
            let shown: String = line.chars().take(SHOWN_COLUMNS_MAX).collect();
            let indent = place.column.saturating_sub(1).min(SHOWN_COLUMNS_MAX);
            write!(f, "\n  {margin} | {shown}\n  {} | {}^", " ".repeat(margin.len()), " ".repeat(indent))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Diagnostic", 6)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("file", &self.place.as_ref().map(Place::file_name))?;
        out.serialize_field("line", &self.place.as_ref().map(Place::line))?;
        out.serialize_field("column", &self.place.as_ref().map(Place::column))?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("help", &self.help)?;
        out.end()
    }
}

impl Diagnostics {
    /// No mistakes yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another reading.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether anything here keeps the files from being used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether there is nothing to say at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// In the order of files and lines, each at most once at its place, and each warning that repeats only once in its file: the first tells
    /// how many more there are.
    #[must_use]
    pub fn summed_up(self) -> Self {
        let mut all = self.0;
        all.sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
        // What many operations share is found once for each of them.
        let mut found = HashSet::new();
        all.retain(|told| {
            let place = told.place().map(|place| (place.line, place.column));
            found.insert((told.repeat_key(), place))
        });
        let mut repeated: HashMap<(Option<Arc<str>>, String), usize> = HashMap::new();
        for warning in all.iter().filter(|told| told.severity == Severity::Warning) {
            let count = repeated.entry(warning.repeat_key()).or_default();
            *count = count.saturating_add(1);
        }
        all.retain_mut(|told| {
            // Whoever comes first takes the count with it.
            let count = match told.severity {
                Severity::Error => Some(1),
                Severity::Warning => repeated.remove(&told.repeat_key()),
            };
            if let Some(more) = count.and_then(|count| count.checked_sub(1)).filter(|more| *more > 0) {
                told.message = format!("{} (and at {more} more places)", told.message);
            }
            count.is_some()
        });
        Self(all)
    }

    /// Keeps the value of `result`, or keeps its mistakes and gives nothing.
    pub fn keep<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(mistakes) => {
                self.extend(mistakes);
                None
            }
        }
    }

    /// The value if no error was found on the way, else everything that was found.
    ///
    /// # Errors
    /// All the mistakes, when at least one of them is an error or there is no value.
    pub fn into_result<T>(self, value: Option<T>) -> Result<(T, Self), Self> {
        match value {
            Some(value) if !self.has_errors() => Ok((value, self)),
            _ => Err(self),
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, diagnostic) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate a person most likely meant: near in spelling, and nearer than any other.
fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // A third of the word may be wrong; beyond that the suggestion is noise.
    let tolerance = (word.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many known names a help line lists before it only counts them.
const LISTED_MAX: usize = 8;
/// How much of a source line is shown.
const SHOWN_COLUMNS_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::new("a.yaml".into(), "kind: partner\nplann: x\n".into(), 2, 1)
    }

    #[test]
    fn a_warning_that_repeats_is_told_once_with_their_number() {
        let at = |file: &str, line| Place::new(file.into(), "".into(), line, 1);
        let all = Diagnostics(vec![
            Diagnostic::warning(at("b", 9), "odd"),
            Diagnostic::error(at("b", 2), "bad"),
            Diagnostic::warning(at("b", 4), "odd"),
            Diagnostic::error(at("b", 3), "bad"),
            Diagnostic::warning(at("a", 7), "odd"),
            Diagnostic::warning(at("b", 5), "odd"),
            Diagnostic::warning(at("b", 1), "other"),
        ]);
        let told: Vec<String> = all.summed_up().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "a:7:1: warning: odd",
                "b:1:1: warning: other",
                "b:2:1: error: bad",
                "b:3:1: error: bad",
                "b:4:1: warning: odd (and at 2 more places)",
            ]
        );
    }

    #[test]
    fn a_diagnostic_shows_place_line_caret_and_help() {
        let shown = Diagnostic::error(place(), "unknown key `plann`")
            .did_you_mean("plann", ["plan", "kind"])
            .to_string();
        assert_eq!(
            shown,
            "a.yaml:2:1: error: unknown key `plann`\n  2 | plann: x\n    | ^\n  help: did you mean `plan`?"
        );
    }

    #[test]
    fn a_word_far_from_all_candidates_lists_them() {
        let diagnostic = Diagnostic::error(place(), "x").did_you_mean("zzzzzz", ["plan", "kind"]);
        assert_eq!(diagnostic.help_text(), Some("known here: `kind`, `plan`"));
    }

    #[test]
    fn a_warning_alone_does_not_keep_the_value_back() {
        let diagnostics = Diagnostics::from(Diagnostic::warning(place(), "x"));
        assert!(diagnostics.into_result(Some(1)).is_ok());
    }

    #[test]
    fn json_names_the_place() {
        let json = serde_json::to_value(Diagnostic::error(place(), "x")).unwrap();
        assert_eq!(json["line"], 2);
        assert_eq!(json["file"], "a.yaml");
    }
}
