//! `byway detour`: the orders that only a person gives, and only a person lifts.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli;
use crate::explain;
use crate::operator::{self, AtArgs};
use crate::words::{Language, Words};

#[derive(Debug, Args)]
pub(crate) struct DetourArgs {
    #[command(subcommand)]
    pub(crate) order: Order,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// End the detour of a provider now, and take none until `allow`
    Stop(OrderArgs),
    /// Take detours again, also after one has lasted as long as it may
    Allow(OrderArgs),
    /// Record that the provider said no: no detours and no probes until `unlock`
    Lock(OrderArgs),
    /// Lift a lock
    Unlock(OrderArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// The provider
    pub(crate) provider: String,
    /// Why; a lock needs it
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Who says so [default: the user name]
    #[arg(long, env = "USER", default_value = "")]
    pub(crate) by: String,
    /// Machine-readable
    #[arg(long)]
    pub(crate) json: bool,
    /// The language of the sentences [default: that of the environment]
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Language>,
    #[command(flatten)]
    pub(crate) at: AtArgs,
}

/// Gives the order, and shows where the provider stands then.
///
/// # Errors
/// If the gateway cannot be told, or does not take it.
pub(crate) fn run(args: &DetourArgs) -> anyhow::Result<ExitCode> {
    let (order, args) = match &args.order {
        Order::Stop(args) => ("stop", args),
        Order::Lock(args) => ("lock", args),
        Order::Allow(args) | Order::Unlock(args) => ("none", args),
    };
    let words = Words::new(args.lang.unwrap_or_else(Language::of_user))?;
    let body = json!({
        "provider": args.provider, "order": order, "by": args.by, "reason": args.reason,
    });
    let known = operator::post(args.at.at, "/-/order", &body)?;
    let text = if args.json { format!("{known:#}") } else { explain::text(&words, &known) };
    cli::say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}
