//! `gateway contract publish`: may a contract be served from now on?

use clap::Args;

use super::{End, Record, Site, Unusable, print_findings, print_refused};
use crate::contract::publish::{Name, Outcome, Release, Revision, publish, short};

/// Arguments of `gateway contract publish`.
#[derive(Debug, Args)]
pub(in super::super) struct Publish {
    /// What to publish: API/VERSION, one or several.
    #[arg(required_unless_present = "all")]
    contracts: Vec<Name>,
    /// Publish every contract whose files are not the published ones.
    #[arg(long, conflicts_with = "contracts")]
    all: bool,
    /// Let a compatible revision take the place of a published version.
    #[arg(long)]
    revision: bool,
    /// Why a date that moves against callers, or comes too soon, hurts nobody.
    #[arg(long, value_name = "REASON")]
    unused_because: Option<String>,
    /// Why what may break callers does not.
    #[arg(long, value_name = "REASON")]
    accepted_because: Option<String>,
    #[command(flatten)]
    record: Record,
}

impl Publish {
    pub(super) fn run(self) -> Result<End, Unusable> {
        let site = Site::of(&self.record.settings);
        let mut wish = self.record.wish()?;
        wish.unused_because = self.unused_because;
        wish.accepted_because = self.accepted_because;
        if self.revision {
            wish.revision = Revision::Allow;
        }
        let names = if self.all { site.shelf.names()?.into_iter().collect() } else { self.contracts };
        let mut end = End::Well;
        for name in &names {
            match publish(&site.shelf, site.rules()?, name, &wish) {
                Ok(outcome) => print_outcome(name, &outcome, self.record.dry_run),
                Err(refused) => {
                    print_refused(&name.to_string(), &refused);
                    end = End::Ill;
                }
            }
        }
        Ok(end)
    }
}

fn print_outcome(name: &Name, outcome: &Outcome, dry_run: bool) {
    match outcome {
        Outcome::Same(Release { digest, published, .. }) => {
            say!("{name}: published already, as {} on {published}", short(digest));
        }
        Outcome::Published { release, findings } => {
            print_findings(findings);
            let done = if dry_run { "would be published" } else { "published" };
            say!("{name}: {done} as {}, by {}", short(&release.digest), release.author);
            for change in &release.changes {
                say!("    {change}");
            }
        }
    }
}
