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
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::REFUSED;
use crate::relay::{Relay, Stranger};

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
/// From the first byte of a head to its last, and between two pieces of a body.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// Between two requests; above the 50 s of a gateway, so that it is the one who closes.
const IDLE: Duration = Duration::from_secs(75);
/// Pieces of an answer that wait for a slow reader; then the provider waits.
pub(crate) const N_PIECES: usize = 2;
/// How long requests may go on after the end was asked for.
const DRAIN: Duration = Duration::from_secs(9);

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
        let (tasks, room) = (TaskTracker::new(), Arc::new(Semaphore::new(self.n_connections_max)));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
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
            let (relay, stop) = (Arc::clone(&relay), stop.clone());
            let (tls, bytes_max) = (tls.clone(), self.body_bytes_max);
            tasks.spawn(async move {
                match tls {
                    None => connection(tcp, &relay, bytes_max, &stop).await,
                    Some(tls) => {
                        let shaken = timeout(READ_WITHIN, tls.acceptor().accept(tcp)).await;
                        if let Ok(Ok(stream)) = shaken {
                            connection(stream, &relay, bytes_max, &stop).await;
                        }
                    }
                }
                drop(permit);
            });
        }
        tasks.close();
        let _late = timeout(DRAIN, tasks.wait()).await;
        Ok(())
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

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut stream: S,
    relay: &Relay,
    bytes_max: usize,
    stop: &CancellationToken,
) {
    let mut inbox = Vec::with_capacity(8192);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled(), if inbox.is_empty() => return,
            asked = Box::pin(ask(&mut stream, &mut inbox, bytes_max)) => asked,
        };
        let goes_on = match asked {
            Asked::Gone => return,
            Asked::No(status) => {
                refuse(&mut stream, relay.refused(status)).await;
                return;
            }
            Asked::Body(body, goes_on) => match relay.admit(&body) {
                Err(Stranger) => {
                    refuse(&mut stream, 403).await;
                    return;
                }
                Ok(admitted) if admitted.may_stream() => {
                    let (pieces, come) = tokio::sync::mpsc::channel(N_PIECES);
                    let answering = relay.stream(admitted, None, pieces);
                    tokio::join!(answering, pump(&mut stream, come, goes_on)).1
                }
                Ok(admitted) => {
                    let is_text = admitted.is_text();
                    let answer = relay.answer(admitted, None).await;
                    let content_type = if is_text { CONTENT_TYPE_TEXT } else { CONTENT_TYPE };
                    let mut bytes = head_of(content_type, Some(answer.len()), goes_on);
                    bytes.extend_from_slice(&answer);
                    let wrote = timeout(IDLE, write(&mut stream, &bytes)).await;
                    goes_on && matches!(wrote, Ok(Ok(())))
                }
            },
        };
        if !goes_on || stop.is_cancelled() {
            let _gone = stream.shutdown().await;
            return;
        }
    }
}

/// Reads one request.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    inbox: &mut Vec<u8>,
    bytes_max: usize,
) -> Asked {
    let mut scan = HeadScan::default();
    let head_len = loop {
        match scan.feed(inbox, HEAD_BYTES_MAX) {
            Err(_) => return Asked::No(400),
            Ok(Some(len)) => break len,
            Ok(None) => {}
        }
        let within = if inbox.is_empty() { IDLE } else { READ_WITHIN };
        match timeout(within, stream.read_buf(inbox)).await {
            Ok(Ok(n)) if n > 0 => {}
            Ok(Ok(_) | Err(_)) => return Asked::Gone,
            Err(_) if inbox.is_empty() => return Asked::Gone,
            Err(_) => return Asked::No(408),
        }
    };
    let rest = inbox.split_off(head_len);
    let head = std::mem::replace(inbox, rest);
    let mut spans = Vec::new();
    let limits = Limits { head_bytes_max: HEAD_BYTES_MAX, ..Limits::default() };
    let Ok(parsed) = RequestHead::parse(&head, &limits, &mut spans) else { return Asked::No(400) };
    if parsed.method != b"POST" {
        return Asked::No(405);
    }
    body(stream, inbox, &parsed.shape, bytes_max).await
}

async fn body<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    inbox: &mut Vec<u8>,
    shape: &RequestShape,
    bytes_max: usize,
) -> Asked {
    let envelope_max = PREAMBLE_BYTES + META_BYTES_MAX + SIGNATURE_BYTES;
    // Base64 is a third longer.
    let bytes_max = (bytes_max + envelope_max) / 3 * 4 + 4;
    let announced = match shape.framing {
        Framing::Length(n) => usize::try_from(n).unwrap_or(usize::MAX),
        Framing::Empty | Framing::Chunked | Framing::UntilClose => 0,
    };
    if announced > bytes_max {
        return Asked::No(413);
    }
    if shape.expects_continue
        && inbox.is_empty()
        && write(stream, b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err()
    {
        return Asked::Gone;
    }
    let (mut content, mut out) = (Content::new(shape.framing), Vec::with_capacity(announced));
    loop {
        match content.take(inbox, &mut out) {
            Ok(n) => drop(inbox.drain(..n)),
            Err(_) => return Asked::No(400),
        }
        if out.len() > bytes_max {
            return Asked::No(413);
        }
        if content.is_done() {
            return Asked::Body(out, shape.keep_alive);
        }
        match timeout(READ_WITHIN, stream.read_buf(inbox)).await {
            Ok(Ok(n)) if n > 0 => {}
            Ok(Ok(_) | Err(_)) => return Asked::Gone,
            Err(_) => return Asked::No(408),
        }
    }
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
