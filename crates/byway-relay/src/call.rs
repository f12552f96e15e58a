//! A call is made: dialled as the gateway would, written as it was signed, and read to its end.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::relay::WHOLE_BYTES_MAX;
use byway_core::route::Scheme;
use byway_core::settings::{Deadlines, PathKind};
use byway_net::{Dial, Dialled, HopClient, Stream, Target, Timing, dial};
use byway_wire::body::Framing;
use byway_wire::content::Content;
use byway_wire::relay::answer::{Answered, Failure, SeenThere};
use byway_wire::relay::call::Call;
use byway_wire::relay::frames::DATA_BYTES;
use byway_wire::relay::{Field, Stack, Stage};
use byway_wire::request::{Limits, RequestHead, RequestShape};
use byway_wire::response::{ResponseHead, ResponseShape};
use byway_wire::scan::HeadScan;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

use crate::answer::Out;
use crate::pool::{Idle, Place};
use crate::relay::{Relay, instant, wall_ms};

/// More than gateways take, so that it is they who refuse a head, as they would directly.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// The request is written in pieces, so that it is seen whether it moves.
const PIECE_BYTES: usize = 64 * 1024;
const N_FIELDS_MAX: usize = byway_wire::N_FIELDS_MAX;
/// As many as the gateway takes.
const N_INTERIM_MAX: usize = 32;

/// One call under way.
pub(crate) struct Courier<'a> {
    pub(crate) relay: &'a Relay,
    pub(crate) call: &'a Call,
    pub(crate) arrived: Instant,
    pub(crate) is_cold: bool,
    /// Whether a byte of the request may have reached the provider.
    pub(crate) has_sent: AtomicBool,
}

/// Why there is no answer, or no more of it.
struct Failed {
    cause: Told,
    stage: Stage,
    detail: String,
    peer: Option<IpAddr>,
    /// Whether any byte of an answer came.
    has_any: bool,
}

/// A connection that a call can be made on.
struct Open {
    stream: Stream,
    peer: IpAddr,
    timing: Timing,
}

/// A code of the gateway's, or one of ours.
enum Told {
    Cause(Cause),
    Own(&'static str),
}

impl Failed {
    fn at(cause: Cause, stage: Stage) -> Self {
        let detail = cause.says().to_owned();
        Self { cause: Told::Cause(cause), stage, detail, peer: None, has_any: false }
    }

    fn own(code: &'static str, stage: Stage, detail: impl Into<String>) -> Self {
        let cause = Told::Own(code);
        Self { cause, stage, detail: detail.into(), peer: None, has_any: false }
    }

    /// Whether a kept connection was closed meanwhile, which says nothing about the provider.
    fn is_stale(&self) -> bool {
        let is_closed =
            matches!(self.cause, Told::Cause(Cause::Reset | Cause::ClosedWithoutAnswer));
        is_closed && !self.has_any
    }
}

impl Courier<'_> {
    /// Makes the call and writes the answer, whatever it is.
    pub(crate) async fn run(&self, content: &[u8], within: Option<Duration>, out: &mut Out) {
        let total = Duration::from_millis(u64::from(self.call.within.total_ms));
        let until = self.arrived + within.map_or(total, |within| within.min(total));
        // A call without time is not begun: the first poll would already dial.
        let is_late = until <= instant();
        let done = if is_late {
            None
        } else {
            timeout_at(until, Box::pin(self.make(content, out))).await.ok()
        };
        let failed = match done {
            Some(Ok(())) => return,
            Some(Err(failed)) => failed,
            None => {
                let detail = format!("more than {} ms", (until - self.arrived).as_millis());
                let has_sent = self.has_sent.load(Ordering::Relaxed);
                let stage = if has_sent { Stage::Sent } else { Stage::BeforeSend };
                Failed::own("deadline", stage, detail)
            }
        };
        let code = match failed.cause {
            Told::Cause(cause) => cause.code(),
            Told::Own(code) => code,
        };
        let Failed { stage, detail, peer, .. } = failed;
        let (code, now_ms) = (code.to_owned(), wall_ms());
        out.fail(Failure { stage, code, detail, now_ms, peer }).await;
    }

