//! Who is named in a token beside its subject: its client, and who acts?
//!
//! Two claims that name the client must name the same one, and who acts must be who may. What they may do is
//! not known here.

use serde_json::{Map, Value};

use super::fault::TokenFault;
use super::verified::Actor;

/// OpenID Connect Core section 2 and RFC 9068 section 2.2: `azp` and `client_id` both name the client. A token in
/// which they differ reads as another client's to whoever reads the other.
pub(super) fn check_client(claims: &Map<String, Value>) -> Result<(), TokenFault> {
    match (claims.get("client_id"), claims.get("azp")) {
        (Some(client), Some(party)) if client != party => Err(TokenFault::Clients),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Who acts for the subject (RFC 8693 section 4.1), if somebody does; and who may (section 4.4), if the token says
/// so. Who acts must be who may.
pub(super) fn actors(claims: &Map<String, Value>) -> Result<(Option<Actor>, Option<Actor>), TokenFault> {
    let acting = claims.get("act").map(|act| actor(act, ACTORS_MAX)).transpose()?;
    let Some(may_act) = claims.get("may_act") else { return Ok((acting, None)) };
    let wrong = TokenFault::ClaimForm("may_act");
    let members = may_act.as_object().ok_or(wrong)?;
    let subject = text(members, "sub").or(Err(wrong))?.ok_or(wrong)?;
    let issuer = text(members, "iss").or(Err(wrong))?;
    let is_who_may = |actor: &Actor| actor.subject == subject && (issuer.is_none() || actor.issuer == issuer);
    if !acting.as_ref().is_none_or(is_who_may) {
        return Err(TokenFault::Actor);
    }
    Ok((acting, Some(Actor { subject, issuer, before: None })))
}

/// The actor is an object; who acted before it is nested in it.
fn actor(act: &Value, left: usize) -> Result<Actor, TokenFault> {
    let wrong = TokenFault::ClaimForm("act");
    let (Some(members), Some(left)) = (act.as_object(), left.checked_sub(1)) else { return Err(wrong) };
    Ok(Actor {
        subject: text(members, "sub").or(Err(wrong))?.ok_or(wrong)?,
        issuer: text(members, "iss").or(Err(wrong))?,
        before: members.get("act").map(|before| actor(before, left).map(Box::new)).transpose()?,
    })
}

/// A claim that names somebody or something: a string that is not empty.
pub(super) fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(TokenFault::ClaimForm(name)),
    }
}

/// A chain of exchanges longer than this is nobody's design.
pub(super) const ACTORS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(claims: Value) -> Result<(Option<String>, Option<String>), TokenFault> {
        let Value::Object(claims) = claims else { panic!("an object") };
        let name = |actor: Option<Actor>| actor.map(|actor| actor.subject);
        actors(&claims).map(|(actor, may_act)| (name(actor), name(may_act)))
    }

    #[test]
    fn who_acts_must_be_who_may() {
        let (bot, other) = (json!({"sub": "bot", "iss": "i"}), json!({"sub": "other"}));
        let acting = || Some("bot".to_owned());
        for (claims, expected) in [
            (json!({}), Ok((None, None))),
            (json!({"act": bot}), Ok((acting(), None))),
            (json!({"may_act": bot}), Ok((None, acting()))),
            (json!({"act": bot, "may_act": bot}), Ok((acting(), acting()))),
            (json!({"act": bot, "may_act": {"sub": "bot"}}), Ok((acting(), acting()))),
            (json!({"act": {"sub": "bot"}, "may_act": bot}), Err(TokenFault::Actor)),
            (json!({"act": other, "may_act": bot}), Err(TokenFault::Actor)),
            // Who acted before does not act now.
            (json!({"act": {"sub": "other", "act": bot}, "may_act": bot}), Err(TokenFault::Actor)),
            (json!({"may_act": "bot"}), Err(TokenFault::ClaimForm("may_act"))),
            (json!({"may_act": {}}), Err(TokenFault::ClaimForm("may_act"))),
            (json!({"may_act": {"sub": ["bot"]}}), Err(TokenFault::ClaimForm("may_act"))),
        ] {
            assert_eq!(read(claims.clone()), expected, "{claims}");
        }
    }

    #[test]
    fn two_claims_name_one_client() {
        for (claims, expected) in [
            (json!({"client_id": "a"}), Ok(())),
            (json!({"azp": "a"}), Ok(())),
            (json!({"client_id": "a", "azp": "a"}), Ok(())),
            (json!({"client_id": "a", "azp": "b"}), Err(TokenFault::Clients)),
            (json!({"client_id": "a", "azp": ["a"]}), Err(TokenFault::Clients)),
        ] {
            assert_eq!(check_client(claims.as_object().unwrap()), expected, "{claims}");
        }
    }
}
