//! How do two numbers of JSON compare? Exactly where they are integers, as doubles otherwise.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::facts::Bound;

/// The order of two numbers; none if it cannot be told.
pub(super) fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Whether a number has no fraction: `1.0` is an integer since draft 6, and in OpenAPI.
pub(super) fn is_integer(number: &Number) -> bool {
    integer(number).is_some() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Whether two values are one in JSON Schema: `1` is `1.0`.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let member =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|own| equal(value, own));
            one.len() == other.len() && one.iter().all(member)
        }
        _ => one == other,
    }
}

/// A size as it is written: `3`, or `3.0`.
pub(super) fn size(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    number.as_u64().or_else(|| {
        let text = number.to_string();
        text.strip_suffix(".0")?.parse().ok()
    })
}

/// Whether `bound` leaves less over than `known`.
pub(super) fn is_narrower(bound: &Bound, known: &Bound, lower: bool) -> bool {
    match compare(&bound.value, &known.value) {
        Some(Ordering::Equal) => bound.exclusive && !known.exclusive,
        Some(Ordering::Greater) => lower,
        Some(Ordering::Less) => !lower,
        None => false,
    }
}

/// The same bound for integers alone, with the bound itself inside.
pub(super) fn inclusive(bound: &Bound, lower: bool) -> Bound {
    let Some(value) = integer(&bound.value).filter(|_| bound.exclusive) else { return bound.clone() };
    let next = if lower { value.checked_add(1) } else { value.checked_sub(1) };
    match next.and_then(|next| i64::try_from(next).ok()) {
        Some(next) => Bound { value: next.into(), exclusive: false, at: bound.at.clone() },
        None => bound.clone(),
    }
}

/// Whether every multiple of `of` is one of `divisor`, as far as integers and short fractions go.
pub(super) fn divides(divisor: &Number, of: &Number) -> bool {
    if divisor == of {
        return true;
    }
    match (integer(divisor), integer(of)) {
        (Some(divisor), Some(of)) => of.checked_rem(divisor) == Some(0),
        _ => {
            let (Some(divisor), Some(of)) = (scaled(divisor), scaled(of)) else { return false };
            of.checked_rem(divisor) == Some(0)
        }
    }
}

/// The number in billionths, if it is whole in them.
fn scaled(number: &Number) -> Option<i128> {
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if fraction.len() > PLACES || text.contains(['e', 'E']) {
        return None;
    }
    let digits = format!("{whole}{fraction:0<PLACES$}");
    digits.parse().ok()
}

const PLACES: usize = 9;
