//! What a provider says about its own limits: `Retry-After` and its kin.

use jiff::{SignedDuration, Timestamp};

use crate::evidence::Answer;

/// How long the provider asks us to stay away (RFC 9110 §10.2.3).
pub fn retry_after(answer: &Answer<'_>, now: Timestamp) -> Option<SignedDuration> {
    let value = std::str::from_utf8(answer.field("retry-after")?).ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(SignedDuration::from_secs(i64::from(seconds)));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(at.duration_since(now).max(SignedDuration::ZERO))
}
