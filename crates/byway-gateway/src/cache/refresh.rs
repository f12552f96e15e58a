//! Asks anew in the background while a stale answer is given (RFC 5861 §3).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use byway_core::classify::Class;
use byway_core::health::Mark;
use byway_core::judge::Leave;
use byway_core::route::Origin;
use byway_wire::request::RequestShape;
use jiff::Timestamp;

use super::asked::plain_get;
use super::{Asked, Digest, Stored};
use crate::court::Court;
use crate::pipeline::{Flight, Going};
use crate::probe::{self, Ask, Told};
use crate::prober;
use crate::snapshot::{ProviderPlan, Snapshot};
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
    turn: Turn,
    asked: Asked,
    target: Digest,
}

/// The right to ask anew, given back however that ends.
struct Turn(Arc<Stored>);

impl Turn {
    /// `None` while another one asks.
    fn take(stored: Arc<Stored>) -> Option<Self> {
        (!stored.is_refreshing.swap(true, Ordering::Relaxed)).then_some(Self(stored))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_refreshing.store(false, Ordering::Relaxed);
    }
}

/// Begins one, unless one is under way.
pub(crate) fn begin(flight: &Flight<'_>, stored: Arc<Stored>, asked: Asked, target: Digest) {
    let snapshot = flight.worker.shared.snapshot();
    if snapshot.generation != flight.snapshot.generation {
        // A provider is known by its place, where the settings of now may have another one.
        return;
    }
    let Some(turn) = Turn::take(stored) else { return };
    let mut head = plain_get(flight.request.out.whole());
    head.truncate(head.len().saturating_sub(2));
    head.extend_from_slice(&turn.0.validators());
    head.extend_from_slice(b"\r\n");
    let Some(shape) = prober::shape_of(&head) else { return };
    let refresh = Refresh {
        worker: Arc::clone(flight.worker),
        snapshot,
        provider: flight.request.route.provider,
        origin: flight.request.origin.as_deref().cloned(),
        head,
        shape,
        route: flight.route,
        turn,
        asked,
        target,
    };
    flight.worker.tasks.spawn(async move { refresh.run().await });
}

impl Refresh {
    async fn run(&self) {
        let provider = self.snapshot.provider(self.provider);
        let court = provider.court.as_deref();
        let mut going = None;
        // It costs what a request costs, and is the first to be left out.
        match court.and_then(|court| Some((court, court.ask(self.worker.clock.now())?))) {
            None => {}
            Some((court, Leave::Go(passage))) => {
                going = Some(Going::new(court, passage));
                tokio::time::sleep(passage.wait).await;
                if court.gate_opens_in(self.worker.clock.now()).is_some() {
                    return;
                }
            }
            Some((_, Leave::Wait(_) | Leave::Busy(_))) => return,
        }
        let path = going.as_ref().and_then(|going| going.passage.lead).unwrap_or(0);
        let Some(told) = self.ask(provider, path).await else { return };
        let now = self.worker.clock.now();
        if let (Some(court), Some(going)) = (court, &mut going) {
            tell(court, path, going, &told, now);
        }
        self.keep(provider, &told, now);
    }

    async fn ask(&self, provider: &ProviderPlan, path: usize) -> Option<Told> {
        let own = provider.base.as_ref().map(|base| &base.origin);
        let court = provider.court.as_deref();
        let usual = court.and_then(|court| court.learnt.get(self.route)?.usual());
        let ask = Ask {
            snapshot: &self.snapshot,
            provider,
            path: provider.paths.get(path)?,
            origin: self.origin.as_ref().or(own)?,
            head: &self.head,
            shape: Some(&self.shape),
            usual: usual.as_deref(),
            body_bytes_max: self.worker.shared.cache.entry_bytes_max(),
            body_within: provider.deadlines.idle_body,
        };
        Some(probe::ask(&self.worker.resolver, &ask, &self.worker.clock).await)
    }

    fn keep(&self, provider: &ProviderPlan, told: &Told, now: Timestamp) {
        let cache = &self.worker.shared.cache;
        let rule = provider.route(self.route).map(|route| route.cache);
        let is_forced = rule.is_some_and(|rule| rule.stale_if_blocked.is_some());
        let is_fine = told.shown.outcome.class == Class::Ok;
        let renewed = match told.shown.status {
            Some(304) => self.turn.0.confirmed(&told.caught.head, cache, now),
            _ if is_fine => {
                Stored::of(&told.caught, &self.asked, self.target, cache, is_forced, now)
            }
            _ => None,
        };
        match renewed {
            Some(renewed) => {
                cache.put(renewed, &self.asked);
            }
            // A whole new answer that may not be stored: the old one is history.
            None if is_fine && told.shown.status == Some(200) && !told.caught.is_cut => {
                cache.remove(self.target);
            }
            None => {}
        }
    }
}

fn tell(court: &Court, path: usize, going: &mut Going<'_>, told: &Told, now: Timestamp) {
    let outcome = &told.shown.outcome;
    court.finish(path, &going.passage, &told.shown, now);
    going.is_good = Mark::of(outcome) == Mark::Good;
    court.heed(outcome, told.pause, now);
}
