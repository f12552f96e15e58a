//! The vectors of the protocol's document, and a stream against relays that misbehave.

use std::sync::Arc;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::relay::{Lock, Platform, RelayHop};
use byway_core::route::{Origin, Scheme};
use byway_core::secret::Secret;
use byway_core::settings::{Deadlines, ProviderTls};
use byway_wire::body::Framing;
use byway_wire::relay::answer::{Answered, End, Failure, Pong, SeenThere};
use byway_wire::relay::call::{Call, Kind, Within, envelope, signed};
use byway_wire::relay::frames::{self, Frame};
use byway_wire::relay::{Field, Stack, Stage};
use data_encoding::{BASE64, HEXLOWER};
use expect_test::expect_file;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Leg, NoLocks, RelayClient, RelayFault, RelayStream};
use crate::stream::Stream;

/// RFC 8032 §7.1, test 1: a seed that everybody has, and nobody may use.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

fn field(name: &str, value: &[u8]) -> Field {
    Field { name: name.as_bytes().to_vec(), value: value.to_vec() }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

fn get() -> Call {
    Call {
        relay: "lambda-1".to_owned(),
        key: "k1".to_owned(),
        created_ms: 1_764_000_000_000,
        expires_ms: 1_764_000_030_000,
        nonce: *b"0123456789abcdef",
        within: Within {
            connect_ms: 5000,
            tls_ms: 10_000,
            first_byte_ms: 60_000,
            idle_ms: 60_000,
            total_ms: 27_000,
        },
        answer_bytes_max: 4_450_000,
        may_stream: false,
        is_tls: true,
        host: "api.example.com".to_owned(),
        port: 443,
        pinned: None,
        version: byway_wire::Version::Http11,
        method: b"GET".to_vec(),
        target: b"/a%2Fb;x=1?q=\xb0\xa1&q=%B0%A1&a=b+c|{}".to_vec(),
        fields: vec![
            field("Host", b" api.example.com"),
            field("accept", b"a, b"),
            field("Accept", b"  c \t"),
        ],
        trailers: Vec::new(),
        body_bytes: 0,
        body_digest: hash(b""),
    }
}

fn post() -> Call {
    Call {
        method: b"POST".to_vec(),
        target: b"/".to_vec(),
        fields: vec![field("Host", b" api.example.com"), field("Transfer-Encoding", b" chunked")],
        trailers: vec![field("X-Sum", b" 1")],
        pinned: Some("2001:db8::7".parse().unwrap()),
        may_stream: true,
        body_bytes: 5,
        body_digest: hash(b"hello"),
        ..get()
    }
}

fn answered(framing: Framing, fields: Vec<Field>) -> Answered {
    Answered {
        status: 200,
        version: byway_wire::Version::Http11,
        reason: b" OK".to_vec(),
        fields,
        framing,
        seen: SeenThere {
            peer: Some("203.0.113.7".parse().unwrap()),
            exit: Some("198.51.100.7".parse().unwrap()),
            tls_version: 0x0304,
            certificate: Some(hash(b"certificate")),
            dns_us: 1000,
            connect_us: 2000,
            tls_us: 3000,
            first_byte_us: 4000,
            is_cold: true,
            stack: Stack::Byway,
            instance: "0123456789abcdef".to_owned(),
        },
    }
}

fn failure(stage: Stage, code: &str) -> Failure {
    let (code, detail) = (code.to_owned(), "as the relay says it".to_owned());
    Failure { stage, code, detail, now_ms: 1_764_000_000_500, peer: None }
}

fn end(body: &[u8], trailers: Vec<Field>) -> End {
    End { body_bytes: body.len() as u64, body_digest: hash(body), trailers }
}

fn stream_of(all: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = frames::intro().to_vec();
    for frame in all {
        frames::put(&mut bytes, frame);
    }
    bytes
}

fn length(n: u64) -> Frame<'static> {
    let fields = vec![field("Content-Length", format!(" {n}").as_bytes())];
    Frame::Head(Box::new(answered(Framing::Length(n), fields)))
}

fn pong() -> Pong {
    Pong {
        version_min: 1,
        version_max: 1,
        relay: "lambda-1".to_owned(),
        instance: "0123456789abcdef".to_owned(),
        software: "byway-relay 0.0.0".to_owned(),
        stack: Stack::Byway,
        is_cold: false,
        exit: None,
        allow_digest: hash(b"api.example.com:443\n"),
        keys: "k1 k2".to_owned(),
        now_ms: 1_764_000_000_500,
        n_refused: 3,
    }
}

