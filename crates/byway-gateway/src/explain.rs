//! What the gateway knows about its providers, as the JSON that `byway explain` and later the
//! console read.

use byway_core::classify::Signatures;
use byway_core::detect::{Finding, Shown};
use byway_core::detour::Order;
use byway_core::diagnose::Verdict;
use byway_core::health::State;
use byway_core::judge::{PathView, Standing};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::court::Court;
use crate::snapshot::{PathPlan, ProviderPlan, Snapshot};
use crate::worker::Shared;

/// Everything about one provider, or about all that are listed or in trouble.
pub(crate) fn explain(shared: &Shared, only: Option<&str>) -> Value {
    let snapshot = shared.snapshot();
    let now = shared.clock.now();
    let mut providers = Vec::new();
    for (is_listed, court) in shared.courts.all() {
        if only.is_some_and(|only| only != court.name) {
            continue;
        }
        let plan = snapshot.providers.iter().find(|provider| provider.name.as_str() == court.name);
        let plan = plan.unwrap_or(&snapshot.observed);
        providers.extend(provider(shared, &snapshot, plan, &court, is_listed, now));
    }
    let works: Vec<String> = works(&snapshot);
    json!({
        "instance": snapshot.settings.instance,
        "at": now.to_string(),
        "still_works": works,
        "providers": providers,
    })
}

fn provider(
    shared: &Shared,
    snapshot: &Snapshot,
    plan: &ProviderPlan,
    court: &Court,
    is_listed: bool,
    now: Timestamp,
) -> Option<Value> {
    let judge = court.judge()?;
    let view = judge.view(now);
    let on_block = judge.policy().on_block.as_str();
    let grant = judge.policy().on_block.grant().map(|grant| {
        json!({"owner": grant.owner, "reason": grant.reason, "expires": grant.expires.to_string()})
    });
    drop(judge);
    let name = |index: usize| court.paths.get(index).cloned().unwrap_or_default();
    let paths: Vec<Value> = view
        .paths
        .iter()
        .enumerate()
        .map(|(index, path)| {
            let known = plan.paths.get(index);
            path_view(shared, (&court.name, known), &name(index), path, &snapshot.signatures)
        })
        .collect();
    let is_bad = view.standing.as_ref().is_some_and(|standing| standing.recovered_at.is_none());
    let affects: Vec<&String> = plan
        .routes
        .iter()
        .flat_map(|route| &route.affects)
        .chain(&plan.affects)
        .filter(|_| is_bad)
        .collect();
    Some(json!({
        "name": court.name,
        "is_listed": is_listed,
        "on_block": on_block,
        "grant": grant,
        "is_comparing": view.is_comparing,
        "trouble": view.standing.as_ref().map(|standing| trouble(standing, court, &snapshot.signatures)),
        "affects": affects,
        "paths": paths,
        "detour": view.detour.map(|detour| json!({
            "path": name(detour.path),
            "since": detour.since.to_string(),
            "until": detour.until.to_string(),
        })),
        "no_detour": view.no_detour.map(byway_core::detour::NoDetour::as_str),
        "order": order(&view.order),
        "gated_until": view.gated_until.map(|until| until.to_string()),
        "budget_free": view.n_free,
        "allowance": court.allowance().map(|(allowance, at)| json!({
            "limit": allowance.limit,
            "remaining": allowance.remaining,
            "resets_in_s": allowance.resets_in.map(|left| left.as_secs()),
            "at": at.to_string(),
        })),
    }))
}

fn order(order: &Order) -> Value {
    match order.said() {
        None => Value::Null,
        Some(said) => json!({
            "kind": order.as_str(),
            "by": said.by,
            "reason": said.reason,
            "at": said.at.to_string(),
        }),
    }
}

fn trouble(standing: &Standing, court: &Court, signatures: &Signatures) -> Value {
    json!({
        "verdict": verdict(&standing.verdict, court, signatures),
        "at": standing.at.to_string(),
        "since": standing.since.to_string(),
        "last_seen": standing.last_seen.to_string(),
        "recovered_at": standing.recovered_at.map(|at| at.to_string()),
        "who": standing.attribution.as_str(),
        "detoured": standing.detoured,
        "failed": standing.n_failed,
    })
}

