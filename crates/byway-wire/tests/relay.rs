//! Relay frames: what is written is read, and what is broken is refused by name.

#![cfg(test)]

use byway_wire::body::Framing;
use byway_wire::relay::answer::{Answered, End, Failure, Pong, SeenThere};
use byway_wire::relay::call::{Call, Kind, META_BYTES_MAX, Parts, Within, envelope, signed};
use byway_wire::relay::frames::{self, FRAME_BYTES_MAX, Frame, Frames};
use byway_wire::relay::{Field, Malformed, Stack, Stage};
use byway_wire::{Version, fuzz};
use proptest::prelude::*;

fn field(name: &str, value: &[u8]) -> Field {
    Field { name: name.as_bytes().to_vec(), value: value.to_vec() }
}

fn call() -> Call {
    Call {
        relay: "lambda-1".to_owned(),
        key: "k1".to_owned(),
        created_ms: 1_764_000_000_000,
        expires_ms: 1_764_000_030_000,
        nonce: [7; 16],
        within: Within {
            connect_ms: 5000,
            tls_ms: 10_000,
            first_byte_ms: 60_000,
            idle_ms: 60_000,
            total_ms: 27_000,
        },
        answer_bytes_max: 1 << 40,
        may_stream: true,
        is_tls: true,
        host: "api.example.com".to_owned(),
        port: 443,
        pinned: None,
        version: Version::Http11,
        method: b"POST".to_vec(),
        target: b"/a%2Fb;x=1?q=\xb0\xa1&a=b+c|{}".to_vec(),
        fields: vec![
            field("HOST", b" api.example.com"),
            field("x-a", b"1"),
            field("X-A", b"  two \t"),
            field("Content-Length", b" 3"),
        ],
        trailers: Vec::new(),
        body_bytes: 3,
        body_digest: [9; 32],
    }
}

fn answered(status: u16, framing: Framing) -> Answered {
    Answered {
        status,
        version: Version::Http11,
        reason: b" OK".to_vec(),
        fields: vec![field("Set-Cookie", b" a=1"), field("Set-Cookie", b" b=2")],
        framing,
        seen: SeenThere {
            peer: Some("203.0.113.7".parse().unwrap()),
            exit: Some("2001:db8::7".parse().unwrap()),
            tls_version: 0x0304,
            certificate: Some([1; 32]),
            dns_us: 1,
            connect_us: 2,
            tls_us: 3,
            first_byte_us: 4,
            is_cold: true,
            stack: Stack::Byway,
            instance: "i-1".to_owned(),
        },
    }
}

fn end(trailers: Vec<Field>) -> End {
    End { body_bytes: 5, body_digest: [2; 32], trailers }
}

#[test]
fn a_head_arrives_as_it_was_sent() {
    let call = call();
    assert_eq!(Call::decode(&call.encode()).unwrap(), call);
    let head = b"POST /a%2Fb;x=1?q=\xb0\xa1&a=b+c|{} HTTP/1.1\r\nHOST: api.example.com\r\n\
                 x-a:1\r\nX-A:  two \t\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(call.head(), head);
}

#[test]
fn what_is_signed_is_a_slice_of_what_is_sent_behind_a_prefix() {
    let meta = call().encode();
    let sent = envelope(Kind::Call, &meta, &[3; 64]);
    let signed = signed(Kind::Call, &meta);
    assert!(sent.starts_with(&signed[b"byway relay call\0".len()..]));
    let ping = byway_wire::relay::call::signed(Kind::Ping, &meta);
    assert_ne!(signed, ping, "a ping's signature is none of a call");
}

#[test]
fn every_cut_of_a_call_is_refused_and_nothing_may_follow_its_parts() {
    let meta = call().encode();
    for n in 0..meta.len() {
        assert!(Call::decode(&meta[..n]).is_err(), "{n} bytes");
    }
    let longer = [meta.as_slice(), b"x"].concat();
    assert_eq!(Call::decode(&longer), Err(Malformed("end of the signed part")));
    let sent = envelope(Kind::Call, &meta, &[3; 64]);
    for n in 0..sent.len() {
        assert!(Parts::split(&sent[..n]).is_err(), "{n} bytes");
    }
    assert_eq!(Parts::split(&sent).unwrap().body, b"");
}

