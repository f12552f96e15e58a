//! One request and its answer over one stream, for whoever is not a proxy.

use std::fmt;
use std::time::Duration;

use byway_wire::content::Content;
use byway_wire::relay::Field;
use byway_wire::request::{Limits, RequestHead, RequestShape};
use byway_wire::response::ResponseHead;
use byway_wire::scan::HeadScan;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::stream::Stream;

/// A request, whole.
#[derive(Debug, Clone, Copy)]
pub struct Once<'a> {
    /// Its head, with the empty line.
    pub head: &'a [u8],
    /// Its body as framed by the head.
    pub body: &'a [u8],
    /// How long nothing may happen.
    pub within: Duration,
}

/// An answer; its content went to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceAnswer {
    /// The head of the final answer, byte for byte.
    pub head: Vec<u8>,
    /// Its status.
    pub status: u16,
    /// The trailers.
    pub trailers: Vec<Field>,
}

/// Why there is no answer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceError(String);

impl fmt::Display for OnceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OnceError {}

const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Interim answers; more are nobody's.
const N_INTERIM_MAX: usize = 32;

impl Once<'_> {
    /// Sends it and reads the answer, content piece by piece into `sink`, which ends the reading by
    /// returning false.
    ///
    /// Cancel safe: dropping it loses the stream's place, and nothing else.
    ///
    /// # Errors
    /// [`OnceError`].
    pub async fn run(
        &self,
        stream: &mut Stream,
        sink: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<OnceAnswer, OnceError> {
        let shape = self.shape()?;
        let (mut from, mut to) = tokio::io::split(stream);
        let write = async {
            to.write_all(self.head).await?;
            to.write_all(self.body).await?;
            to.flush().await?;
            // A side that has nothing more to say must not end the reading.
            std::future::pending::<std::io::Result<()>>().await
        };
        let read = async {
            let mut bytes = Vec::new();
            for _ in 0..=N_INTERIM_MAX {
                let head = self.read_head(&mut from, &mut bytes).await?;
                let (status, framing) = understood(&head, &shape)?;
                if (100..200).contains(&status) && status != 101 {
                    continue;
                }
                let mut content = Content::new(framing);
                self.read_body(&mut from, &mut bytes, &mut content, sink).await?;
                return Ok(OnceAnswer { head, status, trailers: content.trailers() });
            }
            Err(OnceError("interim answers without end".to_owned()))
        };
        tokio::select! {
            biased;
            answer = read => answer,
            // Whoever refuses may close before it has read everything, and has answered by then.
            Err(error) = write => Err(OnceError(format!("the connection broke: {error}"))),
        }
    }

    fn shape(&self) -> Result<RequestShape, OnceError> {
        let mut spans = Vec::new();
        let head = RequestHead::parse(self.head, &Limits::FIELDS_ONLY, &mut spans);
        head.map(|head| head.shape).map_err(|why| OnceError(format!("the request: {why}")))
    }

    async fn more<R: tokio::io::AsyncRead + Unpin>(
        &self,
        from: &mut R,
        bytes: &mut Vec<u8>,
    ) -> Result<usize, OnceError> {
        bytes.reserve(64 * 1024);
        match timeout(self.within, from.read_buf(bytes)).await {
            Ok(Ok(n)) => Ok(n),
            // An end of TLS without a word is a cut, and no end: whatever is whole by then is given
            // out before anybody reads on.
            Ok(Err(error)) => Err(OnceError(error.to_string())),
            Err(_) => Err(OnceError(format!("nothing came for {} s", self.within.as_secs()))),
        }
    }

    async fn read_head<R: tokio::io::AsyncRead + Unpin>(
        &self,
        from: &mut R,
        bytes: &mut Vec<u8>,
    ) -> Result<Vec<u8>, OnceError> {
        let mut scan = HeadScan::default();
        loop {
            let found = scan.feed(bytes, HEAD_BYTES_MAX);
            if let Some(len) = found.map_err(|why| OnceError(why.says().to_owned()))? {
                let rest = bytes.split_off(len);
                return Ok(std::mem::replace(bytes, rest));
            }
            if self.more(from, bytes).await? == 0 {
                let says = "the connection was closed before an answer";
                return Err(OnceError(says.to_owned()));
            }
        }
    }

    async fn read_body<R: tokio::io::AsyncRead + Unpin>(
        &self,
        from: &mut R,
        bytes: &mut Vec<u8>,
        content: &mut Content,
        sink: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<(), OnceError> {
        let mut out = Vec::new();
        loop {
            let n = content.take(bytes, &mut out);
            let n = n.map_err(|why| OnceError(why.says().to_owned()))?;
            bytes.drain(..n);
            let goes_on = out.is_empty() || sink(&out);
            out.clear();
            if content.is_done() || !goes_on {
                return Ok(());
            }
            if self.more(from, bytes).await? == 0 {
                return content.end().map_err(|why| OnceError(why.says().to_owned()));
            }
        }
    }
}

fn understood(
    head: &[u8],
    shape: &RequestShape,
) -> Result<(u16, byway_wire::body::Framing), OnceError> {
    let mut spans = Vec::new();
    let head = ResponseHead::parse(head, shape, byway_wire::N_FIELDS_MAX, &mut spans);
    let shape = head.map_err(|why| OnceError(why.says().to_owned()))?.shape;
    Ok((shape.status, shape.framing))
}
