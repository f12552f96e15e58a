//! Scripts of what a judge is asked and told, and what it says and does.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};

use super::{Busy, Event, Judge, Leave, PathSpec, Probe, Surroundings};
use crate::classify::{Blame, Class, Confidence, Outcome, Resend};
use crate::detect::Shown;
use crate::detour::{Order, Said};
use crate::policy::{Grant, OnBlock, Pace, Policy, Probing};
use crate::time::after;

fn at(seconds: f64) -> Timestamp {
    let begins = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000);
    after(begins, Duration::from_secs_f64(seconds))
}

fn shown(word: &str) -> Shown {
    use Confidence::{Strong, Weak};
    let (class, by, confidence, status) = match word {
        "ok" => (Class::Ok, Blame::Provider, Strong, Some(200)),
        "block" => (Class::BlockedIp, Blame::Edge, Strong, Some(403)),
        "weak" => (Class::BlockedIp, Blame::Edge, Weak, Some(403)),
        "403" => (Class::ClientError, Blame::Us, Strong, Some(403)),
        "challenge" => (Class::Challenge, Blame::Edge, Strong, Some(403)),
        "429" => (Class::RateLimited, Blame::Provider, Strong, Some(429)),
        "500" => (Class::Outage, Blame::Provider, Strong, Some(500)),
        "hang" => (Class::ReadTimeout, Blame::Provider, Strong, None),
        "refused" => (Class::Refused, Blame::Network, Strong, None),
        "own" => (Class::OwnFault, Blame::Us, Strong, None),
        "gone" => (Class::Cancelled, Blame::Us, Strong, None),
        other => panic!("no such outcome: {other}"),
    };
    let outcome = Outcome::plain(class, by, confidence, Resend::IfIdempotent);
    Shown { outcome, status, cause: None }
}

fn words(event: &Event) -> String {
    match event {
        Event::Moved { path, change } => format!(
            "path {path} {} -> {} ({})",
            change.from.as_str(),
            change.to.as_str(),
            change.why.as_str()
        ),
        Event::Gated { by_header, .. } => format!("gated, by header {by_header}"),
        Event::Judged { verdict: v } => {
            let open = v.open_test.map_or("", super::super::diagnose::OpenTest::as_str);
            format!("verdict {} {:?} {:?} {open}", v.kind.as_str(), v.failing, v.healthy)
        }
        Event::DetourBegan { from, to, .. } => format!("detour {from} -> {to}"),
        Event::DetourMoved { from, to } => format!("detour moves {from} -> {to}"),
        Event::DetourEnded { path, why } => format!("detour over {path} ends ({})", why.as_str()),
        Event::DetourRefused { why } => format!("no detour ({})", why.as_str()),
        Event::Attributed { who } => format!("whose doing: {}", who.as_str()),
        Event::Recovered { who } => format!("recovered ({})", who.as_str()),
        Event::Closed { standing } => {
            format!("closed ({}), failed {}", standing.attribution.as_str(), standing.n_failed)
        }
        Event::Ordered { order } => format!("order {}", order.as_str()),
    }
}

/// A judge, what its provider does to each path, and what is under way.
struct Play {
    judge: Judge,
    /// What each path shows.
    shows: Vec<&'static str>,
    held: Vec<Probe>,
    now: f64,
    out: String,
}

fn granted() -> Policy {
    let grant = Grant { owner: "shop".to_owned(), reason: "agreed".to_owned(), expires: at(1e6) };
    Policy { on_block: OnBlock::Detour(grant), ..Policy::default() }
}

impl Play {
    fn new(policy: Policy, shows: &[&'static str]) -> Self {
        let spec = |n: usize| PathSpec { group: format!("group-{n}") };
        let paths: Vec<PathSpec> = (0..shows.len()).map(spec).collect();
        let judge = Judge::new(policy, &paths, 7);
        Self { judge, shows: shows.to_vec(), held: Vec::new(), now: 0.0, out: String::new() }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.out, "{} {line}", self.now).unwrap();
    }

