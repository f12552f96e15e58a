//! Heads as they leave, as data.

use byway_wire::request::Limits;
use expect_test::{Expect, expect};

use super::*;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}

fn check_request(raw: &str, host: Option<&str>, expected: Expect) {
    let mut spans = Vec::new();
    let head = RequestHead::parse(raw.as_bytes(), &Limits::default(), &mut spans);
    let head = head.expect("a request");
    let outward = Outward { target_start: b"", target_rest: head.target_raw, host };
    let mut out = Vec::new();
    write_request(&mut out, &head, &outward);
    expected.assert_eq(&text(&out));
}

#[test]
fn a_request_keeps_its_lines_and_loses_those_of_its_hop() {
    check_request(
        "GET /%zz//? HTTP/1.0\r\nHOST: old\r\na:1\r\nConnection: close, X-Hop\r\nb:  2\r\nX-Hop: 1\r\nProxy-Authorization: x\r\nKeep-Alive: 5\r\nA: 3\r\n\r\n",
        Some("new.example"),
        expect![[r#"
            GET /%zz//? HTTP/1.1
            HOST: new.example
            a:1
            b:  2
            A: 3

        "#]],
    );
    check_request(
        "GET /x HTTP/1.0\r\nB: 1\r\n\r\n",
        Some("new.example"),
        expect![[r#"
        GET /x HTTP/1.1
        Host: new.example
        B: 1

    "#]],
    );
    check_request(
        "GET /x HTTP/1.1\r\nHost: kept\r\nConnection: upgrade, te\r\nUpgrade: websocket\r\nTE: trailers, gzip\r\n\r\n",
        None,
        expect![[r#"
            GET /x HTTP/1.1
            Host: kept
            Connection: Upgrade, TE
            Upgrade: websocket
            TE: trailers

        "#]],
    );
}

#[test]
fn a_proxy_gets_absolute_form() {
    let check = |request: &str, expected: Expect| {
        let found = absolute_form(request.as_bytes(), "h:8080", Some(b"Basic x"), Some(b"one"));
        expected.assert_eq(&text(&found));
    };
    check(
        "GET /a?b HTTP/1.1\r\nHost: h:8080\r\n\r\n",
        expect![[r#"
        GET http://h:8080/a?b HTTP/1.1
        Proxy-Authorization: Basic x
        Byway-Hops: one
        Host: h:8080

    "#]],
    );
    check(
        "OPTIONS * HTTP/1.1\r\nHost: h:8080\r\n\r\n",
        expect![[r#"
        OPTIONS http://h:8080 HTTP/1.1
        Proxy-Authorization: Basic x
        Byway-Hops: one
        Host: h:8080

    "#]],
    );
}

fn check_answer(raw: &str, inward: &Inward<'_>, expected: Expect) {
    let (mut spans, mut answer_spans) = (Vec::new(), Vec::new());
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = RequestHead::parse(request, &Limits::default(), &mut spans).expect("a request");
    let head = ResponseHead::parse(raw.as_bytes(), &request.shape, 128, &mut answer_spans);
    let mut out = Vec::new();
    write_response(&mut out, &head.expect("an answer"), inward);
    expected.assert_eq(&text(&out));
}

#[test]
fn an_answer_keeps_its_lines_and_gains_what_its_hop_needs() {
    let plain = "HTTP/1.0 302 Odd  reason\r\nlocation:https://p/x\r\nConnection: X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n";
    check_answer(
        plain,
        &Inward::default(),
        expect![[r#"
        HTTP/1.1 302 Odd  reason
        location:https://p/x
        Set-Cookie: a
        set-cookie: b

    "#]],
    );
    let inward = Inward {
        chunk: true,
        connection: Some("close"),
        location: Some(b"http://g/to/p/x"),
        ..Inward::default()
    };
    check_answer(
        plain,
        &inward,
        expect![[r#"
        HTTP/1.1 302 Odd  reason
        location: http://g/to/p/x
        Set-Cookie: a
        set-cookie: b
        Transfer-Encoding: chunked
        Connection: close

    "#]],
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
    check_answer(
        chunked,
        &Inward { unchunk: true, ..Inward::default() },
        expect![[r#"
        HTTP/1.1 200 OK
        Trailer: X-Sum

    "#]],
    );
}
