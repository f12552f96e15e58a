//! Idle connections to providers, per worker.
//!
//! A lane is one origin over one path for one provider: connections never change lanes, so a
//! client certificate or a source address can never serve somebody else. The last connection given
//! back is the first taken: it is the least likely to have been closed meanwhile.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use byway_core::route::Origin;
use byway_net::Stream;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

/// Lanes for unlisted origins are forgotten, oldest first, beyond this number.
const N_LANES_MAX: usize = 4096;

/// Which connections can serve a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    /// The snapshot: a reload starts with empty lanes.
    pub(crate) generation: u64,
    /// Index of the provider; `None` for observed ones.
    pub(crate) provider: Option<usize>,
    /// Index of the path among the provider's.
    pub(crate) path: usize,
    /// Where to; `None` for the provider's own origin, which needs no string.
    pub(crate) origin: Option<Box<Origin>>,
}

/// An idle connection.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) stream: Stream,
    /// Absolute-form through a proxy.
    pub(crate) absolute_form: bool,
    expires: Instant,
}

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// The hasher is fast, and seeded against callers that choose hosts to collide.
    lanes: Mutex<HashMap<Lane, Vec<Idle>, foldhash::fast::RandomState>>,
}

impl Pool {
    /// Takes a connection that is still open, as far as can be told without asking.
    pub(crate) fn take(&self, lane: &Lane, now: Instant) -> Option<Idle> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = lanes.get_mut(lane)?;
        while let Some(mut connection) = idle.pop() {
            if connection.expires > now && is_quiet(&mut connection.stream) {
                return Some(connection);
            }
        }
        None
    }

    /// Gives a connection back after a complete answer.
    pub(crate) fn put(
        &self,
        lane: Lane,
        stream: Stream,
        absolute_form: bool,
        expires: Instant,
        n_idle_max: usize,
    ) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= N_LANES_MAX && !lanes.contains_key(&lane) {
            lanes.retain(|_, idle| !idle.is_empty());
            if lanes.len() >= N_LANES_MAX {
                return;
            }
        }
        let idle = lanes.entry(lane).or_default();
        if idle.len() < n_idle_max {
            idle.push(Idle { stream, absolute_form, expires });
        }
    }

    /// Closes what has been idle too long, or belongs to settings that are no longer in force.
    pub(crate) fn sweep(&self, now: Instant, generation: u64) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane, idle| {
            idle.retain_mut(|connection| {
                connection.expires > now
                    && lane.generation == generation
                    && is_quiet(&mut connection.stream)
            });
            !idle.is_empty()
        });
    }
}

/// Whether the provider has neither closed the connection nor said anything unasked.
///
/// Costs no system call unless the runtime has seen the socket become readable. Over TLS the
/// bytes may be session tickets, which the read takes in.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let mut cx = Context::from_waker(Waker::noop());
    matches!(Pin::new(stream).poll_read(&mut cx, &mut byte), Poll::Pending)
}

/// How often a worker sweeps.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(5);
