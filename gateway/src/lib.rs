//! The API gateway between an omnichannel retailer's Odoo and everyone who calls it.
//!
//! # The path
//! A connection is accepted by [`edge`], which judges the raw head of each request and hands it to
//! [`exchange`], THE PATH: choose the version, match the operation, identify the caller, authorise, admit, check the request,
//! call the upstream, check its answer, record, answer. Read that file first.
//!
//! # The rooms
//! | room | question | knows |
//! |---|---|---|
//! | [`contract`] | what is called | no other room |
//! | [`oauth`] | how the gateway is itself a client of an authorization server | no other room |
//! | [`revocation`] | which good proofs are worth nothing any more | no other room |
//! | [`identity`] | who calls | oauth, revocation |
//! | [`retirement`] | whether what is deprecated may still be called | identity, contract |
//! | [`policy`] | whether they may | identity, contract |
//! | [`quota`] | how often | identity, contract |
//! | [`credential`] | with what the upstream is asked | contract |
//! | [`upstream`] | where and how it is asked | contract, credential, keyring |
//! | [`keyring`] | which certificates, keys, roots and revocation lists are held, and until when | vault |
//! | [`vault`] | where the gateway's own secrets, certificates and signatures come from | no other room |
//! | [`audit`] | what happened | the values it records |
//! | [`usage`] | who still uses what | no other room |
//! | [`edge`] | how bytes become requests and answers bytes | Pingora |
//! | [`telemetry`], [`admin`] | what operators see | |
//!
//! [`config`] says what `gateway.yaml` means; [`snapshot`] puts the rooms together into one immutable
//! value that a request reads; [`reload`] swaps it; [`rejection`] gives every refusal its status and
//! [`problem`] its words; [`trail`] keeps what is known of a request for its record, [`handshake`] tells of what never became one; [`cli`] are the
//! commands.
//!
//! # What is never true
//! * A request reads two snapshots, or half of one.
//! * A room imports Pingora, a later room or a command (the `architecture` test holds the table).
//! * The upstream is called without a caller, a permit and a checked request: [`exchange`] cannot compile so.
//! * An answer leaves without its audit record.
//! * A file that does not load replaces one that did.
//! * A secret, a token or a personal value stands in a log, an error, a `Debug` or a record.
//! * Bytes from outside end the process: no `unwrap`, `expect`, `panic`, indexing or unchecked arithmetic.
//!
//! # Words
//! *Caller*: who, from `callers.yaml`. *Proof*: a token or a certificate. *Contract*: one version of one
//! API. *Operation*: `orders.v2.createOrder`. *Route*: an operation with what was resolved for it at load.
//! *Refuse*: the gateway says no. *Violation*: a place where a message breaks its contract. *Record*: one
//! line of the audit log.

pub mod admin;
pub mod audit;
mod backoff;
pub mod cli;
pub mod config;
pub mod contract;
pub mod credential;
pub mod diagnostic;
mod disk;
pub mod document;
pub mod drain;
pub mod edge;
pub mod exchange;
pub mod fetch;
pub mod gateway;
pub mod handshake;
pub mod identity;
pub mod keyring;
pub mod memory;
pub mod oauth;
pub mod orders;
pub mod policy;
pub mod problem;
pub mod quota;
pub mod rejection;
pub mod reload;
pub mod retirement;
pub mod revocation;
pub mod snapshot;
pub mod status;
pub mod telemetry;
pub mod trail;
pub mod units;
pub mod upkeep;
pub mod upstream;
pub mod usage;
pub mod vault;
