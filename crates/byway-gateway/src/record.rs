//! What is known about a finished request: the one value that log line, metric and fact come from.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use byway_core::classify::Outcome;
use byway_core::route::Rule;
use byway_core::settings::LogFormat;
use jiff::Timestamp;

/// How the caller addressed the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `/to/<provider>/…` or `<provider>.localhost`
    Base,
    /// `GET http://host/…`
    Absolute,
    /// `CONNECT host:port`
    Connect,
    /// Inside a tunnel that is open to us.
    Inside,
    /// Never got that far.
    None,
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Absolute => "absolute",
            Self::Connect => "connect",
            Self::Inside => "inside",
            Self::None => "none",
        }
    }
}

/// A finished request.
///
/// It has no target and no field of the request: paths and queries of third-party APIs carry
/// keys, and a log is read by more people than may have them.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) at: Timestamp,
    pub(crate) instance: &'a str,
    pub(crate) caller: IpAddr,
    pub(crate) way: Way,
    pub(crate) method: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) rule: Option<Rule>,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) skipped: &'a str,
    pub(crate) n_attempts: u32,
    pub(crate) reused: bool,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: Outcome,
    /// The code of what went wrong, as in the answer.
    pub(crate) code: Option<&'a str>,
    pub(crate) detail: &'a str,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) took: Duration,
}

impl Record<'_> {
    /// Appends the canonical line.
    pub(crate) fn write(&self, format: LogFormat, out: &mut String) {
        let mut line = match format {
            LogFormat::Text => Line::text(out),
            LogFormat::Json => Line::json(out),
        };
        line.text_value("at", &self.at.to_string());
        line.text_value("event", "request");
        line.text_value("instance", self.instance);
        line.text_value("caller", &self.caller.to_string());
        line.text_value("way", self.way.as_str());
        line.text_value("method", self.method);
        line.text_value("provider", self.provider);
        line.text_value("rule", self.rule.map_or("", Rule::as_str));
        line.text_value("host", self.host);
        line.text_value("path", self.path);
        line.text_value("skipped", self.skipped);
        line.number("attempts", u64::from(self.n_attempts));
        line.text_value("reused", if self.reused { "yes" } else { "" });
        line.text_value("peer", &self.peer.map(|peer| peer.to_string()).unwrap_or_default());
        if let Some(status) = self.status {
            line.number("status", u64::from(status));
        }
        line.text_value("class", self.outcome.class.as_str());
        line.text_value("blame", self.outcome.origin.as_str());
        line.text_value("code", self.code.unwrap_or_default());
        line.text_value("detail", self.detail);
        line.number("bytes_up", self.bytes_up);
        line.number("bytes_down", self.bytes_down);
        for (name, duration) in [
            ("connect_us", self.connect),
            ("first_byte_us", self.first_byte),
            ("took_us", Some(self.took)),
        ] {
            if let Some(duration) = duration {
                line.number(name, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
            }
        }
        line.end();
    }
}

/// Writes one line, in either format; empty values are left out.
struct Line<'o> {
    out: &'o mut String,
    is_json: bool,
    is_first: bool,
}

impl<'o> Line<'o> {
    fn text(out: &'o mut String) -> Self {
        Self { out, is_json: false, is_first: true }
    }

    fn json(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_json: true, is_first: true }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(if self.is_json { ',' } else { ' ' });
        }
        if self.is_json {
            quote(self.out, name);
            self.out.push(':');
        } else {
            self.out.push_str(name);
            self.out.push('=');
        }
    }

    fn text_value(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.name(name);
        let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\');
        if !self.is_json && value.bytes().all(is_plain) {
            self.out.push_str(value);
        } else {
            quote(self.out, value);
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let _infallible = write!(self.out, "{value}");
    }

    fn end(self) {
        self.out.push_str(if self.is_json { "}\n" } else { "\n" });
    }
}

/// A JSON string (RFC 8259 §7); the text format borrows it for values with spaces.
pub(crate) fn quote(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
