//! Header fields as spans over the raw head: order, case, repeats and odd bytes survive.

use crate::{N_FIELDS_MAX, Refusal};

/// Fields that the gateway itself must recognise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Anything else: passed on untouched.
    Other,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Content-Type`
    ContentType,
    /// `Expect`
    Expect,
    /// `Host`
    Host,
    /// `Keep-Alive`
    KeepAlive,
    /// `Location`
    Location,
    /// `cf-mitigated`, `x-amzn-waf-action`, `x-dd-b`, `x-sucuri-block`: an edge interfered.
    Mitigation,
    /// `Origin`
    Origin,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Retry-After`
    RetryAfter,
    /// `Sec-Fetch-Site`
    SecFetchSite,
    /// `TE`
    Te,
    /// `traceparent`
    Traceparent,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `Byway-Hops`: the marker on hops between our own instances.
    BywayHops,
    /// `X-Byway-Run`: the run id of a job.
    BywayRun,
}

impl Known {
    /// Recognises a field name, whatever its case.
    pub fn of(name: &[u8]) -> Self {
        let (candidate, known): (&[u8], Self) = match name.len() {
            2 => (b"te", Self::Te),
            4 => (b"host", Self::Host),
            6 if name.first().is_some_and(|b| b | 0x20 == b'o') => (b"origin", Self::Origin),
            6 if name.get(1) == Some(&b'-') => (b"x-dd-b", Self::Mitigation),
            6 => (b"expect", Self::Expect),
            7 => (b"upgrade", Self::Upgrade),
            8 => (b"location", Self::Location),
            10 => match name.first().map(|b| b | 0x20) {
                Some(b'c') => (b"connection", Self::Connection),
                Some(b'k') => (b"keep-alive", Self::KeepAlive),
                _ => (b"byway-hops", Self::BywayHops),
            },
            11 => match name.first().map(|b| b | 0x20) {
                Some(b't') => (b"traceparent", Self::Traceparent),
                Some(b'r') => (b"retry-after", Self::RetryAfter),
                _ => (b"x-byway-run", Self::BywayRun),
            },
            12 if name.get(2) == Some(&b'-') => (b"cf-mitigated", Self::Mitigation),
            12 => (b"content-type", Self::ContentType),
            14 if name.first().is_some_and(|b| b | 0x20 == b's') => {
                (b"sec-fetch-site", Self::SecFetchSite)
            }
            14 if name.get(1) == Some(&b'-') => (b"x-sucuri-block", Self::Mitigation),
            14 => (b"content-length", Self::ContentLength),
            16 => (b"proxy-connection", Self::ProxyConnection),
            17 if name.get(1) == Some(&b'-') => (b"x-amzn-waf-action", Self::Mitigation),
            17 => (b"transfer-encoding", Self::TransferEncoding),
            18 => (b"proxy-authenticate", Self::ProxyAuthenticate),
            19 => (b"proxy-authorization", Self::ProxyAuthorization),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(candidate) { known } else { Self::Other }
    }

    /// Whether RFC 9110 §7.6.1 (or our own rule) keeps the field on this hop.
    ///
    /// `Transfer-Encoding` is not among them although it belongs to the hop: chunks are relayed
    /// as they came, so the field that announces them is still true on the next hop.
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::Upgrade
                | Self::BywayHops
                | Self::BywayRun
        )
    }
}

/// One field line: offsets into the head that it was parsed from.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpan {
    /// What it is, if the gateway must know.
    pub known: Known,
    name_len: u16,
    line_start: u32,
    line_end: u32,
    value_start: u32,
    value_end: u32,
}

impl FieldSpan {
    /// The name as it was sent.
    pub fn name<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        let start = self.line_start as usize;
        head.get(start..start + usize::from(self.name_len)).unwrap_or_default()
    }

    /// The value without the optional whitespace around it.
    pub fn value<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        head.get(self.value_start as usize..self.value_end as usize).unwrap_or_default()
    }

    /// The whole line with its CR LF, as it was sent.
    pub fn line<'h>(&self, head: &'h [u8]) -> &'h [u8] {
        head.get(self.line_start as usize..self.line_end as usize).unwrap_or_default()
    }

    /// Where the line starts and ends in the head.
    pub const fn range(&self) -> (usize, usize) {
        (self.line_start as usize, self.line_end as usize)
    }
}

