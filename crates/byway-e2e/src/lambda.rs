//! The Lambda Runtime API, so that the built relay runs as it does on the platform.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>: next, response (whole or
//! streamed), error. What stands before the function is [`byway_drill::platform`].

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use byway_drill::platform::{Asked, Front, Function, Platform, Told};
use serde_json::Value;

use crate::process::{self, Process};
use crate::relay::Kit;

/// An event and where its answer goes.
type Invocation = (Value, Sender<Told>);

/// A relay on Lambda, behind a front.
#[derive(Debug)]
pub struct Lambda {
    /// The front.
    pub platform: Platform,
    _processes: Vec<Process>,
}

impl Lambda {
    /// Starts `n` instances of the built relay behind a front.
    ///
    /// # Panics
    /// If they do not start.
    pub fn start(kit: &Kit, front: Front, n: usize, environment: &[(&str, &str)]) -> Self {
        let (invoke, invocations) = channel();
        let invocations = Arc::new(Mutex::new(invocations));
        let timeout = front.timeout();
        let mut processes = Vec::new();
        for _ in 0..n {
            let api = runtime_api(Arc::clone(&invocations), timeout);
            let mut command = Command::new(process::relay_binary());
            command.arg("--config").arg(kit.config());
            command.env("AWS_LAMBDA_RUNTIME_API", api.to_string());
            command.env("AWS_LAMBDA_FUNCTION_NAME", &kit.id);
            command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
            command.env("AWS_LAMBDA_FUNCTION_VERSION", "1");
            command.env("AWS_LAMBDA_LOG_STREAM_NAME", "log");
            command.env("AWS_LAMBDA_LOG_GROUP_NAME", "log");
            command.envs(environment.iter().copied());
            processes.push(Process::start(&mut command));
        }
        let invoke = Mutex::new(invoke);
        let function: Function = Arc::new(move |event| {
            let (to, from) = channel();
            let sent = invoke.lock().expect("no panic").send((event, to));
            if sent.is_err() {
                return Told::Nothing;
            }
            from.recv_timeout(timeout).unwrap_or(Told::Nothing)
        });
        let platform = Platform::start(front, function, anybody).expect("loopback");
        Self { platform, _processes: processes }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.platform.addr)
    }
}

fn anybody(_: &Asked) -> bool {
    true
}

/// One instance's API.
fn runtime_api(invocations: Arc<Mutex<Receiver<Invocation>>>, timeout: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("an address");
    let pending = Arc::new(Mutex::new(None));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (invocations, pending) = (Arc::clone(&invocations), Arc::clone(&pending));
            std::thread::spawn(move || {
                let _gone = api(stream, &invocations, &pending, timeout);
            });
        }
    });
    addr
}

fn api(
    mut stream: TcpStream,
    invocations: &Mutex<Receiver<Invocation>>,
    pending: &Mutex<Option<Sender<Told>>>,
    timeout: Duration,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Some(head) = head(&mut stream)? else { return Ok(()) };
        let lower = head.to_ascii_lowercase();
        if head.starts_with("GET ") {
            let invocation = invocations.lock().expect("no panic").recv();
            let Ok((event, to)) = invocation else { return Ok(()) };
            *pending.lock().expect("no panic") = Some(to);
            let deadline = (since_1970() + timeout).as_millis();
            let event = event.to_string();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                 Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:0:function:r\r\n\
                 Lambda-Runtime-Trace-Id: Root=1-0-0\r\n\r\n{event}",
                event.len()
            )?;
            continue;
        }
        let to = pending.lock().expect("no panic").take();
        let is_streamed = lower.contains("lambda-runtime-function-response-mode: streaming");
        let body = Incoming::new(&lower);
        match to {
            Some(to) if is_streamed => {
                let (reader, mut writer) = io::pipe()?;
                let _gone = to.send(Told::Streamed(Box::new(reader)));
                body.copy(&mut stream, &mut writer)?;
            }
            Some(to) => {
                let mut bytes = Vec::new();
                body.copy(&mut stream, &mut bytes)?;
                let is_answer = head.contains("/response ");
                let told = serde_json::from_slice(&bytes).ok().filter(|_| is_answer);
                let _gone = to.send(told.map_or(Told::Nothing, Told::Whole));
            }
            None => body.copy(&mut stream, &mut io::sink())?,
        }
        write!(stream, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
    }
}

#[expect(clippy::disallowed_methods, reason = "the platform tells a deadline by the wall clock")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A head, byte by byte; `None` at the end of the connection.
fn head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&byte);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// How a body comes in.
struct Incoming {
    length: Option<u64>,
}

impl Incoming {
    fn new(head: &str) -> Self {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        Self { length: length.and_then(|length| length.trim().parse().ok()) }
    }

    fn copy(&self, stream: &mut TcpStream, to: &mut impl io::Write) -> io::Result<()> {
        if let Some(length) = self.length {
            io::copy(&mut stream.take(length), to)?;
            return Ok(());
        }
        loop {
            let line = head_line(stream)?;
            let digits = String::from_utf8_lossy(&line);
            let digits = digits.trim().split(';').next().unwrap_or_default();
            let n = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if n == 0 {
                // Trailers, and the empty line.
                while head_line(stream)? != b"\r\n" {}
                return Ok(());
            }
            io::copy(&mut stream.take(n), to)?;
            stream.read_exact(&mut [0; 2])?;
        }
    }
}

fn head_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.extend_from_slice(&byte);
    }
    Ok(line)
}
