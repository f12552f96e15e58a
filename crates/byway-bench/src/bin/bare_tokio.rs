//! The bare relay on tokio's current-thread runtime: heads parsed and rewritten, connections to the
//! origin pooled, one task per client connection, and nothing else.
//!
//! `poll_read` clears the readiness on a short read and so saves the read that would say "drained";
//! `try_read` does not, which is why all input goes through `poll_fn`. A pooled connection that the
//! origin has closed makes one request fail: the origin of the comparison keeps its connections.

#![expect(clippy::indexing_slicing, reason = "lengths come from our own reads and from the parser")]

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    net::{SocketAddr, TcpListener as StdListener},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll, ready},
};

use byway_bench::{
    BUFFER, SMALL_BODY,
    body::Framing,
    cli::{self, Options},
    head, net, tls,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

thread_local! {
    static BUFFERS: RefCell<(Box<[u8]>, Vec<u8>)> =
        RefCell::new((vec![0; BUFFER].into_boxed_slice(), Vec::with_capacity(BUFFER)));
    static POOL: RefCell<Vec<Up>> = const { RefCell::new(Vec::new()) };
}

/// A connection to the origin.
enum Up {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Clone)]
struct Origin {
    addr: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// One request on its way.
struct Exchange {
    up: Option<Up>,
    left: Framing,
    keep_alive: bool,
    is_head: bool,
}

fn main() -> ExitCode {
    let run = Options::from_env().and_then(|options| net::run_workers(&options, work));
    run.map_or_else(|why| cli::fail(&why), |()| ExitCode::SUCCESS)
}

fn work(options: &Options, listener: StdListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tls =
        if options.tls { Some(tls::client_config().map_err(io::Error::other)?) } else { None };
    let origin = Origin { addr: options.origin, tls };
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            let origin = origin.clone();
            #[expect(clippy::disallowed_methods, reason = "a yardstick has no shutdown to track")]
            drop(tokio::spawn(async move { drop(serve(client, &origin).await) }));
        }
    })
}

async fn serve(mut client: TcpStream, origin: &Origin) -> io::Result<()> {
    loop {
        let mut pending = Vec::new();
        let Some(mut exchange) = request_head(&mut client, &mut pending).await? else {
            return Ok(());
        };
        let mut up = match exchange.up.take() {
            Some(up) => up,
            None => origin.connect().await?,
        };
        settle(&mut up, &mut pending).await?;
        while !exchange.left.is_done() {
            read_then(&mut client, |cx, bytes, _| {
                let taken = exchange.left.take(some(bytes)?);
                send_now(cx, &mut up, &[], &bytes[..taken], &mut pending)
            })
            .await?;
            settle(&mut up, &mut pending).await?;
        }
        let reuse = response(&mut client, &mut up, &mut exchange).await?;
        if reuse {
            POOL.with_borrow_mut(|pool| pool.push(up));
        }
        if !exchange.keep_alive {
            return Ok(());
        }
    }
}

/// Reads a head and sends it on with the first bytes of its body. What could not be sent at once is
/// left in `pending`. `None`: the client closed between two requests.
async fn request_head(
    client: &mut TcpStream,
    pending: &mut Vec<u8>,
) -> io::Result<Option<Exchange>> {
    let mut carry = Vec::new();
    loop {
        let found = read_then(client, |cx, read, out| {
            if read.is_empty() {
                return Ok(Err(()));
            }
            let bytes = joined(&mut carry, read);
            let Some(head) = head::request(bytes, out).map_err(io::Error::other)? else {
                keep(&mut carry, read);
                return Ok(Ok(None));
            };
            let (mut left, body) = (head.framing, &bytes[head.len..]);
            if left.take(body) < body.len() {
                return Err(io::Error::other("a pipelined request: the bare relay knows none"));
            }
            let mut up = POOL.with_borrow_mut(Vec::pop);
            match &mut up {
                Some(up) => send_message(cx, up, out, body, pending)?,
                None => pending.extend([out, body].concat()),
            }
            let (keep_alive, is_head) = (head.keep_alive, head.is_head);
            Ok(Ok(Some(Exchange { up, left, keep_alive, is_head })))
        });
        match found.await? {
            Ok(Some(exchange)) => return Ok(Some(exchange)),
            Ok(None) => {}
            Err(()) => return Ok(None),
        }
    }
}

