//! `gateway contract rollback`: which earlier release is served again?

use clap::Args;

use super::{End, Record, Site, Unusable, print_refused};
use crate::contract::publish::{self, Name, short};

/// Arguments of `gateway contract rollback`.
#[derive(Debug, Args)]
pub(in super::super) struct Rollback {
    /// What to roll back: API/VERSION.
    contract: Name,
    /// The digest of the release to serve, or how it begins. Default: the one before what is served now.
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    /// Let go of files that were never published.
    #[arg(long)]
    discard: bool,
    #[command(flatten)]
    record: Record,
}

impl Rollback {
    pub(super) fn run(self) -> Result<End, Unusable> {
        let site = Site::of(&self.record.settings);
        let unpublished = if self.discard { publish::Rollback::Discard } else { publish::Rollback::Keep };
        let wish = self.record.wish()?;
        let name = &self.contract;
        match publish::rollback(&site.shelf, name, self.to.as_deref(), unpublished, &wish) {
            Ok((release, replaced)) => {
                let done = if self.record.dry_run { "would be" } else { "is" };
                let (now, before) = (short(&release.digest), short(&replaced.digest));
                say!("{name}: {now} {done} what may be served, in the place of {before}");
                Ok(End::Well)
            }
            Err(refused) => {
                print_refused(&name.to_string(), &refused);
                Ok(End::Ill)
            }
        }
    }
}
