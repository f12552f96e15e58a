//! The connection of a caller.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use byway_core::route::Origin;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use crate::buf::Buf;
use crate::listener::Entrance;
use crate::snapshot::Snapshot;
use crate::timer::Timer;

/// The caller's bytes, over TCP or TLS.
#[derive(Debug)]
pub(crate) enum CallerStream {
    /// On this machine.
    Tcp(TcpStream),
    /// From elsewhere. Boxed: the usual caller must not pay for it in memory.
    Tls(Box<TlsStream<TcpStream>>),
    /// Inside a tunnel that is open to us.
    Inside(Box<TlsStream<Self>>),
    /// Being wrapped; nobody reads or writes meanwhile.
    Gone,
}

impl CallerStream {
    /// The TCP connection below.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Inside(tls) => tls.get_ref().0.tcp(),
            Self::Gone => None,
        }
    }

    /// Makes closing visible as a failure, for answers whose end is the connection's end.
    pub(crate) fn reset_on_close(&self) {
        if let Some(tcp) = self.tcp()
            && let Err(error) =
                socket2::SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO))
        {
            tracing::debug!(%error, "cannot set SO_LINGER");
        }
    }
}

impl AsyncRead for CallerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Inside(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for CallerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Inside(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Inside(tls) => Pin::new(tls).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Inside(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// One caller's connection with everything that outlives a request on it.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The bytes.
    pub(crate) stream: CallerStream,
    /// Where from.
    pub(crate) peer: SocketAddr,
    /// Bytes read and not dealt with: a head in the making, or a pipelined request.
    pub(crate) inbox: Buf,
    /// When the last request was over, or the connection began.
    pub(crate) now: Instant,
    /// The connection's one timer.
    pub(crate) timer: Timer,
    /// The settings that this connection's next request obeys.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The listener it came in by.
    pub(crate) entrance: Arc<Entrance>,
    /// Where the tunnel leads whose inside this is.
    pub(crate) inside: Option<Arc<Origin>>,
}
