//! The binary: command line, wiring, signals, exit codes.
//!
//! Exit codes: 0 fine, 1 the operation failed, 2 wrong usage or configuration.

mod attempt;
mod ca;
mod check;
mod cli;
mod detour;
mod drill;
mod explain;
mod facts;
mod init;
mod logging;
mod operator;
mod otlp;
mod relay;
mod serve;
mod shelf;
mod state;
mod takeover;
mod watch;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Try(args) => attempt::run(&args),
        Command::Detour(args) => detour::run(&args),
        Command::Facts(args) => facts::run(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Drill(args) => drill::run(&args),
        Command::Relay(args) => relay::run(&args),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "byway", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        cli::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}
