//! Where a message body ends (RFC 9112 §6.3), whatever its framing.

use crate::Refusal;
use crate::chunked::Chunked;

/// How a message says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection's end; answers only.
    UntilClose,
}

/// Follows one body through the bytes of a connection.
#[derive(Debug, Clone)]
pub enum Body {
    /// This many bytes are still to come.
    Left(u64),
    /// Chunks are still to come. Boxed: most bodies are not chunked, and a connection holds two.
    Chunked(Box<Chunked>),
    /// Everything belongs to the body until the connection ends.
    UntilClose,
}

impl From<Framing> for Body {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Self::Left(0),
            Framing::Length(n) => Self::Left(n),
            Framing::Chunked => Self::Chunked(Box::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl Body {
    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Left(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
        }
    }

    /// How many of the first bytes of `input` belong to the body.
    ///
    /// # Errors
    /// The refusal of a malformed chunk.
    pub fn advance(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        match self {
            Self::Left(left) => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= n as u64;
                Ok(n)
            }
            Self::Chunked(chunked) => chunked.advance(input),
            Self::UntilClose => Ok(input.len()),
        }
    }

    /// Whether the connection may end here.
    ///
    /// # Errors
    /// [`Refusal::Truncated`] if the body had to go on.
    pub fn end(&self) -> Result<(), Refusal> {
        match self {
            Self::UntilClose => Ok(()),
            Self::Left(_) | Self::Chunked(_) if self.is_done() => Ok(()),
            Self::Left(_) | Self::Chunked(_) => Err(Refusal::Truncated),
        }
    }
}
