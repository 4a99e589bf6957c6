//! The API gateway between an omnichannel retailer's Odoo and everyone who calls it.
pub mod credential;
pub mod admin;
pub mod contract;
pub mod diagnostic;
pub mod document;
pub mod policy;
mod edge;
pub mod quota;
pub mod telemetry;
pub mod identity;
pub mod units;
pub mod upstream;
