//! The state of one path towards one provider.
//!
//! ```text
//!            trip                 until is over, probe begins
//!     Up ───────────▶ Down(until) ───────────────────────▶ Probing
//!      ▲               ▲  ▲                                 │  │
//!      │               │  └──────── a probe fails ──────────┘  │ n_probes good over probes_over
//!      │               └─────────── one hard failure ──┐       ▼
//!      └──────────────── every step held ───────── Ramping (1, 10, 50, 100 %)
//! ```
//! `finish` trips, fails a probe, begins the ramp and fails it; `tick` moves the ramp on. A permit
//! carries the epoch in which it was given: what began before the last transition cannot cause
//! another one. Not here: which path is taken (`choose`), who is to blame (`diagnose`).

use std::time::Duration;

use jiff::Timestamp;

use crate::budget::Window;
use crate::classify::{Class, Confidence, Outcome};
use crate::policy;
use crate::time::{after, equal_jitter, jitter, since};

/// The shares of a ramp, in percent.
pub const RAMP: [u32; 4] = [1, 10, 50, 100];

/// Where a path stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It carries what it is given.
    Up,
    /// It failed; the next probe is not before `until`.
    Down {
        /// When a probe may begin.
        until: Timestamp,
    },
    /// Probes succeed, not yet often or long enough.
    Probing {
        /// Good probes so far.
        n_good: u32,
        /// When the first of them ended.
        since: Timestamp,
        /// When the next may begin.
        next: Timestamp,
    },
    /// It carries a share.
    Ramping {
        /// Index into [`RAMP`].
        step: usize,
        /// Since when.
        since: Timestamp,
        /// Whether anything succeeded at this step.
        is_proven: bool,
    },
}

impl State {
    /// The stable name, for facts and tables.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down { .. } => "down",
            Self::Probing { .. } => "probing",
            Self::Ramping { .. } => "ramping",
        }
    }
}

/// What an outcome says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It carries.
    Good,
    /// It does not.
    Hard {
        /// The other side says so itself.
        is_strong: bool,
    },
    /// The provider is busy with us: no reason to leave a path, no proof that it works.
    Soft,
    /// It says nothing about the path.
    Neutral,
}

impl Mark {
    /// Reads an outcome. Own faults and callers that leave never count against anybody.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome.class {
            Class::Ok | Class::ClientError | Class::Auth | Class::Denied => Self::Good,
            Class::RateLimited => Self::Soft,
            Class::BlockedIp | Class::Challenge => {
                Self::Hard { is_strong: outcome.confidence == Confidence::Strong }
            }
            Class::Outage
            | Class::Overload
            | Class::ConnectTimeout
            | Class::ReadTimeout
            | Class::Reset
            | Class::Refused
            | Class::Dns
            | Class::Tls
            | Class::Contract
            | Class::RelayError => Self::Hard { is_strong: false },
            Class::OwnFault | Class::LocalLimit | Class::Cancelled => Self::Neutral,
        }
    }
}

/// Leave to use a path once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    epoch: u64,
    is_probe: bool,
}

/// Why a path changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too many hard failures in a row.
    Consecutive,
    /// Too few good answers in the window.
    Ratio,
    /// A verdict blames it.
    Verdict,
    /// The provider said so itself, repeatedly.
    Signature,
    /// A probe failed.
    ProbeFailed,
    /// A failure while ramping.
    RampFailed,
    /// Enough good probes.
    ProbesGood,
    /// The ramp is over.
    RampDone,
}

impl Why {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::Ratio => "ratio",
            Self::Verdict => "verdict",
            Self::Signature => "signature",
            Self::ProbeFailed => "probe_failed",
            Self::RampFailed => "ramp_failed",
            Self::ProbesGood => "probes_good",
            Self::RampDone => "ramp_done",
        }
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// From.
    pub from: State,
    /// To.
    pub to: State,
    /// Why.
    pub why: Why,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct PathHealth {
    settings: policy::Health,
    seed: u64,
    state: State,
    epoch: u64,
    consecutive: u32,
    strong: u32,
    window: Window,
    n_backoff: u32,
    is_probing: bool,
    penalty: f64,
    penalty_at: Timestamp,
    is_suppressed: bool,
    n_drawn: u64,
}

impl PathHealth {
    /// A path that is taken to work. `seed` makes its jitter its own.
    pub fn new(settings: policy::Health, seed: u64) -> Self {
        Self {
            settings,
            seed,
            state: State::Up,
            epoch: 0,
            consecutive: 0,
            strong: 0,
            window: Window::new(settings.window),
            n_backoff: 0,
            is_probing: false,
            penalty: 0.0,
            penalty_at: Timestamp::MIN,
            is_suppressed: false,
            n_drawn: 0,
        }
    }

