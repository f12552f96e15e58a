//! The world itself: its clock, what is due in it, and what it hears from the judge.

use std::collections::BTreeMap;
use std::time::Duration;

use byway_core::choose::N_PATHS_MAX;
use byway_core::detect::Shown;
use byway_core::detour::{Ended, NoDetour, Order};
use byway_core::diagnose::{Kind, Verdict};
use byway_core::health::Why;
use byway_core::judge::{Event, Judge, PathSpec, Probe, Surroundings};
use byway_core::policy::{DETOUR_CEILING, OnBlock, Policy};
use byway_core::time::{after, since};
use jiff::{SignedDuration, Timestamp};

use crate::book::{Ledger, Times};
use crate::callers::Call;
use crate::provider::{Mood, Told};
use crate::random::Random;
use crate::words;

/// How a world begins.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What everything that is left to chance comes from.
    pub seed: u64,
    /// The names of our paths; at most six.
    pub paths: Vec<String>,
    /// How the provider is judged.
    pub policy: Policy,
    /// When it begins.
    pub begins: Timestamp,
    /// So many answers of a thousand are odd for no reason.
    pub n_odd: u64,
    /// So many probes of a hundred are lost.
    pub n_lost: u64,
}

/// Something that is due.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// A request asks for leave.
    Ask(Call),
    /// An attempt is sent.
    Send(Call),
    /// What an attempt shows is here.
    Back(Call, usize, Told),
    /// What a probe shows is here, or that it was lost.
    Probed(Probe, Option<Told>),
}

/// The detour as the world knows it from what it is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) path: usize,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Which one: a detour that moved is another one.
    pub(crate) serial: u64,
    pub(crate) n_in_flight: u32,
}

/// One provider with everything around it.
#[derive(Debug)]
pub struct World {
    seed: u64,
    step: u64,
    pub(crate) random: Random,
    pub(crate) now: Timestamp,
    pub(crate) judge: Judge,
    pub(crate) names: Vec<String>,
    pub(crate) moods: Vec<Mood>,
    pub(crate) around: Surroundings,
    pub(crate) broken_until: Vec<Option<Timestamp>>,
    pub(crate) n_odd: u64,
    pub(crate) n_lost: u64,
    queue: BTreeMap<(Timestamp, u64), Due>,
    n_due: u64,
    /// When the prober looks again.
    pub(crate) tick_at: Timestamp,
    pub(crate) is_asleep: bool,
    /// Between two requests; `None` for no traffic but what is sent by hand.
    pub(crate) calls_every: Option<Duration>,
    pub(crate) call_at: Timestamp,
    pub(crate) n_calls: u64,
    pub(crate) sent: Ledger,
    pub(crate) sent_round: Ledger,
    pub(crate) probes: Times,
    pub(crate) controls: Times,
    pub(crate) probing: [u32; N_PATHS_MAX],
    pub(crate) epochs: [u64; N_PATHS_MAX],
    pub(crate) failed_at: [Option<Timestamp>; N_PATHS_MAX],
    n_failed: [u64; N_PATHS_MAX],
    /// Since when the provider has done nothing but limit us, if it does.
    pub(crate) only_limits_since: Option<Timestamp>,
    /// Since when every path gets nothing but 5xx.
    pub(crate) down_since: Option<Timestamp>,
    pub(crate) round: Option<Round>,
    /// Since when the detours of this trouble have lasted.
    boxed_since: Option<Timestamp>,
    n_rounds: u64,
    pub(crate) verdict: Option<Verdict>,
    verdict_at: Timestamp,
    text: Option<String>,
}

