//! Ways out: which one is taken, when the next one is, and what the other side sees.

use std::net::SocketAddr;
use std::process::Command;

use byway_e2e::gateway::Gateway;
use byway_e2e::origin::{self, Origin};
use byway_e2e::process::{self, Process};
use byway_e2e::raw;

/// A real Squid on loopback.
pub(crate) struct Squid {
    _process: Process,
    _folder: tempfile::TempDir,
    pub(crate) addr: SocketAddr,
}

impl Squid {
    pub(crate) fn start() -> Option<Self> {
        if !process::have("squid") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        // Squid gives root up and must still reach its folder.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("ours");
        let port = process::free_port();
        let dir = folder.path().display();
        let config = format!(
            "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\naccess_log none\n\
             cache_log {dir}/cache.log\ncache_store_log none\npid_filename none\ncoredump_dir {dir}\n\
             pinger_enable off\nvisible_hostname squid.test\nshutdown_lifetime 0 seconds\nnetdb_filename none\n"
        );
        let path = folder.path().join("squid.conf");
        std::fs::write(&path, config).expect("writable");
        let process = Process::start(Command::new("squid").arg("-N").arg("-f").arg(&path));
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        process::until("squid", || std::net::TcpStream::connect(addr).ok());
        Some(Self { _process: process, _folder: folder, addr })
    }
}

fn provider(port: u16, paths: &str) -> String {
    format!(
        "\n[provider.origin]\nurl = \"http://127.0.0.1:{port}\"\nallow_private = true\npaths = [{paths}]\n"
    )
}