    async fn make(&self, content: &[u8], out: &mut Out) -> Result<(), Failed> {
        let head = self.call.head();
        let mut spans = Vec::new();
        let shape =
            RequestHead::parse(&head, &Limits::FIELDS_ONLY, &mut spans).map(|head| head.shape);
        let shape = shape.map_err(|why| {
            Failed::own("malformed", Stage::BeforeSend, format!("the call's head: {why}"))
        })?;
        if shape.is_connect || shape.upgrade {
            let detail = "neither a tunnel nor another protocol can pass a relay";
            return Err(Failed::own("malformed", Stage::BeforeSend, detail));
        }
        // Without TLS nothing proves that the address is the host's.
        if self.call.pinned.is_some() && !self.call.is_tls {
            let detail = "an address is pinned for https only";
            return Err(Failed::own("not_allowed", Stage::BeforeSend, detail));
        }
        let body = framed(shape.framing, content, &self.call.trailers)?;
        let request = [head.as_slice(), &body];
        // A kept connection may be closed by the provider at any moment: what must not be sent
        // twice is not sent on one.
        let place = Place::of(self.call);
        let kept = shape.is_idempotent.then(|| self.relay.pool.take(&place, instant())).flatten();
        if let Some(Idle { stream, peer, .. }) = kept {
            let reused = Open { stream, peer, timing: Timing::default() };
            match self.exchange(reused, request, &shape, out).await {
                Err(failed) if failed.is_stale() => {}
                done => return done,
            }
        }
        let Dialled { stream, peer, timing, .. } = self.dial().await?;
        let opened = Open { stream, peer: peer.ip(), timing };
        self.exchange(opened, request, &shape, out).await
    }

    async fn dial(&self) -> Result<Dialled, Failed> {
        let Call { is_tls, host, port, pinned, .. } = self.call;
        let scheme = if *is_tls { Scheme::Https } else { Scheme::Http };
        let deadlines = self.deadlines();
        let dialling = Dial {
            path: &self.relay.config.source.map_or(PathKind::Direct, PathKind::SourceIp),
            hop: &HopClient::none(),
            target: Target { scheme, host, port: *port, pinned: *pinned },
            allow: &self.relay.config.networks,
            tls: is_tls.then_some(&self.relay.tls),
            tunnel: false,
            deadlines: &deadlines,
            hops: "",
            own: &[],
        };
        dial(&self.relay.resolver, &dialling).await.map_err(|failure| Failed {
            cause: Told::Cause(failure.cause),
            stage: Stage::BeforeSend,
            detail: failure.detail,
            peer: failure.peer.map(|peer| peer.ip()),
            has_any: false,
        })
    }

    fn deadlines(&self) -> Deadlines {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        let within = self.call.within;
        Deadlines {
            connect: ms(within.connect_ms),
            tls: ms(within.tls_ms),
            first_byte: ms(within.first_byte_ms),
            idle_body: ms(within.idle_ms),
            total: ms(within.total_ms),
            ..Deadlines::default()
        }
    }

    /// Sends and reads; what goes wrong is said with the address that it went wrong with.
    async fn exchange(
        &self,
        open: Open,
        request: [&[u8]; 2],
        shape: &RequestShape,
        out: &mut Out,
    ) -> Result<(), Failed> {
        let peer = open.peer;
        self.has_sent.store(true, Ordering::Relaxed);
        let kept = self.answer(open, request, shape, out).await;
        let kept = kept.map_err(|failed| Failed { peer: Some(peer), ..failed })?;
        if let Some(stream) = kept {
            self.relay.pool.put(Place::of(self.call), stream, peer, instant());
        }
        Ok(())
    }

    /// Writes and reads at the same time: a provider may answer before it has read everything. The
    /// stream comes back if it can be used again.
    async fn answer(
        &self,
        open: Open,
        request: [&[u8]; 2],
        shape: &RequestShape,
        out: &mut Out,
    ) -> Result<Option<Stream>, Failed> {
        let Open { stream, peer, timing } = open;
        let tls = stream.tls_facts();
        let deadlines = self.deadlines();
        let (from, mut to) = tokio::io::split(stream);
        let progress = AtomicU64::new(0);
        let moved = &progress;
        let write = async move {
            for piece in request.into_iter().flat_map(|part| part.chunks(PIECE_BYTES)) {
                to.write_all(piece).await?;
                moved.fetch_add(1, Ordering::Relaxed);
            }
            to.flush().await?;
            Ok(to)
        };
        let sent_at = instant();
        let mut reading = Reading {
            from,
            write: Some(Box::pin(write)),
            written: None,
            moved: &progress,
            n_moved: 0,
            has_any: false,
            bytes: Vec::with_capacity(DATA_BYTES),
            due: sent_at + deadlines.idle_body,
            deadlines: &deadlines,
            was_reset: false,
        };
        let mut n_interim = 0;
        loop {
            let raw = reading.head().await?;
            let first_byte = instant() - sent_at;
            let seen = self.seen(peer, tls, timing, first_byte);
            let (head, answer) = understood(&raw, shape, seen)?;
            let status = head.status;
            // 100 was not asked for by anybody who still waits; it is ours to swallow.
            if status != 100 {
                out.head(head).await;
            }
            if status >= 200 {
                return reading.body(answer, self.call.answer_bytes_max, out).await;
            }
            n_interim += 1;
            if n_interim > N_INTERIM_MAX {
                return Err(Failed::at(Cause::AnswerMalformed, Stage::Sent));
            }
        }
    }

