//! Transcripts are compared in order, by whole words, within their limits.

use std::time::Duration;

use super::{Line, check, clock};
use crate::scenario::Scenario;

const DRILL: &str = "for 1m\nprovider a alert\npath p 127.0.0.2\n";

/// The checks of a drill with these expectations, over lines such as `1.5 verdict x`.
fn checked(expectations: &str, said: &str) -> String {
    let scenario = Scenario::parse(&format!("{DRILL}{expectations}")).unwrap();
    let lines: Vec<Line> = said
        .lines()
        .map(|line| {
            let (at, text) = line.split_once(' ').unwrap();
            Line { at: Duration::from_secs_f64(at.parse().unwrap()), text: text.to_owned() }
        })
        .collect();
    let checks = check(&scenario, &lines);
    let each = checks.iter().map(|c| format!("{} {}: {}", c.is_met, c.what, c.found));
    each.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_expected_comes_in_its_order() {
    let expectations = "expect verdict x p\nexpect recovered";
    assert_eq!(
        checked(expectations, "1 recovered theirs\n2 verdict x p\n3 recovered ours"),
        "true verdict x p: 0:02.0\ntrue recovered: 0:03.0"
    );
    assert_eq!(
        checked(expectations, "1 recovered theirs\n2 verdict x p"),
        "true verdict x p: 0:02.0\nfalse recovered: never said"
    );
}

#[test]
fn a_limit_counts_from_the_moment_that_it_names() {
    let expectations = "expect verdict x within 5s of 0:30";
    let what = "verdict x within 0:05.0 of 0:30.0";
    assert_eq!(checked(expectations, "35 verdict x"), format!("true {what}: 0:35.0"));
    assert_eq!(checked(expectations, "35.1 verdict x"), format!("false {what}: 0:35.1"));
}

#[test]
fn words_are_compared_whole() {
    assert_eq!(checked("expect verdict x", "1 verdict xy"), "false verdict x: never said");
    assert_eq!(checked("never verdict x", "1 verdict xy"), "true never verdict x: ");
}

#[test]
fn what_must_never_be_said_may_be_said_later() {
    let expectations = "never detour_ended before 0:30";
    let what = "never detour_ended before 0:30.0";
    assert_eq!(checked(expectations, "30 detour_ended x"), format!("true {what}: "));
    assert_eq!(
        checked(expectations, "29.9 detour_ended x"),
        format!("false {what}: detour_ended x at 0:29.9")
    );
}

#[test]
fn instants_are_minutes_seconds_and_tenths() {
    assert_eq!(clock(Duration::from_millis(67_449)), "1:07.4");
}
