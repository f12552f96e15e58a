//! Providers that fail: what the caller is told, what the log says, and what stays afterwards.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use byway_e2e::gateway::{self, Gateway};
use byway_e2e::origin::{self, Origin};
use byway_e2e::pki::Authority;
use byway_e2e::process::{self, Process};
use byway_e2e::raw::{self, Kind, Message};

use crate::framing::resident_kib;

/// Deadlines so short that a test can wait for them.
const QUICK: &str =
    "[provider.origin.deadlines]\nconnect = \"500ms\"\ntls = \"500ms\"\nfirst_byte = \"500ms\"\n";

/// Serves every connection by a function of the bare socket and of how many came before.
fn serving(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            stream.set_read_timeout(Some(raw::PATIENCE)).expect("a socket");
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream, n));
        }
    });
    addr
}

/// Ends a connection with a reset instead of a FIN.
fn reset(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("a socket");
}

fn read_request(stream: &mut TcpStream) -> Option<Message> {
    raw::read_message(stream, Kind::Request)
}

/// What the pool alone repeats is looked at here; retries have tests of their own.
const NO_RETRY: &str = "retry_percent = 0\nretry_per_s = 0\nprobe = \"off\"\n";

fn gateway(url: &str, extra: &str) -> Gateway {
    Gateway::start(&format!(
        "[provider.origin]\nurl = \"{url}\"\nallow_private = true\n{NO_RETRY}{QUICK}{extra}"
    ))
}

fn request(gateway: &Gateway, method: &str, rest: &str) -> Vec<u8> {
    format!("{method} /to/origin{rest} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr).into_bytes()
}

/// The caller sees the code in the reason phrase, and the n-th log line has the same one.
#[track_caller]
fn fails(gateway: &Gateway, n: usize, status: u16, code: &str) -> serde_json::Value {
    let answer = raw::ask(gateway.addr, &request(gateway, "GET", "/x"));
    let first = String::from_utf8_lossy(answer.first_line()).into_owned();
    assert!(first.starts_with(&format!("HTTP/1.1 {status} byway: ")), "{code}: {first}");
    assert!(first.ends_with(&format!("({code})")), "{code}: {first}");
    let line = gateway.line(n);
    assert_eq!(line["code"], code, "{line}");
    assert!(line["status"].is_null(), "the provider gave no status: {line}");
    line
}

#[test]
fn a_reset_before_the_answer_is_told_apart_from_a_closed_connection() {
    let addr = serving(|mut stream, n| {
        let whole = read_request(&mut stream);
        assert!(whole.is_some());
        let says: &[u8] = match n {
            0 | 1 => b"",
            2 | 3 => b"HTTP/1.1 200 OK\r\nContent-Le",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        };
        stream.write_all(says).expect("taken");
        if n == 0 {
            reset(&stream);
        }
    });
    let gateway = gateway(&format!("http://{addr}"), "");
    fails(&gateway, 0, 502, "reset");
    fails(&gateway, 1, 502, "closed_without_answer");
    for n in [2, 3] {
        let line = fails(&gateway, n, 502, "answer_truncated");
        assert_eq!((&line["class"], &line["blame"]), (&"contract".into(), &"provider".into()));
    }
    let answer = raw::ask(gateway.addr, &request(&gateway, "GET", "/control"));
    assert_eq!(answer.body, b"hi");
}

#[test]
fn a_reset_right_after_the_connection_was_made_is_one_answer_too() {
    let addr = serving(|stream, _| reset(&stream));
    let gateway = gateway(&format!("http://{addr}"), "");
    for n in 0..20 {
        let answer = raw::ask(gateway.addr, &request(&gateway, "POST", "/x"));
        let line = gateway.line(n);
        let code = line["code"].as_str().expect("a code").to_owned();
        // Whether the connection counts as made depends on when the reset is seen.
        assert!(["reset", "connect_reset"].contains(&code.as_str()), "{line}");
        assert!(answer.first_line().ends_with(format!("({code})").as_bytes()), "{answer:?}");
    }
}

#[test]
fn half_a_body_stays_half_and_the_log_says_how_it_ended() {
    for (resets, code) in [(true, "reset"), (false, "answer_truncated")] {
        let seen = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&seen);
        let addr = serving(move |mut stream, _| {
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").expect("taken");
            theirs.wait();
            if resets {
                reset(&stream);
            }
        });
        let gateway = gateway(&format!("http://{addr}"), "");
        let mut stream = gateway.connect();
        stream.write_all(&request(&gateway, "GET", "/x")).expect("taken");
        let due = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let mut got = vec![0; due.len()];
        stream.read_exact(&mut got).expect("the half");
        assert_eq!(got, due);
        seen.wait();
        assert_eq!(raw::read_to_end(&mut stream), b"", "nothing is made up for the rest");
        let line = gateway.line(0);
        assert_eq!((&line["code"], &line["status"]), (&code.into(), &200.into()), "{line}");
        assert!(line["bytes_down"].as_u64().is_some_and(|n| n >= 4), "{line}");
    }
}

