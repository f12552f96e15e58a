//! What a drill showed: live, and at the end.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use byway_core::fact::Fact;
use byway_drill::provider;
use byway_drill::scenario::Scenario;
use byway_drill::transcript::{self, Check, Line, clock};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::RunArgs;
use super::arena::{Call, Ran};
use super::caller;
use crate::explain;
use crate::words::Words;

/// The live view, on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_plain: bool,
}

impl Progress {
    /// Begins.
    pub(crate) fn start(scenario: &Scenario, title: &str, args: &RunArgs) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        if args.quiet || !is_terminal {
            return Self { bar: None, is_plain: !args.quiet };
        }
        let seconds = scenario.lasts.as_secs();
        let bar = ProgressBar::new(seconds);
        let style = ProgressStyle::with_template("{msg}  {bar:40} {prefix}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_message(title.to_owned());
        Self { bar: Some(bar), is_plain: false }
    }

    /// Something was said.
    #[expect(clippy::print_stderr, reason = "progress for a person")]
    pub(crate) fn says(&self, at: Duration, text: &str) {
        let line = format!("{:>8}  {text}", clock(at));
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.is_plain => eprintln!("{line}"),
            None => {}
        }
    }

    /// How far the drill is.
    pub(crate) fn at(&self, at: Duration) {
        if let Some(bar) = &self.bar {
            bar.set_position(at.as_secs());
            bar.set_prefix(clock(at));
        }
    }

    /// The end.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The report.
pub(crate) struct Report {
    name: String,
    speed: u32,
    lines: Vec<Line>,
    checks: Vec<Check>,
    notes: Vec<String>,
    explained: Value,
    provider: String,
    counts: Counts,
}

/// What can be counted.
#[derive(Debug, Default)]
struct Counts {
    notice: Option<Duration>,
    verdict: Option<Duration>,
    detour: Option<Duration>,
    n_calls: usize,
    n_lost_before: usize,
    n_lost_after: usize,
    n_stale: usize,
    n_received: usize,
    n_excess: u32,
    n_altered: usize,
    probes: [usize; 3],
    n_right: usize,
    n_wrong: usize,
}

const PURPOSES: [&str; 3] = ["compare", "recover", "control"];

impl Report {
    /// Compares what was expected with what was.
    pub(crate) fn of(name: &str, scenario: &Scenario, speed: u32, ran: Ran) -> Self {
        let mut checks = transcript::check(scenario, &ran.lines);
        let counts = Counts::of(scenario, speed, &ran, &checks);
        let mut count = |what: &str, n: usize, max: Option<u32>| {
            if let Some(max) = max {
                let is_met = n <= usize::try_from(max).unwrap_or(usize::MAX);
                let what = format!("{what}: at most {max}");
                checks.push(Check { what, is_met, found: n.to_string() });
            }
        };
        count("requests lost before the verdict", counts.n_lost_before, scenario.lost_max);
        count("requests lost after the verdict", counts.n_lost_after, scenario.lost_after_max);
        count("requests over the budget", counts.n_excess as usize, Some(0));
        count("targets that arrived altered", counts.n_altered, Some(0));
        let provider = scenario.providers.first().map(|called| called.name.clone());
        Self {
            name: name.to_owned(),
            speed,
            lines: ran.lines,
            checks,
            notes: ran.notes,
            explained: ran.explained,
            provider: provider.unwrap_or_default(),
            counts,
        }
    }

    /// Whether everything went as expected.
    pub(crate) fn is_right(&self) -> bool {
        self.checks.iter().all(|check| check.is_met)
    }

    /// For machines.
    pub(crate) fn json(&self) -> Value {
        let seconds = |at: Option<Duration>| at.map(|at| at.as_secs_f64());
        let counts = &self.counts;
        let lines = self
            .lines
            .iter()
            .map(|line| json!({ "at_s": line.at.as_secs_f64(), "text": line.text }));
        let checks = self.checks.iter().map(
            |check| json!({ "what": check.what, "is_met": check.is_met, "found": check.found }),
        );
        let probes =
            PURPOSES.iter().zip(counts.probes).map(|(name, n)| ((*name).to_owned(), n.into()));
        json!({
            "drill": self.name,
            "speed": self.speed,
            "is_right": self.is_right(),
            "to_notice_s": seconds(counts.notice),
            "to_verdict_s": seconds(counts.verdict),
            "to_detour_s": seconds(counts.detour),
            "requests": counts.n_calls,
            "lost_before_verdict": counts.n_lost_before,
            "lost_after_verdict": counts.n_lost_after,
            "served_stale": counts.n_stale,
            "received_by_provider": counts.n_received,
            "over_budget": counts.n_excess,
            "altered_targets": counts.n_altered,
            "probes": Value::Object(probes.collect()),
            "verdicts_right": counts.n_right,
            "verdicts_wrong": counts.n_wrong,
            "checks": checks.collect::<Vec<_>>(),
            "transcript": lines.collect::<Vec<_>>(),
            "notes": self.notes,
            "explained": self.explained,
        })
    }

