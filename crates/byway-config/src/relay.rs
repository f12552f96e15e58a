//! `[path.NAME.relay]` and `[path.NAME.peer]`: ways out that run our own software.

use std::ops::Range;
use std::sync::Arc;

use byway_core::destination::{HostKind, host_kind};
use byway_core::relay::{
    ASK_EVERY, CHECK_EVERY, LAMBDA_STREAM_BYTES_MAX, Lock, Platform, RelayHop, RelayLimits,
    WHOLE_BYTES_MAX,
};
use byway_core::route::{Origin, Scheme};
use byway_core::settings::{Credentials, PeerHop, ProviderTls, ProxyHop, Resolve};
use toml::Spanned;

use crate::section::{Reading, Section, Value};
use crate::{path, provider, url};

/// Names and key names stand in every call.
const NAME_BYTES_MAX: usize = 64;
/// No platform takes more, and everything is held whole.
const REQUEST_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Another Byway.
pub(crate) fn peer(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<PeerHop> {
    let addr = path::addr_of(reading, &mut section);
    let name = section.entry("name");
    let token = section.entry("token");
    let resolve = [("here", Resolve::Here), ("there", Resolve::There)];
    let resolve = section.get("resolve").map(|value| reading.word(value, &resolve));
    let tls = section.table(reading, "tls", "path.NAME.peer.tls");
    section.finish(reading);
    let tls = match tls {
        Some(section) => provider::tls(reading, section)?,
        None => ProviderTls::default(),
    };
    let credentials = match (name, token) {
        (None, None) => None,
        (Some((_, name)), Some((_, token))) => {
            let user = text(reading, name)?;
            Some(Credentials { user, password: reading.secret(token)? })
        }
        (Some((span, _)), None) => {
            reading.problem(span, "`name` needs a `token`");
            return None;
        }
        (None, Some((span, _))) => {
            reading.problem(span, "`token` needs a `name`: the one that the peer knows it by");
            return None;
        }
    };
    let (host, port) = addr?;
    // A peer knows its own network best, and enforces its own destinations.
    let resolve = resolve.unwrap_or(Some(Resolve::There))?;
    Some(PeerHop { hop: ProxyHop { host, port, credentials, resolve, is_byway: true }, tls })
}

/// A relay; `name` is the path's, which the relay has too unless the file says otherwise.
pub(crate) fn relay(
    reading: &mut Reading<'_>,
    name: &str,
    mut section: Section<'_>,
) -> Option<Arc<RelayHop>> {
    let platform = platform(reading, &mut section);
    let place = match section.get("url") {
        Some(value) => reading.string(value).and_then(|text| place(reading, &text)),
        None => missing(reading, &section, "url"),
    };
    let id = named(reading, &mut section, "id").unwrap_or_else(|| Some(name.to_owned()));
    let key_id = named(reading, &mut section, "key_id").unwrap_or_else(|| Some("k1".to_owned()));
    let key_pem = match section.get("key") {
        Some(value) => reading.private_key(value),
        None => missing(reading, &section, "key"),
    };
    let lock = lock(reading, &mut section, platform, place.as_ref());
    let mut limits = limits(reading, &mut section, platform);
    let is_text = section.get("text").and_then(|value| reading.boolean(value)).unwrap_or_default();
    if let Some(limits) = &mut limits {
        limits.streams &= !is_text;
        if !limits.streams {
            limits.answer_bytes_max = limits.answer_bytes_max.min(WHOLE_BYTES_MAX);
        }
    }
    let replay_accepted = section.get("replay_accepted").map(|value| text(reading, value));
    let check_every = section.get("check_every").map(|value| reading.duration(value));
    let ask_every = section.get("ask_every").map(|value| reading.duration(value));
    let tls = section.table(reading, "tls", "path.NAME.relay.tls");
    section.finish(reading);
    let tls = match tls {
        Some(section) => provider::tls(reading, section)?,
        None => ProviderTls::default(),
    };
    let Place { origin, target } = place?;
    Some(Arc::new(RelayHop {
        origin,
        target,
        platform: platform?,
        id: id?,
        key_id: key_id?,
        key_pem: key_pem?,
        lock: lock?,
        tls,
        limits: limits?,
        is_text,
        replay_accepted: match replay_accepted {
            Some(why) => Some(why?),
            None => None,
        },
        check_every: check_every.unwrap_or(Some(CHECK_EVERY))?,
        ask_every: ask_every.unwrap_or(Some(ASK_EVERY))?,
    }))
}

fn missing<T>(reading: &mut Reading<'_>, section: &Section<'_>, key: &str) -> Option<T> {
    reading.problem(section.span.clone(), format!("`{key}` is missing"));
    None
}

fn platform(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Platform> {
    let words = Platform::ALL.map(|platform| (platform.as_str(), platform));
    match section.get("platform") {
        Some(value) => reading.word(value, &words),
        None => missing(reading, section, "platform"),
    }
}

/// A text that is not empty.
fn text(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<String> {
    let text = reading.string(value)?;
    if text.get_ref().trim().is_empty() {
        reading.problem(text.span(), "this must say something");
        return None;
    }
    Some((*text.get_ref()).to_owned())
}

/// A name on the wire: printable ASCII.
#[expect(clippy::option_option, reason = "absent and wrong are different things")]
fn named(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
) -> Option<Option<String>> {
    let value = section.get(key)?;
    let Some(text) = reading.string(value) else { return Some(None) };
    let name = *text.get_ref();
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !is_name {
        reading.problem(text.span(), "1 to 64 letters, digits, `-`, `_` or `.`");
        return Some(None);
    }
    Some(Some(name.to_owned()))
}

/// Where the POST goes.
struct Place {
    origin: Origin,
    target: String,
}

/// `https://host/` with or without a path, as a platform shows it.
fn place(reading: &mut Reading<'_>, text: &Spanned<&str>) -> Option<Place> {
    let whole = *text.get_ref();
    let behind = whole.find("://").map_or(0, |at| at + 3);
    let at = whole.get(behind..).and_then(|rest| rest.find(['/', '?', '#']));
    let at = at.map_or(whole.len(), |at| behind + at);
    let (front, target) = whole.split_at_checked(at)?;
    let origin = match url::origin(front) {
        Ok(origin) => origin,
        Err(wrong) => {
            let span = reading.part(text, wrong.part);
            reading.problem_with_hint(span, wrong.message, wrong.hint);
            return None;
        }
    };
    let span = reading.part(text, at..whole.len());
    if target.contains(['?', '#']) || target.bytes().any(|b| b <= b' ' || b >= 0x7f) {
        reading.problem(span, "the URL of a relay has a path at most: no query, no fragment");
        return None;
    }
    let is_near = matches!(host_kind(&origin.host), HostKind::Address(ip) if ip.is_loopback())
        || origin.host == "localhost"
        || origin.host.ends_with(".localhost");
    if origin.scheme == Scheme::Http && !is_near {
        let message = "a relay is reached over https: calls carry the credentials of your requests";
        reading.problem_with_hint(text.span(), message, "http works on loopback only".to_owned());
        return None;
    }
    let target = if target.is_empty() { "/" } else { target };
    Some(Place { origin, target: target.to_owned() })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LockWord {
    Open,
    Aws,
    Google,
}

/// The platform's lock; the usual one of the platform unless the file says otherwise.
fn lock(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    platform: Option<Platform>,
    place: Option<&Place>,
) -> Option<Lock> {
    let words = [("open", LockWord::Open), ("aws", LockWord::Aws), ("google", LockWord::Google)];
    let chosen = section.entry("lock").map(|(span, value)| (span, reading.word(value, &words)));
    let region = section.get("region").map(|value| text(reading, value));
    let profile = section.get("profile").map(|value| text(reading, value));
    let audience = section.get("audience").map(|value| text(reading, value));
    let key_file = section.get("google_key_file").map(|value| text(reading, value));
    let (platform, place) = (platform?, place?);
    let usual = match platform {
        Platform::LambdaUrl | Platform::ApiGatewayV2 | Platform::ApiGatewayV1 => LockWord::Aws,
        Platform::CloudRun | Platform::CloudFunctions => LockWord::Google,
        Platform::Plain => LockWord::Open,
    };
    let (span, word) = match chosen {
        Some((span, word)) => (Some(span), word?),
        None => (None, usual),
    };
    match word {
        LockWord::Open => open(reading, span, platform, place),
        LockWord::Aws => {
            let found = region.unwrap_or_else(|| region_of(&place.origin.host));
            let Some(region) = found else {
                let message = "`region` is missing: the URL does not say which it is";
                reading.problem(section.span.clone(), message);
                return None;
            };
            let service = if platform == Platform::LambdaUrl { "lambda" } else { "execute-api" };
            let profile = match profile {
                Some(profile) => Some(profile?),
                None => None,
            };
            Some(Lock::Aws { region, service, profile })
        }
        LockWord::Google => {
            let own = || Some(format!("{}", place.origin));
            let audience = audience.unwrap_or_else(own)?;
            let key_file = match key_file {
                Some(file) => Some(file?.into()),
                None => None,
            };
            Some(Lock::Google { audience, key_file })
        }
    }
}

/// No lock of a platform: fine where nobody else reaches the relay.
fn open(
    reading: &mut Reading<'_>,
    span: Option<Range<usize>>,
    platform: Platform,
    place: &Place,
) -> Option<Lock> {
    let is_near = place.origin.scheme == Scheme::Http;
    if platform != Platform::Plain && !is_near {
        let message = "a relay on a platform has its lock: without one, strangers' calls are \
                       started and paid before the key inside refuses them";
        reading.problem(span.unwrap_or_default(), message);
        return None;
    }
    Some(Lock::Open)
}

/// `….lambda-url.REGION.on.aws`, `….execute-api.REGION.amazonaws.com`
fn region_of(host: &str) -> Option<String> {
    let mut parts = host.split('.').skip_while(|p| !matches!(*p, "lambda-url" | "execute-api"));
    parts.next()?;
    let region = parts.next()?;
    parts.next().map(|_| region.to_owned())
}

fn limits(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    platform: Option<Platform>,
) -> Option<RelayLimits> {
    let timeout = section.get("timeout").map(|value| reading.duration(value));
    let sent = section.get("request_bytes_max");
    let sent = sent.map(|value| reading.size(value, 4096..=REQUEST_BYTES_MAX));
    let got = section.get("answer_bytes_max");
    let got = got.map(|value| reading.size(value, 4096..=usize::MAX / 2));
    let streams = section.get("stream").map(|value| reading.boolean(value));
    let platform = platform?;
    let mut limits = platform.limits();
    if let Some(streams) = streams {
        limits.streams = streams?;
        if limits.streams && platform == Platform::LambdaUrl {
            limits.answer_bytes_max = LAMBDA_STREAM_BYTES_MAX;
        }
    }
    if let Some(timeout) = timeout {
        limits.timeout = timeout?;
    }
    if let Some(sent) = sent {
        limits.request_bytes_max = sent?;
    }
    if let Some(got) = got {
        limits.answer_bytes_max = got? as u64;
    }
    Some(limits)
}
