//! Rewritten heads keep their order and lose what belongs to one hop.

use super::*;

#[test]
fn a_request_loses_hop_by_hop_headers_only() {
    let bytes = b"POST /a%20b HTTP/1.1\r\nhOST: x\r\nConnection: close\r\nContent-Length: 4\r\n\
                  X-a: 1\r\nKeep-Alive: 5\r\n\r\nbody";
    let mut out = Vec::new();
    let head = request(bytes, &mut out).unwrap().unwrap();
    assert_eq!(head.len, bytes.len() - 4);
    assert_eq!(head.framing, Framing::Length(4));
    assert!(!head.keep_alive);
    let expected = "POST /a%20b HTTP/1.1\r\nhOST: x\r\nContent-Length: 4\r\nX-a: 1\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_part_of_a_head_is_not_a_head() {
    let mut out = Vec::new();
    assert_eq!(request(b"GET / HTTP/1.1\r\nHost", &mut out).unwrap(), None);
    assert!(out.is_empty());
}

#[test]
fn a_response_without_length_lasts_until_close() {
    let mut out = Vec::new();
    let head = response(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", false, &mut out).unwrap().unwrap();
    assert_eq!(head.framing, Framing::Close);
    let head = response(b"HTTP/1.1 304 Not Modified\r\n\r\n", false, &mut out).unwrap().unwrap();
    assert!(head.framing.is_done());
}
