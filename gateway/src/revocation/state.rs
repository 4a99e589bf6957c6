//! Where do orders live over a restart? In one file that is written whole or not at all.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::Ordered;
use crate::disk::{self, Readers};
use crate::document::unique;

/// The file, as it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    revocations: Vec<Ordered>,
}

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateFault {
    /// By the system's word.
    #[error("{} cannot be read or written", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{} does not hold revocations as this version writes them; put a copy back, or mend it", file.display())]
    Form {
        /// The file.
        file: PathBuf,
    },
}

/// What the file holds; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Vec<Ordered>, StateFault> {
    let io = |source| StateFault::Io { file: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(other) => return Err(io(other)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    // A list that is cut off or has a name twice is no list.
    let whole = unique::object(&bytes).map(serde_json::Value::Object);
    let state: Option<State> = whole.and_then(|whole| serde_json::from_value(whole).ok());
    match state {
        Some(State { version: VERSION, revocations }) => Ok(revocations),
        Some(_) | None => Err(StateFault::Form { file: path.to_owned() }),
    }
}

/// Puts `ordered` into the file: when this returns, a power cut takes nothing back.
pub(super) fn write(path: &Path, ordered: &[Ordered]) -> Result<(), StateFault> {
    let io = |source| StateFault::Io { file: path.to_owned(), source };
    let state = State { version: VERSION, revocations: ordered.to_vec() };
    let text = serde_json::to_vec_pretty(&state).map_err(|fault| io(fault.into()))?;
    // Subjects may be personal: for the gateway's own eyes.
    disk::replace(path, &text, Readers::Owner).map_err(io)
}

const VERSION: u32 = 1;
/// Twice what the most entries with the longest names take.
const BYTES_MAX: u64 = 64 << 20;
