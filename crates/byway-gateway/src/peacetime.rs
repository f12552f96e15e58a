//! Relays are looked after while nobody needs them: a relay that was blocked from birth is of no use
//! on the evening that it is needed.
//!
//! Each is asked who it is, which touches no provider, and now and then over it a provider is asked
//! what callers ask it anyway, paid like any probe. What that showed stands in the log when it
//! changes, in a fact each time, and in `byway explain`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use byway_core::classify::Class;
use byway_core::fact::Fact;
use byway_core::policy::Probing;
use byway_core::relay::RelayHop;
use byway_core::route::Scheme;
use byway_core::time::since;
use byway_net::{Dial, Resolver, Stream, Target, dial};
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::court::Court;
use crate::probe::Told;
use crate::prober;
use crate::snapshot::{PathPlan, Snapshot};
use crate::worker::Shared;

/// How often is looked whether anything is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What became of looking after a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It answers, and so does the provider over it.
    Fine,
    /// It does not answer as a relay.
    Failed,
    /// It works, and the provider refuses it.
    Refused,
}

impl Came {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Failed => "failed",
            Self::Refused => "blocked",
        }
    }
}

/// The last time that a relay was looked after: about itself, or about one provider over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) at: Timestamp,
    pub(crate) came: Came,
    pub(crate) detail: String,
}

/// A provider is not asked over a relay before this long after the start.
const FIRST: Duration = Duration::from_secs(60);
/// A cold start takes seconds; one that hangs must not keep the others from being looked after.
const PING_WITHIN: Duration = Duration::from_secs(20);

/// Every last time, by path and by provider; the provider is empty where the relay itself was asked.
#[derive(Debug)]
pub(crate) struct Checks {
    all: Mutex<BTreeMap<(String, String), Check>>,
    began: Timestamp,
}

impl Checks {
    pub(crate) fn new(began: Timestamp) -> Self {
        Self { all: Mutex::default(), began }
    }

    pub(crate) fn of(&self, path: &str, provider: &str) -> Option<Check> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(path.to_owned(), provider.to_owned())).cloned()
    }

    /// Notes a check; whether it came out otherwise than the last.
    fn note(&self, path: &str, provider: &str, check: Check) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let came = check.came;
        let before = all.insert((path.to_owned(), provider.to_owned()), check);
        before.map_or(Came::Fine, |before| before.came) != came
    }

    fn is_due(&self, path: &str, provider: &str, every: Duration, now: Timestamp) -> bool {
        match self.of(path, provider) {
            Some(check) => since(check.at, now) >= every,
            None => provider.is_empty() || since(self.began, now) >= every.min(FIRST),
        }
    }
}

/// Runs until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let snapshot = shared.snapshot();
        let mut pinged: Vec<&str> = Vec::new();
        for provider in &snapshot.providers {
            for (index, path) in provider.paths.iter().enumerate() {
                let Some(relay) = path.kind.relay() else { continue };
                let name = path.name.as_str();
                if !pinged.contains(&name) {
                    pinged.push(name);
                    if shared.checks.is_due(name, "", relay.check_every, shared.clock.now()) {
                        Box::pin(ping(&shared, &snapshot, path, relay)).await;
                    }
                }
                if let Some(court) = &provider.court {
                    Box::pin(ask(&shared, &snapshot, court, index, relay)).await;
                }
            }
        }
    }
}

/// Asks a relay who it is.
async fn ping(shared: &Shared, snapshot: &Snapshot, path: &PathPlan, relay: &RelayHop) {
    let began = shared.clock.now();
    let asked = timeout(PING_WITHIN, pong(snapshot, path)).await;
    let asked = asked.unwrap_or_else(|_| Err(format!("the relay {} did not answer", relay.id)));
    let now = shared.clock.now();
    let name = path.name.as_str();
    let mut fact = Fact::new(now, "relay_check").of_path(name).text("relay", &relay.id);
    let check = match asked {
        Ok(pong) => {
            if let Some(exit) = pong.exit {
                shared.exits.echoed(name, exit, "relay");
                fact = fact.text("exit", exit.to_string());
            }
            fact = fact.text("instance", &pong.instance);
            fact = fact.text("stack", pong.stack.as_str());
            fact = fact.text("cold", if pong.is_cold { "yes" } else { "" });
            Check { at: now, came: Came::Fine, detail: pong.software }
        }
        Err(detail) => Check { at: now, came: Came::Failed, detail },
    };
    let took = u64::try_from(since(began, now).as_millis()).unwrap_or(u64::MAX);
    tell(shared, fact.number("took_ms", took), name, "", check);
}

