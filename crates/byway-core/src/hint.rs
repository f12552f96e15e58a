//! What a provider says about its own limits: `Retry-After` and its kin.
//!
//! `Retry-After` is obeyed, within bounds that others set. An [`Allowance`] is shown to people and
//! obeyed by nobody: its fields have as many meanings as authors.

mod date;

use jiff::{SignedDuration, Timestamp};

use crate::evidence::Answer;

/// No hint reaches further: what asks for more is a mistake, and sums must not overflow.
const PAUSE_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Numbers of seconds from here on are instants: 2001 as an instant, 31 years as a pause.
const EPOCH_MIN: u64 = 1_000_000_000;
/// Instants from here on are in milliseconds: 5138 in seconds, 1973 in milliseconds.
const EPOCH_MILLIS_MIN: u64 = 100_000_000_000;

/// How long the provider asks us to stay away (RFC 9110 §10.2.3): the longest of all it says.
pub fn retry_after(answer: &Answer<'_>, now: Timestamp) -> Option<SignedDuration> {
    let values = answer.all("retry-after").filter_map(|value| std::str::from_utf8(value).ok());
    values.filter_map(|value| pause(value.trim(), now)).max()
}

fn pause(value: &str, now: Timestamp) -> Option<SignedDuration> {
    // Dates have commas, too, but no list of dates was ever seen.
    let numbers: Option<Vec<u64>> = value.split(',').map(|part| digits(part.trim())).collect();
    if let Some(longest) = numbers.and_then(|numbers| numbers.into_iter().max()) {
        return Some(seconds(longest));
    }
    Some(until(date::parse(value, now)?, now))
}

/// How much a provider says is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in a window.
    pub limit: Option<u64>,
    /// Requests left of them.
    pub remaining: Option<u64>,
    /// When the window starts again.
    pub resets_in: Option<SignedDuration>,
}

/// What the answer says about the provider's limits, in the first of these forms that it has:
/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, all its versions),
/// `X-RateLimit-…`, `X-Rate-Limit-…`, `retry-after-ms`.
pub fn allowance(answer: &Answer<'_>, now: Timestamp) -> Option<Allowance> {
    let separate = |prefix: &str| {
        let value = |name: &str| text(answer, &format!("{prefix}-{name}"));
        let first = |name: &str| number(value(name)?.split([',', ';']).next()?.trim());
        Allowance {
            limit: first("limit"),
            remaining: first("remaining"),
            resets_in: value("reset").and_then(|value| reset(value.trim(), now)),
        }
    };
    let millis = || Allowance {
        resets_in: text(answer, "retry-after-ms")
            .and_then(|value| number(value.trim()))
            .map(|n| SignedDuration::from_millis(signed(n)).min(PAUSE_MAX)),
        ..Allowance::default()
    };
    let said = |allowance: &Allowance| *allowance != Allowance::default();
    structured(answer, now)
        .filter(said)
        .or_else(|| Some(separate("ratelimit")).filter(said))
        .or_else(|| Some(separate("x-ratelimit")).filter(said))
        .or_else(|| Some(separate("x-rate-limit")).filter(said))
        .or_else(|| Some(millis()).filter(said))
}

/// `RateLimit: "name";r=50;t=30` with `RateLimit-Policy: "name";q=100;w=60`, and the older
/// `RateLimit: limit=100, remaining=50, reset=30`.
fn structured(answer: &Answer<'_>, now: Timestamp) -> Option<Allowance> {
    let value = text(answer, "ratelimit")?;
    let members: Vec<Vec<&str>> = split(&value, ',').map(|m| split(m, ';').collect()).collect();
    let old = |key| members.iter().flatten().find_map(|part| keyed(part, key));
    let is_old = old("limit").or(old("remaining")).or(old("reset")).is_some();
    if is_old {
        return Some(Allowance {
            limit: old("limit").and_then(number),
            remaining: old("remaining").and_then(number),
            resets_in: old("reset").and_then(|value| reset(value, now)),
        });
    }
    // Of several limits, the one that is nearest to its end.
    let nearest = members
        .iter()
        .filter(|member| find(member, "r").is_some())
        .min_by_key(|member| find(member, "r").and_then(number).unwrap_or(u64::MAX))?;
    let name = nearest.first().copied().unwrap_or_default();
    let policies = text(answer, "ratelimit-policy").unwrap_or_default();
    let policy = split(&policies, ',')
        .map(|policy| split(policy, ';').collect::<Vec<_>>())
        .find(|policy| policy.first() == Some(&name));
    Some(Allowance {
        limit: policy.and_then(|policy| find(&policy, "q").and_then(number)),
        remaining: find(nearest, "r").and_then(number),
        resets_in: find(nearest, "t").and_then(number).map(seconds),
    })
}

fn find<'v>(member: &[&'v str], key: &str) -> Option<&'v str> {
    member.iter().find_map(|part| keyed(part, key))
}

/// The value of `key=value`.
fn keyed<'v>(part: &'v str, key: &str) -> Option<&'v str> {
    let (name, value) = part.split_once('=')?;
    name.trim().eq_ignore_ascii_case(key).then(|| value.trim())
}

/// Parts that a character separates outside quotes (RFC 9651 §3.3.3, escapes aside).
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = text.split(move |c| {
        is_quoted ^= c == '"';
        c == at && !is_quoted
    });
    parts.map(str::trim)
}

/// All fields of a name as one (RFC 9110 §5.3).
fn text(answer: &Answer<'_>, name: &str) -> Option<String> {
    let values: Result<Vec<&str>, _> = answer.all(name).map(std::str::from_utf8).collect();
    values.ok().filter(|values| !values.is_empty()).map(|values| values.join(", "))
}

/// A pause in seconds, or an instant in seconds or milliseconds, or a date.
fn reset(value: &str, now: Timestamp) -> Option<SignedDuration> {
    let Some(n) = number(value) else { return date::parse(value, now).map(|at| until(at, now)) };
    if n < EPOCH_MIN {
        return Some(seconds(n));
    }
    let at = if n < EPOCH_MILLIS_MIN {
        Timestamp::from_second(signed(n))
    } else {
        Timestamp::from_millisecond(signed(n))
    };
    Some(at.map_or(PAUSE_MAX, |at| until(at, now)))
}

/// Between nothing and [`PAUSE_MAX`].
fn until(at: Timestamp, now: Timestamp) -> SignedDuration {
    at.duration_since(now).clamp(SignedDuration::ZERO, PAUSE_MAX)
}

fn seconds(n: u64) -> SignedDuration {
    SignedDuration::from_secs(signed(n)).min(PAUSE_MAX)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// `delay-seconds = 1*DIGIT`, however many: no sign, no fraction.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Some write fractions; what is behind the point does not matter to a reader.
fn number(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    digits(fraction).and(digits(whole))
}

#[cfg(test)]
mod tests;
