//! The API gateway between an omnichannel retailer's Odoo and everyone who calls it.
pub mod diagnostic;
pub mod document;
pub mod policy;
pub mod units;
