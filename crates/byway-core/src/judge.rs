//! Everything that is known and decided about one provider: the machine that the data plane asks
//! before a request and tells after it, and that the prober asks what to find out.
//!
//! ```text
//!   ask ──▶ Leave           before a request: go (over which path), wait, or not now
//!   finish                  after it: health, comparison, gate, detour
//!   tick ──▶ probes         time passes: verdicts, detours, ramps, what to find out
//!   probed                  what a probe showed
//!   take_events             what happened, for facts and logs
//! ```
//! `tick` adopts verdicts (a 429 is one by itself, at once) and begins and moves detours; a person's
//! order ends one at once.
//! Invariants: a rate limit never moves traffic; never zero paths; the pace holds over all paths,
//! probes included.

mod conclude;
mod event;
mod recover;
mod view;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::budget::{Gate, Gcra, RetryBudget, Window};
use crate::choose::N_PATHS_MAX;
use crate::classify::Class;
use crate::detect::{Comparison, Shown};
use crate::detour::{Attribution, Detour, NoDetour, Order, Side, may_detour};
use crate::diagnose::{Elsewhere, Kind, Verdict};
use crate::failover::{Other, Permission, law};
use crate::health::{Mark, PathHealth, Permit, State};
use crate::policy::{OnPathFailure, Pace, Policy, Probing};
use crate::time::since;

pub use event::Event;
pub use view::{PathView, View};

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Go.
    Go(Passage),
    /// Ask again after this: there is room soon.
    Wait(Duration),
    /// Not now: the provider's gate or our own pace.
    Busy(Busy),
}

/// Why not now, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// The provider asked us to stay away for this long.
    Gate(Duration),
    /// Our own budget for the provider has room after this long.
    Budget(Duration),
}

/// Leave to go: over which path first, and what it is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// The path to take first, if not the provider's own order.
    pub lead: Option<usize>,
    /// Paths that a detour goes round, one bit each.
    pub gone_round: u8,
    /// How long to wait before going: the pace.
    pub wait: Duration,
    /// Leave for one attempt over each path.
    pub permits: [Option<Permit>; N_PATHS_MAX],
    /// The detour that it counts on, by number.
    pub(crate) on_detour: Option<u64>,
}

impl Passage {
    /// Whether the request counts on the detour.
    pub const fn is_on_detour(&self) -> bool {
        self.on_detour.is_some()
    }
}

/// One thing to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Over which path.
    pub path: usize,
    /// What for.
    pub purpose: Purpose,
    permit: Option<Permit>,
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To compare paths.
    Compare,
    /// To see whether a path has recovered.
    Recover,
    /// To see what would be without the detour.
    Control,
}

impl Purpose {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Recover => "recover",
            Self::Control => "control",
        }
    }
}

/// How our paths and name servers do with others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Per path, in the provider's order.
    pub paths: Vec<Elsewhere>,
    /// Name resolution.
    pub dns: Elsewhere,
    /// A control was asked and has not answered yet: no verdict before that.
    pub is_pending: bool,
}

/// A trouble that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who is to blame.
    pub verdict: Verdict,
    /// When the verdict was reached.
    pub at: Timestamp,
    /// Since when there has been trouble.
    pub since: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// Since when everything works again.
    pub recovered_at: Option<Timestamp>,
    /// Whose doing that is, as far as known.
    pub attribution: Attribution,
    /// Whether a detour ever carried traffic in it.
    pub detoured: bool,
    /// Requests that failed in it.
    pub n_failed: u64,
}

/// One path's part.
#[derive(Debug, Clone)]
struct PathState {
    group: String,
    health: PathHealth,
    last: Option<(Shown, Timestamp)>,
    n_403: u32,
    /// Not probed before this: the last probe could not be sent, or said nothing.
    probe_after: Timestamp,
}

