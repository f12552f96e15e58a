//! What the world writes down to check the rules against: counts of its own, kept in another way
//! than the rules keep theirs.

use std::time::Duration;

use byway_core::policy::Pace;
use jiff::Timestamp;

fn micros(of: Duration) -> i64 {
    i64::try_from(of.as_micros()).unwrap_or(i64::MAX)
}

/// Instants in order, in microseconds, with how many lie in a window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    at: Vec<i64>,
}

impl Times {
    /// Notes one more; how many there were in less than `length` up to it.
    pub(crate) fn add(&mut self, now: Timestamp, length: Duration) -> u64 {
        self.at.push(now.as_microsecond());
        self.n_since(now.as_microsecond() - micros(length) + 1)
    }

    /// How many lie in `from` and after.
    fn n_since(&self, from: i64) -> u64 {
        let n = self.at.len() - self.at.partition_point(|&at| at < from);
        u64::try_from(n).unwrap_or(u64::MAX)
    }
}

/// A pace while it held.
#[derive(Debug, Clone, Copy)]
struct Era {
    pace: Option<Pace>,
    /// What was granted under it may be sent until then.
    until: i64,
}

/// What was sent, and the paces it was sent under.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    sent: Times,
    eras: Vec<Era>,
}

/// No policy of the world lets a request wait longer.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The lengths of the windows that are looked at, in milliseconds.
const WINDOWS_MS: [i64; 6] = [0, 100, 1000, 5000, 20_000, 120_000];

impl Ledger {
    /// Another pace holds from now on; what the last one granted may wait this long.
    pub(crate) fn pace(&mut self, pace: Option<Pace>, wait_max: Duration, now: Timestamp) {
        let now = now.as_microsecond();
        if let Some(last) = self.eras.last_mut() {
            // Where there was no pace, what an earlier one granted may still be waiting.
            let wait = if last.pace.is_none() { WAIT_MAX } else { wait_max };
            last.until = now.saturating_add(micros(wait));
        }
        self.eras.retain(|era| era.until > now - 600_000_000);
        self.eras.push(Era { pace, until: i64::MAX });
    }

    /// Notes one that the provider gets; says what is too many.
    pub(crate) fn send(&mut self, now: Timestamp) -> Option<String> {
        let now = now.as_microsecond();
        self.sent.at.push(now);
        WINDOWS_MS.iter().find_map(|&ms| self.over(ms, now))
    }

    fn over(&self, ms: i64, now: i64) -> Option<String> {
        let from = now - ms * 1000;
        let n = self.sent.n_since(from);
        if n < 2 {
            return None;
        }
        let (mut burst, mut flow) = (0_u64, 0_u64);
        for era in self.eras.iter().filter(|era| era.until >= from) {
            // Without a pace in any part of it, anything goes.
            let pace = era.pace?;
            burst = burst.max(u64::from(pace.burst.max(1)));
            let per_ms = i64::try_from(pace.per.as_millis()).unwrap_or(i64::MAX).max(1);
            let n = ms.saturating_mul(i64::from(pace.n.max(1))) / per_ms;
            flow = flow.max(u64::try_from(n).unwrap_or(0));
        }
        (n > burst + flow + 1)
            .then(|| format!("{n} in {ms} ms, where a burst of {burst} and {flow} may be"))
    }
}
