//! Answer heads.

use crate::body::Framing;
use crate::field::{self, FieldSpan, Known};
use crate::request::{RequestShape, Seen};
use crate::{Refusal, Version};

/// What an answer head says about the connection and the body.
#[derive(Debug, Clone, Copy)]
pub struct ResponseShape {
    /// The provider's version.
    pub version: Version,
    /// The status code, 100 to 999.
    pub status: u16,
    /// How the body is framed, given the request.
    pub framing: Framing,
    /// Whether the provider will go on using the connection.
    pub keep_alive: bool,
    /// Whether `Connection` names a field of the message, which then stays on this hop.
    pub names_fields: bool,
    /// Whether it is a 101 that the request asked for.
    pub switches: bool,
}

/// An answer head, borrowed from the bytes that it was read from.
#[derive(Debug)]
pub struct ResponseHead<'b> {
    /// The head as it was sent, with its empty line.
    pub raw: &'b [u8],
    /// What follows `HTTP/1.x ` on the status line, without CR LF: the code and the reason.
    pub status_and_reason: &'b [u8],
    /// What it means for connection and body.
    pub shape: ResponseShape,
    /// The fields, in order.
    pub fields: &'b [FieldSpan],
}

impl<'b> ResponseHead<'b> {
    /// Parses a head whose end is known, as the answer to `request`; `spans` is scratch space.
    ///
    /// # Errors
    /// The refusal that names what is wrong; the connection cannot be used further.
    pub fn parse(
        raw: &'b [u8],
        request: &RequestShape,
        n_fields_max: usize,
        spans: &'b mut Vec<FieldSpan>,
    ) -> Result<Self, Refusal> {
        let (version, status, status_and_reason, at) = status_line(raw)?;
        spans.clear();
        field::parse_fields(raw, at, n_fields_max, spans)?;
        let fields: &'b [FieldSpan] = spans;
        let mut seen = Seen::default();
        for span in fields {
            seen.take_answer(span, raw)?;
        }
        let switches = status == 101 && request.upgrade && seen.upgrade && seen.option_upgrade;
        if status == 101 && !switches {
            return Err(Refusal::StatusLine);
        }
        let framing = match status {
            100..=199 | 204 | 304 => Framing::Empty,
            200..=299 if request.is_connect => Framing::Empty,
            _ if request.is_head => {
                // Both lengths are as ambiguous here as anywhere: a cache would store them.
                seen.framing(version).map(|_| Framing::Empty)?
            }
            _ if !seen.has_framing() => Framing::UntilClose,
            _ => seen.framing(version)?,
        };
        let keep_alive = seen.keep_alive(version) && framing != Framing::UntilClose;
        let names_fields = seen.names_fields;
        let shape = ResponseShape { version, status, framing, keep_alive, names_fields, switches };
        Ok(Self { raw, status_and_reason, shape, fields })
    }

    /// The first field of a kind.
    pub fn field(&self, known: Known) -> Option<&'b FieldSpan> {
        self.fields.iter().find(|span| span.known == known)
    }
}

impl<'b> Seen<'b> {
    /// As [`Seen::take`], but a provider's stray `Host` means nothing.
    fn take_answer(&mut self, span: &FieldSpan, raw: &'b [u8]) -> Result<(), Refusal> {
        if span.known == Known::Host { Ok(()) } else { self.take(span, raw) }
    }
}

/// `HTTP/1.x SP 3DIGIT [SP reason] CRLF`; the last value is where the fields start.
///
/// RFC 9112 §4 wants the second space even before an empty reason; servers that leave it out are
/// common and nothing is ambiguous about them.
fn status_line(raw: &[u8]) -> Result<(Version, u16, &[u8], usize), Refusal> {
    let lf = memchr::memchr(b'\n', raw).ok_or(Refusal::StatusLine)?;
    let line = raw.get(..lf).and_then(|l| l.strip_suffix(b"\r")).ok_or(Refusal::BareLf)?;
    let (version, rest) = match line.split_at_checked(9) {
        Some((b"HTTP/1.1 ", rest)) => (Version::Http11, rest),
        Some((b"HTTP/1.0 ", rest)) => (Version::Http10, rest),
        Some((start, _)) if start.starts_with(b"HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::StatusLine),
    };
    let &[a, b, c, ref reason @ ..] = rest else { return Err(Refusal::StatusLine) };
    if ![a, b, c].iter().all(u8::is_ascii_digit) || a == b'0' {
        return Err(Refusal::StatusLine);
    }
    if !matches!(reason, [] | [b' ', ..])
        || reason.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f)
    {
        return Err(Refusal::StatusLine);
    }
    let digit = |d: u8| u16::from(d - b'0');
    Ok((version, digit(a) * 100 + digit(b) * 10 + digit(c), rest, lf + 1))
}
