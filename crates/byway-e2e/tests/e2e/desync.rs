//! Request smuggling: what two parsers could read differently never reaches a provider.
//!
//! Every attack has a whole request behind it that would be visible if it were taken for one, and
//! is followed by a control on a connection of its own.

use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use byway_e2e::gateway::Gateway;
use byway_e2e::origin::{self, Origin, Stream};
use byway_e2e::process;
use byway_e2e::raw::{self, Kind, Message};

/// What an attacker wants the origin to see.
const SMUGGLED: &str = "GET {prefix}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// What an origin got: whole messages, and every byte of every connection.
#[derive(Debug, Default)]
struct Record {
    messages: Vec<Message>,
    connections: Vec<Vec<u8>>,
    n_ended: usize,
}

/// Keeps what it reads.
struct Recorder<'r> {
    stream: &'r mut dyn Stream,
    record: &'r Mutex<Record>,
    id: usize,
}

impl Read for Recorder<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buf)?;
        let mut record = self.record.lock().expect("no panic");
        record.connections[self.id].extend_from_slice(&buf[..n]);
        Ok(n)
    }
}

/// Says that a connection has ended, however its thread ends.
struct Ended<'r>(&'r Mutex<Record>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().expect("no panic").n_ended += 1;
    }
}

fn record_all(record: &Mutex<Record>, stream: &mut dyn Stream) {
    let id = {
        let mut record = record.lock().expect("no panic");
        record.connections.push(Vec::new());
        record.connections.len() - 1
    };
    let _ended = Ended(record);
    loop {
        let mut recorder = Recorder { stream, record, id };
        let Some(message) = raw::read_message(&mut recorder, Kind::Request) else { return };
        record.lock().expect("no panic").messages.push(message);
        if stream.write_all(&origin::ok(b"")).is_err() {
            return;
        }
    }
}

/// A gateway in front of a recording origin.
struct Bench {
    gateway: Gateway,
    record: Arc<Mutex<Record>>,
}

/// What became of a request: what the caller read, and what the origin got except the control.
struct Outcome {
    answer: Vec<u8>,
    messages: Vec<Message>,
    bytes: Vec<u8>,
}

impl Bench {
    fn start() -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let kept = Arc::clone(&record);
        let origin = Origin::serving(move |stream| record_all(&kept, stream));
        Self { gateway: in_front_of(&origin), record }
    }

    /// The bytes of a text in which one character is one byte.
    fn bytes(&self, text: &str) -> Vec<u8> {
        to_bytes(&self.gateway, text)
    }

    /// Sends a request and then the control, which must be the last thing that the origin sees.
    fn ask(&self, name: &str, request: &[u8]) -> Outcome {
        let answer = ask_refusable(&self.gateway, request);
        let control = self.bytes("GET {prefix}/control HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(raw::ask(self.gateway.addr, &control).status(), 200, "{name}: the control");
        let mut record = self.record.lock().expect("no panic");
        let mut messages = std::mem::take(&mut record.messages);
        let control = messages.pop().expect("the control");
        assert_eq!(text(control.first_line()), "GET /control HTTP/1.1", "{name}");
        let n_control_bytes = control.head.len();
        let mut bytes = Vec::new();
        for connection in &mut record.connections {
            if let Some(at) = find(connection, &control.head) {
                connection.drain(at..at + n_control_bytes);
            }
            bytes.extend_from_slice(connection);
            connection.clear();
        }
        Outcome { answer, messages, bytes }
    }

    /// How often the first chunk of [`CHUNKS`] has reached the origin.
    fn n_begun(&self) -> usize {
        let record = self.record.lock().expect("no panic");
        record.connections.iter().filter(|c| find(c, GOOD.as_bytes()).is_some()).count()
    }

    /// The request is answered by the origin, which sees its body and nothing else.
    fn forwards(&self, name: &str, head: &str, body: &[u8]) {
        let outcome = self.ask(name, &[&self.bytes(head), body].concat());
        assert_forwarded(name, &outcome, body);
    }

    /// The request is refused before the origin sees a byte.
    fn refuses(&self, name: &str, request: &str, code: &str) {
        let outcome = self.ask(name, &self.bytes(&format!("{request}{SMUGGLED}")));
        assert_refused(name, &outcome, code);
        assert_eq!(text(&outcome.bytes), "", "{name}: nothing reaches the origin");
    }
}