/// Relays a response. True: the connection to the origin can be used again.
async fn response(
    client: &mut TcpStream,
    up: &mut Up,
    exchange: &mut Exchange,
) -> io::Result<bool> {
    let (mut carry, mut pending, mut found) = (Vec::new(), Vec::new(), None);
    loop {
        let done = read_then(up, |cx, read, out| {
            if let Some((left, _)) = &mut found {
                let taken = Framing::take(left, some(read)?);
                send_now(cx, client, &[], &read[..taken], &mut pending)?;
                return Ok(left.is_done());
            }
            let bytes = joined(&mut carry, some(read)?);
            let head = head::response(bytes, exchange.is_head, out).map_err(io::Error::other)?;
            let Some(head) = head else {
                keep(&mut carry, read);
                return Ok(false);
            };
            let mut left = head.framing;
            let taken = left.take(&bytes[head.len..]);
            let body = &bytes[head.len..head.len + taken];
            send_message(cx, client, out, body, &mut pending)?;
            exchange.keep_alive &= head.framing != Framing::Close;
            found = Some((left, head.keep_alive));
            Ok(left.is_done())
        });
        let done = done.await?;
        settle(client, &mut pending).await?;
        if done {
            return Ok(found.is_some_and(|(_, reuse)| reuse));
        }
    }
}

/// Hands what one read brings to `then`, with the context to write at once and an empty output
/// buffer. The buffers are the thread's: an idle connection holds none.
async fn read_then<S: AsyncRead + Unpin, R>(
    from: &mut S,
    mut then: impl FnMut(&mut Context<'_>, &[u8], &mut Vec<u8>) -> io::Result<R>,
) -> io::Result<R> {
    poll_fn(|cx| {
        BUFFERS.with_borrow_mut(|(buffer, out)| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
            out.clear();
            Poll::Ready(then(cx, read.filled(), out))
        })
    })
    .await
}

/// Sends a head with what is there of its body. A small body is copied behind the head: that costs
/// less than a call with two parts.
fn send_message<S: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    to: &mut S,
    head: &mut Vec<u8>,
    body: &[u8],
    pending: &mut Vec<u8>,
) -> io::Result<()> {
    if body.len() > SMALL_BODY {
        return send_now(cx, to, head, body, pending);
    }
    head.extend_from_slice(body);
    send_now(cx, to, head, &[], pending)
}

/// Sends both parts in one system call, and keeps in `pending` what the socket does not take.
fn send_now<S: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    to: &mut S,
    first: &[u8],
    second: &[u8],
    pending: &mut Vec<u8>,
) -> io::Result<()> {
    let to = Pin::new(to);
    let polled = match (first, second) {
        ([], only) | (only, []) => to.poll_write(cx, only),
        (first, second) => to.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)]),
    };
    let sent = match polled {
        Poll::Ready(sent) => sent?,
        Poll::Pending => 0,
    };
    if sent < first.len() + second.len() {
        pending.extend_from_slice(first.get(sent..).unwrap_or_default());
        pending.extend_from_slice(&second[sent.saturating_sub(first.len())..]);
    }
    Ok(())
}

/// Sends what had to wait.
async fn settle<S: AsyncWrite + Unpin>(to: &mut S, pending: &mut Vec<u8>) -> io::Result<()> {
    if !pending.is_empty() {
        to.write_all(pending).await?;
        *pending = Vec::new();
    }
    to.flush().await
}

/// Bytes are due: the end of the stream is an error.
fn some(bytes: &[u8]) -> io::Result<&[u8]> {
    if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

/// The bytes read now, after those that were kept; a copy only if some were.
fn joined<'a>(carry: &'a mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
    if carry.is_empty() {
        return bytes;
    }
    carry.extend_from_slice(bytes);
    carry
}

/// Keeps a part of a head; what was joined is kept already.
fn keep(carry: &mut Vec<u8>, read: &[u8]) {
    if carry.is_empty() {
        carry.extend_from_slice(read);
    }
}

impl Origin {
    async fn connect(&self) -> io::Result<Up> {
        let sock = TcpStream::connect(self.addr).await?;
        sock.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Up::Plain(sock)) };
        let name = ServerName::try_from(tls::ORIGIN_NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, sock).await?;
        Ok(Up::Tls(Box::new(stream)))
    }
}

impl AsyncRead for Up {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(sock) => Pin::new(sock).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Up {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(sock) => Pin::new(sock).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(sock) => Pin::new(sock).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(sock) => Pin::new(sock).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(sock) => Pin::new(sock).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
