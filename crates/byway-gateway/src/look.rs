//! The first bytes of a body, as its author wrote them: without chunks and without content coding.
//!
//! Everything is bounded: what comes in is at most 16 KiB, what comes out as well, so that a bomb
//! costs as much as a page. What is cut off or malformed gives what came before it.

use std::io::Read;

use byway_wire::chunked::{Chunked, Piece};

use crate::witness::LOOK_BYTES_MAX;

/// More codings on top of each other are nobody's page.
const N_CODINGS_MAX: usize = 2;

/// Larger windows are not allowed in HTTP (RFC 9659 §3).
const ZSTD_WINDOW_MAX: u64 = 8 << 20;

/// Removes chunk framing and content coding from the first bytes of a body.
pub(crate) fn decode(coding: Option<&[u8]>, is_chunked: bool, raw: &[u8]) -> Vec<u8> {
    let mut bytes = if is_chunked { unchunk(raw) } else { raw.to_vec() };
    let codings = coding.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase());
    let codings = codings.unwrap_or_default();
    let codings: Vec<&str> = codings.split(',').map(str::trim).filter(|c| !c.is_empty()).collect();
    // The last one was applied last (RFC 9110 §8.4).
    for coding in codings.iter().rev().take(N_CODINGS_MAX) {
        bytes = match *coding {
            "gzip" | "x-gzip" => take(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
            "deflate" => inflate(&bytes),
            // Windows of up to 1 GiB, which are no part of `br` (RFC 7932 §9.1).
            "br" if bytes.first().is_some_and(|first| first & 0x7f == 0x11) => Vec::new(),
            "br" => take(brotli_decompressor::Decompressor::new(bytes.as_slice(), 4096)),
            "zstd" => unzstd(&bytes),
            _ => return bytes,
        };
    }
    bytes.truncate(LOOK_BYTES_MAX);
    bytes
}

/// Nothing comes out before a window is full or the frame ends, so the window is what it costs.
fn unzstd(bytes: &[u8]) -> Vec<u8> {
    if zstd_window(bytes).is_none_or(|window| window > ZSTD_WINDOW_MAX) {
        return Vec::new();
    }
    ruzstd::decoding::StreamingDecoder::new(bytes).map(take).unwrap_or_default()
}

/// The window of a frame; its content's length if that is one segment (RFC 8878 §3.1.1.1).
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *frame.get(5)?;
        let base = 1_u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let at = 5 + [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let size = frame.get(at..at + (1 << (descriptor >> 6)))?;
    Some(size.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// `deflate` means the zlib format; some servers send it bare.
fn inflate(bytes: &[u8]) -> Vec<u8> {
    let zlib = take(flate2::read::ZlibDecoder::new(bytes));
    if zlib.is_empty() { take(flate2::read::DeflateDecoder::new(bytes)) } else { zlib }
}

/// What can be read before the first error, within the limit.
fn take(mut decoder: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    let mut piece = [0; 2048];
    while out.len() < LOOK_BYTES_MAX {
        match decoder.read(&mut piece) {
            Ok(n) if n > 0 => out.extend_from_slice(piece.get(..n).unwrap_or_default()),
            Ok(_) | Err(_) => break,
        }
    }
    out
}

/// Removes chunk framing.
pub(crate) fn unchunk(raw: &[u8]) -> Vec<u8> {
    let mut chunked = Chunked::default();
    let (mut out, mut used) = (Vec::new(), 0);
    while let Ok(Some(piece)) = chunked.next(raw.get(used..).unwrap_or_default()) {
        let (Piece::Data(n) | Piece::Framing(n) | Piece::End(n)) = piece;
        if let Piece::Data(_) = piece {
            out.extend_from_slice(raw.get(used..used + n).unwrap_or_default());
        }
        used += n;
        if matches!(piece, Piece::End(_)) {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests;
