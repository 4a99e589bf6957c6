//! `gateway check`: is everything in the files as it should be?

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Format, Settings};
use crate::config::Outline;
use crate::contract::lint::Rules;
use crate::diagnostic::Diagnostics;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;

/// Read all files, run the policy tests, and say everything that is wrong with them.
///
/// Exit code 0: the gateway would serve these files. 1: it would not, or a policy test fails.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: Settings,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let mut found = Found::new(Snapshot::load(&self.settings.config, None, &Metrics::new()));
        found.rules(Rules::load(&Outline::read(&self.settings.config).policies, super::today()));
        match self.format {
            Format::Text => found.print_text(),
            Format::Json => found.print_json(),
        }
        if found.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// What the files turned out to be.
struct Found {
    diagnostics: Diagnostics,
    summary: Option<String>,
}

impl Found {
    fn new(loaded: Result<(Snapshot, Diagnostics), Diagnostics>) -> Self {
        match loaded {
            Err(diagnostics) => Self { diagnostics, summary: None },
            Ok((snapshot, diagnostics)) => Self { summary: Some(snapshot.summary()), diagnostics },
        }
    }

    /// The gateway serves without the rules for contracts, but nobody wants to find them broken when publishing.
    fn rules(&mut self, loaded: Result<(Rules, Diagnostics), Diagnostics>) {
        if let Some((_rules, warnings)) = self.diagnostics.keep(loaded) {
            self.diagnostics.extend(warnings);
        }
    }

    fn is_good(&self) -> bool {
        self.summary.is_some() && !self.diagnostics.has_errors()
    }

    fn print_text(&self) {
        for diagnostic in self.diagnostics.iter() {
            say!("{diagnostic}\n");
        }
        match &self.summary {
            Some(summary) if self.is_good() => say!("ok: {summary}"),
            _ => say!("{} of these keep the gateway from serving the files", self.errors()),
        }
    }

    fn print_json(&self) {
        let diagnostics: Vec<_> = self.diagnostics.iter().collect();
        say!("{:#}", json!({ "ok": self.is_good(), "summary": self.summary, "diagnostics": diagnostics }));
    }

    fn errors(&self) -> usize {
        let error = crate::diagnostic::Severity::Error;
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity() == error).count()
    }
}
