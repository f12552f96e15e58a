//! The arguments that all the relays take.

use std::net::SocketAddr;

/// `--listen ADDR --origin ADDR [--workers N] [--tls]`
#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub origin: SocketAddr,
    pub workers: usize,
    /// Speak TLS to the origin, without verifying it: the origin's certificate is made for the run.
    pub tls: bool,
}

const USAGE: &str = "usage: --listen ADDR:PORT --origin ADDR:PORT [--workers N] [--tls]";

impl Options {
    /// Reads the process's arguments.
    pub fn from_env() -> Result<Self, String> {
        Self::parse(std::env::args().skip(1))
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut listen, mut origin, mut workers, mut tls) = (None, None, 1, false);
        while let Some(name) = args.next() {
            if name == "--tls" {
                tls = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            let bad = |what: &dyn std::fmt::Display| format!("{name} {value}: {what}\n{USAGE}");
            match name.as_str() {
                "--listen" => listen = Some(value.parse().map_err(|e| bad(&e))?),
                "--origin" => origin = Some(value.parse().map_err(|e| bad(&e))?),
                "--workers" => workers = value.parse().map_err(|e| bad(&e))?,
                _ => return Err(bad(&"no such option")),
            }
        }
        Ok(Self {
            listen: listen.ok_or_else(|| format!("--listen is missing\n{USAGE}"))?,
            origin: origin.ok_or_else(|| format!("--origin is missing\n{USAGE}"))?,
            workers: workers.max(1),
            tls,
        })
    }
}

/// Prints why the program stops. The binaries return it as their exit code.
#[expect(clippy::print_stderr, reason = "a command-line tool tells its user why it stops")]
pub fn fail(why: &str) -> std::process::ExitCode {
    eprintln!("error: {why}");
    std::process::ExitCode::FAILURE
}
