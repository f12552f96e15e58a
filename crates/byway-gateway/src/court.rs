//! The judge of one provider as the workers share it: a short lock around a pure machine.
//!
//! A court outlives reloads, so that a verdict is not forgotten because a file was saved. If its
//! lock is ever poisoned, traffic goes as if there were no judge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use byway_core::choose::N_PATHS_MAX;
use byway_core::classify::{Class, Outcome};
use byway_core::detect::Shown;
use byway_core::detour::Order;
use byway_core::diagnose::Elsewhere;
use byway_core::evidence::Answer;
use byway_core::failover::Permission;
use byway_core::hint::Allowance;
use byway_core::history::{History, Kind, Suspicion, Usual};
use byway_core::judge::{Judge, Leave, Passage, PathSpec, Surroundings};
use byway_core::policy::Policy;
use byway_core::route::Origin;
use byway_wire::request::RequestShape;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// Hosts that nobody lists are judged one by one, up to this many.
const N_OBSERVED_MAX: usize = 512;
/// A sample is not kept beyond this: most requests without a body are far smaller.
const SAMPLE_BYTES_MAX: usize = 16 * 1024;
/// Routes of one provider whose answers are learnt.
const N_ROUTES_MAX: usize = 64;

/// A safe request of a caller that a probe may repeat, unchanged.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The head as the provider gets it; empty for a tunnel, which is only opened.
    pub(crate) head: Vec<u8>,
    pub(crate) shape: RequestShape,
    /// Where to, if not to the provider's own origin.
    pub(crate) origin: Option<Origin>,
    /// Which part of the provider it asks for.
    pub(crate) route: usize,
    /// Whether it was kept because it failed.
    pub(crate) failed: bool,
}

/// When a path last carried anything for this provider, and when it last did not.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    good_ms: AtomicI64,
    bad_ms: AtomicI64,
}

/// What is known about the answers of one route.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    history: Mutex<History>,
    usual: ArcSwapOption<Usual>,
    /// The usual kind of content as a number, 0 for unknown: what the hot path needs of it.
    suspicion: AtomicU8,
    n_seen: AtomicU32,
}

impl Learnt {
    /// Learns from a normal answer.
    pub(crate) fn learn(&self, answer: &Answer<'_>) {
        let Ok(mut history) = self.history.lock() else { return };
        history.observe(answer);
        let usual = history.usual().map(Arc::new);
        drop(history);
        if let Some(usual) = usual {
            self.suspicion.store(usual.kind().map_or(0, |kind| kind as u8 + 1), Ordering::Relaxed);
            self.usual.store(Some(usual));
        }
    }

    /// What is usual here; `None` before enough was seen.
    pub(crate) fn usual(&self) -> Option<Arc<Usual>> {
        self.usual.load_full()
    }

    /// What is suspicious here.
    pub(crate) fn suspicion(&self) -> Suspicion {
        let kind = self.suspicion.load(Ordering::Relaxed).checked_sub(1);
        Suspicion::new(kind.and_then(|kind| Kind::ALL.get(usize::from(kind)).copied()))
    }

    /// Whether this answer should be learnt from: the first ones, then one in 256: reading a head
    /// for it costs as much as passing one on.
    pub(crate) fn wants(&self) -> bool {
        let n = self.n_seen.fetch_add(1, Ordering::Relaxed);
        n < 32 || n.is_multiple_of(256)
    }
}

/// One provider, or one host that nobody lists.
#[derive(Debug)]
pub(crate) struct Court {
    pub(crate) name: String,
    /// Its paths, in its order.
    pub(crate) paths: Vec<String>,
    judge: Mutex<Judge>,
    sample: Mutex<Option<Sample>>,
    has_sample: AtomicBool,
    /// What the provider last said about its limits, and when.
    allowance: Mutex<Option<(Allowance, Timestamp)>>,
    pub(crate) carried: Vec<Carried>,
    pub(crate) learnt: Vec<Learnt>,
    pub(crate) bell: Arc<Bell>,
}

/// Wakes the prober.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    notify: Notify,
}

impl Bell {
    /// Something happened.
    pub(crate) fn ring(&self) {
        self.notify.notify_one();
    }

