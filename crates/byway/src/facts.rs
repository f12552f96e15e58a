//! `byway facts`: what happened.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use byway_store::{FactQuery, Store, StoredFact};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::cli;
use crate::state;

#[derive(Debug, Args)]
pub(crate) struct FactsArgs {
    /// How far back: a duration such as 2h, or an instant
    #[arg(long, default_value = "1h")]
    pub(crate) since: String,
    /// Only about this provider
    #[arg(long)]
    pub(crate) provider: Option<String>,
    /// Only of this kind: verdict, attempt, probe, path_moved, detour_began, ...
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// At most so many, the latest
    #[arg(short = 'n', long)]
    pub(crate) limit: Option<u32>,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Configuration file, for its state folder [default: byway.toml, if there is one]
    #[arg(short, long, value_name = "FILE", env = "BYWAY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// State folder [default: that of the configuration]
    #[arg(long, value_name = "DIR", env = "BYWAY_STATE")]
    pub(crate) state: Option<PathBuf>,
}

/// Shows facts.
///
/// # Errors
/// If there is no store, or it cannot be read.
pub(crate) fn run(args: &FactsArgs) -> anyhow::Result<ExitCode> {
    let settings = match cli::settings(args.config.as_deref(), args.state.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => {
            cli::complain(&problems);
            return Ok(ExitCode::from(2));
        }
    };
    let file = state::file(&settings)?;
    let store = Store::look(&file)
        .with_context(|| format!("no facts at `{}`; `--state` names the folder", file.display()))?;
    let query = FactQuery {
        since: Some(since(&args.since)?),
        provider: args.provider.clone(),
        kind: args.kind.clone(),
        n_max: args.limit,
        ..FactQuery::default()
    };
    for fact in store.facts(&query)? {
        cli::say(&if args.json { fact.to_json().to_string() } else { line(&fact) });
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "`2h` is meant from now")]
fn since(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(ago) = text.parse::<SignedDuration>() {
        return Ok(Timestamp::now().saturating_sub(ago.abs()).unwrap_or(Timestamp::MIN));
    }
    match text.parse() {
        Ok(at) => Ok(at),
        Err(_) => bail!("`{text}` is neither a duration such as 2h nor an instant"),
    }
}

/// `16:03:12 catalog/batch-1 verdict verdict=blocks_addresses failing=batch-1 …`
fn line(fact: &StoredFact) -> String {
    let at = fact.occurred_at.to_zoned(jiff::tz::TimeZone::system());
    let at = at.strftime("%m-%d %H:%M:%S%.3f");
    let about = match (&fact.provider, &fact.path) {
        (Some(provider), Some(path)) => format!("{provider}/{path}"),
        (Some(provider), None) => provider.clone(),
        _ => "-".to_owned(),
    };
    let mut fields = String::new();
    for name in fact.fields.keys() {
        let text = fact.text(name);
        if !text.is_empty() {
            let quoted = if text.contains(' ') { format!("{text:?}") } else { text };
            fields.push_str(&format!(" {name}={quoted}"));
        }
    }
    format!("{at} {about} {}{fields}", fact.kind)
}
