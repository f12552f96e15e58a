//! Fields as they are sent, and what they mean.

use jiff::{SignedDuration, Timestamp};

use super::{Allowance, PAUSE_MAX, allowance, retry_after};
use crate::evidence::Answer;

/// 2026-11-25 00:00:00 UTC.
const NOW: i64 = 1_795_564_800;

fn with<T>(lines: &str, read: impl Fn(&Answer<'_>, Timestamp) -> T) -> T {
    let fields: Vec<(&[u8], &[u8])> = lines
        .split('|')
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().as_bytes(), value.trim().as_bytes()))
        .collect();
    let now = Timestamp::from_second(NOW).expect("an instant");
    read(&Answer { fields: &fields, ..Answer::bare(429) }, now)
}

#[test]
fn pauses_are_read_in_every_form_and_garbage_in_none() {
    let max = PAUSE_MAX.as_secs();
    for (lines, expected) in [
        ("Retry-After: 0", Some(0)),
        ("Retry-After: 120", Some(120)),
        ("retry-after:  7 ", Some(7)),
        ("Retry-After: 007", Some(7)),
        ("Retry-After: 4294967296", Some(max)),
        ("Retry-After: 99999999999999999999999999", Some(max)),
        ("Retry-After: Wed, 25 Nov 2026 00:01:00 GMT", Some(60)),
        ("Retry-After: Wednesday, 25-Nov-26 00:02:00 GMT", Some(120)),
        ("Retry-After: Wed Nov 25 00:03:00 2026", Some(180)),
        ("Retry-After: Tue Dec  1 00:00:00 2026", Some(6 * 86_400)),
        ("Retry-After: Wed, 25 Nov 2026 09:01:00 +0900", Some(60)),
        ("Retry-After: Mon, 25 Nov 2026 00:01:00 GMT", Some(60)),
        ("Retry-After: Wed, 25 Nov 2026 00:00:60 GMT", Some(59)),
        ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
        ("Retry-After: Sunday, 06-Nov-94 08:49:37 GMT", Some(0)),
        ("Retry-After: Sun Nov  6 08:49:37 1994", Some(0)),
        ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", Some(max)),
        ("Retry-After: 5 | Retry-After: 60 | Retry-After: 30", Some(60)),
        ("Retry-After: 5 | Retry-After: Wed, 25 Nov 2026 00:01:00 GMT", Some(60)),
        ("Retry-After: soon | Retry-After: 3", Some(3)),
        ("Retry-After: 5, 60", Some(60)),
        ("Retry-After: -5", None),
        ("Retry-After: +5", None),
        ("Retry-After: 1.5", None),
        ("Retry-After: 5s", None),
        ("Retry-After: ", None),
        ("Retry-After: soon", None),
        ("Retry-After: ５", None),
        ("Retry-After: Wed, 31 Feb 2026 00:01:00 GMT", None),
        ("Retry-After: Wed, 25 Nov 2026 25:01:00 GMT", None),
        ("Retry-After: Wed, 25 Nov 2026 00:01 GMT", None),
        ("Retry-After: Wed, 25 Nov -026 00:01:00 GMT", None),
        ("Retry-After: 25, 11, x", None),
        ("X-Retry-After: 5", None),
        ("", None),
    ] {
        let expected = expected.map(SignedDuration::from_secs);
        assert_eq!(with(lines, retry_after), expected, "{lines}");
    }
}

#[test]
fn two_digits_of_a_year_are_within_fifty_years() {
    for (year, is_ahead) in [("27", true), ("75", true), ("77", false), ("99", false)] {
        let line = format!("Retry-After: Monday, 01-Jan-{year} 00:00:00 GMT");
        let pause = with(&line, retry_after).expect("a pause");
        assert_eq!(pause > SignedDuration::ZERO, is_ahead, "{year}");
    }
}

