//! Which records answer an auditor's question?
//!
//! Reads the segments in order, one line at a time. It proves nothing: that is `verify`'s task.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::error::AuditError;
use super::record::{Outcome, Record};
use super::segment::{self, Header, Line, LineReader, Part};

/// What is asked. What is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Requests at this time or later.
    pub since: Option<Timestamp>,
    /// Requests before this time.
    pub until: Option<Timestamp>,
    /// The caller's id.
    pub caller: Option<String>,
    /// The operation's full name.
    pub operation: Option<String>,
    /// The api.
    pub api: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The status that was answered.
    pub status: Option<u16>,
    /// The request's id.
    pub request_id: Option<String>,
    /// No more than so many.
    pub limit: Option<usize>,
}

/// A record, and which entry of the log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The index of the entry.
    pub index: u64,
    /// The record.
    pub record: Record,
}

/// The records that answer `query`, oldest first. A line that is no record is told, and does not end
/// the reading; an unfinished line at the end of the log is left out.
///
/// # Errors
/// The directory cannot be read.
pub fn query(
    directory: &Path,
    query: &Query,
) -> Result<impl Iterator<Item = Result<Found, AuditError>>, AuditError> {
    let segments = relevant(directory, query)?;
    let records = Records { directory: directory.to_owned(), segments, open: None };
    let asked = query.clone();
    let found = records.filter(move |found| found.as_ref().map_or(true, |found| asked.holds(&found.record)));
    Ok(found.take(query.limit.unwrap_or(usize::MAX)))
}

impl Query {
    fn holds(&self, record: &Record) -> bool {
        let Self { since, until, caller, operation, api, outcome, status, request_id, limit: _ } = self;
        fn is<T: PartialEq + ?Sized>(asked: Option<&T>, found: Option<&T>) -> bool {
            asked.is_none() || asked == found
        }
        let call = &record.call;
        since.is_none_or(|since| record.time >= since)
            && until.is_none_or(|until| record.time < until)
            && is(caller.as_ref(), record.caller.as_ref().map(|caller| &caller.id))
            && is(operation.as_ref(), call.operation.as_ref())
            && is(api.as_ref(), call.api.as_ref())
            && is(outcome.as_ref(), Some(&record.decision.outcome))
            && is(status.as_ref(), record.answer.as_ref().map(|answer| &answer.status))
            && is(request_id.as_ref(), Some(&record.request_id))
    }
}

/// The segments that can hold records of the time asked for.
fn relevant(directory: &Path, query: &Query) -> Result<VecDeque<u64>, AuditError> {
    let mut segments: VecDeque<(u64, Option<Timestamp>)> = VecDeque::new();
    for first in segment::list(directory)? {
        segments.push_back((first, opened(directory, first)?));
    }
    // A record stands where it was written, which is after its request began, by no more than a
    // request can last.
    let too_late = |opened: Timestamp| {
        let latest = query.until.and_then(|until| until.checked_add(REQUEST_DURATION_MAX).ok());
        latest.is_some_and(|latest| opened > latest)
    };
    let too_early = |next_opened: Timestamp| query.since.is_some_and(|since| next_opened < since);
    let next_opened = segments.iter().skip(1).map(|(_, opened)| *opened).chain([None]);
    let wanted = segments.iter().zip(next_opened).filter(|((_, opened), next_opened)| {
        !opened.is_some_and(too_late) && !next_opened.is_some_and(too_early)
    });
    Ok(wanted.map(|((first, _), _)| *first).collect())
}

/// When a segment was begun, if its header tells.
fn opened(directory: &Path, first: u64) -> Result<Option<Timestamp>, AuditError> {
    let Some(file) = lines(directory, first)? else { return Ok(None) };
    Ok(match LineReader::at(file, 0)?.next()? {
        Line::Whole(line) => Header::read(line).map(|header| header.opened),
        Line::Torn(_) | Line::TooLong | Line::End => None,
    })
}

