//! Lets time pass for the judges, and finds out what they want to know.
//!
//! One thread of its own, so that no probe and no verdict ever makes a request wait. What is due is
//! asked of every court; what happened becomes facts and log lines.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use byway_core::choose::N_PATHS_MAX;
use byway_core::classify::Class;
use byway_core::diagnose::Elsewhere;
use byway_core::fact::{Fact, Value};
use byway_core::judge::{Event, Probe};
use byway_core::policy::Probing;
use byway_core::route::Origin;
use byway_core::time::since;
use byway_net::Resolver;
use byway_wire::request::{Limits, RequestHead, RequestShape};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::court::{Control, Court, Sample};
use crate::outside;
use crate::probe::{self, Ask};
use crate::snapshot::{ProviderPlan, Snapshot};
use crate::worker::Shared;

/// Nobody is asked more often than this without having been rung for.
const REST_MIN: Duration = Duration::from_millis(5);
/// What cannot be done now is not tried again before this.
const REST_BLOCKED: Duration = Duration::from_millis(100);
/// With nothing to do, one looks around this often.
const REST_MAX: Duration = Duration::from_secs(5);
/// Ordinary traffic becomes one fact a minute, provider, path and class.
const SUM_EVERY: Duration = Duration::from_secs(60);

/// What one control found out, and for which comparison.
type Controls = BTreeMap<String, (Timestamp, Arc<Mutex<Control>>)>;

/// Runs until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let mut controls = Controls::new();
    let mut sums = Sums::default();
    let mut summed_at = shared.clock.now();
    while !stop.is_cancelled() {
        let mut rest = REST_MAX;
        for (_, court) in shared.courts.all() {
            if court.judge().is_none_or(|judge| judge.is_calm()) {
                continue;
            }
            let control = control(&shared, &court, &mut controls, &tasks);
            rest = rest.min(look_after(&shared, &court, control, &tasks));
        }
        let now = shared.clock.now();
        if since(summed_at, now) >= SUM_EVERY {
            summed_at = now;
            sums.add(&shared, now);
        }
        let rung = async {
            shared.courts.bell.rung().await;
            // Several rings in a row are one reason to look.
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        tokio::select! {
            () = rung => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
    sums.add(&shared, shared.clock.now());
    tasks.close();
}

/// Lets time pass for one court; how long it can be left alone.
fn look_after(
    shared: &Arc<Shared>,
    court: &Arc<Court>,
    control: Control,
    tasks: &TaskTracker,
) -> Duration {
    let now = shared.clock.now();
    let around = shared.courts.surroundings(court, control, now);
    let Some(mut judge) = court.judge() else { return REST_MAX };
    let probes = judge.tick(&around, now);
    let events = judge.take_events();
    let next = judge.next_deadline(now);
    drop(judge);
    for event in &events {
        tell(shared, court, event, now);
    }
    if events.iter().any(|event| matches!(event, Event::Judged { .. })) {
        let (shared, court) = (Arc::clone(shared), Arc::clone(court));
        tasks.spawn(async move { outside::learn_exits(&shared, &court).await });
    }
    let did = !probes.is_empty() || !events.is_empty();
    for probe in probes {
        let (shared, court) = (Arc::clone(shared), Arc::clone(court));
        tasks.spawn(async move { find_out(&shared, &court, probe).await });
    }
    match next {
        None => REST_MAX,
        Some(next) if next <= now && !did => REST_BLOCKED,
        Some(next) => since(now, next).max(REST_MIN),
    }
}

/// Writes an event down: as a fact, and as a line for whoever watches.
fn tell(shared: &Shared, court: &Court, event: &Event, now: Timestamp) {
    let fact = Fact::of(event, &court.name, &court.paths, now);
    let mut about = String::new();
    for (name, value) in &fact.fields {
        let value = match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Time(at) => at.to_string(),
            Value::List(list) => list.join(","),
        };
        if !value.is_empty() {
            about.push_str(&format!(" {name}={value}"));
        }
    }
    let path = fact.path.as_deref().unwrap_or_default();
    tracing::info!(provider = court.name, path, about = about.trim_start(), "{}", fact.kind);
    shared.facts.add(fact);
}

/// The provider and path of a court in the settings of now.
pub(crate) fn places<'s>(snapshot: &'s Snapshot, court: &Court) -> &'s ProviderPlan {
    let found = snapshot.providers.iter().find(|provider| provider.name.as_str() == court.name);
    found.unwrap_or(&snapshot.observed)
}

