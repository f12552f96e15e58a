//! One request from head to record: the straight line of `docs/life-of-a-request.md`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::choose::Plan;
use byway_core::classify::{self, Blame, Class, Confidence, Outcome, Resend};
use byway_core::evidence::{Answer, Evidence, Sent};
use byway_core::failover::{self, Chance, Next};
use byway_core::route::Scheme;
use byway_net::{Dial, DialFailure, Dialled, Stream, Target};
use tokio::time::Instant;

use crate::around::{Around, Seen};
use crate::buf::Buf;
use crate::caller::{Caller, CallerStream};
use crate::clock;
use crate::exchange::{End, Exchange, Fault};
use crate::head;
use crate::pool::Lane;
use crate::record::Record;
use crate::respond::{About, Problem};
use crate::snapshot::{PathPlan, ProviderPlan, Snapshot};
use crate::span::{FinishedSpan, Spans};
use crate::tell;
use crate::tunnel::{Tunnel, TunnelEnd};
use crate::way_in::{self, Request};
use crate::worker::Worker;

/// What becomes of the caller's connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request may come.
    KeepOpen,
    /// It is over.
    Close,
    /// It is over in the middle of an answer, which must not look whole.
    Abort,
    /// It is over, but the caller is still sending: let it read the answer first.
    Linger,
}

/// What is known about a request while it is under way; becomes the record.
#[derive(Debug)]
struct Progress {
    started: Instant,
    n_attempts: u32,
    path: usize,
    reused: bool,
    connect: Option<Duration>,
    connected_at: Option<Instant>,
    peer: Option<std::net::SocketAddr>,
    seen: Seen,
}

/// How a request ended, before it is told to anybody.
#[derive(Debug)]
enum Ending {
    /// The caller got the provider's answer.
    Answered(After),
    /// The caller got nothing yet and must be told.
    Problem(Cause, String),
    /// The caller's message was malformed behind its head.
    BadRequest(byway_wire::Refusal),
    /// The answer broke off; the caller's connection ends with it.
    BrokenOff(Result<Cause, byway_wire::Refusal>),
    /// The caller went away.
    CallerGone,
    /// It became a tunnel, which ended.
    Tunnelled(TunnelEnd),
}

/// Serves the request whose head is the first `head_len` bytes of the inbox.
pub(crate) async fn serve(caller: &mut Caller, worker: &Arc<Worker>, head_len: usize) -> After {
    let started = clock::instant();
    let request = match way_in::read(caller, head_len) {
        Ok(request) => request,
        Err(turned) => return Box::pin(tell::turn_away(caller, worker, *turned)).await,
    };
    let snapshot = Arc::clone(&caller.snapshot);
    let mut flight = Flight {
        provider: snapshot.provider(request.route.provider),
        snapshot: &snapshot,
        worker,
        request,
        progress: Progress {
            started,
            n_attempts: 0,
            path: 0,
            reused: false,
            connect: None,
            connected_at: None,
            peer: None,
            seen: Seen::default(),
        },
    };
    let plan = flight.provider.choose(|| worker.clock.now());
    let ending = if flight.request.shape.is_connect {
        Box::pin(flight.tunnel(caller, &plan)).await
    } else {
        flight.forward(caller, &plan).await
    };
    flight.finish(caller, &plan, ending).await
}

/// A request with everything that it needs on its way.
struct Flight<'a> {
    snapshot: &'a Snapshot,
    provider: &'a ProviderPlan,
    worker: &'a Arc<Worker>,
    request: Request,
    progress: Progress,
}

/// A connection for one attempt.
struct Connection {
    stream: Stream,
    absolute_form: bool,
}

