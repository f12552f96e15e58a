//! Request heads as data: what is accepted, how it is understood, why the rest is refused.

#![cfg(test)]

use byway_wire::Refusal;
use byway_wire::request::{Limits, RequestHead};
use byway_wire::scan::HeadScan;
use byway_wire::target::Target;
use expect_test::{Expect, expect};

/// One line a request: `method target version framing` and what it means, or the refusal's code.
fn verdict(raw: &[u8]) -> String {
    let limits = Limits::default();
    let end = match HeadScan::default().feed(raw, limits.head_bytes_max) {
        Ok(Some(end)) => end,
        Ok(None) => return "incomplete".to_owned(),
        Err(refusal) => return refusal.code().to_owned(),
    };
    let mut spans = Vec::new();
    match RequestHead::parse(&raw[..end], &limits, &mut spans) {
        Ok(head) => {
            let form = match head.target {
                Target::Origin(_) => "origin",
                Target::Absolute { .. } => "absolute",
                Target::Authority(_) => "authority",
                Target::Asterisk => "asterisk",
            };
            let shape = head.shape;
            let mut flags = String::new();
            for (set, name) in [
                (shape.keep_alive, " keep-alive"),
                (shape.upgrade, " upgrade"),
                (shape.expects_continue, " continue"),
                (shape.te_trailers, " trailers"),
                (shape.names_fields, " names-fields"),
            ] {
                if set {
                    flags.push_str(name);
                }
            }
            format!("{form} {:?}{flags}", shape.framing)
        }
        Err(refusal) => refusal.code().to_owned(),
    }
}

fn check(requests: &[&str], expected: Expect) {
    let lines: Vec<String> = requests
        .iter()
        .map(|request| format!("{request:?} => {}\n", verdict(request.as_bytes())))
        .collect();
    expected.assert_eq(&lines.concat());
}

fn with_field(field: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")
}

fn check_fields(fields: &[&str], expected: Expect) {
    let lines: Vec<String> = fields
        .iter()
        .map(|field| format!("{field:?} => {}\n", verdict(with_field(field).as_bytes())))
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn targets_that_real_clients_send_are_accepted() {
    let odd: &[&[u8]] = &[
        b"/",
        b"/\"",
        b"/^",
        b"/`",
        b"/<>",
        b"/{}",
        b"/|",
        b"/[]",
        b"/%zz",
        b"/%",
        b"//",
        b"/./",
        b"/../",
        b"/%2F",
        b"/%252F",
        b"/;x=1",
        b"/?",
        b"/??",
        b"/?=",
        b"/?&&",
        b"/?a=1&a=2&b",
        b"/?a=b+c",
        b"/?a=b%20c",
        b"/\xed\x95\x9c\xea\xb8\x80",
        b"/?q=\xc7\xd1\xb1\xdb",
        b"/%E9",
        b"/\xe9",
        b"/%23",
        b"/#f",
        b"/\\",
        b"/a:b@c",
        b"/*",
        b"/~!$'()*,-._",
    ];
    for target in odd {
        let raw = [b"GET ", *target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let mut spans = Vec::new();
        let head = RequestHead::parse(&raw, &Limits::default(), &mut spans);
        let head = head.unwrap_or_else(|refusal| panic!("{target:?}: {refusal}"));
        assert_eq!(head.target_raw, *target, "the target is kept to the byte");
        assert_eq!(head.target, Target::Origin(target));
    }
}

#[test]
fn a_long_target_has_its_own_refusal() {
    let raw = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(40_000));
    assert_eq!(verdict(raw.as_bytes()), "target_too_long");
    let raw = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8_192));
    assert_eq!(verdict(raw.as_bytes()), "origin Empty keep-alive");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row a request")]
