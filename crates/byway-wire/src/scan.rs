//! Finds the end of a head in bytes that arrive in pieces.
//!
//! Every byte is looked at once however small the pieces are, so that a head sent byte by byte
//! costs no more than one sent whole.

use crate::Refusal;

/// Progress through one head.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadScan {
    /// Bytes already looked at.
    seen: usize,
    /// Where the current line starts.
    line: usize,
}

impl HeadScan {
    /// Looks at what is new in `buf`, which starts where the head starts.
    ///
    /// Returns the length of the head including its empty line, or `None` if more must come.
    ///
    /// # Errors
    /// [`Refusal::BareLf`] at the first line that ends in LF alone; [`Refusal::HeadTooLarge`] once
    /// more than `head_bytes_max` bytes have come without an end.
    pub fn feed(&mut self, buf: &[u8], head_bytes_max: usize) -> Result<Option<usize>, Refusal> {
        while let Some(at) = memchr::memchr(b'\n', buf.get(self.seen..).unwrap_or_default()) {
            let lf = self.seen + at;
            if lf == self.line || buf.get(lf - 1) != Some(&b'\r') {
                return Err(Refusal::BareLf);
            }
            self.seen = lf + 1;
            let is_empty = lf == self.line + 1;
            self.line = lf + 1;
            if is_empty {
                return if lf < head_bytes_max {
                    Ok(Some(lf + 1))
                } else {
                    Err(Refusal::HeadTooLarge)
                };
            }
        }
        self.seen = buf.len();
        if buf.len() > head_bytes_max { Err(Refusal::HeadTooLarge) } else { Ok(None) }
    }
}

/// How many bytes of empty lines stand before a request line.
///
/// RFC 9112 §2.2 asks servers to ignore at least one CR LF there: old clients send one after a
/// body. We ignore exactly one, so that endless empty lines are refused as a malformed request line.
pub fn leading_blank(buf: &[u8]) -> usize {
    if buf.starts_with(b"\r\n") { 2 } else { 0 }
}
