//! How is a brown-out announced? In the header field `Brownout`, an Item of RFC 9651.
//!
//! `Brownout: @1803888000;until=@1803891600;name="orders.v1/first-hour"`: the date from which calls are
//! answered with 410, until when, and the name to ask the owner of the API about. It names the next
//! brown-out, or the one that takes place.

use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::contract::Brownout;

/// What a known caller is told: when it begins for it.
pub(super) fn to_one(brownout: &Brownout, begins: Timestamp) -> Option<HeaderValue> {
    field(brownout, begins, "")
}

/// What everybody is told who is not known yet: when it begins for the first, and for how many of them.
pub(super) fn to_all(brownout: &Brownout) -> Option<HeaderValue> {
    let share = match brownout.share_at_end() {
        100 => String::new(),
        share => format!(";share={share}"),
    };
    field(brownout, brownout.start(), &share)
}

fn field(brownout: &Brownout, begins: Timestamp, share: &str) -> Option<HeaderValue> {
    let (begins, until, name) = (begins.as_second(), brownout.end().as_second(), brownout.id());
    // RFC 9651 section 3.3.7: a Date is `@` and seconds since 1970. Names of brown-outs and operations are
    // graphic ASCII without quotes and backslashes, so they can stand in a String as they are.
    HeaderValue::try_from(format!("@{begins};until=@{until}{share};name=\"{name}\"")).ok()
}

/// Announces the next brown-out, on every answer of what is deprecated.
pub const BROWNOUT: HeaderName = HeaderName::from_static("brownout");