impl PathState {
    fn next_deadline(&self) -> Option<Timestamp> {
        self.health.next_deadline().map(|at| at.max(self.probe_after))
    }
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Judge {
    policy: Policy,
    seed: u64,
    paths: Vec<PathState>,
    retry: RetryBudget,
    pace: Option<Gcra>,
    detour_pace: Option<Gcra>,
    gate: Gate,
    n_limited: u32,
    comparison: Option<Comparison>,
    quiet_until: Timestamp,
    standing: Option<Standing>,
    detour: Option<Detour>,
    /// Detours so far; one that moved is another one.
    n_detours: u64,
    exhausted: bool,
    /// When the first detour of this trouble began: all of them share one time-box.
    boxed_since: Option<Timestamp>,
    refused_for: Option<NoDetour>,
    order: Order,
    probes: Window,
    controls: Window,
    control_due: Timestamp,
    n_controls: u64,
    new_way: Side,
    old_way: Side,
    saw_inside: bool,
    n_lost: u64,
    events: Vec<Event>,
}

/// What a path is called in the judge's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSpec {
    /// Paths of one group count as one witness.
    pub group: String,
}

impl Judge {
    /// A provider of which nothing is known yet.
    pub fn new(policy: Policy, paths: &[PathSpec], seed: u64) -> Self {
        let pace = policy.budget.map(|pace| pace.share(100, policy.instances));
        let detour_pace = policy.budget.map(|p| p.share(policy.detour_rate, policy.instances));
        let path = |(index, spec): (u64, &PathSpec)| PathState {
            group: spec.group.clone(),
            health: PathHealth::new(policy.health, seed ^ index),
            last: None,
            n_403: 0,
            probe_after: Timestamp::MIN,
        };
        Self {
            seed,
            paths: (0..).zip(paths).map(path).collect(),
            retry: RetryBudget::new(policy.retry_percent, policy.retry_per_s),
            pace: pace.map(Gcra::new),
            detour_pace: detour_pace.map(Gcra::new),
            gate: Gate::default(),
            n_limited: 0,
            comparison: None,
            quiet_until: Timestamp::MIN,
            standing: None,
            detour: None,
            n_detours: 0,
            exhausted: false,
            boxed_since: None,
            refused_for: None,
            order: Order::None,
            probes: Window::new(at_least(HOUR)),
            controls: Window::new(at_least(HOUR * 24)),
            control_due: Timestamp::MIN,
            n_controls: 0,
            new_way: Side::default(),
            old_way: Side::default(),
            saw_inside: false,
            n_lost: 0,
            events: Vec::new(),
            policy,
        }
    }

