//! The first bytes of a body, as its author wrote them: without chunks and without content coding.
//!
//! Everything is bounded: what comes in is at most 16 KiB, what comes out as well, so that a bomb
//! costs as much as a page. What is cut off or malformed gives what came before it.

use std::io::Read;

use byway_wire::chunked::{Chunked, Piece};

use crate::witness::LOOK_BYTES_MAX;

/// More codings on top of each other are nobody's page.
const N_CODINGS_MAX: usize = 2;

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
            "br" => take(brotli_decompressor::Decompressor::new(bytes.as_slice(), 4096)),
            "zstd" => match ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()) {
                Ok(decoder) => take(decoder),
                Err(_) => Vec::new(),
            },
            _ => return bytes,
        };
    }
    bytes.truncate(LOOK_BYTES_MAX);
    bytes
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
