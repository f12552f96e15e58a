//! Where callers come in: sockets, limits, the accept loop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::settings::{Callers, Limits};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::buf::Buf;
use crate::caller::{Caller, CallerStream};
use crate::clock;
use crate::connection;
use crate::respond::Problem;
use crate::tell;
use crate::timer::Timer;
use crate::way_in::TurnedAway;
use crate::worker::Worker;

/// Connections that the kernel may hold for us.
const BACKLOG: i32 = 4096;
/// A pause after a failed accept: usually no descriptor is free, and asking again at once would
/// only burn the processor that could free one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener as its connections see it.
pub(crate) struct Entrance {
    pub(crate) callers: Callers,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// Opens a socket that several workers, and for a moment several processes, can listen on.
pub(crate) fn open(addr: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // `[::]` means IPv6; who wants both lists both.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Counts connections against the limits.
#[derive(Debug, Default)]
pub(crate) struct Doorman {
    n_open: AtomicUsize,
    per_caller: Mutex<HashMap<IpAddr, usize>>,
}

impl Doorman {
    /// Lets a caller in, unless there are too many already.
    pub(crate) fn admit(self: &Arc<Self>, caller: IpAddr, limits: &Limits) -> Option<Admission> {
        if self.n_open.fetch_add(1, Ordering::Relaxed) >= limits.n_connections_max {
            self.n_open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut per_caller = self.per_caller.lock().unwrap_or_else(PoisonError::into_inner);
        let n = per_caller.entry(caller).or_default();
        if *n >= limits.n_connections_per_caller_max {
            self.n_open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        *n += 1;
        Some(Admission { doorman: Arc::clone(self), caller })
    }

    /// How many are in.
    pub(crate) fn n_open(&self) -> usize {
        self.n_open.load(Ordering::Relaxed)
    }
}

/// A place inside, given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    doorman: Arc<Doorman>,
    caller: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.doorman.n_open.fetch_sub(1, Ordering::Relaxed);
        let mut per_caller = self.doorman.per_caller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = per_caller.get_mut(&self.caller) {
            *n -= 1;
            if *n == 0 {
                per_caller.remove(&self.caller);
            }
        }
    }
}

/// Accepts until told to stop; what the kernel has queued by then is accepted first.
pub(crate) async fn accept_loop(
    listener: TcpListener,
    entrance: Arc<Entrance>,
    worker: Arc<Worker>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((tcp, peer)) => admit(tcp, peer, &entrance, &worker),
            Err(error) => {
                worker.shared.metrics.accept_errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(tcp: TcpStream, peer: SocketAddr, entrance: &Arc<Entrance>, worker: &Arc<Worker>) {
    let metrics = &worker.shared.metrics;
    metrics.connections.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let snapshot = worker.shared.snapshot();
    let admission = worker.shared.doorman.admit(peer.ip(), &snapshot.settings.limits);
    let entrance = Arc::clone(entrance);
    let for_task = Arc::clone(worker);
    worker.tasks.spawn(async move {
        let _present = for_task.enter().await;
        let Some(stream) = secure(tcp, &entrance, snapshot.settings.deadlines.head).await else {
            return;
        };
        let now = clock::instant();
        let caller = Caller {
            stream,
            peer,
            inbox: Buf::none(),
            now,
            timer: Timer::new(now),
            snapshot,
            entrance,
            inside: None,
        };
        match admission {
            Some(_admission) => connection::serve(caller, for_task).await,
            None => Box::pin(refuse(caller, for_task)).await,
        }
    });
}

/// The TLS handshake, where the listener asks for one.
async fn secure(tcp: TcpStream, entrance: &Entrance, within: Duration) -> Option<CallerStream> {
    let Some(acceptor) = &entrance.tls else { return Some(CallerStream::Tcp(tcp)) };
    match Box::pin(tokio::time::timeout(within, acceptor.accept(tcp))).await {
        Ok(Ok(tls)) => Some(CallerStream::Tls(Box::new(tls))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake with a caller failed");
            None
        }
        Err(_late) => None,
    }
}

async fn refuse(mut caller: Caller, worker: Arc<Worker>) {
    let cause = Cause::TooManyConnections;
    let turned = TurnedAway { problem: Problem::of(cause, ""), cause: Ok(cause), shape: None };
    tell::turn_away(&mut caller, &worker, turned).await;
}