/// A certificate that ends with this year, and its authority, which is told apart by its name.
fn identity(authority: &str, year: i32) -> (String, Arc<rustls::ServerConfig>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, authority);
    let authority = params.self_signed(&key).expect("a certificate");
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der.into())
        .expect("an identity");
    (authority.pem(), Arc::new(config))
}

fn serving_tls(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    serving(move |stream, _| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut byte = [0];
        // The client refuses the certificate, unless it is the control.
        if stream.read(&mut byte).is_ok_and(|n| n > 0) {
            while stream.read(&mut byte).is_ok_and(|n| n > 0 && byte != *b"\n") {}
            let _gone = stream.write_all(&origin::ok(b"hi"));
        }
    })
}

#[test]
fn every_fault_of_tls_has_its_code_and_its_reason() {
    /// `handshake_failure`, fatal (RFC 8446 §6).
    const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
    let authority = Authority::new();
    let (expired_authority, expired) = identity("expired", 2001);
    let (_, unknown) = identity("unknown", 4000);
    let issue = |authority: &Authority, name| serving_tls(authority.issue(&[name]).server());
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, format!("{}{expired_authority}", authority.pem)).expect("writable");
    let hello = |mut stream: &TcpStream| stream.read(&mut [0; 4096]).expect("a ClientHello");
    for (addr, status, code, detail) in [
        (serving_tls(expired), 502, "tls_cert", "has expired"),
        (issue(&authority, "other.example"), 502, "tls_cert", "is for another name"),
        (serving_tls(unknown), 502, "tls_cert", "issuer is not trusted"),
        (
            Origin::serving(|stream| {
                let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            })
            .addr,
            502,
            "tls_protocol",
            "does not speak TLS on this port",
        ),
        (serving(move |stream, _| assert!(hello(&stream) > 0)), 502, "tls_closed", "was closed"),
        (
            serving(move |stream, _| {
                hello(&stream);
                reset(&stream);
            }),
            502,
            "tls_closed",
            "was closed",
        ),
        (
            serving(move |mut stream, _| {
                hello(&stream);
                stream.write_all(ALERT).expect("taken");
                raw::read_to_end(&mut stream);
            }),
            502,
            "tls_alert",
            "HandshakeFailure",
        ),
        (
            serving(|mut stream, _| drop(raw::read_to_end(&mut stream))),
            504,
            "tls_timeout",
            "took too long",
        ),
    ] {
        let gateway = gateway(
            &format!("https://{addr}"),
            &format!("[provider.origin.tls]\nroots = [{roots:?}]\n"),
        );
        let line = fails(&gateway, 0, status, code);
        let found = line["detail"].as_str().unwrap_or_default();
        assert!(found.contains(detail), "{code}: {found}");
    }
    let control = issue(&authority, "127.0.0.1");
    let gateway = gateway(
        &format!("https://{control}"),
        &format!("[provider.origin.tls]\nroots = [{roots:?}]\n"),
    );
    let answer = raw::ask(gateway.addr, &request(&gateway, "GET", "/control"));
    assert_eq!((answer.status(), answer.body.as_slice()), (200, b"hi".as_slice()));
}

/// What a name server says to a question, besides nothing at all.
enum Says {
    Code(u8),
    Address(Ipv4Addr),
}