async fn find_out(shared: &Arc<Shared>, court: &Arc<Court>, probe: Probe) {
    let snapshot = shared.snapshot();
    let told = ask(shared, &snapshot, court, probe.path).await;
    let now = shared.clock.now();
    let Some(mut judge) = court.judge() else { return };
    judge.probed(probe, told.as_ref().map(|told| &told.shown), now);
    drop(judge);
    let Some(told) = told else { return };
    court.heed(&told.shown.outcome, told.pause, now);
    court.carry(probe.path, &told.shown.outcome, now);
    shared.metrics.probes.fetch_add(1, Ordering::Relaxed);
    let fact = Fact::new(now, "probe")
        .of_provider(&court.name)
        .of_path(court.paths.get(probe.path).map_or("", String::as_str))
        .text("purpose", probe.purpose.as_str())
        .shown(&told.shown, &snapshot.signatures)
        .text("detail", told.detail)
        .list("signs", told.signs);
    shared.facts.add(fact);
    court.bell.ring();
}

/// Asks the provider of a court over one of its paths: what a caller asked, or what it is told to.
pub(crate) async fn ask(
    shared: &Shared,
    snapshot: &Snapshot,
    court: &Court,
    path: usize,
) -> Option<probe::Told> {
    let provider = places(snapshot, court);
    let plan = provider.paths.get(path)?;
    let own = provider.base.as_ref().map(|base| &base.origin);
    let sample = match &provider.probing {
        Probing::Off => return None,
        Probing::Target(target) => made_up(target, own?)?,
        Probing::Auto => court.sample()?,
    };
    // A handshake with a relay says nothing about the provider.
    let needs_identity = provider.needs_identity;
    if plan.kind.relay().is_some() && (sample.head.is_empty() || needs_identity) {
        return None;
    }
    let origin = sample.origin.as_ref().or(own)?;
    let usual = court.learnt.get(sample.route).and_then(crate::court::Learnt::usual);
    let resolver = Resolver::new(&snapshot.settings.dns).ok()?;
    let ask = Ask {
        snapshot,
        provider,
        path: plan,
        origin,
        head: &sample.head,
        shape: Some(&sample.shape),
        usual: usual.as_deref(),
        body_bytes_max: crate::witness::LOOK_BYTES_MAX,
        body_within: probe::BODY_WITHIN,
    };
    Some(probe::ask(&resolver, &ask, &shared.clock).await)
}