    fn hear(&mut self) {
        for event in self.judge.take_events() {
            let line = words(&event);
            self.say(&line);
        }
    }

    /// One request over the path that it is led to; says where it went, or why not.
    fn request(&mut self, outcome: Option<&str>) -> String {
        let now = at(self.now);
        match self.judge.ask(now) {
            Leave::Wait(_) => "wait".to_owned(),
            Leave::Busy(Busy::Gate(_)) => "busy: gate".to_owned(),
            Leave::Busy(Busy::Budget(_)) => "busy: budget".to_owned(),
            Leave::Go(passage) => {
                let path = passage.lead.unwrap_or(0);
                let shown = shown(outcome.unwrap_or(self.shows[path]));
                self.judge.finish(path, passage.permits[path], &shown, now);
                self.judge.leave(&passage, shown.outcome.class == Class::Ok);
                if shown.outcome.class == Class::RateLimited {
                    self.judge.limited(None, true, now);
                }
                let wait = passage.wait.as_millis();
                let waited = if wait == 0 { String::new() } else { format!(" after {wait} ms") };
                format!("over {path}{waited}")
            }
        }
    }

    /// Lets time pass; answers probes at once, unless they are held back.
    fn tick(&mut self, holds: bool) -> usize {
        let now = at(self.now);
        let probes = self.judge.tick(&Surroundings::default(), now);
        let n = probes.len();
        for probe in probes {
            if holds {
                let line = format!("probe ({}) over {}", probe.purpose.as_str(), probe.path);
                self.say(&line);
                self.held.push(probe);
            } else {
                let shown = shown(self.shows[probe.path]);
                self.judge.probed(probe, Some(&shown), now);
                if shown.outcome.class == Class::RateLimited {
                    self.judge.limited(None, true, now);
                }
            }
        }
        self.hear();
        n
    }

    /// So many seconds: a tick every quarter of one, a request every second if there is traffic.
    fn run(&mut self, seconds: u32, has_traffic: bool) {
        for n in 1..=seconds * 4 {
            self.now += 0.25;
            if has_traffic && n % 4 == 0 {
                self.request(None);
                self.hear();
            }
            self.tick(false);
        }
    }

    fn perform(&mut self, line: &'static str) {
        let said = || Said { by: "dana".to_owned(), reason: "told".to_owned(), at: at(0.0) };
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ask"] => {
                let went = self.request(None);
                self.say(&went);
            }
            ["ask", outcome] => {
                let went = self.request(Some(outcome));
                self.say(&went);
            }
            ["show", shows @ ..] => self.shows = shows.to_vec(),
            ["tick"] => drop(self.tick(false)),
            ["hold"] => drop(self.tick(true)),
            ["answer"] => {
                for probe in std::mem::take(&mut self.held) {
                    let shown = shown(self.shows[probe.path]);
                    self.judge.probed(probe, Some(&shown), at(self.now));
                }
            }
            ["lose"] => {
                for probe in std::mem::take(&mut self.held) {
                    self.judge.probed(probe, None, at(self.now));
                }
            }
            ["run", seconds] => self.run(seconds.parse().unwrap(), true),
            ["rest", seconds] => self.run(seconds.parse().unwrap(), false),
            ["wait", seconds] => self.now += seconds.parse::<f64>().unwrap(),
            ["limited", pause] => {
                let pause = SignedDuration::from_secs(pause.parse().unwrap());
                self.judge.limited(Some(pause), false, at(self.now));
            }
            ["retry"] => {
                let may = self.judge.may_retry(at(self.now));
                self.say(if may { "may retry" } else { "may not retry" });
            }
            ["permission", path] => {
                let p = self.judge.permission_over(path.parse().unwrap(), at(self.now));
                let line = format!("granted {}, shown {}", p.is_granted, p.is_shown);
                self.say(&line);
            }
            ["stop"] => self.judge.order(Order::Stopped(said())),
            ["lock"] => self.judge.order(Order::Locked(said())),
            ["allow"] => self.judge.order(Order::None),
            ["reload", "alert"] => {
                let policy = self.judge.policy().clone();
                self.judge.adopt_policy(Policy { on_block: OnBlock::Alert, ..policy });
            }
            ["reload", "detour"] => {
                let detour_max = self.judge.policy().detour_max;
                self.judge.adopt_policy(Policy { detour_max, ..granted() });
            }
            other => panic!("what is this? {other:?}"),
        }
        self.hear();
    }
}