/// Parses the field lines of `head` that start at `at` and appends their spans to `out`.
///
/// `head` must end with the empty line, as [`crate::scan::HeadScan`] finds it.
///
/// # Errors
/// The refusal that names the first malformed line.
pub fn parse_fields(
    head: &[u8],
    at: usize,
    n_fields_max: usize,
    out: &mut Vec<FieldSpan>,
) -> Result<(), Refusal> {
    let lines = head.get(at..).unwrap_or_default();
    // Clearing slots costs more than parsing into them: the usual head gets few.
    let mut few = [httparse::EMPTY_HEADER; N_FIELDS_USUAL];
    let mut many;
    let parsed = match parse_lines(lines, &mut few) {
        Err(Refusal::TooManyFields) => {
            many = [httparse::EMPTY_HEADER; N_FIELDS_MAX];
            parse_lines(lines, &mut many)?
        }
        parsed => parsed?,
    };
    if parsed.len() > n_fields_max {
        return Err(Refusal::TooManyFields);
    }
    let base = head.as_ptr() as usize;
    let mut line_start = at;
    for field in parsed {
        let value_start = field.value.as_ptr() as usize - base;
        let value_end = value_start + field.value.len();
        // httparse trims the value, so the line ends at the next LF; the bytes between are OWS.
        let rest = head.get(value_end..).unwrap_or_default();
        let to_lf = memchr::memchr(b'\n', rest).ok_or(Refusal::BareCr)?;
        let line_end = value_end + to_lf + 1;
        if to_lf == 0 || rest.get(to_lf - 1) != Some(&b'\r') {
            return Err(Refusal::BareLf);
        }
        out.push(FieldSpan {
            known: Known::of(field.name.as_bytes()),
            name_len: u16::try_from(field.name.len()).map_err(|_| Refusal::HeadTooLarge)?,
            line_start: offset(line_start)?,
            line_end: offset(line_end)?,
            value_start: offset(value_start)?,
            value_end: offset(value_end)?,
        });
        line_start = line_end;
    }
    Ok(())
}

/// Most heads have fewer fields.
const N_FIELDS_USUAL: usize = 24;

fn parse_lines<'l, 's>(
    lines: &'l [u8],
    slots: &'s mut [httparse::Header<'l>],
) -> Result<&'s [httparse::Header<'l>], Refusal> {
    match httparse::parse_headers(lines, slots) {
        Ok(httparse::Status::Complete((used, fields))) if used == lines.len() => Ok(fields),
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooManyFields),
        Ok(_) | Err(_) => Err(name_the_fault(lines)),
    }
}

fn offset(at: usize) -> Result<u32, Refusal> {
    u32::try_from(at).map_err(|_| Refusal::HeadTooLarge)
}

/// Finds which rule the first bad line breaks; called only once a parse has failed.
fn name_the_fault(lines: &[u8]) -> Refusal {
    for line in lines.split_inclusive(|&b| b == b'\n') {
        let Some(line) = line.strip_suffix(b"\r\n") else { return Refusal::BareLf };
        if line.is_empty() {
            break;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Refusal::ObsFold;
        }
        let Some(colon) = memchr::memchr(b':', line) else { return Refusal::FieldName };
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|&b| is_token_byte(b)) {
            let trimmed = name.trim_ascii_end();
            let only_space = trimmed.len() < name.len()
                && !trimmed.is_empty()
                && trimmed.iter().all(|&b| is_token_byte(b));
            return if only_space { Refusal::SpaceBeforeColon } else { Refusal::FieldName };
        }
        if value.contains(&b'\r') {
            return Refusal::BareCr;
        }
        if value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
            return Refusal::FieldValue;
        }
    }
    Refusal::FieldValue
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The elements of a comma-separated list (RFC 9110 §5.6.1), empty ones left out.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}
