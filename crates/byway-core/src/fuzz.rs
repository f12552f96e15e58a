//! Entry points for fuzzing: whatever an answer says, it is judged, and within its limits.

use jiff::Timestamp;

use crate::classify::{self, Class, Signatures};
use crate::evidence::{Answer, Evidence};
use crate::hint;
use crate::history::History;

/// An answer made of bytes: two for the status, lines of `name: value`, an empty line, a body.
pub fn answer(data: &[u8]) {
    let (status, rest) = data.split_at_checked(2).unwrap_or((&[0, 200], data));
    let status = status.iter().fold(0_u16, |n, b| (n << 8) | u16::from(*b)) % 1000;
    let mut lines = rest.split(|&b| b == b'\n');
    let mut fields: Vec<(&[u8], &[u8])> = Vec::new();
    let mut used = 0;
    for line in lines.by_ref() {
        used += line.len() + 1;
        let Some(at) = line.iter().position(|&b| b == b':') else { break };
        let (name, value) = line.split_at_checked(at).unwrap_or_default();
        fields.push((name, value.get(1..).unwrap_or_default().trim_ascii()));
    }
    let body = rest.get(used..).unwrap_or_default();
    let now = Timestamp::UNIX_EPOCH;
    let mut history = History::default();
    let made = Answer { status, fields: &fields, body, ..Answer::default() };
    for _ in 0..9 {
        history.observe(&made);
    }
    let usual = history.usual();
    let made = Answer { usual: usual.as_ref(), body_bytes: Some(body.len() as u64), ..made };
    let signatures = Signatures::default();
    let outcome = classify::classify(&Evidence::Answered(made), &signatures);
    // Only what says so itself or an edge's own field may move traffic off a limit.
    debug_assert!(status != 429 || outcome.class != Class::BlockedIp, "a limit became a block");
    debug_assert!(classify::signs(&made, &outcome, &signatures).len() < 16);
    if let Some(pause) = hint::retry_after(&made, now) {
        debug_assert!(!pause.is_negative());
    }
    let _shown = hint::allowance(&made, now);
}

#[cfg(test)]
mod tests;