fn in_front_of(origin: &Origin) -> Gateway {
    Gateway::start(&format!(
        "[provider.origin]\nurl = \"http://{}\"\nallow_private = true\n",
        origin.addr
    ))
}

fn to_bytes(gateway: &Gateway, text: &str) -> Vec<u8> {
    let text = text.replace("{prefix}", "/to/origin");
    let text = text.replace("{host}", &gateway.addr.to_string());
    text.chars().map(|c| u8::try_from(c).expect("one byte")).collect()
}

/// As [`raw::ask_and_close`], of a gateway that may close before it has read everything.
fn ask_refusable(gateway: &Gateway, request: &[u8]) -> Vec<u8> {
    let mut stream = gateway.connect();
    let _refused = stream.write_all(request);
    let _refused = stream.shutdown(Shutdown::Write);
    raw::read_to_end(&mut stream)
}

/// A head that is routed to the origin.
fn head_of(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {{prefix}}{path} HTTP/1.1\r\nHost: {{host}}\r\n{fields}\r\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn find(all: &[u8], piece: &[u8]) -> Option<usize> {
    all.windows(piece.len()).position(|window| window == piece)
}

/// The status and, for a refusal, the code of each answer.
fn answers(bytes: &[u8]) -> Vec<String> {
    let text = text(bytes);
    let lines = text.split("\r\n").filter(|line| line.starts_with("HTTP/1.1 "));
    lines
        .map(|line| match line.rsplit_once('(') {
            Some((_, code)) => code.trim_end_matches(')').to_owned(),
            None => line.split(' ').nth(1).unwrap_or_default().to_owned(),
        })
        .collect()
}

#[track_caller]
fn assert_forwarded(name: &str, outcome: &Outcome, body: &[u8]) {
    assert_eq!(answers(&outcome.answer), ["200"], "{name}");
    let [message] = outcome.messages.as_slice() else {
        panic!("{name}: not one message: {:?}", outcome.messages);
    };
    assert!(message.body == body, "{name}: the body passes: {}", text(&message.body));
    assert!(outcome.bytes == [&message.head[..], body].concat(), "{name}: and nothing else");
}

#[track_caller]
fn assert_refused(name: &str, outcome: &Outcome, code: &str) {
    assert_eq!(answers(&outcome.answer), [code], "{name}");
    assert!(outcome.messages.is_empty(), "{name}: {:?}", outcome.messages);
}

/// Called ambiguous there, and forwarded here.
const FORWARDED: &[(&str, &str)] = &[
    ("Get with a body and Content-Length", CONTENT_IN_GET),
    ("Get with a body and Transfer-Encoding", CONTENT_IN_GET),
    ("Head with a body and Content-Length", CONTENT_IN_GET),
    ("Head with a body and Transfer-Encoding", CONTENT_IN_GET),
    ("Has a CL in GET", CONTENT_IN_GET),
    ("Has a TE in GET", CONTENT_IN_GET),
    ("Transfer_Encoding with underscore.", ANOTHER_FIELD),
    ("Content_Length with underscore.", ANOTHER_FIELD),
    ("Transfer-Encoding with multiple hyphens", ANOTHER_FIELD),
    ("Transfer-Encoding with multiple delimiters", ANOTHER_FIELD),
];
const CONTENT_IN_GET: &str = "RFC 9110 §9.3.1 allows it, and both hops frame it the same way";
const ANOTHER_FIELD: &str = "a token that is another field's name; it frames nothing";

/// Called compliant there, and refused here.
const REFUSED: &[(&str, &str, &str)] = &[
    ("Correct TE OK", "coding_unknown", CHUNKED_ONLY),
    ("Transfer-Encoding: identity and chunked OK", "coding_unknown", CHUNKED_ONLY),
    ("Multiple transfer encoding headers in a single request OK", "coding_unknown", CHUNKED_ONLY),
    ("TE with custom parameters OK", "coding_unknown", CHUNKED_ONLY),
    ("Different Transfer-Encoding headers", "coding_unknown", CHUNKED_ONLY),
    ("Different Transfer-Encoding headers combined", "coding_unknown", CHUNKED_ONLY),
    ("Transfer-Encoding with a param: chunked;custom_param", "coding_unknown", CHUNKED_ONLY),
    ("Empty URI", "request_line", "RFC 9112 §3.2 knows no empty target"),
];
const CHUNKED_ONLY: &str = "RFC 9112 §6.1 lets a server refuse a coding it does not understand";

/// What is no refusal of a request's bytes.
const NOWHERE: &[&str] = &["200", "provider_unknown", "host_unknown", "host_unlisted"];

struct Vector {
    name: String,
    label: String,
    head: String,
    body: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let all = include_str!("../../vectors/http_desync_guardian.json");
    let all: Vec<serde_json::Value> = serde_json::from_str(all).expect("JSON");
    let read = |value: &serde_json::Value| Vector {
        name: value["name"].as_str().expect("a name").to_owned(),
        label: value["label"].as_str().expect("a label").to_owned(),
        head: value["head"].as_str().expect("a head").to_owned(),
        body: match (&value["body"], value["body"].as_u64()) {
            (_, Some(n)) => vec![b'x'; usize::try_from(n).expect("small")],
            (serde_json::Value::String(_), _) => b"5\r\nhello\r\n0\r\n\r\n".to_vec(),
            // None, or a length that no integer holds.
            _ => Vec::new(),
        },
    };
    all.iter().map(read).collect()
}

#[test]
fn what_another_project_calls_ambiguous_is_not_forwarded() {
    let bench = Bench::start();
    let vectors = vectors();
    assert_eq!(vectors.len(), 159);
    let known = |name: &str| vectors.iter().any(|vector| vector.name == name);
    assert!(FORWARDED.iter().all(|(name, _)| known(name)), "no row without a vector");
    assert!(REFUSED.iter().all(|(name, _, _)| known(name)), "no row without a vector");
    for Vector { name, label, head, body } in &vectors {
        let is_compliant = label == "Compliant";
        let refused = REFUSED.iter().find(|(refused, _, _)| is_compliant && refused == name);
        let forwarded = FORWARDED.iter().any(|(forwarded, _)| forwarded == name);
        let name = &format!("{label}: {name}: {head:?}");
        if let Some((_, code, _)) = refused {
            let outcome = bench.ask(name, &[&bench.bytes(head), body.as_slice()].concat());
            assert_refused(name, &outcome, code);
            assert_eq!(text(&outcome.bytes), "", "{name}");
        } else if is_compliant || forwarded {
            bench.forwards(name, head, body);
        } else {
            let smuggled = bench.bytes(SMUGGLED);
            let tail: &[u8] = if label == "Acceptable" { b"" } else { &smuggled };
            let outcome = bench.ask(name, &[&bench.bytes(head), body.as_slice(), tail].concat());
            let found = answers(&outcome.answer);
            if label == "Acceptable" && found == ["200"] {
                assert_forwarded(name, &outcome, body);
                continue;
            }
            // For its bytes, not because it goes nowhere.
            assert!(!NOWHERE.contains(&found[0].as_str()), "{name}: {found:?}");
            assert_refused(name, &outcome, &found[0]);
            assert_eq!(text(&outcome.bytes), "", "{name}: nothing reaches the origin");
        }
    }
}

/// Fields of a POST that are refused, and why.
const FRAMINGS: &[(&str, &str)] = &[
    // CL.TE and TE.CL
    ("Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", "length_and_coding"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "length_and_coding"),
    ("Content-Length: 0\r\nX: y\r\nTRANSFER-ENCODING: CHUNKED\r\n", "length_and_coding"),
    // TE.TE
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "coding_repeated"),
    ("Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n", "coding_repeated"),
    ("Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n", "coding_unknown"),
    ("Transfer-Encoding: \x0bchunked\r\n", "field_value"),
    ("Transfer-Encoding: chunked\x0b\r\n", "field_value"),
    ("Transfer-Encoding: \x0cchunked\r\n", "field_value"),
    ("Transfer-Encoding: \0chunked\r\n", "field_value"),
    ("Transfer-Encoding: \u{a0}chunked\r\n", "coding_unknown"),
    ("Transfer-Encoding: \u{ff}chunked\r\n", "coding_unknown"),
    ("Transfer-Encoding: \"chunked\"\r\n", "coding_unknown"),
    ("Transfer-Encoding: chunked,\r\n", "coding_unknown"),
    ("Transfer-Encoding: ,chunked\r\n", "coding_unknown"),
    ("Transfer-Encoding: chunked, identity\r\n", "coding_unknown"),
    ("Transfer-Encoding: identity\r\n", "coding_unknown"),
    ("Transfer-Encoding: gzip, chunked\r\n", "coding_unknown"),
    ("Transfer-Encoding: chunked;q=1\r\n", "coding_unknown"),
    ("Transfer-Encoding: chunked chunked\r\n", "coding_unknown"),
    ("Transfer-Encoding: xchunked\r\n", "coding_unknown"),
    ("Transfer-Encoding:\r\n", "coding_unknown"),
    ("Transfer-Encoding : chunked\r\n", "space_before_colon"),
    ("Transfer-Encoding\t: chunked\r\n", "space_before_colon"),
    ("Transfer-Encoding\x0b: chunked\r\n", "field_name"),
    ("Transfer-Encoding\0: chunked\r\n", "field_name"),
    ("Transfer Encoding: chunked\r\n", "field_name"),
    ("Transfer-Encoding\r\n : chunked\r\n", "field_name"),
    ("Transfer-Encoding:\r\n chunked\r\n", "obs_fold"),
    ("Transfer-Encoding: chunked\r\n\t\r\n", "obs_fold"),
    ("X: y\r\n Transfer-Encoding: chunked\r\n", "obs_fold"),
    ("X: y\nTransfer-Encoding: chunked\r\n", "bare_lf"),
    ("X: y\rTransfer-Encoding: chunked\r\n", "bare_cr"),
    ("Transfer-Encoding: chunked\r\r\n", "bare_cr"),
    ("Transfer-Encoding: chunked\n", "bare_lf"),
    // Content-Length alone
    ("Content-Length: 5\r\nContent-Length: 5\r\n", "length_repeated"),
    ("Content-Length: 5\r\ncontent-length: 0\r\n", "length_repeated"),
    ("Content-Length: 5, 5\r\n", "length_repeated"),
    ("Content-Length: +5\r\n", "length_syntax"),
    ("Content-Length: -5\r\n", "length_syntax"),
    ("Content-Length: 0x5\r\n", "length_syntax"),
    ("Content-Length: 5 5\r\n", "length_syntax"),
    ("Content-Length: \"5\"\r\n", "length_syntax"),
    ("Content-Length: 5e0\r\n", "length_syntax"),
    ("Content-Length: \u{b2}\r\n", "length_syntax"),
    ("Content-Length:\r\n", "length_syntax"),
    ("Content-Length: 18446744073709551616\r\n", "length_syntax"),
    ("Content-Length : 5\r\n", "space_before_colon"),
    ("Content-Length:\r\n 5\r\n", "obs_fold"),
    // Fields that would vanish on one of the hops
    ("Content-Length: 5\r\nConnection: Content-Length\r\n", "connection_option"),
    ("Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n", "connection_option"),
    ("Content-Length: 5\r\nConnection: close, HOST\r\n", "connection_option"),
];

