//! What is held of requests that are not whole yet, over all connections to one relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use byway_core::cause::Cause;
use byway_wire::relay::Stage;

use super::{RelayClient, RelayFault};

/// So many of the largest requests may be on their way at once: memory is bounded by configuration.
const N_LARGEST: usize = 4;

/// The part of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    client: Arc<RelayClient>,
    n_bytes: usize,
}

impl Held {
    pub(super) const fn nothing(client: Arc<RelayClient>) -> Self {
        Self { client, n_bytes: 0 }
    }

    /// Holds this much in all.
    pub(super) fn grow_to(&mut self, n_bytes: usize) -> Result<(), RelayFault> {
        let more = n_bytes.saturating_sub(self.n_bytes);
        let max = self.client.hop().limits.request_bytes_max.saturating_mul(N_LARGEST);
        let all = self.client.held.fetch_add(more, Ordering::Relaxed) + more;
        self.n_bytes += more;
        if all <= max {
            return Ok(());
        }
        let detail = format!(
            "more than {max} bytes of requests are on their way to the relay {} already",
            self.client.hop().id
        );
        Err(RelayFault::new(Cause::RelayLimit, Stage::BeforeSend, detail))
    }

    pub(super) fn give_back(&mut self) {
        self.client.held.fetch_sub(std::mem::take(&mut self.n_bytes), Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Counts for one relay.
pub(super) type Count = AtomicUsize;
