//! `[path.NAME.KIND]`: ways out.

use std::net::IpAddr;

use byway_core::id::PathName;
use byway_core::settings::{Credentials, Path, PathKind, ProxyHop, Resolve, Settings};
use toml::Spanned;

use crate::section::{Reading, Section};
use crate::{relay, suggest, url};

const KINDS: [&str; 6] = ["direct", "source-ip", "http-proxy", "socks5", "peer", "relay"];

/// RFC 1929 and most HTTP proxies have no room for more.
const CREDENTIAL_BYTES_MAX: usize = 255;

pub(crate) fn read(reading: &mut Reading<'_>, root: &mut Section<'_>, settings: &mut Settings) {
    for (name, mut section) in root.named_tables(reading, "path", "path.NAME") {
        let checked = PathName::new(name.get_ref());
        if let Err(err) = &checked {
            reading.problem(name.span(), err.to_string());
        }
        let about = about(reading, &mut section);
        let kind = kind(reading, &name, section);
        let (Ok(name), Some(kind)) = (checked, kind) else { continue };
        let (group, exit) = about;
        let path = Path { group: group.unwrap_or_else(|| name.to_string()), exit, name, kind };
        // `direct` is there already.
        match settings.paths.iter_mut().find(|known| known.name == path.name) {
            Some(known) => *known = path,
            None => settings.paths.push(path),
        }
    }
}

/// What the paths of every kind may say about themselves.
fn about(reading: &mut Reading<'_>, section: &mut Section<'_>) -> (Option<String>, Option<IpAddr>) {
    let group = section.get("group").and_then(|value| reading.string(value)).and_then(|text| {
        let is_name = PathName::new(text.get_ref());
        is_name.map_err(|err| reading.problem(text.span(), err.to_string())).ok()
    });
    let exit = section.get("exit").and_then(|value| reading.ip(value)).map(|ip| *ip.get_ref());
    (group.map(|group| group.to_string()), exit)
}

fn kind(
    reading: &mut Reading<'_>,
    name: &Spanned<&str>,
    mut section: Section<'_>,
) -> Option<PathKind> {
    let direct = section.table(reading, "direct", "path.NAME.direct");
    let source_ip = section.table(reading, "source-ip", "path.NAME.source-ip");
    let http_proxy = section.table(reading, "http-proxy", "path.NAME.http-proxy");
    let socks5 = section.table(reading, "socks5", "path.NAME.socks5");
    let peer = section.table(reading, "peer", "path.NAME.peer");
    let relay = section.table(reading, "relay", "path.NAME.relay");
    let n_kinds = KINDS.iter().filter(|kind| section.has(kind)).count();
    let is_renamed = *name.get_ref() == "direct" && n_kinds > 0 && !section.has("direct");
    let is_known = section.has_only(&KINDS, &["group", "exit"]);
    section.finish(reading);
    if n_kinds == 0 && is_known {
        let hint =
            format!("write `[path.{}.KIND]` with {}", name.get_ref(), suggest::one_of(&KINDS));
        reading.problem_with_hint(name.span(), "this path has no kind", hint);
    }
    if n_kinds > 1 {
        reading.problem(name.span(), "a path is of one kind only");
    }
    if is_renamed {
        let message = "`direct` is always the direct way out; give this path another name";
        reading.problem(name.span(), message);
    }
    let direct = direct.map(|section| {
        section.finish(reading);
        PathKind::Direct
    });
    let source_ip = source_ip.and_then(|section| source(reading, section)).map(PathKind::SourceIp);
    let http_proxy = http_proxy.and_then(|section| hop(reading, section, Hop::Http));
    let socks5 = socks5.and_then(|section| hop(reading, section, Hop::Socks5));
    let http_proxy = http_proxy.map(PathKind::HttpProxy);
    let socks5 = socks5.map(PathKind::Socks5);
    let peer = peer.and_then(|section| relay::peer(reading, section)).map(PathKind::Peer);
    let relay = relay.and_then(|section| relay::relay(reading, name.get_ref(), section));
    let relay = relay.map(PathKind::Relay);
    let kinds = [direct, source_ip, http_proxy, socks5, peer, relay];
    kinds.into_iter().flatten().next().filter(|_| n_kinds == 1)
}

