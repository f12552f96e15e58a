//! Starts, reloads and stops the data plane.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use byway_core::detour::Order;
use byway_core::fact::Fact;
use byway_core::settings::Settings;
use byway_net::{NoLocks, PlatformLocks, TlsServer, TlsSetupError};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::attempts;
use crate::cache::{Cache, Copies};
use crate::clock::Clock;
use crate::court::Courts;
use crate::exits::Exits;
use crate::explain;
use crate::facts::Facts;
use crate::lines::{Lines, Writer};
use crate::listener::{self, Doorman, Entrance};
use crate::metrics::{self, Metrics};
use crate::peacetime::{self, Checks};
use crate::prober;
use crate::snapshot::{Compiling, Snapshot};
use crate::span::{FinishedSpan, Spans};
use crate::worker::{self, Shared, Start};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A listening socket that was handed over cannot be shared among the workers.
    #[error("cannot share a listening socket")]
    Share(#[source] std::io::Error),
    /// A certificate or key cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsSetupError),
    /// A thread cannot be started.
    #[error("cannot start a worker thread")]
    Thread(#[source] std::io::Error),
    /// A worker did not come up.
    #[error("worker {index}: {why}")]
    Worker {
        /// Which one.
        index: usize,
        /// What it said.
        why: String,
    },
}

/// Listening sockets by the address they listen on, from an earlier process or the service manager.
pub type Inherited = Vec<(SocketAddr, std::net::TcpListener)>;

/// Where what happens is passed on to, besides log and metrics.
#[derive(Debug, Default)]
pub struct Places {
    /// Finished requests, for tracing.
    pub spans: Option<SyncSender<FinishedSpan>>,
    /// Facts, to be kept.
    pub facts: Option<SyncSender<Fact>>,
    /// Stored answers, to be kept.
    pub copies: Option<Copies>,
    /// What opens the locks of platforms on which relays run.
    pub locks: Option<Arc<dyn PlatformLocks>>,
    /// What people ordered before this start, by provider; in force before anybody is let in.
    pub orders: Vec<(String, Order)>,
}

/// A running data plane.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    stop: CancellationToken,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Copies of the listening sockets, to be handed to a successor.
    sockets: Mutex<Inherited>,
    own: Arc<[SocketAddr]>,
    _writer: Writer,
}

