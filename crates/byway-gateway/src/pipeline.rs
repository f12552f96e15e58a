//! One request from head to record: the straight line of `docs/life-of-a-request.md`.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::choose::Plan;
use byway_core::failover::Next;
use byway_core::judge::{Busy, Leave, Passage};
use byway_core::relay::Asked;
use byway_net::{DialFailure, EXIT_FIELD, Stream};
use byway_wire::body::Framing;
use tokio::time::Instant;

use crate::around::Seen;
use crate::attempt::Connection;
use crate::buf::Buf;
use crate::cache::{Given, Remembered};
use crate::caller::Caller;
use crate::clock;
use crate::court::Court;
use crate::decide::Left;
use crate::exchange::{End, Fault};
use crate::inside::Opening;
use crate::pool::Lane;
use crate::snapshot::{PathPlan, ProviderPlan, Snapshot};
use crate::tell;
use crate::tunnel::{Tunnel, TunnelEnd};
use crate::way_in::{self, Request};
use crate::witness::{self, Caught};
use crate::worker::Worker;

/// The answer to CONNECT (RFC 9110 §9.3.6).
pub(crate) const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

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
pub(crate) struct Progress {
    pub(crate) started: Instant,
    pub(crate) n_attempts: u32,
    pub(crate) path: usize,
    pub(crate) reused: bool,
    pub(crate) connect: Option<Duration>,
    pub(crate) connected_at: Option<Instant>,
    pub(crate) peer: Option<std::net::SocketAddr>,
    pub(crate) seen: Seen,
    /// What was kept of the answer for a look.
    pub(crate) caught: Option<Box<Caught>>,
    /// What a held answer led to.
    pub(crate) next: Next,
    /// The status of the stored answer that was given, and whether nobody was asked.
    pub(crate) given: Option<(u16, bool)>,
}

/// How a request ended, before it is told to anybody.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The caller got the provider's answer.
    Answered(After),
    /// The caller got nothing yet and must be told.
    Problem(Cause, String),
    /// The same, and when it is worth trying again.
    NotNow(Cause, Duration),
    /// The caller's message was malformed behind its head.
    BadRequest(byway_wire::Refusal),
    /// The answer broke off; the caller's connection ends with it.
    BrokenOff(Result<Cause, byway_wire::Refusal>),
    /// The caller went away.
    CallerGone,
    /// It became a tunnel, which ended.
    Tunnelled(TunnelEnd),
    /// A stored answer is the answer.
    Given(Given),
}

/// A request with everything that it needs on its way.
pub(crate) struct Flight<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) provider: &'a ProviderPlan,
    /// Who judges the provider; nobody if that is switched off.
    pub(crate) court: Option<&'a Court>,
    /// Which part of the provider is asked.
    pub(crate) route: usize,
    pub(crate) worker: &'a Arc<Worker>,
    pub(crate) request: Request,
    pub(crate) progress: Progress,
    pub(crate) going: Option<Going<'a>>,
    /// What the stored answers know of it.
    pub(crate) memory: Option<Box<Remembered>>,
}

/// Leave to go, given back when the request is over, however it ends.
pub(crate) struct Going<'a> {
    court: &'a Court,
    pub(crate) passage: Passage,
    pub(crate) is_good: bool,
}

impl<'a> Going<'a> {
    pub(crate) const fn new(court: &'a Court, passage: Passage) -> Self {
        Self { court, passage, is_good: false }
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.court.leave(&self.passage, self.is_good);
    }
}

