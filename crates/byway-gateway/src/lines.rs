//! Where request lines go: a bounded buffer that a thread of its own writes out.
//!
//! A request never waits for the disk or the terminal. What finds no room is dropped and counted.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::Metrics;

/// Lines waiting to be written, in bytes.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long a line waits at most for company.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// A sink for request lines. Clones write to the same place.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    text: String,
    closed: bool,
}

impl Lines {
    /// Starts the writing thread; it ends when the returned guard is dropped.
    pub(crate) fn start(metrics: Arc<Metrics>) -> (Self, Writer) {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("byway-log".to_owned())
            .spawn(move || write_out(&for_thread))
            .ok();
        (Self { shared: Arc::clone(&shared), metrics }, Writer { shared, thread })
    }

    /// Adds a line by `write`, which must end it with a line feed.
    pub(crate) fn add(&self, write: impl FnOnce(&mut String)) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.text.len() >= WAITING_BYTES_MAX {
            self.metrics.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        write(&mut waiting.text);
    }
}

/// Ends the writing thread after everything is written.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log writer panicked");
        }
    }
}

fn write_out(shared: &Shared) {
    let mut batch = String::new();
    loop {
        let waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, _timed_out) = shared
            .wake
            .wait_timeout_while(waiting, WRITE_EVERY, |w| !w.closed)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut batch, &mut waiting.text);
        let closed = waiting.closed;
        drop(waiting);
        if !batch.is_empty() {
            // A closed stdout (`byway serve | head`) must not stop the gateway.
            let _broken_pipe = std::io::stdout().lock().write_all(batch.as_bytes());
            batch.clear();
        }
        if closed {
            return;
        }
    }
}
