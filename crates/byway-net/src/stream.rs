//! A connection on the way out, with TLS or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::relay::RelayStream;

/// A connection on the way out.
#[derive(Debug)]
pub enum Stream {
    /// Plain bytes, or a tunnel whose content is none of our business.
    Tcp(TcpStream),
    /// TLS that ends here.
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS that ends here, inside the TLS towards a peer.
    Inside(Box<TlsStream<TlsStream<TcpStream>>>),
    /// A relay that carries one request after the other.
    Relay(Box<RelayStream>),
}

impl Stream {
    /// The TCP connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            Self::Inside(tls) => tls.get_ref().0.get_ref().0,
            Self::Relay(relay) => relay.inner().tcp(),
        }
    }

    /// The version of TLS as on the wire, and SHA-256 of the certificate that was shown.
    pub fn tls_facts(&self) -> Option<(u16, Option<[u8; 32]>)> {
        let connection = match self {
            Self::Tls(tls) => tls.get_ref().1,
            Self::Inside(tls) => tls.get_ref().1,
            Self::Tcp(_) | Self::Relay(_) => return None,
        };
        let version = connection.protocol_version().map_or(0, u16::from);
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let digest = shown.and_then(|certificate| {
            let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
            digest.as_ref().try_into().ok()
        });
        Some((version, digest))
    }

    /// The relay that it leads through, if it does.
    pub fn relay(&self) -> Option<&RelayStream> {
        match self {
            Self::Relay(relay) => Some(relay),
            Self::Tcp(_) | Self::Tls(_) | Self::Inside(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Self::Inside(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
            Self::Relay(relay) => Pin::new(relay.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
            Self::Inside(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
            Self::Relay(relay) => Pin::new(relay.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, pieces),
            Self::Inside(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, pieces),
            Self::Relay(relay) => Pin::new(relay.as_mut()).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::Inside(tls) => tls.is_write_vectored(),
            Self::Relay(relay) => relay.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Self::Inside(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
            Self::Relay(relay) => Pin::new(relay.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Self::Inside(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Self::Relay(relay) => Pin::new(relay.as_mut()).poll_shutdown(cx),
        }
    }
}
