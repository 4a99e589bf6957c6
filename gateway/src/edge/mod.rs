//! The Pingora side: how do bytes become requests, and answers bytes?
//!
//! Sockets, TLS, client certificates, raw heads, bodies and answers. It knows connections, not callers;
//! every request goes through [`crate::exchange`], which decides.

mod answer;
mod body;
mod client_address;
mod connection;
mod encrypted;
mod gathered;
mod head;
mod http1;
mod http2;
mod listener;
mod origin;
mod proxy_protocol;
mod streamed;
mod tls;
mod trust;

use std::sync::Arc;

use pingora::proxy::HttpProxy;

pub use answer::{Answer, write};
pub use body::{BodyFault, Buffered, Held, read};
pub use client_address::{TrustedHops, client_address};
pub use connection::{Connection, NotTrusted, Slots};
pub use head::{HeadClass, HeadFault, HeadLimits};
pub use listener::{Bound, listen};
pub use origin::origin;
pub use tls::ListenerTls;
pub use trust::ClientTrust;

use crate::gateway::Gateway;
use streamed::Phases;

/// What every connection needs.
#[derive(Clone)]
struct Edge {
    gateway: Arc<Gateway>,
    proxy: Arc<HttpProxy<Phases>>,
}
