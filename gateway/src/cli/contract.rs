//! `gateway contract`: what a change of a contract does, and who still uses what.

mod counts;
mod diff;
mod migration;
mod usage;
mod users;

use std::process::ExitCode;

use clap::Subcommand;

/// Change contracts without breaking who calls them.
#[derive(Debug, Subcommand)]
pub(super) enum Contract {
    /// Say what differs between two contracts, and whom it breaks.
    Diff(diff::Diff),
    /// Say who called what, how often, and when last.
    Usage(usage::Usage),
    /// Say what one caller still uses that is deprecated, what replaces it, and until when it can.
    Migration(migration::Migration),
}

impl Contract {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Diff(command) => command.run(),
            Self::Usage(command) => printed(command.run()),
            Self::Migration(command) => printed(command.run()),
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
