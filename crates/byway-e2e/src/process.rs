//! Child processes that never outlive their test.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// A child process, killed and reaped when dropped.
#[derive(Debug)]
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Process {
    /// Starts a command without standard input or output.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Starts a command and waits for its first line on standard output.
    ///
    /// # Panics
    /// If it cannot be started, or ends without a word.
    pub fn speaking(command: &mut Command) -> (Self, String) {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next().expect("it speaks").expect("text");
        (Self(child), line)
    }

    /// The process id.
    pub fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.0)
    }
}

/// The gateway's binary under test: `BYWAY_BIN`, or built now.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| find("byway", "BYWAY_BIN")).clone()
}

/// The relay's: `BYWAY_RELAY_BIN`, or built now.
///
/// # Panics
/// If it cannot be built.
pub fn relay_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| find("byway-relay", "BYWAY_RELAY_BIN")).clone()
}

#[expect(clippy::disallowed_methods, reason = "tests are told where the binaries are")]
fn find(name: &str, variable: &str) -> PathBuf {
    if let Ok(path) = std::env::var(variable) {
        return PathBuf::from(path);
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", name])
        .current_dir(&root)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{name} does not build");
    // target/debug/deps/<this test> → target/debug/<name>
    let this = std::env::current_exe().expect("this test has a path");
    this.parent().and_then(|deps| deps.parent()).expect("a target folder").join(name)
}

/// Whether a program can be run; a test that needs it says loudly that it is skipped.
///
/// With `CI` set nothing may be skipped.
pub fn have(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        skip(&format!("`{program}` is not installed"));
    }
    found
}

/// Where CI installed what tests drive, by the variable that says so; a test without it skips.
#[expect(clippy::disallowed_methods, reason = "CI says where it installed them")]
pub fn installed(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var(variable).ok().map(PathBuf::from);
    if folder.is_none() {
        skip(&format!("{variable} is not set; `cargo xtask ci` sets it"));
    }
    folder
}

/// Says that a test is skipped, which CI takes for a failure.
///
/// # Panics
/// If `CI` is set.
#[expect(clippy::disallowed_methods, reason = "CI says so by the environment")]
#[expect(clippy::print_stderr, reason = "a skipped test says so loudly")]
pub fn skip(why: &str) {
    assert!(std::env::var("CI").is_err(), "skipped in CI: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Asks again and again until something is there; the limit is for hanging tests only.
///
/// # Panics
/// If it never comes.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1500 {
        if let Some(found) = ask() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}")
}

/// A port that was free a moment ago, for programs that cannot choose one by themselves.
///
/// # Panics
/// If loopback has none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("an address").port()
}
