//! Request heads: the request line by ourselves, the fields through `httparse`.

use crate::body::Framing;
use crate::field::{self, FieldSpan, Known};
use crate::target::{Authority, Target};
use crate::{N_FIELDS_MAX, Refusal, Version};

/// What a request head may measure.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The whole head with its empty line, in bytes.
    pub head_bytes_max: usize,
    /// The request target, in bytes.
    pub target_bytes_max: usize,
    /// The number of field lines; at most [`N_FIELDS_MAX`].
    pub n_fields_max: usize,
}

impl Limits {
    /// For a head of our own or one whose bytes are bounded already: only fields are counted.
    pub const FIELDS_ONLY: Self = Self {
        head_bytes_max: usize::MAX,
        target_bytes_max: usize::MAX,
        n_fields_max: N_FIELDS_MAX,
    };
}

impl Default for Limits {
    /// 64 KiB of head (nginx: 4 × 8 KiB, HAProxy: 16 KiB), 32 KiB of target, 128 fields.
    fn default() -> Self {
        Self { head_bytes_max: 65_536, target_bytes_max: 32_768, n_fields_max: N_FIELDS_MAX }
    }
}

/// What the fields of a head say about the connection and the body.
///
/// Kept apart from the bytes so that it can outlive the read buffer.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent thing a head can say")]
pub struct RequestShape {
    /// The version of the client.
    pub version: Version,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client wants to go on using the connection.
    pub keep_alive: bool,
    /// Whether it asks to switch protocols (and announces no body, and does not mean `h2c`).
    pub upgrade: bool,
    /// Whether it waits for a 100 before it sends the body.
    pub expects_continue: bool,
    /// Whether it accepts trailers (`TE: trailers`, named by `Connection`).
    pub te_trailers: bool,
    /// Whether `Connection` names a field of the message, which then stays on this hop.
    pub names_fields: bool,
    /// Whether the method is HEAD: answers to it have no body.
    pub is_head: bool,
    /// Whether the method is CONNECT.
    pub is_connect: bool,
    /// Whether repeating the request is harmless (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// Whether it only reads (RFC 9110 §9.2.1).
    pub is_safe: bool,
}

/// A request head, borrowed from the bytes that it was read from.
#[derive(Debug)]
pub struct RequestHead<'b> {
    /// The head as it was sent, with its empty line.
    pub raw: &'b [u8],
    /// The method.
    pub method: &'b [u8],
    /// The target, byte for byte.
    pub target_raw: &'b [u8],
    /// The target, understood.
    pub target: Target<'b>,
    /// `Host`, checked; `None` only for HTTP/1.0.
    pub host: Option<Authority<'b>>,
    /// What it means for connection and body.
    pub shape: RequestShape,
    /// The fields, in order.
    pub fields: &'b [FieldSpan],
}

impl<'b> RequestHead<'b> {
    /// Parses a head whose end is known; `spans` is scratch space, cleared first.
    ///
    /// # Errors
    /// The refusal that names what is wrong; the connection cannot be used further.
    pub fn parse(
        raw: &'b [u8],
        limits: &Limits,
        spans: &'b mut Vec<FieldSpan>,
    ) -> Result<Self, Refusal> {
        let RequestLine { method, target: target_raw, version, fields_at } = request_line(raw)?;
        if target_raw.len() > limits.target_bytes_max {
            return Err(Refusal::TargetTooLong);
        }
        let is_connect = method == b"CONNECT";
        let target = Target::parse(target_raw, is_connect)?;
        if matches!(target, Target::Asterisk) && method != b"OPTIONS" {
            return Err(Refusal::TargetForm);
        }
        spans.clear();
        field::parse_fields(raw, fields_at, limits.n_fields_max, spans)?;
        let fields: &'b [FieldSpan] = spans;
        let mut seen = Seen::default();
        for span in fields {
            seen.take(span, raw)?;
        }
        if seen.host.is_none() && version == Version::Http11 {
            return Err(Refusal::HostMissing);
        }
        let host = seen.host.filter(|host| !host.is_empty());
        let host = host.map(Authority::parse).transpose().map_err(|_| Refusal::HostSyntax)?;
        let framing = seen.framing(version)?;
        if is_connect && !matches!(framing, Framing::Empty | Framing::Length(0)) {
            return Err(Refusal::ConnectBody);
        }
        let is_safe = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
        let shape = RequestShape {
            version,
            framing,
            keep_alive: seen.keep_alive(version),
            upgrade: seen.upgrade
                && seen.option_upgrade
                && version == Version::Http11
                && framing == Framing::Empty,
            expects_continue: seen.expects_continue && version == Version::Http11,
            te_trailers: seen.te_trailers && seen.option_te,
            names_fields: seen.names_fields,
            is_head: method == b"HEAD",
            is_connect,
            is_safe,
            is_idempotent: is_safe || matches!(method, b"PUT" | b"DELETE"),
        };
        Ok(Self { raw, method, target_raw, target, host, shape, fields })
    }

    /// The first field of a kind.
    pub fn field(&self, known: Known) -> Option<&'b FieldSpan> {
        self.fields.iter().find(|span| span.known == known)
    }
}

/// A request line; `fields_at` is where the fields start.
struct RequestLine<'b> {
    method: &'b [u8],
    target: &'b [u8],
    version: Version,
    fields_at: usize,
}

