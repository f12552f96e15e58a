//! A connection to a relay that looks like one to the provider.
//!
//! ```text
//!   Asking ──whole request──▶ Posting ──▶ Answering ──END──▶ Asking
//!                                  └────────ERR, or anything else──▶ Failed
//! ```
//! `poll_write` takes a request and seals it once it is whole; `poll_flush` and `poll_read` post it;
//! `poll_read` gives the answer out frame by frame. No more is read from the relay than has been
//! taken from here, so an answer of any size passes in constant memory.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use byway_core::cause::Cause;
use byway_core::relay::{Asked, Unfit};
use byway_core::settings::Deadlines;
use byway_wire::body::Framing;
use byway_wire::content::Content;
use byway_wire::relay::answer::{Answered, End, Pong, SeenThere};
use byway_wire::relay::call::Kind;
use byway_wire::relay::frames::{Frame, Frames};
use byway_wire::relay::{Field, Stage};
use byway_wire::request::{Limits, RequestHead, RequestShape};
use byway_wire::response::ResponseHead;
use byway_wire::scan::HeadScan;
use ring::digest::{Context as Digest, SHA256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::held::Held;
use super::outer::OuterAnswer;
use super::{Leg, RelayClient, RelayFault, wall_ms};
use crate::stream::Stream;

/// What is read from the relay at a time.
const READ_BYTES: usize = 32 * 1024;

/// A connection to a relay.
#[derive(Debug)]
pub struct RelayStream {
    inner: Stream,
    client: Arc<RelayClient>,
    held: Held,
    is_tls: bool,
    host: String,
    port: u16,
    deadlines: Deadlines,
    state: State,
    outer: OuterAnswer,
    frames: Frames,
    /// Frames that have come, not yet read.
    come: Vec<u8>,
    /// The answer as HTTP/1, not yet taken.
    ready: Vec<u8>,
    n_taken: usize,
    answer: Answer,
    /// What the request means for the answer to it; `None` for a ping.
    asked: Option<RequestShape>,
    /// Whether the end of the last outer answer has still to come.
    has_tail: bool,
    seen: Option<SeenThere>,
    pong: Option<Pong>,
    fault: Option<RelayFault>,
}

#[derive(Debug)]
enum State {
    Asking(Box<Asking>),
    Posting {
        bytes: Vec<u8>,
        n_sent: usize,
    },
    Answering,
    /// The answer was one that ends with its connection.
    Closed,
    Failed,
}

/// A request as far as it has been written.
#[derive(Debug, Default)]
struct Asking {
    /// The head, and before it is whole what is behind it.
    raw: Vec<u8>,
    scan: HeadScan,
    body: Option<Content>,
    content: Vec<u8>,
}

/// What the answer has shown so far.
struct Answer {
    framing: Framing,
    /// What would make the answer complete, until END says that it is.
    held: Vec<u8>,
    digest: Digest,
    n_bytes: u64,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { framing, n_bytes, .. } = self;
        write!(f, "Answer({framing:?}, {n_bytes} bytes)")
    }
}

impl Answer {
    fn new(framing: Framing) -> Self {
        Self { framing, held: Vec::new(), digest: Digest::new(&SHA256), n_bytes: 0 }
    }
}

impl RelayStream {
    pub(crate) fn new(inner: Stream, client: Arc<RelayClient>, leg: &Leg<'_>) -> Self {
        Self {
            inner,
            held: Held::nothing(Arc::clone(&client)),
            client,
            is_tls: leg.is_tls,
            host: leg.host.to_owned(),
            port: leg.port,
            deadlines: *leg.deadlines,
            state: State::Asking(Box::default()),
            outer: OuterAnswer::new(),
            frames: Frames::default(),
            come: Vec::new(),
            ready: Vec::new(),
            n_taken: 0,
            answer: Answer::new(Framing::Empty),
            asked: None,
            has_tail: false,
            seen: None,
            pong: None,
            fault: None,
        }
    }

