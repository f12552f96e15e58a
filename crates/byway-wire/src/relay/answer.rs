//! What stands in the frames of an answer.

use std::net::IpAddr;

use super::bytes::{Reader, put_fields, put_ip, put_short};
use super::call::{version_code, version_of};
use super::{DIGEST_BYTES, Field, Malformed, Stack, Stage};
use crate::Version;
use crate::body::Framing;

/// The head of a provider's answer, and what was seen on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status, 100 to 999.
    pub status: u16,
    /// The version on the status line.
    pub version: Version,
    /// Everything after the status on its line, the space included; may be empty.
    pub reason: Vec<u8>,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// How the provider framed the body; DATA frames have its content only.
    pub framing: Framing,
    /// What the relay saw.
    pub seen: SeenThere,
}

/// What a relay saw of a connection; zeros and `None` where it cannot tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenThere {
    /// The address that it spoke to.
    pub peer: Option<IpAddr>,
    /// The address that providers see, where the relay knows it.
    pub exit: Option<IpAddr>,
    /// The version of TLS as on its wire (0x0304 is 1.3), or 0.
    pub tls_version: u16,
    /// SHA-256 of the provider's certificate.
    pub certificate: Option<[u8; DIGEST_BYTES]>,
    /// Microseconds: until an address was known.
    pub dns_us: u32,
    /// Microseconds: from there to the connection.
    pub connect_us: u32,
    /// Microseconds: the TLS handshake.
    pub tls_us: u32,
    /// Microseconds: from the end of the request to the first byte.
    pub first_byte_us: u32,
    /// Whether this instance of the relay had answered nothing before.
    pub is_cold: bool,
    /// Whose HTTP and TLS it speaks.
    pub stack: Stack,
    /// Which instance it is.
    pub instance: String,
}

impl Answered {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + 64 * self.fields.len());
        out.extend_from_slice(&self.status.to_be_bytes());
        out.push(version_code(self.version));
        put_short(&mut out, &self.reason);
        put_fields(&mut out, &self.fields);
        let (code, length) = match self.framing {
            Framing::Empty => (0, 0),
            Framing::Length(n) => (1, n),
            Framing::Chunked => (2, 0),
            Framing::UntilClose => (3, 0),
        };
        out.push(code);
        out.extend_from_slice(&length.to_be_bytes());
        let seen = &self.seen;
        put_ip(&mut out, seen.peer);
        put_ip(&mut out, seen.exit);
        out.extend_from_slice(&seen.tls_version.to_be_bytes());
        put_short(&mut out, seen.certificate.as_ref().map_or(&[], |digest| digest.as_slice()));
        for us in [seen.dns_us, seen.connect_us, seen.tls_us, seen.first_byte_us] {
            out.extend_from_slice(&us.to_be_bytes());
        }
        out.push(u8::from(seen.is_cold));
        out.push(seen.stack.code());
        put_short(&mut out, seen.instance.as_bytes());
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut read = Reader::new(payload);
        let status = read.u16("status")?;
        let version = version_of(read.u8("HTTP version")?)?;
        let reason = read.short("reason")?.to_vec();
        let fields = read.fields("fields")?;
        let framing = match (read.u8("framing")?, read.u64("length")?) {
            (0, 0) => Framing::Empty,
            (1, n) => Framing::Length(n),
            (2, 0) => Framing::Chunked,
            (3, 0) => Framing::UntilClose,
            _ => return Err(Malformed("framing")),
        };
        let (peer, exit) = (read.ip("peer")?, read.ip("exit")?);
        let tls_version = read.u16("TLS version")?;
        let certificate = match read.short("certificate")? {
            [] => None,
            digest => Some(digest.try_into().map_err(|_| Malformed("certificate"))?),
        };
        let seen = SeenThere {
            peer,
            exit,
            tls_version,
            certificate,
            dns_us: read.u32("timing")?,
            connect_us: read.u32("timing")?,
            tls_us: read.u32("timing")?,
            first_byte_us: read.u32("timing")?,
            is_cold: match read.u8("cold")? {
                0 => false,
                1 => true,
                _ => return Err(Malformed("cold")),
            },
            stack: Stack::of(read.u8("stack")?)?,
            instance: read.text("instance")?,
        };
        read.end("end of HEAD")?;
        let is_reason = reason.first().is_none_or(|&b| b == b' ')
            && reason.iter().all(|&b| (b >= 0x20 || b == b'\t') && b != 0x7f);
        if !is_reason {
            return Err(Malformed("reason"));
        }
        if !(100..=999).contains(&status) || status == 101 {
            return Err(Malformed("status"));
        }
        Ok(Self { status, version, reason, fields, framing, seen })
    }

    /// The head as the provider sent it.
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(64 + 64 * self.fields.len());
        head.extend_from_slice(match self.version {
            Version::Http10 => b"HTTP/1.0 ",
            Version::Http11 => b"HTTP/1.1 ",
        });
        head.extend_from_slice(self.status.to_string().as_bytes());
        head.extend_from_slice(&self.reason);
        head.extend_from_slice(b"\r\n");
        for field in &self.fields {
            field.write(&mut head);
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// The end of an answer that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The length of the body's content.
    pub body_bytes: u64,
    /// SHA-256 of the body's content.
    pub body_digest: [u8; DIGEST_BYTES],
    /// Trailers, in order.
    pub trailers: Vec<Field>,
}