impl World {
    /// A world in which chance chooses everything.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0057_4f52_4c44);
        let begins = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(473_000);
        let n = 1 + random.index(4);
        let paths = (1..=n).map(|n| format!("path-{n}")).collect();
        let policy = crate::act::policy(&mut random, begins);
        let n_odd = random.pick(0, &[2, 10]);
        let n_lost = random.pick(0, &[5]);
        Self::with(Setting { seed, paths, policy, begins, n_odd, n_lost })
    }

    /// A world that begins like this.
    pub fn with(setting: Setting) -> Self {
        let Setting { seed, mut paths, policy, begins, n_odd, n_lost } = setting;
        paths.truncate(N_PATHS_MAX);
        let specs: Vec<PathSpec> =
            paths.iter().map(|name| PathSpec { group: name.clone() }).collect();
        let mut world = Self {
            seed,
            step: 0,
            random: Random::new(seed),
            now: begins,
            judge: Judge::new(policy, &specs, seed),
            moods: vec![Mood::Fine; paths.len()],
            around: Surroundings::default(),
            broken_until: vec![None; paths.len()],
            names: paths,
            n_odd,
            n_lost,
            queue: BTreeMap::new(),
            n_due: 0,
            tick_at: begins,
            is_asleep: false,
            calls_every: None,
            call_at: begins,
            n_calls: 0,
            sent: Ledger::default(),
            sent_round: Ledger::default(),
            probes: Times::default(),
            controls: Times::default(),
            probing: [0; N_PATHS_MAX],
            epochs: [0; N_PATHS_MAX],
            failed_at: [None; N_PATHS_MAX],
            n_failed: [0; N_PATHS_MAX],
            only_limits_since: None,
            down_since: None,
            round: None,
            boxed_since: None,
            n_rounds: 0,
            verdict: None,
            verdict_at: begins,
            text: None,
        };
        world.note_pace();
        world
    }

    /// Keeps what happens as text.
    pub fn keep_text(&mut self) {
        self.text = Some(String::new());
    }

    /// What happened so far, if it was kept.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    pub(crate) fn write(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.text.is_none() {
            return;
        }
        let line = format!("{} {}\n", words::time(self.now), line(self));
        self.text.iter_mut().for_each(|text| text.push_str(&line));
    }

    /// The instant of now.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Failures of requests over this path so far.
    pub fn n_failed(&self, path: usize) -> u64 {
        self.n_failed.get(path).copied().unwrap_or(0)
    }

    /// The judge of the provider.
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The verdict that stands.
    pub const fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Writes a line of one's own into the text.
    pub fn remark(&mut self, line: &str) {
        self.write(|_| format!("# {line}"));
    }

    /// Counts one step more; messages name it.
    pub(crate) const fn next_step(&mut self) {
        self.step += 1;
    }

    pub(crate) const fn step(&self) -> u64 {
        self.step
    }

    /// Fails loudly, with what is needed to see it again.
    pub(crate) fn must(&self, holds: bool, what: impl FnOnce() -> String) {
        assert!(
            holds,
            "SIM_SEED={} step {} at {}: {}",
            self.seed,
            self.step,
            words::time(self.now),
            what()
        );
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, due: Due) {
        self.n_due += 1;
        self.queue.insert((at.max(self.now), self.n_due), due);
    }

    /// The prober is rung for.
    pub(crate) fn ring(&mut self) {
        self.tick_at = self.tick_at.min(after(self.now, Duration::from_millis(1)));
    }

    /// The provider, or what lies before it, treats this path otherwise from now on.
    pub fn set_mood(&mut self, path: usize, mood: Mood) {
        if let Some(at) = self.moods.get_mut(path) {
            *at = mood;
        }
        let only_limits = self.moods.iter().all(|mood| *mood == Mood::Fine || mood.limits());
        let only_down = self.moods.iter().all(|mood| *mood == Mood::Down);
        let now = self.now;
        let going_on =
            |before: Option<Timestamp>, holds: bool| holds.then(|| before.unwrap_or(now));
        self.only_limits_since = going_on(self.only_limits_since, only_limits);
        self.down_since = going_on(self.down_since, only_down);
    }

    /// One request comes so often from now on; `None` for silence.
    pub fn call_every(&mut self, every: Option<Duration>) {
        (self.calls_every, self.call_at) = (every, self.now);
    }

    /// A person orders something.
    pub fn order(&mut self, order: Order) {
        self.judge.order(order);
        self.hear();
        self.ring();
    }

    /// The policy of a reloaded configuration.
    pub fn reload(&mut self, policy: Policy) {
        let wait_max = self.judge.policy().wait_max;
        self.judge.adopt_policy(policy);
        self.note_paces(wait_max);
        self.ring();
    }

    fn note_pace(&mut self) {
        self.note_paces(Duration::ZERO);
    }

    fn note_paces(&mut self, wait_max: Duration) {
        let policy = self.judge.policy();
        let share = |percent| policy.budget.map(|pace| pace.share(percent, policy.instances));
        let (whole, reduced) = (share(100), share(policy.detour_rate));
        self.sent.pace(whole, wait_max, self.now);
        self.sent_round.pace(reduced, wait_max, self.now);
    }

    /// Lets time pass, and does what is due in it.
    pub fn run_until(&mut self, end: Timestamp) {
        loop {
            let due = self.queue.first_key_value().map(|(&(at, _), _)| at);
            let tick = (!self.is_asleep).then_some(self.tick_at);
            let call = self.calls_every.map(|_| self.call_at);
            let Some(next) = due.into_iter().chain(tick).chain(call).min() else { break };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if due == Some(next) {
                if let Some((_, due)) = self.queue.pop_first() {
                    self.perform(due);
                }
            } else if call == Some(next) {
                self.call_at = after(self.now, self.calls_every.unwrap_or_default());
                self.call();
            } else {
                self.look();
            }
        }
        self.now = self.now.max(end);
    }

    /// Lets this much time pass.
    pub fn run(&mut self, by: Duration) {
        self.run_until(after(self.now, by));
    }

    /// Time during which nobody looks: then it is later all at once.
    pub(crate) fn skip(&mut self, by: Duration) {
        let calls = self.calls_every.take();
        self.is_asleep = true;
        self.run(Duration::from_secs(60));
        self.is_asleep = false;
        self.calls_every = calls;
        self.now = after(self.now, by);
        (self.call_at, self.tick_at) = (self.now, self.now);
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::Ask(call) => self.ask(call),
            Due::Send(call) => self.send(call),
            Due::Back(call, path, told) => self.back(call, path, &told),
            Due::Probed(probe, told) => self.probed(probe, told.as_ref()),
        }
    }

    /// Whether a detour may be taken, by the world's own reading of policy and orders.
    pub(crate) fn may_go_round(&self) -> bool {
        let granted = match &self.judge.policy().on_block {
            OnBlock::Detour(grant) => grant.expires > self.now,
            OnBlock::Alert | OnBlock::Stale => false,
        };
        granted && *self.judge.ordered() == Order::None
    }

    pub(crate) fn is_gated(&self) -> bool {
        self.judge.gate_opens_in(self.now).is_some()
    }

    /// Notes what the judge is told of a path.
    pub(crate) fn note_failure(&mut self, path: usize, shown: &Shown) {
        if shown.is_failure()
            && let Some(at) = self.failed_at.get_mut(path)
            && let Some(n) = self.n_failed.get_mut(path)
        {
            *at = Some(self.now);
            *n += 1;
        }
    }

    /// Hears what happened, and holds it against the law.
    pub(crate) fn hear(&mut self) {
        for event in self.judge.take_events() {
            self.write(|world| words::event(&event, &world.names));
            self.hold(&event);
        }
    }

    fn hold(&mut self, event: &Event) {
        match event {
            Event::Moved { path, change } => {
                let keeps_epoch = change.why == Why::ProbeFailed;
                if let Some(epoch) = self.epochs.get_mut(*path).filter(|_| !keeps_epoch) {
                    *epoch += 1;
                }
                if let Some(n) = self.probing.get_mut(*path).filter(|_| !keeps_epoch) {
                    *n = 0;
                }
            }
            Event::Judged { verdict } => {
                (self.verdict, self.verdict_at) = (Some(verdict.clone()), self.now);
                self.hold_verdict(verdict);
            }
            Event::DetourBegan { from, to, until } => self.hold_began(*from, *to, *until),
            Event::DetourMoved { from, to } => {
                let round = self.round;
                self.must(round.is_some_and(|round| round.path == *from), || {
                    format!("a detour moved from {from} that was {round:?}")
                });
                self.must(!self.is_gated(), || "a detour moved while gated".to_owned());
                self.n_rounds += 1;
                let serial = self.n_rounds;
                self.round = round.map(|r| Round { path: *to, serial, n_in_flight: 0, ..r });
            }
            Event::DetourEnded { why, .. } => {
                self.must(self.round.is_some(), || "a detour ended that was none".to_owned());
                let is_said = !matches!(why, Ended::Forbidden(NoDetour::Gated));
                self.must(is_said, || "a gate ended a detour".to_owned());
                self.round = None;
            }
            Event::Recovered { .. } => self.hold_recovered(),
            Event::Closed { .. } => (self.verdict, self.boxed_since) = (None, None),
            Event::Ordered { order } if *order == Order::None => self.boxed_since = None,
            Event::Gated { .. }
            | Event::DetourRefused { .. }
            | Event::Attributed { .. }
            | Event::Ordered { .. } => {}
        }
    }

    fn hold_began(&mut self, from: usize, to: usize, until: Timestamp) {
        let (allowed, max) = (self.may_go_round(), self.judge.policy().detour_max);
        self.must(allowed, || "a detour began that nobody allows".to_owned());
        self.must(self.round.is_none(), || "two detours at once".to_owned());
        self.must(from != to, || "a detour over the path that it leaves".to_owned());
        self.must(!self.is_gated(), || "a detour began while gated".to_owned());
        self.must(since(self.now, until) <= max.min(DETOUR_CEILING), || {
            format!("a detour until {until}")
        });
        // A verdict from before may stand for long; one that was reached since may not lead here.
        // One time-box a trouble, however often its detours end and begin.
        let first = *self.boxed_since.get_or_insert(self.now);
        self.must(since(first, until) <= max.min(DETOUR_CEILING), || {
            format!("a detour until {until}, and the first was at {first}")
        });
        let long = Duration::from_secs(90);
        let long = self.n_odd == 0
            && self.only_limits_since.is_some_and(|at| since(at, self.verdict_at) > long);
        self.must(!long, || "a detour began although the provider only limits us".to_owned());
        self.n_rounds += 1;
        let serial = self.n_rounds;
        self.round = Some(Round { path: to, since: self.now, until, serial, n_in_flight: 0 });
    }

    fn hold_recovered(&self) {
        self.must(self.round.is_none(), || "recovered, and yet a detour runs".to_owned());
        let pause = self.judge.policy().compare.pause;
        let Some(verdict) = self.verdict.as_ref() else { return };
        // Where the first path is blamed, the others do not keep a trouble alive.
        let first = verdict.failing.contains(&0);
        for &path in verdict.failing.iter().filter(|path| !first || **path == 0) {
            let failed_at = self.failed_at.get(path).copied().flatten();
            let is_recent = failed_at.is_some_and(|at| since(at, self.now) < pause);
            self.must(!is_recent, || format!("recovered, and yet path {path} failed just now"));
        }
    }

    fn hold_verdict(&self, verdict: &Verdict) {
        let seen = |path: &usize| verdict.seen.get(*path).is_some_and(|seen| seen.n_failed >= 2);
        if verdict.kind == Kind::BlocksAddresses {
            self.must(!verdict.failing.is_empty(), || "nobody is blocked".to_owned());
            self.must(verdict.failing.iter().all(seen), || {
                format!("blamed without two failures: {verdict:?}")
            });
            // Longer than any comparison lasts: what it saw was nothing but 5xx.
            let is_5xx = self.n_odd == 0
                && self.down_since.is_some_and(|at| since(at, self.now) > Duration::from_secs(90));
            self.must(!is_5xx, || format!("5xx everywhere taken for a block: {verdict:?}"));
        }
    }
}