    /// The connection below.
    pub(crate) fn inner(&self) -> &Stream {
        &self.inner
    }

    /// Our side of the relay.
    #[cfg(test)]
    pub(super) const fn client(&self) -> &Arc<RelayClient> {
        &self.client
    }

    /// What went wrong, if anything did.
    pub fn fault(&self) -> Option<&RelayFault> {
        self.fault.as_ref()
    }

    /// What the relay saw on its way to the last answer.
    pub fn seen(&self) -> Option<&SeenThere> {
        self.seen.as_ref()
    }

    /// Asks the relay who it is; the provider is not touched.
    ///
    /// # Errors
    /// [`RelayFault`], with nothing blamed on anybody but the relay.
    pub async fn ping(&mut self) -> Result<Pong, RelayFault> {
        let leg = Leg { is_tls: false, host: "", port: 0, deadlines: &self.deadlines };
        let mut call = self.client.call(&leg)?;
        let bytes = self.client.seal(Kind::Ping, &mut call, &[])?;
        self.asked = None;
        self.state = State::Posting { bytes, n_sent: 0 };
        let mut buf = [0; 1];
        let mut buf = ReadBuf::new(&mut buf);
        let read = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut buf)).await;
        let relay = self.client.hop().id.clone();
        let odd = |why: &str| {
            let detail = format!("the relay {relay}: {why}");
            RelayFault::new(Cause::RelayFailed, Stage::Sent, detail)
        };
        match (self.fault.take(), self.pong.take(), read) {
            (Some(fault), _, _) => Err(fault),
            (None, Some(pong), _) => Ok(pong),
            (None, None, Err(error)) => Err(odd(&error.to_string())),
            (None, None, Ok(())) => Err(odd("it answered something else than who it is")),
        }
    }

    fn fail(&mut self, fault: RelayFault) -> io::Error {
        self.held.give_back();
        self.state = State::Failed;
        let fault = self.fault.get_or_insert(fault);
        fault.clone().into_io()
    }

    /// How far the request is, should the connection break now.
    fn stage(&self) -> Stage {
        match &self.state {
            State::Asking(_) => Stage::BeforeSend,
            // A relay reads a call whole before it does anything.
            State::Posting { bytes, n_sent } if *n_sent < bytes.len() => Stage::BeforeSend,
            State::Posting { .. } | State::Answering if self.frames.has_final() => Stage::Partial,
            State::Posting { .. } | State::Answering | State::Closed | State::Failed => Stage::Sent,
        }
    }

    fn broke(&mut self, error: &io::Error) -> io::Error {
        let detail = format!("lost the relay {}: {error}", self.client.hop().id);
        let fault = RelayFault::new(Cause::RelayFailed, self.stage(), detail);
        self.fail(RelayFault { is_gone: !self.frames.has_final(), ..fault })
    }

    /// Takes a piece of the request.
    fn take(&mut self, bytes: &[u8]) -> Result<(), RelayFault> {
        // The next request begins when the last answer has been given out.
        if matches!(self.state, State::Answering) && self.frames.is_over() {
            self.again();
        }
        let State::Asking(asking) = &mut self.state else {
            let detail = "more was sent than one request";
            return Err(RelayFault::new(Cause::Internal, Stage::Sent, detail));
        };
        let max = self.client.hop().limits.request_bytes_max;
        let is_new = asking.body.is_none();
        if asking.take(bytes).is_err() {
            let detail = "the request cannot be understood";
            return Err(RelayFault::new(Cause::Internal, Stage::BeforeSend, detail));
        }
        if asking.content.len() > max {
            return Err(self.client.unfit(Unfit::TooLarge));
        }
        self.held.grow_to(asking.content.len())?;
        let Some(body) = &asking.body else { return Ok(()) };
        if body.is_done() {
            return self.seal();
        }
        // Whoever waits for a 100 would wait for ever: the relay gets the request whole.
        if is_new && asking.content.is_empty() && asking.expects_continue() {
            self.ready.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(())
    }

    fn again(&mut self) {
        self.state = State::Asking(Box::default());
        self.frames = Frames::default();
        self.answer = Answer::new(Framing::Empty);
        self.has_tail = self.outer.done().is_none();
        if !self.has_tail {
            self.outer.again();
        }
    }

    fn seal(&mut self) -> Result<(), RelayFault> {
        let State::Asking(asking) = &mut self.state else { return Ok(()) };
        let leg = Leg {
            is_tls: self.is_tls,
            host: &self.host,
            port: self.port,
            deadlines: &self.deadlines,
        };
        let mut call = self.client.call(&leg)?;
        let mut spans = Vec::new();
        let Ok(parsed) = RequestHead::parse(&asking.raw, &Limits::FIELDS_ONLY, &mut spans) else {
            return Ok(());
        };
        let shape = parsed.shape;
        self.asked = Some(shape);
        let asked = Asked {
            is_connect: shape.is_connect,
            upgrades: shape.upgrade,
            is_safe: shape.is_safe,
            needs_identity: false,
            head_bytes: asking.raw.len(),
            body_bytes: Some(asking.content.len() as u64),
        };
        self.client.hop().fits(&asked).map_err(|unfit| self.client.unfit(unfit))?;
        call.version = parsed.shape.version;
        call.method = parsed.method.to_vec();
        call.target = parsed.target_raw.to_vec();
        call.fields = Field::all(&asking.raw, parsed.fields);
        call.trailers = asking.body.as_ref().map(Content::trailers).unwrap_or_default();
        let content = std::mem::take(&mut asking.content);
        let bytes = self.client.seal(Kind::Call, &mut call, &content)?;
        self.state = State::Posting { bytes, n_sent: 0 };
        Ok(())
    }

    fn poll_post(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let State::Posting { bytes, n_sent } = &mut self.state else {
                return Poll::Ready(Ok(()));
            };
            let rest = bytes.get(*n_sent..).unwrap_or_default();
            if rest.is_empty() {
                if let Err(error) = ready!(Pin::new(&mut self.inner).poll_flush(cx)) {
                    return Poll::Ready(Err(self.broke(&error)));
                }
                self.held.give_back();
                self.state = State::Answering;
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest)) {
                Ok(n) if n > 0 => *n_sent += n,
                // A relay that refuses may close before it has read everything: its answer counts.
                Ok(_) | Err(_) => {
                    self.held.give_back();
                    self.state = State::Answering;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Reads once from the relay, and understands what has come.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let raw = self.outer.raw();
        let n_before = raw.len();
        raw.resize(n_before + READ_BYTES, 0);
        let mut buf = ReadBuf::new(raw.get_mut(n_before..).unwrap_or_default());
        let polled = Pin::new(&mut self.inner).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        raw.truncate(n_before + n);
        if let Err(error) = ready!(polled) {
            return Poll::Ready(Err(self.broke(&error)));
        }
        let read = self.understand(n).and_then(|()| self.read_frames());
        let relay = &self.client.hop().id;
        if let Err(mut fault) = read {
            if self.frames.has_final() {
                fault.stage = Stage::Partial;
            }
            return Poll::Ready(Err(self.fail(fault)));
        }
        if self.outer.done().is_some() && !self.frames.is_over() {
            let detail = format!("the answer of the relay {relay} has no end");
            let detail = if self.answer.n_bytes == 0 && !self.frames.has_final() {
                format!("the relay {relay} answered 200 with something that is no relay's answer")
            } else {
                detail
            };
            let fault = RelayFault::new(Cause::RelayFailed, self.stage(), detail);
            return Poll::Ready(Err(self.fail(fault)));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the outer answer off; `n` new bytes have come, or the end.
    fn understand(&mut self, n: usize) -> Result<(), RelayFault> {
        let relay = &self.client.hop().id;
        if self.has_tail {
            self.outer.take(&mut self.come, relay)?;
            if self.outer.done() == Some(true) {
                self.outer.again();
                self.has_tail = false;
            }
        }
        if n == 0 { self.outer.end(relay) } else { self.outer.take(&mut self.come, relay) }
    }

    /// Frames → HTTP/1.
    fn read_frames(&mut self) -> Result<(), RelayFault> {
        let relay = self.client.hop().id.clone();
        let mut used = 0;
        loop {
            let rest = self.come.get(used..).unwrap_or_default();
            let next = self.frames.next(rest).map_err(|why| {
                let detail = match why.0 {
                    "magic" => format!("the relay {relay} answered 200, but not as a relay"),
                    _ => format!("the relay {relay}: {why}"),
                };
                RelayFault::new(Cause::RelayFailed, Stage::Sent, detail)
            })?;
            let Some((frame, n)) = next else { break };
            used += n;
            match frame {
                Frame::Head(head) => {
                    self.answer = give_head(&head, self.asked.as_ref(), &relay, &mut self.ready)?;
                    self.seen = Some(head.seen);
                }
                Frame::Data(data) => {
                    give_data(&mut self.answer, data, &relay, &mut self.ready)?;
                }
                Frame::End(end) => give_end(&mut self.answer, &end, &relay, &mut self.ready)?,
                Frame::Failed(failure) => {
                    return Err(RelayFault::told(&failure, &relay, wall_ms()));
                }
                Frame::Pong(pong) if self.asked.is_none() => self.pong = Some(pong),
                Frame::Pong(_) => {
                    let detail = format!("the relay {relay} answered a call as if it were a ping");
                    return Err(RelayFault::new(Cause::RelayFailed, Stage::Sent, detail));
                }
            }
        }
        self.come.drain(..used);
        Ok(())
    }

    /// What the connection says while nothing is asked: its end, or nothing.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.outer.done() {
            Some(true) => {}
            Some(false) => return Poll::Ready(Ok(())),
            // The end of the outer answer comes behind the end of the inner one.
            None if self.frames.is_over() => {
                ready!(self.poll_answer(cx))?;
                if self.outer.done() != Some(true) {
                    return Poll::Ready(Ok(()));
                }
            }
            None => {}
        }
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        Pin::new(&mut self.inner).poll_read(cx, &mut byte)
    }
}

impl Asking {
    fn take(&mut self, bytes: &[u8]) -> Result<(), byway_wire::Refusal> {
        if let Some(body) = &mut self.body {
            return body.take(bytes, &mut self.content).map(drop);
        }
        self.raw.extend_from_slice(bytes);
        let Some(len) = self.scan.feed(&self.raw, usize::MAX)? else { return Ok(()) };
        let behind = self.raw.split_off(len);
        let mut spans = Vec::new();
        let framing =
            RequestHead::parse(&self.raw, &Limits::FIELDS_ONLY, &mut spans)?.shape.framing;
        let mut body = Content::new(framing);
        body.take(&behind, &mut self.content)?;
        self.body = Some(body);
        Ok(())
    }

    fn expects_continue(&self) -> bool {
        let mut spans = Vec::new();
        RequestHead::parse(&self.raw, &Limits::FIELDS_ONLY, &mut spans)
            .is_ok_and(|head| head.shape.expects_continue)
    }
}

/// What the relay says of the body's framing has to be what the fields say: whoever reads on would
/// otherwise wait for a body that never comes, and blame the provider.
fn give_head(
    head: &Answered,
    asked: Option<&RequestShape>,
    relay: &str,
    ready: &mut Vec<u8>,
) -> Result<Answer, RelayFault> {
    let bytes = head.head();
    let mut spans = Vec::new();
    let fits = asked.is_some_and(|asked| {
        let parsed = ResponseHead::parse(&bytes, asked, byway_wire::N_FIELDS_MAX, &mut spans);
        parsed.is_ok_and(|parsed| parsed.shape.framing == head.framing)
    });
    if !fits {
        let detail = format!("the relay {relay} gives a head that does not fit its body");
        return Err(RelayFault::new(Cause::RelayFailed, Stage::Sent, detail));
    }
    let mut answer = Answer::new(head.framing);
    let is_all = head.status >= 200 && matches!(head.framing, Framing::Empty | Framing::Length(0));
    if is_all {
        answer.held = bytes;
    } else {
        ready.extend_from_slice(&bytes);
    }
    Ok(answer)
}

/// A piece of the content; more than the head announced is none of it, and is neither kept nor given.
fn give_data(
    answer: &mut Answer,
    data: &[u8],
    relay: &str,
    ready: &mut Vec<u8>,
) -> Result<(), RelayFault> {
    answer.digest.update(data);
    answer.n_bytes += data.len() as u64;
    let max = match answer.framing {
        Framing::Empty => 0,
        Framing::Length(n) => n,
        Framing::Chunked | Framing::UntilClose => u64::MAX,
    };
    if answer.n_bytes > max {
        let detail = format!("the relay {relay} gives more of a body than its head announces");
        return Err(RelayFault::new(Cause::RelayFailed, Stage::Partial, detail));
    }
    match answer.framing {
        Framing::Chunked => {
            ready.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
            ready.extend_from_slice(data);
            ready.extend_from_slice(b"\r\n");
        }
        Framing::Length(n) if answer.n_bytes >= n => answer.held.extend_from_slice(data),
        Framing::Empty | Framing::Length(_) | Framing::UntilClose => {
            ready.extend_from_slice(data);
        }
    }
    Ok(())
}

fn give_end(
    answer: &mut Answer,
    end: &End,
    relay: &str,
    ready: &mut Vec<u8>,
) -> Result<(), RelayFault> {
    let digest = std::mem::replace(&mut answer.digest, Digest::new(&SHA256)).finish();
    let is_long_enough = match answer.framing {
        Framing::Length(n) => n == answer.n_bytes,
        Framing::Empty => answer.n_bytes == 0,
        Framing::Chunked | Framing::UntilClose => true,
    };
    if end.body_bytes != answer.n_bytes || digest.as_ref() != end.body_digest || !is_long_enough {
        let detail = format!("the answer was changed on the way from the relay {relay}");
        return Err(RelayFault::new(Cause::RelayFailed, Stage::Partial, detail));
    }
    ready.append(&mut answer.held);
    if answer.framing == Framing::Chunked {
        ready.extend_from_slice(b"0\r\n");
        for trailer in &end.trailers {
            trailer.write(ready);
        }
        ready.extend_from_slice(b"\r\n");
    }
    Ok(())
}

impl AsyncRead for RelayStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let ready = this.ready.get(this.n_taken..).unwrap_or_default();
            if !ready.is_empty() {
                let n = ready.len().min(buf.remaining());
                buf.put_slice(ready.get(..n).unwrap_or_default());
                this.n_taken += n;
                if this.n_taken == this.ready.len() {
                    this.ready.clear();
                    this.n_taken = 0;
                }
                return Poll::Ready(Ok(()));
            }
            match &this.state {
                State::Asking(asking) if !asking.raw.is_empty() => {
                    // Nothing is said before the request is whole; whoever writes wakes itself.
                    return Poll::Pending;
                }
                State::Asking(_) => return this.poll_rest(cx),
                State::Posting { .. } => ready!(this.poll_post(cx))?,
                State::Answering if this.frames.is_over() => {
                    if this.answer.framing == Framing::UntilClose || this.pong.is_some() {
                        this.state = State::Closed;
                        continue;
                    }
                    return this.poll_rest(cx);
                }
                State::Answering => ready!(this.poll_answer(cx))?,
                State::Closed => return Poll::Ready(Ok(())),
                State::Failed => {
                    let fault = this.fault.clone();
                    let error = fault.map(RelayFault::into_io);
                    return Poll::Ready(Err(error.unwrap_or(io::ErrorKind::BrokenPipe.into())));
                }
            }
        }
    }
}

impl AsyncWrite for RelayStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.take(bytes) {
            Ok(()) => Poll::Ready(Ok(bytes.len())),
            Err(fault) => Poll::Ready(Err(this.fail(fault))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_post(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
