//! Codings, cut off in the middle, and bombs.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::decode;
use crate::witness::LOOK_BYTES_MAX;

const PAGE: &[u8] =
    b"<html><title>Access Denied</title>Reference #18.2f3a1402.1700000000.1a2b</html>";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut &*bytes, &mut out, &parameters).unwrap();
    out
}

#[test]
fn every_coding_is_removed() {
    for (coding, bytes) in [
        ("gzip", gzip(PAGE)),
        ("X-Gzip", gzip(PAGE)),
        ("deflate", zlib(PAGE)),
        ("deflate", bare(PAGE)),
        ("br", brotli(PAGE)),
        ("zstd", zstd(PAGE)),
        ("gzip, br", brotli(&gzip(PAGE))),
        ("identity", PAGE.to_vec()),
    ] {
        assert_eq!(decode(Some(coding.as_bytes()), false, &bytes), PAGE, "{coding}");
    }
}

#[test]
fn chunks_are_removed_even_if_the_last_is_missing() {
    let mut chunked = format!("{:x}\r\n", 20).into_bytes();
    chunked.extend_from_slice(&PAGE[..20]);
    chunked.extend_from_slice(b"\r\n40\r\n");
    chunked.extend_from_slice(&PAGE[20..50]);
    assert_eq!(decode(None, true, &chunked), &PAGE[..50]);
}

#[test]
fn what_is_cut_off_gives_what_came_before() {
    let text: Vec<u8> =
        (0..20_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for bytes in [gzip(&text), zlib(&text), brotli(&text), bare(&text)] {
        let half = &bytes[..LOOK_BYTES_MAX.min(bytes.len())];
        let coding = match bytes {
            _ if bytes.starts_with(&[0x1f, 0x8b]) => "gzip",
            _ if bytes == brotli(&text) => "br",
            _ => "deflate",
        };
        let got = decode(Some(coding.as_bytes()), false, half);
        assert!(got.len() > 4096 && text.starts_with(&got), "{coding}: {} bytes", got.len());
    }
}

#[test]
fn a_bomb_costs_as_much_as_a_page() {
    let zeros = vec![0; 64 << 20];
    let bomb = gzip(&gzip(&zeros));
    assert!(bomb.len() < 4096, "{}", bomb.len());
    assert!(decode(Some(b"gzip, gzip"), false, &bomb).len() <= LOOK_BYTES_MAX);
    assert!(decode(Some(b"br"), false, &brotli(&zeros)).len() <= LOOK_BYTES_MAX);
    // Four layers are left alone after two.
    assert!(decode(Some(b"gzip, gzip, gzip, gzip"), false, &bomb).len() <= LOOK_BYTES_MAX);
}

#[test]
fn rubbish_gives_nothing_and_never_fails() {
    let mut rubbish: Vec<u8> = (0..4096_u32).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, zstd", ",,,", "\u{fffd}"] {
        for is_chunked in [false, true] {
            decode(Some(coding.as_bytes()), is_chunked, &rubbish);
        }
        rubbish.rotate_left(7);
    }
}

#[test]
fn a_zstd_window_that_http_does_not_allow_is_not_filled() {
    // One window of 2^n bytes, and blocks of four bytes that each stand for 128 KiB.
    let bomb = |log: u8| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3];
        for _ in 0..4000 {
            frame.extend_from_slice(&[0x02, 0x00, 0x10, b'A']);
        }
        frame
    };
    assert_eq!(decode(Some(b"zstd"), false, &bomb(20)).len(), LOOK_BYTES_MAX);
    assert!(decode(Some(b"zstd"), false, &bomb(26)).is_empty());
    for head in [&[0x28, 0xb5, 0x2f, 0xfd][..], &[0x28, 0xb5, 0x2f, 0xfd, 0xe3, 1, 2, 3, 4, 5]] {
        assert!(decode(Some(b"zstd"), false, head).is_empty());
    }
}

#[test]
fn a_brotli_window_that_http_does_not_allow_is_not_opened() {
    let mut out = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams {
        large_window: true,
        lgwin: 30,
        ..brotli::enc::BrotliEncoderParams::default()
    };
    brotli::BrotliCompress(&mut &*PAGE, &mut out, &parameters).unwrap();
    assert!(decode(Some(b"br"), false, &out).is_empty());
}
