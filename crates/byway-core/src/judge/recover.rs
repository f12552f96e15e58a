//! The part of the judge that time drives: probes, detours, recovery and whose doing it was.

use std::time::Duration;

use jiff::Timestamp;

use super::{Event, Judge, Probe, Purpose, Standing, Surroundings};
use crate::detect::Shown;
use crate::detour::{Attribution, Detour, Ended, NoDetour, Order, Side, attribute};
use crate::diagnose::{Kind, Verdict};
use crate::failover::{Other, law};
use crate::health::{Mark, State};
use crate::time::{after, equal_jitter, since};

impl Judge {
    /// Notes what a person ordered.
    pub fn order(&mut self, order: Order) {
        if order == Order::None {
            self.exhausted = false;
            self.boxed_since = None;
        }
        self.events.push(Event::Ordered { order: order.clone() });
        let forbids = match &order {
            Order::None => None,
            Order::Stopped(_) => Some(NoDetour::Stopped),
            Order::Locked(_) => Some(NoDetour::Locked),
        };
        self.order = order;
        if let Some(why) = forbids {
            self.end_detour(Ended::Forbidden(why));
        }
    }

    /// What a person ordered.
    pub const fn ordered(&self) -> &Order {
        &self.order
    }

    /// Lets time pass: adopts verdicts, begins and ends detours, and says what to find out.
    pub fn tick(&mut self, around: &Surroundings, now: Timestamp) -> Vec<Probe> {
        for path in 0..self.paths.len() {
            let change = self.paths.get_mut(path).and_then(|state| state.health.tick(now));
            if let Some(change) = change {
                self.events.push(Event::Moved { path, change });
            }
        }
        self.conclude(around, now);
        self.steer(now);
        self.settle(now);
        let probes = self.wanted(now);
        self.debug_assert_invariants();
        probes
    }

