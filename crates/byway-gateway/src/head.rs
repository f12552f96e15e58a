//! Heads on their way through: what leaves towards the provider, what comes back to the caller.
//!
//! Fields are copied line by line as they came; only what belongs to one hop is left out
//! (RFC 9110 §7.6.1), `Host` is put right, and nothing is added towards the provider.

use byway_wire::field::{FieldSpan, Known};
use byway_wire::request::{RequestHead, named_by_connection};
use byway_wire::response::ResponseHead;

use crate::buf::Buf;

/// The request line and `Host` as the provider is to see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outward<'a> {
    /// The first part of the target, invented only where the caller's was empty.
    pub(crate) target_start: &'a [u8],
    /// The caller's bytes after the authority or the provider's name.
    pub(crate) target_rest: &'a [u8],
    /// The value of `Host`; `None` to keep the caller's line.
    pub(crate) host: Option<&'a str>,
}

/// Appends the request head for the provider to `out`.
pub(crate) fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_>, outward: &Outward<'_>) {
    out.extend_from_slice(head.method);
    out.push(b' ');
    out.extend_from_slice(outward.target_start);
    out.extend_from_slice(outward.target_rest);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let (None, Some(host)) = (head.host, outward.host) {
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let mut run = Run::default();
    for span in head.fields {
        match (span.known, outward.host) {
            (Known::Host, Some(host)) => {
                run.flush(out, head.raw);
                out.extend_from_slice(span.name(head.raw));
                out.extend_from_slice(b": ");
                out.extend_from_slice(host.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            (Known::Connection, _) => {
                run.flush(out, head.raw);
                out.extend_from_slice(match (head.shape.upgrade, head.shape.te_trailers) {
                    (true, true) => b"Connection: Upgrade, TE\r\n",
                    (true, false) => b"Connection: Upgrade\r\n",
                    (false, true) => b"Connection: TE\r\n",
                    (false, false) => b"",
                });
            }
            (Known::Upgrade, _) if head.shape.upgrade => run.take(span, out, head.raw),
            (Known::Te, _) if head.shape.te_trailers => {
                run.flush(out, head.raw);
                out.extend_from_slice(b"TE: trailers\r\n");
            }
            (known, _) if known.is_hop_by_hop() => run.flush(out, head.raw),
            _ if head.shape.names_fields && named_by_connection(head.fields, head.raw, span) => {
                run.flush(out, head.raw);
            }
            _ => run.take(span, out, head.raw),
        }
    }
    run.flush(out, head.raw);
    out.extend_from_slice(b"\r\n");
}

/// Lines that stand next to each other and are copied at once.
#[derive(Debug, Default)]
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    fn take(&mut self, span: &FieldSpan, out: &mut Vec<u8>, raw: &[u8]) {
        let (start, end) = span.range();
        if self.end != start {
            self.flush(out, raw);
            self.start = start;
        }
        self.end = end;
    }

    fn flush(&mut self, out: &mut Vec<u8>, raw: &[u8]) {
        out.extend_from_slice(raw.get(self.start..self.end).unwrap_or_default());
        self.start = self.end;
    }
}

/// The same request for a proxy that speaks plain http for us: absolute-form, with credentials.
pub(crate) fn absolute_form(
    out: &[u8],
    authority: &str,
    credentials: Option<&[u8]>,
    hops: Option<&[u8]>,
) -> Vec<u8> {
    let mut absolute = Vec::with_capacity(out.len() + authority.len() + 64);
    let method_end = memchr::memchr(b' ', out).map_or(0, |at| at + 1);
    let line_end = memchr::memchr(b'\n', out).map_or(0, |at| at + 1);
    let target = out.get(method_end..line_end).unwrap_or_default();
    absolute.extend_from_slice(out.get(..method_end).unwrap_or_default());
    absolute.extend_from_slice(b"http://");
    absolute.extend_from_slice(authority.as_bytes());
    // RFC 9112 §3.2.4: `OPTIONS *` travels to a proxy as a URI with an empty path.
    absolute.extend_from_slice(target.strip_prefix(b"*").unwrap_or(target));
    for (name, value) in [("Proxy-Authorization", credentials), ("Byway-Hops", hops)] {
        if let Some(value) = value {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                absolute.extend_from_slice(part);
            }
        }
    }
    absolute.extend_from_slice(out.get(line_end..).unwrap_or_default());
    absolute
}

