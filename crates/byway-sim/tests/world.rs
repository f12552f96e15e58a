//! The seeded world: 256 seeds of 2,000 steps. `SIM_SEED=n` replays one; `SIM_SEEDS` and
//! `SIM_STEPS` widen.

#![cfg(test)]

use byway_sim::World;

#[expect(clippy::disallowed_methods, reason = "how a seed is replayed; nothing is configured")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Names the seed if anything panics, the core's own assertions included.
struct Replay(u64, u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with SIM_SEED={}; it failed at step {}", self.0, self.1);
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(256),
    }
}

fn run(seed: u64, n_steps: u64, keep_text: bool) -> World {
    let mut replay = Replay(seed, 0);
    let mut world = World::new(seed);
    if keep_text {
        world.keep_text();
    }
    for step in 0..n_steps {
        replay.1 = step;
        world.act();
        world.check_invariants();
    }
    world.calm_down(12);
    world
}

/// Every other seed, so that two cores share the work.
fn run_half(half: u64) {
    let n_steps = number("SIM_STEPS").unwrap_or(2000);
    for seed in seeds().filter(|seed| seed % 2 == half) {
        run(seed, n_steps, false);
    }
}

#[test]
fn the_rules_hold_in_every_even_world() {
    run_half(0);
}

#[test]
fn the_rules_hold_in_every_odd_world() {
    run_half(1);
}

#[test]
fn the_same_seed_gives_the_same_text() {
    for seed in seeds().step_by(16) {
        let (first, second) = (run(seed, 500, true), run(seed, 500, true));
        assert!(first.text() == second.text(), "SIM_SEED={seed}: the texts differ");
        assert!(first.text().lines().count() > 500, "SIM_SEED={seed}: hardly anything happened");
    }
}
