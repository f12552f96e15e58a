//! Paces, retries and gates over time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Gate, Gcra, RetryBudget};
use crate::policy::Pace;

fn at(ms: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1_700_000_000_000 + ms)
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_pace_is_never_exceeded_whatever_the_callers_do() {
    let pace = Pace { n: 20, per: Duration::from_secs(1), burst: 40 };
    for step_ms in [0, 1, 7, 50, 49, 51, 300] {
        let mut gcra = Gcra::new(pace);
        let mut passed: Vec<i64> = Vec::new();
        for n in 0..500 {
            let now = n * step_ms;
            if let Ok(wait) = gcra.take(at(now), MS * 500) {
                passed.push(now + i64::try_from(wait.as_millis()).unwrap());
            }
        }
        assert!(passed.len() >= 40, "a burst passes at once");
        for (index, start) in passed.iter().enumerate() {
            for (later, end) in passed.iter().enumerate().skip(index) {
                let n = i64::try_from(later - index).unwrap();
                let allowed = 40 + (end - start + 1) * 20 / 1000 + 1;
                assert!(n < allowed, "{n} requests in {} ms", end - start);
            }
        }
    }
}

#[test]
fn over_the_pace_one_waits_and_beyond_the_wait_one_is_told() {
    let mut gcra = Gcra::new(Pace { n: 1, per: Duration::from_secs(1), burst: 1 });
    assert_eq!(gcra.take(at(0), Duration::ZERO), Ok(Duration::ZERO));
    assert_eq!(gcra.take(at(0), MS * 1500), Ok(MS * 1000));
    assert_eq!(gcra.take(at(0), MS * 1500), Err(MS * 2000));
    assert_eq!(gcra.take(at(0), MS * 1500), Err(MS * 2000), "a refusal takes nothing");
    assert_eq!(gcra.take(at(600), MS * 1500), Ok(MS * 1400));
    assert_eq!(gcra.n_free(at(600)), 0);
    assert_eq!(gcra.n_free(at(60_000)), 1);
}

#[test]
fn another_pace_is_not_another_bucket() {
    let pace = |n, burst| Pace { n, per: Duration::from_secs(1), burst };
    let mut gcra = Gcra::new(pace(1, 4));
    for _ in 0..3 {
        assert_eq!(gcra.take(at(0), Duration::ZERO), Ok(Duration::ZERO));
    }
    gcra.adopt(pace(10, 4));
    assert_eq!(gcra.n_free(at(0)), 1, "three of four are taken, whatever they are worth");
    gcra.adopt(pace(10, 2));
    assert_eq!(gcra.take(at(0), Duration::ZERO), Err(MS * 200));
    assert_eq!(gcra.n_free(at(3000)), 2);
}

#[test]
fn slots_that_were_given_out_survive_two_changes_of_pace() {
    let pace = |n, burst| Pace { n, per: Duration::from_secs(1), burst };
    let mut gcra = Gcra::new(pace(1, 1));
    let waits: Vec<_> = (0..4).map(|_| gcra.take(at(0), MS * 5000).unwrap()).collect();
    assert_eq!(waits, [Duration::ZERO, MS * 1000, MS * 2000, MS * 3000]);
    gcra.adopt(pace(1, 100));
    assert_eq!(gcra.take(at(0), Duration::ZERO), Ok(Duration::ZERO));
    gcra.adopt(pace(10, 1));
    assert_eq!(gcra.take(at(10), MS * 5000), Ok(MS * 3090), "behind the last slot, not among them");
}

#[test]
fn a_slot_that_is_put_off_counts_when_it_is_used() {
    let mut gcra = Gcra::new(Pace { n: 1, per: Duration::from_secs(1), burst: 3 });
    gcra.take_after(MS * 1000, at(0));
    assert_eq!(gcra.ahead_max(), MS * 1000);
    assert_eq!(gcra.take(at(0), Duration::ZERO), Ok(Duration::ZERO), "others may still go now");
    assert_eq!(gcra.take(at(1000), Duration::ZERO), Ok(Duration::ZERO));
    assert_eq!(gcra.take(at(1000), Duration::ZERO), Err(MS * 1000), "three in a second are enough");
}

#[test]
fn a_share_divides_pace_and_burst() {
    let pace = Pace { n: 20, per: Duration::from_secs(1), burst: 40 };
    let half = pace.share(50, 1);
    assert_eq!((half.per / half.n, half.burst), (MS * 100, 20));
    let third = pace.share(100, 3);
    assert_eq!((third.per / third.n, third.burst), (MS * 150, 13));
    assert_eq!(pace.share(1, 100).burst, 1);
}

#[test]
fn retries_are_a_tenth_of_the_requests_and_one_a_second() {
    let mut budget = RetryBudget::new(10, 1);
    let granted = |budget: &mut RetryBudget, now| (0..1000).filter(|_| budget.take(now)).count();
    assert_eq!(granted(&mut budget, at(0)), 10, "ten seconds of one a second");
    for n in 0..1000 {
        budget.request(at(n));
    }
    assert_eq!(granted(&mut budget, at(1000)), 100);
    assert_eq!(granted(&mut budget, at(2000)), 0);
    assert_eq!(granted(&mut budget, at(60_000)), 10, "old requests and retries are forgotten");
}

#[test]
fn a_gate_only_moves_later_and_has_a_cap() {
    let mut gate = Gate::default();
    let max = Duration::from_secs(100);
    assert_eq!(gate.closed_for(at(0)), None);
    assert_eq!(gate.set(at(0), SignedDuration::from_secs(30), max), Some(at(30_000)));
    assert_eq!(gate.set(at(1000), SignedDuration::from_secs(5), max), None);
    assert_eq!(gate.closed_for(at(1000)), Some(MS * 29_000));
    assert_eq!(gate.set(at(1000), SignedDuration::from_secs(86_400), max), Some(at(101_000)));
    assert_eq!(gate.set(at(1000), SignedDuration::from_secs(-5), max), None);
    assert_eq!(gate.closed_for(at(101_000)), None);
}
