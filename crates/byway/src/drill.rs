//! `byway drill`: practise on the real gateway against a provider that blocks on a timetable.

mod arena;
mod caller;
mod cloud;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use byway_drill::scenario::{SHIPPED, Scenario};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli;
use crate::words::{Language, Words};

/// Faster than this a timetable in seconds is no timetable.
const SPEED_MAX: i64 = 20;

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Show the drills that are shipped
    List(ListArgs),
    /// Print the text of a drill, to read or to change
    Show {
        /// Its name
        name: String,
    },
    /// Run a drill; exit code 0 only if everything went as expected
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Machine-readable
    #[arg(long)]
    pub(crate) json: bool,
    /// The language of the titles [default: that of the environment]
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Language>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The name of a shipped drill, or a file of your own
    pub(crate) name: String,
    /// How many times faster than the timetable; every timer of the gateway goes as fast
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=SPEED_MAX))]
    pub(crate) speed: u32,
    /// Machine-readable report; progress goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Only the report
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The language of the sentences [default: that of the environment]
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Language>,
}

/// Lists, shows or runs.
///
/// # Errors
/// If the drill cannot be read or the arena cannot be set up.
pub(crate) fn run(args: &DrillArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::List(args) => list(args),
        What::Show { name } => {
            cli::say(text(name)?.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        What::Run(args) => practise(args),
    }
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut drills = Vec::new();
    for (name, text) in SHIPPED {
        let scenario = Scenario::parse(text).with_context(|| format!("drill `{name}`"))?;
        drills.push((name, scenario));
    }
    if args.json {
        let all = drills.iter().map(|(name, scenario)| {
            let [en, ko] = &scenario.title;
            let seconds = scenario.lasts.as_secs();
            json!({ "name": name, "title": { "en": en, "ko": ko }, "lasts_s": seconds })
        });
        cli::say(&format!("{:#}", serde_json::Value::Array(all.collect())));
        return Ok(ExitCode::SUCCESS);
    }
    let language = args.lang.unwrap_or_else(Language::of_user);
    for (name, scenario) in &drills {
        let minutes = scenario.lasts.as_secs().div_ceil(60);
        cli::say(&format!("{name:<14}{minutes:>3} min  {}", title(scenario, language)));
    }
    Ok(ExitCode::SUCCESS)
}

fn title(scenario: &Scenario, language: Language) -> &str {
    let [en, ko] = &scenario.title;
    if language == Language::Ko && !ko.is_empty() { ko } else { en }
}

/// A shipped drill, or a file.
fn text(name: &str) -> anyhow::Result<String> {
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        return Ok((*text).to_owned());
    }
    let file = PathBuf::from(name);
    if !file.exists() {
        bail!(
            "no drill is called `{name}` and there is no such file; `byway drill list` shows them"
        );
    }
    std::fs::read_to_string(&file).with_context(|| format!("cannot read `{name}`"))
}

fn practise(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let language = args.lang.unwrap_or_else(Language::of_user);
    let words = Words::new(language)?;
    let scenario = Scenario::parse(&text(&args.name)?).with_context(|| args.name.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let progress = report::Progress::start(&scenario, title(&scenario, language), args);
    let ran = runtime.block_on(arena::run(&scenario, args.speed, &progress))?;
    progress.finish();
    let report = report::Report::of(&args.name, &scenario, args.speed, ran);
    if args.json {
        cli::say(&format!("{:#}", report.json()));
    } else {
        cli::say(report.text(&words).trim_end());
    }
    Ok(if report.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
