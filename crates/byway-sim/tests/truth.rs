//! Where it is clear what the provider does, the verdict says so.

#![cfg(test)]

use std::time::Duration;

use byway_core::diagnose::Kind;
use byway_core::health::State;
use byway_core::policy::{Grant, OnBlock, Pace, Policy, Probing};
use byway_sim::{Mood, Random, Setting, World};
use jiff::{SignedDuration, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

fn begins() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(473_000)
}

fn world(random: &mut Random, n_paths: usize, on_block: OnBlock) -> World {
    let pace = Pace { n: 20, per: SECOND, burst: 40 };
    let policy =
        Policy { on_block, budget: random.percent(50).then_some(pace), ..Policy::default() };
    let paths = (1..=n_paths).map(|n| format!("path-{n}")).collect();
    let seed = random.draw();
    World::with(Setting { seed, paths, policy, begins: begins(), n_odd: 0, n_lost: 0 })
}

fn any_on_block(random: &mut Random) -> OnBlock {
    let grant =
        Grant { owner: "shop".to_owned(), reason: "agreed".to_owned(), expires: Timestamp::MAX };
    if random.percent(50) { OnBlock::Alert } else { OnBlock::Detour(grant) }
}

#[test]
fn blocked_addresses_are_named_exactly() {
    for seed in 0..128 {
        let mut random = Random::new(seed);
        let n_paths = 2 + random.index(5);
        let on_block = any_on_block(&mut random);
        let mut world = world(&mut random, n_paths, on_block);
        let every = random.pick(200, &[500, 1000, 3000]);
        world.call_every(Some(Duration::from_millis(every)));
        world.run(SECOND * 30);
        assert_eq!(world.verdict(), None, "seed {seed}: nothing happened yet");
        let mut blocked = vec![0];
        blocked.extend((1..n_paths - 1).filter(|_| random.percent(40)));
        for &path in &blocked {
            world.set_mood(path, Mood::Blocks { is_strong: true });
        }
        world.run(SECOND * 60);
        let verdict = world.verdict().unwrap_or_else(|| panic!("seed {seed}: no verdict"));
        assert_eq!(verdict.kind, Kind::BlocksAddresses, "seed {seed}: {verdict:?}");
        assert_eq!(verdict.failing, blocked, "seed {seed}: {verdict:?}");
    }
}

#[test]
fn an_outage_on_every_path_is_not_a_block() {
    for seed in 0..128 {
        let mut random = Random::new(seed);
        let n_paths = 2 + random.index(5);
        let on_block = any_on_block(&mut random);
        let mut world = world(&mut random, n_paths, on_block);
        world.call_every(Some(Duration::from_millis(random.pick(200, &[500, 3000]))));
        world.run(SECOND * 30);
        let mood = random.pick(Mood::Down, &[Mood::Overloaded { retry_after: None }]);
        (0..n_paths).for_each(|path| world.set_mood(path, mood));
        world.run(SECOND * 120);
        let verdict = world.verdict().unwrap_or_else(|| panic!("seed {seed}: no verdict"));
        assert_eq!(verdict.kind, Kind::ProviderDown, "seed {seed}: {verdict:?}");
        assert!(world.judge().view(world.now()).detour.is_none(), "seed {seed}");
    }
}

/// How many requests fail until the first path is out.
fn n_until_out(world: &mut World) -> u64 {
    let before = world.n_failed(0);
    let is_out = |world: &World| {
        let state = world.judge().view(world.now()).paths[0].state;
        matches!(state, State::Down { .. } | State::Probing { .. })
    };
    while !is_out(world) {
        world.run(Duration::from_millis(1));
        assert!(world.n_failed(0) - before < 100, "never out");
    }
    world.n_failed(0) - before
}

#[test]
fn who_came_back_goes_at_least_as_fast_as_before() {
    for seed in 0..64 {
        let mut random = Random::new(seed);
        // One path and no probes: nothing but its own requests speaks for it or against it.
        let mut world = world(&mut random, 1, OnBlock::Alert);
        world.reload(Policy { probing: Probing::Off, ..world.judge().policy().clone() });
        world.call_every(Some(SECOND));
        world.run(SECOND * 30);
        let weak = Mood::Blocks { is_strong: false };
        let strong = Mood::Blocks { is_strong: true };
        let mood = random.pick(strong, &[weak, Mood::Down, Mood::Closed, Mood::Resets]);
        let mut first = None;
        for round in 0..4 {
            world.set_mood(0, mood);
            let n = n_until_out(&mut world);
            let most = *first.get_or_insert(n);
            assert!(n <= most, "seed {seed} {mood:?} round {round}: {n}, and {most} at first");
            world.set_mood(0, Mood::Fine);
            // Somewhere in the ramp, or behind it.
            let is_back = |world: &World, whole: bool| {
                let state = world.judge().view(world.now()).paths[0].state;
                state == State::Up || !whole && matches!(state, State::Ramping { .. })
            };
            let whole = random.percent(50);
            while !is_back(&world, whole) {
                world.run(SECOND * 5);
            }
        }
    }
}
