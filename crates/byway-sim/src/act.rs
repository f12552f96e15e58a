//! What chance does to the world, and what must hold after it.
//!
//! | weight | what | exercises |
//! |---|---|---|
//! | 62 | a request, or a few | pace, waiting, retries, stragglers |
//! | 14 | one path is treated otherwise | trips, comparison, verdicts, detours |
//! | 4 | all paths are | outages, limits, gates |
//! | 8 | all is lifted | recovery, ramps, attribution |
//! | 3 | other traffic | ratio windows, silence |
//! | 2 | a person orders | stop, lock, allow |
//! | 3 | a reload | knowledge that stays, paces that change |
//! | 3 | a calm while | probes, ramps, hold windows |
//! | 1 | an hour is skipped | timers that are long over |

use std::time::Duration;

use byway_core::detour::{Order, Said};
use byway_core::health::State;
use byway_core::policy::{Grant, Health, OnBlock, OnPathFailure, Pace, Policy, Probing};
use byway_core::time::after;
use jiff::Timestamp;

use crate::provider::Mood;
use crate::random::Random;
use crate::world::World;

/// A policy that chance chooses.
pub(crate) fn policy(random: &mut Random, now: Timestamp) -> Policy {
    let expires_in = random.pick(86_400 * 365, &[1800, 86_400 * 30]);
    let grant = Grant {
        owner: "shop".to_owned(),
        reason: "agreed".to_owned(),
        expires: after(now, Duration::from_secs(expires_in)),
    };
    let on_block = match random.below(10) {
        0..=1 => OnBlock::Alert,
        2 => OnBlock::Stale,
        _ => OnBlock::Detour(grant),
    };
    let n = random.pick(20, &[2, 5, 100]);
    let pace = Pace {
        n,
        per: Duration::from_secs(random.pick(1, &[1, 10])),
        burst: random.pick(1, &[n, n * 2]),
    };
    let health = Health {
        consecutive_max: random.pick(5, &[2, 8]),
        strong_max: random.pick(2, &[1, 3]),
        ..Health::default()
    };
    Policy {
        on_block,
        on_path_failure: random.pick(OnPathFailure::Next, &[OnPathFailure::Stop]),
        probing: if random.percent(10) { Probing::Off } else { Probing::Auto },
        budget: (!random.percent(20)).then_some(pace),
        instances: random.pick(1, &[1, 3]),
        detour_max: Duration::from_secs(random.pick(4 * 3600, &[60, 600, 90_000])),
        detour_rate: random.pick(50, &[25, 100]),
        wait_max: Duration::from_secs(random.pick(10, &[0, 2])),
        health: if random.percent(70) { Health::default() } else { health },
        ..Policy::default()
    }
}

fn mood(random: &mut Random) -> Mood {
    let retry_after = random.pick(None, &[Some(1), Some(7), Some(120)]);
    match random.below(20) {
        0..=6 => Mood::Blocks { is_strong: random.percent(60) },
        7 => Mood::Refuses,
        8 => Mood::Challenges,
        9 => Mood::Limits { retry_after },
        10 => Mood::Overloaded { retry_after },
        11 => Mood::Down,
        12 => Mood::Hangs,
        13 => Mood::Resets,
        14..=15 => Mood::Closed,
        16 => Mood::Nameless,
        17 => Mood::NoWayOut,
        18 => Mood::OwnFault,
        _ => Mood::Slow,
    }
}

impl World {
    /// Does one thing, and lets a little time pass.
    pub fn act(&mut self) {
        self.next_step();
        match self.random.below(100) {
            0..=61 => {
                let n = self.random.pick(1, &[1, 1, 2, 4]);
                (0..n).for_each(|_| self.call());
            }
            62..=75 => {
                let path = if self.random.percent(50) { 0 } else { self.any_path() };
                let mood = mood(&mut self.random);
                self.set_mood(path, mood);
            }
            76..=79 => {
                let mood = mood(&mut self.random);
                self.set_moods(mood);
            }
            80..=87 => self.set_moods(Mood::Fine),
            88..=90 => {
                let ms = self.random.pick(None, &[Some(50), Some(500), Some(2000)]);
                self.call_every(ms.map(Duration::from_millis));
            }
            91..=92 => self.say(),
            93..=95 => {
                let policy = policy(&mut self.random, self.now);
                self.reload(policy);
            }
            96..=98 => self.calm(),
            _ => self.skip(Duration::from_secs(3600)),
        }
        let ms = self.random.pick(5, &[50, 500, 1500]);
        let ms = self.random.below(ms);
        self.run(Duration::from_millis(ms));
    }

    fn any_path(&mut self) -> usize {
        self.random.index(self.moods.len())
    }

    fn set_moods(&mut self, mood: Mood) {
        self.write(|_| format!("all paths: {mood:?}"));
        (0..self.moods.len()).for_each(|path| self.set_mood(path, mood));
    }

    fn say(&mut self) {
        let (by, reason) = ("person".to_owned(), "said so".to_owned());
        let said = Said { by, reason, at: self.now };
        let order = match self.random.below(4) {
            0 => Order::Stopped(said),
            1 => Order::Locked(said),
            _ => Order::None,
        };
        self.order(order);
    }

    fn calm(&mut self) {
        self.call_every(Some(Duration::from_secs(7)));
        let seconds = self.random.pick(20, &[120, 400]);
        self.run(Duration::from_secs(seconds));
        self.call_every(None);
    }

    /// Everything is mended, nobody forbids anything, and there is a little traffic or none: after
    /// these hours nothing may be left of any trouble.
    pub fn calm_down(&mut self, hours: u32) {
        self.set_moods(Mood::Fine);
        (self.n_odd, self.n_lost) = (0, 0);
        self.order(Order::None);
        let policy = Policy { probing: Probing::Auto, ..self.judge.policy().clone() };
        self.reload(policy);
        let every = self.random.pick(None, &[Some(Duration::from_secs(20))]);
        self.call_every(every);
        for _ in 0..hours * 60 {
            if self.judge.is_calm() {
                break;
            }
            self.run(Duration::from_secs(60));
            self.check_invariants();
        }
        let view = self.judge.view(self.now);
        let is_over = view.paths.iter().all(|path| path.state == State::Up)
            && view.detour.is_none()
            && view.standing.is_none();
        self.must(is_over, || format!("not over after {hours} calm hours: {view:?}"));
    }

    /// What must hold whatever happened.
    pub fn check_invariants(&self) {
        if !self.step().is_multiple_of(4) {
            return;
        }
        let view = self.judge.view(self.now);
        let ours = self.round.map(|round| (round.path, round.since, round.n_in_flight));
        let theirs = view.detour.map(|detour| (detour.path, detour.since, detour.n_in_flight));
        self.must(ours == theirs, || format!("the detour is {theirs:?}, was told {ours:?}"));
        self.must(view.n_free.is_some() == self.judge.policy().budget.is_some(), || {
            "a budget without a pace".to_owned()
        });
    }
}
