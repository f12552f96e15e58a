//! The gateway under test.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crate::process::{self, Process};
use crate::raw;

/// A running gateway with its own folder and configuration.
#[derive(Debug)]
pub struct Gateway {
    /// Where callers come in.
    pub addr: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
    /// The configuration file.
    pub config: PathBuf,
    process: Process,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
    _folder: Option<tempfile::TempDir>,
}

/// The sections that a test need not write.
pub const HEAD: &str = "\
[gateway]
listen = \"127.0.0.1:0\"
instance = \"test\"
workers = 2
drain = \"10s\"
[admin]
listen = \"127.0.0.1:0\"
[log]
format = \"json\"
";

impl Gateway {
    /// Starts a gateway with these sections behind the usual head.
    ///
    /// # Panics
    /// If it does not start; its messages are in the panic.
    pub fn start(sections: &str) -> Self {
        Self::with(&format!("{HEAD}{sections}"), &[])
    }

    /// Starts a gateway with this whole configuration and further arguments.
    ///
    /// # Panics
    /// If it does not start.
    pub fn with(config: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("byway.toml");
        fs::write(&path, config).expect("writable");
        let mut gateway = Self::at(path, arguments);
        gateway._folder = Some(folder);
        gateway
    }

    /// Starts a gateway with a configuration that is there already.
    ///
    /// # Panics
    /// If it does not start.
    pub fn at(config: PathBuf, arguments: &[&str]) -> Self {
        let mut command = Command::new(process::binary());
        command.arg("serve").arg("--config").arg(&config).args(arguments);
        // What a gateway keeps is the test's own, beside its configuration.
        command.env("BYWAY_STATE", config.with_file_name("state"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let mut process = Process(child);
        let out = collect(process.0.stdout.take().expect("piped"));
        let err = collect(process.0.stderr.take().expect("piped"));
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway =
            Self { addr: none, admin: none, config, process, out, err, _folder: None };
        let found = process::until("the gateway's addresses", || {
            if let Ok(Some(status)) = gateway.process.0.try_wait() {
                panic!("the gateway ended with {status}: {}", gateway.errors().join("\n"));
            }
            let lines = gateway.errors();
            Some((told(&lines, "listening for callers")?, told(&lines, "listening for operators")?))
        });
        (gateway.addr, gateway.admin) = found;
        gateway
    }

    /// What it said on standard error, line by line.
    pub fn errors(&self) -> Vec<String> {
        self.err.lock().expect("no panic").clone()
    }

    /// The request lines so far.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let lines = self.out.lock().expect("no panic").clone();
        lines.iter().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Waits for the n-th request line.
    ///
    /// # Panics
    /// If it does not come.
    pub fn line(&self, n: usize) -> serde_json::Value {
        process::until("a request line", || self.lines().get(n).cloned())
    }

    /// A connection to it.
    ///
    /// # Panics
    /// If it refuses.
    pub fn connect(&self) -> TcpStream {
        raw::connect(self.addr)
    }

    /// One metric's value, over all its labels that contain `label`.
    ///
    /// # Panics
    /// If the metrics cannot be read.
    pub fn metric(&self, name: &str, label: &str) -> u64 {
        let request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        let answer = raw::ask(self.admin, request);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.ends_with("# EOF\n"), "a whole exposition: {text}");
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.process.id(), signal).expect("it runs");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        process::until("the gateway's end", || self.process.0.try_wait().expect("ours"))
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    /// Where it keeps what outlives it.
    pub fn state(&self) -> PathBuf {
        self.config.with_file_name("state")
    }

    /// Its process id.
    pub fn id(&self) -> rustix::process::Pid {
        self.process.id()
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            kept.lock().expect("no panic").push(line);
        }
    });
    lines
}

/// The address in the message.
fn told(lines: &[String], message: &str) -> Option<SocketAddr> {
    let line = lines.iter().rev().find(|line| line.contains(message))?;
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("fields")?.get("addr")?.as_str()?.parse().ok()
}