/// Commands separated by `;`: see [`Play::perform`].
fn check_with(policy: Policy, shows: &[&'static str], script: &'static str, expect: Expect) {
    let mut play = Play::new(policy, shows);
    script.split(';').for_each(|line| play.perform(line));
    expect.assert_eq(&play.out);
}

/// The same with detours granted.
fn check(shows: &[&'static str], script: &'static str, expect: Expect) {
    check_with(granted(), shows, script, expect);
}

#[test]
fn a_block_is_told_and_nothing_moves_without_a_grant() {
    check_with(
        Policy::default(),
        &["block", "ok"],
        "run 3; ask; permission 0; run 3; ask",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 no detour (not_granted)
            3 over 0
            3 granted false, shown true
            6 over 0
        "#]],
    );
}

#[test]
fn a_block_of_one_of_two_paths_leads_to_a_detour_over_the_other() {
    check(
        &["block", "ok"],
        "run 3; ask; permission 0; permission 1",
        expect![[r#"
        1.75 path 0 up -> down (verdict)
        1.75 verdict blocks_addresses [0] [1] 
        1.75 detour 0 -> 1
        2 whose doing: ours
        3 over 1
        3 granted true, shown true
        3 granted false, shown true
    "#]],
    );
}

#[test]
fn a_block_of_the_last_path_moves_nothing() {
    check(
        &["ok", "block"],
        "run 3; ask ok; run 60",
        expect![[r#"
        3 over 0
    "#]],
    );
}

#[test]
fn a_detour_begins_with_one_request_at_a_time_and_widens_with_success() {
    let mut play = Play::new(granted(), &["block", "ok"]);
    play.run(2, true);
    play.out.clear();
    let now = at(play.now + 0.5);
    let go = |play: &mut Play| match play.judge.ask(now) {
        Leave::Go(passage) => Some(passage),
        Leave::Wait(_) | Leave::Busy(_) => None,
    };
    let mut widths = Vec::new();
    for _ in 0..8 {
        let wave: Vec<_> = std::iter::from_fn(|| go(&mut play)).take(100).collect();
        widths.push(wave.len());
        assert!(wave.iter().all(|passage| passage.lead == Some(1) && passage.is_on_detour()));
        wave.iter().take(1).for_each(|passage| play.judge.leave(passage, true));
        wave.iter().skip(1).for_each(|passage| play.judge.leave(passage, false));
    }
    assert_eq!(widths, [2, 4, 8, 16, 32, 100, 100, 100]);
}

#[test]
fn what_left_for_an_earlier_detour_does_not_widen_a_later_one() {
    let mut play = Play::new(granted(), &["block", "ok"]);
    play.run(2, true);
    play.now += 1.0;
    let Leave::Go(passage) = play.judge.ask(at(play.now)) else { panic!("no leave") };
    for line in ["stop", "tick", "allow", "tick"] {
        play.perform(line);
    }
    play.judge.leave(&passage, true);
    let Leave::Go(_) = play.judge.ask(at(play.now)) else { panic!("no leave") };
    let again = play.judge.ask(at(play.now));
    assert!(matches!(again, Leave::Wait(_)), "one at a time: {again:?}");
}

#[test]
fn a_short_lift_does_not_end_the_detour() {
    check(
        &["block", "ok"],
        "run 10; show ok ok; run 65; show block ok; run 120; ask",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            135.5 path 0 probing -> down (probe_failed)
            195 over 1
        "#]],
    );
}

#[test]
fn a_lift_ends_it_after_probes_and_the_ramp_and_is_theirs() {
    check(
        &["block", "ok"],
        "run 90; show ok ok; run 900",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            255.5 whose doing: theirs
            295.75 path 0 probing -> ramping (probes_good)
            415.75 path 0 ramping -> up (ramp_done)
            415.75 detour over 1 ends (recovered)
            415.75 recovered (theirs)
        "#]],
    );
}

#[test]
fn the_ramp_needs_no_traffic() {
    check(
        &["500", "500"],
        "run 5; show ok ok; rest 1400",
        expect![[r#"
        1.75 path 0 up -> down (verdict)
        1.75 path 1 up -> down (verdict)
        1.75 verdict provider_down [0, 1] [] 
        126 path 0 probing -> ramping (probes_good)
        126.25 path 1 probing -> ramping (probes_good)
        247 path 0 ramping -> up (ramp_done)
        247 recovered (theirs)
        247.25 path 1 ramping -> up (ramp_done)
        847 closed (theirs), failed 5
    "#]],
    );
}

#[test]
fn a_detour_that_fails_while_the_old_path_works_is_our_doing() {
    check(
        &["block", "ok"],
        "run 10; show ok hang; run 80",
        expect![[r#"
        1.75 path 0 up -> down (verdict)
        1.75 verdict blocks_addresses [0] [1] 
        1.75 detour 0 -> 1
        2 whose doing: ours
        11.5 whose doing: broken
        12 path 1 up -> down (verdict)
        12 verdict fails_here [1] [0] 
        12 detour over 1 ends (no_path)
    "#]],
    );
}

#[test]
fn nobody_is_credited_while_neither_works() {
    check(
        &["block", "ok"],
        "run 10; show block block; run 100; ask",
        expect![[r#"
        1.75 path 0 up -> down (verdict)
        1.75 verdict blocks_addresses [0] [1] 
        1.75 detour 0 -> 1
        2 whose doing: ours
        11.5 path 1 up -> down (verdict)
        11.5 verdict blocks_addresses [0, 1] [] 
        11.5 detour over 1 ends (no_path)
        110 over 0
    "#]],
    );
}

#[test]
fn a_detour_ends_when_its_time_is_over_and_does_not_begin_again() {
    let policy = Policy { detour_max: Duration::from_secs(60), ..granted() };
    check_with(
        policy,
        &["block", "ok"],
        "run 59; ask; run 10; ask; run 60; allow; tick",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            59 over 1
            61.75 detour over 1 ends (exhausted)
            69 over 0
            129 order none
            129 detour 0 -> 1
        "#]],
    );
}

#[test]
fn detours_of_one_trouble_share_one_time_box() {
    let policy = Policy { detour_max: Duration::from_secs(900), ..granted() };
    check_with(
        policy,
        &["block", "ok"],
        "run 5; reload alert; run 600; reload detour; run 300; ask",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            5.25 detour over 1 ends (not_granted)
            605.25 detour 0 -> 1
            901.75 detour over 1 ends (exhausted)
            905 over 0
        "#]],
    );
}

#[test]
fn a_grant_that_has_expired_is_none() {
    let grant = Grant { owner: "shop".to_owned(), reason: "agreed".to_owned(), expires: at(30.0) };
    let policy = Policy { on_block: OnBlock::Detour(grant), ..Policy::default() };
    check_with(
        policy,
        &["block", "ok"],
        "run 29; ask; run 2; ask; permission 0",
        expect![[r#"
        1.75 path 0 up -> down (verdict)
        1.75 verdict blocks_addresses [0] [1] 
        1.75 detour 0 -> 1
        2 whose doing: ours
        29 over 1
        30 detour over 1 ends (expired)
        31 over 0
        31 granted false, shown true
    "#]],
    );
}

#[test]
fn a_stop_acts_on_the_next_request() {
    check(
        &["block", "ok"],
        "run 5; ask; stop; ask; tick; run 20; allow; tick; ask",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            5 over 1
            5 order stopped
            5 detour over 1 ends (stopped)
            5 over 0
            25 order none
            25 detour 0 -> 1
            25 over 1
        "#]],
    );
}

#[test]
fn a_lock_ends_the_detour_and_all_probes() {
    check(
        &["block", "ok"],
        "run 5; lock; ask; tick; show ok ok; rest 600; allow; hold",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            5 order locked
            5 detour over 1 ends (locked)
            5 over 0
            605 order none
            605 detour 0 -> 1
        "#]],
    );
}

#[test]
fn a_gate_holds_on_every_path_and_moves_nothing() {
    check(
        &["429", "ok"],
        "ask; ask; permission 0; retry; run 5; ask",
        expect![[r#"
        0 over 0
        0 gated, by header false
        0 verdict limits_us [] [] 
        0 wait
        0 granted false, shown false
        0 may not retry
        1 gated, by header false
        3 gated, by header false
        5 wait
    "#]],
    );
    check(
        &["block", "ok"],
        "run 5; limited 60; ask; permission 0; hold; rest 59; run 3; ask",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            5 gated, by header true
            5 busy: gate
            5 granted false, shown true
            67 over 1
        "#]],
    );
}

#[test]
fn a_pause_longer_than_a_request_may_wait_is_said() {
    check(
        &["ok", "ok"],
        "limited 5; ask; limited 11; ask; rest 12; ask",
        expect![[r#"
        0 gated, by header true
        0 wait
        0 gated, by header true
        0 busy: gate
        12 over 0
    "#]],
    );
}

#[test]
fn a_429_during_a_detour_does_not_unsay_the_block() {
    check(
        &["block", "ok"],
        "run 5; ask 429; run 60; ask",
        expect![[r#"
        1.75 path 0 up -> down (verdict)
        1.75 verdict blocks_addresses [0] [1] 
        1.75 detour 0 -> 1
        2 whose doing: ours
        5 over 1
        5 gated, by header false
        65 over 1
    "#]],
    );
}

#[test]
fn requests_wait_for_the_budget_or_are_told() {
    let pace = Pace { n: 1, per: Duration::from_secs(4), burst: 1 };
    let policy = Policy { budget: Some(pace), ..Policy::default() };
    check_with(
        policy,
        &["ok"],
        "ask; ask; ask; ask; retry",
        expect![[r#"
        0 over 0
        0 over 0 after 4000 ms
        0 over 0 after 8000 ms
        0 busy: budget
        0 may not retry
    "#]],
    );
}

#[test]
fn a_reload_does_not_fill_the_bucket() {
    let pace = Pace { n: 1, per: Duration::from_secs(1), burst: 3 };
    let policy = |pace, wait_max| Policy { budget: Some(pace), wait_max, ..Policy::default() };
    let mut play = Play::new(policy(pace, Duration::ZERO), &["ok"]);
    for _ in 0..3 {
        play.perform("ask");
    }
    let faster = Pace { n: 2, burst: 4, ..pace };
    play.judge.adopt_policy(policy(faster, Duration::ZERO));
    for _ in 0..3 {
        play.perform("ask");
    }
    expect![[r#"
        0 over 0
        0 over 0
        0 over 0
        0 over 0
        0 busy: budget
        0 busy: budget
    "#]]
    .assert_eq(&play.out);
}

#[test]
fn a_detour_has_a_reduced_pace_and_probes_are_paid_from_the_whole() {
    let pace = Pace { n: 4, per: Duration::from_secs(1), burst: 8 };
    let policy = Policy { budget: Some(pace), ..granted() };
    check_with(
        policy,
        &["block", "ok"],
        "run 10; ask; ask; ask; ask; ask; ask; ask; ask; ask; hold",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            10 over 1
            10 over 1
            10 over 1
            10 over 1 after 500 ms
            10 over 1 after 1000 ms
            10 over 1 after 1500 ms
            10 busy: budget
            10 busy: budget
            10 busy: budget
        "#]],
    );
}

#[test]
fn retries_are_shared_by_all_requests() {
    let policy = Policy { retry_per_s: 0, ..Policy::default() };
    let mut play = Play::new(policy, &["ok"]);
    for _ in 0..30 {
        play.request(None);
    }
    for _ in 0..4 {
        play.perform("retry");
    }
    let policy = Policy { retry_per_s: 0, retry_percent: 20, ..Policy::default() };
    play.judge.adopt_policy(policy);
    play.perform("retry");
    expect![[r#"
        0 may retry
        0 may retry
        0 may retry
        0 may not retry
        0 may retry
    "#]]
    .assert_eq(&play.out);
}

#[test]
fn probes_of_an_hour_are_counted_whatever_they_are_for() {
    let mut play = Play::new(granted(), &["block", "block", "block", "block", "block", "block"]);
    let mut probes: Vec<f64> = Vec::new();
    play.request(None);
    for _ in 0..2 * 3600 * 2 {
        play.now += 0.5;
        let n = play.tick(false);
        probes.extend(std::iter::repeat_n(play.now, n));
    }
    let most = probes
        .iter()
        .map(|&from| probes.iter().filter(|&&at| (from..from + 3600.0).contains(&at)).count());
    assert_eq!(most.max(), Some(60), "an hour, wherever it begins");
}

#[test]
fn a_probe_that_cannot_be_sent_is_not_tried_again_at_once() {
    check_with(
        Policy::default(),
        &["500"],
        "run 2; wait 5; hold; hold; lose; hold; wait 4; hold; wait 1; hold",
        expect![[r#"
            1.5 path 0 up -> down (verdict)
            1.5 verdict provider_down [0] [] 
            7 probe (recover) over 0
            12 probe (recover) over 0
        "#]],
    );
}

#[test]
fn control_probes_that_cannot_be_paid_do_not_keep_the_path_out() {
    // A budget that the detour's own requests use up.
    let pace = Pace { n: 1, per: Duration::from_secs(1), burst: 1 };
    let policy = Policy { budget: Some(pace), ..granted() };
    let mut play = Play::new(policy, &["block", "ok"]);
    play.run(30, true);
    play.run(200, true);
    play.shows = vec!["ok", "ok"];
    play.run(600, false);
    let state = play.judge.view(at(play.now)).paths[0].state;
    assert_eq!(state, crate::health::State::Up, "{}", play.out);
}

#[test]
fn a_path_that_flaps_is_kept_out() {
    let mut play = Play::new(granted(), &["block", "ok"]);
    let mut n_moves = 0;
    for round in 0..8 {
        play.shows = if round % 2 == 0 { vec!["block", "ok"] } else { vec!["ok", "ok"] };
        play.run(400, true);
        n_moves += play.out.matches("path 0 up -> ").count();
        play.out.clear();
    }
    assert_eq!(n_moves, 2, "after the third time it stays out for longer");
}

#[test]
fn a_reload_keeps_what_is_known() {
    check_with(
        Policy::default(),
        &["block", "ok"],
        "run 5; reload detour; tick; ask; reload alert; ask; tick; reload detour; tick",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 no detour (not_granted)
            5 detour 0 -> 1
            5 over 1
            5 over 0
            5 detour over 1 ends (not_granted)
            5 detour 0 -> 1
        "#]],
    );
}

#[test]
fn own_faults_and_callers_who_leave_say_nothing() {
    check(
        &["ok", "ok"],
        "ask own; ask own; ask own; ask gone; ask gone; ask gone; wait 1; hold; ask block; ask gone; hold",
        expect![[r#"
            0 over 0
            0 over 0
            0 over 0
            0 over 0
            0 over 0
            0 over 0
            1 over 0
            1 over 0
            1 probe (compare) over 0
            1 probe (compare) over 1
        "#]],
    );
}

#[test]
fn a_caller_who_leaves_does_not_make_a_known_failure_new() {
    check_with(
        Policy::default(),
        &["block", "ok"],
        "run 40; wait 1; ask gone; ask; hold; ask ok; ask; hold",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1] 
            1.75 no detour (not_granted)
            41 over 0
            41 over 0
            41 over 0
            41 over 0
            41 probe (compare) over 0
            41 probe (compare) over 1
        "#]],
    );
}

#[test]
fn a_comparison_that_nobody_looked_at_for_an_hour_says_nothing() {
    check(
        &["block", "ok"],
        "ask; ask; wait 3600; tick; ask; hold",
        expect![[r#"
        0 over 0
        0 over 0
        0 path 0 up -> down (signature)
        3600 over 0
        3600 probe (compare) over 0
        3600 probe (compare) over 1
    "#]],
    );
}

#[test]
fn single_refusals_are_everyday_and_a_row_is_not() {
    check(
        &["403", "ok"],
        "ask; ask ok; ask; ask; wait 1; hold; ask; hold; wait 1; hold; answer; hold",
        expect![[r#"
            0 over 0
            0 over 0
            0 over 0
            0 over 0
            1 over 0
            2 probe (compare) over 0
            2 probe (compare) over 1
        "#]],
    );
}

#[test]
fn the_same_refusal_everywhere_is_our_request() {
    check(
        &["403", "403"],
        "run 10; show ok ok; run 700",
        expect![[r#"
        3.75 verdict our_request [0, 1] [] 
        40 recovered (inconclusive)
        640 closed (inconclusive), failed 10
    "#]],
    );
}

#[test]
fn one_path_alone_cannot_tell_and_is_not_recovered_while_it_fails() {
    check(
        &["refused"],
        "run 40; show ok; run 900",
        expect![[r#"
            1.5 verdict cannot_tell [0] [] other_provider
            5 path 0 up -> down (consecutive)
            161 path 0 probing -> ramping (probes_good)
            281 path 0 ramping -> up (ramp_done)
            281 recovered (theirs)
            881 closed (theirs), failed 40
        "#]],
    );
}

#[test]
fn without_probes_live_traffic_decides() {
    let policy = Policy { probing: Probing::Off, ..granted() };
    check_with(
        policy,
        &["block", "ok"],
        "run 70; ask",
        expect![[r#"
        2 path 0 up -> down (signature)
        61.25 verdict blocks_addresses [0] [] 
        70 over 0
    "#]],
    );
}

#[test]
fn a_challenge_is_never_gone_round() {
    check(
        &["challenge", "ok"],
        "run 10; ask; permission 0",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict challenges_us [0] [1] 
            10 over 0
            10 granted true, shown false
        "#]],
    );
}

#[test]
fn the_detour_moves_when_its_path_is_blocked_too() {
    check(
        &["block", "ok", "ok"],
        "run 5; show block block ok; run 5; ask; permission 1; permission 2",
        expect![[r#"
            1.75 path 0 up -> down (verdict)
            1.75 verdict blocks_addresses [0] [1, 2] 
            1.75 detour 0 -> 1
            2 whose doing: ours
            6.75 path 1 up -> down (verdict)
            6.75 verdict blocks_addresses [0, 1] [2] 
            6.75 detour moves 1 -> 2
            10 over 2
            10 granted true, shown true
            10 granted false, shown true
        "#]],
    );
}

#[test]
fn a_blamed_path_that_has_proven_itself_again_carries_the_detour() {
    check(
        &["block", "block"],
        "run 10; show block ok; run 420; ask",
        expect![[r#"
        1.5 path 0 up -> down (verdict)
        1.5 path 1 up -> down (verdict)
        1.5 verdict blocks_addresses [0, 1] [] 
        135.75 path 1 probing -> ramping (probes_good)
        256.75 path 1 ramping -> up (ramp_done)
        256.75 detour 0 -> 1
        257 whose doing: ours
        430 over 1
    "#]],
    );
}