    /// Takes another policy; what is known stays.
    pub fn adopt_policy(&mut self, policy: Policy) {
        let share = |percent| policy.budget.map(|pace| pace.share(percent, policy.instances));
        adopt_pace(&mut self.pace, share(100));
        adopt_pace(&mut self.detour_pace, share(policy.detour_rate));
        self.retry.adopt(policy.retry_percent, policy.retry_per_s);
        self.paths.iter_mut().for_each(|path| path.health.adopt(policy.health));
        self.policy = policy;
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// May a request go, and where first?
    pub fn ask(&mut self, now: Timestamp) -> Leave {
        let wait_max = self.policy.wait_max;
        if let Some(closed) = self.gate.closed_for(now) {
            return if closed <= wait_max {
                Leave::Wait(closed)
            } else {
                Leave::Busy(Busy::Gate(closed))
            };
        }
        // What a person or the clock has ended is not waited for until `tick` ends it.
        let detour = self.detour.filter(|_| self.may_detour(now).is_ok());
        let primary_takes_it = match detour {
            None => false,
            Some(_) => self.paths.first_mut().is_some_and(|path| path.health.admits(now)),
        };
        let lead = if primary_takes_it { Some(0) } else { detour.map(|detour| detour.path) };
        let on_detour = detour.is_some() && !primary_takes_it;
        if on_detour && detour.is_some_and(|detour| !detour.has_room()) {
            return Leave::Wait(ROOM_EVERY);
        }
        let wait = match self.pay(on_detour, now, wait_max) {
            Ok(wait) => wait,
            Err(later) => return Leave::Busy(Busy::Budget(later)),
        };
        self.retry.request(now);
        if on_detour && let Some(detour) = &mut self.detour {
            detour.n_in_flight += 1;
        }
        let on_detour = on_detour.then_some(self.n_detours);
        let gone_round = match detour {
            None => 0,
            // What fails on the old path's share goes over the detour, and nowhere else.
            Some(detour) if primary_takes_it => !(1 | bit(detour.path)),
            Some(_) => self.refused(),
        };
        let mut permits = [None; N_PATHS_MAX];
        for (permit, path) in permits.iter_mut().zip(&self.paths) {
            *permit = Some(path.health.permit());
        }
        Leave::Go(Passage { lead, gone_round, wait, permits, on_detour })
    }

    /// The pace of the whole provider, and the reduced one of a detour, hold together.
    fn pay(
        &mut self,
        on_detour: bool,
        now: Timestamp,
        wait_max: Duration,
    ) -> Result<Duration, Duration> {
        let Some(pace) = self.pace.as_mut() else { return Ok(Duration::ZERO) };
        let mut wait = pace.wait(now);
        let reduced = self.detour_pace.as_mut().filter(|_| on_detour);
        if let Some(reduced) = &reduced {
            // A long queue for the detour must not keep probes and the old path from going now.
            let later = reduced.wait(now);
            if later > wait_max.min(pace.ahead_max()) {
                return Err(later);
            }
            wait = wait.max(later);
        }
        if wait > wait_max {
            return Err(wait);
        }
        pace.take_after(wait, now);
        reduced.into_iter().for_each(|reduced| reduced.take_after(wait, now));
        Ok(wait)
    }

    /// Takes a retry from the budget, and a slot from the pace.
    pub fn may_retry(&mut self, now: Timestamp) -> bool {
        let on_detour = self.detour.is_some();
        self.gate.closed_for(now).is_none()
            && self.pay(on_detour, now, Duration::ZERO).is_ok()
            && self.retry.take(now)
    }

    /// When the provider's gate opens, if it is closed.
    pub fn gate_opens_in(&self, now: Timestamp) -> Option<Duration> {
        self.gate.closed_for(now)
    }

    /// When the comparison under way began, and the class of the failures in it.
    pub fn compares(&self) -> Option<(Timestamp, Option<Class>)> {
        let comparison = self.comparison.as_ref()?;
        let failure = comparison.arms().iter().find_map(|arm| arm.failure);
        Some((comparison.began, failure.map(|failure| failure.outcome.class)))
    }

    /// What the law may do for this provider now.
    pub fn permission(&self, now: Timestamp) -> Permission {
        let is_gated = self.gate.closed_for(now).is_some();
        let is_granted = !is_gated && self.may_detour(now).is_ok();
        let is_shown = self.detour.is_some()
            || self.standing.as_ref().is_some_and(|standing| {
                let verdict = &standing.verdict;
                // What shows that we are challenged is no reason to take another path for anything.
                let is_lawful = verdict.class.is_some_and(|c| law(c).detour != Other::Never);
                is_lawful && verdict.failing.contains(&0) && !verdict.healthy.is_empty()
            });
        // While the gate is closed nothing is sent on any path, not even round a broken way out.
        let on_path_failure =
            if is_gated { OnPathFailure::Stop } else { self.policy.on_path_failure };
        Permission { is_granted, is_shown, on_path_failure }
    }

    /// The same for a request whose last attempt went over this path: what fails on the detour does
    /// not go round that as well. A detour is one path at a time, and `tick` alone moves it.
    pub fn permission_over(&self, path: usize, now: Timestamp) -> Permission {
        let permission = self.permission(now);
        let is_on_detour = self.detour.is_some_and(|detour| detour.path == path);
        Permission { is_granted: permission.is_granted && !is_on_detour, ..permission }
    }

    /// Whether a detour may be taken now.
    ///
    /// # Errors
    /// The first thing that does not allow it.
    pub fn may_detour(&self, now: Timestamp) -> Result<(), NoDetour> {
        if self.exhausted || self.detour.is_some_and(|detour| detour.until <= now) {
            return Err(NoDetour::Exhausted);
        }
        may_detour(&self.policy, &self.order, now)
    }

    /// Tells what came of one attempt; true if `tick` should look at it soon.
    pub fn finish(
        &mut self,
        path: usize,
        permit: Option<Permit>,
        shown: &Shown,
        now: Timestamp,
    ) -> bool {
        self.saw_inside |= shown.status.is_some();
        let mark = Mark::of(&shown.outcome);
        let mut wake = false;
        if let Some(permit) = permit {
            wake = self.feed_health(path, permit, mark, now);
        }
        if self.detour.is_some_and(|detour| detour.path == path) {
            match mark {
                Mark::Good => self.new_way.observe(true, now),
                Mark::Hard { .. } => self.new_way.observe(false, now),
                Mark::Soft | Mark::Neutral => {}
            }
        }
        if shown.outcome.class == Class::RateLimited {
            return true;
        }
        if let Some(comparison) = &mut self.comparison {
            comparison.observe(path, shown, false, now);
            wake = true;
        } else if self.is_suspicious(path, shown, now) {
            self.begin_comparison(path, shown, now);
            wake = true;
        }
        self.count_failure(path, shown, now);
        self.debug_assert_invariants();
        wake
    }

    /// A request is over, whatever its attempts showed.
    pub fn leave(&mut self, passage: &Passage, is_good: bool) {
        // One that left for an earlier detour says nothing about this one.
        if passage.on_detour == Some(self.n_detours)
            && let Some(detour) = &mut self.detour
        {
            detour.over(is_good);
        }
    }

    /// Tells that the provider asked us to stay away; without a duration, for a growing while.
    pub fn limited(&mut self, asked: Option<SignedDuration>, is_429: bool, now: Timestamp) -> bool {
        // A 429 whose pause is over already comes from a clock that is wrong, or means "not so fast".
        let asked = asked.filter(|pause| !is_429 || pause.is_positive());
        let pause = match asked {
            Some(pause) => pause,
            // What was sent before the gate closed says nothing new, and the pause does not grow.
            None if self.gate.closed_for(now).is_some() => return false,
            None if is_429 => {
                let pause = self.policy.gate_min.saturating_mul(1 << self.n_limited.min(6));
                SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)
            }
            None => return false,
        };
        self.n_limited = self.n_limited.saturating_add(1);
        let Some(until) = self.gate.set(now, pause, self.policy.gate_max) else { return false };
        self.events.push(Event::Gated { until, by_header: asked.is_some() });
        // Nothing is asked of a provider that wants to be left alone.
        self.comparison = None;
        if is_429 {
            self.adopt(conclude::limits_us(now), now);
        }
        true
    }

