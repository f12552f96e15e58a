//! Hostile callers, hostile names, limits. Every suite has a request that must pass.

use std::io::{Read as _, Write as _};

use byway_e2e::gateway::{self, Gateway};
use byway_e2e::origin::Origin;
use byway_e2e::process;
use byway_e2e::raw::{self, Kind};

#[test]
fn destinations_that_are_not_public_are_refused_in_every_notation() {
    let gateway = Gateway::start("");
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "169.254.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "240.0.0.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::8.8.8.8]",
        "[2002:7f00:1::]",
        "[2001:0:1::]",
        "[2001:db8::1]",
        "[100::1]",
    ] {
        for request in [
            format!("GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("CONNECT {host}:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ] {
            let answer = raw::ask(gateway.addr, request.as_bytes());
            let line = String::from_utf8_lossy(answer.first_line()).into_owned();
            assert_eq!(answer.status(), 403, "{request}{line}");
            assert!(line.ends_with("(destination_forbidden)"), "{request}{line}");
            let proxy_status = answer.field("proxy-status").expect("a field");
            assert!(proxy_status.contains("error=destination_ip_prohibited"), "{proxy_status}");
        }
    }
    for host in ["1.2.3.4.5", "1.2.3.999", "0x1ffffffff", "4294967296", "1.2.3.0x100"] {
        let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = raw::ask(gateway.addr, request.as_bytes());
        assert_eq!(answer.status(), 400, "{host}: {answer:?}");
        assert!(answer.first_line().ends_with(b"(host_not_an_address)"));
    }
}

#[test]
fn a_destination_that_is_listed_passes_in_every_notation() {
    let origin = Origin::echo();
    let config =
        gateway::HEAD.replace("[gateway]\n", "[gateway]\nunlisted_allow = [\"127.0.0.1\"]\n");
    let gateway = Gateway::with(&config, &[]);
    for host in ["127.0.0.1", "127.1", "0x7f000001", "localhost"] {
        let port = origin.addr.port();
        let request = format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(raw::ask(gateway.addr, request.as_bytes()).status(), 200, "{host}");
    }
}

fn plain() -> (Gateway, Origin) {
    let origin = Origin::echo();
    let gateway = Gateway::start(&format!(
        "[limits]\nn_connections_per_caller_max = 50\n[deadlines]\nhead = \"300ms\"\n[provider.origin]\nurl = \"http://{}\"\nallow_private = true\n",
        origin.addr
    ));
    (gateway, origin)
}

fn control(gateway: &Gateway) {
    let request = format!("GET /to/origin/control HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    assert_eq!(raw::ask(gateway.addr, request.as_bytes()).status(), 200, "the control passes");
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let (gateway, _origin) = plain();
    let mut stream = gateway.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost").expect("taken");
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!(answer.status(), 408);
    assert!(answer.first_line().ends_with(b"(head_timeout)"));
    control(&gateway);
}

#[test]
fn an_endless_head_is_refused_at_its_limit() {
    let (gateway, _origin) = plain();
    let mut stream = gateway.connect();
    let field = [b"X: ".as_slice(), &[b'y'; 1000], b"\r\n"].concat();
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("taken");
    for _ in 0..200 {
        if stream.write_all(&field).is_err() {
            break;
        }
    }
    let answer = raw::read_message(&mut stream, Kind::Answer);
    // The answer may be lost to a reset if we were still sending; it must not be a success.
    assert!(answer.is_none_or(|answer| answer.status() == 431));
    control(&gateway);
}

#[test]
fn too_many_connections_are_told_so() {
    let (gateway, _origin) = plain();
    let held: Vec<_> = (0..50).map(|_| gateway.connect()).collect();
    process::until("all of them", || {
        (gateway.metric("byway_caller_connections_open", "") >= 50).then_some(())
    });
    let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    let answer = raw::ask(gateway.addr, request.as_bytes());
    assert_eq!(answer.status(), 503);
    assert!(answer.first_line().ends_with(b"(too_many_connections)"), "{answer:?}");
    drop(held);
    process::until("room again", || {
        (gateway.metric("byway_caller_connections_open", "") == 0).then_some(())
    });
    control(&gateway);
}

#[test]
fn hostile_bytes_never_take_the_gateway_down() {
    let (mut gateway, origin) = plain();
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let valid = format!(
        "POST /to/origin/x HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        gateway.addr
    );
    for _ in 0..400 {
        let mut bytes = valid.clone().into_bytes();
        for _ in 0..=next() % 4 {
            let at = usize::try_from(next() % bytes.len().max(1) as u64).expect("small");
            if bytes.is_empty() {
                break;
            }
            match next() % 3 {
                0 => bytes[at] = (next() & 0xff) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mut stream = gateway.connect();
        // It may refuse and close before it has read everything.
        let _refused = stream.write_all(&bytes);
        let _refused = stream.shutdown(std::net::Shutdown::Write);
        let answer = raw::read_to_end(&mut stream);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
    }
    assert!(gateway.runs());
    assert_eq!(gateway.metric("byway_panics_total", ""), 0);
    control(&gateway);
    for message in origin.messages() {
        assert!(
            message.head.starts_with(b"POST /")
                || message.head.windows(8).any(|w| w == b"HTTP/1.1")
        );
    }
}

#[test]
fn callers_that_vanish_leave_nothing_behind() {
    let (gateway, _origin) = plain();
    for n in 0..200 {
        let mut stream = gateway.connect();
        let request = format!(
            "POST /to/origin/ HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n",
            gateway.addr
        );
        // Some of them come while fifty others are still there, and are refused.
        let _refused = stream.write_all(request.as_bytes());
        if n % 2 == 0 {
            let _refused = stream.write_all(&[b'x'; 10_000]);
        }
    }
    process::until("all of them gone", || {
        (gateway.metric("byway_caller_connections_open", "") == 0).then_some(())
    });
    control(&gateway);
}

#[test]
fn errors_of_ours_say_the_same_thing_everywhere() {
    let gateway = Gateway::start(&format!(
        "[provider.origin]\nurl = \"http://127.0.0.1:{}\"\nallow_private = true\n",
        process::free_port()
    ));
    let request =
        format!("GET /to/origin/?secret=s3cret HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    let answer = raw::ask(gateway.addr, request.as_bytes());
    assert_eq!(
        String::from_utf8_lossy(answer.first_line()),
        "HTTP/1.1 502 byway: the provider refused the connection (connect_refused)"
    );
    assert_eq!(answer.field("content-type").as_deref(), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(problem["code"], "connect_refused");
    assert_eq!(problem["status"], 502);
    assert_eq!(problem["type"], "urn:byway:problem:connect_refused");
    assert_eq!(problem["provider"], "origin");
    assert_eq!(
        answer.field("proxy-status").as_deref(),
        Some("byway; error=connection_refused; details=\"connect_refused\"; path=\"direct\"")
    );
    let line = gateway.line(0);
    assert_eq!((&line["code"], &line["class"]), (&"connect_refused".into(), &"refused".into()));
    assert!(!format!("{line}{answer:?}").contains("s3cret"), "no query in a log");
    assert_eq!(gateway.metric("byway_own_answers_total", "connect_refused"), 1);
    // HEAD gets the same head and no body.
    let mut stream = gateway.connect();
    stream.write_all(request.replace("GET", "HEAD").as_bytes()).expect("taken");
    let answer = raw::read_message(&mut stream, Kind::BodilessAnswer).expect("an answer");
    assert_eq!(answer.status(), 502);
    stream.set_nonblocking(true).expect("a socket");
    assert!(stream.read(&mut [0]).is_err(), "no body behind the head");
}
