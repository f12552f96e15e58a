//! `cargo xtask ci`: everything that has to be green, in the order in which it is cheapest to fail.
//! The same on a laptop and on a server; with `CI=true` a missing tool is an error and not a word.

mod environment;
mod totals;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    run, tidy,
    ui::{self, Outcome},
};
use environment::Environment;
use totals::Totals;

pub(crate) const HELP: &str = "\
cargo xtask ci: all checks; stops at the first that fails

  environment → format → tidy → clippy → binaries → tests → doc tests → docs → deny, machete, typos → release build

With CI=true a missing tool is an error; otherwise it is said, and what needs it may fail.
The last line is the number of tests: `N passed, N failed, N skipped`.
";

/// What the steps hand on.
#[derive(Debug, Default)]
struct Ci {
    /// On a server: nothing may be missing, and Cargo.lock must be right.
    strict: bool,
    environment: Environment,
    totals: Option<Totals>,
}

type Step = (&'static str, fn(&mut Ci) -> Outcome<()>);

const STEPS: &[Step] = &[
    ("environment", |ci| {
        ci.environment = environment::prepare(ci.strict)?;
        Ok(())
    }),
    ("format", |_| run::loud(run::cargo().args(["fmt", "--all", "--check"]))),
    ("tidy", |_| tidy::run()),
    ("clippy", |ci| {
        let mut clippy = ci.cargo("clippy");
        run::loud(clippy.args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
    }),
    ("binaries", |ci| {
        let mut build = ci.cargo("build");
        run::loud(build.args(["--package", "byway", "--package", "byway-relay", "--quiet"]))
    }),
    ("tests", tests),
    ("doc tests", |ci| run::loud(ci.cargo("test").args(["--workspace", "--doc", "--quiet"]))),
    ("docs", |ci| {
        let mut doc = ci.cargo("doc");
        doc.env("RUSTDOCFLAGS", "-D warnings");
        run::loud(doc.args(["--workspace", "--no-deps", "--quiet"]))
    }),
    ("deny, machete, typos", optional),
    ("release build", release),
];

/// Runs the steps. True: all are green. Whatever happens is printed here, the totals last.
pub(crate) fn run() -> bool {
    let mut ci = Ci { strict: ui::env("CI").is_some_and(|ci| ci == "true"), ..Ci::default() };
    let start = ui::now();
    let mut red = None;
    for (name, step) in STEPS {
        ui::say(format_args!("== {name}"));
        let begin = ui::now();
        let outcome = step(&mut ci);
        let seconds = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => ui::say(format_args!("== {name}: green, {seconds:.1} s\n")),
            Err(why) => {
                ui::say(format_args!("error: {why}\n== {name}: RED, {seconds:.1} s\n"));
                red = Some(*name);
                break;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    match red {
        None => ui::say(format_args!("== all green, {seconds:.0} s")),
        Some(name) => ui::say(format_args!("== stopped at: {name}, {seconds:.0} s")),
    }
    if let Some(totals) = &ci.totals {
        ui::say(format_args!("{}\n{totals}", totals.summary));
    }
    red.is_none()
}

impl Ci {
    /// Cargo with a subcommand, and with what tests need to know about the environment.
    fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = run::cargo();
        cargo.args(subcommand.split(' '));
        if self.strict {
            cargo.arg("--locked");
        }
        cargo.envs(self.environment.variables());
        cargo
    }
}

/// The tests, with their output passed on line by line and their totals remembered.
fn tests(ci: &mut Ci) -> Outcome<()> {
    let nextest = run::which("cargo-nextest").is_some() || cargo_has("nextest");
    let mut command = if nextest {
        let mut command = ci.cargo("nextest run");
        command.args(["--workspace", "--status-level", "slow", "--final-status-level", "fail"]);
        command.arg("--no-fail-fast");
        command
    } else {
        ui::warn("cargo-nextest is not installed; taking cargo test (cargo install cargo-nextest)");
        let mut command = ci.cargo("test");
        command.args(["--workspace", "--all-targets", "--no-fail-fast"]);
        command
    };
    command.env("BYWAY_BIN", run::target().join("debug/byway"));
    command.env("BYWAY_RELAY_BIN", run::target().join("debug/byway-relay"));
    // nextest reports on standard error, cargo test on standard output.
    let (out, err) = if nextest {
        (Stdio::inherit(), Stdio::piped())
    } else {
        (Stdio::piped(), Stdio::inherit())
    };
    let shown = run::shown(&command);
    let mut child = command
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| format!("cannot start `{shown}`: {e}"))?;
    let mut lines = Vec::new();
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>);
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>);
    if let Some(mut pipe) = stderr.or(stdout).map(BufReader::new) {
        let mut line = Vec::new();
        // Bytes, as a failing test may print anything.
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            ui::say(&text);
            lines.push(text);
            line.clear();
        }
    }
    let status = child.wait().map_err(|e| format!("cannot wait for `{shown}`: {e}"))?;
    ci.totals = Totals::read(&lines);
    if !status.success() {
        return Err(format!("`{shown}` failed ({status})"));
    }
    match &ci.totals {
        None => Err(format!("`{shown}` printed no totals")),
        Some(totals) if totals.failed > 0 => Err(String::from("tests failed")),
        Some(totals) if totals.passed == 0 => Err(String::from("not one test ran")),
        Some(_) => Ok(()),
    }
}

