//! Callers: each request asks, waits, is sent, and goes on as the gateway lets it go on.

use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::choose::{N_PATHS_MAX, PathView, Plan, choose};
use byway_core::classify::{Blame, Class, Resend};
use byway_core::detect::Shown;
use byway_core::evidence::Sent;
use byway_core::failover::{Chance, Next, next};
use byway_core::health::{Mark, State};
use byway_core::judge::{Leave, Passage};
use byway_core::time::{after, since};
use jiff::Timestamp;

use crate::provider::{Mood, Told, tell};
use crate::words;
use crate::world::{Due, World};

/// As long as the gateway takes a way out to be broken.
const BROKEN_FOR: Duration = Duration::from_secs(10);

/// Why a request asks for leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// It begins.
    First,
    /// Its gate is open again.
    AfterGate,
    /// It takes another path than this one.
    Elsewhere(usize),
}

/// How freely a request may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Put,
    Post,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    id: u64,
    method: Method,
    /// The caller goes away after this.
    leaves_after: Option<Duration>,
    asks: Asks,
    /// Since when it has waited for leave.
    waits_since: Timestamp,
    passage: Option<Passage>,
    /// The detour that the passage counts on.
    serial: Option<u64>,
    /// The epochs of the paths when it was given leave.
    epochs: [u64; N_PATHS_MAX],
    plan: Plan,
    position: usize,
    is_repeated: bool,
    /// What was decided last, and after which path.
    last: Option<(Next, usize)>,
    /// It was limited on this path, and nothing was sent since.
    limited_on: Option<usize>,
    /// It still has to wait for its slot.
    is_paced: bool,
}

impl World {
    /// One more request.
    pub(crate) fn call(&mut self) {
        self.n_calls += 1;
        let method = self.random.pick(Method::Get, &[Method::Get, Method::Put, Method::Post]);
        let goes = self.n_odd > 0 && self.random.percent(2);
        let call = Call {
            id: self.n_calls,
            method,
            leaves_after: goes.then(|| Duration::from_millis(self.random.below(3000))),
            asks: Asks::First,
            waits_since: self.now,
            passage: None,
            serial: None,
            epochs: [0; N_PATHS_MAX],
            plan: Plan::default(),
            position: 0,
            is_repeated: false,
            last: None,
            limited_on: None,
            is_paced: false,
        };
        self.ask(call);
    }

    /// Asks for leave, and waits for it as long as a request may wait.
    pub(crate) fn ask(&mut self, mut call: Call) {
        let wait_max = self.judge.policy().wait_max;
        let is_gated = self.is_gated();
        match self.judge.ask(self.now) {
            Leave::Go(passage) => {
                self.must(!is_gated, || format!("request {} may go although gated", call.id));
                self.admit(&mut call, passage);
                let at = after(self.now, passage.wait);
                self.schedule(at, Due::Send(call));
            }
            Leave::Wait(wait) if since(call.waits_since, self.now) < wait_max => {
                let at = after(self.now, wait.max(Duration::from_millis(1)));
                self.schedule(at, Due::Ask(call));
            }
            Leave::Wait(_) => self.write(|_| format!("call {} waited too long", call.id)),
            Leave::Busy(_) => self.write(|_| format!("call {} is turned away", call.id)),
        }
    }

    fn admit(&mut self, call: &mut Call, passage: Passage) {
        call.passage = Some(passage);
        call.is_paced = !passage.wait.is_zero();
        call.epochs = self.epochs;
        call.serial = None;
        if passage.is_on_detour() {
            let (allowed, round, now) = (self.may_go_round(), self.round, self.now);
            self.must(allowed, || "leave for a detour that nobody allows".to_owned());
            let fits = round.is_some_and(|r| Some(r.path) == passage.lead && now < r.until);
            self.must(fits, || format!("leave for {:?} on {round:?}", passage.lead));
            call.serial = round.map(|round| round.serial);
            self.round.iter_mut().for_each(|round| round.n_in_flight += 1);
        }
        match call.asks {
            Asks::First => (call.plan, call.position) = (self.plan(&passage), 0),
            Asks::AfterGate => {}
            Asks::Elsewhere(tried) => {
                // The plan of now, from the first path that was not just tried.
                call.plan = self.plan(&passage);
                let other = call.plan.order().position(|path| path != tried);
                call.position = other.unwrap_or(N_PATHS_MAX);
            }
        }
    }