    fn feed_health(&mut self, path: usize, permit: Permit, mark: Mark, now: Timestamp) -> bool {
        let Some(state) = self.paths.get_mut(path) else { return false };
        let deadline = state.health.next_deadline();
        let changed = state.health.finish(permit, mark, now);
        let is_sooner = state.health.next_deadline() != deadline;
        if mark == Mark::Good {
            self.n_limited = 0;
        }
        if let Some(change) = changed {
            self.events.push(Event::Moved { path, change });
        }
        changed.is_some() || is_sooner
    }

    fn is_suspicious(&mut self, path: usize, shown: &Shown, now: Timestamp) -> bool {
        if Mark::of(&shown.outcome) == Mark::Neutral {
            // Nor is what comes after it a change.
            return false;
        }
        let Some(state) = self.paths.get_mut(path) else { return false };
        let before = state.last.replace((*shown, now)).map(|(shown, _)| shown);
        let is_403 = shown.is_failure() && Mark::of(&shown.outcome) == Mark::Good;
        state.n_403 = if is_403 { state.n_403 + 1 } else { 0 };
        // Ordinary refusals of single requests are everyday; a row of them is not.
        if !shown.is_failure() || (is_403 && state.n_403 < N_403) {
            return false;
        }
        let is_new = before.is_none_or(|before| before.outcome.class != shown.outcome.class);
        let is_known = self.standing.as_ref().is_some_and(|standing| {
            standing.recovered_at.is_none()
                && standing.verdict.kind != Kind::CannotTell
                && standing.verdict.failing.contains(&path)
        });
        let may_ask = self.gate.closed_for(now).is_none();
        may_ask && (!is_known || is_new) && (now >= self.quiet_until || !is_known && is_new)
    }