/// Reads `method SP target SP HTTP/1.x CRLF`.
fn request_line(raw: &[u8]) -> Result<RequestLine<'_>, Refusal> {
    let lf = memchr::memchr(b'\n', raw).ok_or(Refusal::RequestLine)?;
    let line = raw.get(..lf).and_then(|l| l.strip_suffix(b"\r")).ok_or(Refusal::BareLf)?;
    let method_end = memchr::memchr(b' ', line).ok_or(Refusal::RequestLine)?;
    let (method, rest) = line.split_at(method_end);
    let rest = rest.get(1..).unwrap_or_default();
    let target_end = memchr::memrchr(b' ', rest).ok_or(Refusal::RequestLine)?;
    let (target, version) = rest.split_at(target_end);
    if method.is_empty() || !method.iter().all(|&b| field::is_token_byte(b)) {
        return Err(Refusal::Method);
    }
    let version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        _ if version.starts_with(b" HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::RequestLine),
    };
    if target.is_empty() {
        return Err(Refusal::RequestLine);
    }
    if target.iter().any(|&b| b <= 0x20 || b == 0x7f) {
        return Err(Refusal::TargetByte);
    }
    Ok(RequestLine { method, target, version, fields_at: lf + 1 })
}

/// What has been seen of the fields that frame and address a message; requests and answers alike.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent thing a head can say")]
pub(crate) struct Seen<'b> {
    pub(crate) host: Option<&'b [u8]>,
    length: Option<u64>,
    coding: bool,
    option_close: bool,
    option_keep_alive: bool,
    pub(crate) option_upgrade: bool,
    option_te: bool,
    pub(crate) upgrade: bool,
    te_trailers: bool,
    expects_continue: bool,
    pub(crate) names_fields: bool,
}

impl<'b> Seen<'b> {
    pub(crate) fn take(&mut self, span: &FieldSpan, raw: &'b [u8]) -> Result<(), Refusal> {
        if span.known == Known::Other {
            return Ok(());
        }
        let value = span.value(raw);
        match span.known {
            Known::Host if self.host.replace(value).is_some() => return Err(Refusal::HostRepeated),
            Known::ContentLength => {
                if self.length.replace(length(value)?).is_some() {
                    return Err(Refusal::LengthRepeated);
                }
            }
            Known::TransferEncoding => {
                if std::mem::replace(&mut self.coding, true) {
                    return Err(Refusal::CodingRepeated);
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::CodingUnknown);
                }
            }
            Known::Connection => self.options(value)?,
            Known::Upgrade => {
                let mut protocols = field::list(value);
                self.upgrade = !protocols.any(|p| p.eq_ignore_ascii_case(b"h2c"));
            }
            Known::Te => {
                self.te_trailers = field::list(value).any(|t| t.eq_ignore_ascii_case(b"trailers"));
            }
            Known::Expect => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            Known::Other
            | Known::Host
            | Known::ContentType
            | Known::KeepAlive
            | Known::Location
            | Known::Mitigation
            | Known::Origin
            | Known::ProxyAuthenticate
            | Known::ProxyAuthorization
            | Known::ProxyConnection
            | Known::RetryAfter
            | Known::SecFetchSite
            | Known::Traceparent
            | Known::BywayHops
            | Known::BywayRun => {}
        }
        Ok(())
    }

    fn options(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for option in field::list(value) {
            if !option.iter().all(|&b| field::is_token_byte(b)) {
                return Err(Refusal::ConnectionOption);
            }
            match Known::of(option) {
                Known::Host | Known::ContentLength | Known::TransferEncoding => {
                    return Err(Refusal::ConnectionOption);
                }
                Known::Upgrade => self.option_upgrade = true,
                Known::Te => self.option_te = true,
                Known::KeepAlive => self.option_keep_alive = true,
                Known::Other if option.eq_ignore_ascii_case(b"close") => self.option_close = true,
                Known::Other => self.names_fields = true,
                Known::Connection
                | Known::ContentType
                | Known::Expect
                | Known::Location
                | Known::Mitigation
                | Known::Origin
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::RetryAfter
                | Known::SecFetchSite
                | Known::Traceparent
                | Known::BywayHops
                | Known::BywayRun => self.names_fields = true,
            }
        }
        Ok(())
    }

    pub(crate) fn keep_alive(&self, version: Version) -> bool {
        !self.option_close && (version == Version::Http11 || self.option_keep_alive)
    }

    /// The framing that both kinds of message share; `Empty` if neither field is present.
    pub(crate) fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (true, Some(_)) => Err(Refusal::LengthAndCoding),
            (true, None) if version == Version::Http10 => Err(Refusal::CodingInHttp10),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(n)) => Ok(Framing::Length(n)),
            (false, None) => Ok(Framing::Empty),
        }
    }

    pub(crate) fn has_framing(&self) -> bool {
        self.coding || self.length.is_some()
    }
}

/// Digits only: `+1`, `1, 1`, `0x1` and the empty value are refused.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        // A list of lengths is the repeated field in one line.
        return Err(if value.contains(&b',') {
            Refusal::LengthRepeated
        } else {
            Refusal::LengthSyntax
        });
    }
    let digits = std::str::from_utf8(value).map_err(|_| Refusal::LengthSyntax)?;
    let length: u64 = digits.parse().map_err(|_| Refusal::LengthSyntax)?;
    // As for chunks: some parsers use signed numbers.
    if i64::try_from(length).is_err() { Err(Refusal::LengthSyntax) } else { Ok(length) }
}

/// Whether a `Connection` field of the message names this field, which then stays on this hop.
///
/// Costs nothing for the usual message, whose `Connection` names no field.
pub fn named_by_connection(fields: &[FieldSpan], raw: &[u8], span: &FieldSpan) -> bool {
    fields.iter().filter(|f| f.known == Known::Connection).any(|connection| {
        field::list(connection.value(raw)).any(|o| o.eq_ignore_ascii_case(span.name(raw)))
    })
}