async fn pong(
    snapshot: &Snapshot,
    path: &PathPlan,
) -> Result<byway_wire::relay::answer::Pong, String> {
    let resolver = Resolver::new(&snapshot.settings.dns).map_err(|error| error.to_string())?;
    let dialling = Dial {
        path: &path.kind,
        hop: &path.hop,
        // Nobody is asked for it.
        target: Target::new(Scheme::Https, "nowhere.invalid", 443),
        allow: &[],
        tls: None,
        tunnel: false,
        deadlines: &snapshot.settings.deadlines,
        hops: &snapshot.settings.instance,
        own: &snapshot.own,
    };
    let dialled = dial(&resolver, &dialling).await.map_err(|failure| failure.to_string())?;
    let Stream::Relay(mut stream) = dialled.stream else {
        return Err("this path is no relay".to_owned());
    };
    stream.ping().await.map_err(|fault| fault.to_string())
}

/// Asks a provider over a relay, if it has peace otherwise and it is time.
async fn ask(shared: &Shared, snapshot: &Snapshot, court: &Court, index: usize, relay: &RelayHop) {
    let now = shared.clock.now();
    let Some(name) = court.paths.get(index) else { return };
    if !shared.checks.is_due(name, &court.name, relay.ask_every, now) || court.sample().is_none() {
        return;
    }
    // In a comparison or a detour the judge asks by itself, and knows better whom.
    let is_paid = court.judge().is_some_and(|mut judge| {
        judge.is_calm() && judge.policy().probing != Probing::Off && judge.pay_control(now)
    });
    if !is_paid {
        return;
    }
    let Some(told) = prober::ask(shared, snapshot, court, index).await else { return };
    let now = shared.clock.now();
    court.heed(&told.shown.outcome, told.pause, now);
    court.carry(index, &told.shown.outcome, now);
    let fact = Fact::new(now, "relay_check")
        .of_provider(&court.name)
        .of_path(name)
        .text("relay", &relay.id)
        .shown(&told.shown, &snapshot.signatures)
        .list("signs", told.signs.clone());
    tell(shared, fact, name, &court.name, seen(&told, now));
}

/// A limit is no refusal of the address, and an ordinary error of the request is none either.
fn seen(told: &Told, at: Timestamp) -> Check {
    let came = match told.shown.outcome.class {
        Class::RelayError | Class::OwnFault => Came::Failed,
        Class::Ok | Class::ClientError | Class::RateLimited | Class::LocalLimit => Came::Fine,
        Class::Cancelled | Class::Contract => Came::Fine,
        Class::Auth
        | Class::Denied
        | Class::BlockedIp
        | Class::Challenge
        | Class::Outage
        | Class::Overload
        | Class::ConnectTimeout
        | Class::ReadTimeout
        | Class::Reset
        | Class::Refused
        | Class::Dns
        | Class::Tls => Came::Refused,
    };
    let mut detail = told.shown.outcome.class.as_str().to_owned();
    if let Some(status) = told.shown.status {
        detail.push_str(&format!(", status {status}"));
    }
    if !told.detail.is_empty() {
        detail.push_str(&format!(": {}", told.detail));
    }
    Check { at, came, detail }
}

fn tell(shared: &Shared, fact: Fact, path: &str, provider: &str, check: Check) {
    let Check { came, detail, .. } = &check;
    shared.facts.add(fact.text("came", came.as_str()).text("detail", detail.as_str()));
    let (came, detail) = (*came, detail.clone());
    if shared.checks.note(path, provider, check) {
        let came = came.as_str();
        if came == Came::Fine.as_str() {
            tracing::info!(path, provider, came, detail, "a relay is ready again");
        } else {
            tracing::warn!(path, provider, came, detail, "a relay would be of no use now");
        }
    }
}

#[cfg(test)]
mod tests {
    //! What is due, and what is worth a line.

    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::{Came, Check, Checks};

    #[test]
    fn a_check_is_due_in_time_and_told_when_it_changes() {
        let at = Timestamp::UNIX_EPOCH;
        let checks = Checks::new(at);
        let note = |came, at| checks.note("r", "p", Check { at, came, detail: String::new() });
        let every = Duration::from_secs(60);
        assert!(checks.is_due("r", "", every, at), "a relay at once");
        assert!(!checks.is_due("r", "p", every, at), "a provider not in the first minute");
        assert!(checks.is_due("r", "p", every, at + SignedDuration::from_secs(60)));
        assert!(checks.is_due("r", "p", Duration::from_secs(1), at + SignedDuration::from_secs(1)));
        assert!(!note(Came::Fine, at), "that it works is no news at first");
        assert!(!checks.is_due("r", "p", every, at + SignedDuration::from_secs(59)));
        assert!(checks.is_due("r", "p", every, at + SignedDuration::from_secs(60)));
        let later = at + SignedDuration::from_secs(60);
        assert!(checks.is_due("r", "other", every, later), "each provider has its own");
        assert!(note(Came::Refused, at));
        assert!(!note(Came::Refused, at), "once is enough");
        assert!(note(Came::Fine, at));
    }
}
