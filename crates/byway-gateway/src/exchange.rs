//! One request and its answer over one connection to a provider, both directions at once.
//!
//! ```text
//!   caller ──inbox──▶ request: Head ─▶ Body ─▶ Done          ──▶ provider
//!   caller ◀── answer: Head ─▶ (Interim ─▶ Head)* ─▶ Body ─▶ Done ◀── provider
//! ```
//! `poll_request` and `poll_answer` move their side along until it would block; `poll` watches the
//! clock for whoever is waited for. Nothing is buffered beyond one piece a direction: a slow reader
//! slows the writer. Dropping an exchange at any await loses at most the connection it used.

mod answer_head;

use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::settings::Deadlines;
use byway_net::{RelayFault, Stream};
use byway_wire::Refusal;
use byway_wire::body::Body;
use byway_wire::chunked::Piece;
use byway_wire::field::FieldSpan;
use byway_wire::relay::Stage;
use byway_wire::request::RequestShape;
use byway_wire::scan::HeadScan;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::around::{Around, Catch, Seen};
use crate::buf::Buf;
use crate::caller::Caller;
use crate::clock;
use crate::location::Home;
use crate::witness::Caught;

pub(crate) use answer_head::N_INTERIM_MAX;

thread_local! {
    static SPANS: std::cell::RefCell<Vec<FieldSpan>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// What ended an exchange too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The provider, or the way to it.
    Provider(Cause, Option<Refusal>),
    /// The caller's message is malformed.
    Request(Refusal),
    /// The caller went away, or is too slow.
    CallerGone(Option<Cause>),
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The caller has the whole answer.
    Complete,
    /// Both sides agreed to speak something else; bytes that the provider already sent follow.
    Switched(Buf),
    /// Something broke.
    Failed(Fault),
    /// A suspicious answer began; nothing of it is delivered before `release`.
    Held,
}

/// The request's side.
#[derive(Debug)]
enum Sending {
    /// The head, and what of the body came with it.
    Head,
    /// The rest of the body.
    Body,
    /// Everything is with the provider.
    Done,
    /// The provider takes no more; it may still answer.
    Broken,
}

/// The answer's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    Head,
    Interim,
    Body,
    Done,
    Switched,
}

/// How the answer's body changes on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recode {
    /// Byte for byte, framing included.
    Pass,
    /// Until-close becomes chunked.
    Chunk,
    /// Chunked becomes until-close, for HTTP/1.0 callers.
    Unchunk,
}

/// One attempt in progress.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent observations of one exchange")]
pub(crate) struct Exchange<'a> {
    caller: &'a mut Caller,
    provider: &'a mut Stream,
    request: &'a RequestShape,
    deadlines: &'a Deadlines,
    home: Option<Home<'a>>,
    n_fields_max: usize,
    head_bytes_max: usize,
    draining: &'a AtomicBool,
    through_proxy: bool,
    relay_wait: Option<Duration>,
    /// Head and first body bytes; kept whole so that they can be sent again.
    out: &'a mut Buf,
    body_up: &'a mut Body,
    piece: Buf,
    piece_ready: usize,
    sending: Sending,
    was_reset: bool,
    receiving: Receiving,
    answer: Buf,
    answer_ready: usize,
    added: Buf,
    scan: HeadScan,
    body_down: Body,
    recode: Recode,
    n_interim: u8,
    total: Instant,
    moved_at: Instant,
    moved: bool,
    catch: Catch,
    caught: Option<Box<Caught>>,
    is_holding: bool,
    /// What the attempt showed so far.
    pub(crate) seen: Seen,
}

impl<'a> Exchange<'a> {
    /// Prepares an exchange; nothing is sent before the first poll.
    pub(crate) fn new(
        caller: &'a mut Caller,
        provider: &'a mut Stream,
        out: &'a mut Buf,
        body_up: &'a mut Body,
        around: Around<'a>,
    ) -> Self {
        out.rewind();
        Self {
            caller,
            provider,
            request: around.request,
            deadlines: around.deadlines,
            home: around.home,
            n_fields_max: around.n_fields_max,
            head_bytes_max: around.head_bytes_max,
            draining: around.draining,
            through_proxy: around.through_proxy,
            relay_wait: around.relay_wait,
            out,
            body_up,
            piece: Buf::none(),
            piece_ready: 0,
            sending: Sending::Head,
            was_reset: false,
            receiving: Receiving::Head,
            answer: Buf::none(),
            answer_ready: 0,
            added: Buf::none(),
            scan: HeadScan::default(),
            body_down: Body::Left(0),
            recode: Recode::Pass,
            n_interim: 0,
            total: around.total,
            moved_at: around.now,
            moved: false,
            catch: around.catch,
            caught: None,
            is_holding: false,
            seen: Seen::default(),
        }
    }