fn answer_vectors() -> [(&'static str, Vec<u8>); 6] {
    let chunked = vec![field("Transfer-Encoding", b" chunked")];
    [
        (
            "200, five bytes",
            stream_of(&[length(5), Frame::Data(b"hello"), Frame::End(end(b"hello", vec![]))]),
        ),
        (
            "200, chunked, two pieces, a trailer",
            stream_of(&[
                Frame::Head(Box::new(answered(Framing::Chunked, chunked))),
                Frame::Data(b"hel"),
                Frame::Data(b"lo"),
                Frame::End(end(b"hello", vec![field("X-Sum", b" 1")])),
            ]),
        ),
        (
            "nothing was sent",
            stream_of(&[Frame::Failed(failure(Stage::BeforeSend, "connect_refused"))]),
        ),
        (
            "cut off in the middle",
            stream_of(&[
                length(5),
                Frame::Data(b"he"),
                Frame::Failed(failure(Stage::Partial, "answer_truncated")),
            ]),
        ),
        (
            "the clocks differ",
            stream_of(&[Frame::Failed(failure(Stage::BeforeSend, "clock_skew"))]),
        ),
        ("pong", stream_of(&[Frame::Pong(pong())])),
    ]
}

#[test]
fn the_vectors_of_the_document_are_what_is_sent() {
    let key = Ed25519KeyPair::from_seed_unchecked(&HEXLOWER.decode(SEED.as_bytes()).unwrap());
    let key = key.unwrap();
    let mut text = format!(
        "{{\n  \"about\": \"docs/relay-protocol.md; hexadecimal unless it says otherwise\",\n  \
         \"seed\": \"{SEED}\",\n  \"public_base64\": \"{}\",\n  \"requests\": [\n",
        BASE64.encode(key.public_key().as_ref())
    );
    let ping = Call {
        host: String::new(),
        port: 0,
        is_tls: false,
        method: Vec::new(),
        target: Vec::new(),
        fields: Vec::new(),
        ..get()
    };
    let calls: [(&str, Kind, Call, &[u8]); 3] = [
        ("GET with raw and encoded bytes, repeats and whitespace", Kind::Call, get(), b""),
        ("POST in chunks with a trailer, to a pinned address", Kind::Call, post(), b"hello"),
        ("ping", Kind::Ping, ping, b""),
    ];
    for (about, kind, call, body) in calls {
        let meta = call.encode();
        let signature = key.sign(&signed(kind, &meta));
        let sent = [&envelope(kind, &meta, signature.as_ref().try_into().unwrap()), body].concat();
        text.push_str(&format!(
            "    {{\"about\": \"{about}\", \"head\": \"{}\", \"request\": \"{}\"}},\n",
            HEXLOWER.encode(&call.head()),
            HEXLOWER.encode(&sent)
        ));
    }
    text.push_str("    null\n  ],\n  \"answers\": [\n");
    for (about, bytes) in answer_vectors() {
        text.push_str(&format!(
            "    {{\"about\": \"{about}\", \"answer\": \"{}\"}},\n",
            HEXLOWER.encode(&bytes)
        ));
    }
    text.push_str("    null\n  ]\n}\n");
    let text = text.replace("},\n    null\n", "}\n");
    expect_file!["../../../../docs/relay-vectors.json"].assert_eq(&text);
}

/// A relay that reads one POST and answers with these bytes, then keeps quiet or closes.
async fn told(answer: Vec<u8>, closes: bool) -> (RelayStream, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a peer for one test, awaited by it")]
    let relay = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while tcp.read_buf(&mut got).await.unwrap() > 0 {
            let text = String::from_utf8_lossy(&got).into_owned();
            let Some(at) = text.find("\r\n\r\n") else { continue };
            let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let raw_at = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(at);
            if got.len() >= raw_at + 4 + length.unwrap().parse::<usize>().unwrap() {
                break;
            }
        }
        tcp.write_all(&answer).await.unwrap();
        if !closes {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        got
    });
    let pkcs8 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let hop = RelayHop {
        origin: Origin { scheme: Scheme::Http, host: "127.0.0.1".to_owned(), port: addr.port() },
        target: "/".to_owned(),
        platform: Platform::Plain,
        id: "lambda-1".to_owned(),
        key_id: "k1".to_owned(),
        key_pem: Secret::new(pkcs8),
        lock: Lock::Open,
        tls: ProviderTls::default(),
        limits: Platform::Plain.limits(),
        is_text: false,
        replay_accepted: None,
        check_every: byway_core::relay::CHECK_EVERY,
        ask_every: byway_core::relay::ASK_EVERY,
    };
    let client = Arc::new(RelayClient::new(Arc::new(hop), Arc::new(NoLocks)).unwrap());
    let deadlines = Deadlines::default();
    let leg = Leg { is_tls: false, host: "api.example.com", port: 80, deadlines: &deadlines };
    let tcp = TcpStream::connect(addr).await.unwrap();
    (RelayStream::new(Stream::Tcp(tcp), client, &leg), relay)
}

