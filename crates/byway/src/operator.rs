//! Talks to a running gateway at its operators' listener.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use byway_core::settings::ADMIN_PORT;
use clap::Args;
use serde_json::Value;

/// Where the running gateway is.
#[derive(Debug, Args)]
pub(crate) struct AtArgs {
    /// The operators' listener of the running gateway
    #[arg(long, value_name = "ADDR:PORT", env = "BYWAY_ADMIN", default_value_t = SocketAddr::from(([127, 0, 0, 1], ADMIN_PORT)))]
    pub(crate) at: SocketAddr,
}

/// A request over six paths, each up to its deadlines, takes its time.
const WITHIN: Duration = Duration::from_secs(600);

fn client() -> anyhow::Result<reqwest::blocking::Client> {
    // A proxy of the environment is for providers, not for the gateway itself.
    Ok(reqwest::blocking::Client::builder().no_proxy().timeout(WITHIN).build()?)
}

/// Asks the gateway.
///
/// # Errors
/// What it says, or that it cannot be reached.
pub(crate) fn get(at: SocketAddr, path: &str) -> anyhow::Result<Value> {
    understood(at, client()?.get(format!("http://{at}{path}")).send())
}

/// Tells the gateway.
///
/// # Errors
/// What it says, or that it cannot be reached.
pub(crate) fn post(at: SocketAddr, path: &str, body: &Value) -> anyhow::Result<Value> {
    let request = client()?.post(format!("http://{at}{path}"));
    understood(at, request.header("content-type", "application/json").body(body.to_string()).send())
}

fn understood(
    at: SocketAddr,
    answer: reqwest::Result<reqwest::blocking::Response>,
) -> anyhow::Result<Value> {
    let answer = answer.with_context(|| {
        format!(
            "no gateway answers operators at {at}; `byway serve` starts one, `--at` names another"
        )
    })?;
    let is_fine = answer.status().is_success();
    let status = answer.status();
    let text = answer.text()?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    if !is_fine {
        match value.get("error").and_then(Value::as_str) {
            Some(error) => bail!("{error}"),
            None if value.get("providers").is_some() => {
                bail!("no provider of that name is judged here")
            }
            None => bail!("the gateway at {at} answers {status}"),
        }
    }
    Ok(value)
}
