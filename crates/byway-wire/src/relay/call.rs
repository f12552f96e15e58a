//! A call: what a gateway asks a relay to send.

use std::net::IpAddr;

use super::bytes::{Reader, put_fields, put_ip, put_long, put_short};
use super::{CALL_MAGIC, DIGEST_BYTES, Field, Malformed, SIGNATURE_BYTES, SIGNED_PREFIX, VERSION};
use crate::Version;
use crate::field::is_token_byte;

/// Magic, version, kind and the length of what follows.
pub const PREAMBLE_BYTES: usize = 10;
/// Heads have at most 64 KiB by default; twice that leaves room for lengths and larger settings.
pub const META_BYTES_MAX: usize = 160 * 1024;

/// What a relay is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Send this to the provider.
    Call,
    /// Say who you are; no provider is touched.
    Ping,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Ping => 2,
        }
    }

    const fn of(code: u8) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Call),
            2 => Ok(Self::Ping),
            _ => Err(Malformed("kind")),
        }
    }
}

/// How long each part may take at the relay, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// Name resolution and connection.
    pub connect_ms: u32,
    /// The TLS handshake.
    pub tls_ms: u32,
    /// From the end of the request to the first byte of the answer.
    pub first_byte_ms: u32,
    /// Between two pieces of the answer.
    pub idle_ms: u32,
    /// Everything, from the arrival of the call.
    pub total_ms: u32,
}

/// What is signed of a call; the body follows it and is covered by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// For which relay: another one refuses.
    pub relay: String,
    /// Which of the sender's keys signed.
    pub key: String,
    /// When it was made, by the sender's clock: milliseconds since 1970.
    pub created_ms: u64,
    /// From when on it is refused.
    pub expires_ms: u64,
    /// Never used twice.
    pub nonce: [u8; 16],
    /// How long each part may take.
    pub within: Within,
    /// A longer body of an answer is cut off with an error.
    pub answer_bytes_max: u64,
    /// Whether the answer may be sent in pieces: whatever lies between passes them on.
    pub may_stream: bool,
    /// Whether the destination is spoken to over TLS.
    pub is_tls: bool,
    /// The destination's name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Dial this address instead of resolving the name; it is checked like any other.
    pub pinned: Option<IpAddr>,
    /// The version of HTTP on the request line.
    pub version: Version,
    /// The method.
    pub method: Vec<u8>,
    /// The request target, byte for byte.
    pub target: Vec<u8>,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// Trailers of a chunked body, in order.
    pub trailers: Vec<Field>,
    /// The length of the body's content.
    pub body_bytes: u64,
    /// SHA-256 of the body's content.
    pub body_digest: [u8; DIGEST_BYTES],
}

