//! Origins and `host:port`, written by people.

use std::ops::Range;

use byway_core::destination::{HostKind, host_kind};
use byway_core::route::{HostPattern, Origin, Scheme};

/// What is wrong with a part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) part: Range<usize>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    fn new(part: Range<usize>, message: &str) -> Self {
        Self { part, message: message.to_owned(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Reads `https://host[:port]`, nothing before and nothing behind.
pub(crate) fn origin(text: &str) -> Result<Origin, Wrong> {
    let whole = 0..text.len();
    let (scheme, start) = if let Some(at) = text.find("://") {
        match text.get(..at).unwrap_or_default().to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, at + 3),
            "https" => (Scheme::Https, at + 3),
            _ => return Err(Wrong::new(0..at, "the scheme must be `http` or `https`")),
        }
    } else {
        let wrong = Wrong::new(whole, "a URL starts with `https://` or `http://`");
        let is_host = !text.contains(['/', '@']) && HostPattern::parse(text).is_some();
        return Err(if is_host { wrong.hint(format!("write `https://{text}`")) } else { wrong });
    };
    let rest = text.get(start..).unwrap_or_default();
    let end = start + rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = text.get(start..end).unwrap_or_default();
    if let Some(at) = authority.rfind('@') {
        return Err(Wrong::new(start..start + at + 1, "a URL must not carry credentials")
            .hint("callers send credentials to the provider themselves"));
    }
    let behind = text.get(end..).unwrap_or_default();
    if !matches!(behind, "" | "/") {
        return Err(Wrong::new(
            end..text.len(),
            "this must be an origin: no path, query or fragment",
        )
        .hint("callers add the path: `/to/<provider>/<path>`"));
    }
    let (host, port) = host_and_port(authority).map_err(|wrong| Wrong {
        part: start + wrong.part.start..start + wrong.part.end,
        ..wrong
    })?;
    Ok(Origin { scheme, host, port: port.unwrap_or(scheme.default_port()) })
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; the host comes back bare and in lower case.
pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>), Wrong> {
    let (host_part, port_part) = if let Some(inner) = text.strip_prefix('[') {
        let Some(at) = inner.find(']') else {
            return Err(Wrong::new(0..text.len(), "the closing `]` is missing"));
        };
        let behind = inner.get(at + 1..).unwrap_or_default();
        let port = match behind.strip_prefix(':') {
            Some(_) => Some(at + 3..text.len()),
            None if behind.is_empty() => None,
            None => return Err(Wrong::new(at + 2..text.len(), "expected `:` and a port here")),
        };
        (1..at + 1, port)
    } else {
        match text.rfind(':') {
            Some(at) if text.matches(':').count() == 1 => (0..at, Some(at + 1..text.len())),
            Some(_) => {
                return Err(Wrong::new(0..text.len(), "an IPv6 address needs brackets here")
                    .hint("write `[::1]:443`"));
            }
            None => (0..text.len(), None),
        }
    };
    let host = host(text, host_part)?;
    let port = port_part.map(|part| port(text, part)).transpose()?;
    Ok((host, port))
}

fn host(text: &str, part: Range<usize>) -> Result<String, Wrong> {
    let host = text.get(part.clone()).unwrap_or_default();
    if host.is_empty() {
        return Err(Wrong::new(0..text.len(), "the host is missing"));
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if !host.is_ascii() {
        return Err(Wrong::new(part, "this is not a host name in ASCII")
            .hint("write international names in their `xn--` form"));
    }
    let is_bracketed = part.start > 0;
    let kind = host_kind(&host);
    let is_ok = match kind {
        HostKind::Address(ip) => ip.is_ipv6() == is_bracketed,
        HostKind::Name => {
            !is_bracketed && matches!(HostPattern::parse(&host), Some(HostPattern::Exact(_)))
        }
        HostKind::NotAnAddress => false,
    };
    match (is_ok, kind) {
        (true, HostKind::Address(ip)) => Ok(ip.to_string()),
        (true, HostKind::Name | HostKind::NotAnAddress) => Ok(host),
        (false, HostKind::NotAnAddress) => {
            Err(Wrong::new(part, "this looks like an IPv4 address and is none"))
        }
        (false, HostKind::Address(_) | HostKind::Name) => {
            Err(Wrong::new(part, "this is not a host name"))
        }
    }
}

fn port(text: &str, part: Range<usize>) -> Result<u16, Wrong> {
    let digits = text.get(part.clone()).unwrap_or_default();
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if is_number && port > 0 => Ok(port),
        _ => {
            // An empty part has no place for a caret.
            let part = if part.is_empty() { 0..text.len() } else { part };
            Err(Wrong::new(part, "a port is a number from 1 to 65535"))
        }
    }
}

#[cfg(test)]
mod tests;
