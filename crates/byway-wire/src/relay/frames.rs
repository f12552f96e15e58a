//! The frames of an answer, apart from what stands in them.

use super::{ANSWER_MAGIC, Malformed, VERSION};
use crate::relay::answer::{Answered, End, Failure, Pong};

/// A type and a length.
pub const FRAME_HEAD_BYTES: usize = 5;
/// No relay sends more in one frame, and none is read.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// As much of a body as a relay puts into one frame: 5 bytes in 64 KiB are no overhead.
pub const DATA_BYTES: usize = 64 * 1024;
/// Magic and version.
pub const INTRO_BYTES: usize = 5;

const HEAD: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const ERR: u8 = 4;
const PONG: u8 = 5;

/// What an answer begins with.
pub fn intro() -> [u8; INTRO_BYTES] {
    let [a, b, c, d] = ANSWER_MAGIC;
    [a, b, c, d, VERSION]
}

/// A frame that is whole, or a piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'b> {
    /// The head of an answer, or of an interim answer (100 to 199).
    Head(Box<Answered>),
    /// A piece of the body's content.
    Data(&'b [u8]),
    /// Everything came.
    End(End),
    /// It failed.
    Failed(Failure),
    /// Who the relay is.
    Pong(Pong),
}

/// Appends a frame.
pub fn put(out: &mut Vec<u8>, frame: &Frame<'_>) {
    match frame {
        Frame::Head(head) => whole(out, HEAD, &head.encode()),
        Frame::Data(bytes) => whole(out, DATA, bytes),
        Frame::End(end) => whole(out, END, &end.encode()),
        Frame::Failed(failure) => whole(out, ERR, &failure.encode()),
        Frame::Pong(pong) => whole(out, PONG, &pong.encode()),
    }
}

fn whole(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(payload);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Intro,
    Start,
    /// Inside a DATA frame: this many bytes are to come.
    Data(usize),
    /// After END, ERR or PONG.
    Over,
}

/// Reads an answer that arrives in pieces.
#[derive(Debug, Clone)]
pub struct Frames {
    at: At,
    heads: usize,
    has_final: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self { at: At::Intro, heads: 0, has_final: false }
    }
}

/// Interim answers before the final one; as many as the gateway takes from a provider.
const N_HEADS_MAX: usize = 33;

impl Frames {
    /// Whether END, ERR or PONG was read.
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Whether the head of the final answer was read.
    pub fn has_final(&self) -> bool {
        self.has_final
    }

    /// Reads the next frame or piece from the front of `input`; with it, how many bytes it used.
    ///
    /// `None` if more must come. Data is passed on as it comes, everything else when it is whole.
    ///
    /// # Errors
    /// [`Malformed`] names the part; `magic` if this is no relay's answer at all.
    pub fn next<'b>(&mut self, input: &'b [u8]) -> Result<Option<(Frame<'b>, usize)>, Malformed> {
        let mut used = 0;
        if self.at == At::Intro {
            let n = input.len().min(INTRO_BYTES);
            if input.get(..n) != intro().get(..n) {
                return Err(Malformed("magic"));
            }
            if n < INTRO_BYTES {
                return Ok(None);
            }
            self.at = At::Start;
            used = INTRO_BYTES;
        }
        let rest = input.get(used..).unwrap_or_default();
        match self.at {
            At::Over if rest.is_empty() => Ok(None),
            At::Over => Err(Malformed("something after the end")),
            At::Data(left) => {
                let n = left.min(rest.len());
                let data = rest.get(..n).unwrap_or_default();
                self.at = if n == left { At::Start } else { At::Data(left - n) };
                Ok((n > 0).then_some((Frame::Data(data), used + n)))
            }
            At::Intro | At::Start => match self.start(rest) {
                Ok(None) => {
                    // The intro is read again with what follows it.
                    self.at = if used > 0 { At::Intro } else { At::Start };
                    Ok(None)
                }
                Ok(Some((frame, n))) => Ok(Some((frame, used + n))),
                Err(malformed) => Err(malformed),
            },
        }
    }

    fn start<'b>(&mut self, rest: &'b [u8]) -> Result<Option<(Frame<'b>, usize)>, Malformed> {
        let Some((&[kind, a, b, c, d], payload)) = rest.split_first_chunk::<FRAME_HEAD_BYTES>()
        else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([a, b, c, d]);
        let len = usize::try_from(len).map_err(|_| Malformed("frame length"))?;
        if len > FRAME_BYTES_MAX {
            return Err(Malformed("frame length"));
        }
        if kind == DATA {
            return self.data(payload, len);
        }
        let Some(payload) = payload.get(..len) else { return Ok(None) };
        let frame = match kind {
            HEAD => self.head(payload)?,
            END if self.has_final => {
                self.at = At::Over;
                Frame::End(End::decode(payload)?)
            }
            ERR => {
                self.at = At::Over;
                Frame::Failed(Failure::decode(payload)?)
            }
            PONG if self.heads == 0 => {
                self.at = At::Over;
                Frame::Pong(Pong::decode(payload)?)
            }
            _ => return Err(Malformed("order of frames")),
        };
        Ok(Some((frame, FRAME_HEAD_BYTES + len)))
    }

    fn head<'b>(&mut self, payload: &[u8]) -> Result<Frame<'b>, Malformed> {
        self.heads += 1;
        if self.has_final || self.heads > N_HEADS_MAX {
            return Err(Malformed("order of frames"));
        }
        let head = Answered::decode(payload)?;
        self.has_final = head.status >= 200;
        Ok(Frame::Head(Box::new(head)))
    }

    fn data<'b>(
        &mut self,
        payload: &'b [u8],
        len: usize,
    ) -> Result<Option<(Frame<'b>, usize)>, Malformed> {
        // An empty piece says nothing, and endless ones would be read for ever.
        if !self.has_final || len == 0 {
            return Err(Malformed("order of frames"));
        }
        let n = len.min(payload.len());
        if n == 0 {
            return Ok(None);
        }
        self.at = if n == len { At::Start } else { At::Data(len - n) };
        let data = payload.get(..n).unwrap_or_default();
        Ok(Some((Frame::Data(data), FRAME_HEAD_BYTES + n)))
    }
}
