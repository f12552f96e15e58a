//! Bytes both ways until both sides are done: CONNECT and upgraded connections.
//!
//! A side that ends its direction (half-close) is told on to the other; the other direction goes on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::buf::Buf;
use crate::clock;
use crate::timer::Timer;

/// One direction.
#[derive(Debug)]
pub(crate) struct Pipe {
    buf: Buf,
    state: PipeState,
    /// Bytes passed on.
    pub(crate) n_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeState {
    Open,
    Ending,
    Ended,
}

impl Pipe {
    /// A direction that starts with bytes that are here already.
    pub(crate) fn new(first: Buf) -> Self {
        Self { buf: first, state: PipeState::Open, n_bytes: 0 }
    }

    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        moved: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.buf.is_empty() {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, self.buf.rest()))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buf.consume(n);
                self.n_bytes += n as u64;
                *moved = true;
            }
            match self.state {
                PipeState::Open => {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    if ready!(self.buf.poll_fill(from, cx))? == 0 {
                        self.state = PipeState::Ending;
                    }
                    *moved = true;
                }
                PipeState::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = PipeState::Ended;
                }
                PipeState::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Why a tunnel ended.
#[derive(Debug)]
pub(crate) enum TunnelEnd {
    /// Both sides were done.
    Closed,
    /// Nothing moved for too long.
    Idle,
    /// One side broke.
    Broken(io::Error),
}

/// Both directions of a tunnel.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// From the caller to the provider.
    pub(crate) up: Pipe,
    /// From the provider to the caller.
    pub(crate) down: Pipe,
    moved_at: Instant,
    idle: Duration,
}

impl Tunnel {
    /// A tunnel that may be silent for `idle`.
    pub(crate) fn new(up: Buf, down: Buf, idle: Duration) -> Self {
        Self { up: Pipe::new(up), down: Pipe::new(down), moved_at: clock::instant(), idle }
    }

    /// Moves both directions along.
    pub(crate) fn poll(
        &mut self,
        caller: &mut (impl AsyncRead + AsyncWrite + Unpin),
        provider: &mut (impl AsyncRead + AsyncWrite + Unpin),
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<TunnelEnd> {
        let mut moved = false;
        let up = self.up.poll(caller, provider, &mut moved, cx);
        let down = self.down.poll(provider, caller, &mut moved, cx);
        match (up, down) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                return Poll::Ready(TunnelEnd::Broken(error));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(TunnelEnd::Closed),
            (Poll::Pending, _) | (_, Poll::Pending) => {}
        }
        if moved {
            self.moved_at = clock::instant();
        }
        if timer.poll_is_due(cx, self.moved_at + self.idle) {
            return Poll::Ready(TunnelEnd::Idle);
        }
        Poll::Pending
    }
}