/// What has to be said to the caller that the provider did not say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inward<'a> {
    /// A `Connection` value, where the default of the version does not hold.
    pub(crate) connection: Option<&'static str>,
    /// Whether the caller may go on using its connection.
    pub(crate) keeps_open: bool,
    /// The body is passed on in chunks although it came until the connection's end.
    pub(crate) chunk: bool,
    /// The caller does not know chunks.
    pub(crate) unchunk: bool,
    /// A `Location` that leads back through the gateway.
    pub(crate) location: Option<&'a [u8]>,
}

impl Inward<'_> {
    fn is_nothing(&self) -> bool {
        self.connection.is_none() && !self.chunk && !self.unchunk && self.location.is_none()
    }
}

fn stays_here(head: &ResponseHead<'_>, span: &FieldSpan) -> bool {
    if span.known == Known::Upgrade {
        return !head.shape.switches;
    }
    span.known.is_hop_by_hop()
        || (head.shape.names_fields && named_by_connection(head.fields, head.raw, span))
}

/// More lines than this to leave out are taken out by copying.
const N_CUTS_MAX: usize = 8;

/// Lines that are left out of an answer head, noted so that the head can be changed in place.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// Start and end of each line, in order.
    lines: [(usize, usize); N_CUTS_MAX],
    n: usize,
    head_len: usize,
}

impl Cuts {
    /// What to leave out, if nothing needs to be added.
    pub(crate) fn plan(head: &ResponseHead<'_>, inward: &Inward<'_>) -> Option<Self> {
        if !inward.is_nothing() || head.shape.switches {
            return None;
        }
        let mut cuts = Self { head_len: head.raw.len(), ..Self::default() };
        for span in head.fields.iter().filter(|span| stays_here(head, span)) {
            *cuts.lines.get_mut(cuts.n)? = span.range();
            cuts.n += 1;
        }
        Some(cuts)
    }

    /// Takes the lines out of the head at the front of `buf` and returns the head's new length.
    ///
    /// Kept bytes move towards the body, so that head and body stay one piece for one write.
    pub(crate) fn apply(&self, buf: &mut Buf) -> usize {
        let bytes = buf.rest_mut();
        // A provider's HTTP/1.0 ends here: the version on a hop is that of the hop.
        if let Some(minor) = bytes.get_mut(7) {
            *minor = b'1';
        }
        let (mut to, mut end) = (self.head_len, self.head_len);
        for &(cut_start, cut_end) in self.lines.iter().take(self.n).rev() {
            let kept = end - cut_end;
            to -= kept;
            bytes.copy_within(cut_end..end, to);
            end = cut_start;
        }
        to -= end;
        if to > 0 {
            bytes.copy_within(0..end, to);
        }
        buf.advance(to);
        self.head_len - to
    }
}

/// Appends the answer head for the caller to `out`, with what has to be added.
pub(crate) fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_>, inward: &Inward<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status_and_reason);
    out.extend_from_slice(b"\r\n");
    for span in head.fields {
        match (span.known, inward.location) {
            (Known::Location, Some(location)) => {
                out.extend_from_slice(span.name(head.raw));
                out.extend_from_slice(b": ");
                out.extend_from_slice(location);
                out.extend_from_slice(b"\r\n");
            }
            (Known::TransferEncoding, _) if inward.unchunk => {}
            _ if stays_here(head, span) => {}
            _ => out.extend_from_slice(span.line(head.raw)),
        }
    }
    if head.shape.switches {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    if inward.chunk {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let Some(connection) = inward.connection {
        out.extend_from_slice(format!("Connection: {connection}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
