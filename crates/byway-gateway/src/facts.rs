//! Facts on their way out of the data plane: a bounded queue that never blocks a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use byway_core::fact::Fact;

use crate::metrics::Metrics;

/// Where facts go; nowhere if nobody keeps them.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    sender: Option<SyncSender<Fact>>,
    metrics: Arc<Metrics>,
}

impl Facts {
    /// Facts go to `sender`.
    pub(crate) const fn new(sender: Option<SyncSender<Fact>>, metrics: Arc<Metrics>) -> Self {
        Self { sender, metrics }
    }

    /// Passes a fact on, or counts it if there is no room.
    pub(crate) fn add(&self, fact: Fact) {
        let Some(sender) = &self.sender else { return };
        let counter = match sender.try_send(fact) {
            Ok(()) => &self.metrics.facts,
            Err(_) => &self.metrics.facts_dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
