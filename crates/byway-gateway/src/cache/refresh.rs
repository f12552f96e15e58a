//! Asks anew in the background while a stale answer is given (RFC 5861 §3).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use byway_core::classify::Class;
use byway_core::health::Mark;
use byway_core::judge::{Leave, Passage};
use byway_core::route::Origin;
use byway_wire::request::RequestShape;

use super::{Asked, Digest, Stored};
use crate::court::Court;
use crate::pipeline::Flight;
use crate::probe::{self, Ask};
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// One refresh, with everything that outlives the request which began it.
struct Refresh {
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    provider: Option<usize>,
    origin: Option<Origin>,
    head: Vec<u8>,
    shape: RequestShape,
    route: usize,
    stored: Arc<Stored>,
    asked: Asked,
    target: Digest,
}

/// Begins one, unless one is under way.
pub(crate) fn begin(flight: &Flight<'_>, stored: Arc<Stored>, asked: Asked, target: Digest) {
    if !stored.begin_refresh() {
        return;
    }
    let whole = flight.request.out.whole();
    let mut head = whole.get(..whole.len().saturating_sub(2)).unwrap_or_default().to_vec();
    if !asked.is_conditional() {
        head.extend_from_slice(&stored.validators());
    }
    head.extend_from_slice(b"\r\n");
    let refresh = Refresh {
        worker: Arc::clone(flight.worker),
        snapshot: flight.worker.shared.snapshot(),
        provider: flight.request.route.provider,
        origin: flight.request.origin.as_deref().cloned(),
        head,
        shape: flight.request.shape,
        route: flight.route,
        stored,
        asked,
        target,
    };
    flight.worker.tasks.spawn(async move {
        refresh.run().await;
        refresh.stored.is_refreshing.store(false, Ordering::Relaxed);
    });
}

impl Refresh {
    async fn run(&self) {
        let provider = self.snapshot.provider(self.provider);
        let court = provider.court.as_deref();
        let now = self.worker.clock.now();
        // It costs what a request costs, and is the first to be left out.
        let passage = match court.map(|court| court.ask(now)) {
            None | Some(None) => None,
            Some(Some(Leave::Go(passage))) => Some(passage),
            Some(Some(Leave::Wait(_) | Leave::Busy(_))) => return,
        };
        let path = passage.and_then(|passage| passage.lead).unwrap_or(0);
        let own = provider.base.as_ref().map(|base| &base.origin);
        let usual = court.and_then(|court| court.learnt.get(self.route)?.usual());
        let (Some(plan), Some(origin)) = (provider.paths.get(path), self.origin.as_ref().or(own))
        else {
            return;
        };
        let cache = &self.worker.shared.cache;
        let ask = Ask {
            snapshot: &self.snapshot,
            provider,
            path: plan,
            origin,
            head: &self.head,
            shape: Some(&self.shape),
            usual: usual.as_deref(),
            body_bytes_max: cache.entry_bytes_max(),
            body_within: provider.deadlines.idle_body,
        };
        let told = probe::ask(&self.worker.resolver, &ask, &self.worker.clock).await;
        let now = self.worker.clock.now();
        if let (Some(court), Some(passage)) = (court, &passage) {
            tell(court, path, passage, &told, now);
        }
        let renewed = match told.shown.status {
            Some(304) => self.stored.confirmed(&told.caught.head, cache, now),
            _ if told.shown.outcome.class == Class::Ok => {
                Stored::of(&told.caught, &self.asked, self.target, cache, false, now)
            }
            _ => None,
        };
        if let Some(renewed) = renewed {
            cache.put(renewed, &self.asked);
        }
    }
}

fn tell(court: &Court, path: usize, passage: &Passage, told: &probe::Told, now: jiff::Timestamp) {
    let outcome = &told.shown.outcome;
    court.finish(path, passage, &told.shown, now);
    court.leave(passage, Mark::of(outcome) == Mark::Good);
    let is_429 = outcome.class == Class::RateLimited;
    if (is_429 || told.pause.is_some())
        && let Some(mut judge) = court.judge()
    {
        judge.limited(told.pause, is_429, now);
    }
}
