//! What does a token say? RFC 7662, for clients that prove themselves.

use serde_json::{Value, json};

use super::Shared;
use super::token_endpoint::{authenticate, form_pairs};
use crate::http1::Received;

pub(super) fn answer(shared: &Shared, request: &Received) -> (u16, Value) {
    let form = form_pairs(&String::from_utf8_lossy(&request.body));
    if authenticate(shared, request, &form).is_none() {
        return (401, json!({"error": "invalid_client"}));
    }
    let tokens = shared.tokens.read().unwrap();
    let known = form.get("token").and_then(|token| tokens.get(token));
    (200, known.cloned().unwrap_or_else(|| json!({"active": false})))
}