    /// Takes other parameters; where the path stands does not change.
    pub fn adopt(&mut self, settings: policy::Health) {
        if settings.window != self.settings.window {
            self.window = Window::new(settings.window);
        }
        self.settings = settings;
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether it flapped so much that it stays out although probes succeed.
    pub fn is_suppressed(&self, now: Timestamp) -> bool {
        self.is_suppressed && self.penalty_now(now) >= f64::from(self.settings.flap_reuse)
    }

    /// Good and hard outcomes in the window.
    pub fn recent(&self, now: Timestamp) -> (u64, u64) {
        self.window.sum(now)
    }

    /// Leave for a request.
    pub const fn permit(&self) -> Permit {
        Permit { epoch: self.epoch, is_probe: false }
    }

    /// Leave for a probe, if one is due and none is under way.
    pub fn begin_probe(&mut self, now: Timestamp) -> Option<Permit> {
        let due = self.probe_due()?;
        if self.is_probing || due > now {
            return None;
        }
        self.is_probing = true;
        Some(Permit { epoch: self.epoch, is_probe: true })
    }

    /// Leave for a probe although none is due, if the path is not fully back and none is under way.
    pub fn probe_now(&mut self) -> Option<Permit> {
        self.probe_due()?;
        self.is_probing = true;
        Some(Permit { epoch: self.epoch, is_probe: true })
    }

    /// Takes the path out on somebody else's word.
    pub fn take_out(&mut self, now: Timestamp) -> Option<Transition> {
        match self.state {
            State::Up | State::Ramping { .. } => Some(self.trip(Why::Verdict, now)),
            State::Down { .. } | State::Probing { .. } => None,
        }
    }

    /// When the next probe may begin; `None` if none is needed or one is under way.
    pub fn probe_due(&self) -> Option<Timestamp> {
        match self.state {
            _ if self.is_probing => None,
            State::Up | State::Ramping { is_proven: true, .. } => None,
            State::Down { until } => Some(until),
            State::Probing { next, .. } => Some(next),
            // Where no request comes, a probe proves the step.
            State::Ramping { since, is_proven: false, .. } => {
                Some(after(since, self.settings.ramp_step))
            }
        }
    }

    /// Whether a request may take this path, as far as its own share goes. Each step of a ramp
    /// admits its first request, so that a quiet route does not wait for chance.
    pub fn admits(&mut self, now: Timestamp) -> bool {
        match self.state {
            State::Up => true,
            State::Down { .. } | State::Probing { .. } => false,
            State::Ramping { .. } if self.is_suppressed(now) => false,
            State::Ramping { step, is_proven, .. } => {
                self.n_drawn += 1;
                let percent = RAMP.get(step).copied().unwrap_or(100);
                !is_proven || jitter(self.seed, self.epoch, self.n_drawn) < u64::from(percent) * 10
            }
        }
    }

    /// Counts what came of a permit.
    pub fn finish(&mut self, permit: Permit, mark: Mark, now: Timestamp) -> Option<Transition> {
        if permit.is_probe && permit.epoch == self.epoch {
            self.is_probing = false;
        }
        if permit.epoch != self.epoch {
            return None;
        }
        if mark == Mark::Neutral {
            return None;
        }
        let changed = match self.state {
            State::Up => self.while_up(mark, now),
            State::Down { .. } | State::Probing { .. } => self.while_out(permit, mark, now),
            State::Ramping { step, since, .. } => match mark {
                Mark::Good => {
                    self.state = State::Ramping { step, since, is_proven: true };
                    self.window.add(now, 1, 0);
                    None
                }
                Mark::Hard { .. } => Some(self.trip(Why::RampFailed, now)),
                Mark::Soft | Mark::Neutral => None,
            },
        };
        self.debug_assert_invariants();
        changed
    }

    /// Gives a probe's permit back without a result.
    pub fn abandon(&mut self, permit: Permit) {
        if permit.is_probe && permit.epoch == self.epoch {
            self.is_probing = false;
        }
    }

    /// What time alone changes: the ramp goes on.
    pub fn tick(&mut self, now: Timestamp) -> Option<Transition> {
        let State::Ramping { step, since: start, is_proven } = self.state else { return None };
        if !is_proven || since(start, now) < self.settings.ramp_step || self.is_suppressed(now) {
            return None;
        }
        if step + 1 < RAMP.len() {
            // A step is not a transition: what runs at the old share is as good at the new one.
            self.state = State::Ramping { step: step + 1, since: now, is_proven: false };
            return None;
        }
        self.n_backoff = self.n_backoff.saturating_sub(1);
        self.is_suppressed = false;
        Some(self.change(State::Up, Why::RampDone, now))
    }

    /// When `tick` has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Ramping { since, is_proven: true, .. } => {
                Some(after(since, self.settings.ramp_step).max(self.suppressed_until()))
            }
            State::Up | State::Down { .. } | State::Probing { .. } | State::Ramping { .. } => {
                self.probe_due()
            }
        }
    }

    fn while_up(&mut self, mark: Mark, now: Timestamp) -> Option<Transition> {
        match mark {
            Mark::Good => {
                (self.consecutive, self.strong) = (0, 0);
                self.window.add(now, 1, 0);
                None
            }
            Mark::Hard { is_strong } => {
                self.consecutive += 1;
                self.strong = if is_strong { self.strong + 1 } else { 0 };
                self.window.add(now, 0, 1);
                let (good, hard) = self.window.sum(now);
                let settings = &self.settings;
                let is_low = good * 100 < (good + hard) * u64::from(settings.good_percent_min);
                let why = if self.strong >= settings.strong_max {
                    Why::Signature
                } else if self.consecutive >= settings.consecutive_max {
                    Why::Consecutive
                } else if good + hard >= u64::from(settings.n_window_min) && is_low {
                    Why::Ratio
                } else {
                    return None;
                };
                Some(self.trip(why, now))
            }
            Mark::Soft | Mark::Neutral => None,
        }
    }

    /// Probes count; so do requests that had nowhere else to go.
    fn while_out(&mut self, permit: Permit, mark: Mark, now: Timestamp) -> Option<Transition> {
        let settings = self.settings;
        let (n_good, since_first) = match self.state {
            State::Probing { n_good, since, .. } => (n_good, since),
            State::Up | State::Down { .. } | State::Ramping { .. } => (0, now),
        };
        match mark {
            Mark::Good => {
                self.window.add(now, 1, 0);
                let n_good = n_good + 1;
                if n_good >= settings.n_probes && since(since_first, now) >= settings.probes_over {
                    let ramp = State::Ramping { step: 0, since: now, is_proven: false };
                    return Some(self.change(ramp, Why::ProbesGood, now));
                }
                // Spread evenly, a little later than needed rather than earlier.
                let gap = settings.probes_over / settings.n_probes.saturating_sub(1).max(1);
                let next = if permit.is_probe { after(now, gap) } else { self.probe_at() };
                self.state = State::Probing { n_good, since: since_first, next };
                None
            }
            Mark::Soft if !permit.is_probe => None,
            // As quiet as the good one before it: where nothing else is left and every second request
            // fails, each would be a transition, and the backoff at its end in no time.
            Mark::Hard { .. } if !permit.is_probe => {
                self.window.add(now, 0, 1);
                self.state = State::Down { until: self.probe_at() };
                None
            }
            Mark::Soft | Mark::Hard { .. } => {
                self.window.add(now, 0, 1);
                let was_good = matches!(self.state, State::Probing { .. });
                let until = self.back_off(now);
                let (from, to) = (self.state, State::Down { until });
                self.state = to;
                was_good.then_some(Transition { from, to, why: Why::ProbeFailed })
            }
            Mark::Neutral => None,
        }
    }

    fn probe_at(&self) -> Timestamp {
        match self.state {
            State::Down { until } => until,
            State::Probing { next, .. } => next,
            State::Up | State::Ramping { .. } => Timestamp::MAX,
        }
    }

    fn back_off(&mut self, now: Timestamp) -> Timestamp {
        let doubled = 2_u32.saturating_pow(self.n_backoff.min(16));
        let settings = &self.settings;
        let base = settings.backoff_min.saturating_mul(doubled).min(settings.backoff_max);
        self.n_backoff = self.n_backoff.saturating_add(1);
        after(now, equal_jitter(base, self.seed, self.epoch, u64::from(self.n_backoff)))
    }

    fn trip(&mut self, why: Why, now: Timestamp) -> Transition {
        let until = self.back_off(now);
        self.change(State::Down { until }, why, now)
    }

    fn change(&mut self, to: State, why: Why, now: Timestamp) -> Transition {
        let from = std::mem::replace(&mut self.state, to);
        self.epoch += 1;
        self.is_probing = false;
        (self.consecutive, self.strong) = (0, 0);
        self.window.clear();
        // Only falling out and coming back count: probing and ramping are how one comes back.
        if matches!(to, State::Up | State::Down { .. }) {
            self.penalty = self.penalty_now(now) + f64::from(self.settings.flap_penalty);
            self.penalty_at = now;
            self.is_suppressed |= self.penalty > f64::from(self.settings.flap_suppress);
        }
        Transition { from, to, why }
    }

    /// The penalty, halved every half-life.
    fn penalty_now(&self, now: Timestamp) -> f64 {
        let halves = since(self.penalty_at, now).as_secs_f64()
            / self.settings.flap_half_life.max(Duration::from_millis(1)).as_secs_f64();
        self.penalty * (-halves).exp2()
    }

    /// When the penalty of a suppressed path will have fallen low enough.
    fn suppressed_until(&self) -> Timestamp {
        let halves = (self.penalty / f64::from(self.settings.flap_reuse.max(1))).log2();
        if !self.is_suppressed || halves.is_nan() || halves <= 0.0 {
            return Timestamp::MIN;
        }
        let by = self.settings.flap_half_life.as_secs_f64() * halves;
        after(self.penalty_at, Duration::try_from_secs_f64(by).unwrap_or(Duration::MAX))
    }

    fn debug_assert_invariants(&self) {
        debug_assert!(self.penalty.is_finite() && self.penalty >= 0.0);
        let is_up = self.state == State::Up;
        debug_assert!(!self.is_probing || !is_up, "a probe under way on a path that is in use");
    }
}

#[cfg(test)]
mod tests;