impl Gateway {
    /// Starts workers and returns once all of them accept.
    ///
    /// `inherited` sockets are used for the listeners whose address they have; other listeners get
    /// new ones. What happens is also given to `places`, where there are any.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(
        settings: Settings,
        mut inherited: Inherited,
        places: Places,
    ) -> Result<Self, StartError> {
        let one_in = settings.otlp.as_ref().map_or(1, |otlp| otlp.one_in);
        let n_workers = settings.n_workers.max(1);
        let metrics = Arc::new(Metrics::new(n_workers));
        let mut per_worker: Vec<Vec<(std::net::TcpListener, Arc<Entrance>)>> = Vec::new();
        per_worker.resize_with(n_workers, Vec::new);
        let (mut own, mut kept) = (Vec::new(), Inherited::new());
        for listener in &settings.listeners {
            let tls = listener.tls.as_ref().map(TlsServer::new).transpose()?;
            let entrance = Arc::new(Entrance {
                callers: listener.callers.clone(),
                tls: tls.map(|tls| tls.acceptor()),
            });
            let sockets = sockets_for(listener.addr, n_workers, &mut inherited)?;
            for (index, (addr, socket)) in sockets.into_iter().enumerate() {
                own.push(addr);
                kept.push((addr, socket.try_clone().map_err(StartError::Share)?));
                if let Some(mine) = per_worker.get_mut(index % n_workers) {
                    mine.push((socket, Arc::clone(&entrance)));
                }
            }
        }
        own.dedup();
        let own: Arc<[SocketAddr]> = own.into();
        let (lines, writer) = Lines::start(Arc::clone(&metrics));
        let courts = Courts::default();
        for (provider, order) in places.orders {
            courts.order(&provider, order);
        }
        let cache = Cache::new(settings.state.cache, places.copies);
        let locks = places.locks.unwrap_or_else(|| Arc::new(NoLocks));
        let around = Compiling { metrics: &metrics, courts: &courts, locks: &locks };
        let snapshot = Snapshot::compile(settings, 1, Arc::clone(&own), &around)?;
        let clock = Clock::start();
        let shared = Arc::new(Shared {
            current: ArcSwap::from_pointee(snapshot),
            generation: AtomicU64::new(1),
            facts: Facts::new(places.facts, Arc::clone(&metrics)),
            courts,
            cache,
            exits: Exits::default(),
            locks,
            checks: Checks::new(clock.now()),
            metrics,
            doorman: Arc::new(Doorman::default()),
            lines,
            spans: places.spans.map(|sender| Spans::new(sender, one_in)),
            clock,
            draining: AtomicBool::new(false),
            closing_idle: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let gateway = Self {
            shared,
            stop,
            threads: Mutex::default(),
            sockets: Mutex::new(kept),
            own,
            _writer: writer,
        };
        gateway.spawn(per_worker)?;
        gateway.spawn_prober()?;
        Ok(gateway)
    }

    fn spawn(
        &self,
        per_worker: Vec<Vec<(std::net::TcpListener, Arc<Entrance>)>>,
    ) -> Result<(), StartError> {
        let mut ready = Vec::new();
        for (index, sockets) in per_worker.into_iter().enumerate() {
            let (sender, receiver) = mpsc::channel();
            let start = Start {
                index,
                shared: Arc::clone(&self.shared),
                sockets,
                stop: self.stop.clone(),
                ready: sender,
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(StartError::Thread)?;
            let thread = std::thread::Builder::new()
                .name(format!("byway-worker-{index}"))
                .spawn(move || runtime.block_on(worker::run(start)))
                .map_err(StartError::Thread)?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            ready.push((index, receiver));
        }
        for (index, receiver) in ready {
            let told = receiver.recv().unwrap_or_else(|_| Err("it ended early".to_owned()));
            told.map_err(|why| StartError::Worker { index, why })?;
        }
        Ok(())
    }

    fn spawn_prober(&self) -> Result<(), StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
        let thread = std::thread::Builder::new()
            .name("byway-prober".to_owned())
            .spawn(move || {
                let peace = peacetime::run(Arc::clone(&shared), stop.clone());
                runtime.block_on(async { tokio::join!(prober::run(shared, stop), peace) });
            })
            .map_err(StartError::Thread)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Checks what only the data plane can tell: certificates, keys and roots.
    ///
    /// # Errors
    /// [`TlsSetupError`] for the first that cannot be used.
    pub fn check(settings: &Settings) -> Result<(), TlsSetupError> {
        for tls in settings.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            TlsServer::new(tls)?;
        }
        let own: Arc<[SocketAddr]> = Arc::new([]);
        let locks: Arc<dyn PlatformLocks> = Arc::new(NoLocks);
        let (metrics, courts) = (&Metrics::new(1), &Courts::default());
        let around = Compiling { metrics, courts, locks: &locks };
        Snapshot::compile(settings.clone(), 0, own, &around).map(drop)
    }

    /// Where callers come in, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.own
    }

    /// Copies of the listening sockets, for a successor process.
    ///
    /// # Errors
    /// The system's, if it cannot copy a descriptor.
    pub fn sockets(&self) -> std::io::Result<Inherited> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().map(|(addr, socket)| Ok((*addr, socket.try_clone()?))).collect()
    }

    /// A handle for the admin listener.
    pub fn observer(&self) -> Observer {
        Observer { shared: Arc::clone(&self.shared) }
    }

    /// Takes other settings into use; requests under way keep those they started with.
    ///
    /// Listeners, workers and DNS keep what they were started with: those need a new process.
    ///
    /// # Errors
    /// [`TlsSetupError`]; then nothing has changed.
    pub fn reload(&self, settings: Settings) -> Result<(), TlsSetupError> {
        let generation = self.shared.generation.load(Ordering::Acquire) + 1;
        let own = Arc::clone(&self.own);
        self.warn_of_what_stays(&settings);
        let shared = &self.shared;
        let Shared { metrics, courts, locks, .. } = &**shared;
        let around = Compiling { metrics, courts, locks };
        let compiled = Snapshot::compile(settings, generation, own, &around);
        let metrics = &self.shared.metrics;
        match compiled {
            Ok(snapshot) => {
                self.shared.current.store(Arc::new(snapshot));
                self.shared.generation.store(generation, Ordering::Release);
                metrics.reloads.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                metrics.reloads_failed.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Says which changes of a reload have no effect before the next start.
    fn warn_of_what_stays(&self, new: &Settings) {
        let old = self.shared.snapshot();
        let old = &old.settings;
        let addresses = |settings: &Settings| -> Vec<SocketAddr> {
            settings.listeners.iter().map(|listener| listener.addr).collect()
        };
        let endpoint = |settings: &Settings| settings.otlp.as_ref().map(|o| o.endpoint.clone());
        for (has_changed, what) in [
            (addresses(old) != addresses(new), "listeners"),
            (old.n_workers != new.n_workers, "workers"),
            (old.dns.servers != new.dns.servers, "dns"),
            (old.admin != new.admin, "admin"),
            (endpoint(old) != endpoint(new), "otlp"),
            (old.state.dir != new.state.dir || old.state.is_off != new.state.is_off, "state"),
        ] {
            if has_changed {
                tracing::warn!(what, "this change needs a new process; `--takeover` loses nothing");
            }
        }
    }

    /// Stops accepting and lets requests under way end, up to the drain deadline.
    ///
    /// Blocks; call it off the runtime's thread.
    pub fn stop(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.stop.cancel();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(bug = true, "a worker panicked");
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One socket a worker and listener, or the ones that are there already.
fn sockets_for(
    addr: SocketAddr,
    n_workers: usize,
    inherited: &mut Inherited,
) -> Result<Inherited, StartError> {
    let (mut mine, others) =
        std::mem::take(inherited).into_iter().partition::<Vec<_>, _>(|(at, _)| *at == addr);
    *inherited = others;
    if mine.is_empty() {
        let mut addr = addr;
        for _ in 0..n_workers {
            let opened = listener::open(addr).and_then(|socket| {
                // Port 0 is chosen once; the other workers join it.
                addr = socket.local_addr()?;
                Ok(socket)
            });
            mine.push((addr, opened.map_err(|source| StartError::Listen { addr, source })?));
        }
        return Ok(mine);
    }
    // Fewer sockets than workers: several workers watch the same one.
    for index in mine.len()..n_workers {
        if let Some((addr, socket)) = mine.get(index % mine.len().max(1)) {
            let copy = socket.try_clone().map_err(StartError::Share)?;
            let addr = *addr;
            mine.push((addr, copy));
        }
    }
    for (_, socket) in &mine {
        socket.set_nonblocking(true).map_err(StartError::Share)?;
    }
    Ok(mine)
}

/// What the admin listener may look at.
#[derive(Debug, Clone)]
pub struct Observer {
    shared: Arc<Shared>,
}

impl Observer {
    /// The metrics in OpenMetrics text.
    pub fn metrics(&self) -> String {
        metrics::render(&self.shared.metrics)
    }

    /// Whether new connections are welcome.
    pub fn is_ready(&self) -> bool {
        !self.shared.is_draining()
    }

    /// Open connections of callers.
    pub fn n_connections(&self) -> usize {
        self.shared.doorman.n_open()
    }

    /// What is known about providers, as JSON; about one of them if it is named.
    pub fn explain(&self, only: Option<&str>) -> serde_json::Value {
        explain::explain(&self.shared, only)
    }

    /// One request over every path of its provider, side by side, as JSON.
    ///
    /// # Errors
    /// What is wrong with the request, for people.
    pub async fn attempt(&self, url: &str, method: &str) -> Result<serde_json::Value, String> {
        attempts::attempt(&self.shared, url, method).await
    }

    /// Takes a person's order about a provider; false if nobody of that name is judged yet.
    pub fn order(&self, provider: &str, order: Order) -> bool {
        self.shared.courts.order(provider, order)
    }

    /// The time that facts are stamped with.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Counts a configuration that was not taken.
    pub fn reload_failed(&self) {
        self.shared.metrics.reloads_failed.fetch_add(1, Ordering::Relaxed);
    }
}
