//! One step of the plan: a connection over a path, and the request on it.

use std::future::poll_fn;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::failover::Next;
use byway_core::relay::{MARGIN, RelayHop};
use byway_core::route::Scheme;
use byway_core::settings::Deadlines;
use byway_net::{Dial, DialFailure, Dialled, RelayStream, Stream, Target};

use crate::around::{Around, Catch};
use crate::buf::Buf;
use crate::caller::{Caller, CallerStream};
use crate::clock;
use crate::decide::Left;
use crate::exchange::{End, Exchange};
use crate::head;
use crate::pipeline::Flight;
use crate::pool::Lane;
use crate::snapshot::PathPlan;

/// A connection for one attempt.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) absolute_form: bool,
}

impl Connection {
    /// What exactly went wrong, where the way out itself knows.
    pub(crate) fn detail(&self) -> String {
        let fault = self.stream.relay().and_then(RelayStream::fault);
        fault.map_or(String::new(), |fault| fault.detail.clone())
    }
}

impl Flight<'_> {
    pub(crate) fn lane(&self, path: usize) -> Lane {
        Lane {
            generation: self.snapshot.generation,
            provider: self.request.route.provider,
            path,
            origin: self.request.origin.clone(),
        }
    }

    /// A connection from the pool, or a new one.
    pub(crate) async fn connect(
        &mut self,
        lane: &Lane,
        path: &PathPlan,
        fresh: bool,
    ) -> Result<Connection, DialFailure> {
        self.progress.reused = false;
        if !fresh && let Some(idle) = self.worker.pool.take(lane, self.progress.started) {
            self.progress.reused = true;
            return Ok(Connection { stream: idle.stream, absolute_form: idle.absolute_form });
        }
        let dialled = Box::pin(self.dial(path, false)).await?;
        Ok(Connection { stream: dialled.stream, absolute_form: dialled.absolute_form })
    }

    pub(crate) async fn dial(
        &mut self,
        path: &PathPlan,
        tunnel: bool,
    ) -> Result<Dialled, DialFailure> {
        let own_origin = self.provider.base.as_ref().map(|base| &base.origin);
        let origin = self.request.origin.as_deref().or(own_origin).ok_or_else(|| DialFailure {
            cause: Cause::ProviderHasNoUrl,
            detail: String::new(),
            peer: None,
        })?;
        let is_tls = origin.scheme == Scheme::Https && !tunnel;
        let dial = Dial {
            path: &path.kind,
            hop: &path.hop,
            target: Target::new(origin.scheme, &origin.host, origin.port),
            allow: &self.provider.allow,
            tls: is_tls.then_some(&self.provider.tls),
            tunnel,
            deadlines: &self.provider.deadlines,
            hops: &self.hops(),
            own: &self.snapshot.own,
        };
        let began = clock::instant();
        let dialled = byway_net::dial(&self.worker.resolver, &dial).await;
        let connected_at = clock::instant();
        self.progress.connected_at = Some(connected_at);
        self.progress.connect = Some(connected_at - began);
        match &dialled {
            Ok(dialled) => {
                self.progress.peer = Some(dialled.peer);
                let exits = &self.worker.shared.exits;
                exits.local(path.name.as_str(), dialled.local.ip());
                if let Some(exit) = dialled.exit {
                    exits.echoed(path.name.as_str(), exit, "peer");
                }
                path.metrics.of(self.worker.index).connected();
            }
            Err(failure) => self.progress.peer = failure.peer,
        }
        dialled
    }

    /// Sends the request and delivers the answer, unless what it says lets another attempt be
    /// better than this answer.
    pub(crate) async fn exchange(
        &mut self,
        caller: &mut Caller,
        path: &PathPlan,
        connection: &mut Connection,
        left: Left,
    ) -> End {
        // Without a dial in between hardly any time has passed.
        let began = self.progress.connected_at.unwrap_or(self.progress.started);
        let is_tls = matches!(caller.stream, CallerStream::Tls(_));
        let mut out = std::mem::take(&mut self.request.out);
        let mut body = std::mem::replace(&mut self.request.body, byway_wire::body::Body::Left(0));
        let mut absolute = Buf::none();
        if connection.absolute_form {
            absolute = Buf::from(self.absolute_form(out.whole(), path));
        }
        let around = Around {
            request: &self.request.shape,
            deadlines: &self.provider.deadlines,
            home: self.request.home(self.snapshot, is_tls),
            n_fields_max: self.snapshot.wire_limits.n_fields_max,
            head_bytes_max: self.snapshot.wire_limits.head_bytes_max,
            draining: &self.worker.shared.draining,
            through_proxy: connection.absolute_form,
            relay_wait: path.kind.relay().map(|relay| relay_wait(relay, &self.provider.deadlines)),
            total: self.progress.started + self.provider.deadlines.total,
            now: began,
            catch: Catch {
                is_judged: self.court.is_some() || self.memory.is_some(),
                learns: self.learns(),
                suspicion: self.suspicion(),
                store_bytes_max: self.store_bytes_max(),
                is_confirming: self.is_confirming(),
            },
        };
        let sent = if connection.absolute_form { &mut absolute } else { &mut out };
        let n_sent_whole = sent.whole().len();
        let mut exchange = Exchange::new(caller, &mut connection.stream, sent, &mut body, around);
        let mut end = poll_fn(|cx| exchange.poll(cx)).await;
        if matches!(end, End::Held) {
            let seen = exchange.seen;
            let is_confirmed =
                self.is_confirming() && seen.answer.is_some_and(|answer| answer.status == 304);
            let next = match exchange.caught() {
                Some(_) if is_confirmed => Next::Copy,
                Some(caught) => self.after_answer(caught, seen, n_sent_whole, left),
                None => Next::GiveUp,
            };
            if next == Next::GiveUp {
                exchange.release();
                end = poll_fn(|cx| exchange.poll(cx)).await;
            } else {
                self.progress.next = next;
            }
        }
        self.progress.seen = exchange.seen;
        self.progress.caught = exchange.take_caught();
        self.request.out = out;
        self.request.body = body;
        self.learn_from_relay(path, connection);
        end
    }

    /// A relay tells which address the provider sees.
    fn learn_from_relay(&self, path: &PathPlan, connection: &Connection) {
        let Some(relay) = connection.stream.relay() else { return };
        let exits = &self.worker.shared.exits;
        if let Some(exit) = relay.seen().and_then(|seen| seen.exit)
            && !exits.is_echoed(path.name.as_str())
        {
            exits.echoed(path.name.as_str(), exit, "relay");
        }
    }

    /// The instances that have seen the request, this one last.
    pub(crate) fn hops(&self) -> String {
        let own = self.snapshot.settings.instance.as_str();
        match self.request.hops.as_deref() {
            Some(before) => format!("{before}, {own}"),
            None => own.to_owned(),
        }
    }

    fn absolute_form(&self, out: &[u8], path: &PathPlan) -> Vec<u8> {
        let own = self.provider.base.as_ref().map(|base| &base.origin);
        let authority = self.request.origin.as_deref().or(own).map(|origin| origin.authority());
        let credentials = path.proxy_authorization.as_ref().map(|secret| secret.reveal());
        let is_byway = path.proxy().is_some_and(|hop| hop.is_byway);
        let hops = is_byway.then(|| self.hops());
        let hops = hops.as_deref().map(str::as_bytes);
        head::absolute_form(out, &authority.unwrap_or_default(), credentials, hops)
    }
}

/// How long a relay may be silent before it, and nobody else, is taken to have failed.
///
/// One that streams begins when the provider does; any other is silent until it has everything.
pub(crate) fn relay_wait(relay: &RelayHop, deadlines: &Deadlines) -> Duration {
    let all = relay.limits.timeout.min(deadlines.total).saturating_add(MARGIN);
    if !relay.limits.streams {
        return all;
    }
    // It has the request whole before the provider gets any of it, and may be idle as long.
    let Deadlines { connect, tls, first_byte, idle_body, .. } = *deadlines;
    let parts = [connect, tls, idle_body, first_byte, MARGIN];
    all.min(parts.into_iter().fold(Duration::ZERO, Duration::saturating_add))
}
