//! How is the gateway itself a client of an authorization server?
//!
//! A [`Server`] is asked for tokens of the gateway's own (RFC 6749 section 4.4), for tokens in place of a
//! caller's (RFC 8693), and what an opaque token says (RFC 7662). [`Discovery`] finds where. The crate
//! `oauth2` writes the requests; the answers are read here, because they come from outside: one JSON object
//! in which no name stands twice, and never more than it takes. Whose tokens they are is not known here.

mod answer;
mod assertion;
mod client;
mod discovery;
mod fault;
mod question;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use answer::{Granted, Introspection};
pub use client::{ClientAuthentication, ClientSettings, Later, ReadSecret, Taken, Verdict};
pub use discovery::{Discovery, WellKnown};
pub use fault::{OauthFault, ServerMistake};
pub use question::{AnswerForm, Exchange};
pub use server::{Endpoints, Server, ServerSettings};