#[test]
fn what_would_become_a_line_of_its_own_is_refused() {
    type Break = fn(&mut Call);
    let broken: [(&str, Break); 9] = [
        ("fields", |c| c.fields[0].value = b" a\r\nX: y".to_vec()),
        ("fields", |c| c.fields[0].value = b" a\nb".to_vec()),
        ("fields", |c| c.fields[0].value = b"\0".to_vec()),
        ("fields", |c| c.fields[0].name = b"a b".to_vec()),
        ("fields", |c| c.fields[0].name = Vec::new()),
        ("trailers", |c| c.trailers = vec![field("a:b", b"")]),
        ("target", |c| c.target = b"/ HTTP/1.1\r\nX: y".to_vec()),
        ("method", |c| c.method = b"GET /x".to_vec()),
        ("host", |c| c.host = "caf\u{e9}".to_owned()),
    ];
    for (part, breaks) in broken {
        let mut call = call();
        breaks(&mut call);
        assert_eq!(Call::decode(&call.encode()), Err(Malformed(part)), "{call:?}");
    }
}

#[test]
fn an_unknown_version_a_wrong_magic_and_a_huge_length_are_told_apart() {
    let meta = call().encode();
    let sent = envelope(Kind::Call, &meta, &[3; 64]);
    for (at, byte, part) in [(0, b'X', "magic"), (4, 2, "version"), (5, 9, "kind")] {
        let mut broken = sent.clone();
        broken[at] = byte;
        assert_eq!(Parts::split(&broken), Err(Malformed(part)));
    }
    let mut huge = sent;
    huge[6..10].copy_from_slice(&u32::try_from(META_BYTES_MAX + 1).unwrap().to_be_bytes());
    assert_eq!(Parts::split(&huge), Err(Malformed("length")));
}

/// Everything that a sequence of frames says, read byte by byte.
fn read(bytes: &[u8]) -> Result<(Vec<String>, bool), Malformed> {
    let (mut frames, mut at, mut said) = (Frames::default(), 0, Vec::new());
    for end in 0..=bytes.len() {
        while let Some((frame, n)) = frames.next(&bytes[at..end])? {
            at += n;
            said.push(match frame {
                Frame::Head(head) => format!("head {}", head.status),
                Frame::Data(data) => format!("data {}", data.escape_ascii()),
                Frame::End(end) => format!("end {} +{}", end.body_bytes, end.trailers.len()),
                Frame::Failed(failure) => format!("{} {}", failure.stage, failure.code),
                Frame::Pong(pong) => format!("pong {}", pong.relay),
            });
        }
    }
    Ok((said, frames.is_over()))
}

fn stream(all: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = frames::intro().to_vec();
    for frame in all {
        frames::put(&mut bytes, frame);
    }
    bytes
}

fn failure(stage: Stage) -> Failure {
    let (code, detail) = ("connect_refused".to_owned(), "nobody listens".to_owned());
    Failure { stage, code, detail, now_ms: 1, peer: None }
}

#[test]
fn an_answer_is_read_in_pieces_and_ends_once() {
    let ok = Frame::Head(Box::new(answered(200, Framing::Length(5))));
    let hint = Frame::Head(Box::new(answered(103, Framing::Empty)));
    let all = [hint, ok.clone(), Frame::Data(b"hel"), Frame::Data(b"lo"), Frame::End(end(vec![]))];
    let whole = stream(&all);
    let (said, is_over) = read(&whole).unwrap();
    assert_eq!(said.concat(), "head 103head 200data hdata edata ldata ldata oend 5 +0");
    assert!(is_over);
    for n in 0..whole.len() {
        assert!(!read(&whole[..n]).unwrap().1, "cut at {n}, it is not over");
    }
    let more = [whole.as_slice(), b"\x02"].concat();
    assert_eq!(read(&more), Err(Malformed("something after the end")));
    let failed = stream(&[ok, Frame::Data(b"he"), Frame::Failed(failure(Stage::Partial))]);
    assert_eq!(read(&failed).unwrap().0.concat(), "head 200data hdata epartial connect_refused");
    let unsent = stream(&[Frame::Failed(failure(Stage::BeforeSend))]);
    assert_eq!(read(&unsent).unwrap().0.concat(), "before_send connect_refused");
}