#[test]
fn framing_that_two_parsers_could_read_differently_is_refused() {
    let bench = Bench::start();
    for (fields, code) in FRAMINGS {
        let head = head_of("POST", "/x", fields);
        bench.refuses(fields, &format!("{head}5\r\nhello\r\n0\r\n\r\n"), code);
    }
    let old =
        "POST {prefix}/x HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    bench.refuses("chunks in HTTP/1.0", old, "coding_in_http10");
    let connect = "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello";
    bench.refuses("a body of CONNECT", connect, "connect_body");
}

/// What stands before `Host`, and why it is refused.
const LINES: &[(&str, &str)] = &[
    ("GET {prefix}/a\r\nX: y HTTP/1.1", "request_line"),
    ("GET {prefix}/a\rX: y HTTP/1.1", "target_byte"),
    ("GET {prefix}/a\nX: y HTTP/1.1", "bare_lf"),
    ("GET {prefix}/a\tHTTP/1.1\tX HTTP/1.1", "target_byte"),
    ("GET {prefix}/a\x0bb HTTP/1.1", "target_byte"),
    ("GET {prefix}/a\0 HTTP/1.1", "target_byte"),
    ("GET {prefix}/a\x7f HTTP/1.1", "target_byte"),
    ("GET  {prefix}/a HTTP/1.1", "target_byte"),
    ("GET {prefix}/a  HTTP/1.1", "target_byte"),
    ("GET\t{prefix}/a HTTP/1.1", "request_line"),
    (" GET {prefix}/a HTTP/1.1", "method"),
    ("GET: {prefix}/a HTTP/1.1", "method"),
    ("G\0T {prefix}/a HTTP/1.1", "method"),
    ("GET {prefix}/a HTTP/1.1 ", "request_line"),
    ("GET {prefix}/a\tHTTP/1.1", "request_line"),
    ("GET {prefix}/a", "request_line"),
    ("GET {prefix}/a http/1.1", "request_line"),
    ("GET {prefix}/a HTTP/1.1\r", "version"),
    ("GET {prefix}/a HTTP/1.01", "version"),
    ("GET {prefix}/a HTTP/1.2", "version"),
    ("GET {prefix}/a HTTP/0.9", "version"),
    ("PRI * HTTP/2.0", "version"),
    ("GET {prefix}/a HTTP/1.1\r\n X: y", "obs_fold"),
    ("GET {prefix}/a HTTP/1.1\r\nX", "field_name"),
    ("GET {prefix}/a HTTP/1.1\r\n: y", "field_name"),
    ("GET {prefix}/a HTTP/1.1\r\nX\u{a0}: y", "field_name"),
    ("GET {prefix}/a HTTP/1.1\r\nX: y\0", "field_value"),
    ("GET {prefix}/a HTTP/1.1\r\nX: y\x7f", "field_value"),
    ("GET {prefix}/a HTTP/1.1\r\nX: \x08", "field_value"),
    ("GET {prefix}/a HTTP/1.1\r\nX: y\r", "bare_cr"),
    ("GET {prefix}/a HTTP/1.1\r\nX: y\n\nGET {prefix}/b HTTP/1.1", "bare_lf"),
    ("GET {prefix}/a HTTP/1.1\r\nX: y\r\rGET {prefix}/b HTTP/1.1", "bare_cr"),
    ("GET {prefix}/a HTTP/1.1\r\nhost: {host}", "host_repeated"),
];

