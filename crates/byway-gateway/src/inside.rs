//! Tunnels that are open to us: CONNECT to a provider whose operator opted in, answered by the
//! local authority, so that everything in it can be seen, judged and detoured.
//!
//! The caller must trust the authority; one that does not ends its handshake, and the log says what
//! to do. Never for hosts that the authority does not cover, nor for callers that speak before the
//! tunnel stands.

use std::sync::Arc;

use byway_core::route::{Origin, Scheme};
use byway_net::Authority;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::caller::{Caller, CallerStream};
use crate::clock;
use crate::pipeline::{After, ESTABLISHED};
use crate::snapshot::Snapshot;
use crate::way_in::Request;
use crate::worker::Worker;

/// A tunnel about to be opened.
pub(crate) struct Opening {
    authority: Arc<Authority>,
    origin: Origin,
}

impl Opening {
    /// A CONNECT that may be opened.
    pub(crate) fn of(request: &Request, snapshot: &Snapshot, own: Option<&Origin>) -> Option<Self> {
        let origin = request.origin.as_deref().filter(|_| request.shape.is_connect)?;
        let authority = snapshot.authority.as_ref()?;
        let own_port = own.filter(|own| own.scheme == Scheme::Https).map(|own| own.port);
        if origin.port != 443 && Some(origin.port) != own_port {
            return None;
        }
        // Bytes that came with CONNECT were not meant for a server that answers first.
        let is_quiet = request.out.is_empty();
        (is_quiet && authority.covers(&origin.host)).then(|| Self {
            authority: Arc::clone(authority),
            origin: Origin { scheme: Scheme::Https, ..origin.clone() },
        })
    }

    /// Answers, and turns the caller's connection into the inside of the tunnel; `None` if the
    /// caller did not go along.
    pub(crate) async fn run(self, caller: &mut Caller, worker: &Worker) -> Option<After> {
        let Self { authority, origin } = self;
        if !caller.inbox.is_empty() {
            return None;
        }
        let acceptor = authority
            .server(&origin.host, worker.clock.now())
            .inspect_err(
                |error| tracing::error!(%error, host = origin.host, "cannot open a tunnel"),
            )
            .ok()?;
        let within = caller.snapshot.settings.deadlines.head;
        let greet = async {
            caller.stream.write_all(ESTABLISHED).await?;
            caller.stream.flush().await
        };
        timeout(within, greet).await.ok()?.ok()?;
        let stream = std::mem::replace(&mut caller.stream, CallerStream::Gone);
        match timeout(within, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => {
                caller.stream = CallerStream::Inside(Box::new(tls));
                caller.inside = Some(Arc::new(origin));
                // It is idle since now, not since before CONNECT.
                caller.now = clock::instant();
                Some(After::KeepOpen)
            }
            Ok(Err(error)) => {
                let what = "a caller did not accept the local authority; `byway ca trust` says how";
                tracing::warn!(host = origin.host, %error, "{what}");
                None
            }
            Err(_late) => None,
        }
    }
}