fn ask(gateway: &Gateway, rest: &str) -> raw::Message {
    let request = format!("GET /to/origin{rest} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    raw::ask(gateway.addr, request.as_bytes())
}

/// Answers with the address of whoever called.
fn who_calls() -> Origin {
    Origin::at("127.0.0.1:0", None, |_, stream, peer| {
        let mut stream = stream;
        while raw::read_message(&mut stream, raw::Kind::Request).is_some() {
            let body = peer.ip().to_string();
            if stream.write_all(&origin::ok(body.as_bytes())).is_err() {
                return;
            }
        }
    })
}

#[test]
fn the_provider_sees_the_source_address() {
    let origin = who_calls();
    let path = "[path.out.source-ip]\naddr = \"127.0.0.7\"";
    let gateway = Gateway::start(&format!("{path}{}", provider(origin.addr.port(), "\"out\"")));
    assert_eq!(ask(&gateway, "/").body, b"127.0.0.7");
}

#[test]
fn a_source_address_that_is_gone_moves_on_to_the_next_path() {
    let origin = who_calls();
    let paths =
        "[path.gone.source-ip]\naddr = \"192.0.2.1\"\n[path.here.source-ip]\naddr = \"127.0.0.8\"";
    let sections = provider(origin.addr.port(), "\"gone\", \"here\"");
    let gateway = Gateway::start(&format!("{paths}{sections}"));
    assert_eq!(ask(&gateway, "/").body, b"127.0.0.8");
    let line = gateway.line(0);
    assert_eq!((&line["path"], &line["attempts"]), (&"here".into(), &2.into()), "{line}");
    // The broken way out is left alone for a moment, and the line says so.
    assert_eq!(ask(&gateway, "/").body, b"127.0.0.8");
    let line = gateway.line(1);
    assert_eq!((&line["skipped"], &line["attempts"]), (&"gone".into(), &1.into()), "{line}");
}

#[test]
fn a_proxy_that_is_down_moves_on_even_for_requests_that_must_not_be_repeated() {
    let origin = Origin::echo();
    let down = process::free_port();
    for kind in ["http-proxy", "socks5"] {
        let paths = format!("[path.down.{kind}]\naddr = \"127.0.0.1:{down}\"");
        let sections = provider(origin.addr.port(), "\"down\", \"direct\"");
        let gateway = Gateway::start(&format!("{paths}{sections}"));
        let request = format!(
            "POST /to/origin/x HTTP/1.1\r\nHost: {}\r\nContent-Length: 3\r\n\r\nabc",
            gateway.addr
        );
        let answer = raw::ask(gateway.addr, request.as_bytes());
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert!(answer.body.ends_with(b"\r\n\r\nabc"));
    }
}

#[test]
fn a_provider_that_refuses_or_hangs_is_not_gone_round() {
    let refusing = process::free_port();
    let other = "[path.other.source-ip]\naddr = \"127.0.0.8\"";
    let sections = provider(refusing, "\"direct\", \"other\"");
    let gateway = Gateway::start(&format!("{other}{sections}"));
    let answer = ask(&gateway, "/");
    assert_eq!(answer.status(), 502);
    assert!(answer.first_line().ends_with(b"(connect_refused)"), "{answer:?}");
    let line = gateway.line(0);
    // Once more over the same path, as the law says; over no other.
    assert_eq!((&line["path"], &line["attempts"]), (&"direct".into(), &2.into()), "{line}");

    let hanging = Origin::serving(|stream| {
        let mut stream = stream;
        raw::read_message(&mut stream, raw::Kind::Request);
        raw::read_to_end(&mut stream);
    });
    let sections = provider(hanging.addr.port(), "\"direct\", \"other\"");
    let deadline = "[provider.origin.deadlines]\nfirst_byte = \"300ms\"";
    let sections = sections.replace("[provider.origin]\n", "[provider.origin]\nprobe = \"off\"\n");
    let gateway = Gateway::start(&format!("{other}{sections}{deadline}"));
    let answer = ask(&gateway, "/");
    assert_eq!(answer.status(), 504);
    assert!(answer.first_line().ends_with(b"(read_timeout)"), "{answer:?}");
    assert_eq!(gateway.line(0)["attempts"], 2);
    assert_eq!(hanging.n_connections(), 2, "asked, and asked once more over the same path");
}

#[test]
fn plain_http_goes_through_a_proxy_in_absolute_form_with_credentials() {
    let proxy = Origin::answering(|_| origin::ok(b"from the proxy"));
    let path = format!(
        "[path.out.http-proxy]\naddr = \"{}\"\nuser = \"me\"\npassword = \"file:password\"\n",
        proxy.addr
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "s3cret").expect("writable");
    let config = folder.path().join("byway.toml");
    let sections = format!("{}{path}{}", byway_e2e::gateway::HEAD, provider(81, "\"out\""));
    std::fs::write(&config, sections).expect("writable");
    let gateway = Gateway::at(config, &[]);
    assert_eq!(ask(&gateway, "/a?b").body, b"from the proxy");
    let options =
        format!("OPTIONS * HTTP/1.1\r\nHost: origin.localhost:{}\r\n\r\n", gateway.addr.port());
    assert_eq!(raw::ask(gateway.addr, options.as_bytes()).status(), 200);
    let got = proxy.messages();
    assert_eq!(got[0].first_line(), b"GET http://127.0.0.1:81/a?b HTTP/1.1");
    assert_eq!(got[0].field("proxy-authorization").as_deref(), Some("Basic bWU6czNjcmV0"));
    assert_eq!(got[0].field("host").as_deref(), Some("127.0.0.1:81"));
    assert_eq!(got[1].first_line(), b"OPTIONS http://127.0.0.1:81 HTTP/1.1");
    let log = format!("{:?}{:?}", gateway.lines(), gateway.errors());
    assert!(!log.contains("s3cret") && !log.contains("bWU6"), "no secret in a log: {log}");
}

#[test]
fn a_proxy_that_refuses_our_credentials_moves_on() {
    let origin = Origin::echo();
    let proxy = Origin::answering(|_| {
        b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let path = format!("[path.out.http-proxy]\naddr = \"{}\"", proxy.addr);
    let sections = provider(origin.addr.port(), "\"out\", \"direct\"");
    let gateway = Gateway::start(&format!("{path}{sections}"));
    assert_eq!(ask(&gateway, "/").status(), 200);
    assert_eq!(proxy.messages().len(), 1);
    // Alone, it is our own way out that does not work, and the answer says so.
    let sections = provider(origin.addr.port(), "\"out\"");
    let gateway = Gateway::start(&format!("{path}{sections}"));
    let answer = ask(&gateway, "/");
    assert_eq!(answer.status(), 502);
    assert!(answer.first_line().ends_with(b"(path_credentials)"), "{answer:?}");
}

#[test]
fn a_real_squid_carries_plain_http_and_connect() {
    let Some(squid) = Squid::start() else { return };
    let origin = Origin::echo();
    let path = format!("[path.out.http-proxy]\naddr = \"{}\"", squid.addr);
    let gateway = Gateway::start(&format!("{path}{}", provider(origin.addr.port(), "\"out\"")));
    assert_eq!(ask(&gateway, "/a?b").status(), 200);
    let got = origin.messages();
    assert!(got[0].field("via").is_some_and(|via| via.contains("squid")), "{got:?}");
    // A destination that refuses is not the proxy's fault.
    let gateway =
        Gateway::start(&format!("{path}{}", provider(process::free_port(), "\"out\", \"direct\"")));
    let connect = "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = raw::ask(gateway.addr, connect.as_bytes());
    assert!(answer.first_line().ends_with(b"(connect_refused)"), "{answer:?}");
    assert_eq!(gateway.line(0)["attempts"], 1);
}

#[test]
fn a_slow_provider_never_delays_another() {
    let slow = Origin::serving(|stream| {
        let mut stream = stream;
        raw::read_to_end(&mut stream);
    });
    let quick = Origin::echo();
    let gateway = Gateway::start(&format!(
        "{}\n[provider.slow]\nurl = \"http://127.0.0.1:{}\"\nallow_private = true\n",
        provider(quick.addr.port(), "\"direct\""),
        slow.addr.port()
    ));
    let hanging: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = gateway.connect();
            let request = format!("GET /to/slow/ HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
            std::io::Write::write_all(&mut stream, request.as_bytes()).expect("taken");
            stream
        })
        .collect();
    process::until("the slow provider's connections", || {
        (slow.n_connections() == hanging.len()).then_some(())
    });
    for _ in 0..50 {
        assert_eq!(ask(&gateway, "/").status(), 200);
    }
    // All of them were answered while all of the others still wait.
    for stream in &hanging {
        stream.set_nonblocking(true).expect("a socket");
        let nothing = std::io::Read::read(&mut &*stream, &mut [0]);
        assert_eq!(nothing.expect_err("no answer").kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_connection_that_the_provider_closed_meanwhile_is_replaced() {
    // Answers one request a connection and then closes, without having said so.
    let origin = Origin::serving(|stream| {
        let mut stream = stream;
        if raw::read_message(&mut stream, raw::Kind::Request).is_some() {
            stream.write_all(&origin::ok(b"once")).expect("taken");
        }
    });
    let gateway = Gateway::start(&provider(origin.addr.port(), "\"direct\""));
    for _ in 0..20 {
        assert_eq!(ask(&gateway, "/").body, b"once");
    }
}
