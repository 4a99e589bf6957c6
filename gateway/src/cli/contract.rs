//! `gateway contract`: what a change of a contract does, and what is live.

mod diff;

use std::process::ExitCode;

use clap::Subcommand;

/// Change contracts without breaking who calls them.
#[derive(Debug, Subcommand)]
pub(super) enum Contract {
    /// Say what differs between two contracts, and whom it breaks.
    Diff(diff::Diff),
}

impl Contract {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Diff(command) => command.run(),
        }
    }
}
