//! A server under measurement: started on its cores, watched, and stopped in any case.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{http::Client, procfs};
use crate::{
    run,
    ui::{self, Outcome},
};

const START_LIMIT: Duration = Duration::from_secs(15);
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// A running server. Dropping it ends it, with its workers.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    log: std::path::PathBuf,
}

impl Server {
    /// Starts `args` on `cores` and waits until `port` takes connections.
    pub(crate) fn start(
        name: &str,
        args: &[String],
        cores: &str,
        port: u16,
        folder: &Path,
    ) -> Outcome<Self> {
        let log = folder.join(format!("{name}.out"));
        let file =
            File::create(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let copy = file.try_clone().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let mut command = pinned(cores);
        command.args(args).current_dir(run::root());
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = command.spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
        let mut server = Self { name: name.to_owned(), child, log };
        let end = ui::now() + START_LIMIT;
        loop {
            server.alive()?;
            if Client::connect(port).is_ok() {
                return Ok(server);
            }
            if ui::now() >= end {
                let secs = START_LIMIT.as_secs();
                return Err(format!("{name} does not listen on port {port} after {secs} s"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error, with the end of its output, if the server has ended.
    pub(crate) fn alive(&mut self) -> Outcome<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let output = std::fs::read_to_string(&self.log).unwrap_or_default();
                // The reason tends to stand first; what follows may be a dump of the configuration.
                let lines: Vec<&str> = output.lines().take(8).collect();
                Err(format!("{} ended by itself ({status}): {}", self.name, lines.join(" | ")))
            }
            Err(e) => Err(format!("cannot watch {}: {e}", self.name)),
        }
    }

    fn signal(signal: &str, pids: &[u32]) {
        let mut kill = Command::new("kill");
        kill.arg(signal).args(pids.iter().map(u32::to_string));
        // A process that is gone already is what we want.
        drop(run::output(&mut kill, STOP_LIMIT));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Taken now: once the parent is gone, its workers cannot be found any more.
        let tree = procfs::tree(self.pid());
        Self::signal("-TERM", &[self.pid()]);
        let end = ui::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if ui::now() >= end {
                Self::signal("-KILL", &tree);
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.wait());
    }
}

/// A command that runs on `cores` and ends with us, even if we are killed.
pub(crate) fn pinned(cores: &str) -> Command {
    let mut command = Command::new("taskset");
    if run::which("setpriv").is_some() {
        command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "taskset"]);
    }
    command.args(["-c", cores]);
    command
}
