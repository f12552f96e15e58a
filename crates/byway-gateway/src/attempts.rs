//! `byway try`: one request over every path side by side.

use byway_core::classify::Class;
use byway_core::route::{Asked, Origin, Scheme};
use byway_net::Resolver;
use serde_json::{Value, json};

use crate::court::Court;
use crate::explain;
use crate::probe::{self, Ask, Told};
use crate::prober;
use crate::snapshot::{PathPlan, ProviderPlan, Snapshot};
use crate::witness::LOOK_BYTES_MAX;
use crate::worker::Shared;

/// Sends a GET (or HEAD) of `url` over every path of its provider, one after the other, until the
/// provider asks for a pause.
///
/// # Errors
/// What is wrong with the request, for people.
pub(crate) async fn attempt(shared: &Shared, url: &str, method: &str) -> Result<Value, String> {
    if !matches!(method, "GET" | "HEAD") {
        return Err(
            "only GET and HEAD can be tried: the request is sent once over every path".to_owned()
        );
    }
    let snapshot = shared.snapshot();
    let (origin, target) = split(url).ok_or("this is not an http or https URL")?;
    let asked = Asked::Host(&origin.host, origin.port);
    let route = snapshot.routes.route(asked).map_err(|cause| cause.says().to_owned())?;
    let provider = snapshot.provider(route.provider);
    let court = provider.court.as_deref();
    if let Some(closed) = court.and_then(|court| court.gate_opens_in(shared.clock.now())) {
        let seconds = closed.as_secs() + 1;
        return Err(format!(
            "the provider asked for a pause, which holds on every path: {seconds} s"
        ));
    }
    // A provider that said no is asked the way it knows, and no other.
    let is_locked = court.and_then(Court::judge).is_some_and(|j| j.ordered().forbids_probes());
    let n_paths = if is_locked { 1 } else { provider.paths.len() };
    let sample = prober::made_up(&target, &origin).ok_or("this target cannot be sent")?;
    let head = if method == "HEAD" {
        let rest = sample.head.get(3..).unwrap_or_default();
        [b"HEAD", rest].concat()
    } else {
        sample.head.clone()
    };
    let shape = prober::shape_of(&head);
    let resolver = Resolver::new(&snapshot.settings.dns).map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    for path in provider.paths.iter().take(n_paths) {
        let ask = Ask {
            snapshot: &snapshot,
            provider,
            path,
            origin: &origin,
            head: &head,
            shape: shape.as_ref(),
            usual: None,
            body_bytes_max: LOOK_BYTES_MAX,
            body_within: probe::BODY_WITHIN,
        };
        let told = probe::ask(&resolver, &ask, &shared.clock).await;
        if let Some(local) = told.local {
            shared.exits.local(path.name.as_str(), local.ip());
        }
        if let Some(exit) = told.exit {
            let how = if path.kind.relay().is_some() { "relay" } else { "peer" };
            shared.exits.echoed(path.name.as_str(), exit, how);
        }
        results.push(result(shared, &snapshot, path, &told));
        let (outcome, now) = (&told.shown.outcome, shared.clock.now());
        if let Some(court) = court {
            court.heed(outcome, told.pause, now);
        }
        let is_gated = court.is_some_and(|court| court.gate_opens_in(now).is_some());
        if is_gated || outcome.class == Class::RateLimited {
            break;
        }
    }
    Ok(json!({
        "url": url,
        "method": method,
        "provider": name(provider),
        "at": shared.clock.now().to_string(),
        "results": results,
    }))
}

fn name(provider: &ProviderPlan) -> &str {
    provider.name.as_str()
}

fn result(shared: &Shared, snapshot: &Snapshot, path: &PathPlan, told: &Told) -> Value {
    let (exit, known_by) = shared.exits.of(Some(path), path.name.as_str());
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    let head = String::from_utf8_lossy(&told.caught.head);
    let body =
        crate::look::decode(coding(&told.caught.head), told.caught.is_chunked, &told.caught.body);
    json!({
        "path": path.name.as_str(),
        "kind": path.kind.as_str(),
        "exit": exit,
        "exit_known_by": known_by,
        "stack": told.stack,
        "peer": told.peer.map(|peer| peer.to_string()),
        "shown": explain::shown(&told.shown, &snapshot.signatures),
        "signs": told.signs,
        "detail": told.detail,
        "dns_ms": ms(told.timing.dns),
        "connect_ms": ms(told.timing.connect),
        "tls_ms": ms(told.timing.tls),
        "first_byte_ms": told.first_byte.map(ms),
        "took_ms": ms(told.took),
        "head": head.trim_end(),
        "body": String::from_utf8_lossy(&body),
    })
}

/// The value of `Content-Encoding` in a head.
fn coding(head: &[u8]) -> Option<&[u8]> {
    head.split(|&b| b == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked("content-encoding:".len())?;
        name.eq_ignore_ascii_case(b"content-encoding:").then(|| value.trim_ascii())
    })
}

/// `https://host:port/target`, without a fragment.
fn split(url: &str) -> Option<(Origin, String)> {
    let (scheme, rest) = match url.split_once("://")? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return None,
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(at)?;
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let authority = byway_wire::target::Authority::parse(authority.as_bytes()).ok()?;
    let origin = Origin {
        scheme,
        host: authority.host_bare().to_ascii_lowercase(),
        port: authority.port.unwrap_or(scheme.default_port()),
    };
    target.bytes().all(|b| b > 0x20 && b != 0x7f).then_some((origin, target))
}
