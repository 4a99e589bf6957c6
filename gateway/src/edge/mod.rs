//! What stands between the network and a request: the bytes of a head, and who sent them.

#[allow(dead_code, reason = "its caller is the listener")]
pub(crate) mod client_address;
#[allow(dead_code, unused_imports, reason = "its caller is the listener")]
pub(crate) mod head;
#[allow(dead_code, reason = "its caller is the listener")]
pub(crate) mod proxy_protocol;
