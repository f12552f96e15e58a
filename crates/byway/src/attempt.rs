//! `byway try`: one request over every path side by side.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::cli;
use crate::explain::table;
use crate::operator::{self, AtArgs};
use crate::words::{self, Language, Words};

/// Lines of a difference that are shown; a page has more than anybody reads.
const N_LINES_MAX: usize = 40;

#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The URL at the provider
    pub(crate) url: String,
    /// GET or HEAD
    #[arg(short = 'X', long, default_value = "GET")]
    pub(crate) method: String,
    /// Machine-readable
    #[arg(long)]
    pub(crate) json: bool,
    /// The language of the sentences [default: that of the environment]
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Language>,
    #[command(flatten)]
    pub(crate) at: AtArgs,
}

/// Tries.
///
/// # Errors
/// If the gateway cannot be asked, or refuses.
pub(crate) fn run(args: &TryArgs) -> anyhow::Result<ExitCode> {
    let words = Words::new(args.lang.unwrap_or_else(Language::of_user))?;
    let asked = json!({ "url": args.url, "method": args.method });
    let tried = operator::post(args.at.at, "/-/try", &asked)?;
    cli::say(if args.json { format!("{tried:#}") } else { text(&words, &tried) }.trim_end());
    let results = tried.get("results").and_then(Value::as_array);
    let is_ok = |result: &Value| result.pointer("/shown/class") == Some(&json!("ok"));
    let is_fine = results.is_some_and(|results| results.iter().all(is_ok));
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(words: &Words, tried: &Value) -> String {
    let results = tried["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = ["col-path", "col-exit", "col-status", "col-time"];
    let mut rows = vec![columns.map(|column| words.say(column, &[]))];
    for result in results {
        let text = |name: &str| result[name].as_str().unwrap_or_default();
        let known_by = words.say(&format!("exit-{}", text("exit_known_by")), &[]);
        let exit =
            result["exit"].as_str().map_or(known_by.clone(), |e| format!("{e} ({known_by})"));
        let took = result["took_ms"].as_f64().unwrap_or_default();
        let shown = words::shown(&result["shown"]);
        rows.push([text("path").to_owned(), exit, shown, format!("{took:.0} ms")]);
    }
    let mut out = table(&rows, "");
    let Some((first, others)) = results.split_first() else { return out };
    let mut differs = String::new();
    for other in others {
        differs.push_str(&difference(first, other));
    }
    if !others.is_empty() {
        let id = if differs.is_empty() { "try-same" } else { "try-differs" };
        let _infallible = write!(out, "\n{}\n{differs}", words.say(id, &[]));
    }
    out
}

/// What the second answer has instead of the first: head and the beginning of the body.
fn difference(first: &Value, other: &Value) -> String {
    let whole = |result: &Value| {
        let part = |name: &str| result[name].as_str().unwrap_or_default().replace('\r', "");
        format!("{}\n\n{}\n{}", part("head"), part("body"), part("detail"))
    };
    let (a, b) = (whole(first), whole(other));
    let is_noise = |line: &str| line.to_ascii_lowercase().starts_with("date:");
    let diff = TextDiff::from_lines(&a, &b);
    let mut changed = Vec::new();
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => continue,
        };
        let line: String = change.value().trim_end().chars().take(200).collect();
        if !line.is_empty() && !is_noise(&line) {
            changed.push(format!("  {sign} {line}"));
        }
    }
    if changed.is_empty() {
        return String::new();
    }
    let name = |result: &Value| result["path"].as_str().unwrap_or_default().to_owned();
    let n_more = changed.len().saturating_sub(N_LINES_MAX);
    changed.truncate(N_LINES_MAX);
    if n_more > 0 {
        changed.push(format!("  … {n_more} more lines"));
    }
    format!("- {}\n+ {}\n{}\n", name(first), name(other), changed.join("\n"))
}
