//! Running it: check, reload, drain, takeover, activation.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use byway_e2e::gateway::{self, Gateway};
use byway_e2e::origin::{self, Origin};
use byway_e2e::process;
use byway_e2e::raw::{self, Kind};
use rustix::process::Signal;

fn byway(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(process::binary()).args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_shows_every_problem_and_has_exit_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("byway.toml");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(byway(&["check", path]).0, Some(1), "a file that is not there");
    std::fs::write(&file, "[provider.a]\nurl = \"https://a.example\"\n").expect("writable");
    let (code, out, _) = byway(&["check", path]);
    assert_eq!(code, Some(0));
    assert!(out.contains(" is fine: 1 provider, "), "{out}");
    let bad = "[gateway]\nlisten = \"nowhere\"\n[provider.a]\nurl = \"https://a.example/path\"\npaths = [\"gone\"]\n";
    std::fs::write(&file, bad).expect("writable");
    let (code, _, err) = byway(&["check", path]);
    assert_eq!(code, Some(2));
    for word in ["nowhere", "https://a.example/path", "gone", "^"] {
        assert!(err.contains(word), "{word}: {err}");
    }
    let (code, out, _) = byway(&["check", path, "--json"]);
    assert_eq!(code, Some(2));
    let problems: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(problems.as_array().map(Vec::len), Some(3), "{out}");
}

#[test]
fn init_writes_a_configuration_that_check_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("byway.toml");
    let path = file.to_str().expect("UTF-8");
    let provider = "catalog=https://api.catalog.example";
    assert_eq!(byway(&["init", "--provider", provider, "--output", path]).0, Some(0));
    assert_eq!(byway(&["check", path]).0, Some(0));
    let (code, _, err) = byway(&["init", "--provider", provider, "--output", path]);
    assert_eq!(code, Some(1));
    assert!(err.contains("exists already"), "{err}");
    let bad = folder.path().join("bad.toml");
    let (code, _, err) =
        byway(&["init", "--provider", "a=nonsense", "--output", bad.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1), "{err}");
    assert!(!bad.exists(), "nothing is written that would not work");
    // Asking: two answers and an empty line.
    let asked = folder.path().join("asked.toml");
    let mut child = Command::new(process::binary())
        .args(["init", "--output", asked.to_str().expect("UTF-8")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let mut answers = child.stdin.take().expect("piped");
    answers.write_all(b"shop\nhttps://shop.example\n\n").expect("taken");
    drop(answers);
    assert!(child.wait().expect("it ends").success());
    let text = std::fs::read_to_string(&asked).expect("written");
    assert!(text.contains("[provider.shop]\nurl = \"https://shop.example\""), "{text}");
}

#[test]
fn help_and_completions() {
    for arguments in
        [&["--help"][..], &["serve", "--help"], &["check", "--help"], &["init", "--help"]]
    {
        let (code, out, _) = byway(arguments);
        assert_eq!(code, Some(0));
        assert!(out.contains("Usage:"), "{out}");
    }
    assert!(byway(&["serve", "--help"]).1.contains("Examples:"));
    assert!(byway(&["completions", "bash"]).1.contains("complete -F"));
    assert_eq!(byway(&["nonsense"]).0, Some(2));
    assert_eq!(byway(&["serve", "--config", "/nonexistent.toml"]).0, Some(1));
}

/// Callers that ask all the time, each on connections of its own and on kept ones.
struct Load {
    stop: Arc<AtomicBool>,
    n_ok: Arc<AtomicUsize>,
    failures: Arc<std::sync::Mutex<Vec<String>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(addr: std::net::SocketAddr) -> Self {
        let (stop, n_ok) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let failures = Arc::new(std::sync::Mutex::new(Vec::new()));
        let threads = (0..8)
            .map(|n| {
                let (stop, n_ok) = (Arc::clone(&stop), Arc::clone(&n_ok));
                let failures = Arc::clone(&failures);
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let asked =
                            std::panic::catch_unwind(|| ask_some(addr, n % 2 == 0, &n_ok, &stop));
                        if let Err(panic) = asked {
                            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                            failures.lock().expect("no panic").push(text);
                        }
                    }
                })
            })
            .collect();
        Self { stop, n_ok, failures, threads }
    }

    fn wait_for(&self, n_more: usize) {
        let due = self.n_ok.load(Ordering::Relaxed) + n_more;
        process::until("the load", || (self.n_ok.load(Ordering::Relaxed) >= due).then_some(()));
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("caught inside");
        }
        let failures = self.failures.lock().expect("no panic");
        assert!(failures.is_empty(), "{} failed: {:?}", failures.len(), failures.first());
        assert!(self.n_ok.load(Ordering::Relaxed) > 100, "the load did something");
    }
}