#[test]
fn limits_are_read_in_every_form() {
    let max = PAUSE_MAX.as_secs();
    let (all, none) = (u64::MAX, (None, None, None));
    for (lines, expected) in [
        ("RateLimit: \"default\";r=50;t=30", (None, Some(50), Some(30))),
        (
            "RateLimit: \"d\";r=50;t=30 | RateLimit-Policy: \"d\";q=100;w=60",
            (Some(100), Some(50), Some(30)),
        ),
        (
            "RateLimit: \"hour\";r=900;t=1800, \"min\";r=3;t=20 | RateLimit-Policy: \"hour\";q=1000;w=3600, \"min\";q=10;w=60",
            (Some(10), Some(3), Some(20)),
        ),
        (
            "RateLimit: \"a\";r=9;t=1 | RateLimit: \"b\";r=2;t=8 | RateLimit-Policy: \"b\";q=5",
            (Some(5), Some(2), Some(8)),
        ),
        ("RateLimit: \"a;r=1,b\";r=7;t=2", (None, Some(7), Some(2))),
        ("RateLimit: \"a\" ; R=7 ; T=2", (None, Some(7), Some(2))),
        ("RateLimit: \"a\";r=7 | RateLimit-Policy: \"b\";q=5", (None, Some(7), None)),
        ("RateLimit: limit=100, remaining=50, reset=30", (Some(100), Some(50), Some(30))),
        ("RateLimit: remaining=0, reset=5", (None, Some(0), Some(5))),
        (
            "RateLimit-Limit: 100 | RateLimit-Remaining: 50 | RateLimit-Reset: 30",
            (Some(100), Some(50), Some(30)),
        ),
        ("RateLimit-Limit: 100, 100;w=60 | RateLimit-Remaining: 5", (Some(100), Some(5), None)),
        ("RateLimit-Limit: 100;w=60", (Some(100), None, None)),
        (
            "X-RateLimit-Limit: 60 | X-RateLimit-Remaining: 59 | X-RateLimit-Reset: 1795564860",
            (Some(60), Some(59), Some(60)),
        ),
        ("X-RateLimit-Reset: 45", (None, None, Some(45))),
        ("X-RateLimit-Reset: 1795564860123", (None, None, Some(60))),
        ("X-RateLimit-Reset: 1795564860.5", (None, None, Some(60))),
        ("X-RateLimit-Reset: 1795564000", (None, None, Some(0))),
        ("X-RateLimit-Reset: 999999999", (None, None, Some(max))),
        ("X-RateLimit-Reset: 99999999999999999999999", (None, None, Some(max))),
        ("X-RateLimit-Reset: Wed, 25 Nov 2026 00:01:00 GMT", (None, None, Some(60))),
        (
            "X-Rate-Limit-Limit: 15 | X-Rate-Limit-Remaining: 0 | X-Rate-Limit-Reset: 1795565700",
            (Some(15), Some(0), Some(900)),
        ),
        ("X-RateLimit-Remaining: 1 | RateLimit: \"a\";r=2;t=3", (None, Some(2), Some(3))),
        ("RateLimit: nonsense | X-RateLimit-Remaining: 1", (None, Some(1), None)),
        ("X-RateLimit-Limit: 99999999999999999999999", (Some(all), None, None)),
        ("X-RateLimit-Remaining: -1", none),
        ("X-RateLimit-Remaining: many | X-RateLimit-Limit: 5", (Some(5), None, None)),
        ("X-RateLimit-Limit: ", none),
        ("RateLimit: ", none),
        ("RateLimit: \"a\";r=;t=", none),
        ("RateLimit: \"a;r=1", none),
        ("retry-after-ms: 2000", (None, None, Some(2))),
        ("retry-after-ms: -1", none),
        ("retry-after-ms: 99999999999999999999", (None, None, Some(max))),
        ("Retry-After: 5", none),
        ("", none),
    ] {
        let (limit, remaining, resets_in) = expected;
        let resets_in = resets_in.map(SignedDuration::from_secs);
        let read = with(lines, allowance).map(|allowance| Allowance {
            resets_in: allowance.resets_in.map(|in_| SignedDuration::from_secs(in_.as_secs())),
            ..allowance
        });
        let expected = Allowance { limit, remaining, resets_in };
        assert_eq!(read.unwrap_or_default(), expected, "{lines}");
        assert_ne!(read, Some(Allowance::default()), "{lines}: nothing is `None`");
    }
}
