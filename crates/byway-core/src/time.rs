//! Instants and durations that cannot overflow, and jitter that is a function.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `at + by`, at most the end of time.
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// `at - by`, at least the beginning of time.
pub fn before(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// How long from `start` to `end`; zero if `end` is earlier.
pub fn since(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}

/// A number in 0..1000 that depends on nothing but its arguments (SplitMix64).
pub fn jitter(seed: u64, key: u64, round: u64) -> u64 {
    let mut x =
        seed ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % 1000
}

/// Between half of `base` and all of it ("equal jitter").
pub fn equal_jitter(base: Duration, seed: u64, key: u64, round: u64) -> Duration {
    let thousandths = u32::try_from(jitter(seed, key, round)).unwrap_or_default();
    base / 2 + base / 2 * thousandths / 1000
}