    fn begin_comparison(&mut self, path: usize, shown: &Shown, now: Timestamp) {
        let mut comparison = Comparison::new(self.policy.compare, self.paths.len(), path, now);
        comparison.observe(path, shown, false, now);
        if !matches!(shown.outcome.class, Class::BlockedIp | Class::Challenge) {
            comparison.not_at_once(now);
        }
        self.comparison = Some(comparison);
    }

    fn count_failure(&mut self, path: usize, shown: &Shown, now: Timestamp) {
        if !shown.is_failure() {
            return;
        }
        match &mut self.standing {
            Some(standing) if standing.verdict.failing.contains(&path) => {
                standing.last_seen = now;
                standing.n_failed += 1;
            }
            Some(_) => {}
            None => self.n_lost += 1,
        }
    }

    /// Paths that the verdict says the provider refuses, one bit each.
    fn refused(&self) -> u8 {
        let Some(standing) = &self.standing else { return 0 };
        let is_out = |path: &usize| {
            let state = self.paths.get(*path).map(|path| path.health.state());
            matches!(
                state,
                Some(State::Down { .. } | State::Probing { .. } | State::Ramping { .. })
            )
        };
        let refused = standing.verdict.failing.iter().filter(|path| is_out(path));
        refused.fold(0, |bits, &path| bits | bit(path))
    }

    /// What happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether anything is out of the ordinary: then `tick` has work.
    pub fn is_calm(&self) -> bool {
        self.comparison.is_none()
            && self.standing.is_none()
            && self.detour.is_none()
            && self.events.is_empty()
            && self.paths.iter().all(|path| path.health.state() == State::Up)
    }

    /// Whether the gateway may ask by itself.
    fn may_probe(&self, now: Timestamp) -> bool {
        self.policy.probing != Probing::Off
            && !self.order.forbids_probes()
            && self.gate.closed_for(now).is_none()
    }

    fn debug_assert_invariants(&self) {
        debug_assert!(self.detour.is_none_or(|detour| detour.path < self.paths.len()));
        debug_assert!(
            self.detour.is_none_or(|d| since(d.since, d.until) <= crate::policy::DETOUR_CEILING)
        );
    }
}

/// A path among the bits of [`Passage::gone_round`].
fn bit(path: usize) -> u8 {
    u8::try_from(1_u32 << path.min(7)).unwrap_or(0)
}

/// The length of a window that never holds less than this: one of its ten buckets is still filling.
fn at_least(length: Duration) -> Duration {
    length / 9 * 10
}

fn adopt_pace(gcra: &mut Option<Gcra>, pace: Option<Pace>) {
    match (gcra.as_mut(), pace) {
        (Some(gcra), Some(pace)) => gcra.adopt(pace),
        (None, Some(pace)) => *gcra = Some(Gcra::new(pace)),
        (_, None) => *gcra = None,
    }
}

/// How often a request that waits for room on a young detour asks again.
const ROOM_EVERY: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3600);
/// So many refusals in a row are worth a comparison.
const N_403: u32 = 3;

#[cfg(test)]
mod tests;
