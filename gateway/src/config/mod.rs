//! What does the operator want? `gateway.yaml`, from what is written to what it means.
//!
//! `raw` is what may be written; [`Settings`] is what it means: no option is left for a default, every
//! file is read or found, and every mistake has its place. Only settings leave this room.

mod outline;
mod raw;
mod resolve;
mod settings;

pub use outline::Outline;
pub use resolve::{load, schema};
pub use settings::{ClientCrl, EdgeLimits, ListenerSettings, ListenerTlsSettings, Settings};
