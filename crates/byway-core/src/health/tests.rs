//! Scripts of outcomes and the states that they lead to.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};

use super::{Mark, PathHealth, Permit, State};
use crate::policy::Health;

fn at(s: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + s)
}

const HARD: Mark = Mark::Hard { is_strong: false };
const STRONG: Mark = Mark::Hard { is_strong: true };

/// `t word…`: `g`ood, `h`ard, `s`trong, `4`29, `n`eutral live outcomes; `P…` the same by a probe.
fn check(script: &str, expect: Expect) {
    let mut health = PathHealth::new(Health::default(), 7);
    let mut out = String::new();
    for line in script.split(';') {
        let mut words = line.split_whitespace();
        let t: i64 = words.next().unwrap().parse().unwrap();
        if let Some(change) = health.tick(at(t)) {
            writeln!(out, "t={t} {} ({})", change.to.as_str(), change.why.as_str()).unwrap();
        }
        for word in words {
            let (is_probe, mark) = match word.strip_prefix('P') {
                Some(rest) => (true, rest),
                None => (false, word),
            };
            let mark = match mark {
                "g" => Mark::Good,
                "h" => HARD,
                "s" => STRONG,
                "4" => Mark::Soft,
                "n" => Mark::Neutral,
                other => panic!("{other}"),
            };
            let permit = if is_probe {
                let Some(permit) = health.begin_probe(at(t)) else {
                    writeln!(out, "t={t} no probe").unwrap();
                    continue;
                };
                permit
            } else {
                health.permit()
            };
            if let Some(change) = health.finish(permit, mark, at(t)) {
                writeln!(out, "t={t} {} ({})", change.to.as_str(), change.why.as_str()).unwrap();
            }
        }
    }
    writeln!(out, "end {}", health.state().as_str()).unwrap();
    expect.assert_eq(&out);
}

