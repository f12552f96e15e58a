//! Stories: scripts of an evening, and what the judge makes of it, word by word.
//!
//! A line is an instant and what happens then; before the first, how it begins. The transcript is
//! beside the script; requests and probes are left out of it.

#![cfg(test)]

use std::time::Duration;

use byway_core::detour::{Order, Said};
use byway_core::policy::{Grant, OnBlock, Pace, Policy};
use byway_sim::{Mood, Setting, World};
use expect_test::{ExpectFile, expect_file};
use jiff::{SignedDuration, Timestamp};

/// `16:00` or `16:00:30` of the day of the story.
fn instant(text: &str) -> Option<Timestamp> {
    let (h, rest) = text.split_once(':')?;
    let (m, s) = rest.split_once(':').unwrap_or((rest, "0"));
    let number = |text: &str| text.parse::<i64>().ok();
    let seconds = number(h)? * 3600 + number(m)? * 60 + number(s)?;
    Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(19_000 * 86_400 + seconds))
}

fn seconds(text: &str) -> Duration {
    let text = text.strip_suffix('s').expect("seconds");
    Duration::from_secs(text.parse().expect("a number"))
}

fn mood(words: &[&str]) -> Mood {
    match words {
        ["blocks"] => Mood::Blocks { is_strong: true },
        ["refuses"] => Mood::Refuses,
        ["challenges"] => Mood::Challenges,
        ["limits"] => Mood::Limits { retry_after: None },
        ["limits", after] => Mood::Limits { retry_after: Some(after.parse().expect("seconds")) },
        ["down"] => Mood::Down,
        ["hangs"] => Mood::Hangs,
        ["lifts"] => Mood::Fine,
        other => panic!("no such mood: {other:?}"),
    }
}

fn order(words: &[&str]) -> Order {
    let said = |at| Said { by: "dana".to_owned(), reason: "told".to_owned(), at };
    match words {
        ["stop"] => Order::Stopped(said(Timestamp::UNIX_EPOCH)),
        ["lock"] => Order::Locked(said(Timestamp::UNIX_EPOCH)),
        ["allow"] => Order::None,
        other => panic!("no such order: {other:?}"),
    }
}

/// Does what a line says.
fn perform(world: &mut World, paths: &[String], words: &[&str]) {
    match words {
        ["provider", verb @ .., "everywhere"] => {
            (0..paths.len()).for_each(|path| world.set_mood(path, mood(verb)));
        }
        ["provider", verb, path, more @ ..] => {
            let path = paths.iter().position(|name| name == path).expect("a path of the story");
            let verb: Vec<&str> = std::iter::once(*verb).chain(more.iter().copied()).collect();
            world.set_mood(path, mood(&verb));
        }
        ["order", what] => world.order(order(&[what])),
        ["calls", "stop"] => world.call_every(None),
        ["calls", "every", every] => world.call_every(Some(seconds(every))),
        ["end"] => {}
        other => panic!("what is this? {other:?}"),
    }
}

fn tell(script: &str, expect: &ExpectFile) {
    let mut policy = Policy::default();
    let mut paths: Vec<String> = Vec::new();
    let mut world: Option<World> = None;
    for line in script.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["paths", names @ ..] => paths = names.iter().map(|&name| name.to_owned()).collect(),
            ["on_block", "detour"] => {
                policy.on_block = OnBlock::Detour(Grant {
                    owner: "shop".to_owned(),
                    reason: "agreed".to_owned(),
                    expires: Timestamp::MAX,
                });
            }
            ["on_block", "alert"] => policy.on_block = OnBlock::Alert,
            ["budget", n, "burst", burst] => {
                let (n, burst) = (n.parse().expect("a number"), burst.parse().expect("a number"));
                policy.budget = Some(Pace { n, per: Duration::from_secs(1), burst });
            }
            [at, rest @ ..] => {
                let at = instant(at).unwrap_or_else(|| panic!("when is this? {line}"));
                let world = world.get_or_insert_with(|| {
                    let (paths, policy) = (paths.clone(), policy.clone());
                    let setting =
                        Setting { seed: 7, paths, policy, begins: at, n_odd: 0, n_lost: 0 };
                    let mut world = World::with(setting);
                    world.keep_text();
                    world
                });
                world.run_until(at);
                world.remark(&rest.join(" "));
                perform(world, &paths, rest);
            }
            [] => {}
        }
    }
    let world = world.expect("a story in which something happens");
    let lines = world.text().lines().filter(|line| {
        let what = line.split_whitespace().nth(1);
        !matches!(what, Some("call" | "probe"))
    });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    expect.assert_eq(&text);
}

#[test]
fn the_provider_blocks_lifts_for_a_moment_and_blocks_again() {
    tell(
        include_str!("../stories/block-lift-block.txt"),
        &expect_file!["../stories/block-lift-block.out"],
    );
}

#[test]
fn the_same_evening_without_a_grant() {
    tell(include_str!("../stories/alert.txt"), &expect_file!["../stories/alert.out"]);
}

#[test]
fn the_provider_limits_us() {
    tell(include_str!("../stories/rate-limit.txt"), &expect_file!["../stories/rate-limit.out"]);
}

#[test]
fn the_provider_is_down() {
    tell(include_str!("../stories/outage.txt"), &expect_file!["../stories/outage.out"]);
}

#[test]
fn a_person_says_no() {
    tell(include_str!("../stories/lock.txt"), &expect_file!["../stories/lock.out"]);
}
