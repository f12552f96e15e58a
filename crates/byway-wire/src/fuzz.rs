//! Entry points for the fuzzers; each panics if an invariant is broken.
//!
//! They are ordinary functions so that the corpus is replayed on stable Rust by plain tests.

use crate::body::Body;
use crate::chunked::{Chunked, Piece};
use crate::relay::call::{Call, Parts, envelope};
use crate::relay::frames::{self, Frame, Frames};
use crate::request::{Limits, RequestHead};
use crate::response::ResponseHead;
use crate::scan::HeadScan;

/// A head is found at the same place, or refused for the same reason, however it is cut.
pub fn scan(data: &[u8]) {
    let whole = HeadScan::default().feed(data, 4096);
    let mut scan = HeadScan::default();
    let mut in_pieces = Ok(None);
    for end in 0..=data.len() {
        in_pieces = scan.feed(data.get(..end).unwrap_or_default(), 4096);
        if !matches!(in_pieces, Ok(None)) {
            break;
        }
    }
    assert_eq!(whole, in_pieces, "cutting the head changed what it means");
}

/// A request head that is accepted consists of exactly the bytes of its parts.
pub fn request(data: &[u8]) {
    let Ok(Some(end)) = HeadScan::default().feed(data, 65_536) else { return };
    let raw = data.get(..end).unwrap_or_default();
    let mut spans = Vec::new();
    let Ok(head) = RequestHead::parse(raw, &Limits::default(), &mut spans) else { return };
    let mut rebuilt = head.method.to_vec();
    rebuilt.push(b' ');
    rebuilt.extend_from_slice(head.target_raw);
    rebuilt.extend_from_slice(match head.shape.version {
        crate::Version::Http10 => b" HTTP/1.0\r\n",
        crate::Version::Http11 => b" HTTP/1.1\r\n",
    });
    for span in head.fields {
        rebuilt.extend_from_slice(span.line(raw));
        assert!(span.line(raw).ends_with(b"\r\n"), "a line ends in CR LF");
        assert!(!span.value(raw).contains(&b'\r'), "no CR inside a value");
        assert!(!span.name(raw).is_empty(), "a field has a name");
    }
    rebuilt.extend_from_slice(b"\r\n");
    assert_eq!(rebuilt, raw, "the parts of a head are the head");
}

/// An answer head that is accepted consists of exactly the bytes of its parts.
pub fn response(data: &[u8]) {
    let Ok(Some(end)) = HeadScan::default().feed(data, 65_536) else { return };
    let raw = data.get(..end).unwrap_or_default();
    let (mut spans, mut request_spans) = (Vec::new(), Vec::new());
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let Ok(request) = RequestHead::parse(get, &Limits::default(), &mut request_spans) else {
        return;
    };
    let Ok(head) = ResponseHead::parse(raw, &request.shape, 128, &mut spans) else { return };
    let mut rebuilt = raw.get(..9).unwrap_or_default().to_vec();
    rebuilt.extend_from_slice(head.status_and_reason);
    rebuilt.extend_from_slice(b"\r\n");
    for span in head.fields {
        rebuilt.extend_from_slice(span.line(raw));
    }
    rebuilt.extend_from_slice(b"\r\n");
    assert_eq!(rebuilt, raw, "the parts of a head are the head");
    assert!((100..=999).contains(&head.shape.status), "a status has three digits");
}

/// A chunked body means the same however it is cut, and what is data survives re-encoding.
pub fn chunks(data: &[u8]) {
    let mut whole = Chunked::default();
    let used = whole.advance(data);
    let mut cut = Chunked::default();
    let mut used_cut = Ok(0);
    for byte in data.chunks(1) {
        match cut.advance(byte) {
            Ok(n) => used_cut = used_cut.map(|used| used + n),
            Err(refusal) => used_cut = Err(refusal),
        }
        if used_cut.is_err() || cut.is_done() {
            break;
        }
    }
    assert_eq!(used, used_cut, "cutting a body changed what it means");
    let Ok(used) = used else { return };
    assert!(used <= data.len(), "no more is used than was given");
    if !whole.is_done() {
        return;
    }
    let content = decode(data);
    let again =
        [format!("{:x}\r\n", content.len()).as_bytes(), &content, b"\r\n0\r\n\r\n"].concat();
    let again = if content.is_empty() { b"0\r\n\r\n".to_vec() } else { again };
    assert_eq!(decode(&again), content, "content survives re-encoding");
}