/// The lines of a segment, unless only its checkpoints are there.
fn lines(directory: &Path, first: u64) -> Result<Option<File>, AuditError> {
    match File::open(Part::Lines.path(directory, first)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All records of some segments.
struct Records {
    directory: PathBuf,
    segments: VecDeque<u64>,
    open: Option<(u64, LineReader<File>)>,
}

impl Iterator for Records {
    type Item = Result<Found, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_of_segment() {
                Ok(Some(found)) => return Some(Ok(found)),
                Ok(None) => match self.enter(self.segments.front().copied()?) {
                    Ok(()) => self.segments.pop_front(),
                    Err(error) => {
                        self.segments.clear();
                        return Some(Err(error));
                    }
                },
                Err(error) => return Some(Err(error)),
            };
        }
    }
}

impl Records {
    fn enter(&mut self, first: u64) -> Result<(), AuditError> {
        self.open = match lines(&self.directory, first)? {
            Some(file) => Some((first, LineReader::at(file, 0)?)),
            None => None,
        };
        Ok(())
    }

    fn next_of_segment(&mut self) -> Result<Option<Found>, AuditError> {
        while let Some((first, reader)) = &mut self.open {
            let number = reader.number();
            let misshapen = || AuditError::Form {
                file: Part::Lines.path(&self.directory, *first),
                line: number.saturating_add(1),
            };
            match reader.next() {
                // The header.
                Ok(Line::Whole(_)) if number == 0 => {}
                Ok(Line::Whole(line)) => {
                    let record = serde_json::from_slice(line).map_err(|_not_a_record| misshapen())?;
                    return Ok(Some(Found { index: first.saturating_add(number), record }));
                }
                Ok(Line::Torn(_) | Line::End) => self.open = None,
                Ok(Line::TooLong) => {
                    let error = misshapen();
                    self.open = None;
                    return Err(error);
                }
                Err(error) => {
                    self.open = None;
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }
}

/// Longer than any deadline: a streamed operation may last this long.
const REQUEST_DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use crate::audit::disk::Disk;
    use crate::audit::journal::Journal;
    use crate::audit::record::CallerPart;
    use crate::audit::samples::{record, shape, time};

    fn varied(n: u64) -> Record {
        let mut record = record(n);
        record.caller = (!n.is_multiple_of(3)).then(|| CallerPart {
            id: if n.is_multiple_of(2) { "nordwind".into() } else { "suedsee".into() },
            kind: "partner".into(),
            how: "token".into(),
            token_id: None,
            issuer: None,
            bound: None,
            actor: None,
            actors: Vec::new(),
            may_act: None,
            certificate_sha256: None,
        });
        record.call.api = Some(if n < 10 { "orders".into() } else { "stock".into() });
        if n.is_multiple_of(5) {
            record.decision.outcome = Outcome::Refused;
            record.answer.as_mut().unwrap().status = 403;
        }
        if n == 7 {
            record.answer = None;
            record.decision.outcome = Outcome::Abandoned;
        }
        record
    }

    /// Twenty records in several segments, one a second.
    fn log(directory: &Path) {
        let mut shape = shape(directory);
        shape.segment_bytes_max = 2_000;
        let mut journal = Journal::open(shape, Disk::default()).unwrap();
        for n in 0..20 {
            let line = serde_json::to_vec(&varied(n)).unwrap();
            journal.commit(std::iter::once(line.as_slice()), time(n)).unwrap();
        }
        assert!(segment::list(directory).unwrap().len() > 3);
    }

    fn ask(directory: &Path, asked: &Query) -> Vec<u64> {
        let found = query(directory, asked).unwrap();
        found.map(|found| found.unwrap().record.request_id[2..].parse().unwrap()).collect()
    }

    #[test]
    fn each_question_is_answered_with_the_records_that_hold() {
        let directory = tempfile::tempdir().unwrap();
        log(directory.path());
        let check = |asked: Query, expected: &dyn Fn(u64) -> bool| {
            let expected: Vec<u64> = (0..20).filter(|n| expected(*n)).collect();
            assert_eq!(ask(directory.path(), &asked), expected, "{asked:?}");
        };
        let all = Query::default;
        check(all(), &|_| true);
        check(Query { since: Some(time(5)), ..all() }, &|n| n >= 5);
        check(Query { until: Some(time(5)), ..all() }, &|n| n < 5);
        check(Query { since: Some(time(5)), until: Some(time(9)), ..all() }, &|n| (5..9).contains(&n));
        check(Query { caller: Some("nordwind".into()), ..all() }, &|n| n % 3 != 0 && n % 2 == 0);
        check(Query { operation: Some("orders.v2.getOrder".into()), ..all() }, &|_| true);
        check(Query { operation: Some("orders.v2.deleteOrder".into()), ..all() }, &|_| false);
        check(Query { api: Some("stock".into()), ..all() }, &|n| n >= 10);
        check(Query { outcome: Some(Outcome::Refused), ..all() }, &|n| n % 5 == 0);
        check(Query { outcome: Some(Outcome::Abandoned), ..all() }, &|n| n == 7);
        check(Query { status: Some(403), ..all() }, &|n| n % 5 == 0);
        check(Query { status: Some(200), ..all() }, &|n| n % 5 != 0 && n != 7);
        check(Query { request_id: Some("r-11".into()), ..all() }, &|n| n == 11);
        check(Query { limit: Some(3), since: Some(time(5)), ..all() }, &|n| (5..8).contains(&n));
        check(Query { limit: Some(0), ..all() }, &|_| false);
        check(Query { status: Some(403), caller: Some("nordwind".into()), ..all() }, &|n| n == 10);
    }

    #[test]
    fn a_segment_out_of_the_time_asked_for_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        log(directory.path());
        let asked = Query { since: Some(time(19)), ..Query::default() };
        let all = segment::list(directory.path()).unwrap().len();
        assert!(relevant(directory.path(), &asked).unwrap().len() < all);
        let before = time(0) - Duration::from_secs(48 * 60 * 60);
        let asked = Query { until: Some(before), ..Query::default() };
        assert!(relevant(directory.path(), &asked).unwrap().is_empty());
    }

    #[test]
    fn an_index_names_the_entry_of_the_log() {
        let directory = tempfile::tempdir().unwrap();
        log(directory.path());
        let found: Vec<Found> =
            query(directory.path(), &Query::default()).unwrap().map(Result::unwrap).collect();
        let firsts = segment::list(directory.path()).unwrap();
        assert!(found.iter().all(|found| !firsts.contains(&found.index)));
        assert!(found.is_sorted_by_key(|found| found.index));
        assert_eq!(found.last().unwrap().index, 19 + firsts.len() as u64);
    }

    #[test]
    fn a_line_that_is_no_record_is_told_and_the_others_are_read() {
        let directory = tempfile::tempdir().unwrap();
        log(directory.path());
        let path = Part::Lines.path(directory.path(), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("{\"time\"", "{\"tame\"", 1)).unwrap();
        let found: Vec<_> = query(directory.path(), &Query::default()).unwrap().collect();
        assert_eq!(found.len(), 20);
        assert!(matches!(&found[0], Err(AuditError::Form { line: 2, .. })));
        assert!(found[1..].iter().all(Result::is_ok));
    }

    #[test]
    fn an_unfinished_last_line_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        log(directory.path());
        let last = *segment::list(directory.path()).unwrap().last().unwrap();
        let path = Part::Lines.path(directory.path(), last);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 20]).unwrap();
        assert_eq!(ask(directory.path(), &Query::default()), (0..19).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_directory_has_no_records_and_a_missing_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(ask(directory.path(), &Query::default()).is_empty());
        assert!(query(&directory.path().join("none"), &Query::default()).is_err());
    }
}