#[test]
fn five_hard_failures_in_a_row_trip() {
    check(
        "0 g g g g g g g g h h h h g; 1 h h h h h",
        expect![[r#"
        t=1 down (consecutive)
        end down
    "#]],
    );
}

#[test]
fn two_strong_signatures_in_a_row_trip() {
    check(
        "0 s h s g s; 1 s",
        expect![[r#"
        t=1 down (signature)
        end down
    "#]],
    );
}

#[test]
fn a_low_ratio_trips_only_with_enough_attempts() {
    check(
        "0 h h h h g h h h h g h",
        expect![[r#"
        t=0 down (ratio)
        end down
    "#]],
    );
    check(
        "0 h h h h g; 40 h h h h g; 80 h h h h g",
        expect![[r#"
        end up
    "#]],
    );
}

#[test]
fn rate_limits_and_own_faults_never_trip() {
    check(
        "0 4 4 4 4 4 4 4 4 4 4 4 4 n n n n n n n n n n n n",
        expect![[r#"
        end up
    "#]],
    );
}

#[test]
fn recovery_needs_three_probes_over_two_minutes_and_the_ramp() {
    check(
        "0 s s; 1 Pg; 6 Pg; 7 Pg; 66 Pg; 126 Pg; 126 g; 156 g; 186 g; 216 g; 246 g",
        expect![[r#"
            t=0 down (signature)
            t=1 no probe
            t=7 no probe
            t=126 ramping (probes_good)
            t=246 up (ramp_done)
            end up
        "#]],
    );
}

#[test]
fn a_rate_limited_probe_fails() {
    check(
        "0 s s; 6 Pg; 66 P4; 67 Pg",
        expect![[r#"
        t=0 down (signature)
        t=66 down (probe_failed)
        t=67 no probe
        end down
    "#]],
    );
}

#[test]
fn one_failure_ends_a_ramp() {
    check(
        "0 s s; 6 Pg; 66 Pg; 126 Pg; 127 g h",
        expect![[r#"
        t=0 down (signature)
        t=126 ramping (probes_good)
        t=127 down (ramp_failed)
        end down
    "#]],
    );
}

#[test]
fn a_path_without_an_alternative_recovers_by_its_requests() {
    check(
        "0 s s; 2 g; 50 g; 122 g; 123 g; 153 g; 183 g; 213 g; 243 g",
        expect![[r#"
        t=0 down (signature)
        t=122 ramping (probes_good)
        t=243 up (ramp_done)
        end up
    "#]],
    );
}

#[test]
fn stragglers_cannot_move_a_path() {
    let mut health = PathHealth::new(Health::default(), 7);
    let old: Vec<Permit> = (0..10).map(|_| health.permit()).collect();
    for permit in &old {
        health.finish(*permit, STRONG, at(0));
    }
    let state = health.state();
    for permit in &old {
        assert_eq!(health.finish(*permit, Mark::Good, at(1)), None);
        assert_eq!(health.finish(*permit, STRONG, at(1)), None);
    }
    assert_eq!(health.state(), state);
}

#[test]
fn a_cancelled_probe_frees_the_slot() {
    let mut health = PathHealth::new(Health::default(), 7);
    for _ in 0..2 {
        health.finish(health.permit(), STRONG, at(0));
    }
    let probe = health.begin_probe(at(10)).unwrap();
    assert_eq!(health.begin_probe(at(10)), None, "one probe at a time");
    health.abandon(probe);
    let again = health.begin_probe(at(10)).unwrap();
    assert_eq!(health.finish(again, Mark::Neutral, at(10)), None);
    assert!(health.begin_probe(at(10)).is_some(), "a neutral result frees it too");
}

#[test]
fn backoff_grows_to_its_cap_and_never_starts_below_half() {
    let settings = Health::default();
    let mut health = PathHealth::new(settings, 7);
    for _ in 0..2 {
        health.finish(health.permit(), STRONG, at(0));
    }
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let State::Down { until } = health.state() else { panic!("{:?}", health.state()) };
        pauses.push(until.duration_since(now).as_secs());
        now = until;
        let permit = health.begin_probe(now).unwrap();
        health.finish(permit, HARD, now);
    }
    for (round, pause) in pauses.iter().enumerate() {
        let base = (5 << round).min(300);
        assert!((base / 2..=base).contains(pause), "round {round}: {pause} s of {base} s");
    }
}

#[test]
fn a_flapping_path_is_kept_out_until_its_penalty_is_gone() {
    let mut health = PathHealth::new(Health::default(), 7);
    let mut now = 0;
    for n_up in 0..3 {
        for _ in 0..2 {
            health.finish(health.permit(), STRONG, at(now));
        }
        while health.state() != State::Up && n_up < 2 {
            now += 1;
            if let Some(permit) = health.begin_probe(at(now)) {
                health.finish(permit, Mark::Good, at(now));
            } else if health.admits(at(now)) {
                health.finish(health.permit(), Mark::Good, at(now));
            }
            health.tick(at(now));
            assert!(now < 100_000, "never came back");
        }
        if health.is_suppressed(at(now)) {
            break;
        }
    }
    assert!(health.is_suppressed(at(now)), "tripping again and again is noticed");
    assert!(!health.is_suppressed(at(now + 2 * 3600)), "and forgiven");
}

#[test]
fn re_entry_trips_at_least_as_fast() {
    for script in [vec![STRONG; 20], vec![HARD; 20], [HARD, STRONG].repeat(10)] {
        let trip_after = |health: &mut PathHealth, now: i64| {
            1 + script
                .iter()
                .position(|&mark| health.finish(health.permit(), mark, at(now)).is_some())
                .unwrap()
        };
        let mut health = PathHealth::new(Health::default(), 3);
        let first = trip_after(&mut health, 0);
        let mut now = 1;
        while health.state() != State::Up {
            if let Some(permit) = health.begin_probe(at(now)) {
                health.finish(permit, Mark::Good, at(now));
            } else if matches!(health.state(), State::Ramping { .. }) {
                let mut copy = health.clone();
                assert_eq!(trip_after(&mut copy, now), 1, "a ramp trips at once");
                health.finish(health.permit(), Mark::Good, at(now));
            }
            health.tick(at(now));
            now += 1;
        }
        assert!(trip_after(&mut health, now) <= first);
    }
}

#[test]
fn traffic_that_half_works_with_nowhere_else_to_go_is_one_transition() {
    check(
        "0 h h h h h; 1 g h g h g h g h; 2 g h g h; 9 Ph; 10 g h",
        expect![[r#"
        t=0 down (consecutive)
        end down
    "#]],
    );
}
