//! Answer heads and bodies as data.

#![cfg(test)]

use byway_wire::body::{Body, Framing};
use byway_wire::chunked::Chunked;
use byway_wire::request::{Limits, RequestHead};
use byway_wire::response::ResponseHead;
use expect_test::{Expect, expect};

fn verdict(request: &str, answer: &str) -> String {
    let (mut spans, mut answer_spans) = (Vec::new(), Vec::new());
    let request =
        RequestHead::parse(request.as_bytes(), &Limits::default(), &mut spans).expect("a request");
    match ResponseHead::parse(answer.as_bytes(), &request.shape, 128, &mut answer_spans) {
        Ok(head) => {
            let shape = head.shape;
            let keep = if shape.keep_alive { " keep-alive" } else { "" };
            let switches = if shape.switches { " switches" } else { "" };
            format!("{} {:?}{keep}{switches}", shape.status, shape.framing)
        }
        Err(refusal) => refusal.code().to_owned(),
    }
}

fn check(request: &str, answers: &[&str], expected: Expect) {
    let lines: Vec<String> = answers
        .iter()
        .map(|answer| format!("{answer:?} => {}\n", verdict(request, &format!("{answer}\r\n\r\n"))))
        .collect();
    expected.assert_eq(&lines.concat());
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn answers_to_get() {
    check(
        GET,
        &[
            "HTTP/1.1 200 OK\r\nContent-Length: 5",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200",
            "HTTP/1.1 200 ",
            "HTTP/1.1 200 \u{d55c}\u{ae00}",
            "HTTP/1.0 200 OK\r\nContent-Length: 5",
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
            "HTTP/1.1 204 No Content",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5",
            "HTTP/1.1 100 Continue",
            "HTTP/1.1 103 Early Hints\r\nLink: x",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket",
            "HTTP/1.1 999 x\r\nContent-Length: 0",
            "HTTP/1.1 099 x",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1  200 OK",
            "HTTP/2 200 OK",
            "HTTP/1.1 200 OK\u{1}",
            "ICY 200 OK",
            "200 OK",
            "HTTP/1.1 200 OK\r\nX : y",
            "HTTP/1.1 200 OK\r\nX: y\r\n z",
        ],
        expect![[r#"
            "HTTP/1.1 200 OK\r\nContent-Length: 5" => 200 Length(5) keep-alive
            "HTTP/1.1 200 OK" => 200 UntilClose
            "HTTP/1.1 200" => 200 UntilClose
            "HTTP/1.1 200 " => 200 UntilClose
            "HTTP/1.1 200 한글" => 200 UntilClose
            "HTTP/1.0 200 OK\r\nContent-Length: 5" => 200 Length(5)
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive" => 200 Length(5) keep-alive
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" => 200 Chunked keep-alive
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close" => 200 Chunked
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked" => coding_in_http10
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip" => coding_unknown
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5" => length_and_coding
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6" => length_repeated
            "HTTP/1.1 204 No Content" => 204 Empty keep-alive
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5" => 304 Empty keep-alive
            "HTTP/1.1 100 Continue" => 100 Empty keep-alive
            "HTTP/1.1 103 Early Hints\r\nLink: x" => 103 Empty keep-alive
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket" => status_line
            "HTTP/1.1 999 x\r\nContent-Length: 0" => 999 Length(0) keep-alive
            "HTTP/1.1 099 x" => status_line
            "HTTP/1.1 20 OK" => status_line
            "HTTP/1.1 2000 OK" => status_line
            "HTTP/1.1  200 OK" => status_line
            "HTTP/2 200 OK" => version
            "HTTP/1.1 200 OK\u{1}" => status_line
            "ICY 200 OK" => status_line
            "200 OK" => status_line
            "HTTP/1.1 200 OK\r\nX : y" => space_before_colon
            "HTTP/1.1 200 OK\r\nX: y\r\n z" => obs_fold
        "#]],
    );
}

#[test]
fn answers_to_others() {
    check(
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[
            "HTTP/1.1 200 OK\r\nContent-Length: 5",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
        ],
        expect![[r#"
            "HTTP/1.1 200 OK\r\nContent-Length: 5" => 200 Empty keep-alive
            "HTTP/1.1 200 OK" => 200 Empty keep-alive
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" => 200 Empty keep-alive
        "#]],
    );
    check(
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        &["HTTP/1.1 200 OK\r\nContent-Length: 5", "HTTP/1.1 403 No\r\nContent-Length: 5"],
        expect![[r#"
            "HTTP/1.1 200 OK\r\nContent-Length: 5" => 200 Empty keep-alive
            "HTTP/1.1 403 No\r\nContent-Length: 5" => 403 Length(5) keep-alive
        "#]],
    );
    check(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        &[
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket",
            "HTTP/1.1 101 Switching Protocols",
            "HTTP/1.1 200 OK\r\nContent-Length: 5",
        ],
        expect![[r#"
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket" => 101 Empty keep-alive switches
            "HTTP/1.1 101 Switching Protocols" => status_line
            "HTTP/1.1 200 OK\r\nContent-Length: 5" => 200 Length(5) keep-alive
        "#]],
    );
}

fn chunked(body: &str) -> String {
    let mut machine = Chunked::default();
    match machine.advance(body.as_bytes()) {
        Ok(used) if machine.is_done() => format!("whole, {} left", body.len() - used),
        Ok(_) => "incomplete".to_owned(),
        Err(refusal) => refusal.code().to_owned(),
    }
}

#[test]
fn chunks() {
    let bodies = [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\nGET",
        "A\r\n0123456789\r\n000\r\n\r\n",
        "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Sum: abc\r\nY:\r\n\r\n",
        "5\r\nhel",
        "\r\n",
        ";a\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello",
        "5\r\nhelloX",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n",
        "5;a\u{1}\r\nhello\r\n",
        "7fffffffffffffff\r\n",
        "8000000000000000\r\n",
        "00000000000000001\r\nx\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\ntransfer-ENCODING: x\r\n\r\n",
        "0\r\nHost: x\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\n\n",
    ];
    let lines: Vec<String> =
        bodies.iter().map(|body| format!("{body:?} => {}\n", chunked(body))).collect();
    expect![[r#"
        "0\r\n\r\n" => whole, 0 left
        "5\r\nhello\r\n0\r\n\r\n" => whole, 0 left
        "5\r\nhello\r\n0\r\n\r\nGET" => whole, 3 left
        "A\r\n0123456789\r\n000\r\n\r\n" => whole, 0 left
        "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n" => whole, 0 left
        "5\r\nhello\r\n0\r\nX-Sum: abc\r\nY:\r\n\r\n" => whole, 0 left
        "5\r\nhel" => incomplete
        "\r\n" => chunk_size
        ";a\r\n" => chunk_size
        "5 \r\nhello\r\n0\r\n\r\n" => chunk_size
        " 5\r\nhello\r\n0\r\n\r\n" => chunk_size
        "+5\r\nhello\r\n0\r\n\r\n" => chunk_size
        "-1\r\n" => chunk_size
        "0x5\r\nhello\r\n" => chunk_size
        "5\nhello\r\n0\r\n\r\n" => chunk_size
        "5\rhello" => chunk_size
        "5\r\nhelloX" => chunk_end
        "5\r\nhello\n0\r\n\r\n" => chunk_end
        "5;a\nb\r\nhello\r\n" => chunk_extension
        "5;a\u{1}\r\nhello\r\n" => chunk_extension
        "7fffffffffffffff\r\n" => incomplete
        "8000000000000000\r\n" => chunk_size
        "00000000000000001\r\nx\r\n" => chunk_size
        "0\r\nContent-Length: 5\r\n\r\n" => trailer_forbidden
        "0\r\ntransfer-ENCODING: x\r\n\r\n" => trailer_forbidden
        "0\r\nHost: x\r\n\r\n" => trailer_forbidden
        "0\r\n X: y\r\n\r\n" => trailer_syntax
        "0\r\nX : y\r\n\r\n" => trailer_syntax
        "0\r\nX\r\n\r\n" => trailer_syntax
        "0\r\nX: y\n\r\n" => trailer_syntax
        "0\r\n\n" => trailer_syntax
    "#]]
    .assert_eq(&lines.concat());
}

#[test]
fn chunk_lines_and_trailers_have_limits() {
    assert_eq!(chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(4000))), "whole, 0 left");
    assert_eq!(chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(5000))), "chunk_extension");
    assert_eq!(chunked(&format!("0\r\nX: {}\r\n\r\n", "t".repeat(16_000))), "whole, 0 left");
    assert_eq!(chunked(&format!("0\r\nX: {}\r\n\r\n", "t".repeat(17_000))), "trailer_too_large");
}

#[test]
fn a_body_may_end_only_where_it_says() {
    let end = |framing, bytes: &[u8]| {
        let mut body = Body::from(framing);
        let used = body.advance(bytes).expect("well-formed");
        (used, body.is_done(), body.end().is_ok())
    };
    assert_eq!(end(Framing::Empty, b"x"), (0, true, true));
    assert_eq!(end(Framing::Length(3), b"abcd"), (3, true, true));
    assert_eq!(end(Framing::Length(3), b"ab"), (2, false, false));
    assert_eq!(end(Framing::Chunked, b"1\r\nx\r\n0\r\n\r\nzz"), (11, true, true));
    assert_eq!(end(Framing::Chunked, b"1\r\nx\r\n"), (6, false, false));
    assert_eq!(end(Framing::UntilClose, b"abc"), (3, false, true));
}
