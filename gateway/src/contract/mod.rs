//! What is called: the contracts, written in OpenAPI, and what they say about requests and responses.
//!
//! A [`Target`] is a path in its one spelling; [`Catalogue::choose`] finds the version that is meant, and
//! [`Chosen::find`] the [`Matched`] operation; [`Operation::check_request`] turns a request into a [`CheckedRequest`], and
//! [`Operation::check_response`] judges what comes back. Everything is compiled when the files load;
//! at request time nothing of a contract is parsed. The room knows no callers, policies or upstreams.
//!
//! [`Matched`] and [`CheckedRequest`] are proofs: nothing but this room can make one.
//!
//! ```compile_fail
//! let forged = gateway::contract::CheckedRequest { media_type: None, json: None, body: bytes::Bytes::new() };
//! ```

mod adapt;
mod assurance;
mod brownout;
mod catalogue;
mod choose;
mod coding;
mod content;
mod cookie;
mod cores;
pub mod diff;
mod direction;
mod field;
mod form;
mod format;
mod json;
mod keyword;
mod lifecycle;
pub mod lint;
mod load;
mod media;
mod multipart;
mod operation;
mod parameter;
mod percent;
pub mod publish;
mod request;
mod response;
mod route;
mod sampling;
mod schema;
mod schemas;
mod security;
mod settings;
mod shape;
mod source;
mod style;
mod target;
mod uses;
mod version;
mod violation;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tables;

pub use assurance::{SignIn, TokenBinding};
pub use brownout::{Brownout, POSITIONS};
pub use catalogue::{Catalogue, Chosen, Matched, NoMatch};
pub use choose::{NoVersion, VersionFault};
pub use field::{Field, FieldPlace};
pub use json::{ARRAY_ITEMS_MAX, DEPTH_MAX, OBJECT_KEYS_MAX};
pub use lifecycle::{DEPRECATION, Lifecycle, SUNSET};
pub use operation::{Contract, Operation};
pub use request::CheckedRequest;
pub use security::{Requirement, Scopes};
pub use settings::{
    Coding, Kind, KindSet, OperationLimit, Settings, Strength, Strictness, UnknownParameters,
    extension_schema,
};
pub use target::{PAIRS_MAX, TARGET_BYTES_MAX, Target, TargetError};
pub use uses::Used;
pub use version::{API_VERSION, Versioning};
pub use violation::{Location, RequestFault, ResponseFault, VIOLATIONS_MAX, Violation, Violations};
