//! Replays the fuzz corpus and bounded random inputs on stable Rust.

#![cfg(test)]

use std::path::PathBuf;

use byway_wire::fuzz;
use proptest::prelude::*;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut n = 0;
    let files =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for file in files {
        let input = std::fs::read(file.expect("a file").path()).expect("readable");
        run(&input);
        n += 1;
    }
    assert!(n > 0, "the corpus of {target} is empty");
}

#[test]
fn the_corpus_is_replayed() {
    replay("scan", fuzz::scan);
    replay("request", fuzz::request);
    replay("response", fuzz::response);
    replay("chunks", fuzz::chunks);
    replay("round_trip", fuzz::round_trip);
    replay("relay_call", fuzz::relay_call);
    replay("relay_answer", fuzz::relay_answer);
}

/// Bytes that are likely to mean something.
fn http_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"3\r\nabc\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"X: y\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b": ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn nothing_breaks_an_invariant(input in http_like()) {
        fuzz::scan(&input);
        fuzz::request(&input);
        fuzz::response(&input);
        fuzz::chunks(&input);
        fuzz::round_trip(&input);
    }
}
