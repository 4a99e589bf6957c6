//! `gateway contract`: what API owners do with contracts before and after they are served, and who still uses what.

mod counts;
mod diff;
mod lint;
mod list;
mod migration;
mod publish;
mod retire;
mod rollback;
mod usage;
mod users;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Format, Settings, today};
use crate::config::Outline;
use crate::contract::lint::{Finding, Findings, Rules};
use crate::contract::publish::{Effect, Objection, Refused, Revision, Shelf, Wish, short};
use crate::diagnostic::Diagnostics;

/// Look at contracts, change them without breaking who calls them, and see what is live.
#[derive(Debug, Subcommand)]
pub(super) enum Contract {
    /// Say what differs between two contracts, and whom it breaks.
    Diff(diff::Diff),
    /// Say who called what, how often, and when last.
    Usage(usage::Usage),
    /// Say what one caller still uses that is deprecated, what replaces it, and until when it can.
    Migration(migration::Migration),
    /// Hold contracts, or any OpenAPI document, against the rules of the security team.
    ///
    /// Exit code 0: they keep to them. 1: they do not. 2: they could not be looked at.
    Lint(lint::Lint),
    /// Record a contract in `published.lock`, so that the gateway serves it. What callers were promised is kept.
    ///
    /// Exit code 0: it is published. 1: something speaks against it, and nothing was changed. 2: it could not be
    /// looked at.
    Publish(publish::Publish),
    /// Serve an earlier release of a contract again.
    ///
    /// Exit code 0: it is recorded. 1: it cannot be, and nothing was changed. 2: it could not be looked at.
    Rollback(rollback::Rollback),
    /// Take a version out of service, once its sunset is over.
    ///
    /// Exit code 0: it is recorded. 1: it cannot be, and nothing was changed. 2: it could not be looked at.
    Retire(retire::Retire),
    /// What is live, since when, for how long.
    ///
    /// Exit code 0: everything is as it was published. 1: something is not. 2: it could not be looked at.
    List(list::List),
}

impl Contract {
    pub(super) fn run(self) -> ExitCode {
        let ended = match self {
            Self::Diff(command) => return command.run(),
            Self::Usage(command) => return printed(command.run()),
            Self::Migration(command) => return printed(command.run()),
            Self::Lint(command) => command.run(),
            Self::Publish(command) => command.run(),
            Self::Rollback(command) => command.run(),
            Self::Retire(command) => command.run(),
            Self::List(command) => command.run(),
        };
        match ended {
            Ok(End::Well) => ExitCode::SUCCESS,
            Ok(End::Ill) => ExitCode::FAILURE,
            Err(Unusable(why)) => {
                eprintln!("{why}");
                ExitCode::from(UNUSABLE)
            }
        }
    }
}

/// The exit code of a command that only tells something.
fn printed(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// How a command that did its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All is well.
    Well,
    /// All is not, as was said.
    Ill,
}

/// Why a command could not do its work.
struct Unusable(String);

impl From<Diagnostics> for Unusable {
    fn from(mistakes: Diagnostics) -> Self {
        Self(mistakes.to_string())
    }
}

impl End {
    const fn well_if(good: bool) -> Self {
        if good { Self::Well } else { Self::Ill }
    }
}

/// The files that commands about contracts need: as much of `gateway.yaml` as says where they are.
struct Site {
    shelf: Shelf,
    policies: PathBuf,
}

impl Site {
    /// Where `gateway.yaml` says, or the folders beside where it would be.
    fn of(settings: &Settings) -> Self {
        let Outline { policies, contracts, .. } = Outline::read(&settings.config);
        Self { shelf: Shelf::new(&contracts), policies }
    }

    fn rules(&self) -> Result<Rules, Unusable> {
        let (rules, warnings) = Rules::load(&self.policies, today())?;
        for warning in warnings.iter() {
            eprintln!("{warning}\n");
        }
        Ok(rules)
    }
}

/// Who asks for something to be recorded, and how far it goes.
#[derive(Debug, Args)]
struct Record {
    #[command(flatten)]
    settings: Settings,
    /// Who does this. Default: the name that git knows, or the user's.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Record {
    fn wish(&self) -> Result<Wish, Unusable> {
        let author = self.author.clone().or_else(author).filter(|author| !author.trim().is_empty());
        let author =
            author.ok_or_else(|| Unusable("nobody knows who you are; say --author NAME".to_owned()))?;
        Ok(Wish {
            author,
            // A record of days and people needs no fractions of seconds.
            now: Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH),
            revision: Revision::Refuse,
            unused_because: None,
            accepted_because: None,
            effect: if self.dry_run { Effect::Said } else { Effect::Done },
        })
    }
}

/// `Ada Example <ada@retailer.example>`, as git would write it, or the name of the user.
fn author() -> Option<String> {
    let git = |key: &str| {
        let output = Command::new("git").args(["config", "--get", key]).output().ok()?;
        let value = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !value.is_empty()).then_some(value)
    };
    match (git("user.name"), git("user.email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => std::env::var("USER").ok(),
    }
}

/// Prints findings as they are read: place, rule, what is wrong, what would mend it.
fn print_findings(findings: &Findings) {
    for Finding { rule, diagnostic, .. } in findings.shown() {
        let shown = diagnostic.to_string();
        match shown.split_once('\n') {
            Some((first, rest)) => say!("{first} ({rule})\n{rest}\n"),
            None => say!("{shown} ({rule})\n"),
        }
    }
}

/// Prints everything that speaks against what was asked for.
fn print_refused(what: &str, Refused(objections): &Refused) {
    say!("{what}: refused\n");
    for objection in objections {
        match objection {
            Objection::Files(mistakes) => {
                for mistake in mistakes.iter() {
                    say!("{mistake}\n");
                }
            }
            Objection::Rules(findings) => {
                print_findings(findings);
                if findings.hidden() > 0 {
                    say!("... and {} more: gateway contract lint\n", findings.hidden());
                }
            }
            Objection::Immutable { published, changes } => {
                say!(
                    "the version is published, as {} on {} by {}, and stays as it is",
                    short(&published.digest),
                    published.published,
                    published.author
                );
                say!(
                    "  help: publish what is different as another version, or, if it breaks nobody, say --revision\n"
                );
                say!("{changes}");
            }
            Objection::Breaks { version, changes } => {
                say!("callers of `{version}` would break, and it has the same major version");
                say!("  help: publish it under another major version, and let the callers move\n");
                say!("{changes}");
            }
            Objection::MayBreak { version, changes } => {
                say!("callers of `{version}` may break, or it could not be decided");
                say!("  help: look at each change; --accepted-because REASON says why none of them does\n");
                say!("{changes}");
            }
        }
    }
}

fn is_within(path: &Path, root: &Path) -> Option<PathBuf> {
    let (path, root) = (path.canonicalize().ok()?, root.canonicalize().ok()?);
    path.strip_prefix(root).ok().map(Path::to_owned)
}

/// The command line or the files it names cannot be understood, as clap ends too.
const UNUSABLE: u8 = 2;