/// A request that nobody made, for a target that the operator named.
pub(crate) fn made_up(target: &str, origin: &Origin) -> Option<Sample> {
    let authority = origin.authority();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: byway\r\nAccept: */*\r\n\r\n"
    );
    let shape = shape_of(head.as_bytes())?;
    Some(Sample { head: head.into_bytes(), shape, origin: None, route: 0, failed: false })
}

/// What a head of our own means for the answer to it.
pub(crate) fn shape_of(head: &[u8]) -> Option<RequestShape> {
    let limits = Limits { head_bytes_max: 65_536, target_bytes_max: 32_768, n_fields_max: 128 };
    RequestHead::parse(head, &limits, &mut Vec::new()).ok().map(|head| head.shape)
}

/// Asks what only others can tell, once a comparison: do our name servers answer at all, and do the
/// paths lead anywhere else? What it says comes later; nothing waits for it here.
fn control(
    shared: &Arc<Shared>,
    court: &Arc<Court>,
    controls: &mut Controls,
    tasks: &TaskTracker,
) -> Control {
    let compares = court.judge().and_then(|judge| judge.compares());
    let Some((began, Some(class))) = compares else { return Control::default() };
    if let Some((of, known)) = controls.get(&court.name)
        && *of == began
    {
        return known.lock().map_or(Control::default(), |known| *known);
    }
    // Hosts that nobody lists come and go.
    controls.retain(|name, _| shared.courts.find(name).is_some());
    let is_about_names = class == Class::Dns;
    let is_about_ways = matches!(
        class,
        Class::ConnectTimeout | Class::Refused | Class::Reset | Class::Tls | Class::ReadTimeout
    );
    let now = Control { is_pending: is_about_names || is_about_ways, ..Control::default() };
    let known = Arc::new(Mutex::new(now));
    controls.insert(court.name.clone(), (began, Arc::clone(&known)));
    if now.is_pending {
        let (shared, court) = (Arc::clone(shared), Arc::clone(court));
        tasks.spawn(async move {
            let snapshot = shared.snapshot();
            let (mut dns, mut paths) = Default::default();
            if is_about_names {
                dns = names(&snapshot, &court).await;
            } else {
                paths = ask_others(&shared, &court).await;
            }
            if let Ok(mut known) = known.lock() {
                *known = Control { dns, paths, is_pending: false };
            }
            court.bell.ring();
        });
    }
    now
}

/// Hosts of others that a control may ask about: providers, and the operator's own echo.
fn others(snapshot: &Snapshot, court: &Court) -> Vec<Origin> {
    let own = places(snapshot, court).base.as_ref().map(|base| base.origin.host.clone());
    let echo = snapshot.settings.exit_echo.as_ref().map(|(origin, _)| origin.clone());
    let listed = snapshot.providers.iter().filter_map(|provider| {
        let is_open = provider.court.as_ref().is_some_and(|court| {
            court.judge().is_some_and(|judge| !judge.ordered().forbids_probes())
        });
        provider.base.as_ref().filter(|_| is_open).map(|base| base.origin.clone())
    });
    listed.chain(echo).filter(|origin| Some(&origin.host) != own.as_ref()).take(2).collect()
}

async fn names(snapshot: &Snapshot, court: &Court) -> Elsewhere {
    // A resolver of its own: what is still remembered says nothing about the servers.
    let Ok(resolver) = Resolver::new(&snapshot.settings.dns) else { return Elsewhere::Unknown };
    let mut seen = Elsewhere::Unknown;
    for origin in others(snapshot, court) {
        match resolver.is_answered(&origin.host).await {
            Some(true) => return Elsewhere::Good,
            Some(false) => seen = Elsewhere::Failing,
            None => {}
        }
    }
    seen
}

/// Asks another provider over each path of this one, all paths at the same time: what it was last
/// asked, if it may be asked; otherwise a connection is opened and closed.
async fn ask_others(shared: &Arc<Shared>, court: &Arc<Court>) -> [Elsewhere; N_PATHS_MAX] {
    let snapshot = shared.snapshot();
    let found = snapshot.providers.iter().find_map(|provider| {
        let other = provider.court.as_ref().filter(|other| other.name != court.name)?;
        // Whoever does not want to be asked by itself is not asked for others' sake either.
        let is_open = other.judge().is_some_and(|judge| {
            !judge.ordered().forbids_probes() && judge.policy().probing != Probing::Off
        });
        let shares = court.paths.iter().any(|path| other.paths.contains(path));
        (is_open && shares && provider.base.is_some()).then(|| Arc::clone(other))
    });
    let Some(other) = found else { return outside::ask_echo(shared, court).await };
    let mut asked = JoinSet::new();
    for path in &court.paths {
        let Some(index) = other.paths.iter().position(|name| name == path) else { continue };
        let (shared, other) = (Arc::clone(shared), Arc::clone(&other));
        asked.spawn(async move {
            let snapshot = shared.snapshot();
            let now = shared.clock.now();
            let is_paid = other.judge().is_some_and(|mut judge| judge.pay_control(now));
            let mut told = None;
            if is_paid {
                told = ask(&shared, &snapshot, &other, index).await;
            }
            if told.is_none() {
                told = connect(&shared, &snapshot, &other, index).await;
            }
            if let Some(told) = told {
                other.carry(index, &told.shown.outcome, shared.clock.now());
            }
        });
    }
    while asked.join_next().await.is_some() {}
    // What they showed stands in their own court.
    [Elsewhere::Unknown; N_PATHS_MAX]
}

/// Opens and closes a connection, with its TLS handshake.
async fn connect(
    shared: &Shared,
    snapshot: &Snapshot,
    court: &Court,
    path: usize,
) -> Option<probe::Told> {
    let provider = places(snapshot, court);
    let resolver = Resolver::new(&snapshot.settings.dns).ok()?;
    let path = provider.paths.get(path).filter(|path| path.kind.relay().is_none())?;
    let ask = Ask {
        snapshot,
        provider,
        path,
        origin: &provider.base.as_ref()?.origin,
        head: b"",
        shape: None,
        usual: None,
        body_bytes_max: 0,
        body_within: probe::BODY_WITHIN,
    };
    Some(probe::ask(&resolver, &ask, &shared.clock).await)
}

/// Ordinary traffic, summed up.
#[derive(Debug, Default)]
struct Sums {
    before: BTreeMap<(String, String, &'static str), u64>,
}

impl Sums {
    fn add(&mut self, shared: &Shared, now: Timestamp) {
        for ((provider, path), class, n) in shared.metrics.requests_by_class() {
            let key = (provider.to_string(), path.to_string(), class.as_str());
            let before = self.before.insert(key.clone(), n).unwrap_or(0);
            if n > before {
                let fact = Fact::new(now, "requests")
                    .of_provider(&key.0)
                    .of_path(&key.1)
                    .text("class", key.2)
                    .number("n", n - before);
                shared.facts.add(fact);
            }
        }
    }
}
