//! One thread: its listener sockets, its connections, its pool.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use byway_core::settings::{Log, LogFormat, LogRequests};
use byway_net::{PlatformLocks, Resolver};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::Cache;
use crate::clock::{self, Clock};
use crate::court::Courts;
use crate::exits::Exits;
use crate::facts::Facts;
use crate::lines::Lines;
use crate::listener::{self, Doorman, Entrance};
use crate::metrics::Metrics;
use crate::peacetime::Checks;
use crate::pool::{self, Pool};
use crate::record::Record;
use crate::snapshot::Snapshot;
use crate::span::Spans;

/// After a stop, a connection without a request may still get one in for this long: a caller may
/// have sent it already.
const IDLE_GRACE: Duration = Duration::from_millis(500);

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) current: ArcSwap<Snapshot>,
    pub(crate) generation: AtomicU64,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) doorman: Arc<Doorman>,
    pub(crate) lines: Lines,
    pub(crate) spans: Option<Spans>,
    pub(crate) facts: Facts,
    pub(crate) courts: Courts,
    pub(crate) cache: Cache,
    pub(crate) exits: Exits,
    pub(crate) locks: Arc<dyn PlatformLocks>,
    pub(crate) checks: Checks,
    pub(crate) clock: Clock,
    pub(crate) draining: AtomicBool,
    pub(crate) closing_idle: AtomicBool,
}

impl Shared {
    /// The settings in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Whether answers should end their connections.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether connections without a request should end.
    pub(crate) fn closes_idle(&self) -> bool {
        self.closing_idle.load(Ordering::Relaxed)
    }
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    pub(crate) resolver: Resolver,
    pub(crate) clock: Clock,
    pub(crate) tasks: TaskTracker,
    present: Mutex<Present>,
}

/// The connections that are there, so that idle ones can be woken when the gateway stops.
#[derive(Debug, Default)]
struct Present {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

/// A connection that is there; says so until dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    worker: Arc<Worker>,
    id: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.worker.shared.metrics.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(bug = true, "a connection panicked");
        }
        self.worker.shared.metrics.connections_open.fetch_sub(1, Ordering::Relaxed);
        let mut present = self.worker.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.wakers.remove(&self.id);
    }
}

impl Worker {
    /// Registers the current task as a connection.
    pub(crate) async fn enter(self: &Arc<Self>) -> Presence {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        self.shared.metrics.connections_open.fetch_add(1, Ordering::Relaxed);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let id = present.next;
        present.next += 1;
        present.wakers.insert(id, waker);
        Presence { worker: Arc::clone(self), id }
    }

    /// Takes the newest settings, if there are newer ones.
    pub(crate) fn refresh(&self, snapshot: &mut Arc<Snapshot>) {
        if self.shared.generation.load(Ordering::Acquire) != snapshot.generation {
            *snapshot = self.shared.snapshot();
        }
    }

    /// Whether a request gets a line.
    pub(crate) fn wants_line(&self, log: &Log, fine: bool, status: Option<u16>) -> bool {
        match log.requests {
            LogRequests::All => true,
            LogRequests::Errors => !fine || status.is_some_and(|status| status >= 500),
            LogRequests::Off => false,
        }
    }

    /// Writes the canonical line.
    pub(crate) fn write_line(&self, record: &Record<'_>, format: LogFormat) {
        self.shared.lines.add(|out| record.write(format, out));
    }

    fn wake_all(&self) {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.wakers.values().for_each(Waker::wake_by_ref);
    }
}

/// What a worker starts with.
pub(crate) struct Start {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) sockets: Vec<(std::net::TcpListener, Arc<Entrance>)>,
    /// Stop accepting, finish what is there.
    pub(crate) stop: CancellationToken,
    /// Told once the worker accepts, or cannot.
    pub(crate) ready: std::sync::mpsc::Sender<Result<(), String>>,
}

/// Runs a worker to its end: until it was told to stop and its connections are done, or their
/// time is up.
pub(crate) async fn run(start: Start) {
    let Start { index, shared, sockets, stop, ready } = start;
    let snapshot = shared.snapshot();
    let resolver = match Resolver::new(&snapshot.settings.dns) {
        Ok(resolver) => resolver,
        Err(error) => {
            let _starter_gone = ready.send(Err(format!("cannot set up name resolution: {error}")));
            return;
        }
    };
    let worker = Arc::new(Worker {
        index,
        pool: Pool::default(),
        resolver,
        clock: shared.clock,
        tasks: TaskTracker::new(),
        present: Mutex::default(),
        shared,
    });
    let accepting = TaskTracker::new();
    for (socket, entrance) in sockets {
        match TcpListener::from_std(socket) {
            Ok(listener) => {
                let (worker, stop) = (Arc::clone(&worker), stop.clone());
                accepting.spawn(listener::accept_loop(listener, entrance, worker, stop));
            }
            Err(error) => {
                let _starter_gone = ready.send(Err(format!("cannot watch a listener: {error}")));
                return;
            }
        }
    }
    accepting.close();
    let _starter_gone = ready.send(Ok(()));
    drop(ready);
    sweep_until(&worker, &stop).await;
    accepting.wait().await;
    drain(&worker).await;
}

async fn sweep_until(worker: &Arc<Worker>, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pool::SWEEP_EVERY) => {}
        }
        let generation = worker.shared.generation.load(Ordering::Acquire);
        worker.pool.sweep(clock::instant(), generation);
    }
}

async fn drain(worker: &Arc<Worker>) {
    let limit = worker.shared.snapshot().settings.drain;
    worker.tasks.close();
    let polite = async {
        tokio::time::sleep(IDLE_GRACE).await;
        worker.shared.closing_idle.store(true, Ordering::Relaxed);
        worker.wake_all();
        worker.tasks.wait().await;
    };
    let quiet = async {
        // Without any connection there is nobody to be polite to.
        worker.tasks.wait().await;
    };
    let done = async {
        tokio::select! {
            () = polite => {}
            () = quiet => {}
        }
    };
    if tokio::time::timeout(limit, done).await.is_err() {
        let left = worker.tasks.len();
        tracing::warn!(left, "drain deadline over, closing connections");
    }
}