/// A whole exchange on one connection: heads and bodies partition the bytes, nothing is read twice.
pub fn round_trip(data: &[u8]) {
    let mut rest = data;
    let mut spans = Vec::new();
    for _ in 0..64 {
        let Ok(Some(end)) = HeadScan::default().feed(rest, 65_536) else { return };
        let (raw, after) = rest.split_at(end);
        let Ok(head) = RequestHead::parse(raw, &Limits::default(), &mut spans) else { return };
        let mut body = Body::from(head.shape.framing);
        let Ok(used) = body.advance(after) else { return };
        assert_eq!(body.is_done(), body.end().is_ok(), "a request body never ends by closing");
        if !body.is_done() {
            assert_eq!(used, after.len(), "an unfinished body takes all there is");
            return;
        }
        rest = after.get(used..).unwrap_or_default();
    }
}

/// A relayed call that is accepted consists of exactly the bytes of its parts, and the head that is
/// built of it has no line of its own making.
pub fn relay_call(data: &[u8]) {
    if let Ok(parts) = Parts::split(data) {
        let mut again = envelope(parts.kind, parts.meta, parts.signature);
        again.extend_from_slice(parts.body);
        assert_eq!(again, data, "the parts of a request are the request");
    }
    let meta = Parts::split(data).map_or(data, |parts| parts.meta);
    let Ok(call) = Call::decode(meta) else { return };
    assert_eq!(call.encode(), meta, "the parts of a call are the call");
    let head = call.head();
    let n_lines = head.split(|&b| b == b'\n').count();
    assert_eq!(n_lines, call.fields.len() + 3, "one line a field, and no more");
    assert_eq!(HeadScan::default().feed(&head, head.len()), Ok(Some(head.len())), "one head");
}

/// A relay's answer means the same however it is cut, and survives being written again.
pub fn relay_answer(data: &[u8]) {
    let whole = all_frames(data, data.len().max(1));
    let cut = all_frames(data, 1);
    assert_eq!(whole, cut, "cutting an answer changed what it means");
    let (again, _) = whole;
    assert_eq!(all_frames(&again, again.len().max(1)).0, again, "it survives being written again");
}

/// Everything up to the first fault, written again with the data of one body in as few frames as
/// it came; and whether it was over or faulty.
fn all_frames(data: &[u8], step: usize) -> (Vec<u8>, Result<bool, crate::relay::Malformed>) {
    let (mut read, mut at, mut end) = (Frames::default(), 0, 0);
    let mut out = frames::intro().to_vec();
    let mut body = Vec::new();
    let flush = |out: &mut Vec<u8>, body: &mut Vec<u8>| {
        for piece in body.chunks(frames::DATA_BYTES) {
            frames::put(out, &Frame::Data(piece));
        }
        body.clear();
    };
    let result = loop {
        match read.next(data.get(at..end).unwrap_or_default()) {
            Err(malformed) => break Err(malformed),
            Ok(Some((Frame::Data(piece), n))) => {
                body.extend_from_slice(piece);
                at += n;
            }
            Ok(Some((frame, n))) => {
                flush(&mut out, &mut body);
                frames::put(&mut out, &frame);
                at += n;
            }
            Ok(None) if end == data.len() => break Ok(read.is_over()),
            Ok(None) => end = data.len().min(end + step),
        }
    };
    flush(&mut out, &mut body);
    (out, result)
}

fn decode(data: &[u8]) -> Vec<u8> {
    let (mut chunked, mut at, mut content) = (Chunked::default(), 0, Vec::new());
    while let Ok(Some(piece)) = chunked.next(data.get(at..).unwrap_or_default()) {
        match piece {
            Piece::Data(n) => {
                content.extend_from_slice(data.get(at..at + n).unwrap_or_default());
                at += n;
            }
            Piece::Framing(n) => at += n,
            Piece::End(_) => break,
        }
    }
    content
}