/// Serves the request whose head is the first `head_len` bytes of the inbox.
pub(crate) async fn serve(caller: &mut Caller, worker: &Arc<Worker>, head_len: usize) -> After {
    let started = clock::instant();
    let request = match way_in::read(caller, head_len) {
        Ok(request) => request,
        Err(turned) => return Box::pin(tell::turn_away(caller, worker, *turned)).await,
    };
    let snapshot = Arc::clone(&caller.snapshot);
    let provider = snapshot.provider(request.route.provider);
    if provider.intercept
        && let own = provider.base.as_ref().map(|base| &base.origin)
        && let Some(opening) = Opening::of(&request, &snapshot, own)
    {
        return Box::pin(opening.run(caller, worker)).await.unwrap_or(After::Abort);
    }
    let observed = match (request.route.provider, request.origin.as_deref()) {
        (None, Some(origin)) => worker.shared.courts.observed(&origin.host),
        _ => None,
    };
    let route = provider.route_of(request.target());
    let mut flight = Flight {
        court: provider.court.as_deref().or(observed.as_deref()),
        provider,
        route,
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
            caught: None,
            next: Next::GiveUp,
            given: None,
        },
        going: None,
        memory: None,
    };
    if flight.is_stored()
        && let Some(given) = Box::pin(flight.remember()).await
    {
        return flight.finish(caller, &Plan::default(), given).await;
    }
    let (plan, ending) = match flight.ask().await {
        Err((cause, later)) => (Plan::default(), flight.not_now(cause, later)),
        Ok(()) => {
            let mut plan = flight.plan();
            let ending = if flight.request.shape.is_connect {
                Box::pin(flight.tunnel(caller, &plan)).await
            } else {
                flight.forward(caller, &mut plan).await
            };
            (plan, ending)
        }
    };
    flight.finish(caller, &plan, ending).await
}

