//! Paths compared with each other: which of them fail, which work, and which must be asked again.
//!
//! Each path has a sequential probability ratio test of its own (Wald 1945; p0 = .05, p1 = .9,
//! α = β = .01): two failures decide "failing here", three successes "healthy there". Live traffic
//! is evidence first; what it leaves open is asked in rounds, all open paths at the same moment, so
//! that a block which is lifted meanwhile cannot fool the comparison.

use jiff::Timestamp;

use crate::cause::Cause;
use crate::classify::{Class, Outcome};
use crate::health::Mark;
use crate::policy::Compare;
use crate::time::{after, since};

/// What a failure adds: ln(p1 / p0).
const FAILED: f64 = 2.890_371_757_896_165;
/// What a success adds: ln((1 - p1) / (1 - p0)).
const GOOD: f64 = -2.251_291_798_606_495;
/// ln((1 - β) / α); its negative decides for healthy.
const BOUND: f64 = 4.595_119_850_134_59;

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Not yet decided.
    Open,
    /// It fails here.
    Failing,
    /// It works there.
    Healthy,
}

/// One result, as far as comparing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The judgement.
    pub outcome: Outcome,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// The cause, if there was none.
    pub cause: Option<Cause>,
}

impl Shown {
    /// Whether this is the kind of failure that paths are compared for.
    pub fn is_failure(&self) -> bool {
        match Mark::of(&self.outcome) {
            Mark::Hard { .. } => true,
            Mark::Good => self.outcome.class == Class::ClientError && self.status == Some(403),
            Mark::Soft | Mark::Neutral => false,
        }
    }

    fn is_good(&self) -> bool {
        self.outcome.class == Class::Ok
            || (self.outcome.class == Class::ClientError && self.status != Some(403))
    }
}

/// What one path has shown since the comparison began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    llr: f64,
    /// Failures.
    pub n_failed: u32,
    /// Successes.
    pub n_good: u32,
    /// How many of both were probes.
    pub n_probes: u32,
    /// The last failure.
    pub failure: Option<Shown>,
    /// When the first failure was.
    pub failed_since: Option<Timestamp>,
    /// The status of the last success.
    pub good_status: Option<u16>,
    /// When the last success was.
    pub good_at: Option<Timestamp>,
    is_in_flight: bool,
}

impl Arm {
    const NEW: Self = Self {
        llr: 0.0,
        n_failed: 0,
        n_good: 0,
        n_probes: 0,
        failure: None,
        failed_since: None,
        good_status: None,
        good_at: None,
        is_in_flight: false,
    };

    /// What the test says.
    pub fn finding(&self) -> Finding {
        if self.llr >= BOUND {
            Finding::Failing
        } else if self.llr <= -BOUND {
            Finding::Healthy
        } else {
            Finding::Open
        }
    }

    fn observe(&mut self, shown: &Shown, is_probe: bool, now: Timestamp) {
        if shown.is_failure() {
            self.llr += FAILED;
            self.n_failed += 1;
            self.failed_since = self.failed_since.or(Some(now));
            self.failure = Some(*shown);
        } else if shown.is_good() {
            self.llr += GOOD;
            self.n_good += 1;
            self.good_status = shown.status;
            self.good_at = Some(now);
        } else {
            return;
        }
        self.n_probes += u32::from(is_probe);
        // Beyond the bounds nothing more is learnt, and a change must not have to undo an hour.
        self.llr = self.llr.clamp(GOOD * 3.0, FAILED * 2.0);
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    settings: Compare,
    /// When it began.
    pub began: Timestamp,
    /// The path whose failure began it.
    pub trigger: usize,
    arms: Vec<Arm>,
    n_rounds: u32,
    next_round: Timestamp,
}

impl Comparison {
    /// Begins with the failure of one path.
    pub fn new(settings: Compare, n_paths: usize, trigger: usize, now: Timestamp) -> Self {
        Self {
            settings,
            began: now,
            trigger,
            arms: vec![Arm::NEW; n_paths],
            n_rounds: 0,
            next_round: now,
        }
    }

    /// Lets live traffic speak first: no probe before a round's time is over.
    pub fn not_at_once(&mut self, now: Timestamp) {
        self.next_round = after(now, self.settings.spacing);
    }

    /// Counts what a path showed.
    pub fn observe(&mut self, path: usize, shown: &Shown, is_probe: bool, now: Timestamp) {
        if let Some(arm) = self.arms.get_mut(path) {
            arm.observe(shown, is_probe, now);
        }
    }

    /// A probe came back, with a result or without.
    pub fn probe_over(&mut self, path: usize) {
        if let Some(arm) = self.arms.get_mut(path) {
            arm.is_in_flight = false;
        }
    }

    /// The paths to ask now: every open one that is not being asked, in one round.
    pub fn round(&mut self, now: Timestamp) -> Vec<usize> {
        if now < self.next_round || self.is_over(now) || self.is_exhausted() {
            return Vec::new();
        }
        let open = self.idle();
        for &path in &open {
            if let Some(arm) = self.arms.get_mut(path) {
                arm.is_in_flight = true;
            }
        }
        if !open.is_empty() {
            self.n_rounds += 1;
            self.next_round = after(now, self.settings.spacing);
        }
        open
    }

    /// A probe could not be paid for; it is asked again later.
    pub fn unpaid(&mut self, path: usize, retry_at: Timestamp) {
        self.probe_over(path);
        self.next_round = self.next_round.max(retry_at);
    }

    fn open(&self) -> impl Iterator<Item = (usize, &Arm)> {
        self.arms.iter().enumerate().filter(|(_, arm)| arm.finding() == Finding::Open)
    }

    fn idle(&self) -> Vec<usize> {
        self.open().filter(|(_, arm)| !arm.is_in_flight).map(|(path, _)| path).collect()
    }

    fn is_exhausted(&self) -> bool {
        self.n_rounds >= self.settings.n_rounds_max
    }

    /// When `round` or `is_over` has something to say.
    pub fn next_deadline(&self) -> Timestamp {
        let end = after(self.began, self.settings.window);
        if self.is_exhausted() || self.idle().is_empty() { end } else { self.next_round.min(end) }
    }

    /// Whether it says all that it will say: everything is decided, or it took too long, or the
    /// path that began it turned out to work.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let trigger = self.arms.get(self.trigger).map_or(Finding::Open, Arm::finding);
        let is_asked_out = self.is_exhausted() && self.arms.iter().all(|arm| !arm.is_in_flight);
        trigger == Finding::Healthy
            || self.open().next().is_none()
            || is_asked_out
            || self.is_late(now)
    }

    /// Whether it took so long that what it showed first is no evidence any more.
    pub fn is_late(&self, now: Timestamp) -> bool {
        since(self.began, now) > self.settings.window
    }

    /// Whether what is known suffices for a verdict although some path takes its time: the path
    /// that began it fails, another one works, and whatever is open is being asked.
    pub fn is_telling(&self) -> bool {
        let trigger = self.arms.get(self.trigger).map_or(Finding::Open, Arm::finding);
        trigger == Finding::Failing
            && self.idle().is_empty()
            && self.arms.iter().any(|arm| arm.finding() == Finding::Healthy)
    }

    /// What the paths have shown.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }
}

#[cfg(test)]
mod tests;
