//! What can be said on the command line.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use byway_core::settings::Settings;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::attempt::TryArgs;
use crate::ca::CaArgs;
use crate::detour::DetourArgs;
use crate::drill::DrillArgs;
use crate::explain::ExplainArgs;
use crate::facts::FactsArgs;
use crate::relay::RelayArgs;

/// An egress gateway: services call third parties through it, byte for byte, and it says who
/// broke it when something breaks.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the gateway; without a configuration it observes and forwards on loopback
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Check a configuration and show every problem in it
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Write a first configuration by asking a few questions
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Say who is to blame, how that is known, and what it means
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Send one request over every path side by side, and show what differs
    #[command(
        after_help = "Example:\n  byway try https://api.example.com/v1/status\n\nExit codes: 0 every path works, 1 some path does not"
    )]
    Try(TryArgs),
    /// Stop, allow, lock or unlock detours
    #[command(after_help = DETOUR_EXAMPLES)]
    Detour(DetourArgs),
    /// Show what happened
    #[command(after_help = FACTS_EXAMPLES)]
    Facts(FactsArgs),
    /// Make and trust the local authority that opens tunnels of listed providers
    #[command(after_help = CA_EXAMPLES)]
    Ca(CaArgs),
    /// Practise: run the real gateway against a provider that blocks on a timetable
    #[command(after_help = DRILL_EXAMPLES)]
    Drill(DrillArgs),
    /// Make, deploy and prove ways out through relays
    Relay(RelayArgs),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  byway completions bash > /etc/bash_completion.d/byway")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const SERVE_EXAMPLES: &str = "\
Examples:
  byway serve
  byway serve --config /etc/byway/byway.toml
  HTTPS_PROXY=http://127.0.0.1:7070 curl https://api.example.com/
  byway serve --takeover        replace the running gateway without refusing a connection

Signals:
  TERM, INT   finish the requests under way, then stop (a second one stops at once)
  HUP         read the configuration again; it is also read when the file changes";

const CHECK_EXAMPLES: &str = "\
Examples:
  byway check
  byway check /etc/byway/byway.toml --format json

Exit codes: 0 no problem, 2 problems found, 1 the file cannot be read";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  byway explain
  byway explain catalog --watch
  byway explain catalog --lang ko
  byway explain --json";

const DETOUR_EXAMPLES: &str = "\
Examples:
  byway detour stop catalog
  byway detour allow catalog
  byway detour lock catalog --reason 'their support asked us to wait, ticket 4711'
  byway detour unlock catalog";

const FACTS_EXAMPLES: &str = "\
Examples:
  byway facts --since 2h
  byway facts --since 2026-11-24T16:00:00+09:00 --provider catalog --kind verdict
  byway facts --json | jq .";

const CA_EXAMPLES: &str = "\
Examples:
  byway ca make --config byway.toml
  byway ca show
  sudo byway ca trust
  HTTPS_PROXY=http://127.0.0.1:7070 curl --cacert ca.pem https://api.example.com/

Only hosts of providers with `intercept = true` are covered; everybody else's tunnels stay closed.";

const DRILL_EXAMPLES: &str = "\
Examples:
  byway drill list
  byway drill run autumn --speed 10
  byway drill show autumn > mine.drill && byway drill run mine.drill
  byway drill run rate-limit --speed 10 --json | jq .checks

Nothing leaves this machine. Exit codes: 0 as expected, 1 not as expected";

const INIT_EXAMPLES: &str = "\
Examples:
  byway init
  byway init --provider catalog=https://api.catalog.example --output byway.toml";

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file [default: byway.toml in this folder, if there is one]
    #[arg(short, long, value_name = "FILE", env = "BYWAY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Listen for callers here instead of where the configuration says; loopback only
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Listen for operators here instead of where the configuration says; loopback only
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// Keep facts, orders and stored answers here instead of where the configuration says
    #[arg(long, value_name = "DIR", env = "BYWAY_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Take the listening sockets over from the gateway that runs now, which then stops
    #[arg(long)]
    pub(crate) takeover: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file
    #[arg(value_name = "FILE", default_value = "byway.toml", env = "BYWAY_CONFIG")]
    pub(crate) file: PathBuf,
    /// How problems are shown
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// The same as `--format json`
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A provider, so that nothing is asked; may be given several times
    #[arg(long, value_name = "NAME=URL")]
    pub(crate) provider: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "byway.toml")]
    pub(crate) output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// The settings of a command that needs no gateway: of the file, or of byway.toml if there is one.
///
/// # Errors
/// The problems of the file, rendered.
pub(crate) fn settings(file: Option<&Path>, state: Option<&Path>) -> Result<Settings, String> {
    let usual = Path::new("byway.toml");
    let file = file.or_else(|| usual.exists().then_some(usual));
    let mut settings = match file {
        Some(file) => byway_config::load(file).map_err(|problems| problems.render(false))?,
        None => Settings::default(),
    };
    if let Some(dir) = state {
        settings.state.dir = Some(dir.to_owned());
    }
    Ok(settings)
}

/// Says what went wrong, on standard error.
#[expect(clippy::print_stderr, reason = "this is the command line speaking to a person")]
pub(crate) fn complain(message: &str) {
    eprintln!("byway: {message}");
}

/// Says something on standard output; whoever reads only the beginning (`| head`) is content.
pub(crate) fn say(message: &str) {
    let _reader_gone = writeln!(std::io::stdout(), "{message}");
}