    /// Waits for the next ring. Cancel safe.
    pub(crate) async fn rung(&self) {
        self.notify.notified().await;
    }
}

impl Court {
    fn new(
        name: String,
        policy: Policy,
        paths: &[(String, String)],
        n_routes: usize,
        bell: &Arc<Bell>,
    ) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| {
            (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        let specs: Vec<PathSpec> =
            paths.iter().map(|(_, group)| PathSpec { group: group.clone() }).collect();
        Self {
            judge: Mutex::new(Judge::new(policy, &specs, seed)),
            sample: Mutex::default(),
            has_sample: AtomicBool::new(false),
            allowance: Mutex::default(),
            carried: paths.iter().map(|_| Carried::default()).collect(),
            learnt: (0..n_routes.clamp(1, N_ROUTES_MAX)).map(|_| Learnt::default()).collect(),
            paths: paths.iter().map(|(name, _)| name.clone()).collect(),
            bell: Arc::clone(bell),
            name,
        }
    }

    /// The judge; `None` once it broke, and then everything goes on without it.
    pub(crate) fn judge(&self) -> Option<MutexGuard<'_, Judge>> {
        self.judge.lock().ok()
    }

    /// May a request go?
    pub(crate) fn ask(&self, now: Timestamp) -> Option<Leave> {
        self.judge().map(|mut judge| judge.ask(now))
    }

    /// What the law may do now for a request that failed over this path.
    pub(crate) fn permission(&self, path: usize, now: Timestamp) -> Permission {
        self.judge().map_or(Permission::NONE, |judge| judge.permission_over(path, now))
    }

    /// Whether the provider asked us to stay away.
    pub(crate) fn gate_opens_in(&self, now: Timestamp) -> Option<Duration> {
        self.judge().and_then(|judge| judge.gate_opens_in(now))
    }

    /// Closes the gate if the provider asked for that.
    pub(crate) fn heed(&self, outcome: &Outcome, pause: Option<SignedDuration>, now: Timestamp) {
        let is_429 = outcome.class == Class::RateLimited;
        if !is_429 && pause.is_none() {
            return;
        }
        let Some(mut judge) = self.judge() else { return };
        judge.limited(pause, is_429, now);
        drop(judge);
        self.bell.ring();
    }

    /// Takes a retry from the budget.
    pub(crate) fn may_retry(&self, now: Timestamp) -> bool {
        self.judge().is_some_and(|mut judge| judge.may_retry(now))
    }

    /// Tells what came of one attempt.
    pub(crate) fn finish(&self, path: usize, passage: &Passage, shown: &Shown, now: Timestamp) {
        self.carry(path, &shown.outcome, now);
        let permit = passage.permits.get(path).copied().flatten();
        let Some(mut judge) = self.judge() else { return };
        let wake = judge.finish(path, permit, shown, now);
        drop(judge);
        if wake {
            self.bell.ring();
        }
    }

    /// A request is over.
    pub(crate) fn leave(&self, passage: &Passage, is_good: bool) {
        if passage.is_on_detour()
            && let Some(mut judge) = self.judge()
        {
            judge.leave(passage, is_good);
        }
    }