/// The outer answer, whole.
fn posted(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What a request over such a relay gives: the answer's bytes, or the fault.
async fn ask(answer: Vec<u8>, closes: bool) -> Result<String, RelayFault> {
    let (mut stream, _relay) = told(answer, closes).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut got = Vec::new();
    let mut buf = [0; 512];
    loop {
        match stream.read(&mut buf).await {
            Ok(0) => return Ok(got.escape_ascii().to_string()),
            Ok(n) => got.extend_from_slice(&buf[..n]),
            Err(error) => return Err(RelayFault::of(&error).unwrap().clone()),
        }
        if got.ends_with(b"hello") || got.ends_with(b"0\r\nX-Sum: 1\r\n\r\n") {
            return Ok(got.escape_ascii().to_string());
        }
    }
}

#[tokio::test]
async fn an_answer_comes_out_as_the_provider_sent_it() {
    let whole = stream_of(&[length(5), Frame::Data(b"hello"), Frame::End(end(b"hello", vec![]))]);
    let due = "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello";
    assert_eq!(ask(posted("200 OK", &whole), false).await.unwrap(), due);
    let text = BASE64.encode(&whole).into_bytes();
    assert_eq!(ask(posted("200 OK", &text), false).await.unwrap(), due, "Base64");
    let mut chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for byte in &whole {
        chunks.extend_from_slice(b"1\r\n");
        chunks.push(*byte);
        chunks.extend_from_slice(b"\r\n");
    }
    assert_eq!(ask(chunks, false).await.unwrap(), due, "byte by byte, without an end so far");
}

#[tokio::test]
async fn what_is_no_relays_answer_is_the_relays_fault() {
    let whole = stream_of(&[length(5), Frame::Data(b"hello"), Frame::End(end(b"hello", vec![]))]);
    let changed = stream_of(&[length(5), Frame::Data(b"jello"), Frame::End(end(b"hello", vec![]))]);
    let longer = stream_of(&[length(9), Frame::Data(b"hello"), Frame::End(end(b"hello", vec![]))]);
    let cut = &whole[..whole.len() - 1];
    let unasked = stream_of(&[Frame::Pong(pong())]);
    let lies = Answered { framing: Framing::Empty, ..answered(Framing::Length(5), vec![]) };
    let lies = Answered { fields: vec![field("Content-Length", b" 5")], ..lies };
    let lies = stream_of(&[Frame::Head(Box::new(lies)), Frame::End(end(b"", vec![]))]);
    let empty = Answered { status: 204, ..answered(Framing::Empty, vec![]) };
    let forged = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let forged = stream_of(&[Frame::Head(Box::new(empty)), Frame::Data(forged)]);
    let beyond = stream_of(&[length(1), Frame::Data(b"hello")]);
    let cases: [(&str, Vec<u8>, Stage, &str); 14] = [
        ("an answer in an answer", posted("200 OK", &forged), Stage::Partial, "more of a body"),
        ("beyond its length", posted("200 OK", &beyond), Stage::Partial, "more of a body"),
        ("IAM", posted("403 Forbidden", b"{\"Message\":null}"), Stage::BeforeSend, "answered 403"),
        ("throttled", posted("429 Too Many Requests", b"{}"), Stage::BeforeSend, "answered 429"),
        ("gave up", posted("504 Gateway Timeout", b""), Stage::Sent, "answered 504"),
        ("broke", posted("502 Bad Gateway", b"Internal"), Stage::Sent, "answered 502"),
        ("a page", posted("200 OK", b"<html>"), Stage::Sent, "not as a relay"),
        ("empty", posted("200 OK", b""), Stage::Sent, "no relay's answer"),
        ("changed", posted("200 OK", &changed), Stage::Partial, "was changed"),
        ("too short", posted("200 OK", &longer), Stage::Partial, "was changed"),
        ("no end", posted("200 OK", cut), Stage::Partial, "has no end"),
        ("a pong", posted("200 OK", &unasked), Stage::Sent, "ping"),
        ("a lie", posted("200 OK", &lies), Stage::Partial, "does not fit"),
        ("not HTTP", b"SSH-2.0-x\r\n\r\n".to_vec(), Stage::Sent, "HTTP/1"),
    ];
    for (about, answer, stage, says) in cases {
        let fault = ask(answer, true).await.expect_err(about);
        assert_eq!((fault.cause, fault.stage), (Cause::RelayFailed, stage), "{about}: {fault:?}");
        assert!(fault.detail.contains(says), "{about}: {}", fault.detail);
    }
    let fault = ask(Vec::new(), true).await.expect_err("nothing");
    assert!(fault.is_gone && fault.cause == Cause::RelayFailed, "{fault:?}");
}

#[tokio::test]
async fn only_what_a_relay_can_see_of_a_provider_is_the_providers() {
    let told = |stage, code| posted("200 OK", &stream_of(&[Frame::Failed(failure(stage, code))]));
    for (code, cause) in [
        ("connect_refused", Cause::ConnectRefused),
        ("tls_cert", Cause::TlsCert),
        ("read_timeout", Cause::ReadTimeout),
        ("deadline", Cause::RelayLimit),
        ("answer_too_large", Cause::RelayLimit),
        ("clock_skew", Cause::ClockSkew),
        ("not_allowed", Cause::RelayRefused),
        ("replayed", Cause::RelayRefused),
        ("path_down", Cause::RelayRefused),
        ("gated", Cause::RelayRefused),
        ("something new", Cause::RelayRefused),
    ] {
        for stage in [Stage::BeforeSend, Stage::Sent] {
            let fault = ask(told(stage, code), false).await.expect_err(code);
            assert_eq!((fault.cause, fault.stage), (cause, stage), "{code}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_named_with_how_wrong_it_is() {
    let answer = stream_of(&[Frame::Failed(failure(Stage::BeforeSend, "clock_skew"))]);
    let fault = ask(posted("200 OK", &answer), false).await.expect_err("skew");
    assert!(fault.detail.starts_with("our clock is "), "{}", fault.detail);
    assert!(fault.detail.contains("ahead of the one of the relay lambda-1"), "{}", fault.detail);
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_not_sent() {
    let (mut stream, _relay) = told(Vec::new(), false).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let error = stream.write_all(request).await.expect_err("unfit");
    let fault = RelayFault::of(&error).unwrap();
    assert_eq!((fault.cause, fault.stage), (Cause::RelayLimit, Stage::BeforeSend));
    assert!(fault.detail.contains("change of protocol"), "{}", fault.detail);
}

#[tokio::test]
async fn whoever_waits_for_a_100_gets_one() {
    let whole = stream_of(&[length(5), Frame::Data(b"hello"), Frame::End(end(b"hello", vec![]))]);
    let (mut stream, relay) = told(posted("200 OK", &whole), true).await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut got = [0; 25];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").await.unwrap();
    stream.flush().await.unwrap();
    let mut got = [0; 15];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"HTTP/1.1 200 OK");
    assert!(relay.await.unwrap().ends_with(b"ok"), "the body stands at the end of the frame");
}

#[tokio::test]
async fn what_is_held_of_requests_is_bounded_and_given_back() {
    let (one, _relay) = told(Vec::new(), false).await;
    let client = Arc::clone(one.client());
    let max = client.hop().limits.request_bytes_max;
    let mut held: Vec<super::held::Held> =
        (0..5).map(|_| super::held::Held::nothing(Arc::clone(&client))).collect();
    for one in &mut held[..4] {
        assert!(one.grow_to(max).is_ok());
        assert!(one.grow_to(max).is_ok(), "what is held already is not counted twice");
    }
    let fault = held[4].grow_to(1).expect_err("too much");
    assert_eq!((fault.cause, fault.stage), (Cause::RelayLimit, Stage::BeforeSend));
    held.truncate(3);
    let mut again = super::held::Held::nothing(client);
    assert!(again.grow_to(max).is_ok(), "and given back");
}
