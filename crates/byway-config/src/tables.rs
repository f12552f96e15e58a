//! The plain tables: `[limits]`, `[deadlines]`, `[log]`, `[dns]`, `[otlp]`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use byway_core::settings::{Deadlines, LogFormat, LogRequests, Otlp, Settings};

use crate::section::{Reading, Section, Value};
use crate::url;

pub(crate) fn read(reading: &mut Reading<'_>, root: &mut Section<'_>, settings: &mut Settings) {
    if let Some(section) = root.table(reading, "limits", "limits") {
        limits(reading, section, settings);
    }
    if let Some(section) = root.table(reading, "deadlines", "deadlines") {
        settings.deadlines = deadlines(reading, section, settings.deadlines);
    }
    if let Some(section) = root.table(reading, "log", "log") {
        log(reading, section, settings);
    }
    if let Some(section) = root.table(reading, "dns", "dns") {
        dns(reading, section, settings);
    }
    if let Some(section) = root.table(reading, "otlp", "otlp") {
        settings.otlp = otlp(reading, section);
    }
    if let Some(section) = root.table(reading, "state", "state") {
        state(reading, section, settings);
    }
}

fn limits(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    let limits = &mut settings.limits;
    let mut size = |key, to: &mut usize, range| {
        let value = section.get(key);
        if let Some(size) = value.and_then(|value| reading.size(value, range)) {
            *to = size;
        }
    };
    const MIB: usize = 1024 * 1024;
    size("head_bytes_max", &mut limits.head_bytes_max, 1024..=MIB);
    size("target_bytes_max", &mut limits.target_bytes_max, 256..=MIB);
    size("replay_bytes_max", &mut limits.replay_bytes_max, 0..=16 * MIB);
    let mut count = |key, to: &mut usize, range| {
        let value = section.get(key);
        if let Some(count) = value.and_then(|value| reading.number(value, range)) {
            *to = count;
        }
    };
    const MANY: usize = 10_000_000;
    count("n_fields_max", &mut limits.n_fields_max, 1..=128);
    let key = "n_connections_per_caller_max";
    count(key, &mut limits.n_connections_per_caller_max, 1..=MANY);
    count("n_connections_max", &mut limits.n_connections_max, 1..=MANY);
    count("n_idle_per_lane_max", &mut limits.n_idle_per_lane_max, 0..=100_000);
    if limits.target_bytes_max > limits.head_bytes_max {
        let at = section.get("target_bytes_max").or_else(|| section.get("head_bytes_max"));
        if let Some(value) = at {
            let message = "`target_bytes_max` must not be more than `head_bytes_max`";
            reading.problem(value.span(), message);
        }
    }
    section.finish(reading);
}

/// Reads deadlines over those that hold without them.
pub(crate) fn deadlines(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
    defaults: Deadlines,
) -> Deadlines {
    let mut deadlines = defaults;
    for (key, to) in [
        ("connect", &mut deadlines.connect),
        ("tls", &mut deadlines.tls),
        ("first_byte", &mut deadlines.first_byte),
        ("idle_body", &mut deadlines.idle_body),
        ("total", &mut deadlines.total),
        ("idle_tunnel", &mut deadlines.idle_tunnel),
        ("idle_provider", &mut deadlines.idle_provider),
        ("idle_caller", &mut deadlines.idle_caller),
        ("head", &mut deadlines.head),
    ] {
        let value = section.get(key);
        if let Some(duration) = value.and_then(|value| reading.duration(value)) {
            *to = duration;
        }
    }
    section.finish(reading);
    deadlines
}

fn log(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    if let Some(value) = section.get("format") {
        let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        if let Some(format) = reading.word(value, &words) {
            settings.log.format = format;
        }
    }
    if let Some(value) = section.get("requests") {
        let words =
            [("all", LogRequests::All), ("errors", LogRequests::Errors), ("off", LogRequests::Off)];
        if let Some(requests) = reading.word(value, &words) {
            settings.log.requests = requests;
        }
    }
    section.finish(reading);
}

fn dns(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    if let Some(value) = section.get("servers") {
        settings.dns.servers = reading.list(value, server);
    }
    for (key, to) in
        [("timeout", &mut settings.dns.timeout), ("ttl_max", &mut settings.dns.ttl_max)]
    {
        let value = section.get(key);
        if let Some(duration) = value.and_then(|value| reading.duration(value)) {
            *to = duration;
        }
    }
    section.finish(reading);
}

/// An address, with or without a port.
fn server(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<SocketAddr> {
    let text = reading.string(value)?;
    let with_port = text.get_ref().parse::<SocketAddr>();
    let addr =
        with_port.or_else(|_| text.get_ref().parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
    match addr {
        Ok(addr) if addr.port() != 0 && !addr.ip().is_unspecified() => Some(addr),
        _ => {
            let hint =
                "write an address: \"192.0.2.53\", \"192.0.2.53:5353\", \"[2001:db8::1]:53\"";
            reading.problem_with_hint(
                text.span(),
                "this is not the address of a name server",
                hint.to_owned(),
            );
            None
        }
    }
}

fn state(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    const GIB: usize = 1024 * 1024 * 1024;
    let state = &mut settings.state;
    if let Some(text) = section.get("dir").and_then(|value| reading.string(value)) {
        if text.get_ref().is_empty() {
            reading.problem(text.span(), "this is not a folder");
        } else {
            state.dir = Some(reading.environment.resolve(Path::new(text.get_ref())));
        }
    }
    if let Some(value) = section.get("enabled") {
        state.is_off = reading.boolean(value) == Some(false);
    }
    if let Some(value) = section.get("facts_age_max_days") {
        let days = reading.number(value, 1..=3650).and_then(|days| u64::try_from(days).ok());
        let age = days.map(|days| Duration::from_secs(days * 24 * 3600));
        state.facts.age_max = age.unwrap_or(state.facts.age_max);
    }
    let mut size = |key, to: &mut usize, range| {
        let value = section.get(key);
        if let Some(size) = value.and_then(|value| reading.size(value, range)) {
            *to = size;
        }
    };
    size("facts_bytes_max", &mut state.facts.bytes_max, 1024 * 1024..=1024 * GIB);
    size("cache_memory_bytes_max", &mut state.cache.memory_bytes_max, 0..=1024 * GIB);
    size("cache_disk_bytes_max", &mut state.cache.disk_bytes_max, 0..=1024 * GIB);
    size("cache_entry_bytes_max", &mut state.cache.entry_bytes_max, 1024..=GIB);
    section.finish(reading);
}

fn otlp(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<Otlp> {
    let endpoint = match section.get("endpoint") {
        None => {
            reading.problem(section.span.clone(), "`endpoint` is missing");
            None
        }
        Some(value) => reading.string(value).and_then(|text| match url::origin(text.get_ref()) {
            Ok(origin) => Some(origin.to_string()),
            Err(wrong) => {
                let span = reading.part(&text, wrong.part);
                let hint = "write the collector's base address: \"http://127.0.0.1:4318\"";
                reading.problem_with_hint(span, wrong.message, hint.to_owned());
                None
            }
        }),
    };
    let mut one_in = 1;
    if let Some(value) = section.get("one_in") {
        let number = reading.number(value, 1..=1_000_000);
        one_in = number.and_then(|number| u32::try_from(number).ok()).unwrap_or(one_in);
    }
    section.finish(reading);
    Some(Otlp { endpoint: endpoint?, one_in })
}
