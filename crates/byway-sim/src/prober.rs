//! The prober: lets time pass for the judge, and finds out what it wants to know.

use std::time::Duration;

use byway_core::classify::Class;
use byway_core::detour::Order;
use byway_core::judge::{Probe, Purpose};
use byway_core::policy::Probing;
use byway_core::time::{after, since};

use crate::provider::Told;
use crate::words;
use crate::world::{Due, World};

/// With nothing to do, one looks around this often.
const REST_MAX: Duration = Duration::from_secs(5);
/// Nobody is asked more often than this without having been rung for.
const REST_MIN: Duration = Duration::from_millis(5);
/// What cannot be done now is not tried again before this.
const REST_BLOCKED: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl World {
    /// Lets time pass for the judge.
    pub(crate) fn look(&mut self) {
        self.tick_at = after(self.now, REST_MAX);
        if self.judge.is_calm() {
            return;
        }
        let around = self.around.clone();
        let probes = self.judge.tick(&around, self.now);
        self.hear();
        let did = !probes.is_empty();
        for probe in probes {
            self.probe(probe);
        }
        if let Some(next) = self.judge.next_deadline(self.now) {
            let is_blocked = next <= self.now && !did;
            let rest = if is_blocked { REST_BLOCKED } else { since(self.now, next).max(REST_MIN) };
            self.tick_at = self.tick_at.min(after(self.now, rest));
        }
        if let Some(round) = self.round {
            let (allowed, now) = (self.may_go_round(), self.now);
            self.must(allowed && now < round.until, || {
                format!("a detour goes on that nobody allows: {round:?}")
            });
        }
    }

    fn probe(&mut self, probe: Probe) {
        let (path, purpose) = (probe.path, probe.purpose);
        let what = purpose.as_str();
        self.must(!self.is_gated(), || format!("a probe ({what}) although gated"));
        let policy = self.judge.policy();
        let is_off = policy.probing == Probing::Off;
        let n_max = (policy.compare.probes_per_hour, policy.compare.controls_per_day);
        self.must(!is_off, || format!("a probe ({what}) although probing is off"));
        let is_locked = matches!(self.judge.ordered(), Order::Locked(_));
        self.must(!is_locked, || format!("a probe ({what}) although locked"));
        match purpose {
            Purpose::Compare | Purpose::Recover => {
                let n = self.probes.add(self.now, HOUR);
                self.must(n <= u64::from(n_max.0), || format!("{n} probes in an hour"));
            }
            Purpose::Control => {
                let n = self.controls.add(self.now, DAY);
                self.must(n <= u64::from(n_max.1), || format!("{n} control probes in a day"));
                self.must(self.round.is_some(), || "a control probe without detour".to_owned());
            }
        }
        if purpose != Purpose::Compare
            && let Some(n) = self.probing.get_mut(path)
        {
            *n += 1;
            let n = *n;
            self.must(n == 1, || format!("{n} probes at once over {path}"));
        }
        let told = self.try_path(path);
        let is_lost = self.random.percent(self.n_lost);
        if !is_lost {
            let over = self.sent.send(self.now);
            self.must(over.is_none(), || format!("over the budget by a probe: {over:?}"));
        }
        let at = after(self.now, told.after);
        self.schedule(at, Due::Probed(probe, (!is_lost).then_some(told)));
    }

    /// A probe is over.
    pub(crate) fn probed(&mut self, probe: Probe, told: Option<&Told>) {
        let path = probe.path;
        // A probe from before the last change of state is no longer counted as under way.
        if probe.purpose != Purpose::Compare
            && let Some(n) = self.probing.get_mut(path)
        {
            *n = n.saturating_sub(1);
        }
        self.write(|world| {
            let name = world.names.get(path).map_or("", String::as_str);
            words::probe(name, probe.purpose, told.map(|told| &told.shown))
        });
        self.judge.probed(probe, told.map(|told| &told.shown), self.now);
        self.hear();
        if let Some(told) = told {
            let is_429 = told.shown.outcome.class == Class::RateLimited;
            if is_429 || told.pause.is_some() {
                self.judge.limited(told.pause, is_429, self.now);
                self.hear();
            }
        }
        self.ring();
    }
}
