//! `cargo lambda watch`, the emulator that Rust functions are developed with.
//!
//! It is started for its APIs only, and the built relay by hand. What it gets wrong against AWS is
//! mended between the two: its deadline is in 1970, and it wants `cookies` and `multiValueHeaders` in
//! every answer, which AWS does not.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::process::{self, Process};
use crate::raw::{self, Kind, Message};
use crate::relay::Kit;

/// What a call may take, as our template for Lambda has it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The emulator, and one instance of a relay on it.
#[derive(Debug)]
pub struct CargoLambda {
    addr: SocketAddr,
    function: String,
    // In this order: they end before the folder does.
    _processes: [Process; 2],
    _project: tempfile::TempDir,
}

impl CargoLambda {
    /// Starts both, with the program of this environment; `streams` is the form of answers.
    ///
    /// # Panics
    /// If one does not start.
    pub fn start(venv: &Path, kit: &Kit, streams: bool) -> Self {
        let project = project(&kit.id);
        let addr = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut watch = Command::new(venv.join("bin/cargo-lambda"));
        watch.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1"]);
        watch.args(["--invoke-port", &addr.port().to_string()]).current_dir(project.path());
        let mut watch = Process::start(&mut watch);
        process::until("cargo lambda", || {
            let ended = watch.0.try_wait().expect("ours");
            assert!(ended.is_none(), "cargo lambda ended with {ended:?}");
            TcpStream::connect(addr).ok()
        });
        let api = mended(addr);
        let mut relay = Command::new(process::relay_binary());
        relay.arg("--config").arg(kit.config());
        relay.env("AWS_LAMBDA_RUNTIME_API", format!("http://{api}/.rt/{}", kit.id));
        relay.env("AWS_LAMBDA_FUNCTION_NAME", &kit.id);
        relay.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        relay.env("AWS_LAMBDA_FUNCTION_VERSION", "1");
        relay.env("AWS_LAMBDA_LOG_STREAM_NAME", "log").env("AWS_LAMBDA_LOG_GROUP_NAME", "log");
        relay.env("BYWAY_RELAY_STREAMING", streams.to_string());
        let relay = Process::start(&mut relay);
        Self { addr, function: kit.id.clone(), _processes: [relay, watch], _project: project }
    }

    /// Its function URL.
    pub fn url(&self) -> String {
        format!("http://{}/lambda-url/{}/", self.addr, self.function)
    }
}

/// A project whose binary has the function's name; it is read and never built.
fn project(function: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = format!(
        "[package]\nname = {function:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("writable");
    std::fs::create_dir(folder.path().join("src")).expect("writable");
    std::fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").expect("writable");
    folder
}

/// Its Runtime API as AWS has it.
fn mended(emulator: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || pass(stream, emulator));
        }
    });
    addr
}

/// One connection: a request and its answer after the other, until either side goes.
fn pass(mut relay: TcpStream, emulator: SocketAddr) -> Option<()> {
    // Whoever waits for an invocation waits as long as it takes: no limits here.
    let mut emulator = TcpStream::connect(emulator).ok()?;
    relay.set_nodelay(true).and_then(|()| emulator.set_nodelay(true)).ok()?;
    loop {
        let request = with_lists(raw::read_message(&mut relay, Kind::Request)?);
        emulator.write_all(&[request.head, request.body].concat()).ok()?;
        let answer = with_deadline(raw::read_message(&mut emulator, Kind::Answer)?);
        relay.write_all(&[answer.head, answer.body].concat()).ok()?;
    }
}

/// The answer of a function with the two lists; one that is streamed begins otherwise, and has them.
fn with_lists(request: Message) -> Message {
    let length = request.field("content-length");
    let value = serde_json::from_slice(&request.body).ok();
    let (Some(length), Some(Value::Object(mut told))) = (length, value) else { return request };
    told.entry("cookies").or_insert_with(|| json!([]));
    told.entry("multiValueHeaders").or_insert_with(|| json!({}));
    let body = Value::Object(told).to_string().into_bytes();
    let before = format!("content-length: {length}\r\n");
    let head = String::from_utf8(request.head).expect("ASCII");
    let head = head.replace(&before, &format!("content-length: {}\r\n", body.len()));
    Message { head: head.into_bytes(), body }
}

/// An invocation with a deadline that is to come.
#[expect(clippy::disallowed_methods, reason = "the platform tells a deadline by the wall clock")]
fn with_deadline(answer: Message) -> Message {
    let Some(deadline) = answer.field("lambda-runtime-deadline-ms") else { return answer };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mended = (now + TIMEOUT).as_millis();
    let name = "lambda-runtime-deadline-ms";
    let head = String::from_utf8(answer.head).expect("ASCII");
    let head = head.replace(&format!("{name}: {deadline}"), &format!("{name}: {mended}"));
    Message { head: head.into_bytes(), ..answer }
}
