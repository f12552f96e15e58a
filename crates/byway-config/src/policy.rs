//! What is done about a provider that refuses, limits or fails us: keys of `[provider.NAME]`.

use std::time::Duration;

use byway_core::policy::{
    Compare, DETOUR_CEILING, Grant, Health, OnBlock, OnPathFailure, Pace, Policy, Probing,
};
use byway_core::settings::ProviderRoute;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::section::{Reading, Section, Value};

/// Reads the policy of one provider.
pub(crate) fn read(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Policy {
    let mut policy = Policy::default();
    for (key, to) in [
        ("detour_max", &mut policy.detour_max),
        ("wait_max", &mut policy.wait_max),
        ("gate_min", &mut policy.gate_min),
        ("gate_max", &mut policy.gate_max),
    ] {
        if let Some(found) = section.get(key).and_then(|value| reading.duration(value)) {
            *to = found;
        }
    }
    for (key, to, max) in [
        ("detour_rate", &mut policy.detour_rate, 100),
        ("instances", &mut policy.instances, 10_000),
        ("retry_percent", &mut policy.retry_percent, 100),
        ("retry_per_s", &mut policy.retry_per_s, 1000),
    ] {
        let min = usize::from(!key.starts_with("retry"));
        let value = section.get(key);
        if let Some(found) = value.and_then(|value| reading.number(value, min..=max)) {
            *to = u32::try_from(found).unwrap_or(*to);
        }
    }
    if let Some(value) = section.get("judge") {
        policy.judge = reading.boolean(value).unwrap_or(policy.judge);
    }
    if let Some(value) = section.get("on_path_failure") {
        let words = [("next", OnPathFailure::Next), ("stop", OnPathFailure::Stop)];
        policy.on_path_failure = reading.word(value, &words).unwrap_or(policy.on_path_failure);
    }
    if let Some(value) = section.get("probe") {
        policy.probing = probing(reading, value).unwrap_or(policy.probing);
    }
    if let Some(value) = section.get("budget") {
        policy.budget = pace(reading, value);
    }
    if let Some(table) = section.table(reading, "health", "provider.NAME.health") {
        health(reading, table, &mut policy.health);
    }
    if let Some(table) = section.table(reading, "compare", "provider.NAME.compare") {
        compare(reading, table, &mut policy.compare);
    }
    policy.on_block = on_block(reading, section);
    policy
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Alert,
    Stale,
    Detour,
}

fn on_block(reading: &mut Reading<'_>, section: &mut Section<'_>) -> OnBlock {
    let value = section.get("on_block");
    let table = section.table(reading, "detour", "provider.NAME.detour");
    let words = [("alert", Word::Alert), ("stale", Word::Stale), ("detour", Word::Detour)];
    let word = value.and_then(|value| reading.word(value, &words)).unwrap_or(Word::Alert);
    let span = value.map(toml::Spanned::span);
    let detour = table.map(|table| grant(reading, table));
    match (word, detour, span) {
        (Word::Alert, _, _) => OnBlock::Alert,
        (Word::Stale, _, _) => OnBlock::Stale,
        (Word::Detour, Some(grant), _) => grant.map_or(OnBlock::Alert, OnBlock::Detour),
        (Word::Detour, None, span) => {
            let hint = "add `[provider.NAME.detour]` with `owner`, `reason` and `expires`";
            let message = "a detour is a decision: it needs an owner, a reason and an expiry";
            reading.problem_with_hint(span.unwrap_or_default(), message, hint.to_owned());
            OnBlock::Alert
        }
    }
}

fn grant(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<Grant> {
    let span = section.span.clone();
    let mut text = |reading: &mut Reading<'_>, key| match section.get(key) {
        Some(value) => {
            let text = reading.string(value)?;
            let trimmed = text.get_ref().trim();
            if trimmed.is_empty() || trimmed.len() > 500 {
                reading.problem(text.span(), format!("`{key}` has 1 to 500 bytes"));
                return None;
            }
            Some((text.span(), trimmed.to_owned()))
        }
        None => {
            reading.problem(span.clone(), format!("`{key}` is missing"));
            None
        }
    };
    let owner = text(reading, "owner");
    let reason = text(reading, "reason");
    let expires = text(reading, "expires").and_then(|(span, text)| {
        let at = text.parse::<Timestamp>().ok().or_else(|| {
            let date = text.parse::<Date>().ok()?;
            Some(date.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        });
        if at.is_none() {
            let hint = "write a day, \"2027-03-01\", or an instant, \"2027-03-01T09:00:00+09:00\"";
            reading.problem_with_hint(span, "this is not a date", hint.to_owned());
        }
        at
    });
    section.finish(reading);
    Some(Grant { owner: owner?.1, reason: reason?.1, expires: expires? })
}

/// `auto`, `off`, or the target of a safe request.
fn probing(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<Probing> {
    let text = reading.string(value)?;
    match *text.get_ref() {
        "auto" => Some(Probing::Auto),
        "off" => Some(Probing::Off),
        target if target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic()) => {
            Some(Probing::Target(target.to_owned()))
        }
        _ => {
            let hint = "write \"auto\", \"off\", or the target of a safe request: \"/v1/status\"";
            reading.problem_with_hint(text.span(), "this is not a probe", hint.to_owned());
            None
        }
    }
}

/// `20/s`, `20/s burst 40`, `1000/h`
fn pace(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<Pace> {
    let text = reading.string(value)?;
    let parsed = parse_pace(text.get_ref());
    if parsed.is_none() {
        let hint = "write requests and a unit, s, min or h: \"20/s\", \"20/s burst 40\"";
        reading.problem_with_hint(text.span(), "this is not a budget", hint.to_owned());
    }
    parsed
}

pub(crate) fn parse_pace(text: &str) -> Option<Pace> {
    let mut words = text.split_whitespace();
    let (n, unit) = words.next()?.split_once('/')?;
    let n: u32 = n.parse().ok().filter(|n| (1..=1_000_000).contains(n))?;
    let per = match unit {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return None,
    };
    let burst = match (words.next(), words.next(), words.next()) {
        (None, ..) => n,
        (Some("burst"), Some(burst), None) => {
            burst.parse().ok().filter(|n| (1..=1_000_000).contains(n))?
        }
        _ => return None,
    };
    Some(Pace { n, per, burst })
}

fn health(reading: &mut Reading<'_>, mut section: Section<'_>, health: &mut Health) {
    for (key, to) in [
        ("window", &mut health.window),
        ("backoff_min", &mut health.backoff_min),
        ("backoff_max", &mut health.backoff_max),
        ("probes_over", &mut health.probes_over),
        ("ramp_step", &mut health.ramp_step),
        ("flap_half_life", &mut health.flap_half_life),
        ("hold", &mut health.hold),
    ] {
        if let Some(found) = section.get(key).and_then(|value| reading.duration(value)) {
            *to = found;
        }
    }
    for (key, to, range) in [
        ("consecutive_max", &mut health.consecutive_max, 1..=1000),
        ("strong_max", &mut health.strong_max, 1..=1000),
        ("good_percent_min", &mut health.good_percent_min, 0..=100),
        ("n_window_min", &mut health.n_window_min, 1..=100_000),
        ("n_probes", &mut health.n_probes, 1..=100),
        ("flap_penalty", &mut health.flap_penalty, 0..=1_000_000),
        ("flap_suppress", &mut health.flap_suppress, 1..=1_000_000),
        ("flap_reuse", &mut health.flap_reuse, 1..=1_000_000),
    ] {
        if let Some(found) = section.get(key).and_then(|value| reading.number(value, range)) {
            *to = u32::try_from(found).unwrap_or(*to);
        }
    }
    if health.backoff_min > health.backoff_max {
        let message = "`backoff_min` must not be more than `backoff_max`";
        reading.problem(section.span.clone(), message);
    }
    section.finish(reading);
}

fn compare(reading: &mut Reading<'_>, mut section: Section<'_>, compare: &mut Compare) {
    for (key, to) in [
        ("spacing", &mut compare.spacing),
        ("control_every", &mut compare.control_every),
        ("window", &mut compare.window),
        ("pause", &mut compare.pause),
    ] {
        if let Some(found) = section.get(key).and_then(|value| reading.duration(value)) {
            *to = found;
        }
    }
    for (key, to, range) in [
        ("n_rounds_max", &mut compare.n_rounds_max, 1..=20),
        ("probes_per_hour", &mut compare.probes_per_hour, 0..=3600),
        ("controls_per_day", &mut compare.controls_per_day, 0..=86_400),
    ] {
        if let Some(found) = section.get(key).and_then(|value| reading.number(value, range)) {
            *to = u32::try_from(found).unwrap_or(*to);
        }
    }
    section.finish(reading);
}

/// The ceiling of the design holds whatever the file says.
pub(crate) fn check_ceilings(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    policy: &Policy,
) {
    if policy.detour_max > DETOUR_CEILING
        && let Some(value) = section.get("detour_max")
    {
        reading.problem(value.span(), "a detour lasts at most 24 hours");
    }
}

/// `[provider.NAME.route.ROUTE]`
pub(crate) fn routes(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Vec<ProviderRoute> {
    let mut routes: Vec<ProviderRoute> = Vec::new();
    for (name, mut table) in section.named_tables(reading, "route", "provider.NAME.route.NAME") {
        let mut route = ProviderRoute {
            name: (*name.get_ref()).to_owned(),
            prefix: "/".to_owned(),
            affects: words(reading, &mut table, "affects"),
            cache: byway_core::freshness::RouteCache::default(),
        };
        if let Some(text) = table.get("prefix").and_then(|value| reading.string(value)) {
            if text.get_ref().starts_with('/') {
                route.prefix = (*text.get_ref()).to_owned();
            } else {
                reading.problem(text.span(), "a prefix begins with `/`");
            }
            if routes.iter().any(|other| other.prefix == *text.get_ref()) {
                reading.problem(text.span(), "another route has this prefix already");
            }
        }
        if let Some(value) = table.get("cache") {
            route.cache.cache = reading.boolean(value).unwrap_or_default();
        }
        if let Some(value) = table.get("stale_if_blocked") {
            route.cache.stale_if_blocked = reading.duration(value);
        }
        table.finish(reading);
        routes.push(route);
    }
    routes
}

/// What people would notice, in their words.
pub(crate) fn words(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
) -> Vec<String> {
    let Some(value) = section.get(key) else { return Vec::new() };
    reading
        .list(value, |reading, value| {
            let text = reading.string(value)?;
            let fits = (1..=200).contains(&text.get_ref().len());
            if !fits {
                reading.problem(text.span(), "write 1 to 200 bytes");
            }
            fits.then(|| (*text.get_ref()).to_owned())
        })
        .into_iter()
        .collect()
}
