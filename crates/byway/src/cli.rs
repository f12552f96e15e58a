//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// Says what went wrong, on standard error.
#[expect(clippy::print_stderr, reason = "this is the command line speaking to a person")]
pub(crate) fn complain(message: &str) {
    eprintln!("byway: {message}");
}

/// Says something on standard output.
#[expect(clippy::print_stdout, reason = "this is the command line speaking to a person")]
pub(crate) fn say(message: &str) {
    println!("{message}");
}
