//! An origin that tells what arrived: `byway relay echo`.

use std::net::SocketAddr;

use byway_wire::content::Content;
use byway_wire::request::{Limits, RequestHead};
use byway_wire::scan::HeadScan;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fidelity::{ANSWERS, STREAM, told};

/// As much as the corpus sends.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// No stream is longer.
const STREAM_BYTES_MAX: u64 = 1 << 31;
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Serves until told to stop; `ready` learns the address.
///
/// # Errors
/// The system's, if it cannot listen there.
pub async fn serve(
    addr: SocketAddr,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> std::io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    ready(listener.local_addr()?);
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let _no_delay = stream.set_nodelay(true);
        let (tls, stop) = (tls.clone(), stop.clone());
        tasks.spawn(async move {
            let served = async {
                match tls {
                    Some(tls) => connection(tls.accept(stream).await?).await,
                    None => connection(stream).await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _gone = served => {}
            }
        });
    }
}

async fn connection(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut inbox = Vec::new();
    loop {
        let mut scan = HeadScan::default();
        let len = loop {
            match scan.feed(&inbox, HEAD_BYTES_MAX) {
                Err(_) => return Ok(()),
                Ok(Some(len)) => break len,
                Ok(None) if stream.read_buf(&mut inbox).await? == 0 => return Ok(()),
                Ok(None) => {}
            }
        };
        let rest = inbox.split_off(len);
        let head = std::mem::replace(&mut inbox, rest);
        let limits = Limits { head_bytes_max: HEAD_BYTES_MAX, ..Limits::default() };
        let mut spans = Vec::new();
        let Ok(parsed) = RequestHead::parse(&head, &limits, &mut spans) else { return Ok(()) };
        let (mut content, mut body) = (Content::new(parsed.shape.framing), Vec::new());
        loop {
            let Ok(n) = content.take(&inbox, &mut body) else { return Ok(()) };
            inbox.drain(..n);
            if content.is_done() {
                break;
            }
            if body.len() > BODY_BYTES_MAX || stream.read_buf(&mut inbox).await? == 0 {
                return Ok(());
            }
        }
        let target = parsed.target_raw;
        if let Some(n) = target.strip_prefix(STREAM.as_bytes()) {
            long(&mut stream, n).await?;
        } else if let Some((_, _, answer)) = ANSWERS.iter().find(|(_, t, _)| t.as_bytes() == target)
        {
            stream.write_all(answer).await?;
        } else {
            let told = told(&head, &body, &content.trailers());
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
                told.len()
            );
            stream.write_all(head.as_bytes()).await?;
            if !parsed.shape.is_head {
                stream.write_all(&told).await?;
            }
        }
        stream.flush().await?;
    }
}

/// That many zero bytes.
async fn long(stream: &mut (impl AsyncWrite + Unpin), n: &[u8]) -> std::io::Result<()> {
    let n = std::str::from_utf8(n).ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let mut left = n.min(STREAM_BYTES_MAX);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let piece = vec![0; 64 * 1024];
    while left > 0 {
        let n = piece.len().min(usize::try_from(left).unwrap_or(piece.len()));
        stream.write_all(piece.get(..n).unwrap_or_default()).await?;
        left -= n as u64;
    }
    Ok(())
}
