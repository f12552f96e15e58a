//! The end of a body is found at every split.

use super::*;

#[test]
fn a_length_ends_where_it_says() {
    let mut framing = Framing::Length(3);
    assert_eq!(framing.take(b"ab"), 2);
    assert!(!framing.is_done());
    assert_eq!(framing.take(b"cd"), 1);
    assert!(framing.is_done());
}

#[test]
fn chunks_end_after_the_trailer_at_every_split() {
    let body = b"5;x=a\r\nhello\r\n0a\r\n0123456789\r\n0\r\nA: b\r\n\r\n";
    let next = b"HTTP/1.1";
    let all = [body.as_slice(), next].concat();
    for split in 0..=all.len() {
        let mut framing = Framing::Chunked(Chunk::START);
        let mut n = framing.take(&all[..split]);
        if !framing.is_done() {
            assert_eq!(n, split);
            n += framing.take(&all[split..]);
        }
        assert_eq!(n, body.len(), "split at {split}");
        assert!(framing.is_done());
    }
}