impl End {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.body_bytes.to_be_bytes().to_vec();
        out.extend_from_slice(&self.body_digest);
        put_fields(&mut out, &self.trailers);
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut read = Reader::new(payload);
        let end = Self {
            body_bytes: read.u64("body_bytes")?,
            body_digest: read.array("body_digest")?,
            trailers: read.fields("trailers")?,
        };
        read.end("end of END")?;
        Ok(end)
    }
}

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How far it had got.
    pub stage: Stage,
    /// What happened: a code of `docs/errors.md`, or one of the relay's own.
    pub code: String,
    /// What exactly, for people.
    pub detail: String,
    /// The relay's clock, milliseconds since 1970: a refused expiry can be explained by it.
    pub now_ms: u64,
    /// The address that it spoke to.
    pub peer: Option<IpAddr>,
}

impl Failure {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.stage.code()];
        put_short(&mut out, self.code.as_bytes());
        put_short(&mut out, self.detail.as_bytes());
        out.extend_from_slice(&self.now_ms.to_be_bytes());
        put_ip(&mut out, self.peer);
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut read = Reader::new(payload);
        let failure = Self {
            stage: Stage::of(read.u8("stage")?)?,
            code: read.text("code")?,
            detail: read.text("detail")?,
            now_ms: read.u64("now")?,
            peer: read.ip("peer")?,
        };
        read.end("end of ERR")?;
        Ok(failure)
    }
}

/// Who a relay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// The oldest version that it speaks.
    pub version_min: u8,
    /// The newest.
    pub version_max: u8,
    /// Its name.
    pub relay: String,
    /// Which instance it is.
    pub instance: String,
    /// The version of its software.
    pub software: String,
    /// Whose HTTP and TLS it speaks.
    pub stack: Stack,
    /// Whether this instance had answered nothing before.
    pub is_cold: bool,
    /// The address that providers see, where it knows it.
    pub exit: Option<IpAddr>,
    /// SHA-256 over its allow-list: entries sorted, each followed by LF.
    pub allow_digest: [u8; DIGEST_BYTES],
    /// The keys that it trusts.
    pub keys: String,
    /// Its clock, milliseconds since 1970.
    pub now_ms: u64,
    /// How many requests this instance has refused.
    pub n_refused: u64,
}

impl Pong {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.version_min, self.version_max];
        for text in [&self.relay, &self.instance, &self.software] {
            put_short(&mut out, text.as_bytes());
        }
        out.push(self.stack.code());
        out.push(u8::from(self.is_cold));
        put_ip(&mut out, self.exit);
        out.extend_from_slice(&self.allow_digest);
        put_short(&mut out, self.keys.as_bytes());
        out.extend_from_slice(&self.now_ms.to_be_bytes());
        out.extend_from_slice(&self.n_refused.to_be_bytes());
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut read = Reader::new(payload);
        let pong = Self {
            version_min: read.u8("version")?,
            version_max: read.u8("version")?,
            relay: read.text("relay")?,
            instance: read.text("instance")?,
            software: read.text("software")?,
            stack: Stack::of(read.u8("stack")?)?,
            is_cold: match read.u8("cold")? {
                0 => false,
                1 => true,
                _ => return Err(Malformed("cold")),
            },
            exit: read.ip("exit")?,
            allow_digest: read.array("allow-list")?,
            keys: read.text("keys")?,
            now_ms: read.u64("now")?,
            n_refused: read.u64("refused")?,
        };
        read.end("end of PONG")?;
        Ok(pong)
    }
}
