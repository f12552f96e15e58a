//! `byway-relay`: reads `relay.toml`, finds out where it runs, and serves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use byway_core::relay::Platform;
use byway_core::secret::Secret;
use byway_core::settings::ListenerTls;
use byway_relay::plain::Plain;
use byway_relay::{Relay, config::Config};
use clap::Parser;
use tokio_util::sync::CancellationToken;

/// Sends requests for a Byway gateway from the address where it runs, byte for byte.
///
/// On AWS Lambda it asks the Runtime API for events; everywhere else it listens.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Arguments {
    /// Who it is, whom it trusts, where it may go [default: relay.toml beside this program]
    #[arg(short, long, value_name = "FILE", env = "BYWAY_RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// Where it listens [default: 0.0.0.0 and the port in PORT, or 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "BYWAY_RELAY_LISTEN")]
    listen: Option<SocketAddr>,
    /// Its certificate chain, PEM; without one it speaks plain HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "BYWAY_RELAY_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "BYWAY_RELAY_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// The largest body of a request, in bytes
    #[arg(long, value_name = "BYTES", env = "BYWAY_RELAY_BODY_BYTES_MAX")]
    body_bytes_max: Option<usize>,
    /// Read the configuration, say what is in it, and end
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "\
Examples:
  byway-relay --check
  byway-relay --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
  PORT=8080 byway-relay            as on Cloud Run

`byway relay new` writes relay.toml, and everything that a platform needs.
Exit codes: 0 stopped, 1 it cannot run, 2 wrong usage";

/// What platforms tell a process about itself.
struct Around {
    is_lambda: bool,
    port: Option<u16>,
    exit: Option<String>,
    task_root: Option<PathBuf>,
    /// What the function's URL does with answers, as the template that made both says.
    streams: bool,
}

#[expect(clippy::disallowed_methods, reason = "the platform speaks through the environment")]
fn around() -> Around {
    let env = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    Around {
        is_lambda: env("AWS_LAMBDA_RUNTIME_API").is_some(),
        port: env("PORT").and_then(|port| port.parse().ok()),
        exit: env("BYWAY_RELAY_EXIT"),
        streams: env("BYWAY_RELAY_STREAMING").is_some_and(|word| word == "true"),
        task_root: env("LAMBDA_TASK_ROOT").map(PathBuf::from),
    }
}

#[expect(clippy::print_stderr, reason = "platforms collect standard error as the log")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments, &around()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("byway-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer to --check")]
fn run(arguments: &Arguments, around: &Around) -> anyhow::Result<()> {
    let config = Config::load(&config_file(arguments, around)?, around.exit.as_deref())?;
    if arguments.check {
        let keys: Vec<&str> = config.keys.keys().map(String::as_str).collect();
        let allow: Vec<&str> = config.allow.iter().map(|entry| entry.text.as_str()).collect();
        println!("relay {}: keys {}; may reach {}", config.id, keys.join(", "), allow.join(", "));
        return Ok(());
    }
    let relay = Relay::new(config)?;
    if around.is_lambda {
        return lambda(Arc::new(relay), around.streams);
    }
    // A platform that names a port may run several instances.
    let relay = if around.port.is_some() { relay } else { relay.alone() };
    listen(arguments, around, Arc::new(relay))
}

fn config_file(arguments: &Arguments, around: &Around) -> anyhow::Result<PathBuf> {
    if let Some(file) = &arguments.config {
        return Ok(file.clone());
    }
    if let Some(root) = &around.task_root {
        return Ok(root.join("relay.toml"));
    }
    let program = std::env::current_exe().context("cannot find out where this program is")?;
    Ok(program.with_file_name("relay.toml"))
}

#[cfg(feature = "lambda")]
fn lambda(relay: Arc<Relay>, streams: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(byway_relay::lambda::serve(relay, streams));
    served.map_err(|error| anyhow::anyhow!("the Lambda Runtime API: {error}"))
}

#[cfg(not(feature = "lambda"))]
fn lambda(_: Arc<Relay>, _: bool) -> anyhow::Result<()> {
    anyhow::bail!("this binary was built without the feature `lambda`")
}

#[expect(clippy::print_stderr, reason = "platforms collect standard error as the log")]
fn listen(arguments: &Arguments, around: &Around, relay: Arc<Relay>) -> anyhow::Result<()> {
    let addr = match (arguments.listen, around.port) {
        (Some(addr), _) => addr,
        (None, Some(port)) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        (None, None) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
    };
    let read = |file: &PathBuf| {
        std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
    };
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(chain), Some(key)) => Some(ListenerTls {
            chain_pem: read(chain)?,
            key_pem: Secret::new(read(key)?),
            client_roots_pem: None,
        }),
        (None, _) | (_, None) => None,
    };
    let usual = Platform::Plain.limits().request_bytes_max;
    let plain = Plain {
        addr,
        tls,
        body_bytes_max: arguments.body_bytes_max.unwrap_or(usual),
        n_connections_max: 1024,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let served = plain.serve(relay, stop.clone(), |addr| eprintln!("listening on {addr}"));
        let mut served = std::pin::pin!(served);
        tokio::select! {
            served = &mut served => return served,
            () = ended() => stop.cancel(),
        }
        served.await
    })
}

/// TERM or INT.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