    /// When `tick` has something to do by itself; `None` while all is calm.
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let soon = |at: Timestamp| at.max(now);
        let mut next: Vec<Timestamp> =
            self.paths.iter().filter_map(super::PathState::next_deadline).map(soon).collect();
        next.extend(self.comparison.as_ref().map(|comparison| soon(comparison.next_deadline())));
        next.extend(self.detour.map(|detour| soon(detour.until)));
        next.extend(self.detour.and_then(|_| self.is_left(0).then(|| soon(self.control_due))));
        if let Some(standing) = &self.standing {
            match standing.recovered_at {
                Some(at) => next.push(soon(after(at, self.policy.health.hold))),
                // Recovery is not said before this; later it is for a path's state to change.
                None => {
                    let quiet = self.quiet_at(standing);
                    next.extend((quiet > now).then_some(quiet));
                }
            }
        }
        if let Some(closed) = self.gate.until(now) {
            // Nothing is asked before the gate opens.
            next.retain(|&at| at >= closed);
            next.push(closed);
        }
        next.into_iter().min()
    }

    /// Begins, moves or ends the detour.
    fn steer(&mut self, now: Timestamp) {
        if let Some(detour) = self.detour {
            if detour.until <= now {
                self.exhausted = true;
                return self.end_detour(Ended::Exhausted);
            }
            if let Err(why) = self.may_detour(now) {
                return self.end_detour(Ended::Forbidden(why));
            }
            if !self.is_left(0) {
                return self.end_detour(Ended::Recovered);
            }
            // A pause is no reason to move; nothing is sent now anyway.
            if self.is_left(detour.path) && self.gate.closed_for(now).is_none() {
                match self.way_round(now) {
                    Some(to) => {
                        self.events.push(Event::DetourMoved { from: detour.path, to });
                        self.detour.iter_mut().for_each(|detour| detour.move_to(to));
                        self.n_detours += 1;
                        self.new_way = Side::default();
                    }
                    None => self.end_detour(Ended::NoPath),
                }
            }
            return;
        }
        let Some(to) = self.way_round(now) else { return };
        if self.gate.closed_for(now).is_some() {
            return self.say_refused(NoDetour::Gated);
        }
        match self.may_detour(now) {
            Ok(()) => {
                let first = *self.boxed_since.get_or_insert(now);
                let detour = Detour::begin(to, &self.policy, first, now);
                if detour.until <= now {
                    self.exhausted = true;
                    return self.say_refused(NoDetour::Exhausted);
                }
                self.detour = Some(detour);
                self.n_detours += 1;
                // What was true of an earlier detour says nothing about this one.
                (self.new_way, self.old_way) = (Side::default(), Side::default());
                self.old_way.observe(false, now);
                self.control_due = self.next_control(now);
                let until = detour.until;
                self.events.push(Event::DetourBegan { from: 0, to, until });
                self.standing.iter_mut().for_each(|standing| standing.detoured = true);
            }
            Err(why) => self.say_refused(why),
        }
    }

    /// The path that a verdict allows to take instead of the first, if it blames that one.
    fn way_round(&self, now: Timestamp) -> Option<usize> {
        let standing = self.standing.as_ref()?;
        let verdict = &standing.verdict;
        let is_law = verdict
            .class
            .is_some_and(|class| !matches!(law(class).detour, Other::Never | Other::Next))
            && matches!(verdict.kind, Kind::BlocksAddresses | Kind::FailsHere);
        if !is_law || !verdict.failing.contains(&0) || !self.is_left(0) {
            return None;
        }
        let works = |path: &usize| {
            let state = self.paths.get(*path).map(|path| &path.health);
            state.is_some_and(|health| health.state() == State::Up && !health.is_suppressed(now))
        };
        // The provider's order, not the order of arrival: one detour at a time, always the same. A
        // path that was blamed, too, and has proven since that it works again, is as good.
        let mut healthy = verdict.healthy.clone();
        healthy.extend(verdict.failing.iter().filter(|path| **path != 0));
        healthy.sort_unstable();
        healthy.into_iter().find(works)
    }

    fn say_refused(&mut self, why: NoDetour) {
        let is_said = self.standing.as_ref().is_some_and(|standing| standing.detoured)
            || self.refused_for == Some(why);
        if !is_said {
            self.refused_for = Some(why);
            self.events.push(Event::DetourRefused { why });
        }
    }

    fn end_detour(&mut self, why: Ended) {
        if let Some(detour) = self.detour.take() {
            self.events.push(Event::DetourEnded { path: detour.path, why });
        }
    }

    /// Whether a path is out or only coming back.
    fn is_left(&self, path: usize) -> bool {
        self.paths.get(path).is_some_and(|path| path.health.state() != State::Up)
    }

    /// From when on a trouble counts as quiet. A closed gate is no proof: the while begins when it
    /// opens.
    fn quiet_at(&self, standing: &Standing) -> Timestamp {
        let seen = self.gate.opens().map_or(standing.last_seen, |at| at.max(standing.last_seen));
        after(seen, self.policy.compare.pause)
    }

    /// Says whose doing it is, notices recovery, and closes after the hold window.
    fn settle(&mut self, now: Timestamp) {
        let Some(mut standing) = self.standing.take() else { return };
        let fresh = self.policy.compare.control_every.saturating_mul(3);
        if self.detour.is_some() {
            let held = self.policy.health.probes_over;
            let who = attribute(self.new_way, self.old_way, fresh, held, now);
            if who != standing.attribution && who != Attribution::Inconclusive {
                standing.attribution = who;
                self.events.push(Event::Attributed { who });
            }
        }
        let has_paths = !standing.verdict.failing.is_empty();
        let first_is_out = standing.verdict.failing.contains(&0) && self.is_left(0);
        let is_out = match standing.verdict.failing.contains(&0) {
            true => first_is_out,
            false => standing.verdict.failing.iter().any(|&path| self.is_left(path)),
        };
        // Whatever is blamed by now: while traffic goes round the first path, it is not back.
        let is_out = is_out || self.detour.is_some();
        let hold = self.policy.health.hold;
        let is_quiet = self.quiet_at(&standing) <= now;
        if is_out || !has_paths && !is_quiet {
            standing.recovered_at = None;
        } else if standing.recovered_at.is_none() && is_quiet {
            // A path that we changed nothing on came back: nobody here did that.
            standing.attribution = match standing.verdict.kind {
                Kind::OurNetwork
                | Kind::OurDns
                | Kind::OurTls
                | Kind::OurRequest
                | Kind::ThisPath
                // A pause that is over was nobody's repair.
                | Kind::LimitsUs => Attribution::Inconclusive,
                Kind::Healthy
                | Kind::BlocksAddresses
                | Kind::ChallengesUs
                | Kind::FailsHere
                | Kind::ProviderDown
                | Kind::ProviderSlow
                | Kind::ContractBroken
                | Kind::CannotTell => Attribution::Theirs,
            };
            standing.recovered_at = Some(now);
            self.events.push(Event::Recovered { who: standing.attribution });
        }
        if standing.recovered_at.is_some_and(|at| since(at, now) >= hold) {
            self.refused_for = None;
            self.exhausted = false;
            self.boxed_since = None;
            self.events.push(Event::Closed { standing });
            return;
        }
        self.standing = Some(standing);
    }

    /// What to find out now, paid for.
    fn wanted(&mut self, now: Timestamp) -> Vec<Probe> {
        if !self.may_probe(now) {
            return Vec::new();
        }
        let mut probes = Vec::new();
        let round = self.comparison.as_mut().map(|c| c.round(now)).unwrap_or_default();
        for path in round {
            match self.pay_probe(now) {
                Ok(()) => probes.push(Probe { path, purpose: Purpose::Compare, permit: None }),
                Err(retry_at) => {
                    self.comparison.iter_mut().for_each(|c| c.unpaid(path, retry_at));
                }
            }
        }
        // When the day's control probes are used up, the old path is probed like any other.
        let has_controls =
            self.controls.sum(now).0 < u64::from(self.policy.compare.controls_per_day);
        let is_control = self.detour.is_some() && has_controls;
        if is_control && self.is_left(0) && self.control_due <= now {
            self.control_due = self.next_control(now);
            let is_free = self.paths.first().is_some_and(|path| path.health.probe_due().is_some());
            // Paid before the path's slot is taken: what is not sent must not keep the slot.
            let is_paid = is_free && self.pay_slot(now).is_ok();
            let first = self.paths.first_mut().filter(|_| is_paid);
            let permit = first.and_then(|path| path.health.probe_now());
            if permit.is_some() {
                self.controls.add(now, 1, 0);
                probes.push(Probe { path: 0, purpose: Purpose::Control, permit });
            }
        }
        for path in 0..self.paths.len() {
            let Some(state) = self.paths.get_mut(path) else { continue };
            let is_due = state.health.probe_due().is_some_and(|due| due <= now);
            if is_control && path == 0 || !is_due || state.probe_after > now {
                continue;
            }
            if self.pay_probe(now).is_err() {
                continue;
            }
            let permit = self.paths.get_mut(path).and_then(|state| state.health.begin_probe(now));
            if permit.is_some() {
                probes.push(Probe { path, purpose: Purpose::Recover, permit });
            }
        }
        probes
    }

    /// Takes what a question costs that is asked for somebody else's sake; false if there is none.
    pub fn pay_control(&mut self, now: Timestamp) -> bool {
        self.may_probe(now) && self.pay_probe(now).is_ok()
    }

    /// One probe from the hour's and from the provider's own budget.
    fn pay_probe(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if self.probes.sum(now).0 >= u64::from(self.policy.compare.probes_per_hour) {
            return Err(after(now, Duration::from_secs(360)));
        }
        self.pay_slot(now)?;
        self.probes.add(now, 1, 0);
        Ok(())
    }

    fn pay_slot(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let Some(pace) = &mut self.pace else { return Ok(()) };
        pace.take(now, Duration::ZERO).map(drop).map_err(|later| after(now, later))
    }

    fn next_control(&mut self, now: Timestamp) -> Timestamp {
        self.n_controls += 1;
        let every = self.policy.compare.control_every;
        // Between three quarters and five quarters: a minute on average, not on the minute.
        let jittered = equal_jitter(every, self.seed, 1, self.n_controls);
        after(now, every / 4 + jittered)
    }

    /// Tells what a probe showed; nothing if it was not sent after all.
    pub fn probed(&mut self, probe: Probe, shown: Option<&Shown>, now: Timestamp) {
        if probe.purpose == Purpose::Compare
            && let Some(comparison) = &mut self.comparison
        {
            comparison.probe_over(probe.path);
            if let Some(shown) = shown {
                comparison.observe(probe.path, shown, true, now);
            }
        }
        let says_nothing = shown.is_none_or(|shown| Mark::of(&shown.outcome) == Mark::Neutral);
        if says_nothing && let Some(state) = self.paths.get_mut(probe.path) {
            state.probe_after = after(now, self.policy.health.backoff_min);
        }
        let Some(shown) = shown else {
            if let (Some(permit), Some(state)) = (probe.permit, self.paths.get_mut(probe.path)) {
                state.health.abandon(permit);
            }
            return;
        };
        self.saw_inside |= shown.status.is_some();
        let mark = Mark::of(&shown.outcome);
        if let Some(state) = self.paths.get_mut(probe.path) {
            state.last = Some((*shown, now));
        }
        if probe.path == 0 && mark != Mark::Neutral {
            self.old_way.observe(mark == Mark::Good, now);
        }
        if let Some(permit) = probe.permit {
            self.feed_health(probe.path, permit, mark, now);
        }
    }

    /// What a comparison would say if it ended now.
    pub fn verdict_now(&self, around: &Surroundings, now: Timestamp) -> Option<Verdict> {
        self.comparison.as_ref().map(|comparison| self.judge_now(comparison, around, now))
    }
}
