//! The sequential test and the rounds of probes.

use jiff::{SignedDuration, Timestamp};

use super::{Comparison, Finding, Shown};
use crate::classify::{Blame, Class, Confidence, Outcome, Resend};
use crate::policy::Compare;

fn at(ms: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(1_700_000_000_000 + ms)
}

fn shown(class: Class, status: Option<u16>) -> Shown {
    let outcome = Outcome::plain(class, Blame::Edge, Confidence::Strong, Resend::Never);
    Shown { outcome, status, cause: None }
}

fn good() -> Shown {
    shown(Class::Ok, Some(200))
}

fn blocked() -> Shown {
    shown(Class::BlockedIp, Some(403))
}

fn findings(comparison: &Comparison) -> Vec<Finding> {
    comparison.arms().iter().map(super::Arm::finding).collect()
}

#[test]
fn two_failures_and_three_successes_decide() {
    use Finding::{Failing, Healthy, Open};
    let mut comparison = Comparison::new(Compare::default(), 2, 0, at(0));
    comparison.observe(0, &blocked(), false, at(0));
    assert_eq!(findings(&comparison), [Open, Open]);
    comparison.observe(0, &blocked(), false, at(1));
    for n in 0..3 {
        assert_eq!(findings(&comparison), [Failing, Open], "after {n} successes");
        comparison.observe(1, &good(), true, at(2));
    }
    assert_eq!(findings(&comparison), [Failing, Healthy]);
    assert!(comparison.is_over(at(2)));
}

#[test]
fn a_change_is_seen_however_long_it_was_otherwise() {
    let mut comparison = Comparison::new(Compare::default(), 1, 0, at(0));
    for _ in 0..1000 {
        comparison.observe(0, &good(), false, at(0));
    }
    let failures = (1..10).find(|_| {
        comparison.observe(0, &blocked(), false, at(1));
        findings(&comparison) == [Finding::Failing]
    });
    assert_eq!(failures, Some(4));
}

#[test]
fn what_says_nothing_about_the_address_does_not_count() {
    let mut comparison = Comparison::new(Compare::default(), 1, 0, at(0));
    for class in [Class::RateLimited, Class::OwnFault, Class::LocalLimit, Class::Cancelled] {
        for _ in 0..10 {
            comparison.observe(0, &shown(class, None), true, at(0));
        }
    }
    comparison.observe(0, &shown(Class::Auth, Some(401)), true, at(0));
    assert_eq!(findings(&comparison), [Finding::Open]);
    assert_eq!(comparison.arms()[0].n_probes, 0);
}

#[test]
fn rounds_ask_every_open_path_at_once_and_end() {
    let settings = Compare::default();
    let mut comparison = Comparison::new(settings, 3, 0, at(0));
    comparison.observe(0, &blocked(), false, at(0));
    assert_eq!(comparison.round(at(0)), [0, 1, 2]);
    assert!(comparison.round(at(9000)).is_empty(), "a round waits for the last one");
    comparison.observe(0, &blocked(), true, at(10));
    comparison.observe(1, &good(), true, at(10));
    for path in 0..3 {
        comparison.probe_over(path);
    }
    assert!(comparison.round(at(100)).is_empty(), "rounds are spaced");
    assert_eq!(comparison.round(at(250)), [1, 2]);
    let mut now = 250;
    for n in 2..settings.n_rounds_max {
        comparison.probe_over(1);
        comparison.probe_over(2);
        now += 250;
        assert_eq!(comparison.round(at(now)), [1, 2], "round {n}");
    }
    comparison.probe_over(1);
    comparison.probe_over(2);
    assert!(comparison.is_over(at(now)), "it does not ask for ever");
    assert!(comparison.round(at(now + 250)).is_empty());
}

#[test]
fn a_round_that_cannot_be_paid_is_put_off() {
    let mut comparison = Comparison::new(Compare::default(), 2, 0, at(0));
    assert_eq!(comparison.round(at(0)).len(), 2);
    comparison.unpaid(0, at(5000));
    comparison.unpaid(1, at(5000));
    assert_eq!(comparison.next_deadline(), at(5000));
    assert!(comparison.round(at(4999)).is_empty());
    assert_eq!(comparison.round(at(5000)).len(), 2);
}

#[test]
fn a_path_that_works_again_ends_the_comparison() {
    let mut comparison = Comparison::new(Compare::default(), 2, 0, at(0));
    comparison.observe(0, &shown(Class::Reset, None), false, at(0));
    for _ in 0..5 {
        comparison.observe(0, &good(), false, at(1));
    }
    assert!(comparison.is_over(at(1)));
    assert!(comparison.round(at(300)).is_empty());
}
