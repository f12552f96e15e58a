//! ministack: AWS in one Python process. Stacks come up from our own templates, and the zip that is
//! in the bucket runs.
//!
//! It checks no signature, only whether there is one, so this says nothing about signing.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{in_repository, rendered, run, script};
use crate::process::{self, Process, relay_binary};
use crate::raw;
use crate::relay::Kit;

/// What stands before a function; each has its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A function URL that collects answers.
    FunctionUrl,
    /// A function URL that streams them.
    FunctionUrlStreaming,
    /// API Gateway, HTTP API.
    HttpApi,
    /// API Gateway, REST API.
    RestApi,
}

/// Whether a door asks for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// As our templates have it.
    Iam,
    /// Taken off.
    Off,
}

/// It runs on loopback, with a folder of its own.
#[derive(Debug)]
pub struct Ministack {
    /// Where it listens.
    pub addr: SocketAddr,
    // In this order: it ends before its folder does.
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Ministack {
    /// Starts it with the Python of this environment.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(venv: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let addr = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new(venv.join("bin/python"));
        command.arg(script("ministack_relay.py")).current_dir(folder.path());
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", addr.port().to_string());
        // It unpacks functions there.
        command.env("TMPDIR", folder.path());
        let mut process = Process::start(&mut command);
        process::until("ministack", || {
            let ended = process.0.try_wait().expect("ours");
            assert!(ended.is_none(), "ministack ended with {ended:?}");
            TcpStream::connect(addr).ok()?;
            let health = b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
            (raw::ask(addr, health).status() == 200).then_some(())
        });
        Self { addr, _process: process, _folder: folder }
    }

    /// Deploys a relay from its template, with everything that the template can make; its URL.
    ///
    /// # Panics
    /// If the stack does not come up.
    pub fn deploy(&self, venv: &Path, kit: &Kit, door: Door, lock: Lock) -> String {
        let (template, streaming) = match door {
            Door::FunctionUrl => ("aws-lambda/template.yaml", Some("Streaming=false")),
            Door::FunctionUrlStreaming => ("aws-lambda/template.yaml", Some("Streaming=true")),
            Door::HttpApi => ("api-gateway/template.yaml", None),
            Door::RestApi => ("api-gateway/template-rest.yaml", None),
        };
        let folder = kit.folder.path();
        let mut text = rendered(&in_repository("crates/byway/templates").join(template));
        if lock == Lock::Off {
            assert!(text.contains("AWS_IAM"), "{template} has a lock");
            text = text.replace("AWS_IAM", "NONE");
        }
        let file = folder.join("template.yaml");
        std::fs::write(&file, text).expect("writable");
        let mut command = Command::new(venv.join("bin/python"));
        command.arg(script("deploy.py")).arg(format!("http://{}", self.addr));
        command.arg(file).arg(&kit.id).arg(folder).arg(bootstrap(folder));
        let told = run(command.args(streaming)).expect("the stack comes up");
        let outputs: Value = serde_json::from_str(&told).expect("JSON");
        let url = outputs.get("Url").and_then(Value::as_str).expect("a URL");
        assert_ne!(outputs.get("ExitAddress"), None, "{outputs}: a fixed address");
        self.local(url)
    }

    /// The URL under which ministack serves what AWS would serve under this one: names under
    /// `localhost` would need a resolver that knows them.
    fn local(&self, url: &str) -> String {
        let (_, rest) = url.split_once("://").expect("a URL");
        let (host, path) = rest.split_once('/').expect("a path");
        let id = host.split('.').next().unwrap_or_default();
        let addr = self.addr;
        if host.contains(".lambda-url.") {
            return format!("http://{addr}/_aws/lambda-url/{id}/");
        }
        let stage = if path.is_empty() { "$default/" } else { path };
        format!("http://{addr}/_aws/execute-api/{id}/{stage}")
    }
}

/// The relay without its symbols, which are most of a debug build and would travel in the zip.
fn bootstrap(folder: &Path) -> PathBuf {
    let stripped = folder.join("bootstrap");
    let binary = relay_binary();
    match run(Command::new("strip").arg("-o").arg(&stripped).arg(&binary)) {
        Ok(_) => stripped,
        Err(_) => binary,
    }
}