/// A name server by a rule: the name, and how many questions for it came before.
fn name_server(rule: impl Fn(&str, usize) -> Option<Says> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let addr = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut asked: BTreeMap<(String, u16), usize> = BTreeMap::new();
        let mut buf = [0; 1500];
        while let Ok((n, from)) = socket.recv_from(&mut buf) {
            let (name, kind, end) = question(&buf[..n]);
            let n_before = asked.entry((name.clone(), kind)).or_default();
            let says = rule(&name, *n_before);
            *n_before += 1;
            let Some(says) = says else { continue };
            let mut answer = buf[..end].to_vec();
            let (code, address) = match says {
                Says::Code(code) => (code, None),
                // Only A: there is no IPv6 address.
                Says::Address(ip) => (0, (kind == 1).then_some(ip)),
            };
            answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
            answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
            if let Some(ip) = address {
                // The name by a pointer, A, IN, a TTL of 0, four bytes.
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                answer.extend_from_slice(&ip.octets());
            }
            let _gone = socket.send_to(&answer, from);
        }
    });
    addr
}

/// The name, the type, and where the question ends.
fn question(bytes: &[u8]) -> (String, u16, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while bytes[at] != 0 {
        let n = usize::from(bytes[at]);
        labels.push(String::from_utf8_lossy(&bytes[at + 1..=at + n]).to_ascii_lowercase());
        at += n + 1;
    }
    (labels.join("."), u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]), at + 5)
}

fn with_dns(server: SocketAddr) -> String {
    format!("[dns]\nservers = [\"{server}\"]\ntimeout = \"200ms\"\n")
}

#[test]
fn failures_of_the_name_servers_are_kept_apart() {
    let origin = Origin::echo();
    let server = name_server(|name, _| match name {
        "nx.example" => Some(Says::Code(3)),
        "servfail.example" => Some(Says::Code(2)),
        "silent.example" => None,
        _ => Some(Says::Address(Ipv4Addr::LOCALHOST)),
    });
    for (name, status, code) in [
        ("nx.example", 502, "dns_nx"),
        ("servfail.example", 502, "dns_servfail"),
        ("silent.example", 504, "dns_timeout"),
    ] {
        let url = format!("http://{name}:{}", origin.addr.port());
        let gateway = gateway(&url, &with_dns(server));
        let line = fails(&gateway, 0, status, code);
        assert_eq!((&line["class"], &line["blame"]), (&"dns".into(), &"network".into()));
    }
    assert_eq!(origin.n_connections(), 0);
    let url = format!("http://control.example:{}", origin.addr.port());
    let gateway = gateway(&url, &with_dns(server));
    assert_eq!(raw::ask(gateway.addr, &request(&gateway, "GET", "/x")).status(), 200);
}

#[test]
fn a_name_that_moves_to_a_forbidden_address_is_refused_when_it_does() {
    let allowed = Ipv4Addr::new(127, 0, 0, 2);
    let answer = |messages: &Mutex<Vec<Message>>, stream: &mut dyn origin::Stream| {
        let mut stream = stream;
        if let Some(message) = raw::read_message(&mut stream, Kind::Request) {
            messages.lock().expect("no panic").push(message);
            let _gone = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    };
    let public = Origin::at("127.0.0.2:0", None, move |kept, stream, _| answer(kept, stream));
    let port = public.addr.port();
    let Ok(private) = TcpListener::bind(("127.0.0.1", port)) else {
        panic!("the port is taken on the other address");
    };
    private.set_nonblocking(true).expect("a socket");
    let server = name_server(move |_, n| {
        Some(Says::Address(if n == 0 { allowed } else { Ipv4Addr::LOCALHOST }))
    });
    let gateway = Gateway::start(&format!(
        "[provider.origin]\nurl = \"http://rebound.example:{port}\"\nallow = [\"127.0.0.2\"]\n{QUICK}{}",
        with_dns(server)
    ));
    assert_eq!(raw::ask(gateway.addr, &request(&gateway, "GET", "/x")).status(), 200);
    assert_eq!(gateway.line(0)["peer"], SocketAddrV4::new(allowed, port).to_string());
    fails(&gateway, 1, 403, "destination_forbidden");
    assert_eq!(public.messages().len(), 1);
    assert!(private.accept().is_err(), "nobody knocked at the private address");
}

#[test]
fn a_provider_that_accepts_no_connection_is_a_connect_timeout() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let full = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&full, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    listen(&full, 0).expect("a socket");
    let addr = SocketAddrV4::try_from(getsockname(&full).expect("an address")).expect("IPv4");
    let quick = Duration::from_millis(200);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr.into(), quick) {
        held.push(stream);
        assert!(held.len() < 10, "the queue of accepted connections never fills");
    }
    let gateway = gateway(&format!("http://{addr}"), "");
    fails(&gateway, 0, 504, "connect_timeout");
}

