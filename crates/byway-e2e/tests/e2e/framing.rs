//! Message framing and connection behaviour, as a caller and a provider see them.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use byway_e2e::gateway::Gateway;
use byway_e2e::origin::{self, Origin};
use byway_e2e::process;
use byway_e2e::raw::{self, Kind, Message};

fn gateway(origin: &Origin) -> Gateway {
    Gateway::start(&format!(
        "[provider.origin]\nurl = \"http://127.0.0.1:{}\"\nallow_private = true\n",
        origin.addr.port()
    ))
}

fn get(gateway: &Gateway, version: &str, fields: &str) -> Vec<u8> {
    format!("GET /to/origin/x HTTP/{version}\r\nHost: {}\r\n{fields}\r\n", gateway.addr)
        .into_bytes()
}

/// An origin that answers everything with these bytes and then closes.
fn saying(answer: &'static [u8]) -> Origin {
    Origin::serving(move |stream| {
        let mut stream = stream;
        if raw::read_message(&mut stream, Kind::Request).is_some() {
            // The gateway may close early on a malformed answer.
            let _gone = stream.write_all(answer);
        }
    })
}

fn answer_to(origin_says: &'static [u8], version: &str, fields: &str) -> Vec<u8> {
    let origin = saying(origin_says);
    let gateway = gateway(&origin);
    raw::ask_and_close(gateway.addr, &get(&gateway, version, fields))
}

#[track_caller]
fn check(origin_says: &'static [u8], version: &str, due: &str) {
    let answer = answer_to(origin_says, version, "");
    assert_eq!(String::from_utf8_lossy(&answer), due);
}

#[test]
fn close_delimited_answers_become_chunked_and_keep_the_connection() {
    check(
        b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello",
        "1.1",
        "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    check(
        b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello",
        "1.0",
        "HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\nhello",
    );
}

#[test]
fn chunks_pass_as_they_are_and_are_undone_for_old_callers() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    check(answer, "1.1", &String::from_utf8_lossy(answer));
    check(answer, "1.0", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
}

#[test]
fn bodiless_answers_end_with_their_head() {
    for head in [
        "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    ] {
        let origin = Origin::answering(move |_| head.as_bytes().to_vec());
        let gateway = gateway(&origin);
        let mut stream = gateway.connect();
        for _ in 0..3 {
            stream.write_all(&get(&gateway, "1.1", "")).expect("taken");
            let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
            assert_eq!(answer.head, head.as_bytes());
        }
        assert_eq!(origin.n_connections(), 1, "the connection is used again");
    }
}