#[test]
fn bytes_that_split_a_request_are_refused() {
    let bench = Bench::start();
    for (line, code) in LINES {
        bench.refuses(line, &format!("{line}\r\nHost: {{host}}\r\n\r\n"), code);
    }
    for (host, code) in [
        ("", "host_missing"),
        ("Host: {host} a\r\n", "host_syntax"),
        ("Host: a@{host}\r\n", "host_syntax"),
        ("Host: {host}/a\r\n", "host_syntax"),
        ("Host: {host},{host}\r\n", "host_syntax"),
    ] {
        bench.refuses(host, &format!("GET {{prefix}}/a HTTP/1.1\r\n{host}\r\n"), code);
    }
}

#[test]
fn bodies_that_look_like_requests_stay_bodies() {
    let bench = Bench::start();
    let smuggled = text(&bench.bytes(SMUGGLED));
    let n = smuggled.len();
    let chunked = format!("{n:x}\r\n{smuggled}\r\n0\r\n\r\n");
    let with_length = format!("Content-Length: {n}");
    for (fields, body) in [
        (with_length.as_str(), smuggled.as_str()),
        (&format!("Content-Length:\t{n}\t"), &smuggled),
        (&format!("Content-Length: 000{n}"), &smuggled),
        (&format!("CONTENT-LENGTH:{n}\r\nContent_Length: 0"), &smuggled),
        (&format!("{with_length}\r\nX-Transfer-Encoding: chunked"), &smuggled),
        (&format!("{with_length}\r\nTE: chunked"), &smuggled),
        (&format!("{with_length}\r\nConnection: Upgrade\r\nUpgrade: h2c"), &smuggled),
        (&format!("{with_length}\r\nExpect: 100-continue"), &smuggled),
        ("Transfer-Encoding: chunked", &chunked),
        ("Transfer-Encoding:\tchunked\t", &chunked),
        ("tRANSFER-eNCODING:cHUNKED", &chunked),
        ("Transfer-Encoding: chunked\r\nX: a\u{85}Content-Length: 0", &chunked),
        ("Transfer-Encoding: chunked", &chunked.replacen("\r\n", ";a=\"b;c\";\u{a0}\r\n", 1)),
        ("Transfer-Encoding: chunked", &format!("00000000000000{chunked}")),
        ("Transfer-Encoding: chunked", &chunked.replace("0\r\n\r\n", "00\r\nX: GET /\r\n\r\n")),
    ] {
        for method in ["POST", "GET", "HEAD", "DELETE", "OPTIONS", "BREW"] {
            let head = head_of(method, "/x", &format!("{fields}\r\n"));
            bench.forwards(&head, &head, &bench.bytes(body));
        }
    }
    for target in ["/a%0d%0aX:%20y", "/a%00", "/a\u{85}\u{a0}", "/a?b=HTTP/1.1", "/%2e%2e/"] {
        bench.forwards(target, &head_of("GET", target, ""), b"");
    }
}

