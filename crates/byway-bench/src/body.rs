//! Where a body ends. Bodies pass through untouched; this only counts.

/// What is left of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes to come; zero is a body that has ended.
    Length(u64),
    /// Chunked coding, with the scanner's place in it.
    Chunked(Chunk),
    /// Until the peer closes.
    Close,
}

/// The place in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// In the size line; `digits` ends at the first byte that is not hexadecimal.
    Size {
        size: u64,
        digits: bool,
    },
    /// So many bytes of data and its line end to come.
    Data(u64),
    /// In the trailer; `empty` while the current line holds nothing.
    Trailer {
        empty: bool,
    },
    Done,
}

impl Chunk {
    pub const START: Self = Self::Size { size: 0, digits: true };
}

impl Framing {
    pub const EMPTY: Self = Self::Length(0);

    pub fn is_done(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// How many of `bytes` belong to this body. What follows belongs to the next message.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= n as u64;
                n
            }
            Self::Chunked(chunk) => take_chunked(chunk, bytes),
            Self::Close => bytes.len(),
        }
    }
}

fn take_chunked(chunk: &mut Chunk, bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match chunk {
            Chunk::Done => break,
            Chunk::Data(left) => {
                let rest = bytes.len() - at;
                let n = usize::try_from(*left).map_or(rest, |left| left.min(rest));
                at += n;
                *left -= n as u64;
                if *left == 0 {
                    *chunk = Chunk::START;
                }
                continue;
            }
            Chunk::Size { size, digits } => match (byte, char::from(byte).to_digit(16)) {
                (b'\n', _) if *size == 0 => *chunk = Chunk::Trailer { empty: true },
                // The data is followed by CR LF.
                (b'\n', _) => *chunk = Chunk::Data(size.saturating_add(2)),
                (_, Some(digit)) if *digits => {
                    *size = size.saturating_mul(16).saturating_add(u64::from(digit));
                }
                _ => *digits = false,
            },
            Chunk::Trailer { empty } => match byte {
                b'\n' if *empty => *chunk = Chunk::Done,
                b'\n' => *empty = true,
                b'\r' => {}
                _ => *empty = false,
            },
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
