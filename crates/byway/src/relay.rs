//! `byway relay`: ways out for when one's own addresses are blocked: made, deployed, proven.

mod deploy;
mod keys;
mod kind;
mod new;
mod verify;

pub(crate) use keys::pair;
pub(crate) use verify::locks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::cli;

#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Write a folder with everything that a new relay needs; asks where it is to run
    #[command(after_help = NEW_EXAMPLES)]
    New(new::NewArgs),
    /// Deploy a folder, or remove what was deployed
    #[command(after_help = DEPLOY_EXAMPLES)]
    Deploy(deploy::DeployArgs),
    /// Prove that what goes over a path arrives byte for byte
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Ask a relay who it is; no provider is touched
    #[command(after_help = "Example:\n  byway relay ping lambda-1")]
    Ping(verify::PingArgs),
    /// Make, list and rotate the keys of a relay
    #[command(after_help = keys::EXAMPLES)]
    Keys(keys::KeysArgs),
    /// Serve an origin that tells what arrived, for `byway relay verify`
    #[command(
        after_help = "Example:\n  byway relay echo --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem"
    )]
    Echo(EchoArgs),
}

const NEW_EXAMPLES: &str = "\
Examples:
  byway relay new
  byway relay new aws-lambda lambda-1 --region ap-northeast-2 --allow api.example.com:443
  byway relay new container relay-1 --url https://relay.example.com:8443/ --config byway.toml

Without --allow the relay may reach the providers of the configuration, and nothing else.";

const DEPLOY_EXAMPLES: &str = "\
Examples:
  byway relay deploy aws --dir relay-lambda-1
  byway relay deploy aws --dir relay-lambda-1 --changing-address
  byway relay deploy aws --dir relay-lambda-1 --destroy

Credentials are found as AWS's own tools find them. Running it again changes nothing.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  byway relay echo --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem   on a host of yours
  byway relay verify lambda-1 --echo https://echo.example.com:8443
  byway relay verify lambda-1 --echo https://echo.example.com:8443 --stream 1GiB --json

The relay's allow-list has to name the echo's host and port.
Exit codes: 0 nothing was changed, 1 something was, or did not arrive";

#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// Where it listens
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Its certificate chain, PEM; without one it speaks plain HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Makes, deploys, proves.
///
/// # Errors
/// What did not work.
pub(crate) fn run(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::New(args) => new::run(args),
        What::Deploy(args) => deploy::run(args),
        What::Verify(args) => verify::run(args),
        What::Ping(args) => verify::ping(args),
        What::Keys(args) => keys::run(args),
        What::Echo(args) => echo(args),
    }
}

fn echo(args: &EchoArgs) -> anyhow::Result<ExitCode> {
    let read = |file: &PathBuf| {
        std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(chain), Some(key)) => {
            let tls = byway_core::settings::ListenerTls {
                chain_pem: read(chain)?,
                key_pem: byway_core::secret::Secret::new(read(key)?),
                client_roots_pem: None,
            };
            Some(byway_net::TlsServer::new(&tls)?.acceptor())
        }
        (None, _) | (_, None) => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let ready = |addr| cli::say(&format!("echoing on {scheme}://{addr}"));
        let served = byway_drill::echo::serve(args.listen, tls, stop.clone(), ready);
        tokio::select! {
            served = served => served.with_context(|| format!("cannot listen on {}", args.listen)),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The relay's program: named, or beside this one.
fn program(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        if !named.is_file() {
            bail!("there is no file {}", named.display());
        }
        return Ok(named.to_owned());
    }
    let own = std::env::current_exe().context("cannot find out where this program is")?;
    let beside = own.with_file_name("byway-relay");
    if beside.is_file() {
        return Ok(beside);
    }
    bail!(
        "there is no `byway-relay` beside {}\n  name it with --relay FILE; it is built by \
         `cargo build --release --package byway-relay`",
        own.display()
    )
}