fn verdict(verdict: &Verdict, court: &Court, signatures: &Signatures) -> Value {
    let names = |indices: &[usize]| -> Vec<String> {
        indices.iter().filter_map(|&index| court.paths.get(index).cloned()).collect()
    };
    let seen: Vec<Value> = court
        .paths
        .iter()
        .zip(&verdict.seen)
        .map(|(path, seen)| {
            json!({
                "path": path,
                "failed": seen.n_failed,
                "good": seen.n_good,
                "failure": seen.failure.map(|failure| shown(&failure, signatures)),
                "good_status": seen.good_status,
            })
        })
        .collect();
    json!({
        "kind": verdict.kind.as_str(),
        "confidence": verdict.confidence.as_str(),
        "class": verdict.class.map(byway_core::classify::Class::as_str),
        "failing": names(&verdict.failing),
        "healthy": names(&verdict.healthy),
        "since": verdict.since.map(|since| since.to_string()),
        "open_test": verdict.open_test.map(byway_core::diagnose::OpenTest::as_str),
        "only_tunnels": verdict.only_tunnels,
        "seen": seen,
    })
}

/// What an attempt or probe showed.
pub(crate) fn shown(shown: &Shown, signatures: &Signatures) -> Value {
    let outcome = &shown.outcome;
    json!({
        "class": outcome.class.as_str(),
        "blame": outcome.origin.as_str(),
        "confidence": outcome.confidence.as_str(),
        "status": shown.status,
        "code": shown.cause.map(byway_core::cause::Cause::code),
        "edge": outcome.edge.map(|edge| signatures.edge_name(edge)),
        "says": outcome.signature.map(|signature| signatures.says(signature)),
    })
}

fn path_view(
    shared: &Shared,
    (provider, plan): (&str, Option<&PathPlan>),
    name: &str,
    path: &PathView,
    signatures: &Signatures,
) -> Value {
    let until = match path.state {
        State::Down { until } => Some(until),
        State::Probing { next, .. } => Some(next),
        State::Up | State::Ramping { .. } => None,
    };
    let share = match path.state {
        State::Ramping { step, .. } => byway_core::health::RAMP.get(step).copied(),
        State::Up | State::Down { .. } | State::Probing { .. } => None,
    };
    let (exit, known_by) = shared.exits.of(plan, name);
    let checked = |of: &str| {
        shared.checks.of(name, of).map(|check| {
            let (came, at) = (check.came.as_str(), check.at.to_string());
            json!({"came": came, "detail": check.detail, "at": at})
        })
    };
    json!({
        "name": name,
        "relay": checked(""),
        "asked_in_peace": checked(provider),
        "kind": plan.map(|plan| plan.kind.as_str()),
        "exit": exit,
        "exit_known_by": known_by,
        "state": path.state.as_str(),
        "until": until.map(|until| until.to_string()),
        "share": share,
        "is_flapping": path.is_suppressed,
        "good": path.n_good,
        "failed": path.n_hard,
        "last": path.last.map(|(last, at)| {
            let mut value = shown(&last, signatures);
            if let Some(object) = value.as_object_mut() {
                object.insert("at".to_owned(), at.to_string().into());
            }
            value
        }),
        "finding": path.finding.map(|finding| match finding {
            Finding::Open => "open",
            Finding::Failing => "failing",
            Finding::Healthy => "healthy",
        }),
    })
}

/// What depends on providers that are not in trouble.
fn works(snapshot: &Snapshot) -> Vec<String> {
    let is_fine = |provider: &&ProviderPlan| {
        provider
            .court
            .as_ref()
            .is_none_or(|court| court.judge().is_some_and(|judge| judge.is_calm()))
    };
    let fine = snapshot.providers.iter().filter(is_fine);
    fine.flat_map(|p| p.routes.iter().flat_map(|route| &route.affects).chain(&p.affects))
        .cloned()
        .collect()
}