fn cargo_has(subcommand: &str) -> bool {
    let tried = run::output(run::cargo().args([subcommand, "--version"]), Duration::from_secs(20));
    tried.is_ok_and(|output| output.ok)
}

/// Tools that not every machine has: what is there has to be green, what is not is said.
fn optional(ci: &mut Ci) -> Outcome<()> {
    let tools: [(&str, &[&str]); 2] =
        [("deny", &["check", "bans", "licenses", "sources"]), ("machete", &[])];
    for (tool, args) in tools {
        if cargo_has(tool) {
            run::loud(run::cargo().arg(tool).args(args))?;
        } else {
            ui::warn(format_args!(
                "cargo-{tool} is NOT INSTALLED; not checked (cargo install cargo-{tool})"
            ));
        }
    }
    match ci.environment.typos() {
        Some(typos) => run::loud(Command::new(typos).current_dir(run::root())),
        None => {
            ui::warn("typos is NOT INSTALLED; not checked (pip install typos)");
            Ok(())
        }
    }
}

const RELAY: &str = "byway-relay";
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// What a relay may measure: it is loaded at every cold start.
const RELAY_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The relay without its symbols, as it is deployed, is static and small.
fn stripped(binary: &std::path::Path) -> Outcome<()> {
    let to = binary.with_extension("stripped");
    let limit = Duration::from_secs(30);
    run::require(Command::new("strip").arg("-o").arg(&to).arg(binary), limit)?;
    let size = std::fs::metadata(&to).map_or(u64::MAX, |file| file.len());
    let said = run::output(Command::new("ldd").arg(&to), limit).map(|output| output.all());
    if !said.is_ok_and(|said| said.contains("statically linked") || said.contains("not a dynamic"))
    {
        return Err(format!("{} is not static", to.display()));
    }
    ui::say(format_args!("   stripped: {:.2} MiB", size as f64 / 1024.0 / 1024.0));
    if size > RELAY_BYTES_MAX {
        return Err(format!("{} has {size} bytes; it may have {RELAY_BYTES_MAX}", to.display()));
    }
    Ok(())
}

/// The binaries that are shipped: they build for release, start, and say who they are.
fn release(ci: &mut Ci) -> Outcome<()> {
    for name in ["byway", "byway-relay"] {
        if !run::root().join("crates").join(name).join("Cargo.toml").is_file() {
            continue;
        }
        let mut build = ci.cargo("build");
        build.args(["--release", "--quiet", "--package", name]);
        let mut folder = run::target();
        if name == RELAY {
            // Static, as it has to run where nothing is known of the machine.
            build.env("RUSTFLAGS", "-C target-feature=+crt-static").args(["--target", TRIPLE]);
            folder = folder.join(TRIPLE);
        }
        run::loud(&mut build)?;
        let binary = folder.join("release").join(name);
        let mut version = Command::new(&binary);
        let output = run::require(version.arg("--version"), Duration::from_secs(10))?;
        let said = output.stdout.trim();
        if !said.starts_with(name) {
            return Err(format!("`{name} --version` says `{said}` and not its name and version"));
        }
        let size = std::fs::metadata(&binary).map_or(0, |file| file.len());
        ui::say(format_args!("   {said}: {:.1} MiB", size as f64 / 1024.0 / 1024.0));
        if name == RELAY {
            stripped(&binary)?;
        }
    }
    Ok(())
}