    /// For people.
    pub(crate) fn text(&self, words: &Words) -> String {
        let mut out = String::new();
        let counts = &self.counts;
        let took = |at: Option<Duration>| match at {
            Some(at) => format!("{:.1} s", at.as_secs_f64()),
            None => "-".to_owned(),
        };
        let probes = PURPOSES.iter().zip(counts.probes);
        let probes = probes.map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ");
        let mut rows = vec![
            [words.say("drill-notice", &[]), took(counts.notice)],
            [words.say("drill-verdict", &[]), took(counts.verdict)],
            [words.say("drill-detour", &[]), took(counts.detour)],
            [words.say("drill-requests", &[]), counts.n_calls.to_string()],
        ];
        for (id, n) in [
            ("drill-lost-before", counts.n_lost_before),
            ("drill-lost-after", counts.n_lost_after),
            ("drill-stale", counts.n_stale),
            ("drill-received", counts.n_received),
        ] {
            rows.push([words.say(id, &[]), n.to_string()]);
        }
        rows.push([words.say("drill-probes", &[]), probes]);
        let verdicts = format!("{} / {}", counts.n_right, counts.n_wrong);
        rows.push([words.say("drill-verdicts", &[]), verdicts]);
        let _infallible = writeln!(out, "{}", explain::table(&rows, ""));
        let checks: Vec<[String; 3]> = self
            .checks
            .iter()
            .map(|check| {
                let is_met = words.say(if check.is_met { "drill-yes" } else { "drill-no" }, &[]);
                [is_met, check.what.clone(), check.found.clone()]
            })
            .collect();
        let _infallible = writeln!(out, "{}", explain::table(&checks, ""));
        for note in &self.notes {
            let _infallible = writeln!(out, "{note}");
        }
        for sentence in self.ending(words) {
            let _infallible = writeln!(out, "{sentence}");
        }
        let id = if self.is_right() { "drill-right" } else { "drill-wrong" };
        let _infallible = writeln!(out, "{}", words.say(id, &[("name", &self.name)]));
        out
    }

    /// Who fixed it, as the last word on the matter.
    fn ending(&self, words: &Words) -> Vec<String> {
        let last = |word: &str| {
            let found = self.lines.iter().rev().find_map(|line| line.text.strip_prefix(word));
            found.map(|rest| rest.trim().to_owned())
        };
        let Some(who) =
            last("closed ").or_else(|| last("recovered ")).or_else(|| last("attributed "))
        else {
            return Vec::new();
        };
        let values = [("provider", self.provider.as_str())];
        let mut said = vec![words.say(&format!("who-{who}"), &values)];
        let has_detoured = self.lines.iter().any(|line| line.text.starts_with("detour_began"));
        if who == "theirs" && has_detoured {
            said.push(words.say("carried", &[]));
        }
        said
    }
}

impl Counts {
    fn of(scenario: &Scenario, speed: u32, ran: &Ran, checks: &[Check]) -> Self {
        let trouble = scenario.acts.first().map(|act| act.at).unwrap_or_default();
        let is_about = |fact: &Fact| {
            scenario.providers.first().is_some_and(|p| fact.provider.as_deref() == Some(&p.name))
        };
        let first = |kind: &str| {
            let found = ran
                .facts
                .iter()
                .find(|(at, fact)| fact.kind == kind && is_about(fact) && *at >= trouble);
            found.map(|(at, _)| at.saturating_sub(trouble))
        };
        let (verdict, is_lost) = (first("verdict"), |call: &&Call| {
            call.is_first && call.at >= trouble && !call.got.is_served()
        });
        let since = trouble + verdict.unwrap_or(scenario.lasts);
        let lost: Vec<&Call> = ran.calls.iter().filter(is_lost).collect();
        let probes = PURPOSES.map(|purpose| {
            let is_it = |fact: &&(Duration, Fact)| {
                fact.1.kind == "probe" && is_about(&fact.1) && has(&fact.1, "purpose", purpose)
            };
            ran.facts.iter().filter(is_it).count()
        });
        let verdicts: Vec<&Line> =
            ran.lines.iter().filter(|line| line.text.starts_with("verdict ")).collect();
        let says = |line: &Line, what: &str| line.text.starts_with(what);
        let n_wrong = verdicts
            .iter()
            .filter(|line| scenario.forbids.iter().any(|never| says(line, &never.says)))
            .count();
        let n_right = verdicts
            .iter()
            .filter(|line| scenario.expects.iter().any(|expect| says(line, &expect.says)))
            .count();
        let n_altered = ran.received.iter().filter(|got| !is_ours(&got.target)).count();
        debug_assert!(!checks.is_empty());
        Self {
            notice: first("attempt"),
            verdict,
            detour: first("detour_began"),
            n_calls: ran.calls.iter().filter(|call| call.is_first).count(),
            n_lost_before: lost.iter().filter(|call| call.at <= since).count(),
            n_lost_after: lost.iter().filter(|call| call.at > since).count(),
            n_stale: ran.calls.iter().filter(|call| call.got.is_stale).count(),
            n_received: ran.received.len(),
            n_excess: excess(scenario, speed, ran),
            n_altered,
            probes,
            n_right,
            n_wrong,
        }
    }
}

fn has(fact: &Fact, name: &str, value: &str) -> bool {
    fact.fields.iter().any(|(field, of)| {
        *field == name && matches!(of, byway_core::fact::Value::Text(text) if text == value)
    })
}

/// Whether the target is one that a caller sent, byte for byte; the trace page of an edge is asked
/// for by the gateway itself.
fn is_ours(target: &[u8]) -> bool {
    target == b"/cdn-cgi/trace" || (0..100).any(|n| caller::target(n) == target)
}

fn excess(scenario: &Scenario, speed: u32, ran: &Ran) -> u32 {
    let budget = scenario.providers.first().map(|called| called.budget.as_str());
    let pace = budget.and_then(byway_config::pace);
    pace.map_or(0, |pace| {
        let per_second = f64::from(pace.n) / pace.per.as_secs_f64() * f64::from(speed);
        provider::excess(&ran.received, per_second, pace.burst)
    })
}