#[test]
fn a_provider_that_falls_silent_is_asked_once() {
    let n_requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&n_requests);
    let addr = serving(move |mut stream, _| {
        read_request(&mut stream);
        stream.write_all(&origin::ok(b"hi")).expect("taken");
        // As if the machine had lost its power: open for us, and nobody there.
        while read_request(&mut stream).is_some() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gateway = gateway(&format!("http://{addr}"), "");
    // One connection of ours stays with one worker, and so with its idle connections.
    let mut stream = gateway.connect();
    for status in [200, 504] {
        stream.write_all(&request(&gateway, "GET", "/x")).expect("taken");
        let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
        assert_eq!(answer.status(), status);
    }
    let line = gateway.line(1);
    assert_eq!(line["code"], "read_timeout", "{line}");
    assert_eq!(line["reused"], "yes", "{line}");
    assert_eq!((n_requests.load(Ordering::SeqCst), &line["attempts"]), (1, &1.into()));
}

#[test]
fn a_provider_that_takes_no_more_is_a_write_timeout() {
    let addr = serving(|stream, _| {
        let mut stream = stream;
        // Reads a little, and then nothing until the gateway has given up.
        stream.read_exact(&mut [0; 100]).expect("a beginning");
        std::thread::park_timeout(raw::PATIENCE);
    });
    let origin = format!("http://{addr}");
    let gateway = Gateway::start(&format!(
        "[provider.origin]\nurl = \"{origin}\"\nallow_private = true\n[provider.origin.deadlines]\nidle_body = \"500ms\"\n"
    ));
    let mut stream = gateway.connect();
    let head = format!(
        "POST /to/origin/x HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000000\r\n\r\n",
        gateway.addr
    );
    stream.write_all(head.as_bytes()).expect("taken");
    let piece = vec![b'x'; 65_536];
    while stream.write_all(&piece).is_ok() {}
    let line = gateway.line(0);
    assert_eq!(line["code"], "write_timeout", "{line}");
}

#[test]
fn a_reset_while_the_body_is_being_sent_is_called_a_reset() {
    let addr = serving(|mut stream, _| {
        stream.read_exact(&mut [0; 100]).expect("a beginning");
        reset(&stream);
    });
    let gateway = gateway(&format!("http://{addr}"), "");
    let mut stream = gateway.connect();
    let fields = "Content-Length: 100000000\r\n";
    let head = format!("POST /to/origin/x HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", gateway.addr);
    stream.write_all(head.as_bytes()).expect("taken");
    while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    let line = gateway.line(0);
    assert_eq!(line["code"], "reset", "{line}");
}

/// The number at the end of a request's target.
fn number(message: &Message) -> String {
    let line = String::from_utf8_lossy(message.first_line()).into_owned();
    line.split(' ').next().unwrap_or_default().to_owned() + line.split(' ').nth(1).unwrap_or("")
}

#[test]
fn a_request_that_must_not_be_repeated_reaches_the_provider_once() {
    let got = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let kept = Arc::clone(&got);
    // Every connection serves three requests and swallows the fourth.
    let addr = serving(move |mut stream, _| {
        for n in 0..4 {
            let Some(message) = read_request(&mut stream) else { return };
            *kept.lock().expect("no panic").entry(number(&message)).or_default() += 1;
            if n < 3 && stream.write_all(&origin::ok(b"hi")).is_err() {
                return;
            }
        }
    });
    let gateway = gateway(&format!("http://{addr}"), "");
    let ask = |caller: usize| {
        let mut n_failed = 0;
        let mut stream = gateway.connect();
        for n in 0..100 {
            let method = if n % 2 == 0 { "POST" } else { "GET" };
            stream.write_all(&request(&gateway, method, &format!("/{caller}-{n}"))).expect("taken");
            let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
            let failed = answer.status() == 502 && method == "POST";
            assert!(failed || answer.status() == 200, "{method} {caller}-{n}: {answer:?}");
            n_failed += usize::from(failed);
            if answer.field("connection").as_deref() == Some("close") {
                stream = gateway.connect();
            }
        }
        n_failed
    };
    let n_failed: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|caller| scope.spawn(move || ask(caller))).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).sum()
    });
    assert!(n_failed > 0, "the provider did swallow requests");
    let got = got.lock().expect("no panic");
    for (request, n) in got.iter() {
        let limit = if request.starts_with("POST") { 1 } else { 2 };
        assert!(*n <= limit, "{request} was sent {n} times");
    }
    assert_eq!(got.len(), 400, "every request reached the provider");
}

