//! `byway explain`: who is to blame, how that is known, and what it means.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli;
use crate::operator::{self, AtArgs};
use crate::words::{self, Language, Words, clock};

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// One provider, or a host that nobody lists [default: all of them]
    pub(crate) provider: Option<String>,
    /// Machine-readable
    #[arg(long)]
    pub(crate) json: bool,
    /// Look again every second until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// The language of the sentences [default: that of the environment]
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Language>,
    #[command(flatten)]
    pub(crate) at: AtArgs,
}

/// Explains.
///
/// # Errors
/// If the gateway cannot be asked.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let words = Words::new(args.lang.unwrap_or_else(Language::of_user))?;
    let path = match &args.provider {
        Some(provider) => format!("/-/explain?provider={provider}"),
        None => "/-/explain".to_owned(),
    };
    loop {
        let known = operator::get(args.at.at, &path)?;
        let text = if args.json { format!("{known:#}") } else { text(&words, &known) };
        if args.watch && std::io::stdout().is_terminal() {
            cli::say(&format!("\x1b[2J\x1b[H{text}"));
        } else {
            cli::say(text.trim_end());
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// Everything that is known, for people.
pub(crate) fn text(words: &Words, known: &Value) -> String {
    let mut out = String::new();
    let providers = known["providers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if providers.is_empty() {
        out.push_str(&words.say("no-provider", &[]));
        out.push('\n');
    }
    if providers.len() > 1 {
        out.push_str(&overview(words, providers));
        out.push('\n');
    }
    for provider in providers {
        about(words, provider, &mut out);
        out.push('\n');
    }
    let works = joined(&known["still_works"]);
    let is_bad = providers.iter().any(|provider| !provider["trouble"].is_null());
    if is_bad && !works.is_empty() {
        line(&mut out, "", &words.say("still-works", &[("what", &works)]));
    }
    out
}

/// Paths × providers: where a path stands with each of them.
fn overview(words: &Words, providers: &[Value]) -> String {
    let name = |of: &Value| of["name"].as_str().unwrap_or_default().to_owned();
    let paths = |provider: &Value| provider["paths"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<String> = Vec::new();
    for path in providers.iter().flat_map(paths) {
        let path = name(&path);
        if !all.contains(&path) {
            all.push(path);
        }
    }
    let columns = std::iter::once(words.say("col-path", &[])).chain(providers.iter().map(name));
    let mut rows: Vec<Vec<String>> = vec![columns.collect()];
    for path in all {
        let cells = providers.iter().map(|provider| {
            let found = paths(provider).into_iter().find(|known| name(known) == path);
            let state =
                found.as_ref().and_then(|known| known.get("state")?.as_str()).map(str::to_owned);
            state.map_or("·".to_owned(), |state| words.say(&format!("cell-{state}"), &[]))
        });
        rows.push(std::iter::once(path.clone()).chain(cells).collect());
    }
    table(&rows, "")
}

fn joined(list: &Value) -> String {
    let texts =
        list.as_array().map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    texts.unwrap_or_default().join(", ")
}

fn line(out: &mut String, indent: &str, text: &str) {
    let _infallible = writeln!(out, "{indent}{text}");
}

fn about(words: &Words, provider: &Value, out: &mut String) {
    let name = provider["name"].as_str().unwrap_or_default();
    line(out, "", name);
    let exits = |path: &str| {
        let paths = provider["paths"].as_array()?;
        let found = paths.iter().find(|known| known["name"] == path)?;
        found["exit"].as_str().map(str::to_owned)
    };
    let trouble = &provider["trouble"];
    if trouble.is_null() {
        line(out, "  ", &words.say("nothing-wrong", &[]));
    } else {
        for sentence in words::verdict(words, name, &trouble["verdict"], &exits) {
            line(out, "  ", &sentence);
        }
        if let Some(at) = trouble["recovered_at"].as_str() {
            line(out, "  ", &words.say("recovered", &[("at", &clock(at))]));
        }
        let who = trouble["who"].as_str().unwrap_or_default();
        if who != "inconclusive" {
            line(out, "  ", &words.say(&format!("who-{who}"), &[("provider", name)]));
        }
        let affects = joined(&provider["affects"]);
        if !affects.is_empty() {
            line(out, "  ", &words.say("affects", &[("what", &affects)]));
        }
    }
    policy(words, provider, !trouble.is_null(), out);
    relays(words, provider, out);
    out.push('\n');
    matrix(words, provider, out);
}

/// Relays that would be of no use now, and why.
fn relays(words: &Words, provider: &Value, out: &mut String) {
    for path in provider["paths"].as_array().into_iter().flatten() {
        let name = path["name"].as_str().unwrap_or_default();
        for (about, key) in [("relay", "relay-fails"), ("asked_in_peace", "relay-blocked")] {
            let check = &path[about];
            let came = check["came"].as_str().unwrap_or("ok");
            if came == "ok" {
                continue;
            }
            let key = if came == "failed" { "relay-fails" } else { key };
            let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
            let (detail, at) = (text("detail"), clock(&text("at")));
            let values = [("path", name), ("detail", detail.as_str()), ("at", at.as_str())];
            line(out, "  ", &words.say(key, &values));
        }
    }
}

fn policy(words: &Words, provider: &Value, is_bad: bool, out: &mut String) {
    if provider["is_comparing"] == true {
        line(out, "  ", &words.say("comparing", &[]));
    }
    if let Some(until) = provider["gated_until"].as_str() {
        line(out, "  ", &words.say("gated", &[("until", &clock(until))]));
    }
    let order = &provider["order"];
    if let Some(kind) = order["kind"].as_str() {
        let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
        let values = [("by", text("by")), ("reason", text("reason"))];
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        line(out, "  ", &words.say(&format!("order-{kind}"), &values));
    }
    let allowance = &provider["allowance"];
    if let Some(at) = allowance["at"].as_str() {
        let number =
            |name: &str| allowance[name].as_i64().map_or("?".to_owned(), |n| n.to_string());
        let (left, of) = (number("remaining"), number("limit"));
        let values = [("left", left.as_str()), ("limit", of.as_str()), ("at", &clock(at))];
        line(out, "  ", &words.say("allowance", &values));
    }
    let detour = &provider["detour"];
    if let (Some(path), Some(until)) = (detour["path"].as_str(), detour["until"].as_str()) {
        let values = [("path", path), ("until", &clock(until))];
        line(out, "  ", &words.say("detour-active", &values));
    } else if let Some(why) = provider["no_detour"].as_str().filter(|_| is_bad) {
        let why = words.say(&format!("no-detour-{why}"), &[]);
        line(out, "  ", &words.say("detour-none", &[("why", &why)]));
    }
}

/// The paths of a provider as a table.
fn matrix(words: &Words, provider: &Value, out: &mut String) {
    let mut rows = vec![
        ["col-path", "col-exit", "col-state", "col-recent", "col-last"]
            .map(|column| words.say(column, &[])),
    ];
    for path in provider["paths"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let text = |name: &str| path[name].as_str().unwrap_or_default();
        let known_by = words.say(&format!("exit-{}", text("exit_known_by")), &[]);
        let exit = match path["exit"].as_str() {
            Some(exit) => format!("{exit} ({known_by})"),
            None => known_by,
        };
        let share = path["share"].to_string();
        let values = [("until", clock(text("until"))), ("share", share)];
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let mut state = words.say(&format!("state-{}", text("state")), &values);
        if path["is_flapping"] == true {
            state = format!("{state}, {}", words.say("flapping", &[]));
        }
        let last = &path["last"];
        let last = match last["at"].as_str() {
            Some(at) => format!("{} {}", words::shown(last), clock(at)),
            None => String::new(),
        };
        let recent = format!("{} / {}", path["good"], path["failed"]);
        rows.push([text("name").to_owned(), exit, state, recent, last.trim().to_owned()]);
    }
    out.push_str(&table(&rows, "  "));
}

/// Columns under each other; Korean letters are two columns wide.
pub(crate) fn table<R: AsRef<[String]>>(rows: &[R], indent: &str) -> String {
    let n_columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut text = indent.to_owned();
        for (cell, width_max) in row.as_ref().iter().zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width_max - width(cell) + 2));
        }
        line(&mut out, "", text.trim_end());
    }
    out
}

/// How many columns a text takes: Hangul and other wide letters take two (UAX #11).
fn width(text: &str) -> usize {
    let is_wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60);
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests;
