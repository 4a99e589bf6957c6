//! `gateway audit`: is the log whole, and what stands in it?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::Format;
use crate::audit::checkpoint::{Checkpoint, SigningKey, VerifierKey};
use crate::audit::{self, Expected, Found, Outcome, Query, Verified};

/// Prove that the audit log is whole, or look into it.
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Prove offline, with the public key alone, that nothing was changed, removed, added or moved.
    ///
    /// Exit code 0: everything is as it was written. 1: it is not, and the first place is named.
    Verify(Verify),
    /// Find records.
    Query(Ask),
    /// Print the public key of a signing key, for auditors.
    Key(Key),
}

/// Where the log is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The folder of the log.
    #[arg(long, short = 'd', value_name = "FOLDER", default_value = "audit")]
    directory: PathBuf,
}

/// Arguments of `gateway audit verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// The public key (`name+hash+base64`), or a file with it. Several when the key was changed.
    #[arg(long, short = 'k', value_name = "KEY", required = true)]
    key: Vec<String>,
    /// A checkpoint that was kept elsewhere: what it covers must still be there.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Accept a log that nothing signs yet, because it is younger than its first checkpoint.
    #[arg(long)]
    allow_unsigned: bool,
    /// The first entry that should be there, when older segments were archived.
    #[arg(long, default_value_t = 0)]
    first: u64,
}

/// Arguments of `gateway audit query`.
#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    place: Place,
    /// From this time on: 2026-11-01T10:00:00Z
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this time.
    #[arg(long)]
    until: Option<Timestamp>,
    /// Of this caller.
    #[arg(long)]
    caller: Option<String>,
    /// Of this operation: orders.v2.createOrder
    #[arg(long)]
    operation: Option<String>,
    /// Of this API: orders
    #[arg(long)]
    api: Option<String>,
    /// That ended so: allowed, refused, failed or abandoned.
    #[arg(long, value_parser = outcome)]
    decision: Option<Outcome>,
    /// That were answered with this status.
    #[arg(long)]
    status: Option<u16>,
    /// With this request id, as a problem's `instance` names it.
    #[arg(long)]
    request: Option<String>,
    /// At most so many.
    #[arg(long)]
    limit: Option<usize>,
    /// A table, or JSON lines.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Arguments of `gateway audit key`.
#[derive(Debug, Args)]
pub(super) struct Key {
    /// PEM file of the signing key (`audit.signing_key` in gateway.yaml).
    #[arg(long, value_name = "FILE", required_unless_present = "public_key")]
    signing_key: Option<PathBuf>,
    /// File of the public half of a key elsewhere (`audit.signing.public_key`).
    #[arg(long, value_name = "FILE", conflicts_with = "signing_key")]
    public_key: Option<PathBuf>,
    /// The name of the log (`audit.origin` in gateway.yaml).
    #[arg(long)]
    origin: String,
}

