//! `[listener.NAME]`: callers who are not on this machine.

use std::net::SocketAddr;
use std::ops::Range;

use byway_core::id::ProviderName;
use byway_core::settings::{CallerToken, Callers, Listener, ListenerTls, Settings};
use toml::Spanned;
use toml::de::DeValue;

use crate::section::{Reading, Section, Value, as_table, wrong_type};

/// The words for who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Loopback,
    Token,
    Certificate,
}

pub(crate) fn read(reading: &mut Reading<'_>, root: &mut Section<'_>, settings: &mut Settings) {
    for (name, section) in root.named_tables(reading, "listener", "listener.NAME") {
        if let Err(err) = ProviderName::new(name.get_ref()) {
            reading.problem(name.span(), err.to_string());
        }
        let Some((addr, listener)) = listener(reading, section) else { continue };
        // Port 0 is a different port each time.
        let is_taken = |other: SocketAddr| other == listener.addr && other.port() != 0;
        let mut callers = settings.listeners.iter().map(|other| other.addr);
        if callers.any(is_taken) || settings.admin.is_some_and(is_taken) {
            reading.problem(addr, "another listener has this address already");
        }
        settings.listeners.push(listener);
    }
}

fn listener(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
) -> Option<(Range<usize>, Listener)> {
    let addr = match section.get("addr") {
        Some(value) => reading.socket_addr(value),
        None => {
            reading.problem(section.span.clone(), "`addr` is missing");
            None
        }
    };
    let words =
        [("loopback", Kind::Loopback), ("token", Kind::Token), ("certificate", Kind::Certificate)];
    let (kind, kind_span) = match section.get("callers") {
        Some(value) => (reading.word(value, &words), value.span()),
        None => (Some(Kind::Loopback), section.span.clone()),
    };
    let has_tls = section.has("tls");
    let tls = section.table(reading, "tls", "listener.NAME.tls").map(|section| {
        let has_roots = section.has("client_roots");
        (section.span.clone(), has_roots, tls(reading, section))
    });
    let token_span = section.entry("token").map(|(span, _)| span);
    let tokens = section.get("token").map(|value| tokens(reading, value)).unwrap_or_default();
    let section_span = section.span.clone();
    section.finish(reading);

    if let Some(addr) = &addr
        && !addr.get_ref().ip().is_loopback()
    {
        guarded(reading, &section_span, addr, has_tls, kind);
    }
    match (kind, token_span) {
        (Some(Kind::Loopback | Kind::Certificate), Some(span)) => {
            let hint = "write `callers = \"token\"` to ask for tokens".to_owned();
            reading.problem_with_hint(span, "these tokens would be asked of nobody", hint);
        }
        (Some(Kind::Token), None) => {
            let hint = "add `[[listener.NAME.token]]` with `name` and `token`".to_owned();
            reading.problem_with_hint(kind_span.clone(), "there is no token to ask for", hint);
        }
        _ => {}
    }
    let has_roots = tls.as_ref().is_some_and(|(_, has_roots, _)| *has_roots);
    match kind {
        Some(Kind::Certificate) if !has_roots => {
            let message = "client certificates need `[listener.NAME.tls]` with `client_roots`";
            reading.problem(kind_span, message);
        }
        Some(Kind::Loopback | Kind::Token) if has_roots => {
            let span = tls.as_ref().map_or(kind_span, |(span, ..)| span.clone());
            let hint = "write `callers = \"certificate\"` to ask for them".to_owned();
            let message = "`client_roots` is set, but nobody is asked for a certificate";
            reading.problem_with_hint(span, message, hint);
        }
        _ => {}
    }
    let callers = match kind? {
        Kind::Loopback => Callers::Loopback,
        Kind::Token => Callers::Token(tokens),
        Kind::Certificate => Callers::Certificate,
    };
    let addr = addr?;
    let tls = tls.and_then(|(.., tls)| tls);
    Some((addr.span(), Listener { addr: *addr.get_ref(), tls, callers }))
}

/// What a listener must have that other machines can reach.
fn guarded(
    reading: &mut Reading<'_>,
    section: &Range<usize>,
    addr: &Spanned<SocketAddr>,
    has_tls: bool,
    kind: Option<Kind>,
) {
    let why = "other machines can reach this address";
    if !has_tls {
        let message = format!("{why}, so it needs TLS: whoever listens in would see the requests");
        let hint = "add `[listener.NAME.tls]` with `chain` and `key`".to_owned();
        reading.problem_with_hint(addr.span(), message, hint);
    }
    if kind == Some(Kind::Loopback) {
        let message = format!("{why}, so its callers must show who they are");
        let hint = "write `callers = \"token\"` or `callers = \"certificate\"`".to_owned();
        reading.problem_with_hint(section.clone(), message, hint);
    }
}

fn tls(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<ListenerTls> {
    let chain = section.get("chain");
    let key = section.get("key");
    let client_roots = section.get("client_roots");
    for (key, value) in [("chain", chain), ("key", key)] {
        if value.is_none() {
            reading.problem(section.span.clone(), format!("`{key}` is missing"));
        }
    }
    section.finish(reading);
    let chain_pem = chain.and_then(|value| reading.certificates(value));
    let key_pem = key.and_then(|value| reading.private_key(value));
    let client_roots_pem = client_roots.map(|value| reading.certificates(value));
    Some(ListenerTls {
        chain_pem: chain_pem?,
        key_pem: key_pem?,
        client_roots_pem: match client_roots_pem {
            Some(None) => return None,
            Some(found) => found,
            None => None,
        },
    })
}

fn tokens(reading: &mut Reading<'_>, value: &Value<'_>) -> Vec<CallerToken> {
    let DeValue::Array(array) = value.get_ref() else {
        wrong_type(reading, value, "an array of tables, `[[listener.NAME.token]]`");
        return Vec::new();
    };
    let mut tokens: Vec<CallerToken> = Vec::new();
    for value in array.iter() {
        let Some(table) = as_table(reading, value) else { continue };
        let section = Section::new("listener.NAME.token", value.span(), table);
        let Some((span, token)) = token(reading, section) else { continue };
        if tokens.iter().any(|other| other.name == token.name) {
            reading.problem(span, "another token has this name already");
        }
        tokens.push(token);
    }
    tokens
}

fn token(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
) -> Option<(Range<usize>, CallerToken)> {
    let name = section.get("name");
    let token = section.get("token");
    for (key, value) in [("name", name), ("token", token)] {
        if value.is_none() {
            reading.problem(section.span.clone(), format!("`{key}` is missing"));
        }
    }
    section.finish(reading);
    let name = name.and_then(|value| reading.string(value)).filter(|name| {
        let is_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let ok = (1..=63).contains(&name.get_ref().len()) && name.get_ref().bytes().all(is_ok);
        if !ok {
            let message = "a caller is named by 1 to 63 letters, digits, `-`, `_` and `.`";
            reading.problem(name.span(), message);
        }
        ok
    });
    let secret = token.and_then(|value| reading.secret(value)).filter(|secret| {
        let ok = secret.reveal().iter().all(u8::is_ascii_graphic);
        if let (false, Some(value)) = (ok, token) {
            reading.problem(value.span(), "a token is visible ASCII without spaces");
        }
        ok
    });
    let name = name?;
    Some((name.span(), CallerToken { name: (*name.get_ref()).to_owned(), token: secret? }))
}
