//! Other programs: found, run to their end within a time limit, or refused with a sentence.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::ui::{self, Outcome};

/// What a program printed.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Both streams, for programs that print their version to either.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Where `program` is, by `PATH` and the places where servers live.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = ui::env("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    folders.map(|folder| Path::new(folder).join(program)).find(|file| file.is_file())
}

/// Runs to the end, at most `limit`. Streams go through files, so that no pipe can fill up.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Outcome<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let scratch = Scratch::new("run")?;
    let (out, err) = (scratch.path().join("stdout"), scratch.path().join("stderr"));
    command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?);
    let mut child = command.spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
    let end = ui::now() + limit;
    let status = loop {
        match child.try_wait().map_err(|e| format!("cannot wait for {name}: {e}"))? {
            Some(status) => break Some(status),
            None if ui::now() >= end => {
                drop(child.kill());
                drop(child.wait());
                break None;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let read = |file| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let (stdout, stderr) = (read(&out), read(&err));
    let Some(status) = status else {
        return Err(format!("{name} took longer than {} s and was stopped", limit.as_secs()));
    };
    Ok(Output { ok: status.success(), stdout, stderr })
}

/// Like `output`, but a failure is an error that holds the end of what was printed.
pub(crate) fn require(command: &mut Command, limit: Duration) -> Outcome<Output> {
    let shown = shown(command);
    let output = output(command, limit)?;
    if output.ok {
        return Ok(output);
    }
    let all = output.all();
    let lines: Vec<&str> = all.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
    Err(format!("`{shown}` failed:\n{}", tail.join("\n")))
}

/// Runs with the terminal's own streams.
pub(crate) fn loud(command: &mut Command) -> Outcome<()> {
    let shown = shown(command);
    let status = command.status().map_err(|e| format!("cannot start `{shown}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

pub(crate) fn shown(command: &Command) -> String {
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    let program = command.get_program().to_string_lossy().into_owned();
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}

pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

/// Installs Debian packages if that is possible here. The error says what to type instead.
pub(crate) fn apt_install(packages: &[&str]) -> Outcome<()> {
    let list = packages.join(" ");
    let by_hand = format!("install it by hand: apt-get install --no-install-recommends {list}");
    if !is_root() || which("apt-get").is_none() {
        return Err(format!("not root on a Debian machine; {by_hand}"));
    }
    ui::say(format_args!("   installing {list}"));
    let limit = Duration::from_secs(300);
    let mut update = Command::new("apt-get");
    require(update.args(["update", "-qq"]), limit).map_err(|e| format!("{e}\n{by_hand}"))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    require(&mut install, limit).map(drop).map_err(|e| format!("{e}\n{by_hand}"))
}

fn create(file: &Path) -> Outcome<fs::File> {
    fs::File::create(file).map_err(|e| format!("cannot write {}: {e}", file.display()))
}

/// A folder for one run, open to the users that servers change to, gone at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(purpose: &str) -> Outcome<Self> {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("byway-{purpose}-{}-{n}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)
            .map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let target = ui::env("CARGO_TARGET_DIR").unwrap_or_else(|| String::from("target"));
    root().join(target)
}

/// Cargo as a person would call it.
///
/// `cargo run` tells its child about the package that it runs; build scripts that watch those
/// variables (ring's does) would otherwise build again each time the caller changes.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(ui::env("CARGO").unwrap_or_else(|| String::from("cargo")));
    cargo.current_dir(root());
    let told = std::env::vars_os().map(|(name, _)| name);
    for name in told.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    }) {
        cargo.env_remove(name);
    }
    cargo
}