fn ask_some(addr: std::net::SocketAddr, keeps: bool, n_ok: &AtomicUsize, stop: &AtomicBool) {
    let mut stream = raw::connect(addr);
    loop {
        let close = if keeps { "" } else { "Connection: close\r\n" };
        let request = format!("GET /to/origin/x HTTP/1.1\r\nHost: {addr}\r\n{close}\r\n");
        stream.write_all(request.as_bytes()).expect("taken");
        let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
        assert_eq!(answer.status(), 200, "{}", String::from_utf8_lossy(&answer.head));
        n_ok.fetch_add(1, Ordering::Relaxed);
        if answer.field("connection").as_deref() == Some("close") || stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn provider(origin: &Origin) -> String {
    format!("[provider.origin]\nurl = \"http://{}\"\nallow_private = true\n", origin.addr)
}

#[test]
fn reload_under_load_loses_no_request() {
    let origin = Origin::answering(|_| origin::ok(b"one"));
    let gateway = Gateway::start(&provider(&origin));
    let load = Load::start(gateway.addr);
    for round in 0..10 {
        load.wait_for(50);
        let text = format!(
            "{}{}# {round}\n[provider.other-{round}]\nurl = \"https://a.example\"\n",
            gateway::HEAD,
            provider(&origin)
        );
        std::fs::write(&gateway.config, text).expect("writable");
        gateway.signal(Signal::HUP);
        load.wait_for(50);
    }
    load.end();
    assert!(gateway.metric("byway_reloads_total", "") >= 5);
    assert_eq!(gateway.metric("byway_reloads_failed_total", ""), 0);
}

#[test]
fn a_changed_file_is_taken_and_a_bad_one_changes_nothing() {
    let (first, second) =
        (Origin::answering(|_| origin::ok(b"first")), Origin::answering(|_| origin::ok(b"second")));
    let gateway = Gateway::start(&provider(&first));
    let ask = || {
        let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
        raw::ask(gateway.addr, request.as_bytes()).body
    };
    assert_eq!(ask(), b"first");
    std::fs::write(&gateway.config, "[provider.origin]\nurl = \"nonsense\"\n").expect("writable");
    process::until("the refusal", || {
        gateway.errors().iter().any(|line| line.contains("nothing has changed")).then_some(())
    });
    assert_eq!(ask(), b"first");
    assert_eq!(gateway.metric("byway_reloads_failed_total", ""), 1);
    // No signal: the file is watched.
    std::fs::write(&gateway.config, format!("{}{}", gateway::HEAD, provider(&second)))
        .expect("writable");
    process::until("the new one", || (ask() == b"second").then_some(()));
}

#[test]
fn a_stopping_gateway_finishes_what_is_under_way() {
    let origin = Origin::answering(|_| {
        std::thread::sleep(Duration::from_millis(400));
        origin::ok(b"slow")
    });
    let mut gateway = Gateway::start(&provider(&origin));
    let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    let mut busy = gateway.connect();
    busy.write_all(request.as_bytes()).expect("taken");
    let mut idle = gateway.connect();
    process::until("the request", || (origin.messages().len() == 1).then_some(()));
    gateway.signal(Signal::TERM);
    let answer = raw::read_message(&mut busy, Kind::Answer).expect("an answer");
    assert_eq!((answer.status(), answer.body.as_slice()), (200, b"slow".as_slice()));
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    assert_eq!(raw::read_to_end(&mut idle), b"", "idle connections end");
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(gateway.lines().len(), 1, "the line was written");
}

#[test]
fn a_stopping_gateway_has_a_deadline() {
    let origin = Origin::serving(|stream| {
        let mut stream = stream;
        raw::read_to_end(&mut stream);
    });
    let config = format!(
        "{}{}",
        gateway::HEAD.replace("drain = \"10s\"", "drain = \"500ms\""),
        provider(&origin)
    );
    let mut gateway = Gateway::with(&config, &[]);
    let mut stuck = gateway.connect();
    let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    stuck.write_all(request.as_bytes()).expect("taken");
    process::until("the request", || (origin.n_connections() == 1).then_some(()));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.errors().iter().any(|line| line.contains("drain deadline over")));
}

#[test]
fn a_takeover_under_load_loses_no_request() {
    let origin = Origin::answering(|_| origin::ok(b"x"));
    let port = process::free_port();
    let head = gateway::HEAD
        .replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:{port}\""), 1)
        .replacen(
            "listen = \"127.0.0.1:0\"",
            &format!("listen = \"127.0.0.1:{}\"", process::free_port()),
            1,
        );
    let config = format!("{head}{}", provider(&origin));
    let mut running = Gateway::with(&config, &[]);
    // A second one by mistake is told what to do, and the first goes on.
    let (code, _, err) = byway(&["serve", "--config", running.config.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1));
    assert!(err.contains("--takeover"), "{err}");
    let load = Load::start(running.addr);
    for _ in 0..5 {
        load.wait_for(100);
        let successor = Gateway::with(&config, &["--takeover"]);
        assert_eq!(successor.addr, running.addr);
        assert_eq!(running.wait().code(), Some(0), "the predecessor ends by itself");
        running = successor;
        load.wait_for(100);
    }
    load.end();
    assert_eq!(running.metric("byway_panics_total", ""), 0);
}