#[test]
fn what_follows_a_body_is_a_request_of_its_own() {
    let bench = Bench::start();
    let chunked = ("Transfer-Encoding: chunked", "0\r\n\r\n");
    for (framing, body) in [("Content-Length: 5", "hello"), chunked] {
        for (next, code) in [
            ("GPOST / HTTP/1.1\r\n\r\n", "host_missing"),
            ("5\r\nhello\r\n0\r\n\r\n", "request_line"),
            ("\n\r\n", "bare_lf"),
            ("x\r\n\r\n", "request_line"),
        ] {
            let first = head_of("POST", "/x", &format!("{framing}\r\n"));
            let all = bench.bytes(&format!("{first}{body}{next}{SMUGGLED}"));
            let outcome = bench.ask(next, &all);
            assert_eq!(answers(&outcome.answer), ["200", code], "{next:?} after {body:?}");
            assert_eq!(outcome.messages.len(), 1, "{next:?}: {:?}", outcome.messages);
            assert!(outcome.bytes.ends_with(format!("\r\n\r\n{body}").as_bytes()), "{next:?}");
        }
    }
}

/// What stands before each malformed chunk.
const GOOD: &str = "3\r\nabc\r\n";

/// A chunk that swallows the request behind it and wants more.
const UNFINISHED: &str = "fff\r\nhello";
/// The caller ended its side inside its body: there is nothing left to answer.
const NO_ANSWER: &str = "";