    fn plan(&self, passage: &Passage) -> Plan {
        let view = |(index, broken_until): (usize, &Option<Timestamp>)| PathView {
            broken_until: *broken_until,
            is_gone_round: passage.gone_round & (1 << index) != 0,
            unfit: None,
        };
        let views: Vec<PathView> = self.broken_until.iter().enumerate().map(view).collect();
        let plan = choose(&views, passage.lead, self.now);
        self.must(plan.nth(0).is_some(), || format!("no path at all: {passage:?}"));
        plan
    }

    fn is_broken(&self, path: usize) -> bool {
        self.broken_until.get(path).copied().flatten().is_some_and(|until| until > self.now)
    }

    /// Gives leave back.
    fn leave(&mut self, call: &mut Call, is_good: bool) {
        if let Some(passage) = call.passage.take() {
            self.judge.leave(&passage, is_good);
            let serial = call.serial.take();
            if let Some(round) = self.round.as_mut().filter(|r| Some(r.serial) == serial) {
                round.n_in_flight = round.n_in_flight.saturating_sub(1);
            }
        }
    }

    /// Sends the next attempt.
    pub(crate) fn send(&mut self, mut call: Call) {
        if call.is_paced && self.is_gated() {
            // The gate closed while it waited for its slot.
            self.leave(&mut call, false);
            return self.ask(call);
        }
        if let Asks::Elsewhere(tried) = call.asks
            && !self.judge.permission_over(tried, self.now).is_granted
        {
            // Somebody forbade it while it waited.
            return self.leave(&mut call, false);
        }
        call.is_paced = false;
        let Some(path) = call.plan.nth(call.position) else {
            let goes_on = matches!(call.asks, Asks::Elsewhere(_));
            self.must(goes_on, || format!("call {} has no path", call.id));
            return self.leave(&mut call, false);
        };
        self.hold_send(&call, path);
        (call.limited_on, call.asks) = (None, Asks::First);
        let mut told = self.try_path(path);
        if let Some(leaves) = call.leaves_after
            && leaves < told.after
        {
            told = Told::failure(Cause::HeadTimeout, Sent::Some, leaves);
        }
        // What leaves a broken way out for the next path reaches the provider once: a moment after
        // the slot that it was given.
        if !matches!(call.last, Some((Next::NextPath, _))) {
            let over = self.sent.send(self.now);
            self.must(over.is_none(), || format!("over the budget: {over:?}"));
            if call.serial.is_some() && self.round.is_some_and(|round| round.path == path) {
                let over = self.sent_round.send(self.now);
                self.must(over.is_none(), || format!("over the detour's budget: {over:?}"));
            }
        }
        let at = after(self.now, told.after);
        self.schedule(at, Due::Back(call, path, told));
    }

    /// What the provider does to one attempt over this path.
    pub(crate) fn try_path(&mut self, path: usize) -> Told {
        let mood = self.moods.get(path).copied().unwrap_or(Mood::Fine);
        let is_odd = self.random.below(1000) < self.n_odd;
        let mood = match is_odd {
            false => mood,
            true => self.random.pick(
                Mood::Down,
                &[Mood::Fine, Mood::Refuses, Mood::Resets, Mood::Closed, Mood::OwnFault],
            ),
        };
        tell(mood, &mut self.random)
    }

    fn hold_send(&self, call: &Call, path: usize) {
        let id = call.id;
        self.must(!self.is_gated(), || format!("call {id} is sent over {path} although gated"));
        if let Some(limited_on) = call.limited_on {
            self.must(limited_on == path, || {
                format!("call {id} was limited on {limited_on} and goes over {path}")
            });
        }
        let is_led = call.passage.is_some_and(|passage| passage.lead == Some(path));
        match call.last {
            Some((Next::NextPath, _)) => {}
            Some((Next::Detour, from)) => {
                self.must(from != path, || format!("call {id} goes round {from} over itself"));
                self.must(self.may_go_round(), || format!("call {id} goes round, unallowed"));
                // Where the detour's own way out is broken, the next path is taken; what had its
                // leave before the detour began does not know of it.
                let is_one = self.round.is_none_or(|round| {
                    let is_known = round.since < call.waits_since;
                    !is_known || round.path == path || self.is_broken(round.path)
                });
                let is_one = is_one || is_led;
                self.must(is_one, || {
                    format!("call {id} goes round {from} over {path}: {:?}", self.round)
                });
            }
            Some((_, before)) => {
                self.must(before == path, || format!("call {id} went from {before} to {path}"));
            }
            None => {}
        }
    }