    fn seen(
        &self,
        peer: IpAddr,
        tls: Option<(u16, Option<[u8; 32]>)>,
        timing: Timing,
        first_byte: Duration,
    ) -> SeenThere {
        let us = |took: Duration| u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        SeenThere {
            peer: Some(peer),
            exit: self.relay.config.exit,
            tls_version: tls.map_or(0, |(version, _)| version),
            certificate: tls.and_then(|(_, digest)| digest),
            dns_us: us(timing.dns),
            connect_us: us(timing.connect),
            tls_us: us(timing.tls),
            first_byte_us: us(first_byte),
            is_cold: self.is_cold,
            stack: Stack::Byway,
            instance: self.relay.instance.clone(),
        }
    }
}

/// The body as its head frames it.
fn framed<'c>(
    framing: Framing,
    content: &'c [u8],
    trailers: &[Field],
) -> Result<Cow<'c, [u8]>, Failed> {
    let is_right = match framing {
        Framing::Length(n) => n == content.len() as u64,
        Framing::Empty => content.is_empty(),
        Framing::Chunked => true,
        Framing::UntilClose => false,
    };
    if !is_right {
        let detail = "the body is not as long as its head says";
        return Err(Failed::own("malformed", Stage::BeforeSend, detail));
    }
    if framing != Framing::Chunked {
        return Ok(Cow::Borrowed(content));
    }
    let mut body = Vec::with_capacity(content.len() + 64);
    if !content.is_empty() {
        body.extend_from_slice(format!("{:x}\r\n", content.len()).as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n");
    for trailer in trailers {
        trailer.write(&mut body);
    }
    body.extend_from_slice(b"\r\n");
    Ok(Cow::Owned(body))
}

fn understood(
    raw: &[u8],
    shape: &RequestShape,
    seen: SeenThere,
) -> Result<(Answered, ResponseShape), Failed> {
    let mut spans = Vec::new();
    let malformed = |why: byway_wire::Refusal| {
        let detail = why.says().to_owned();
        Failed { detail, ..Failed::at(Cause::AnswerMalformed, Stage::Sent) }
    };
    let head = ResponseHead::parse(raw, shape, N_FIELDS_MAX, &mut spans).map_err(malformed)?;
    let answered = Answered {
        status: head.shape.status,
        version: head.shape.version,
        reason: head.status_and_reason.get(3..).unwrap_or_default().to_vec(),
        fields: Field::all(raw, head.fields),
        framing: head.shape.framing,
        seen,
    };
    Ok((answered, head.shape))
}

/// The answer's side of one exchange, which keeps the request's side going.
struct Reading<'a, W> {
    from: ReadHalf<Stream>,
    write: Option<std::pin::Pin<Box<W>>>,
    /// How many pieces of the request have been taken, and how many that were when last looked at.
    moved: &'a AtomicU64,
    n_moved: u64,
    /// The other half, once everything is written.
    written: Option<WriteHalf<Stream>>,
    /// Whether any byte of an answer came.
    has_any: bool,
    bytes: Vec<u8>,
    due: Instant,
    deadlines: &'a Deadlines,
    was_reset: bool,
}

