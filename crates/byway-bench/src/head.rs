//! Heads, parsed with `httparse` and written anew without their hop-by-hop headers.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use crate::body::{Chunk, Framing};

const MAX_HEADERS: usize = 64;

/// A head that was found at the start of a buffer and appended, rewritten, to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the input that the head took.
    pub len: usize,
    pub framing: Framing,
    pub keep_alive: bool,
    /// A request with the method HEAD: its response has no body.
    pub is_head: bool,
}

/// What the headers said; collected in one pass.
struct Seen {
    length: Option<u64>,
    chunked: bool,
    close: bool,
}

/// Rewrites a request head. `None`: it has not arrived completely.
pub fn request(bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let Status::Complete(len) = parsed.parse_with_uninit_headers(bytes, &mut headers)? else {
        return Ok(None);
    };
    let method = parsed.method.unwrap_or_default();
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(parsed.path.unwrap_or_default().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let seen = copy_headers(parsed.headers, out)?;
    let framing = match seen {
        Seen { chunked: true, .. } => Framing::Chunked(Chunk::START),
        Seen { length, .. } => Framing::Length(length.unwrap_or(0)),
    };
    let keep_alive = !seen.close && parsed.version == Some(1);
    Ok(Some(Head { len, framing, keep_alive, is_head: method == "HEAD" }))
}

/// Rewrites a response head. `None`: it has not arrived completely.
pub fn response(
    bytes: &[u8],
    to_head: bool,
    out: &mut Vec<u8>,
) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let Status::Complete(len) =
        config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers)?
    else {
        return Ok(None);
    };
    let status_line = bytes.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    out.extend_from_slice(status_line);
    let seen = copy_headers(parsed.headers, out)?;
    let without_body = to_head || matches!(parsed.code, Some(100..=199 | 204 | 304));
    let framing = match seen {
        _ if without_body => Framing::EMPTY,
        Seen { chunked: true, .. } => Framing::Chunked(Chunk::START),
        Seen { length: Some(length), .. } => Framing::Length(length),
        Seen { .. } => Framing::Close,
    };
    let keep_alive = !seen.close && parsed.version == Some(1) && framing != Framing::Close;
    Ok(Some(Head { len, framing, keep_alive, is_head: false }))
}

/// Appends the end-to-end headers and the empty line.
fn copy_headers(headers: &[Header<'_>], out: &mut Vec<u8>) -> Result<Seen, httparse::Error> {
    let mut seen = Seen { length: None, chunked: false, close: false };
    for header in headers {
        let name = header.name;
        // The length of the name rules out nearly every header before a comparison.
        match name.len() {
            2 if name.eq_ignore_ascii_case("te") => continue,
            7 if name.eq_ignore_ascii_case("upgrade") => continue,
            10 if name.eq_ignore_ascii_case("connection") => {
                seen.close |= header.value.eq_ignore_ascii_case(b"close");
                continue;
            }
            10 if name.eq_ignore_ascii_case("keep-alive") => continue,
            16 if name.eq_ignore_ascii_case("proxy-connection") => continue,
            19 if name.eq_ignore_ascii_case("proxy-authorization") => continue,
            14 if name.eq_ignore_ascii_case("content-length") => {
                let text = std::str::from_utf8(header.value).ok();
                let length = text.and_then(|text| text.parse().ok());
                seen.length = Some(length.ok_or(httparse::Error::HeaderValue)?);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                seen.chunked = header.value.eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(header.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(seen)
}

#[cfg(test)]
mod tests;