const CHUNKS: &[(&str, &str)] = &[
    ("5\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5\rhello\r\n0\r\n\r\n", "chunk_size"),
    ("5\r\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5 \r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5\t;a\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    (" 5\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("+5\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("-5\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("0x5\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5h\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("0_5\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    (";a\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("\r\n0\r\n\r\n", "chunk_size"),
    ("\0\r\n0\r\n\r\n", "chunk_size"),
    ("00000000000000005\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("8000000000000000\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("10000000000000005\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5;a\nhello\r\n0\r\n\r\n", "chunk_extension"),
    ("5;\n\r\nhello\r\n0\r\n\r\n", "chunk_extension"),
    ("5;a\0\r\nhello\r\n0\r\n\r\n", "chunk_extension"),
    ("5;a\x0b\r\nhello\r\n0\r\n\r\n", "chunk_extension"),
    ("5;a\rhello\r\n0\r\n\r\n", "chunk_size"),
    ("5;a\rX\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5;a\r\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5;a=\"\rb\"\r\nhello\r\n0\r\n\r\n", "chunk_size"),
    ("5;a=\"\nb\"\r\nhello\r\n0\r\n\r\n", "chunk_extension"),
    ("5\r\nhello0\r\n\r\n", "chunk_end"),
    ("5\r\nhelloXX0\r\n\r\n", "chunk_end"),
    ("5\r\nhello\n0\r\n\r\n", "chunk_end"),
    ("5\r\nhello\r0\r\n\r\n", "chunk_end"),
    ("5\r\nhello\r\r\n0\r\n\r\n", "chunk_end"),
    ("0\n\n", "chunk_size"),
    ("0\r\n\n", "trailer_syntax"),
    ("0\r\n\rX", "trailer_syntax"),
    ("0\r\n X: y\r\n\r\n", "trailer_syntax"),
    ("0\r\nX : y\r\n\r\n", "trailer_syntax"),
    ("0\r\nX: y\n\r\n", "trailer_syntax"),
    ("0\r\nX: y\r\n z\r\n\r\n", "trailer_syntax"),
    ("0\r\nX: \0\r\n\r\n", "trailer_syntax"),
    ("0\r\nContent-Length: 50\r\n\r\n", "trailer_forbidden"),
    ("0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", "trailer_forbidden"),
    ("0\r\nHost: a\r\n\r\n", "trailer_forbidden"),
    (UNFINISHED, NO_ANSWER),
];

#[test]
fn malformed_chunks_end_the_message_on_both_hops() {
    let mut bench = Bench::start();
    let head = head_of("POST", "/x", "Transfer-Encoding: chunked\r\n");
    let control = bench.bytes(&head_of("GET", "/control", ""));
    for (chunks, code) in CHUNKS {
        // At once, and when the origin has the beginning already.
        for is_streamed in [false, true] {
            let n_begun = bench.n_begun();
            let mut stream = bench.gateway.connect();
            let begin = bench.bytes(&format!("{head}{GOOD}"));
            let rest = bench.bytes(&format!("{chunks}{SMUGGLED}"));
            if is_streamed {
                stream.write_all(&begin).expect("taken");
                process::until("the first chunk", || (bench.n_begun() > n_begun).then_some(()));
                stream.write_all(&rest).expect("taken");
            } else {
                stream.write_all(&[begin, rest].concat()).expect("taken");
            }
            let _refused = stream.shutdown(Shutdown::Write);
            let answer = raw::read_to_end(&mut stream);
            assert_eq!(answers(&answer).join(" "), *code, "{chunks:?} {is_streamed}");
            assert_eq!(raw::ask(bench.gateway.addr, &control).status(), 200, "after {chunks:?}");
        }
    }
    // Once the gateway is gone, nothing more can reach the origin.
    bench.gateway.signal(rustix::process::Signal::KILL);
    bench.gateway.wait();
    process::until("the ends of all connections", || {
        let record = bench.record.lock().expect("no panic");
        (record.n_ended == record.connections.len()).then_some(())
    });
    let record = bench.record.lock().expect("no panic");
    assert_eq!(record.messages.len(), 2 * CHUNKS.len(), "the controls");
    for message in &record.messages {
        assert_eq!(text(message.first_line()), "GET /control HTTP/1.1");
    }
    for connection in &record.connections {
        let Some(at) = find(connection, b"POST ") else { continue };
        let begun = text(&connection[at..]);
        let (_, body) = begun.split_once("\r\n\r\n").expect("a head");
        let unfinished = format!("{GOOD}{UNFINISHED}");
        assert!(body == GOOD || body.starts_with(&unfinished), "nothing malformed: {body:?}");
    }
}

#[test]
fn an_origin_that_takes_a_body_for_a_request_hurts_only_its_caller() {
    // It ignores Content-Length (CL.0), so one request of ours has two answers, sent at once.
    let origin = Origin::serving(|stream| {
        let mut stream = stream;
        while let Some(message) = raw::read_message(&mut stream, Kind::Request) {
            let own = origin::ok(message.first_line());
            let second = if message.body.is_empty() { Vec::new() } else { origin::ok(b"smuggled") };
            if stream.write_all(&[own, second].concat()).is_err() {
                return;
            }
        }
    });
    let gateway = in_front_of(&origin);
    let smuggled = to_bytes(&gateway, SMUGGLED);
    let length = format!("Content-Length: {}\r\n", smuggled.len());
    let head = to_bytes(&gateway, &head_of("POST", "/attack", &length));
    for n in 0..20 {
        let mut attacker = gateway.connect();
        attacker.write_all(&[head.as_slice(), &smuggled].concat()).expect("taken");
        let answer = raw::read_message(&mut attacker, Kind::Answer).expect("an answer");
        assert_eq!(text(&answer.body), "POST /attack HTTP/1.1");
        let victim = head_of("GET", &format!("/{n}"), "");
        let answer = raw::ask(gateway.addr, &to_bytes(&gateway, &victim));
        assert_eq!(text(&answer.body), format!("GET /{n} HTTP/1.1"));
    }
}