impl<W: Future<Output = std::io::Result<WriteHalf<Stream>>>> Reading<'_, W> {
    /// Reads more; 0 at the end. `late` is what it is called when nothing comes in time.
    async fn more(&mut self, late: Cause) -> Result<usize, Cause> {
        if self.bytes.capacity() - self.bytes.len() < DATA_BYTES / 2 {
            self.bytes.reserve(DATA_BYTES);
        }
        loop {
            let writing = async {
                match &mut self.write {
                    Some(write) => write.await,
                    None => std::future::pending().await,
                }
            };
            // Both are cancel safe: the write is kept, and what was read stands in the buffer.
            tokio::select! {
                wrote = writing => {
                    self.write = None;
                    self.was_reset |= wrote.is_err();
                    self.written = wrote.ok();
                    self.due = instant() + self.deadlines.first_byte;
                }
                read = timeout_at(self.due, self.from.read_buf(&mut self.bytes)) => {
                    return match read {
                        Ok(Ok(n)) => {
                            self.has_any |= n > 0;
                            Ok(n)
                        }
                        // An end of TLS without a word: a cut, and no end.
                        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                            Err(Cause::AnswerTruncated)
                        }
                        Ok(Err(_)) => Err(Cause::Reset),
                        Err(_) if self.write.is_some() && self.has_moved() => {
                            self.due = instant() + self.deadlines.idle_body;
                            continue;
                        }
                        Err(_) if self.write.is_some() => Err(Cause::WriteTimeout),
                        Err(_) => Err(late),
                    };
                }
            }
        }
    }

    /// Whether the provider has taken something since the last look.
    fn has_moved(&mut self) -> bool {
        let n = self.moved.load(Ordering::Relaxed);
        std::mem::replace(&mut self.n_moved, n) != n
    }

    /// Reads a head and leaves what is behind it.
    async fn head(&mut self) -> Result<Vec<u8>, Failed> {
        let mut scan = HeadScan::default();
        loop {
            let found = scan.feed(&self.bytes, HEAD_BYTES_MAX).map_err(|why| Failed {
                detail: why.says().to_owned(),
                ..Failed::at(Cause::AnswerMalformed, Stage::Sent)
            })?;
            if let Some(len) = found {
                let rest = self.bytes.split_off(len);
                return Ok(std::mem::replace(&mut self.bytes, rest));
            }
            let n = self.more(Cause::ReadTimeout).await;
            let has_any = self.has_any;
            let is_cut = n == Err(Cause::AnswerTruncated) && self.bytes.is_empty();
            let n = if is_cut { Err(Cause::ClosedWithoutAnswer) } else { n };
            let n = n.map_err(|cause| Failed { has_any, ..Failed::at(cause, Stage::Sent) })?;
            if n == 0 {
                let cause = match (self.was_reset, self.bytes.is_empty()) {
                    (true, _) => Cause::Reset,
                    (false, true) => Cause::ClosedWithoutAnswer,
                    (false, false) => Cause::AnswerTruncated,
                };
                return Err(Failed { has_any, ..Failed::at(cause, Stage::Sent) });
            }
        }
    }

    async fn body(
        mut self,
        answer: ResponseShape,
        bytes_max: u64,
        out: &mut Out,
    ) -> Result<Option<Stream>, Failed> {
        let mut content = Content::new(answer.framing);
        let mut data = Vec::with_capacity(DATA_BYTES);
        loop {
            let taken = content.take(&self.bytes, &mut data);
            if let Err(why) = taken {
                let detail = why.says().to_owned();
                return Err(Failed {
                    detail,
                    ..Failed::at(Cause::AnswerMalformed, Stage::Partial)
                });
            }
            let is_more = taken.is_ok_and(|n| n < self.bytes.len());
            self.bytes.clear();
            let trailers = content.is_done().then(|| content.trailers());
            if trailers.as_ref().is_some_and(|trailers| trailers.len() > N_FIELDS_MAX) {
                return Err(Failed::at(Cause::AnswerMalformed, Stage::Partial));
            }
            let bytes_max = if out.is_whole() { bytes_max.min(WHOLE_BYTES_MAX) } else { bytes_max };
            if out.n_bytes() + data.len() as u64 > bytes_max {
                let detail = format!("the answer is longer than {bytes_max} bytes");
                return Err(Failed::own("answer_too_large", Stage::Sent, detail));
            }
            out.data(&data).await;
            data.clear();
            if let Some(trailers) = trailers {
                out.end(trailers).await;
                // What says more than it was asked is not asked again.
                let is_kept = answer.keep_alive && !is_more;
                return Ok(self.written.filter(|_| is_kept).map(|to| self.from.unsplit(to)));
            }
            if out.is_lost() {
                return Err(Failed::own("lost", Stage::Partial, "the gateway went away"));
            }
            self.due = instant() + self.deadlines.idle_body;
            let n = self.more(Cause::BodyTimeout).await;
            let n = n.map_err(|cause| Failed::at(cause, Stage::Sent))?;
            if n == 0 {
                return match content.end() {
                    Ok(()) => {
                        out.end(Vec::new()).await;
                        Ok(None)
                    }
                    Err(_) => Err(Failed::at(Cause::AnswerTruncated, Stage::Sent)),
                };
            }
        }
    }
}
