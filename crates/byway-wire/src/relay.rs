//! The relay protocol, version 1: one POST carries one call, its answer is a stream of frames.
//!
//! Written down byte by byte in `docs/relay-protocol.md`, with test vectors. Numbers are big-endian,
//! lengths stand before what they measure, and nothing is optional but by a length of zero. Not
//! here: keys, clocks, sockets. What is signed is a slice of what is sent, so both sides sign and
//! check the same bytes without agreeing on a canonical form.
//!
//! Invariant: what `decode` accepts, `encode` gives back byte for byte; the fuzzers check it.

pub mod answer;
mod bytes;
pub mod call;
pub mod frames;

use std::fmt;

pub use bytes::Malformed;

/// What a request begins with.
pub const CALL_MAGIC: [u8; 4] = *b"BYWR";
/// What an answer begins with.
pub const ANSWER_MAGIC: [u8; 4] = *b"BYWA";
/// The version that is written here, and the only one so far.
pub const VERSION: u8 = 1;
/// What stands before the signed bytes, so that a signature can never be one over anything else.
pub const SIGNED_PREFIX: &[u8] = b"byway relay call\0";
/// Ed25519 (RFC 8032).
pub const SIGNATURE_BYTES: usize = 64;
/// SHA-256 (FIPS 180-4).
pub const DIGEST_BYTES: usize = 32;
/// The only content type on both ways; a platform that knows no binary gets Base64 as text.
pub const CONTENT_TYPE: &str = "application/octet-stream";
/// The content type of the same bytes in Base64 (RFC 4648 §4).
pub const CONTENT_TYPE_TEXT: &str = "text/plain";
/// A call lives this long at most: its expiry minus its creation, in milliseconds.
pub const LIFE_MS_MAX: u64 = 30_000;

/// A field of a message: the name as it was sent, and everything between its colon and its CR LF,
/// whitespace included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: Vec<u8>,
    /// The value with the whitespace around it.
    pub value: Vec<u8>,
}

impl Field {
    /// The line as it stands in a head.
    pub fn write(&self, head: &mut Vec<u8>) {
        head.extend_from_slice(&self.name);
        head.push(b':');
        head.extend_from_slice(&self.value);
        head.extend_from_slice(b"\r\n");
    }

    /// The fields of a parsed head, in order.
    pub fn all(raw: &[u8], spans: &[crate::field::FieldSpan]) -> Vec<Self> {
        let field = |span: &crate::field::FieldSpan| {
            let (line, name) = (span.line(raw), span.name(raw).to_vec());
            let value = line.get(name.len() + 1..).and_then(|value| value.strip_suffix(b"\r\n"));
            Self { name, value: value.unwrap_or_default().to_vec() }
        };
        spans.iter().map(field).collect()
    }
}

/// How far a call had got when it failed: whether it may be sent again is for the sender to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not a byte of it reached the provider.
    BeforeSend,
    /// Some of it may have; nothing of an answer came.
    Sent,
    /// Some of an answer came.
    Partial,
}

impl Stage {
    const fn code(self) -> u8 {
        match self {
            Self::BeforeSend => 0,
            Self::Sent => 1,
            Self::Partial => 2,
        }
    }

    const fn of(code: u8) -> Result<Self, Malformed> {
        match code {
            0 => Ok(Self::BeforeSend),
            1 => Ok(Self::Sent),
            2 => Ok(Self::Partial),
            _ => Err(Malformed("stage")),
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeSend => "before_send",
            Self::Sent => "sent",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose HTTP and TLS a relay speaks towards providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// The gateway's own: only the address differs.
    Byway,
    /// Node.js: a provider can tell it from the gateway, so a comparison says less.
    Node,
    /// Some other.
    Other,
}

impl Stack {
    const fn code(self) -> u8 {
        match self {
            Self::Byway => 1,
            Self::Node => 2,
            Self::Other => 0,
        }
    }

    const fn of(code: u8) -> Result<Self, Malformed> {
        match code {
            0 => Ok(Self::Other),
            1 => Ok(Self::Byway),
            2 => Ok(Self::Node),
            _ => Err(Malformed("stack")),
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Byway => "byway",
            Self::Node => "node",
            Self::Other => "other",
        }
    }
}