fn source(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<IpAddr> {
    let ip = match section.get("addr") {
        Some(value) => reading.ip(value),
        None => {
            reading.problem(section.span.clone(), "`addr` is missing");
            None
        }
    };
    section.finish(reading);
    let ip = ip?;
    if ip.get_ref().is_unspecified() || ip.get_ref().is_multicast() {
        reading.problem(ip.span(), "this must be one address of this machine");
        return None;
    }
    Some(*ip.get_ref())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    Http,
    Socks5,
}

fn hop(reading: &mut Reading<'_>, mut section: Section<'_>, kind: Hop) -> Option<ProxyHop> {
    let addr = addr_of(reading, &mut section);
    let credentials = credentials(reading, &mut section, kind);
    // A proxy knows its own network best; a SOCKS5 server is more often just a way to another
    // address, and what is resolved here can be checked here.
    let mut resolve = if kind == Hop::Http { Resolve::There } else { Resolve::Here };
    if let Some(value) = section.get("resolve") {
        let words = [("here", Resolve::Here), ("there", Resolve::There)];
        resolve = reading.word(value, &words).unwrap_or(resolve);
    }
    let mut is_byway = false;
    if kind == Hop::Http
        && let Some(value) = section.get("byway")
    {
        is_byway = reading.boolean(value).unwrap_or_default();
    }
    section.finish(reading);
    let (host, port) = addr?;
    Some(ProxyHop { host, port, credentials: credentials?, resolve, is_byway })
}

/// Where a hop of ours listens.
pub(crate) fn addr_of(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
) -> Option<(String, u16)> {
    match section.get("addr") {
        Some(value) => reading.string(value).and_then(|text| addr(reading, &text)),
        None => {
            reading.problem(section.span.clone(), "`addr` is missing");
            None
        }
    }
}

/// `host:port`
fn addr(reading: &mut Reading<'_>, text: &Spanned<&str>) -> Option<(String, u16)> {
    let hint = "write host and port: \"proxy.example.com:3128\"".to_owned();
    if text.get_ref().contains("://") || text.get_ref().contains('@') {
        let message = "expected `host:port`, without a scheme and without credentials";
        reading.problem_with_hint(text.span(), message, hint);
        return None;
    }
    match url::host_and_port(text.get_ref()) {
        Ok((host, Some(port))) => Some((host, port)),
        Ok((_, None)) => {
            reading.problem_with_hint(text.span(), "the port is missing", hint);
            None
        }
        Err(wrong) => {
            let span = reading.part(text, wrong.part);
            reading.problem_with_hint(span, wrong.message, wrong.hint);
            None
        }
    }
}

/// `Some(None)` if there are none, `None` if they are wrong.
#[expect(clippy::option_option, reason = "absent and wrong are different things")]
fn credentials(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    kind: Hop,
) -> Option<Option<Credentials>> {
    let user = section.entry("user");
    let password = section.entry("password");
    let (user, password) = match (user, password) {
        (None, None) => return Some(None),
        (Some((_, user)), Some((_, password))) => (user, password),
        (Some((span, _)), None) => {
            reading.problem(span, "`user` needs a `password`");
            return None;
        }
        (None, Some((span, _))) => {
            reading.problem(span, "`password` needs a `user`");
            return None;
        }
    };
    let user = reading.string(user).filter(|user| {
        let text = user.get_ref();
        let message = if !(1..=CREDENTIAL_BYTES_MAX).contains(&text.len()) {
            "a user name has 1 to 255 bytes"
        } else if text.chars().any(char::is_control) {
            "a user name has no control characters"
        } else if kind == Hop::Http && text.contains(':') {
            "a user name for an HTTP proxy has no `:` (RFC 7617)"
        } else {
            return true;
        };
        reading.problem(user.span(), message);
        false
    });
    let span = password.span();
    let password = reading.secret(password).filter(|secret| {
        let ok = secret.reveal().len() <= CREDENTIAL_BYTES_MAX;
        if !ok {
            reading.problem(span, "a password has at most 255 bytes");
        }
        ok
    });
    Some(Some(Credentials { user: (*user?.get_ref()).to_owned(), password: password? }))
}