fn request_lines() {
    check(
        &[
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET HTTPS://a:443?x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
            "GET http://A.example.:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a#f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:+80/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a%2eb/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a..b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\tb HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ],
        expect![[r#"
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n" => origin Empty keep-alive
            "GET / HTTP/1.0\r\n\r\n" => origin Empty
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" => origin Empty keep-alive
            "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n" => absolute Empty keep-alive
            "GET HTTPS://a:443?x HTTP/1.1\r\nHost: a\r\n\r\n" => absolute Empty keep-alive
            "GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n" => absolute Empty keep-alive
            "GET http://A.example.:80/ HTTP/1.1\r\nHost: a\r\n\r\n" => absolute Empty keep-alive
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" => authority Empty keep-alive
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" => asterisk Empty keep-alive
            "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n" => origin Empty keep-alive
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n" => target_form
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n" => target_form
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_form
            "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_userinfo
            "GET http://a#f HTTP/1.1\r\nHost: a\r\n\r\n" => target_form
            "GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "GET http://a:+80/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "GET http://a%2eb/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "GET http://a..b/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n" => target_authority
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" => target_byte
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" => target_byte
            "GET /\tb HTTP/1.1\r\nHost: a\r\n\r\n" => target_byte
            "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n" => target_byte
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n" => target_byte
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n" => version
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n" => version
            "GET / http/1.1\r\nHost: a\r\n\r\n" => request_line
            "GET /\r\n\r\n" => request_line
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n" => method
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n" => method
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" => request_line
            "\r\n\r\n" => request_line
            "PRI * HTTP/2.0\r\n\r\n" => version
        "#]],
    );
}

#[test]
fn line_ends() {
    check(
        &[
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHo",
        ],
        expect![[r#"
            "GET / HTTP/1.1\nHost: a\n\n" => bare_lf
            "GET / HTTP/1.1\r\nHost: a\n\r\n" => bare_lf
            "GET / HTTP/1.1\r\nHost: a\r\n\n" => bare_lf
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n" => bare_cr
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" => bare_cr
            "GET / HTTP/1.1\r\nHo" => incomplete
        "#]],
    );
}

#[test]
fn fields() {
    check_fields(
        &[
            "X: y",
            "X:y",
            "X:   y  \t",
            "X:",
            "X: \u{e9}",
            "!#$%&'*+-.^_`|~09azAZ: y",
            "X : y",
            "X\t: y",
            " X: y",
            "X: y\r\n folded",
            "X: y\r\n\tfolded",
            "X y",
            ": y",
            "X\u{e9}: y",
            "X(): y",
            "X: a\0b",
            "X: a\u{1}b",
            "X: a\u{7f}b",
        ],
        expect![[r#"
            "X: y" => origin Empty keep-alive
            "X:y" => origin Empty keep-alive
            "X:   y  \t" => origin Empty keep-alive
            "X:" => origin Empty keep-alive
            "X: é" => origin Empty keep-alive
            "!#$%&'*+-.^_`|~09azAZ: y" => origin Empty keep-alive
            "X : y" => space_before_colon
            "X\t: y" => space_before_colon
            " X: y" => obs_fold
            "X: y\r\n folded" => obs_fold
            "X: y\r\n\tfolded" => obs_fold
            "X y" => field_name
            ": y" => field_name
            "Xé: y" => field_name
            "X(): y" => field_name
            "X: a\0b" => field_value
            "X: a\u{1}b" => field_value
            "X: a\u{7f}b" => field_value
        "#]],
    );
}

#[test]
fn framing() {
    check_fields(
        &[
            "Content-Length: 0",
            "content-length: 10",
            "Content-Length: 007",
            "Content-Length: 9223372036854775807",
            "Content-Length: 9223372036854775808",
            "Content-Length: 18446744073709551616",
            "Content-Length:",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 1 1",
            "Content-Length: 0x1",
            "Content-Length: 1, 1",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nContent-Length: 2",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: CHUNKED",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding:\u{b}chunked",
            "Transfer-Encoding:",
            "Transfer_Encoding: chunked",
        ],
        expect![[r#"
            "Content-Length: 0" => origin Length(0) keep-alive
            "content-length: 10" => origin Length(10) keep-alive
            "Content-Length: 007" => origin Length(7) keep-alive
            "Content-Length: 9223372036854775807" => origin Length(9223372036854775807) keep-alive
            "Content-Length: 9223372036854775808" => length_syntax
            "Content-Length: 18446744073709551616" => length_syntax
            "Content-Length:" => length_syntax
            "Content-Length: +1" => length_syntax
            "Content-Length: -1" => length_syntax
            "Content-Length: 1 1" => length_syntax
            "Content-Length: 0x1" => length_syntax
            "Content-Length: 1, 1" => length_repeated
            "Content-Length: 1\r\nContent-Length: 1" => length_repeated
            "Content-Length: 1\r\nContent-Length: 2" => length_repeated
            "Transfer-Encoding: chunked" => origin Chunked keep-alive
            "Transfer-Encoding: CHUNKED" => origin Chunked keep-alive
            "Transfer-Encoding: chunked\r\nContent-Length: 1" => length_and_coding
            "Content-Length: 1\r\nTransfer-Encoding: chunked" => length_and_coding
            "Transfer-Encoding: gzip, chunked" => coding_unknown
            "Transfer-Encoding: chunked, chunked" => coding_unknown
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" => coding_repeated
            "Transfer-Encoding: identity" => coding_unknown
            "Transfer-Encoding: xchunked" => coding_unknown
            "Transfer-Encoding: \"chunked\"" => coding_unknown
            "Transfer-Encoding: chunked;q=1" => coding_unknown
            "Transfer-Encoding:\u{b}chunked" => field_value
            "Transfer-Encoding:" => coding_unknown
            "Transfer_Encoding: chunked" => origin Empty keep-alive
        "#]],
    );
}

#[test]
fn connection_and_host() {
    check_fields(
        &[
            "Connection: close",
            "Connection: Keep-Alive",
            "Connection: close, X-Custom",
            "Connection: Content-Length",
            "Connection: host",
            "Connection: transfer-encoding",
            "Connection: a b",
            "Connection: upgrade\r\nUpgrade: websocket",
            "Connection: upgrade\r\nUpgrade: h2c",
            "Upgrade: websocket",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1",
            "Connection: TE\r\nTE: trailers",
            "TE: trailers",
            "Expect: 100-continue",
            "Host: a",
        ],
        expect![[r#"
            "Connection: close" => origin Empty
            "Connection: Keep-Alive" => origin Empty keep-alive
            "Connection: close, X-Custom" => origin Empty names-fields
            "Connection: Content-Length" => connection_option
            "Connection: host" => connection_option
            "Connection: transfer-encoding" => connection_option
            "Connection: a b" => connection_option
            "Connection: upgrade\r\nUpgrade: websocket" => origin Empty keep-alive upgrade
            "Connection: upgrade\r\nUpgrade: h2c" => origin Empty keep-alive
            "Upgrade: websocket" => origin Empty keep-alive
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1" => origin Length(1) keep-alive
            "Connection: TE\r\nTE: trailers" => origin Empty keep-alive trailers
            "TE: trailers" => origin Empty keep-alive
            "Expect: 100-continue" => origin Empty keep-alive continue
            "Host: a" => host_repeated
        "#]],
    );
    check(
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ],
        expect![[r#"
            "GET / HTTP/1.1\r\n\r\n" => host_missing
            "GET / HTTP/1.1\r\nHost:\r\n\r\n" => origin Empty keep-alive
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" => host_syntax
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n" => host_syntax
            "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" => host_syntax
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" => host_syntax
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" => origin Empty keep-alive
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n" => authority Length(0) keep-alive
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n" => connect_body
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n" => connect_body
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" => coding_in_http10
        "#]],
    );
}

#[test]
fn limits() {
    let many = "X: y\r\n".repeat(127);
    assert_eq!(verdict(with_field(many.trim_end()).as_bytes()), "origin Empty keep-alive");
    let too_many = "X: y\r\n".repeat(128);
    assert_eq!(verdict(with_field(too_many.trim_end()).as_bytes()), "too_many_fields");
    let large = format!("X: {}", "y".repeat(70_000));
    assert_eq!(verdict(with_field(&large).as_bytes()), "head_too_large");
}

#[test]
fn every_refusal_has_its_own_code_and_sentence() {
    let mut codes: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Refusal::ALL.len());
    for (index, refusal) in Refusal::ALL.iter().enumerate() {
        assert_eq!(*refusal as usize, index, "counters are indexed by the variant");
        assert!(!refusal.says().ends_with('.') && !refusal.says().is_empty());
    }
}