    /// Notes whether a path carried something: the control for other providers on the same path.
    pub(crate) fn carry(&self, path: usize, outcome: &Outcome, now: Timestamp) {
        let Some(carried) = self.carried.get(path) else { return };
        let clock = match shows(outcome) {
            Elsewhere::Good => &carried.good_ms,
            Elsewhere::Failing => &carried.bad_ms,
            Elsewhere::Unknown => return,
        };
        clock.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Keeps a safe request for probes: the last one that failed, else the first that worked.
    pub(crate) fn keep(&self, sample: impl FnOnce() -> Option<Sample>, failed: bool) {
        if !failed && self.has_sample.load(Ordering::Relaxed) {
            return;
        }
        let Some(sample) = sample().filter(|sample| sample.head.len() <= SAMPLE_BYTES_MAX) else {
            return;
        };
        if let Ok(mut kept) = self.sample.lock() {
            // While trouble stands, its first request is the one that is asked again, unchanged.
            let is_kept = kept.as_ref().is_some_and(|kept| kept.failed);
            if !is_kept || self.judge().is_some_and(|judge| judge.is_calm()) {
                *kept = Some(sample);
            }
            self.has_sample.store(true, Ordering::Relaxed);
        }
    }

    /// Notes what the provider says about its limits; nothing obeys it.
    pub(crate) fn allow(&self, allowance: Allowance, now: Timestamp) {
        if let Ok(mut known) = self.allowance.lock() {
            *known = Some((allowance, now));
        }
    }

    /// What it last said, and when.
    pub(crate) fn allowance(&self) -> Option<(Allowance, Timestamp)> {
        self.allowance.lock().ok().and_then(|known| *known)
    }

    /// The kept request.
    pub(crate) fn sample(&self) -> Option<Sample> {
        self.sample.lock().ok().and_then(|sample| sample.clone())
    }

    /// How a path does for this provider lately: for others that use the same one.
    fn lately(&self, path: &str, since_ms: i64) -> Elsewhere {
        let index = self.paths.iter().position(|name| name == path);
        let Some(carried) = index.and_then(|index| self.carried.get(index)) else {
            return Elsewhere::Unknown;
        };
        let good = carried.good_ms.load(Ordering::Relaxed);
        let bad = carried.bad_ms.load(Ordering::Relaxed);
        match (good > since_ms, bad > since_ms) {
            (false, false) => Elsewhere::Unknown,
            (true, _) if good >= bad => Elsewhere::Good,
            _ => Elsewhere::Failing,
        }
    }
}

/// What an outcome with anybody shows about the path that it went over.
pub(crate) fn shows(outcome: &Outcome) -> Elsewhere {
    match outcome.class {
        Class::ConnectTimeout | Class::Refused | Class::Reset | Class::Tls | Class::ReadTimeout => {
            Elsewhere::Failing
        }
        Class::Dns | Class::RelayError | Class::OwnFault | Class::LocalLimit | Class::Cancelled => {
            Elsewhere::Unknown
        }
        Class::Ok
        | Class::ClientError
        | Class::Auth
        | Class::Denied
        | Class::RateLimited
        | Class::BlockedIp
        | Class::Challenge
        | Class::Outage
        | Class::Overload
        | Class::Contract => Elsewhere::Good,
    }
}

/// What a control of one comparison has found out so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// How the name servers do.
    pub(crate) dns: Elsewhere,
    /// How the paths do with the operator's echo, where no other provider was asked.
    pub(crate) paths: [Elsewhere; N_PATHS_MAX],
    /// Whether its answer is still to come.
    pub(crate) is_pending: bool,
}

/// All courts of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Courts {
    listed: Mutex<BTreeMap<String, Arc<Court>>>,
    observed: Mutex<BTreeMap<String, Arc<Court>>>,
    /// What people ordered, by provider or host. It outlives the court that it was given for: paths
    /// change, providers are taken out and put in again, hosts make room for others.
    orders: Mutex<BTreeMap<String, Order>>,
    pub(crate) bell: Arc<Bell>,
}

impl Courts {
    /// The court of a listed provider; the same one after a reload, unless what it is about changed.
    pub(crate) fn of(
        &self,
        name: &str,
        policy: &Policy,
        paths: &[(String, String)],
        n_routes: usize,
    ) -> Arc<Court> {
        let new = || self.open(name, policy.clone(), paths, n_routes);
        let Ok(mut listed) = self.listed.lock() else { return new() };
        if let Some(court) = listed.get(name) {
            let same_paths = court.paths.iter().eq(paths.iter().map(|(name, _)| name));
            let same_routes = court.learnt.len() == n_routes.clamp(1, N_ROUTES_MAX);
            if same_paths
                && same_routes
                && let Some(mut judge) = court.judge()
            {
                judge.adopt_policy(policy.clone());
                drop(judge);
                return Arc::clone(court);
            }
        }
        let court = new();
        listed.insert(name.to_owned(), Arc::clone(&court));
        court
    }