impl<'a> Flight<'a> {
    pub(crate) fn path(&self, index: usize) -> Option<&'a PathPlan> {
        self.provider.paths.get(index)
    }

    /// Asks for leave, and waits for it as long as a request may wait.
    ///
    /// # Errors
    /// Why it may not go, and when it is worth trying again.
    pub(crate) async fn ask(&mut self) -> Result<(), (Cause, Duration)> {
        let Some(court) = self.court else { return Ok(()) };
        // Only the first time nothing has passed since the request began.
        let is_first = self.progress.n_attempts == 0;
        let mut at = if is_first { self.progress.started } else { clock::instant() };
        let give_up = at + self.provider.wait_max;
        loop {
            let wait = match court.ask(self.worker.clock.at(at)) {
                // Rather without leave than never: a broken judge must not make things worse.
                None => return Ok(()),
                Some(Leave::Go(passage)) => {
                    self.going = Some(Going::new(court, passage));
                    if passage.wait.is_zero() {
                        return Ok(());
                    }
                    tokio::time::sleep(passage.wait).await;
                    at = clock::instant();
                    // The provider may have asked for a pause meanwhile, which holds for all.
                    match court.gate_opens_in(self.worker.clock.at(at)) {
                        None => return Ok(()),
                        Some(opens) => {
                            self.going = None;
                            opens
                        }
                    }
                }
                Some(Leave::Wait(wait)) => wait,
                Some(Leave::Busy(Busy::Gate(later))) => return Err((Cause::Gated, later)),
                Some(Leave::Busy(Busy::Budget(later))) => return Err((Cause::BudgetSpent, later)),
            };
            if at + wait > give_up {
                let is_gated = court.gate_opens_in(self.worker.clock.at(at)).is_some();
                return Err((if is_gated { Cause::Gated } else { Cause::BudgetSpent }, wait));
            }
            tokio::time::sleep(wait).await;
            at = clock::instant();
        }
    }

    /// The order in which paths are tried now.
    pub(crate) fn plan(&self) -> Plan {
        let passage = self.going.as_ref().map(|going| &going.passage);
        let lead = passage.and_then(|passage| passage.lead);
        let gone_round = passage.map_or(0, |passage| passage.gone_round);
        let asked = self.asked();
        self.provider.choose(lead, gone_round, &asked, || self.worker.clock.now())
    }

    /// What decides whether it fits through a relay.
    fn asked(&self) -> Asked {
        let shape = &self.request.shape;
        let is_connect = shape.is_connect;
        let out = self.request.out.whole();
        // The first bytes of the body stand behind the head.
        let end = |out: &[u8]| out.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        let head_bytes = if self.provider.has_relay { end(out).unwrap_or(out.len()) } else { 0 };
        let body_bytes = match shape.framing {
            Framing::Empty => Some(0),
            Framing::Length(n) => Some(n),
            Framing::Chunked | Framing::UntilClose => None,
        };
        Asked {
            is_connect,
            upgrades: shape.upgrade,
            is_safe: shape.is_safe,
            needs_identity: self.provider.needs_identity,
            head_bytes,
            body_bytes,
        }
    }

    /// choose → attempt → classify → failover, until there is something to tell the caller.
    async fn forward(&mut self, caller: &mut Caller, plan: &mut Plan) -> Ending {
        let (mut position, mut repeated) = (0, false);
        loop {
            let Some((index, path)) = plan.nth(position).and_then(|i| Some((i, self.path(i)?)))
            else {
                return Ending::Problem(Cause::Internal, "the provider has no path".to_owned());
            };
            self.progress.path = index;
            self.progress.n_attempts += 1;
            let left = Left { repeated, has_next_path: plan.nth(position + 1).is_some() };
            let lane = self.lane(index);
            let (fault, detail) = match self.connect(&lane, path, repeated).await {
                Ok(mut connection) => {
                    let end = self.exchange(caller, path, &mut connection, left).await;
                    match end {
                        End::Complete => {
                            return Ending::Answered(self.answered(lane, connection));
                        }
                        End::Switched(rest) => {
                            let up = std::mem::take(&mut caller.inbox);
                            return self.run_tunnel(caller, connection.stream, up, rest).await;
                        }
                        End::Held if self.progress.next == Next::Copy => {
                            self.keep(lane, connection);
                            match self.copied() {
                                Some(given) => return given,
                                None => self.ask_plainly(),
                            }
                            repeated = true;
                            continue;
                        }
                        End::Held => {
                            self.keep(lane, connection);
                            path.metrics.of(self.worker.index).attempt_failed();
                            if let Err((cause, later)) =
                                self.go_on(plan, &mut position, &mut repeated).await
                            {
                                return self.not_now(cause, later);
                            }
                            continue;
                        }
                        End::Failed(fault) => (fault, connection.detail()),
                    }
                }
                Err(failure) => (Fault::Provider(failure.cause, None), failure.detail),
            };
            let (cause, detail) = match self.failed(fault, detail) {
                Ok(failed) => failed,
                Err(ending) => return ending,
            };
            self.progress.next = self.after_failure(cause, &detail, left);
            match self.progress.next {
                Next::GiveUp => return Ending::Problem(cause, detail),
                Next::Copy => {
                    let given = self.copy_instead(self.outcome(cause), None);
                    return given.unwrap_or(Ending::Problem(cause, detail));
                }
                Next::SamePath
                | Next::Retry
                | Next::RetryAfterGate
                | Next::NextPath
                | Next::Detour => {}
            }
            path.metrics.of(self.worker.index).attempt_failed();
            if let Err((cause, later)) = self.go_on(plan, &mut position, &mut repeated).await {
                return self.not_now(cause, later);
            }
        }
    }

    /// The stored answer in place of the one that was held: confirmed by it, or instead of it.
    fn copied(&mut self) -> Option<Ending> {
        let caught = self.progress.caught.take()?;
        if self.is_confirming() && self.progress.seen.answer.is_some_and(|a| a.status == 304) {
            let (status, signatures) = (304, &self.snapshot.signatures);
            let outcome = witness::judge_status(status, signatures);
            self.told(outcome, Some(status), None, "");
            return self.confirmed(&caught);
        }
        let outcome = self.witness(&caught, self.progress.seen).shown.outcome;
        self.copy_instead(outcome, self.progress.seen.answer.map(|answer| answer.status))
    }

    /// The caller has to wait longer than it may, unless a stored answer serves it.
    fn not_now(&self, cause: Cause, later: Duration) -> Ending {
        let outcome = self.outcome(cause);
        let given = self.has_copy(outcome.class).then(|| self.copy_instead(outcome, None));
        given.flatten().unwrap_or(Ending::NotNow(cause, later))
    }

    /// A fault that another attempt could mend, or how the request ends.
    fn failed(&self, fault: Fault, detail: String) -> Result<(Cause, String), Ending> {
        let delivering = self.progress.seen.delivering;
        match fault {
            Fault::Provider(cause, _) if delivering => Err(Ending::BrokenOff(Ok(cause))),
            Fault::Provider(cause, refusal) => {
                Ok((cause, refusal.map_or(detail, |refusal| refusal.says().to_owned())))
            }
            Fault::Request(refusal) if delivering => {
                self.worker.shared.metrics.refused(refusal);
                Err(Ending::BrokenOff(Err(refusal)))
            }
            Fault::Request(refusal) => Err(Ending::BadRequest(refusal)),
            Fault::CallerGone(Some(cause)) if !delivering => {
                Err(Ending::Problem(cause, String::new()))
            }
            Fault::CallerGone(_) => Err(Ending::CallerGone),
        }
    }

    /// Turns the decision into the next step of the plan.
    ///
    /// # Errors
    /// Why the request may not go on, and when it is worth trying again.
    async fn go_on(
        &mut self,
        plan: &mut Plan,
        position: &mut usize,
        repeated: &mut bool,
    ) -> Result<(), (Cause, Duration)> {
        match self.progress.next {
            Next::SamePath | Next::Retry | Next::GiveUp | Next::Copy => *repeated = true,
            Next::RetryAfterGate => {
                *repeated = true;
                self.going = None;
                self.ask().await?;
            }
            Next::NextPath => (*position, *repeated) = (*position + 1, false),
            Next::Detour => {
                let tried = self.progress.path;
                self.going = None;
                self.ask().await?;
                // The verdict may have come meanwhile: the way to take is the plan's of now.
                *plan = self.plan();
                *position = plan.order().position(|path| path != tried).unwrap_or(0);
                *repeated = false;
            }
        }
        Ok(())
    }

    /// The answer is delivered: the connections go where they belong.
    fn answered(&self, lane: Lane, connection: Connection) -> After {
        self.keep(lane, connection);
        match (self.progress.seen.caller_open, self.request.body.is_done()) {
            (true, _) => After::KeepOpen,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        }
    }

    /// Keeps the provider's connection, if it can be used again.
    fn keep(&self, lane: Lane, connection: Connection) {
        if self.progress.seen.provider_open {
            let expires = self.progress.started + self.provider.deadlines.idle_provider;
            let n_max = self.snapshot.settings.limits.n_idle_per_lane_max;
            let Connection { stream, absolute_form } = connection;
            self.worker.pool.put(lane, stream, absolute_form, expires, n_max);
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
                    let mut down = Buf::none();
                    down.vec().extend_from_slice(&self.established(path));
                    let up = std::mem::take(&mut self.request.out);
                    return self.run_tunnel(caller, dialled.stream, up, down).await;
                }
                Err(failure) => {
                    let has_next_path = plan.nth(position + 1).is_some();
                    let left = Left { repeated: true, has_next_path };
                    let DialFailure { cause, detail, .. } = failure;
                    match self.after_failure(cause, &detail, left) {
                        Next::NextPath | Next::Detour => {}
                        Next::SamePath
                        | Next::Retry
                        | Next::RetryAfterGate
                        | Next::Copy
                        | Next::GiveUp => {
                            return Ending::Problem(cause, detail);
                        }
                    }
                    path.metrics.of(self.worker.index).attempt_failed();
                    position += 1;
                }
            }
        }
    }

    /// The answer to CONNECT; another Byway is told which address the provider sees.
    fn established(&self, path: &PathPlan) -> Vec<u8> {
        let mut answer = ESTABLISHED.to_vec();
        let exits = &self.worker.shared.exits;
        if self.request.hops.is_some()
            && let Some(exit) = exits.outside(path)
        {
            answer.truncate(ESTABLISHED.len() - 2);
            answer.extend_from_slice(format!("{EXIT_FIELD}: {exit}\r\n\r\n").as_bytes());
        }
        answer
    }

    async fn run_tunnel(
        &mut self,
        caller: &mut Caller,
        mut provider: Stream,
        up: Buf,
        down: Buf,
    ) -> Ending {
        // What we said ourselves is not the provider's.
        let own = if self.request.shape.is_connect { down.len() as u64 } else { 0 };
        let mut tunnel = Box::new(Tunnel::new(up, down, self.provider.deadlines.idle_tunnel));
        let Caller { stream, timer, .. } = caller;
        let end = poll_fn(|cx| tunnel.poll(stream, &mut provider, timer, cx)).await;
        self.progress.seen.bytes_up += tunnel.up.n_bytes;
        self.progress.seen.bytes_down += tunnel.down.n_bytes.saturating_sub(own);
        Ending::Tunnelled(end)
    }
}