#[test]
fn a_takeover_that_fails_changes_nothing() {
    let origin = Origin::answering(|_| origin::ok(b"x"));
    let port = process::free_port();
    let head = gateway::HEAD.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1);
    let mut running = Gateway::with(&format!("{head}{}", provider(&origin)), &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("bad.toml");
    // Its admin port is taken, so it cannot start after it has the sockets.
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\n[admin]\nlisten = \"{}\"\n",
        origin.addr
    );
    std::fs::write(&bad, text).expect("writable");
    let (code, _, _) = byway(&["serve", "--takeover", "--config", bad.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(1));
    assert!(running.runs());
    let load = Load::start(running.addr);
    load.wait_for(200);
    load.end();
}

#[test]
fn sockets_of_the_service_manager_are_used() {
    // systemfd-style activation: LISTEN_FDS with the socket as descriptor 3.
    let origin = Origin::answering(|_| origin::ok(b"x"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("byway.toml");
    let head = gateway::HEAD.replacen("127.0.0.1:0", &addr.to_string(), 1);
    std::fs::write(&config, format!("{head}{}", provider(&origin))).expect("writable");
    let script = "import os,socket,sys\nfd=int(sys.argv[1])\nos.dup2(fd,3,inheritable=True)\nos.environ['LISTEN_FDS']='1'\nos.environ['LISTEN_PID']=str(os.getpid())\nos.execv(sys.argv[2],sys.argv[2:])\n";
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).expect("ours");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&listener).to_string();
    let mut command = Command::new("python3");
    command.args(["-c", script, &fd]).arg(process::binary());
    command.args(["serve", "--config"]).arg(&config);
    let _gateway = process::Process::start(&mut command);
    // The socket listens already: the connection waits in its queue until the gateway is up.
    let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    assert_eq!(raw::ask(addr, request.as_bytes()).body, b"x");
}

#[test]
fn spans_reach_a_collector() {
    let origin = Origin::echo();
    let collector = Origin::answering(|_| origin::ok(b""));
    let mut gateway = Gateway::start(&format!(
        "{}[otlp]\nendpoint = \"http://{}\"\n",
        provider(&origin),
        collector.addr
    ));
    let ask = |flags: &str, span: &str| {
        let request = format!(
            "GET /to/origin/secret-path HTTP/1.1\r\nHost: {}\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-{span}-{flags}\r\n\r\n",
            gateway.addr
        );
        assert_eq!(raw::ask(gateway.addr, request.as_bytes()).status(), 200);
    };
    ask("01", "b7ad6b7169203331");
    ask("00", "00000000000000ff");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0), "the last spans are sent before the end");
    let bodies: Vec<u8> = collector.messages().iter().flat_map(|m| m.body.clone()).collect();
    let has = |bytes: &[u8]| bodies.windows(bytes.len()).any(|window| window == bytes);
    // Protobuf holds identifiers and strings as they are.
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    assert!(has(&trace), "the caller's trace: {} bytes", bodies.len());
    assert!(has(&0xb7ad_6b71_6920_3331_u64.to_be_bytes()), "the caller's span is the parent");
    assert!(!has(&0xff_u64.to_be_bytes()), "a caller that does not record is not recorded");
    assert!(has(b"byway.provider") && has(b"origin"));
    assert!(!has(b"secret-path"), "no target leaves");
    let got = origin.messages();
    let traceparent = got[0].field("traceparent");
    assert_eq!(
        traceparent.as_deref(),
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        "passed on untouched"
    );
}

#[test]
fn metrics_are_whole_and_bounded() {
    let origin = Origin::echo();
    let config =
        gateway::HEAD.replace("[gateway]\n", "[gateway]\nunlisted_allow = [\"127.0.0.0/8\"]\n");
    let gateway = Gateway::with(&format!("{config}{}", provider(&origin)), &[]);
    for n in 1..50 {
        let request =
            format!("GET http://127.0.0.{n}:{}/ HTTP/1.1\r\nHost: a\r\n\r\n", origin.addr.port());
        raw::ask(gateway.addr, request.as_bytes());
    }
    let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    assert_eq!(raw::ask(gateway.addr, request.as_bytes()).status(), 200);
    assert!(gateway.metric("byway_requests_total", "provider=\"observed\"") >= 48);
    assert!(gateway.metric("byway_requests_total", "provider=\"origin\"") >= 1);
    let answer = raw::ask(gateway.admin, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains("127.0.0.9"), "no host in a label");
    let kind = answer.field("content-type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
}