    /// Moves both directions along.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.moved = false;
        if let Poll::Ready(Err(fault)) = self.poll_request(cx) {
            return Poll::Ready(End::Failed(fault));
        }
        match self.poll_answer(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(self.end()),
            Poll::Ready(Err(fault)) => return Poll::Ready(End::Failed(fault)),
            Poll::Pending => {}
        }
        if self.moved {
            self.moved_at = clock::instant();
            if self.seen.any_answer && self.seen.first_byte_at.is_none() {
                self.seen.first_byte_at = Some(self.moved_at);
            }
        }
        let (limit, fault) = self.waiting_for();
        let due = (self.moved_at + limit).min(self.total);
        if self.caller.timer.poll_is_due(cx, due) {
            // A relay says by itself when the provider takes too long.
            let is_silent = self.relay_wait.is_some() && !self.seen.any_answer;
            let cause = if is_silent { Cause::RelayFailed } else { Cause::TotalTimeout };
            let late = Fault::Provider(cause, None);
            return Poll::Ready(End::Failed(if due == self.total { late } else { fault }));
        }
        Poll::Pending
    }

    /// Lets a held answer be delivered after all.
    pub(crate) const fn release(&mut self) {
        self.is_holding = false;
    }

    /// What was kept of the answer for a look.
    pub(crate) fn caught(&self) -> Option<&Caught> {
        self.caught.as_deref()
    }

    /// Gives it away.
    pub(crate) const fn take_caught(&mut self) -> Option<Box<Caught>> {
        self.caught.take()
    }

    fn end(&mut self) -> End {
        if self.receiving == Receiving::Switched && !self.is_holding {
            return End::Switched(std::mem::take(&mut self.answer));
        }
        let sent_all = matches!(self.sending, Sending::Done);
        // What is held without a body stands in the buffer, and nothing behind it.
        self.seen.provider_open = sent_all
            && self.receiving == Receiving::Done
            && self.answer.len() == self.answer_ready
            && self.seen.answer.is_some_and(|answer| answer.keep_alive);
        if self.is_holding {
            return End::Held;
        }
        self.seen.caller_open &= sent_all;
        End::Complete
    }

    /// Whom we wait for, how long that may take since something last moved, and what it is called.
    fn waiting_for(&self) -> (Duration, Fault) {
        let silent = |limit, cause| match self.relay_wait {
            None => (limit, Fault::Provider(cause, None)),
            Some(wait) => (wait, Fault::Provider(Cause::RelayFailed, None)),
        };
        if self.answer_ready > 0 || !self.added.is_empty() {
            return (self.deadlines.idle_body, Fault::CallerGone(None));
        }
        match (&self.sending, self.receiving) {
            (Sending::Head, _) => silent(self.deadlines.idle_body, Cause::WriteTimeout),
            (Sending::Body, Receiving::Head | Receiving::Interim) if self.piece_ready > 0 => {
                silent(self.deadlines.idle_body, Cause::WriteTimeout)
            }
            (Sending::Body, Receiving::Head | Receiving::Interim) => {
                (self.deadlines.idle_body, Fault::CallerGone(Some(Cause::RequestBodyTimeout)))
            }
            (_, Receiving::Head | Receiving::Interim | Receiving::Switched) => {
                silent(self.deadlines.first_byte, Cause::ReadTimeout)
            }
            (_, Receiving::Body | Receiving::Done) => {
                silent(self.deadlines.idle_body, Cause::BodyTimeout)
            }
        }
    }

    /// Sends what there is to send. An error of the provider's side is not one of the exchange:
    /// it may have answered before it closed.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            match self.sending {
                Sending::Head => {
                    if self.out.is_empty() {
                        self.sending =
                            if self.body_up.is_done() { Sending::Done } else { Sending::Body };
                        if let Err(error) = ready!(Pin::new(&mut *self.provider).poll_flush(cx)) {
                            self.break_off(&error);
                        }
                        continue;
                    }
                    match ready!(Pin::new(&mut *self.provider).poll_write(cx, self.out.rest())) {
                        Ok(n) if n > 0 => {
                            self.out.advance(n);
                            self.count_up(n);
                        }
                        Ok(_) => self.break_off(&io::ErrorKind::WriteZero.into()),
                        Err(error) => self.break_off(&error),
                    }
                }
                Sending::Body => ready!(self.poll_body_up(cx))?,
                Sending::Done | Sending::Broken => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_body_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.piece_ready > 0 {
            let piece = self.piece.rest().get(..self.piece_ready).unwrap_or_default();
            match ready!(Pin::new(&mut *self.provider).poll_write(cx, piece)) {
                Ok(n) if n > 0 => {
                    self.piece_ready -= n;
                    self.piece.consume(n);
                    self.count_up(n);
                }
                Ok(_) => {
                    self.break_off(&io::ErrorKind::WriteZero.into());
                    return Poll::Ready(Ok(()));
                }
                Err(error) => {
                    self.break_off(&error);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        if let Err(error) = ready!(Pin::new(&mut *self.provider).poll_flush(cx)) {
            self.break_off(&error);
            return Poll::Ready(Ok(()));
        }
        if self.body_up.is_done() {
            self.caller.inbox = std::mem::take(&mut self.piece);
            self.sending = Sending::Done;
            return Poll::Ready(Ok(()));
        }
        match ready!(self.piece.poll_fill(&mut self.caller.stream, cx)) {
            Ok(n) if n > 0 => {
                self.moved = true;
                self.seen.took_more = true;
                self.piece_ready =
                    self.body_up.advance(self.piece.rest()).map_err(Fault::Request)?;
                Poll::Ready(Ok(()))
            }
            // The caller ended or broke inside its own body: nobody is left to answer.
            Ok(_) | Err(_) => Poll::Ready(Err(Fault::CallerGone(None))),
        }
    }

    /// Notes that the provider takes no more. A reset that a write sees first looks like a plain
    /// end to the next read, so it is remembered.
    fn break_off(&mut self, error: &io::Error) {
        self.sending = Sending::Broken;
        self.was_reset |=
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
    }

    fn count_up(&mut self, n: usize) {
        self.moved = true;
        self.seen.bytes_up += n as u64;
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            ready!(self.poll_deliver(cx))?;
            match self.receiving {
                Receiving::Done | Receiving::Switched => {
                    ready!(Pin::new(&mut self.caller.stream).poll_flush(cx))
                        .map_err(|_| Fault::CallerGone(None))?;
                    return Poll::Ready(Ok(()));
                }
                Receiving::Interim => {
                    self.receiving = Receiving::Head;
                    continue;
                }
                Receiving::Head if self.answer.is_empty() => {}
                Receiving::Head => {
                    if self.take_head()? {
                        if self.is_holding {
                            return Poll::Ready(Ok(()));
                        }
                        continue;
                    }
                }
                Receiving::Body if self.answer.is_empty() => {}
                Receiving::Body => {
                    self.take_body()?;
                    continue;
                }
            }
            match ready!(self.answer.poll_fill(self.provider, cx)) {
                Ok(0) => self.take_end()?,
                Ok(_) => {
                    self.moved = true;
                    self.seen.any_answer = true;
                }
                Err(error) => return Poll::Ready(Err(self.read_failed(&error))),
            }
        }
    }

    fn read_failed(&mut self, error: &io::Error) -> Fault {
        if let Some(fault) = RelayFault::of(error) {
            self.seen.unsent = fault.stage == Stage::BeforeSend;
            self.seen.relay_gone = fault.is_gone;
            return Fault::Provider(fault.cause, None);
        }
        let cause = match (error.kind(), self.receiving) {
            // rustls reports an end without close_notify as this: a truncation, not an end.
            (io::ErrorKind::UnexpectedEof, Receiving::Body) => Cause::AnswerTruncated,
            (io::ErrorKind::UnexpectedEof, _) => Cause::ClosedWithoutAnswer,
            _ => Cause::Reset,
        };
        Fault::Provider(cause, None)
    }

    /// Writes what is ready for the caller.
    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.added.is_empty() {
            let n = ready!(Pin::new(&mut self.caller.stream).poll_write(cx, self.added.rest()));
            let n = written(n)?;
            self.added.consume(n);
            self.count_down(n);
        }
        while self.answer_ready > 0 {
            let ready = self.answer.rest().get(..self.answer_ready).unwrap_or_default();
            let n = ready!(Pin::new(&mut self.caller.stream).poll_write(cx, ready));
            let n = written(n)?;
            self.answer.consume(n);
            self.answer_ready -= n;
            self.count_down(n);
        }
        Poll::Ready(Ok(()))
    }

    fn count_down(&mut self, n: usize) {
        self.moved = true;
        self.seen.delivering = true;
        self.seen.bytes_down += n as u64;
    }

    /// Looks for a head; true if one was dealt with.
    fn take_head(&mut self) -> Result<bool, Fault> {
        let malformed = |refusal| Fault::Provider(Cause::AnswerMalformed, Some(refusal));
        let found = self.scan.feed(self.answer.rest(), self.head_bytes_max).map_err(malformed)?;
        let Some(head_len) = found else { return Ok(false) };
        self.scan = HeadScan::default();
        SPANS.with_borrow_mut(|spans| self.on_head(head_len, spans)).map_err(malformed)?;
        if self.through_proxy && self.seen.answer.is_some_and(|answer| answer.status == 407) {
            self.answer_ready = 0;
            return Err(Fault::Provider(Cause::PathCredentials, None));
        }
        Ok(true)
    }

    fn take_body(&mut self) -> Result<(), Fault> {
        let malformed = |refusal| Fault::Provider(Cause::AnswerMalformed, Some(refusal));
        match self.recode {
            Recode::Pass => {
                self.answer_ready =
                    self.body_down.advance(self.answer.rest()).map_err(malformed)?;
                let n = self.answer_ready;
                self.taken(n);
            }
            Recode::Chunk => {
                let n = self.answer.len();
                self.taken(n);
                let added = self.added.vec();
                added.extend_from_slice(format!("{n:x}\r\n").as_bytes());
                added.extend_from_slice(self.answer.rest());
                added.extend_from_slice(b"\r\n");
                self.answer.consume(n);
            }
            Recode::Unchunk => {
                let Body::Chunked(chunked) = &mut self.body_down else { return Ok(()) };
                let mut used = 0;
                while let Some(piece) = chunked
                    .next(self.answer.rest().get(used..).unwrap_or_default())
                    .map_err(malformed)?
                {
                    let (Piece::Data(n) | Piece::Framing(n) | Piece::End(n)) = piece;
                    if let Piece::Data(_) = piece {
                        let data = self.answer.rest().get(used..used + n).unwrap_or_default();
                        self.added.vec().extend_from_slice(data);
                    }
                    used += n;
                }
                self.taken(used);
                self.answer.consume(used);
            }
        }
        if self.body_down.is_done() {
            self.receiving = Receiving::Done;
        }
        Ok(())
    }

    /// Keeps the next `n` bytes of the answer's body for a look, if that is wanted.
    fn taken(&mut self, n: usize) {
        if let Some(caught) = &mut self.caught {
            caught.take(self.answer.rest().get(..n).unwrap_or_default());
        }
    }

    /// The provider closed its side.
    fn take_end(&mut self) -> Result<(), Fault> {
        match self.receiving {
            Receiving::Head | Receiving::Interim => {
                let cause = if self.was_reset {
                    Cause::Reset
                } else if self.answer.is_empty() {
                    Cause::ClosedWithoutAnswer
                } else {
                    Cause::AnswerTruncated
                };
                Err(Fault::Provider(cause, None))
            }
            Receiving::Body => {
                self.body_down
                    .end()
                    .map_err(|refusal| Fault::Provider(Cause::AnswerTruncated, Some(refusal)))?;
                if self.recode == Recode::Chunk {
                    self.added.vec().extend_from_slice(b"0\r\n\r\n");
                }
                self.receiving = Receiving::Done;
                Ok(())
            }
            Receiving::Done | Receiving::Switched => Ok(()),
        }
    }
}

fn written(n: io::Result<usize>) -> Result<usize, Fault> {
    match n {
        Ok(n) if n > 0 => Ok(n),
        Ok(_) | Err(_) => Err(Fault::CallerGone(None)),
    }
}
