//! Numbers and counted bytes, read and written.

use std::fmt;
use std::net::IpAddr;

use super::Field;
use crate::N_FIELDS_MAX;
use crate::field::is_token_byte;

/// Bytes that are not what the protocol says; the word names the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed relay frame: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, n: usize, part: &'static str) -> Result<&'b [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(Malformed(part))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        part: &'static str,
    ) -> Result<[u8; N], Malformed> {
        self.take(N, part)?.try_into().map_err(|_| Malformed(part))
    }

    pub(super) fn u8(&mut self, part: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(part).map(|[b]| b)
    }

    pub(super) fn u16(&mut self, part: &'static str) -> Result<u16, Malformed> {
        self.array(part).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, part: &'static str) -> Result<u32, Malformed> {
        self.array(part).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, part: &'static str) -> Result<u64, Malformed> {
        self.array(part).map(u64::from_be_bytes)
    }

    /// Bytes after a length of 16 bits.
    pub(super) fn short(&mut self, part: &'static str) -> Result<&'b [u8], Malformed> {
        let n = usize::from(self.u16(part)?);
        self.take(n, part)
    }

    /// Bytes after a length of 32 bits.
    pub(super) fn long(&mut self, part: &'static str) -> Result<&'b [u8], Malformed> {
        let n = usize::try_from(self.u32(part)?).map_err(|_| Malformed(part))?;
        self.take(n, part)
    }

    /// Printable ASCII after a length of 16 bits.
    pub(super) fn text(&mut self, part: &'static str) -> Result<String, Malformed> {
        let bytes = self.short(part)?;
        let is_text = bytes.iter().all(|b| matches!(b, b' '..=b'~'));
        if !is_text {
            return Err(Malformed(part));
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| Malformed(part))
    }

    /// An address after its length: 0 for none, 4, or 16.
    pub(super) fn ip(&mut self, part: &'static str) -> Result<Option<IpAddr>, Malformed> {
        match self.u8(part)? {
            0 => Ok(None),
            4 => Ok(Some(IpAddr::from(self.array::<4>(part)?))),
            16 => Ok(Some(IpAddr::from(self.array::<16>(part)?))),
            _ => Err(Malformed(part)),
        }
    }

    pub(super) fn fields(&mut self, part: &'static str) -> Result<Vec<Field>, Malformed> {
        let n = usize::from(self.u16(part)?);
        if n > N_FIELDS_MAX {
            return Err(Malformed(part));
        }
        let mut fields = Vec::with_capacity(n);
        for _ in 0..n {
            let (name, value) = (self.short(part)?, self.long(part)?);
            let is_name = !name.is_empty() && name.iter().all(|&b| is_token_byte(b));
            // A line end in a value would be a line of its own in the head that is built of it.
            let is_value = value.iter().all(|&b| (b >= 0x20 || b == b'\t') && b != 0x7f);
            if !is_name || !is_value {
                return Err(Malformed(part));
            }
            fields.push(Field { name: name.to_vec(), value: value.to_vec() });
        }
        Ok(fields)
    }

    /// Nothing may follow.
    pub(super) fn end(self, part: &'static str) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed(part)) }
    }
}

/// Appends a length of 16 bits and the bytes; what is longer is cut, as it is only ever text for
/// people: whatever is on the wire of a provider is within the limits of a head.
pub(super) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let n = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&n.to_be_bytes());
    out.extend_from_slice(bytes.get(..usize::from(n)).unwrap_or_default());
}

/// Appends a length of 32 bits and the bytes.
pub(super) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    let n = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&n.to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn put_ip(out: &mut Vec<u8>, ip: Option<IpAddr>) {
    match ip {
        None => out.push(0),
        Some(IpAddr::V4(ip)) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            out.push(16);
            out.extend_from_slice(&ip.octets());
        }
    }
}

pub(super) fn put_fields(out: &mut Vec<u8>, fields: &[Field]) {
    let n = fields.len().min(N_FIELDS_MAX);
    out.extend_from_slice(&u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes());
    for field in fields.iter().take(n) {
        put_short(out, &field.name);
        put_long(out, &field.value);
    }
}
