//! The chunked transfer coding (RFC 9112 §7.1) as a machine over bytes.
//!
//! It does not copy: it says how many bytes belong to the message and which of them are data.
//! Chunk framing, extensions and trailers are relayed as they came; what two parsers could read
//! differently ends the message with a [`Refusal`].

use crate::Refusal;
use crate::field::is_token_byte;

/// A chunk line longer than this is an attack, not an extension.
const EXTENSION_BYTES_MAX: u16 = 4096;
/// Trailers larger than this are refused; heads have their own, configurable limit.
const TRAILER_BYTES_MAX: u16 = 16 * 1024;
/// Long enough for the longest forbidden trailer name, and one more to know that it is longer.
const NAME_KEPT: usize = 24;

/// Names that a trailer must not carry (RFC 9110 §6.5.1): framing, routing, hop-by-hop.
const FORBIDDEN: [&[u8]; 14] = [
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"host",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes of content.
    Data(usize),
    /// This many bytes of framing: sizes, extensions, line ends, trailers.
    Framing(usize),
    /// This many bytes of framing, and the message is over.
    End(usize),
}

/// Reads one chunked body.
#[derive(Debug, Clone)]
pub struct Chunked {
    state: State,
    left: u64,
    n_digits: u8,
    extension_bytes: u16,
    trailer_bytes: u16,
    name: [u8; NAME_KEPT],
    name_len: u8,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::SizeStart,
            left: 0,
            n_digits: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            name: [0; NAME_KEPT],
            name_len: 0,
        }
    }
}

impl Chunked {
    /// Whether the last chunk and its trailers have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Says what the first bytes of `input` are; call again with what follows them.
    ///
    /// Returns `None` for empty input, and once the message is over.
    ///
    /// # Errors
    /// The refusal that names what is malformed. The machine must not be used afterwards.
    pub fn next(&mut self, input: &[u8]) -> Result<Option<Piece>, Refusal> {
        if input.is_empty() || self.state == State::Done {
            return Ok(None);
        }
        if self.state == State::Data && self.left > 0 {
            let n = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
            self.left -= n as u64;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(Some(Piece::Data(n)));
        }
        let mut n = 0;
        for &b in input {
            self.state = self.step(b)?;
            n += 1;
            match self.state {
                State::Data => return Ok(Some(Piece::Framing(n))),
                State::Done => return Ok(Some(Piece::End(n))),
                State::SizeStart
                | State::Size
                | State::Extension
                | State::SizeLf
                | State::DataCr
                | State::DataLf
                | State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLf
                | State::EndLf => {}
            }
        }
        Ok(Some(Piece::Framing(n)))
    }

    /// How many bytes of `input` belong to the message.
    ///
    /// # Errors
    /// As [`Chunked::next`].
    pub fn advance(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let mut used = 0;
        while let Some(piece) = self.next(input.get(used..).unwrap_or_default())? {
            match piece {
                Piece::Data(n) | Piece::Framing(n) => used += n,
                Piece::End(n) => return Ok(used + n),
            }
        }
        Ok(used)
    }

    fn step(&mut self, b: u8) -> Result<State, Refusal> {
        match self.state {
            State::SizeStart | State::Size => self.size(b),
            State::Extension => self.extension(b),
            State::SizeLf => match (b, self.left) {
                (b'\n', 0) => Ok(State::TrailerStart),
                (b'\n', _) => Ok(State::Data),
                _ => Err(Refusal::ChunkSize),
            },
            State::DataCr if b == b'\r' => Ok(State::DataLf),
            State::DataLf if b == b'\n' => {
                self.n_digits = 0;
                self.extension_bytes = 0;
                Ok(State::SizeStart)
            }
            State::Data | State::DataCr | State::DataLf => Err(Refusal::ChunkEnd),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::EndLf => self.trailer(b),
            State::Done => Ok(State::Done),
        }
    }

    fn size(&mut self, b: u8) -> Result<State, Refusal> {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            b'\r' if self.n_digits > 0 => return Ok(State::SizeLf),
            b';' if self.n_digits > 0 => return Ok(State::Extension),
            _ => return Err(Refusal::ChunkSize),
        };
        // Sixteen digits, leading zeros included, and below 2^63: some parsers use signed numbers.
        if self.n_digits == 16 || self.left > (i64::MAX as u64 >> 4) {
            return Err(Refusal::ChunkSize);
        }
        self.n_digits += 1;
        self.left = (self.left << 4) | u64::from(digit);
        Ok(State::Size)
    }

    fn extension(&mut self, b: u8) -> Result<State, Refusal> {
        self.extension_bytes += 1;
        match b {
            b'\r' => Ok(State::SizeLf),
            _ if (b < 0x20 && b != b'\t') || b == 0x7f => Err(Refusal::ChunkExtension),
            _ if self.extension_bytes > EXTENSION_BYTES_MAX => Err(Refusal::ChunkExtension),
            _ => Ok(State::Extension),
        }
    }

    fn trailer(&mut self, b: u8) -> Result<State, Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Refusal::TrailerTooLarge);
        }
        match (self.state, b) {
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::TrailerStart, _) if is_token_byte(b) => {
                self.name_len = 0;
                self.keep_name(b);
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => {
                let name = self.name.get(..usize::from(self.name_len)).unwrap_or_default();
                if FORBIDDEN.contains(&name) {
                    return Err(Refusal::TrailerForbidden);
                }
                Ok(State::TrailerValue)
            }
            (State::TrailerName, _) if is_token_byte(b) => {
                self.keep_name(b);
                Ok(State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if (b >= 0x20 || b == b'\t') && b != 0x7f => {
                Ok(State::TrailerValue)
            }
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(Refusal::TrailerSyntax),
        }
    }

    /// Names longer than the array are kept cut and so match nothing forbidden.
    fn keep_name(&mut self, b: u8) {
        if let Some(slot) = self.name.get_mut(usize::from(self.name_len)) {
            *slot = b.to_ascii_lowercase();
            self.name_len += 1;
        }
    }
}