impl<'a> Flight<'a> {
    fn path(&self, index: usize) -> Option<&'a PathPlan> {
        self.provider.paths.get(index)
    }

    /// choose → attempt → classify → failover, until there is something to tell the caller.
    async fn forward(&mut self, caller: &mut Caller, plan: &Plan) -> Ending {
        let (mut position, mut repeated) = (0, false);
        loop {
            let Some((index, path)) = plan.nth(position).and_then(|i| Some((i, self.path(i)?)))
            else {
                return Ending::Problem(Cause::Internal, "the provider has no path".to_owned());
            };
            self.progress.path = index;
            self.progress.n_attempts += 1;
            let lane = self.lane(index);
            let (fault, detail) = match self.connect(&lane, path, repeated).await {
                Ok(mut connection) => match self.exchange(caller, path, &mut connection).await {
                    End::Complete => return Ending::Answered(self.answered(lane, connection)),
                    End::Switched(rest) => {
                        let up = std::mem::take(&mut caller.inbox);
                        return self.run_tunnel(caller, connection.stream, up, rest).await;
                    }
                    End::Failed(fault) => (fault, String::new()),
                },
                Err(failure) => (Fault::Provider(failure.cause, None), failure.detail),
            };
            let (cause, refusal) = match fault {
                Fault::Provider(cause, refusal) => (cause, refusal),
                Fault::Request(refusal) if self.progress.seen.delivering => {
                    self.worker.shared.metrics.refused(refusal);
                    return Ending::BrokenOff(Err(refusal));
                }
                Fault::Request(refusal) => return Ending::BadRequest(refusal),
                Fault::CallerGone(Some(cause)) if !self.progress.seen.delivering => {
                    return Ending::Problem(cause, String::new());
                }
                Fault::CallerGone(_) => return Ending::CallerGone,
            };
            if self.progress.seen.delivering {
                return Ending::BrokenOff(Ok(cause));
            }
            let detail = refusal.map_or(detail, |refusal| refusal.says().to_owned());
            match self.after_failure(cause, plan, position, repeated) {
                Next::SamePath => repeated = true,
                Next::NextPath => (position, repeated) = (position + 1, false),
                Next::GiveUp => return Ending::Problem(cause, detail),
            }
            path.metrics.of(self.worker.index).attempt_failed();
        }
    }

    /// Judges a failed attempt and decides what is next.
    fn after_failure(&self, cause: Cause, plan: &Plan, position: usize, repeated: bool) -> Next {
        let seen = &self.progress.seen;
        // A proxy that wants other credentials has not passed the request on.
        let untouched = seen.bytes_up == 0 || cause == Cause::PathCredentials;
        let sent = if untouched { Sent::Nothing } else { Sent::Some };
        let reused = self.progress.reused;
        let outcome = classify::classify(
            &Evidence::Failed { cause, sent, reused },
            &self.snapshot.signatures,
        );
        if outcome.origin == Blame::Path
            && let Some(path) = self.path(self.progress.path)
        {
            path.set_broken(self.worker.clock.now());
        }
        let stale = matches!(cause, Cause::ClosedWithoutAnswer | Cause::Reset)
            && reused
            && !seen.any_answer;
        let limit = self.snapshot.settings.limits.replay_bytes_max;
        let chance = Chance {
            stale_connection: stale,
            repeated,
            has_next_path: plan.nth(position + 1).is_some(),
            replayable: !seen.took_more && (untouched || self.request.out.whole().len() <= limit),
            idempotent: self.request.shape.is_idempotent,
        };
        failover::next(&outcome, chance)
    }

    fn lane(&self, path: usize) -> Lane {
        Lane {
            generation: self.snapshot.generation,
            provider: self.request.route.provider,
            path,
            origin: self.request.origin.clone(),
        }
    }

    /// A connection from the pool, or a new one.
    async fn connect(
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

    async fn dial(&mut self, path: &PathPlan, tunnel: bool) -> Result<Dialled, DialFailure> {
        let own_origin = self.provider.base.as_ref().map(|base| &base.origin);
        let origin = self.request.origin.as_deref().or(own_origin).ok_or_else(|| DialFailure {
            cause: Cause::ProviderHasNoUrl,
            detail: String::new(),
            peer: None,
        })?;
        let is_tls = origin.scheme == Scheme::Https && !tunnel;
        let dial = Dial {
            path: &path.kind,
            target: Target { scheme: origin.scheme, host: &origin.host, port: origin.port },
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
                path.metrics.of(self.worker.index).connected();
            }
            Err(failure) => self.progress.peer = failure.peer,
        }
        dialled
    }

    async fn exchange(
        &mut self,
        caller: &mut Caller,
        path: &PathPlan,
        connection: &mut Connection,
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
            total: self.progress.started + self.provider.deadlines.total,
            now: began,
        };
        let sent = if connection.absolute_form { &mut absolute } else { &mut out };
        let mut exchange = Exchange::new(caller, &mut connection.stream, sent, &mut body, around);
        let end = poll_fn(|cx| exchange.poll(cx)).await;
        self.progress.seen = exchange.seen;
        self.request.out = out;
        self.request.body = body;
        end
    }

    /// The instances that have seen the request, this one last.
    fn hops(&self) -> String {
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

    /// The answer is delivered: the connections go where they belong.
    fn answered(&self, lane: Lane, connection: Connection) -> After {
        let seen = &self.progress.seen;
        if seen.provider_open {
            let expires = self.progress.started + self.provider.deadlines.idle_provider;
            let n_max = self.snapshot.settings.limits.n_idle_per_lane_max;
            let Connection { stream, absolute_form } = connection;
            self.worker.pool.put(lane, stream, absolute_form, expires, n_max);
        }
        match (seen.caller_open, self.request.body.is_done()) {
            (true, _) => After::KeepOpen,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        }
    }

    /// CONNECT: a connection, an answer, and then bytes.
    async fn tunnel(&mut self, caller: &mut Caller, plan: &Plan) -> Ending {
        let mut position = 0;
        loop {
            let Some((index, path)) = plan.nth(position).and_then(|i| Some((i, self.path(i)?)))
            else {
                return Ending::Problem(Cause::Internal, "the provider has no path".to_owned());
            };
            self.progress.path = index;
            self.progress.n_attempts += 1;
            match self.dial(path, true).await {
                Ok(dialled) => {
                    let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
                    let mut down = Buf::none();
                    down.vec().extend_from_slice(established);
                    let up = std::mem::take(&mut self.request.out);
                    return self.run_tunnel(caller, dialled.stream, up, down).await;
                }
                Err(failure) => {
                    if self.after_failure(failure.cause, plan, position, true) != Next::NextPath {
                        return Ending::Problem(failure.cause, failure.detail);
                    }
                    path.metrics.of(self.worker.index).attempt_failed();
                    position += 1;
                }
            }
        }
    }

    async fn run_tunnel(
        &mut self,
        caller: &mut Caller,
        mut provider: Stream,
        up: Buf,
        down: Buf,
    ) -> Ending {
        let mut tunnel = Box::new(Tunnel::new(up, down, self.provider.deadlines.idle_tunnel));
        let Caller { stream, timer, .. } = caller;
        let end = poll_fn(|cx| tunnel.poll(stream, &mut provider, timer, cx)).await;
        self.progress.seen.bytes_up += tunnel.up.n_bytes;
        self.progress.seen.bytes_down += tunnel.down.n_bytes;
        Ending::Tunnelled(end)
    }

    /// Tells the caller what has to be told, and writes the record.
    async fn finish(self, caller: &mut Caller, plan: &Plan, ending: Ending) -> After {
        let (outcome, code, detail, after) = match ending {
            Ending::Answered(after) => {
                let status = self.progress.seen.answer.map_or(0, |answer| answer.status);
                let evidence = Evidence::Answered(Answer::bare(status));
                let outcome = classify::classify(&evidence, &self.snapshot.signatures);
                (outcome, None, String::new(), after)
            }
            Ending::Tunnelled(end) => {
                let seen = &self.progress.seen;
                let evidence =
                    Evidence::Tunnelled { bytes_up: seen.bytes_up, bytes_down: seen.bytes_down };
                let outcome = classify::classify(&evidence, &self.snapshot.signatures);
                let (code, detail) = match end {
                    TunnelEnd::Closed => (None, String::new()),
                    TunnelEnd::Idle => (Some("tunnel_idle"), String::new()),
                    TunnelEnd::Broken(error) => (None, error.to_string()),
                };
                (outcome, code, detail, After::Close)
            }
            Ending::Problem(cause, detail) => {
                self.worker.shared.metrics.answered_with(cause);
                let problem = Problem::of(cause, detail.clone());
                let after = Box::pin(self.tell(caller, &problem)).await;
                (self.outcome(cause), Some(cause.code()), detail, after)
            }
            Ending::BadRequest(refusal) => {
                self.worker.shared.metrics.refused(refusal);
                let problem = Problem::refusal(refusal);
                let after = Box::pin(self.tell(caller, &problem)).await;
                (ours(Class::LocalLimit), Some(refusal.code()), String::new(), after)
            }
            Ending::BrokenOff(broke) => {
                // Where only the connection's end marks the end of the answer, a plain close would
                // make half an answer look whole.
                caller.stream.reset_on_close();
                let (outcome, code) = match broke {
                    Ok(cause) => (self.outcome(cause), cause.code()),
                    Err(refusal) => (ours(Class::LocalLimit), refusal.code()),
                };
                (outcome, Some(code), String::new(), After::Abort)
            }
            Ending::CallerGone => {
                (ours(Class::Cancelled), Some("caller_gone"), String::new(), After::Close)
            }
        };
        self.record(caller, plan, outcome, code, &detail);
        after
    }

    fn outcome(&self, cause: Cause) -> Outcome {
        let sent = if self.progress.seen.bytes_up == 0 { Sent::Nothing } else { Sent::Some };
        let reused = self.progress.reused;
        classify::classify(&Evidence::Failed { cause, sent, reused }, &self.snapshot.signatures)
    }

    async fn tell(&self, caller: &mut Caller, problem: &Problem) -> After {
        let shape = &self.request.shape;
        let is_done = self.request.body.is_done();
        let close = !shape.keep_alive || !is_done || self.worker.shared.is_draining();
        let about = About {
            instance: &self.snapshot.settings.instance,
            provider: self.provider.name.as_str(),
            path: self.path(self.progress.path).map_or("", |path| path.name.as_str()),
            is_head: shape.is_head,
            close,
        };
        let is_sent = tell::send(caller, problem, &about).await;
        match (is_sent && !close, is_done) {
            (true, _) => After::KeepOpen,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        }
    }

    fn record(
        &self,
        caller: &mut Caller,
        plan: &Plan,
        outcome: Outcome,
        code: Option<&str>,
        detail: &str,
    ) {
        let now = clock::instant();
        caller.now = now;
        let Progress { started, seen, .. } = &self.progress;
        let path = self.path(self.progress.path);
        let took = now.saturating_duration_since(*started);
        if let Some(path) = path {
            let shard = path.metrics.of(self.worker.index);
            shard.request(outcome.class, took, seen.bytes_up, seen.bytes_down);
        }
        let status = seen.answer.map(|answer| answer.status);
        let own = self.provider.base.as_ref().map(|base| &base.origin);
        let origin = self.request.origin.as_deref().or(own);
        let host = origin.map_or("", |origin| origin.host.as_str());
        if let Some(spans) = &self.worker.shared.spans {
            self.export(spans, host, outcome, code, took);
        }
        if !self.worker.wants_line(&self.snapshot.settings.log, code.is_none(), status) {
            return;
        }
        let skipped: Vec<&str> =
            plan.skipped().filter_map(|(i, _)| Some(self.path(i)?.name.as_str())).collect();
        let record = Record {
            at: self.worker.clock.at(*started),
            instance: &self.snapshot.settings.instance,
            caller: caller.peer.ip(),
            way: self.request.way,
            method: self.request.method(),
            provider: self.provider.name.as_str(),
            rule: Some(self.request.route.rule),
            host,
            path: path.map_or("", |path| path.name.as_str()),
            skipped: &skipped.join(","),
            n_attempts: self.progress.n_attempts,
            reused: self.progress.reused,
            peer: self.progress.peer,
            status,
            outcome,
            code,
            detail,
            bytes_up: seen.bytes_up,
            bytes_down: seen.bytes_down,
            connect: self.progress.connect,
            first_byte: seen
                .any_answer
                .then(|| seen.first_byte_at.unwrap_or(now).saturating_duration_since(*started)),
            took,
        };
        self.worker.write_line(&record, self.snapshot.settings.log.format);
    }
}

impl Flight<'_> {
    fn export(
        &self,
        spans: &Spans,
        host: &str,
        outcome: Outcome,
        code: Option<&str>,
        took: Duration,
    ) {
        let parent = self.request.parent();
        let status = self.progress.seen.answer.map(|answer| answer.status);
        let failed = code.is_some() || status.is_some_and(|status| status >= 500);
        if !spans.wants(failed, parent) {
            return;
        }
        let path = self.path(self.progress.path);
        let is_taken = spans.pass_on(FinishedSpan {
            parent,
            at: self.worker.clock.at(self.progress.started),
            took,
            method: self.request.method().to_owned(),
            provider: self.provider.name.as_str().to_owned(),
            path: path.map_or("", |path| path.name.as_str()).to_owned(),
            host: host.to_owned(),
            peer: self.progress.peer,
            status,
            class: outcome.class.as_str(),
            code: code.map(str::to_owned),
        });
        if !is_taken {
            self.worker.shared.metrics.spans_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An outcome that is nobody else's doing.
pub(crate) const fn ours(class: Class) -> Outcome {
    Outcome::plain(class, Blame::Us, Confidence::Strong, Resend::Never)
}