/// A provider in a process of its own, on a port that stays the same.
fn server(port: u16) -> Process {
    const PROGRAM: &str = "\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '100000')
        self.end_headers()
        self.wfile.write(b'z' * 100000)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
";
    let mut command = Command::new("python3");
    let server = Process::start(command.args(["-c", PROGRAM, &port.to_string()]));
    process::until("the server", || TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

#[test]
fn a_provider_killed_under_load_fails_its_requests_and_comes_back() {
    if !process::have("python3") {
        return;
    }
    let port = process::free_port();
    let mut provider = server(port);
    let gateway = gateway(&format!("http://127.0.0.1:{port}"), "");
    let stop = AtomicBool::new(false);
    let (n_fine, n_failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let load = || {
        while !stop.load(Ordering::SeqCst) {
            let answer = raw::ask_and_close(gateway.addr, &request(&gateway, "GET", "/x"));
            let text = String::from_utf8_lossy(&answer);
            if text.starts_with("HTTP/1.1 200 ") {
                let whole = answer.ends_with(b"zz")
                    && text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() == 100_000);
                n_fine.fetch_add(usize::from(whole), Ordering::SeqCst);
                n_failed.fetch_add(usize::from(!whole), Ordering::SeqCst);
            } else {
                let first = text.lines().next().unwrap_or_default();
                let codes = ["(connect_refused)", "(reset)", "(closed_without_answer)"];
                let codes = codes.iter().chain(&["(answer_truncated)", "(connect_reset)"]);
                assert!(first.starts_with("HTTP/1.1 502 "), "{first}");
                assert!(codes.into_iter().any(|code| first.ends_with(code)), "{first}");
                n_failed.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let more_than = |count: &AtomicUsize, n| {
        process::until("progress", || (count.load(Ordering::SeqCst) > n).then_some(()));
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        more_than(&n_fine, 20);
        // SIGKILL, and reaped.
        provider.0.kill().expect("it runs");
        provider.0.wait().expect("ours");
        more_than(&n_failed, 20);
        provider = server(port);
        more_than(&n_fine, n_fine.load(Ordering::SeqCst) + 20);
        stop.store(true, Ordering::SeqCst);
        callers.into_iter().for_each(|caller| caller.join().expect("no panic"));
    });
    let counted = |line: &serde_json::Value| line["code"].is_null() || line["class"] != "ok";
    assert!(gateway.lines().iter().all(counted), "no failed request is counted as fine");
}

#[test]
fn callers_that_trickle_delay_nobody_else() {
    let origin = Origin::echo();
    let gateway = Gateway::start(&format!(
        "[deadlines]\nhead = \"2s\"\n[provider.origin]\nurl = \"http://{}\"\nallow_private = true\n",
        origin.addr
    ));
    let head = request(&gateway, "GET", "/trickled");
    let mut slow: Vec<_> = (0..300).map(|_| gateway.connect()).collect();
    for byte in head.iter().take(20) {
        for stream in &mut slow {
            stream.write_all(&[*byte]).expect("taken");
        }
        let answer = raw::ask(gateway.addr, &request(&gateway, "GET", "/control"));
        assert_eq!(answer.status(), 200);
    }
    for mut stream in slow {
        let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
        assert!(answer.first_line().ends_with(b"(head_timeout)"), "{answer:?}");
    }
    let controls = origin.messages();
    assert!(controls.iter().all(|message| message.first_line() == b"GET /control HTTP/1.1"));
}

const GIB: usize = 1 << 30;
/// More than a gateway with a few connections needs in any build, and far less than a body.
const KIB_MAX: usize = 64 * 1024;

#[test]
fn a_gibibyte_passes_in_both_directions_in_constant_memory() {
    let addr = serving(|mut stream, n| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n");
        let mut piece = vec![b'x'; 1 << 18];
        if n == 0 {
            read_request(&mut stream);
            stream.write_all(head.as_bytes()).expect("taken");
            (0..GIB / piece.len()).for_each(|_| stream.write_all(&piece).expect("taken"));
            return;
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend_from_slice(&byte);
        }
        (0..GIB / piece.len()).for_each(|_| stream.read_exact(&mut piece).expect("a body"));
        stream.write_all(&origin::ok(b"all of it")).expect("taken");
    });
    let gateway = gateway(&format!("http://{addr}"), "");
    let mut stream = gateway.connect();
    stream.write_all(&request(&gateway, "GET", "/down")).expect("taken");
    let mut piece = vec![0; 1 << 18];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n");
    let mut start = vec![0; head.len()];
    stream.read_exact(&mut start).expect("a head");
    assert_eq!(String::from_utf8_lossy(&start), head);
    for n in 0..GIB / piece.len() {
        stream.read_exact(&mut piece).expect("a body");
        if n % 64 == 0 {
            assert!(resident_kib(&gateway) < KIB_MAX, "the answer is piled up");
        }
    }
    let mut stream = gateway.connect();
    let up = format!(
        "POST /to/origin/up HTTP/1.1\r\nHost: {}\r\nContent-Length: {GIB}\r\n\r\n",
        gateway.addr
    );
    stream.write_all(up.as_bytes()).expect("taken");
    for n in 0..GIB / piece.len() {
        stream.write_all(&piece).expect("taken");
        if n % 64 == 0 {
            assert!(resident_kib(&gateway) < KIB_MAX, "the request is piled up");
        }
    }
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!(answer.body, b"all of it");
    let up = gateway.line(1);
    assert!(up["bytes_up"].as_u64().is_some_and(|n| n >= GIB as u64), "{up}");
}

fn n_files(gateway: &Gateway) -> usize {
    let folder = format!("/proc/{}/fd", gateway.id().as_raw_nonzero());
    std::fs::read_dir(folder).expect("it runs").count()
}

#[test]
fn no_descriptor_is_left_behind_by_any_fault() {
    let fine = serving(|mut stream, n| {
        read_request(&mut stream);
        let _gone = stream.write_all(&origin::ok(b"hi"));
        match n % 3 {
            0 => reset(&stream),
            1 => {}
            _ => while read_request(&mut stream).is_some() {},
        }
    });
    let plain = serving(|mut stream, _| drop(raw::read_to_end(&mut stream)));
    let sections = format!(
        "[provider.fine]\nurl = \"http://{fine}\"\nallow_private = true\n[provider.fine.deadlines]\nidle_provider = \"100ms\"\n\
         [provider.hangs]\nurl = \"https://{plain}\"\nallow_private = true\n[provider.hangs.deadlines]\ntls = \"100ms\"\n\
         [provider.refuses]\nurl = \"http://127.0.0.1:{}\"\nallow_private = true\n",
        process::free_port()
    );
    let config =
        gateway::HEAD.replace("[gateway]\n", "[gateway]\nunlisted_allow = [\"127.0.0.1\"]\n");
    let gateway = Gateway::with(&format!("{config}{sections}"), &[]);
    let ask = |line: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
        let mut stream = gateway.connect();
        stream.write_all(request.as_bytes()).expect("taken");
        stream
    };
    let base = n_files(&gateway);
    for _ in 0..30 {
        let lines = ["GET /to/fine/x", "GET /to/hangs/x", "GET /to/refuses/x", "GET /to/nobody/x"];
        for line in lines {
            raw::read_message(&mut ask(line), Kind::Answer).expect("an answer");
        }
        // Callers that leave before they are answered, and tunnels that are cut.
        drop(ask("GET /to/hangs/x"));
        let mut tunnel = ask(&format!("CONNECT {plain}"));
        let answer = raw::read_message(&mut tunnel, Kind::BodilessAnswer).expect("an answer");
        assert_eq!(answer.status(), 200);
        reset(&tunnel);
    }
    // The metrics' own connection is one more while they are read.
    process::until("all closed again", || (n_files(&gateway) <= base).then_some(()));
}
