//! An HTTP listener: Cloud Run, a container, any host.
//!
//! It knows POST and nothing else; whoever does not hold a key gets `refused`, and the connection
//! is closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use byway_core::settings::ListenerTls;
use byway_net::TlsServer;
use byway_wire::body::Framing;
use byway_wire::content::Content;
use byway_wire::relay::call::{META_BYTES_MAX, PREAMBLE_BYTES};
use byway_wire::relay::{CONTENT_TYPE, CONTENT_TYPE_TEXT, SIGNATURE_BYTES};
use byway_wire::request::{Limits, RequestHead, RequestShape};
use byway_wire::scan::HeadScan;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::REFUSED;
use crate::relay::{Admitted, Relay, Stranger, instant};

/// Where a relay listens, and what it bears.
#[derive(Debug, Clone)]
pub struct Plain {
    /// The address.
    pub addr: SocketAddr,
    /// TLS towards gateways; a platform like Cloud Run does that by itself.
    pub tls: Option<ListenerTls>,
    /// The content of a request.
    pub body_bytes_max: usize,
    /// Connections at once; further ones wait.
    pub n_connections_max: usize,
}

/// The platform's fields, and the lock's.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// For a whole head, and for a body of 1 MiB; larger ones get time by their size.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// No line that a body comes over is slower than this.
const BYTES_PER_SECOND_MIN: usize = 64 * 1024;
/// A new connection has to show within this that it is no stranger's.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// Between two requests; above the 50 s of a gateway, so that it is the one who closes.
const IDLE: Duration = Duration::from_secs(75);
/// Pieces of an answer that wait for a slow reader; then the provider waits.
pub(crate) const N_PIECES: usize = 2;
/// How long requests may go on after the end was asked for.
const DRAIN: Duration = Duration::from_secs(9);
/// What a gateway may have sent behind a request before it gets its answer.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// How many connections there may be: those of strangers must not keep the others out.
#[derive(Debug, Clone)]
struct Room {
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
}

impl Plain {
    /// Serves until told to stop; `ready` learns the address.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn serve(
        self,
        relay: Arc<Relay>,
        stop: CancellationToken,
        ready: impl FnOnce(SocketAddr),
    ) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.addr)
            .await
            .with_context(|| format!("cannot listen on {}", self.addr))?;
        let tls = self.tls.as_ref().map(TlsServer::new).transpose()?;
        ready(listener.local_addr()?);
        let room = Room {
            strangers: Arc::new(Semaphore::new(self.n_connections_max / 2)),
            known: Arc::new(Semaphore::new(self.n_connections_max)),
        };
        let tasks = TaskTracker::new();
        loop {
            let Ok(permit) = Arc::clone(&room.strangers).acquire_owned().await else { break };
            let tcp = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _)) => tcp,
                    // Out of files, or a connection that is gone again: the next one may do.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        continue;
                    }
                },
            };
            let _no_delay = tcp.set_nodelay(true);
            let seat = Seat { room: room.clone(), permit, is_known: false };
            let (relay, stop) = (Arc::clone(&relay), stop.clone());
            let (tls, bytes_max) = (tls.clone(), self.body_bytes_max);
            tasks.spawn(async move {
                match tls {
                    None => Connection::new(tcp, seat, bytes_max).run(&relay, &stop).await,
                    Some(tls) => {
                        let shaken = timeout(FIRST_WITHIN, tls.acceptor().accept(tcp)).await;
                        if let Ok(Ok(stream)) = shaken {
                            Connection::new(stream, seat, bytes_max).run(&relay, &stop).await;
                        }
                    }
                }
            });
        }
        tasks.close();
        let _late = timeout(DRAIN, tasks.wait()).await;
        Ok(())
    }
}

/// A connection's place; whoever turns out to hold a key gets one among the known.
struct Seat {
    room: Room,
    permit: OwnedSemaphorePermit,
    is_known: bool,
}

impl Seat {
    async fn known(&mut self) {
        if !std::mem::replace(&mut self.is_known, true)
            && let Ok(permit) = Arc::clone(&self.room.known).acquire_owned().await
        {
            self.permit = permit;
        }
    }
}

