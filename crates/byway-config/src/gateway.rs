//! `[gateway]` and `[admin]`.

use byway_core::route::{HostPattern, Origin};
use byway_core::settings::{Listener, Settings, Unlisted};

use crate::section::{Reading, Section, Value};
use crate::url;

/// More threads than any machine that this was tried on.
const N_WORKERS_MAX: usize = 1024;

pub(crate) fn read(reading: &mut Reading<'_>, root: &mut Section<'_>, settings: &mut Settings) {
    if let Some(section) = root.table(reading, "gateway", "gateway") {
        gateway(reading, section, settings);
    }
    if let Some(section) = root.table(reading, "admin", "admin") {
        admin(reading, section, settings);
    }
}

fn gateway(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    if let Some(value) = section.get("listen")
        && let Some(addr) = reading.socket_addr(value)
    {
        if addr.get_ref().ip().is_loopback() {
            settings.listeners = vec![Listener::loopback(*addr.get_ref())];
        } else {
            let message =
                "`listen` must be a loopback address: nobody is asked for credentials here";
            let hint = "for callers on other machines add `[listener.NAME]` with TLS, \
                        and with tokens or client certificates";
            reading.problem_with_hint(addr.span(), message, hint.to_owned());
        }
    }
    if let Some(value) = section.get("workers")
        && let Some(n_workers) = reading.number(value, 1..=N_WORKERS_MAX)
    {
        settings.n_workers = n_workers;
    }
    if let Some(value) = section.get("instance")
        && let Some(instance) = instance(reading, value)
    {
        settings.instance = instance;
    }
    if let Some(value) = section.get("names") {
        settings.names = reading.list(value, host_name);
    }
    if let Some(value) = section.get("unlisted") {
        let words = [("observe", Unlisted::Observe), ("refuse", Unlisted::Refuse)];
        if let Some(unlisted) = reading.word(value, &words) {
            settings.unlisted = unlisted;
        }
    }
    if let Some(value) = section.get("unlisted_allow") {
        settings.unlisted_allow = reading.list(value, Reading::network);
    }
    if let Some(value) = section.get("drain")
        && let Some(drain) = reading.duration(value)
    {
        settings.drain = drain;
    }
    if let Some(value) = section.get("exit_echo") {
        settings.exit_echo = exit_echo(reading, value);
    }
    if let Some(value) = section.get("trusted_roots") {
        settings.roots_pem = reading.list(value, Reading::certificates);
    }
    section.finish(reading);
}

/// The name travels in a header between instances, so it must be a token (RFC 9110 §5.6.2).
fn instance(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<String> {
    let text = reading.string(value)?;
    let name = *text.get_ref();
    let is_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if (1..=63).contains(&name.len()) && name.bytes().all(is_ok) {
        return Some(name.to_owned());
    }
    let message = "an instance is named by 1 to 63 letters, digits, `-`, `_` and `.`";
    reading.problem(text.span(), message);
    None
}

/// A whole URL: origin and target.
fn exit_echo(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<(Origin, String)> {
    let text = reading.string(value)?;
    let after_scheme = text.get_ref().find("://").map_or(0, |at| at + 3);
    let rest = text.get_ref().get(after_scheme..).unwrap_or_default();
    let at = after_scheme + rest.find('/').unwrap_or(rest.len());
    let (origin, target) = text.get_ref().split_at_checked(at).unwrap_or_default();
    match url::origin(origin) {
        Ok(origin) if target.bytes().all(|b| b.is_ascii_graphic()) => {
            let target = if target.is_empty() { "/" } else { target };
            Some((origin, target.to_owned()))
        }
        _ => {
            let hint = "write a URL that answers with the caller's address: \
                        \"https://echo.example.com/ip\"";
            reading.problem_with_hint(text.span(), "this is not a URL", hint.to_owned());
            None
        }
    }
}

fn host_name(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<String> {
    let text = reading.string(value)?;
    if let Some(HostPattern::Exact(host)) = HostPattern::parse(text.get_ref())
        && !host.contains(':')
    {
        return Some(host);
    }
    let hint = "write it without scheme and port: \"gateway.example.com\"";
    reading.problem_with_hint(text.span(), "this is not a host name", hint.to_owned());
    None
}

fn admin(reading: &mut Reading<'_>, mut section: Section<'_>, settings: &mut Settings) {
    if let Some(value) = section.get("listen")
        && let Some(addr) = reading.socket_addr(value)
    {
        if addr.get_ref().ip().is_loopback() {
            settings.admin = Some(*addr.get_ref());
        } else {
            let message = "the admin listener must be on a loopback address: it has no login";
            reading.problem(addr.span(), message);
        }
        let twin = settings
            .listeners
            .iter()
            .any(|listener| listener.addr == *addr.get_ref() && listener.addr.port() != 0);
        if twin {
            reading.problem(addr.span(), "callers come in at this address already");
        }
    }
    if let Some(value) = section.get("enabled")
        && reading.boolean(value) == Some(false)
    {
        settings.admin = None;
    }
    section.finish(reading);
}
