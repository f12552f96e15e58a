//! The one thread that writes: facts come by a bounded queue and leave in batches.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use byway_core::fact::Fact;
use jiff::Timestamp;

use crate::store::{Limits, Store};

/// A batch is written after this, or earlier if it is full.
const BATCH_WITHIN: Duration = Duration::from_millis(200);
/// A batch.
const N_BATCH_MAX: usize = 1000;
/// When writing failed, it is tried again after this; the queue keeps what comes meanwhile, and
/// what finds no room is counted by whoever sends.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often an end that is waited for is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Batches between two looks at age and size.
const N_BATCHES_PER_RETAIN: u32 = 500;

/// The thread.
#[derive(Debug)]
pub struct Writer {
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes what comes until every sender is gone.
    ///
    /// # Errors
    /// The system's, if it has no thread.
    pub fn start(
        store: Store,
        facts: Receiver<Fact>,
        limits: Limits,
        now: fn() -> Timestamp,
    ) -> std::io::Result<Self> {
        let work = move || run(store, &facts, limits, now);
        let thread = std::thread::Builder::new().name("byway-facts".to_owned()).spawn(work)?;
        Ok(Self { thread: Some(thread) })
    }

    /// Waits until everything that was sent is written, at most `limit`; call it once the senders
    /// are gone.
    pub fn finish(mut self, limit: Duration) {
        let Some(thread) = self.thread.take() else { return };
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < limit {
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
        if !thread.is_finished() {
            tracing::error!("facts are still being written, not waiting any longer");
            return;
        }
        if thread.join().is_err() {
            tracing::error!(bug = true, "the writer of facts panicked");
        }
    }
}

fn run(mut store: Store, facts: &Receiver<Fact>, limits: Limits, now: fn() -> Timestamp) {
    let mut n_batches = 0_u32;
    loop {
        let Ok(first) = facts.recv() else { return };
        let mut batch = vec![first];
        let is_over = loop {
            if batch.len() >= N_BATCH_MAX {
                break false;
            }
            match facts.recv_timeout(BATCH_WITHIN) {
                Ok(fact) => batch.push(fact),
                Err(RecvTimeoutError::Timeout) => break false,
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        write(&mut store, &batch, is_over, now);
        n_batches = n_batches.wrapping_add(1);
        if n_batches.is_multiple_of(N_BATCHES_PER_RETAIN)
            && let Err(error) = store.retain(limits, now())
        {
            tracing::warn!(error = %Chain(&error), "old facts cannot be deleted");
        }
    }
}

/// Writes a batch, however long that takes; at the end of the process it is tried a few times.
fn write(store: &mut Store, batch: &[Fact], is_over: bool, now: fn() -> Timestamp) {
    let mut n_tries = 0;
    loop {
        match store.append_facts(batch, now()) {
            Ok(()) => {
                if n_tries > 0 {
                    tracing::info!(n_tries, "facts are written again");
                }
                return;
            }
            Err(error) => {
                if n_tries == 0 {
                    tracing::warn!(error = %Chain(&error), "facts cannot be written, trying again");
                }
                n_tries += 1;
                if is_over && n_tries >= 3 {
                    tracing::error!(lost = batch.len(), "facts are lost");
                    return;
                }
                std::thread::sleep(RETRY_AFTER);
            }
        }
    }
}

/// An error with its causes.
struct Chain<'e>(&'e dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