    /// What an attempt showed is here: tells it, and goes on.
    pub(crate) fn back(&mut self, mut call: Call, path: usize, told: &Told) {
        let shown = told.shown;
        let class = shown.outcome.class;
        if class == Class::RateLimited || told.pause.is_some() {
            self.judge.limited(told.pause, class == Class::RateLimited, self.now);
            self.hear();
            self.ring();
        }
        if shown.outcome.origin == Blame::Path
            && let Some(until) = self.broken_until.get_mut(path)
        {
            *until = Some(after(self.now, BROKEN_FOR));
        }
        let chance = Chance {
            stale_connection: false,
            repeated: call.is_repeated,
            has_next_path: call.plan.nth(call.position + 1).is_some(),
            replayable: true,
            idempotent: call.method != Method::Post,
            safe: call.method == Method::Get,
            way_out_broke: shown.outcome.origin == Blame::Path,
            has_copy: false,
            permission: self.judge.permission_over(path, self.now),
        };
        let decided = next(&shown.outcome, chance);
        self.must(
            class != Class::RateLimited || !matches!(decided, Next::NextPath | Next::Detour),
            || "a rate limit moves a request".to_owned(),
        );
        self.write(|world| {
            let name = world.names.get(path).map_or("", String::as_str);
            words::attempt(call.id, name, &shown, decided)
        });
        let is_answered = shown.outcome.resend != Resend::Safe && shown.status.is_some();
        call.last = Some((decided, path));
        call.limited_on = (class == Class::RateLimited).then_some(path);
        self.tell(&call, path, &shown);
        self.go_on(call, decided, path, is_answered && Mark::of(&shown.outcome) == Mark::Good);
    }

    fn go_on(&mut self, mut call: Call, decided: Next, path: usize, is_good: bool) {
        match decided {
            Next::SamePath | Next::Retry if self.may_retry() => {
                call.is_repeated = true;
                self.send(call);
            }
            Next::RetryAfterGate => {
                let wait_max = self.judge.policy().wait_max;
                let opens = self.judge.gate_opens_in(self.now);
                self.leave(&mut call, false);
                if opens.is_some_and(|opens| opens <= wait_max) {
                    (call.asks, call.is_repeated) = (Asks::AfterGate, true);
                    call.waits_since = self.now;
                    self.ask(call);
                }
            }
            Next::NextPath => {
                (call.position, call.is_repeated) = (call.position + 1, false);
                self.send(call);
            }
            Next::Detour if self.may_retry() => {
                self.leave(&mut call, false);
                (call.asks, call.is_repeated) = (Asks::Elsewhere(path), false);
                call.waits_since = self.now;
                self.ask(call);
            }
            Next::SamePath | Next::Retry | Next::Detour | Next::Copy | Next::GiveUp => {
                self.leave(&mut call, is_good);
            }
        }
    }

    fn may_retry(&mut self) -> bool {
        let is_gated = self.is_gated();
        let may = self.judge.may_retry(self.now);
        self.must(!(may && is_gated), || "a retry although gated".to_owned());
        may
    }

    fn states(&self) -> Vec<State> {
        self.judge.view(self.now).paths.iter().map(|path| path.state).collect()
    }

    /// Tells the judge what an attempt showed; checks that it does not take too much from it.
    fn tell(&mut self, call: &Call, path: usize, shown: &Shown) {
        let permit = call.passage.and_then(|passage| passage.permits.get(path).copied().flatten());
        let is_neutral = Mark::of(&shown.outcome) == Mark::Neutral;
        let is_late = call.epochs.get(path) != self.epochs.get(path);
        let is_odd = is_neutral || is_late;
        let before = is_odd.then(|| (self.states(), self.judge.compares()));
        self.note_failure(path, shown);
        if self.judge.finish(path, permit, shown, self.now) {
            self.ring();
        }
        if let Some((states, compares)) = before {
            let what = if is_neutral { "an own fault" } else { "a straggler" };
            let same = states == self.states();
            self.must(same, || format!("{what} on {path} changed {states:?}: {shown:?}"));
            let same = !is_neutral || compares == self.judge.compares();
            self.must(same, || format!("{what} on {path} began a comparison"));
        }
        self.hear();
    }
}
