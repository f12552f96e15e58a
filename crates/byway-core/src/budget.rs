//! What a provider may get from us: one pace over all paths, retries, and the gates it sets.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::policy::Pace;
use crate::time::{after, since};

/// The generic cell rate algorithm (ITU-T I.371): as long as the pace stays, one instant is the whole
/// state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// Between two requests.
    interval: Duration,
    /// How far ahead of its pace a burst may be.
    tolerance: Duration,
    /// The theoretical arrival time of the next request.
    tat: Timestamp,
    /// The last slot that was given out; it may lie ahead.
    last: Timestamp,
    /// The interval that `tat` still counts in, if the pace changed since.
    counted_in: Option<Duration>,
}

impl Gcra {
    /// A full bucket.
    pub fn new(pace: Pace) -> Self {
        let interval = pace.per / pace.n.max(1);
        let tolerance = interval.saturating_mul(pace.burst.max(1));
        Self { interval, tolerance, tat: Timestamp::MIN, last: Timestamp::MIN, counted_in: None }
    }

    /// Takes another pace. What was taken before counts on: a change is not a new bucket.
    pub fn adopt(&mut self, pace: Pace) {
        let new = Self::new(pace);
        if (new.interval, new.tolerance) != (self.interval, self.tolerance) {
            let counted_in = Some(self.counted_in.unwrap_or(self.interval));
            *self = Self { tat: self.tat, last: self.last, counted_in, ..new };
        }
    }

    /// Takes a slot now or soon: how long to wait for it.
    ///
    /// # Errors
    /// If that would be longer than `wait_max`: how long until it would not. Nothing is taken then.
    pub fn take(&mut self, now: Timestamp, wait_max: Duration) -> Result<Duration, Duration> {
        let wait = self.wait(now);
        if wait > wait_max {
            return Err(wait);
        }
        self.take_after(wait, now);
        Ok(wait)
    }

    /// How long one would have to wait for a slot.
    pub fn wait(&self, now: Timestamp) -> Duration {
        let next = after(self.tat_at(now), self.interval);
        since(now, next).saturating_sub(self.tolerance)
    }

    /// Takes a slot that is used after `wait`, which is at least what [`Self::wait`] says. It counts
    /// when it is used: what was put off must not meet what came later.
    pub fn take_after(&mut self, wait: Duration, now: Timestamp) {
        let at = after(now, wait);
        self.tat = after(self.tat_at(now).max(at), self.interval);
        self.last = self.last.max(at);
        self.counted_in = None;
    }

    /// How far slots may be put off without keeping others from using one now.
    pub fn ahead_max(&self) -> Duration {
        self.tolerance.saturating_sub(self.interval.saturating_mul(2))
    }

    /// How many requests could go at once now.
    pub fn n_free(&self, now: Timestamp) -> u32 {
        let ahead = since(now, self.tat_at(now));
        let free = self.tolerance.saturating_sub(ahead).as_nanos();
        let n = free / self.interval.as_nanos().max(1);
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    fn tat_at(&self, now: Timestamp) -> Timestamp {
        let tat = self.tat.max(now);
        let Some(counted_in) = self.counted_in else { return tat };
        let n_taken = since(now, tat).as_nanos().div_ceil(counted_in.as_nanos().max(1));
        let n_taken = u32::try_from(n_taken).unwrap_or(u32::MAX);
        let counted = after(now, self.interval.saturating_mul(n_taken));
        // Slots that were given out are used when they were given for.
        if self.last > now { counted.max(after(self.last, self.interval)) } else { counted }
    }
}

const N_BUCKETS: usize = 10;

/// Retries as a share of requests, over a window of ten seconds (Finagle's retry budget).
#[derive(Debug, Clone)]
pub struct RetryBudget {
    percent: u32,
    per_s: u32,
    window: Window,
}

impl RetryBudget {
    /// A budget of `percent` of the requests and `per_s` retries a second.
    pub fn new(percent: u32, per_s: u32) -> Self {
        Self { percent, per_s, window: Window::new(Duration::from_secs(10)) }
    }

    /// Takes other shares; what was counted stays.
    pub fn adopt(&mut self, percent: u32, per_s: u32) {
        (self.percent, self.per_s) = (percent, per_s);
    }

    /// Counts a request.
    pub fn request(&mut self, now: Timestamp) {
        self.window.add(now, 1, 0);
    }

    /// Takes a retry if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let (requests, retries) = self.window.sum(now);
        let allowed = u64::from(self.per_s) * 10 + requests * u64::from(self.percent) / 100;
        let ok = retries < allowed;
        if ok {
            self.window.add(now, 0, 1);
        }
        ok
    }
}

/// Two counts over the last while, in ten buckets.
#[derive(Debug, Clone)]
pub struct Window {
    width: Duration,
    buckets: [(i64, u64, u64); N_BUCKETS],
}

impl Window {
    /// A window of this length.
    pub fn new(length: Duration) -> Self {
        let width = (length / 10).max(Duration::from_millis(1));
        Self { width, buckets: [(i64::MIN, 0, 0); N_BUCKETS] }
    }

    fn slot(&self, now: Timestamp) -> i64 {
        let width = i64::try_from(self.width.as_millis()).unwrap_or(i64::MAX).max(1);
        now.as_millisecond().div_euclid(width)
    }

    /// Adds to both counts.
    pub fn add(&mut self, now: Timestamp, a: u64, b: u64) {
        let slot = self.slot(now);
        let index = usize::try_from(slot.rem_euclid(10)).unwrap_or_default();
        if let Some(bucket) = self.buckets.get_mut(index) {
            if bucket.0 != slot {
                *bucket = (slot, 0, 0);
            }
            bucket.1 += a;
            bucket.2 += b;
        }
    }

    /// Both counts.
    pub fn sum(&self, now: Timestamp) -> (u64, u64) {
        let slot = self.slot(now);
        let recent = self.buckets.iter().filter(|(at, ..)| *at > slot - 10 && *at <= slot);
        recent.fold((0, 0), |(a, b), bucket| (a + bucket.1, b + bucket.2))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets = [(i64::MIN, 0, 0); N_BUCKETS];
    }
}

/// Until when the provider asked us to stay away; on every path and for every caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    not_before: Option<Timestamp>,
}

impl Gate {
    /// Notes that the provider asked for `pause`; never earlier than what it asked before.
    ///
    /// Returns the instant if it moved.
    pub fn set(
        &mut self,
        now: Timestamp,
        pause: SignedDuration,
        max: Duration,
    ) -> Option<Timestamp> {
        let pause = Duration::try_from(pause).unwrap_or_default().min(max);
        let until = after(now, pause);
        if pause.is_zero() || self.not_before.is_some_and(|at| at >= until) {
            return None;
        }
        self.not_before = Some(until);
        Some(until)
    }

    /// How long it is still closed.
    pub fn closed_for(&self, now: Timestamp) -> Option<Duration> {
        let until = self.not_before?;
        (until > now).then(|| since(now, until))
    }

    /// When it opened, or will; `None` if it was never closed.
    pub const fn opens(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// Until when it is closed.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|&until| until > now)
    }
}

#[cfg(test)]
mod tests;
