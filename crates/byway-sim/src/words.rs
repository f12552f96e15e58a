//! What happens, as lines of text.

use byway_core::detect::Shown;
use byway_core::failover::Next;
use byway_core::judge::{Event, Purpose};
use jiff::Timestamp;

/// Time of day; days are not told.
pub(crate) fn time(at: Timestamp) -> String {
    let ms = at.as_millisecond().rem_euclid(86_400_000);
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{h:02}:{m:02}:{s:02}.{:03}", ms % 1000)
}

fn name(names: &[String], index: usize) -> &str {
    names.get(index).map_or("?", String::as_str)
}

fn list(names: &[String], indices: &[usize]) -> String {
    let list: Vec<&str> = indices.iter().map(|&index| name(names, index)).collect();
    if list.is_empty() { "nobody".to_owned() } else { list.join(" ") }
}

/// What the judge noticed.
pub(crate) fn event(event: &Event, names: &[String]) -> String {
    match event {
        Event::Moved { path, change } => format!(
            "{} {} -> {} ({})",
            name(names, *path),
            change.from.as_str(),
            change.to.as_str(),
            change.why.as_str()
        ),
        Event::Gated { until, by_header } => {
            let by = if *by_header { "provider" } else { "us" };
            format!("gated until {} by {by}", time(*until))
        }
        Event::Judged { verdict } => {
            let open = verdict.open_test.map_or(String::new(), |o| format!("; try {}", o.as_str()));
            format!(
                "verdict {} {}: failing {}; healthy {}{open}",
                verdict.kind.as_str(),
                verdict.confidence.as_str(),
                list(names, &verdict.failing),
                list(names, &verdict.healthy)
            )
        }
        Event::DetourBegan { from, to, until } => {
            let (from, to) = (name(names, *from), name(names, *to));
            format!("detour begins: {to} for {from}, until {}", time(*until))
        }
        Event::DetourMoved { from, to } => {
            format!("detour moves from {} to {}", name(names, *from), name(names, *to))
        }
        Event::DetourEnded { path, why } => {
            format!("detour over {} ends: {}", name(names, *path), why.as_str())
        }
        Event::DetourRefused { why } => format!("no detour: {}", why.as_str()),
        Event::Attributed { who } => format!("whose doing: {}", who.as_str()),
        Event::Recovered { who } => format!("recovered: {}", who.as_str()),
        Event::Closed { standing } => {
            let detoured = if standing.detoured { ", detoured" } else { "" };
            format!("closed: {}{detoured}", standing.attribution.as_str())
        }
        Event::Ordered { order } => format!("order: {}", order.as_str()),
    }
}

fn shows(shown: &Shown) -> String {
    let status = shown.status.map_or(String::new(), |status| format!(" {status}"));
    format!("{}{status}", shown.outcome.class.as_str())
}

/// What an attempt showed.
pub(crate) fn attempt(id: u64, path: &str, shown: &Shown, decided: Next) -> String {
    format!("call {id} over {path}: {} -> {decided:?}", shows(shown))
}

/// What a probe showed.
pub(crate) fn probe(path: &str, purpose: Purpose, shown: Option<&Shown>) -> String {
    let shown = shown.map_or("lost".to_owned(), shows);
    format!("probe ({}) over {path}: {shown}", purpose.as_str())
}