/// What has been read of a request.
enum Asked {
    /// Its body, and whether the connection goes on.
    Body(Vec<u8>, bool),
    /// Something that is answered with a status and the end of the connection.
    No(u16),
    /// Nobody asks any more.
    Gone,
}

/// A connection of whoever it is.
struct Connection<S> {
    from: ReadHalf<S>,
    to: WriteHalf<S>,
    inbox: Vec<u8>,
    seat: Seat,
    bytes_max: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    fn new(stream: S, seat: Seat, bytes_max: usize) -> Self {
        let (from, to) = tokio::io::split(stream);
        Self { from, to, inbox: Vec::with_capacity(8192), seat, bytes_max }
    }

    async fn run(mut self, relay: &Relay, stop: &CancellationToken) {
        loop {
            let is_between = self.inbox.is_empty();
            let asked = tokio::select! {
                () = stop.cancelled(), if is_between => return,
                asked = Box::pin(self.ask(relay)) => asked,
            };
            let goes_on = match asked {
                Asked::Gone => return,
                Asked::No(status) => return refuse(&mut self.to, status).await,
                Asked::Body(body, goes_on) => match relay.admit(&body) {
                    Err(Stranger) => return refuse(&mut self.to, 403).await,
                    Ok(admitted) => {
                        drop(body);
                        self.seat.known().await;
                        // A gateway that leaves takes its call along.
                        tokio::select! {
                            goes_on = Box::pin(give(&mut self.to, relay, admitted, goes_on)) => goes_on,
                            () = gone(&mut self.from, &mut self.inbox) => return,
                        }
                    }
                },
            };
            if !goes_on || stop.is_cancelled() {
                let _gone = self.to.shutdown().await;
                return;
            }
        }
    }

    /// Reads one request.
    async fn ask(&mut self, relay: &Relay) -> Asked {
        let mut scan = HeadScan::default();
        let mut late = None;
        let head_len = loop {
            match scan.feed(&self.inbox, HEAD_BYTES_MAX) {
                Err(_) => return Asked::No(relay.refused(400)),
                Ok(Some(len)) => break len,
                Ok(None) => {}
            }
            let until = match (self.inbox.is_empty(), self.seat.is_known) {
                (true, true) => instant() + IDLE,
                (true, false) => instant() + FIRST_WITHIN,
                // From the first byte to the last, however small the pieces are.
                (false, _) => *late.get_or_insert_with(|| instant() + READ_WITHIN),
            };
            match timeout_at(until, self.from.read_buf(&mut self.inbox)).await {
                Ok(Ok(n)) if n > 0 => {}
                Ok(Ok(_) | Err(_)) => return Asked::Gone,
                Err(_) if self.inbox.is_empty() => return Asked::Gone,
                Err(_) => return Asked::No(relay.refused(408)),
            }
        };
        let rest = self.inbox.split_off(head_len);
        let head = std::mem::replace(&mut self.inbox, rest);
        let mut spans = Vec::new();
        let limits = Limits { head_bytes_max: HEAD_BYTES_MAX, ..Limits::default() };
        match RequestHead::parse(&head, &limits, &mut spans) {
            Err(_) => Asked::No(relay.refused(400)),
            Ok(parsed) if parsed.method != b"POST" => Asked::No(relay.refused(405)),
            Ok(parsed) => self.body(&parsed.shape, relay).await,
        }
    }

