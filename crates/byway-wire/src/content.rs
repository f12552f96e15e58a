//! The content of a body: its transfer coding taken off, its trailers kept.

use crate::Refusal;
use crate::body::{Body, Framing};
use crate::chunked::Piece;
use crate::relay::Field;

/// Reads the content of one body.
#[derive(Debug, Clone)]
pub struct Content {
    body: Body,
    /// What framed the end of a chunked body.
    tail: Vec<u8>,
}

impl Content {
    /// A body that is framed like this.
    pub fn new(framing: Framing) -> Self {
        Self { body: Body::from(framing), tail: Vec::new() }
    }

    /// Whether it is complete.
    pub fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Whether the connection may end here.
    ///
    /// # Errors
    /// [`Refusal::Truncated`] if the body had to go on.
    pub fn end(&self) -> Result<(), Refusal> {
        self.body.end()
    }

    /// Appends the content in the first bytes of `input`; how many bytes belong to the body.
    ///
    /// # Errors
    /// The refusal of a malformed chunk.
    pub fn take(&mut self, input: &[u8], content: &mut Vec<u8>) -> Result<usize, Refusal> {
        let Body::Chunked(chunked) = &mut self.body else {
            let n = self.body.advance(input)?;
            content.extend_from_slice(input.get(..n).unwrap_or_default());
            return Ok(n);
        };
        let mut used = 0;
        while let Some(piece) = chunked.next(input.get(used..).unwrap_or_default())? {
            let (Piece::Data(n) | Piece::Framing(n) | Piece::End(n)) = piece;
            let bytes = input.get(used..used + n).unwrap_or_default();
            if let Piece::Data(_) = piece {
                content.extend_from_slice(bytes);
                self.tail.clear();
            } else {
                self.tail.extend_from_slice(bytes);
            }
            used += n;
        }
        Ok(used)
    }

    /// The trailers of a chunked body that is complete.
    pub fn trailers(&self) -> Vec<Field> {
        let lines = self.tail.split(|&b| b == b'\n');
        let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        // The end of the last chunk, then the size 0, then the trailers.
        let is_size = |line: &&[u8]| line.first().is_some_and(u8::is_ascii_hexdigit);
        if lines.by_ref().find(is_size).is_none() {
            return Vec::new();
        }
        let field = |line: &[u8]| {
            let (name, value) = line.split_at_checked(line.iter().position(|&b| b == b':')?)?;
            Some(Field { name: name.to_vec(), value: value.get(1..)?.to_vec() })
        };
        lines.filter_map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    //! Content and trailers come out the same however the body is cut.

    use super::Content;
    use crate::body::Framing;

    fn read(framing: Framing, input: &[u8], step: usize) -> (String, Vec<String>, bool) {
        let (mut content, mut out) = (Content::new(framing), Vec::new());
        for piece in input.chunks(step) {
            content.take(piece, &mut out).unwrap();
        }
        let line = |f: &crate::relay::Field| {
            format!("{}:{}", f.name.escape_ascii(), f.value.escape_ascii())
        };
        let trailers = content.trailers().iter().map(line).collect();
        (out.escape_ascii().to_string(), trailers, content.is_done())
    }

    #[test]
    fn chunks_lose_their_framing_and_keep_their_trailers() {
        let input = b"5;ext=1\r\nhello\r\n1\r\n!\r\n0;x\r\nx-sum: 1\r\na:b\r\n\r\n";
        for step in [1, 2, 7, input.len()] {
            let (content, trailers, is_done) = read(Framing::Chunked, input, step);
            assert_eq!(content, "hello!", "{step}");
            assert_eq!(trailers, ["x-sum: 1", "a:b"], "{step}");
            assert!(is_done);
        }
        let (content, trailers, _) = read(Framing::Chunked, b"0\r\n\r\n", 1);
        assert_eq!((content.as_str(), trailers.len()), ("", 0));
    }

    #[test]
    fn what_is_behind_a_body_is_not_of_it() {
        let mut out = Vec::new();
        let mut content = Content::new(Framing::Length(3));
        assert_eq!(content.take(b"abcdef", &mut out), Ok(3));
        assert_eq!(out, b"abc");
        assert!(content.trailers().is_empty());
    }
}