    /// A court of which nothing is known but what a person ordered.
    fn open(
        &self,
        name: &str,
        policy: Policy,
        paths: &[(String, String)],
        n_routes: usize,
    ) -> Arc<Court> {
        let court = Court::new(name.to_owned(), policy, paths, n_routes, &self.bell);
        let order = self.orders.lock().ok().and_then(|orders| orders.get(name).cloned());
        if let (Some(order), Some(mut judge)) = (order, court.judge()) {
            judge.order(order);
        }
        Arc::new(court)
    }

    /// Takes a person's order; false if nobody of that name is judged yet.
    pub(crate) fn order(&self, name: &str, order: Order) -> bool {
        if let Ok(mut orders) = self.orders.lock() {
            if order == Order::None {
                orders.remove(name);
            } else {
                orders.insert(name.to_owned(), order.clone());
            }
        }
        let Some(court) = self.find(name) else { return false };
        let Some(mut judge) = court.judge() else { return false };
        judge.order(order);
        drop(judge);
        self.bell.ring();
        true
    }

    /// Forgets providers that are no longer listed.
    pub(crate) fn retain(&self, names: &[&str]) {
        if let Ok(mut listed) = self.listed.lock() {
            listed.retain(|name, _| names.contains(&name.as_str()));
        }
    }

    /// The court of a host that nobody lists; `None` once there are too many.
    pub(crate) fn observed(&self, host: &str) -> Option<Arc<Court>> {
        let mut observed = self.observed.lock().ok()?;
        if let Some(court) = observed.get(host) {
            return Some(Arc::clone(court));
        }
        if observed.len() >= N_OBSERVED_MAX {
            // Those without trouble make room; they are learnt again in no time.
            observed.retain(|_, court| court.judge().is_some_and(|judge| !judge.is_calm()));
            if observed.len() >= N_OBSERVED_MAX {
                return None;
            }
        }
        let policy = Policy::default();
        let paths = [("direct".to_owned(), "direct".to_owned())];
        let court = self.open(host, policy, &paths, 1);
        observed.insert(host.to_owned(), Arc::clone(&court));
        Some(court)
    }

    /// Every court: listed ones first.
    pub(crate) fn all(&self) -> Vec<(bool, Arc<Court>)> {
        let listed = self.listed.lock().map(|l| l.values().cloned().collect::<Vec<_>>());
        let observed = self.observed.lock().map(|o| o.values().cloned().collect::<Vec<_>>());
        let listed = listed.unwrap_or_default().into_iter().map(|court| (true, court));
        listed.chain(observed.unwrap_or_default().into_iter().map(|court| (false, court))).collect()
    }

    /// A listed provider's court, or a host's.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Court>> {
        let listed = self.listed.lock().ok()?.get(name).cloned();
        listed.or_else(|| self.observed.lock().ok()?.get(name).cloned())
    }

    /// How a court's paths do with everybody else.
    pub(crate) fn surroundings(
        &self,
        court: &Court,
        control: Control,
        now: Timestamp,
    ) -> Surroundings {
        // What others showed before this trouble began says nothing about it.
        let began = court.judge().and_then(|judge| judge.compares()).map(|(began, _)| began);
        let since = began.unwrap_or(now).as_millisecond().saturating_sub(1);
        let lately = |path: &String| {
            let mut seen = Elsewhere::Unknown;
            // Nobody wants to know while nothing is compared; and there may be many of us.
            for courts in [&self.listed, &self.observed].into_iter().filter(|_| began.is_some()) {
                let Ok(courts) = courts.lock() else { continue };
                for other in courts.values().filter(|other| other.name != court.name) {
                    match other.lately(path, since) {
                        Elsewhere::Good => return Elsewhere::Good,
                        Elsewhere::Failing => seen = Elsewhere::Failing,
                        Elsewhere::Unknown => {}
                    }
                }
            }
            seen
        };
        let is_known = |seen: &Elsewhere| *seen != Elsewhere::Unknown;
        Surroundings {
            paths: court
                .paths
                .iter()
                .zip(control.paths)
                .map(|(path, echo)| Some(lately(path)).filter(is_known).unwrap_or(echo))
                .collect(),
            dns: control.dns,
            is_pending: control.is_pending,
        }
    }
}

#[cfg(test)]
mod tests;