impl Audit {
    pub(super) fn run(self) -> ExitCode {
        let done = match self {
            Self::Verify(verify) => verify.run(),
            Self::Query(ask) => ask.run(),
            Self::Key(key) => key.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("{message}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Verify {
    fn run(self) -> Result<(), String> {
        let keys: Vec<VerifierKey> = self.key.iter().map(|key| verifier(key)).collect::<Result<_, _>>()?;
        let checkpoint = match &self.checkpoint {
            None => None,
            Some(file) => {
                let note = text(file)?;
                Some(Checkpoint::open(&note, &keys).map_err(|fault| format!("{}: {fault}", file.display()))?)
            }
        };
        let expected = Expected { first: self.first, checkpoint };
        let verified =
            audit::verify(&self.place.directory, &keys, &expected).map_err(|found| found.to_string())?;
        // Who can take every checkpoint away can rewrite every line: such a log proves nothing.
        let signed = verified.checkpoints > 0 || expected.checkpoint.is_some();
        if verified.records > 0 && !signed && !self.allow_unsigned {
            return Err(format!(
                "not proven: no checkpoint signs any of the {} records\n  help: a log signs itself every few \
                 seconds; if this one is older, its checkpoints were removed (--allow-unsigned if not)",
                verified.records
            ));
        }
        print_verified(&verified);
        Ok(())
    }
}

fn print_verified(verified: &Verified) {
    say!("ok: {} records in {} segments are as they were written", verified.records, verified.segments);
    say!("    entries      {}", verified.entries);
    say!("    root         {}", verified.root);
    say!("    checkpoints  {}", verified.checkpoints);
    if verified.unsigned > 0 {
        say!("    unsigned     {} at the end, which no checkpoint covers yet", verified.unsigned);
    }
    if verified.torn_bytes > 0 {
        say!("    unfinished   {} bytes of a line at the end", verified.torn_bytes);
    }
    if let Some(last) = &verified.last {
        say!("\nKeep this where the operators cannot change it, and expect it next time (--checkpoint):\n");
        say_as_is!("{}", last.note());
    }
}

impl Ask {
    fn run(self) -> Result<(), String> {
        let query = Query {
            since: self.since,
            until: self.until,
            caller: self.caller,
            operation: self.operation,
            api: self.api,
            outcome: self.decision,
            status: self.status,
            request_id: self.request.map(|id| id.trim_start_matches("urn:uuid:").to_owned()),
            limit: self.limit,
        };
        let found = audit::query(&self.place.directory, &query).map_err(|fault| fault.to_string())?;
        if self.format == Format::Text {
            say!("{HEADER}");
        }
        for one in found {
            let one = one.map_err(|fault| fault.to_string())?;
            match self.format {
                Format::Json => say!("{}", json(&one)?),
                Format::Text => say!("{}", row(&one)),
            }
        }
        Ok(())
    }
}

fn json(found: &Found) -> Result<String, String> {
    serde_json::to_string(&found.record).map_err(|fault| fault.to_string())
}

fn row(found: &Found) -> String {
    let record = &found.record;
    let caller = record.caller.as_ref().map_or("-", |caller| caller.id.as_str());
    let operation = record.call.operation.as_deref().unwrap_or("-");
    let status = record.answer.as_ref().map_or_else(|| "-".to_owned(), |answer| answer.status.to_string());
    let outcome = record.decision.outcome.as_str();
    let policies = record.decision.policies.join(",");
    let (time, reason) = (format!("{:.3}", record.time), &record.decision.reason);
    format!("{time:<25} {outcome:<9} {status:<6} {caller:<20} {operation:<26} {reason:<22} {policies}")
}

const HEADER: &str = "TIME                      DECISION  STATUS CALLER               OPERATION                  REASON                 POLICIES";

impl Key {
    fn run(self) -> Result<(), String> {
        let read = |file: &Path| std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()));
        let verifier = match (&self.signing_key, &self.public_key) {
            (Some(file), _) => {
                let pem = Zeroizing::new(read(file)?);
                SigningKey::from_pem(&self.origin, &pem).map(|key| key.verifier().clone())
            }
            (None, Some(file)) => VerifierKey::from_file(&self.origin, &read(file)?),
            // clap wants one of them.
            (None, None) => Err(audit::KeyError::PublicFile),
        };
        say!("{}", verifier.map_err(|fault| fault.to_string())?);
        Ok(())
    }
}

/// A key as it is written, or in a file.
fn verifier(key: &str) -> Result<VerifierKey, String> {
    let parse = |text: &str| text.trim().parse::<VerifierKey>().map_err(|fault| format!("{key}: {fault}"));
    let path = Path::new(key);
    if path.is_file() { parse(&text(path)?) } else { parse(key) }
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|fault| format!("{}: {fault}", path.display()))
}

fn outcome(word: &str) -> Result<Outcome, String> {
    serde_json::from_value(serde_json::Value::from(word))
        .map_err(|_unknown| "one of allowed, refused, failed, abandoned".to_owned())
}
