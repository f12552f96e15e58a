//! Connections to providers that may be used again, as the gateway keeps them: a handshake for every
//! call would be seen, would cost, and would use up ports.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use byway_net::Stream;
use byway_wire::relay::call::Call;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;

/// As long as a gateway keeps them: below the 60 s that many servers use.
const KEPT: Duration = Duration::from_secs(50);
/// For one destination.
const N_IDLE_MAX: usize = 64;
/// An allow-list is short; wildcards may make it long.
const N_PLACES_MAX: usize = 256;

/// Where connections lead; those of one place can serve each other's calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    is_tls: bool,
    host: String,
    port: u16,
    pinned: Option<IpAddr>,
}

impl Place {
    pub(crate) fn of(call: &Call) -> Self {
        let Call { is_tls, host, port, pinned, .. } = call;
        Self { is_tls: *is_tls, host: host.to_ascii_lowercase(), port: *port, pinned: *pinned }
    }
}

/// An idle connection, the other end of it, and since when it is idle.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) stream: Stream,
    pub(crate) peer: IpAddr,
    since: Instant,
}

/// Idle connections by place.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<HashMap<Place, Vec<Idle>>>);

impl Pool {
    /// The last one given back that is still open, as far as can be told without asking.
    pub(crate) fn take(&self, place: &Place, now: Instant) -> Option<Idle> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.get_mut(place)?;
        while let Some(mut one) = idle.pop() {
            if now.saturating_duration_since(one.since) < KEPT && is_quiet(&mut one.stream) {
                return Some(one);
            }
        }
        None
    }

    /// Keeps one, and drops what is too old.
    pub(crate) fn put(&self, place: Place, stream: Stream, peer: IpAddr, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= N_PLACES_MAX {
            all.retain(|_, idle| {
                idle.retain(|one| now.saturating_duration_since(one.since) < KEPT);
                !idle.is_empty()
            });
        }
        if all.len() < N_PLACES_MAX || all.contains_key(&place) {
            let idle = all.entry(place).or_default();
            if idle.len() < N_IDLE_MAX {
                idle.push(Idle { stream, peer, since: now });
            }
        }
    }
}

/// Whether the provider has neither closed it nor said anything unasked.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let mut cx = Context::from_waker(Waker::noop());
    matches!(Pin::new(stream).poll_read(&mut cx, &mut byte), Poll::Pending)
}
