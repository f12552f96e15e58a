//! Which addresses of ours others see: asked at an echo that the operator names, else at the trace
//! page of the provider's own edge.
//!
//! Asked when a verdict needs it and not known yet; a verdict that names an address which nobody
//! outside has seen would mislead.

use std::net::IpAddr;

use byway_core::choose::N_PATHS_MAX;
use byway_core::diagnose::Elsewhere;
use byway_core::route::Origin;
use byway_net::Resolver;

use crate::court::{self, Court};
use crate::probe::{self, Ask};
use crate::prober;
use crate::snapshot::{PathPlan, ProviderPlan, Snapshot};
use crate::worker::Shared;

/// Cloudflare answers here with the address that it sees, on every site that it fronts.
const TRACE: &str = "/cdn-cgi/trace";
/// An address and a few words around it.
const ECHO_BYTES_MAX: usize = 4096;

/// Asks for every path of a court whose address nobody outside has told.
pub(crate) async fn learn_exits(shared: &Shared, court: &Court) {
    let snapshot = shared.snapshot();
    let provider = prober::places(&snapshot, court);
    let Ok(resolver) = Resolver::new(&snapshot.settings.dns) else { return };
    for (index, path) in provider.paths.iter().enumerate() {
        let name = path.name.as_str();
        if path.exit.is_some() || shared.exits.is_echoed(name) {
            continue;
        }
        let found = match &snapshot.settings.exit_echo {
            Some((origin, target)) => {
                let (snapshot, provider) = (&*snapshot, &snapshot.observed);
                let echo = Outside { snapshot, provider, path, origin, target };
                let body = body(shared, &resolver, &echo).await;
                body.and_then(|body| first_address(&body)).map(|ip| (ip, "echo"))
            }
            None if is_cloudflare(court, &snapshot, index) && is_paid(shared, court) => {
                let Some(base) = &provider.base else { continue };
                let (snapshot, origin) = (&*snapshot, &base.origin);
                let edge = Outside { snapshot, provider, path, origin, target: TRACE };
                let body = body(shared, &resolver, &edge).await;
                body.and_then(|body| traced(&body)).map(|ip| (ip, "trace"))
            }
            None => None,
        };
        if let Some((ip, how)) = found {
            shared.exits.echoed(name, ip, how);
            tracing::info!(path = name, exit = %ip, how, "the address that others see");
        }
    }
}

/// Whether the operator's echo answers over each path of a court: the control where no other
/// provider can be asked.
pub(crate) async fn ask_echo(shared: &Shared, court: &Court) -> [Elsewhere; N_PATHS_MAX] {
    let mut seen = [Elsewhere::Unknown; N_PATHS_MAX];
    let snapshot = shared.snapshot();
    let Some((origin, target)) = &snapshot.settings.exit_echo else { return seen };
    let Ok(resolver) = Resolver::new(&snapshot.settings.dns) else { return seen };
    let paths = &prober::places(&snapshot, court).paths;
    for (seen, path) in seen.iter_mut().zip(paths) {
        let provider = &snapshot.observed;
        let echo = Outside { snapshot: &snapshot, provider, path, origin, target };
        if let Some(told) = ask(shared, &resolver, &echo).await {
            *seen = court::shows(&told.shown.outcome);
        }
    }
    seen
}

/// The trace page is the provider's, and paid like a probe.
fn is_paid(shared: &Shared, court: &Court) -> bool {
    let now = shared.clock.now();
    court.judge().is_some_and(|mut judge| judge.pay_control(now))
}

fn is_cloudflare(court: &Court, snapshot: &Snapshot, path: usize) -> bool {
    let Some(judge) = court.judge() else { return false };
    let edge = judge.last_shown(path).and_then(|shown| shown.outcome.edge);
    edge.is_some_and(|edge| snapshot.signatures.edge_name(edge) == "cloudflare")
}

/// Who is asked over which path.
struct Outside<'a> {
    snapshot: &'a Snapshot,
    provider: &'a ProviderPlan,
    path: &'a PathPlan,
    origin: &'a Origin,
    target: &'a str,
}

async fn ask(shared: &Shared, resolver: &Resolver, outside: &Outside<'_>) -> Option<probe::Told> {
    let Outside { snapshot, provider, path, origin, target } = *outside;
    let sample = prober::made_up(target, origin)?;
    let ask = Ask {
        snapshot,
        provider,
        path,
        origin,
        head: &sample.head,
        shape: Some(&sample.shape),
        usual: None,
        body_bytes_max: ECHO_BYTES_MAX,
        body_within: probe::BODY_WITHIN,
    };
    Some(probe::ask(resolver, &ask, &shared.clock).await)
}

async fn body(shared: &Shared, resolver: &Resolver, outside: &Outside<'_>) -> Option<String> {
    let told = ask(shared, resolver, outside).await?;
    let is_fine = told.shown.status == Some(200);
    let body = if told.caught.is_chunked {
        crate::look::unchunk(&told.caught.body)
    } else {
        told.caught.body
    };
    is_fine.then(|| String::from_utf8_lossy(&body).into_owned())
}

/// The first address in a text, be it bare, in JSON or in a sentence.
fn first_address(text: &str) -> Option<IpAddr> {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    text.split(|c| !is_part(c)).filter(|word| word.len() >= 3).find_map(|word| {
        let word = word.trim_matches(|c| c == '.');
        word.parse().ok().or_else(|| word.trim_end_matches(':').parse().ok())
    })
}

/// `ip=203.0.113.7` on a line of its own.
fn traced(text: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| line.strip_prefix("ip=")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    //! Addresses are found in what echoes answer.

    use super::{first_address, traced};

    #[test]
    fn an_address_is_found_in_whatever_an_echo_says() {
        for (text, address) in [
            ("203.0.113.7\n", Some("203.0.113.7")),
            ("{\"origin\": \"203.0.113.7\"}", Some("203.0.113.7")),
            ("{\"ip\":\"2001:db8::7\",\"n\":1}", Some("2001:db8::7")),
            ("<p>Your address is 203.0.113.7.</p>", Some("203.0.113.7")),
            ("version 1.2.3, decade 99:99", None),
            ("", None),
        ] {
            let found = first_address(text).map(|ip| ip.to_string());
            assert_eq!(found.as_deref(), address, "{text}");
        }
    }

    #[test]
    fn a_trace_page_names_the_address() {
        let page = "fl=1f2\nh=api.example.com\nip=203.0.113.7\nts=1764000000.1\n";
        assert_eq!(traced(page).map(|ip| ip.to_string()).as_deref(), Some("203.0.113.7"));
        assert_eq!(traced("h=1.2.3.4\n"), None);
    }
}
