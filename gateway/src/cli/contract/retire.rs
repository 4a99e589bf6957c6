//! `gateway contract retire`: may a version go?

use clap::Args;

use super::{End, Record, Site, Unusable, print_refused};
use crate::contract::publish::{Name, retire};

/// Arguments of `gateway contract retire`.
#[derive(Debug, Args)]
pub(in super::super) struct Retire {
    /// What to take out of service: API/VERSION.
    contract: Name,
    /// Why that hurts nobody, although its sunset is not over.
    #[arg(long, value_name = "REASON")]
    unused_because: Option<String>,
    #[command(flatten)]
    record: Record,
}

impl Retire {
    pub(super) fn run(self) -> Result<End, Unusable> {
        let site = Site::of(&self.record.settings);
        let mut wish = self.record.wish()?;
        wish.unused_because = self.unused_because;
        let name = &self.contract;
        match retire(&site.shelf, name, &wish) {
            Ok(reason) => {
                let done = if self.record.dry_run { "would be" } else { "is" };
                say!("{name}: {done} retired, because {reason}");
                Ok(End::Well)
            }
            Err(refused) => {
                print_refused(&name.to_string(), &refused);
                Ok(End::Ill)
            }
        }
    }
}