    /// Reads a body; no more of a stranger's than it takes to see that it is one's.
    async fn body(&mut self, shape: &RequestShape, relay: &Relay) -> Asked {
        let envelope_max = PREAMBLE_BYTES + META_BYTES_MAX + SIGNATURE_BYTES;
        // Base64 is a third longer.
        let bytes_max = (self.bytes_max + envelope_max) / 3 * 4 + 4;
        let announced = match shape.framing {
            Framing::Length(n) => usize::try_from(n).unwrap_or(usize::MAX),
            Framing::Empty | Framing::Chunked | Framing::UntilClose => 0,
        };
        if announced > bytes_max {
            return Asked::No(relay.refused(413));
        }
        if shape.expects_continue
            && self.inbox.is_empty()
            && write(&mut self.to, b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err()
        {
            return Asked::Gone;
        }
        let began = instant();
        let mut is_known = false;
        let (mut content, mut out) = (Content::new(shape.framing), Vec::new());
        loop {
            match content.take(&self.inbox, &mut out) {
                Ok(n) => drop(self.inbox.drain(..n)),
                Err(_) => return Asked::No(relay.refused(400)),
            }
            // What is whole is checked once, where it is admitted.
            if !is_known && !content.is_done() {
                match relay.knows(&out) {
                    Some(false) => return Asked::No(403),
                    Some(true) => {
                        is_known = true;
                        out.reserve(announced.saturating_sub(out.len()));
                    }
                    None => {}
                }
            }
            if out.len() > bytes_max {
                return Asked::No(relay.refused(413));
            }
            if content.is_done() {
                return Asked::Body(out, shape.keep_alive);
            }
            let by_size = u64::try_from(out.len() / BYTES_PER_SECOND_MIN).unwrap_or(u64::MAX);
            let until = began + READ_WITHIN + Duration::from_secs(by_size);
            match timeout_at(until, self.from.read_buf(&mut self.inbox)).await {
                Ok(Ok(n)) if n > 0 => {}
                Ok(Ok(_) | Err(_)) => return Asked::Gone,
                Err(_) => return Asked::No(relay.refused(408)),
            }
        }
    }
}

/// Waits until the other side is gone; what it sends meanwhile is kept for the next request.
async fn gone(from: &mut (impl AsyncRead + Unpin), inbox: &mut Vec<u8>) {
    while inbox.len() < AHEAD_BYTES_MAX {
        match from.read_buf(inbox).await {
            Ok(n) if n > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
    std::future::pending().await
}

/// Gives the answer; whether the connection goes on.
async fn give(
    to: &mut (impl AsyncWrite + Unpin + Send),
    relay: &Relay,
    admitted: Admitted,
    goes_on: bool,
) -> bool {
    if admitted.may_stream() {
        let (pieces, come) = tokio::sync::mpsc::channel(N_PIECES);
        let answering = relay.stream(admitted, None, pieces);
        return tokio::join!(answering, pump(to, come, goes_on)).1;
    }
    let content_type = if admitted.is_text() { CONTENT_TYPE_TEXT } else { CONTENT_TYPE };
    let answer = relay.answer(admitted, None).await;
    let mut bytes = head_of(content_type, Some(answer.len()), goes_on);
    bytes.extend_from_slice(&answer);
    goes_on && matches!(timeout(IDLE, write(to, &bytes)).await, Ok(Ok(())))
}

fn head_of(content_type: &str, length: Option<usize>, goes_on: bool) -> Vec<u8> {
    let framing = match length {
        Some(n) => format!("Content-Length: {n}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    let connection = if goes_on { "" } else { "Connection: close\r\n" };
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{framing}\r\n{connection}\r\n")
        .into_bytes()
}

async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, status: u16) {
    let reason = match status {
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        _ => "Forbidden",
    };
    let answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{REFUSED}",
        REFUSED.len()
    );
    let _gone = timeout(READ_WITHIN, write(stream, answer.as_bytes())).await;
    let _gone = stream.shutdown().await;
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Writes an answer in chunks while it comes; whether the connection can go on.
async fn pump<S: AsyncWrite + Unpin>(
    stream: &mut S,
    mut pieces: Receiver<Vec<u8>>,
    goes_on: bool,
) -> bool {
    let mut bytes = head_of(CONTENT_TYPE, None, goes_on);
    while let Some(piece) = pieces.recv().await {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(&piece);
        bytes.extend_from_slice(b"\r\n");
        if !matches!(timeout(IDLE, write(stream, &bytes)).await, Ok(Ok(()))) {
            return false;
        }
        bytes.clear();
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    matches!(timeout(IDLE, write(stream, &bytes)).await, Ok(Ok(()))) && goes_on
}