impl Call {
    /// The signed part.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.target.len() + 64 * self.fields.len());
        put_short(&mut out, self.relay.as_bytes());
        put_short(&mut out, self.key.as_bytes());
        out.extend_from_slice(&self.created_ms.to_be_bytes());
        out.extend_from_slice(&self.expires_ms.to_be_bytes());
        out.extend_from_slice(&self.nonce);
        let Within { connect_ms, tls_ms, first_byte_ms, idle_ms, total_ms } = self.within;
        for ms in [connect_ms, tls_ms, first_byte_ms, idle_ms, total_ms] {
            out.extend_from_slice(&ms.to_be_bytes());
        }
        out.extend_from_slice(&self.answer_bytes_max.to_be_bytes());
        out.push(u8::from(self.may_stream));
        out.push(u8::from(self.is_tls));
        put_short(&mut out, self.host.as_bytes());
        out.extend_from_slice(&self.port.to_be_bytes());
        put_ip(&mut out, self.pinned);
        out.push(version_code(self.version));
        put_short(&mut out, &self.method);
        put_long(&mut out, &self.target);
        put_fields(&mut out, &self.fields);
        put_fields(&mut out, &self.trailers);
        out.extend_from_slice(&self.body_bytes.to_be_bytes());
        out.extend_from_slice(&self.body_digest);
        out
    }

    /// Reads the signed part.
    ///
    /// # Errors
    /// [`Malformed`] names the part.
    pub fn decode(meta: &[u8]) -> Result<Self, Malformed> {
        let mut read = Reader::new(meta);
        let call = Self {
            relay: read.text("relay")?,
            key: read.text("key")?,
            created_ms: read.u64("created")?,
            expires_ms: read.u64("expires")?,
            nonce: read.array("nonce")?,
            within: Within {
                connect_ms: read.u32("within")?,
                tls_ms: read.u32("within")?,
                first_byte_ms: read.u32("within")?,
                idle_ms: read.u32("within")?,
                total_ms: read.u32("within")?,
            },
            answer_bytes_max: read.u64("answer_bytes_max")?,
            may_stream: flag(read.u8("may_stream")?, "may_stream")?,
            is_tls: flag(read.u8("is_tls")?, "is_tls")?,
            host: read.text("host")?,
            port: read.u16("port")?,
            pinned: read.ip("pinned")?,
            version: version_of(read.u8("version")?)?,
            method: read.short("method")?.to_vec(),
            target: read.long("target")?.to_vec(),
            fields: read.fields("fields")?,
            trailers: read.fields("trailers")?,
            body_bytes: read.u64("body_bytes")?,
            body_digest: read.array("body_digest")?,
        };
        read.end("end of the signed part")?;
        if !call.method.iter().all(|&b| is_token_byte(b)) {
            return Err(Malformed("method"));
        }
        if call.target.iter().any(|&b| b <= 0x20 || b == 0x7f) {
            return Err(Malformed("target"));
        }
        Ok(call)
    }

    /// The head that the provider gets: nothing is added, nothing left out.
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(64 + self.target.len() + 64 * self.fields.len());
        head.extend_from_slice(&self.method);
        head.push(b' ');
        head.extend_from_slice(&self.target);
        head.extend_from_slice(match self.version {
            Version::Http10 => b" HTTP/1.0\r\n",
            Version::Http11 => b" HTTP/1.1\r\n",
        });
        for field in &self.fields {
            field.write(&mut head);
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

pub(super) const fn version_code(version: Version) -> u8 {
    match version {
        Version::Http10 => 10,
        Version::Http11 => 11,
    }
}

pub(super) const fn version_of(code: u8) -> Result<Version, Malformed> {
    match code {
        10 => Ok(Version::Http10),
        11 => Ok(Version::Http11),
        _ => Err(Malformed("HTTP version")),
    }
}

const fn flag(code: u8, part: &'static str) -> Result<bool, Malformed> {
    match code {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed(part)),
    }
}

/// What is signed: a prefix of our own, then everything before the signature.
pub fn signed(kind: Kind, meta: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNED_PREFIX.to_vec();
    put_preamble(&mut bytes, kind, meta.len());
    bytes.extend_from_slice(meta);
    bytes
}

/// Everything before the body.
pub fn envelope(kind: Kind, meta: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREAMBLE_BYTES + meta.len() + SIGNATURE_BYTES);
    put_preamble(&mut bytes, kind, meta.len());
    bytes.extend_from_slice(meta);
    bytes.extend_from_slice(signature);
    bytes
}

fn put_preamble(out: &mut Vec<u8>, kind: Kind, meta_bytes: usize) {
    out.extend_from_slice(&CALL_MAGIC);
    out.push(VERSION);
    out.push(kind.code());
    out.extend_from_slice(&u32::try_from(meta_bytes).unwrap_or(u32::MAX).to_be_bytes());
}

/// A request taken apart, before anything in it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'b> {
    /// What is asked.
    pub kind: Kind,
    /// The signed part, unread.
    pub meta: &'b [u8],
    /// Its signature, unchecked.
    pub signature: &'b [u8; SIGNATURE_BYTES],
    /// The rest.
    pub body: &'b [u8],
}

impl<'b> Parts<'b> {
    /// Takes a request apart.
    ///
    /// # Errors
    /// [`Malformed`]; `version` if only the version is unknown.
    pub fn split(request: &'b [u8]) -> Result<Self, Malformed> {
        let mut read = Reader::new(request);
        if read.array::<4>("magic")? != CALL_MAGIC {
            return Err(Malformed("magic"));
        }
        if read.u8("version")? != VERSION {
            return Err(Malformed("version"));
        }
        let kind = Kind::of(read.u8("kind")?)?;
        let n = usize::try_from(read.u32("length")?).map_err(|_| Malformed("length"))?;
        if n > META_BYTES_MAX {
            return Err(Malformed("length"));
        }
        let meta = read.take(n, "signed part")?;
        let signature = read.take(SIGNATURE_BYTES, "signature")?;
        let signature = signature.try_into().map_err(|_| Malformed("signature"))?;
        let rest = request.get(PREAMBLE_BYTES + n + SIGNATURE_BYTES..).unwrap_or_default();
        Ok(Self { kind, meta, signature, body: rest })
    }
}