#[test]
fn frames_out_of_order_are_refused() {
    let ok = Frame::Head(Box::new(answered(200, Framing::Chunked)));
    let hint = Frame::Head(Box::new(answered(103, Framing::Empty)));
    let (data, over) = (Frame::Data(b"x"), Frame::End(end(vec![])));
    let order = Err(Malformed("order of frames"));
    assert_eq!(read(&stream(std::slice::from_ref(&data))), order, "data before a head");
    assert_eq!(read(&stream(std::slice::from_ref(&over))), order, "an end before a head");
    assert_eq!(read(&stream(&[hint.clone(), data])), order, "data of an interim answer");
    assert_eq!(read(&stream(&[ok.clone(), ok.clone()])), order, "two answers");
    assert_eq!(read(&stream(&[ok, Frame::Data(b"")])), order, "a piece of nothing");
    assert_eq!(read(&stream(&vec![hint; 34])), order, "hints without end");
}

#[test]
fn what_is_no_relays_answer_is_known_by_its_first_byte() {
    for page in ["<html>", "{\"message\":\"Forbidden\"}", "BYWR", "BYWA\x02"] {
        assert_eq!(read(page.as_bytes()), Err(Malformed("magic")), "{page}");
    }
    assert!(!read(b"BYW").unwrap().1, "and too little is no answer either");
}

#[test]
fn a_frame_that_announces_too_much_is_refused_before_it_is_read() {
    let mut bytes = frames::intro().to_vec();
    bytes.push(1);
    bytes.extend_from_slice(&u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_be_bytes());
    assert_eq!(read(&bytes), Err(Malformed("frame length")));
}

#[test]
fn an_answers_head_is_the_providers() {
    let mut answer = answered(404, Framing::UntilClose);
    answer.reason = b" \xc3\x89tat".to_vec();
    let head = b"HTTP/1.1 404 \xc3\x89tat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n";
    assert_eq!(answer.head(), head);
    answer.reason = Vec::new();
    assert!(answer.head().starts_with(b"HTTP/1.1 404\r\n"));
    for reason in ["OK", " a\r\nb"] {
        answer.reason = reason.as_bytes().to_vec();
        let bytes = stream(&[Frame::Head(Box::new(answer.clone()))]);
        assert_eq!(read(&bytes), Err(Malformed("reason")), "{reason}");
    }
}

#[test]
fn a_relay_says_who_it_is() {
    let pong = Pong {
        version_min: 1,
        version_max: 1,
        relay: "lambda-1".to_owned(),
        instance: "i-1".to_owned(),
        software: "byway-relay 0.0.0".to_owned(),
        stack: Stack::Node,
        is_cold: false,
        exit: None,
        allow_digest: [4; 32],
        keys: "k1 k2".to_owned(),
        now_ms: 5,
        n_refused: 6,
    };
    let bytes = stream(&[Frame::Pong(pong.clone())]);
    let read = Frames::default().next(&bytes).unwrap().unwrap();
    assert_eq!(read, (Frame::Pong(pong), bytes.len()));
}

proptest! {
    /// The fuzzers' invariants hold for what is nearly right.
    #[test]
    fn near_misses_of_a_call_keep_the_invariants(at in 0_usize..400, byte: u8, drop in 0_usize..3) {
        let mut meta = call().encode();
        let n = meta.len();
        meta[at % n] = byte;
        meta.truncate(n - drop);
        fuzz::relay_call(&meta);
        fuzz::relay_call(&envelope(Kind::Call, &meta, &[0; 64]));
    }

    #[test]
    fn near_misses_of_an_answer_keep_the_invariants(at in 0_usize..600, byte: u8) {
        let ok = Frame::Head(Box::new(answered(200, Framing::Length(5))));
        let trailers = vec![field("x-sum", b" 1")];
        let mut bytes = stream(&[ok, Frame::Data(b"hello"), Frame::End(end(trailers))]);
        let n = bytes.len();
        bytes[at % n] = byte;
        fuzz::relay_answer(&bytes);
    }
}