#[test]
fn interim_answers_pass_and_old_callers_do_not_get_them() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    check(answer, "1.1", &String::from_utf8_lossy(answer));
    check(answer, "1.0", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop_both_ways() {
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 1\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let gateway = gateway(&origin);
    let fields = "Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authorization: Basic c2VjcmV0\r\nTE: trailers\r\nUpgrade: x\r\nX-Byway-Run: 7\r\nByway-Hops: other\r\nX-End: 2\r\n";
    let answer = raw::ask_and_close(gateway.addr, &get(&gateway, "1.1", fields));
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "HTTP/1.1 200 OK\r\nX-End: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let got = origin.messages();
    let authority = origin.addr.to_string();
    assert_eq!(
        String::from_utf8_lossy(&got[0].head),
        format!("GET /x HTTP/1.1\r\nHost: {authority}\r\nX-End: 2\r\n\r\n")
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::answering(|message| origin::ok(message.first_line()));
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    let mut all = Vec::new();
    for n in 0..50 {
        let body = if n % 2 == 0 { "" } else { "Content-Length: 3\r\n" };
        let method = if n % 2 == 0 { "GET" } else { "POST" };
        let request =
            format!("{method} /to/origin/{n} HTTP/1.1\r\nHost: {}\r\n{body}\r\n", gateway.addr);
        all.extend_from_slice(request.as_bytes());
        all.extend_from_slice(if n % 2 == 0 { b"" } else { b"abc" });
    }
    stream.write_all(&all).expect("taken");
    for n in 0..50 {
        let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
        let method = if n % 2 == 0 { "GET" } else { "POST" };
        assert_eq!(String::from_utf8_lossy(&answer.body), format!("{method} /{n} HTTP/1.1"));
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_after_an_empty_line() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    let request =
        [b"\r\n".as_slice(), &get(&gateway, "1.1", "Content-Length: 2\r\n"), b"ab"].concat();
    for byte in request {
        stream.write_all(&[byte]).expect("taken");
    }
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert!(answer.body.ends_with(b"\r\n\r\nab"));
}

#[test]
fn old_callers_may_keep_their_connection() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    for _ in 0..3 {
        stream.write_all(&get(&gateway, "1.0", "Connection: keep-alive\r\n")).expect("taken");
        let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
        assert_eq!(answer.field("connection").as_deref(), Some("keep-alive"));
    }
    let got = origin.messages();
    assert!(got[0].head.starts_with(b"GET /x HTTP/1.1\r\n"), "the gateway's own version");
}

#[test]
fn a_caller_that_waits_for_100_gets_it_before_it_sends_the_body() {
    let origin = Origin::serving(|stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend_from_slice(&byte);
        }
        assert!(head.windows(8).any(|w| w.eq_ignore_ascii_case(b"expect: ")));
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").expect("taken");
        let mut body = [0; 5];
        stream.read_exact(&mut body).expect("a body");
        stream.write_all(&origin::ok(&body)).expect("taken");
    });
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    let head = get(&gateway, "1.1", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    stream.write_all(&head).expect("taken");
    let interim = raw::read_message(&mut stream, Kind::Answer).expect("an interim answer");
    assert_eq!(interim.status(), 100);
    stream.write_all(b"hello").expect("taken");
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!(answer.body, b"hello");
}

#[test]
fn an_early_answer_is_delivered_while_the_body_is_still_being_sent() {
    let origin = Origin::serving(|stream| {
        let mut piece = [0; 1000];
        stream.read_exact(&mut piece).expect("a beginning");
        stream
            .write_all(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!",
            )
            .expect("taken");
    });
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    let head = get(&gateway, "1.1", "Content-Length: 100000000\r\n");
    stream.write_all(&head).expect("taken");
    stream.write_all(&[b'x'; 5000]).expect("taken");
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!((answer.status(), answer.body.as_slice()), (413, b"no!".as_slice()));
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
}

#[test]
fn a_caller_may_end_its_side_and_still_gets_the_answer() {
    let origin = Origin::answering(|message| {
        std::thread::sleep(Duration::from_millis(50));
        origin::echo(message)
    });
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    stream.write_all(&get(&gateway, "1.1", "")).expect("taken");
    stream.shutdown(Shutdown::Write).expect("open");
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[test]
fn half_an_answer_never_looks_whole() {
    // A bad chunk that is seen before anything was delivered is a 502 of ours.
    let bad = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX";
    assert!(answer_to(bad, "1.1", "").starts_with(b"HTTP/1.1 502 "));
    // With a length or chunks the caller sees the missing rest.
    for origin_says in [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello".as_slice(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let answer = answer_to(origin_says, "1.1", "");
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.ends_with("0\r\n\r\n") && text.len() < 110, "{text}");
    }
    // An old caller would take the connection's end for the answer's: it must see a reset.
    let origin = saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    stream.write_all(&get(&gateway, "1.0", "")).expect("taken");
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all);
    assert_eq!(end.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn malformed_answers_are_a_502_with_the_reason() {
    for (origin_says, code) in [
        (b"ICY 200 OK\r\n\r\n".as_slice(), "answer_malformed"),
        (b"HTTP/1.1 200 OK\nX: y\n\n", "answer_malformed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "answer_malformed",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "answer_truncated"),
        (b"", "closed_without_answer"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "answer_malformed"),
    ] {
        let answer = answer_to(origin_says, "1.1", "");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
        assert!(text.contains(&format!("({code})")), "{code}: {text}");
        assert!(text.contains("Proxy-Status: byway; error="), "{text}");
    }
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let origin = Origin::serving(|stream| {
        let mut stream = stream;
        let request = raw::read_message(&mut stream, Kind::Request).expect("a request");
        assert_eq!(request.field("connection").as_deref(), Some("Upgrade"));
        assert_eq!(request.field("upgrade").as_deref(), Some("websocket"));
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
        stream.write_all(answer).expect("taken");
        let mut piece = [0; 4];
        stream.read_exact(&mut piece).expect("bytes");
        stream.write_all(&piece).expect("taken");
        assert_eq!(raw::read_to_end(&mut stream), b"");
        stream.write_all(b"last").expect("taken");
    });
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    let request = get(&gateway, "1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
    stream.write_all(&request).expect("taken");
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.field("connection").as_deref(), Some("Upgrade"));
    let mut piece = [0; 5];
    stream.read_exact(&mut piece).expect("bytes that came with the head");
    assert_eq!(&piece, b"first");
    stream.write_all(b"ping").expect("taken");
    // Half-close passes on; the other direction goes on.
    stream.shutdown(Shutdown::Write).expect("open");
    assert_eq!(raw::read_to_end(&mut stream), b"pinglast");
}

#[test]
fn a_tunnel_carries_bytes_that_came_with_connect() {
    let origin = Origin::serving(|stream| {
        let mut piece = [0; 5];
        stream.read_exact(&mut piece).expect("bytes");
        stream.write_all(&piece).expect("taken");
    });
    let gateway = gateway(&origin);
    let connect = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\nearly", origin.addr);
    let answer = raw::ask_and_close(gateway.addr, connect.as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n\r\nearly"));
}

#[test]
fn locations_of_the_provider_lead_back_through_the_gateway() {
    let origin = Origin::answering(|message| {
        let port = message.field("host").expect("a host");
        let target = String::from_utf8_lossy(message.first_line()).into_owned();
        let location = match target.split(' ').nth(1).expect("a target") {
            "/absolute" => format!("http://{port}/next?a=b"),
            "/relative" => "/next".to_owned(),
            "/scheme-relative" => format!("//{port}/next"),
            "/no-slash" => format!("http://{port}"),
            "/upper" => format!("HTTP://{port}/next"),
            "/https" => format!("https://{port}/next"),
            _ => "http://elsewhere.example/next".to_owned(),
        };
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
            .into_bytes()
    });
    let gateway = gateway(&origin);
    let own = gateway.addr;
    let by_host = format!("origin.localhost:{}", own.port());
    let port = origin.addr.port();
    for (path, by_path_due, by_host_due) in [
        (
            "/absolute",
            format!("http://{own}/to/origin/next?a=b"),
            format!("http://{by_host}/next?a=b"),
        ),
        ("/relative", "/to/origin/next".to_owned(), "/next".to_owned()),
        (
            "/scheme-relative",
            format!("http://{own}/to/origin/next"),
            format!("http://{by_host}/next"),
        ),
        ("/no-slash", format!("http://{own}/to/origin"), format!("http://{by_host}")),
        ("/upper", format!("http://{own}/to/origin/next"), format!("http://{by_host}/next")),
        (
            "/https",
            format!("https://127.0.0.1:{port}/next"),
            format!("https://127.0.0.1:{port}/next"),
        ),
        (
            "/other",
            "http://elsewhere.example/next".to_owned(),
            "http://elsewhere.example/next".to_owned(),
        ),
    ] {
        let ask = |target: &str, host: &str| -> Message {
            raw::ask(own, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
        };
        let answer = ask(&format!("/to/origin{path}"), &own.to_string());
        assert_eq!(answer.field("location"), Some(by_path_due), "{path} by path");
        assert_eq!(ask(path, &by_host).field("location"), Some(by_host_due), "{path} by host");
        let absolute = format!("http://{}{path}", origin.addr);
        let untouched = ask(&absolute, &origin.addr.to_string()).field("location");
        assert!(
            untouched.is_some_and(|l| !l.contains("/to/") && !l.contains("localhost")),
            "{path}"
        );
    }
}

#[test]
fn slow_readers_slow_the_provider_down_and_lose_nothing() {
    let origin = Origin::answering(|_| origin::ok(&vec![b'z'; 20_000_000]));
    let gateway = gateway(&origin);
    let mut stream = gateway.connect();
    stream.write_all(&get(&gateway, "1.1", "")).expect("taken");
    let mut n_bytes = 0;
    let mut piece = [0; 65_536];
    for _ in 0..20 {
        n_bytes += stream.read(&mut piece).expect("bytes");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(resident_kib(&gateway) < 64 * 1024, "the answer is not piled up");
    stream.shutdown(Shutdown::Write).expect("open");
    n_bytes += raw::read_to_end(&mut std::io::Read::take(&mut stream, 19_000_000)).len();
    assert!(n_bytes >= 19_000_000);
}

/// Resident memory of the gateway.
pub(crate) fn resident_kib(gateway: &Gateway) -> usize {
    let status = format!("/proc/{}/status", gateway.id().as_raw_nonzero());
    let status = std::fs::read_to_string(status).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn deadlines_name_who_was_late() {
    let hangs_inside = Origin::serving(|stream| {
        let mut stream = stream;
        raw::read_message(&mut stream, Kind::Request);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").expect("taken");
        raw::read_to_end(&mut stream);
    });
    let gateway = Gateway::start(&format!(
        "[provider.origin]\nurl = \"http://127.0.0.1:{}\"\nallow_private = true\n[provider.origin.deadlines]\nidle_body = \"300ms\"\n",
        hangs_inside.addr.port()
    ));
    let mut stream = gateway.connect();
    stream.write_all(&get(&gateway, "1.1", "")).expect("taken");
    let answer = raw::read_to_end(&mut stream);
    assert!(answer.ends_with(b"\r\n\r\nhalf"));
    assert_eq!(gateway.line(0)["code"], "body_timeout");
    // A caller that stops inside its own body is told so.
    let mut stream = gateway.connect();
    stream.write_all(&get(&gateway, "1.1", "Content-Length: 9\r\n")).expect("taken");
    stream.write_all(b"half").expect("taken");
    let answer = raw::read_message(&mut stream, Kind::Answer).expect("an answer");
    assert_eq!(answer.status(), 408);
    process::until("the line", || gateway.lines().get(1).cloned());
    assert_eq!(gateway.line(1)["code"], "request_body_timeout");
}
