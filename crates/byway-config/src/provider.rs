//! `[provider.NAME]`: who is called, and how.

use std::collections::BTreeMap;

use byway_core::destination::{HostKind, Network, host_kind, may_reach};
use byway_core::id::{PathName, ProviderName};
use byway_core::route::{HostPattern, Origin};
use byway_core::settings::{Deadlines, Provider, ProviderTls, Settings};
use toml::Spanned;
use toml::de::DeValue;

use crate::section::{Reading, Section, Value};
use crate::tables::deadlines;
use crate::{policy, suggest, url};

/// More ways out than anybody has; it bounds what one request may cost.
const N_PATHS_MAX: usize = 6;

/// A host of a provider and where it stands.
type Hosts = Vec<Spanned<HostPattern>>;

pub(crate) fn read(reading: &mut Reading<'_>, root: &mut Section<'_>, settings: &mut Settings) {
    let paths: Vec<PathName> = settings.paths.iter().map(|path| path.name.clone()).collect();
    // Names of paths that are wrong themselves count as known: one mistake, one problem.
    let tables = root.named_tables(reading, "provider", "provider.NAME");
    let written = root.names_below("path");
    let mut all_hosts = Vec::new();
    for (name, section) in tables {
        let checked = ProviderName::new(name.get_ref());
        match &checked {
            Err(err) => reading.problem(name.span(), err.to_string()),
            Ok(checked) if *checked == ProviderName::observed() => {
                let message = "`observed` stands for hosts that no provider lists";
                reading.problem(name.span(), message);
            }
            Ok(_) => {}
        }
        let known = Known { paths: &paths, written: &written, deadlines: settings.deadlines };
        let (hosts, provider) = provider(reading, section, &known);
        all_hosts.push((*name.get_ref(), provider.as_ref().and_then(|p| p.origin.clone()), hosts));
        if let (Ok(name), Some(mut provider)) = (checked, provider) {
            provider.name = name;
            settings.providers.push(provider);
        }
    }
    twice_listed(reading, &all_hosts);
}

/// What a provider may refer to.
struct Known<'a> {
    paths: &'a [PathName],
    written: &'a [String],
    deadlines: Deadlines,
}

fn provider(
    reading: &mut Reading<'_>,
    mut section: Section<'_>,
    known: &Known<'_>,
) -> (Hosts, Option<Provider>) {
    let url = section.get("url");
    let origin = url.and_then(|value| origin(reading, value));
    let hosts = match section.entry("hosts") {
        Some((_, value)) => reading.list(value, host),
        None => Vec::new(),
    };
    if url.is_none() && !section.has("hosts") {
        let hint = "add `url = \"https://api.example.com\"`, or `hosts` for a provider \
                    that is only reached as a proxy target"
            .to_owned();
        reading.problem_with_hint(section.span.clone(), "a provider needs `url` or `hosts`", hint);
    } else if url.is_none() && hosts.is_empty() && section.has_empty_array("hosts") {
        reading.problem(section.span.clone(), "a provider needs `url` or at least one host");
    }
    let paths = match section.get("paths") {
        Some(value) => paths(reading, value, known),
        None => vec![PathName::direct()],
    };
    let allow = allow(reading, &mut section);
    if let (Some(origin), Some(value)) = (&origin, url) {
        reachable(reading, value, origin, &allow);
    }
    let deadlines = match section.table(reading, "deadlines", "provider.NAME.deadlines") {
        Some(section) => deadlines(reading, section, known.deadlines),
        None => known.deadlines,
    };
    let tls = match section.table(reading, "tls", "provider.NAME.tls") {
        Some(section) => tls(reading, section),
        None => Some(ProviderTls::default()),
    };
    let policy = policy::read(reading, &mut section);
    policy::check_ceilings(reading, &mut section, &policy);
    let routes = policy::routes(reading, &mut section);
    let affects = policy::words(reading, &mut section, "affects");
    let mut intercept = false;
    if let Some(value) = section.get("intercept") {
        intercept = reading.boolean(value).unwrap_or_default();
    }
    section.finish(reading);
    let patterns = hosts.iter().map(|host| host.get_ref().clone()).collect();
    let provider = tls.map(|tls| Provider {
        name: ProviderName::observed(),
        origin,
        hosts: patterns,
        paths,
        deadlines,
        allow,
        tls,
        policy,
        routes,
        affects,
        intercept,
    });
    (hosts, provider)
}

fn origin(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<Origin> {
    let text = reading.string(value)?;
    match url::origin(text.get_ref()) {
        Ok(origin) => Some(origin),
        Err(wrong) => {
            let span = reading.part(&text, wrong.part);
            reading.problem_with_hint(span, wrong.message, wrong.hint);
            None
        }
    }
}

fn host(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<Spanned<HostPattern>> {
    let text = reading.string(value)?;
    let pattern = HostPattern::parse(text.get_ref()).filter(|pattern| match pattern {
        HostPattern::Exact(host) => !host.contains(':') || host_kind(host) != HostKind::Name,
        HostPattern::Below(host) => !host.contains(':'),
    });
    if let Some(pattern) = pattern {
        return Some(Spanned::new(text.span(), pattern));
    }
    let hint = "write it without scheme, port and path: \"api.example.com\" or \"*.example.com\"";
    reading.problem_with_hint(text.span(), "this is not a host", hint.to_owned());
    None
}

fn paths(reading: &mut Reading<'_>, value: &Value<'_>, known: &Known<'_>) -> Vec<PathName> {
    let mut names: Vec<PathName> = Vec::new();
    let is_empty = matches!(value.get_ref(), DeValue::Array(array) if array.is_empty());
    for text in reading.list(value, Reading::string) {
        let found = known.paths.iter().find(|path| path.as_str() == *text.get_ref());
        match found {
            Some(name) if names.contains(name) => {
                reading.problem(text.span(), "this path is listed already");
            }
            Some(name) => names.push(name.clone()),
            None if known.written.iter().any(|path| path == text.get_ref()) => {}
            None => {
                let shown: Vec<&str> = known.paths.iter().map(PathName::as_str).collect();
                let hint = suggest::hint(text.get_ref(), &shown);
                reading.problem_with_hint(text.span(), "no such path is defined", hint);
            }
        }
    }
    if names.len() > N_PATHS_MAX {
        let message = format!("a provider has at most {N_PATHS_MAX} paths");
        reading.problem(value.span(), message);
    }
    if is_empty {
        let hint = "leave `paths` out for `[\"direct\"]`".to_owned();
        reading.problem_with_hint(value.span(), "a provider needs at least one path", hint);
    }
    names
}

fn allow(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Vec<Network> {
    let mut allow = Vec::new();
    if let Some(value) = section.get("allow_private")
        && reading.boolean(value) == Some(true)
    {
        allow.extend(Network::PRIVATE);
    }
    if let Some(value) = section.get("allow") {
        allow.extend(reading.list(value, Reading::network));
    }
    allow
}

/// A provider whose very address would be refused is a mistake that can be seen now.
fn reachable(reading: &mut Reading<'_>, value: &Value<'_>, origin: &Origin, allow: &[Network]) {
    let HostKind::Address(ip) = host_kind(&origin.host) else { return };
    if let Err(class) = may_reach(ip, allow) {
        let message = format!("this is a {class} address, which requests may not reach");
        let hint = if Network::PRIVATE.iter().any(|network| network.contains(ip)) {
            "write `allow_private = true` if the provider is on a network of yours".to_owned()
        } else {
            format!("write `allow = [\"{ip}\"]` if you mean it")
        };
        reading.problem_with_hint(value.span(), message, hint);
    }
}

pub(crate) fn tls(reading: &mut Reading<'_>, mut section: Section<'_>) -> Option<ProviderTls> {
    let n_before = reading.found.len();
    let roots_pem = match section.get("roots") {
        Some(value) => reading.list(value, Reading::certificates),
        None => Vec::new(),
    };
    let certificate = section.entry("certificate");
    let key = section.entry("key");
    section.finish(reading);
    match (&certificate, &key) {
        (Some((span, _)), None) => reading.problem(span.clone(), "`certificate` needs a `key`"),
        (None, Some((span, _))) => reading.problem(span.clone(), "`key` needs a `certificate`"),
        _ => {}
    }
    let chain = certificate.and_then(|(_, value)| reading.certificates(value));
    let key = key.and_then(|(_, value)| reading.private_key(value));
    let identity = chain.zip(key);
    (reading.found.len() == n_before).then_some(ProviderTls { roots_pem, identity })
}

/// A host belongs to one provider.
///
/// Two providers may share the host of their `url`s, as those with different ports do: they are
/// told apart by name. What is listed in `hosts` is found by host alone.
fn twice_listed(reading: &mut Reading<'_>, all: &[(&str, Option<Origin>, Hosts)]) {
    let mut owners: BTreeMap<HostPattern, &str> = BTreeMap::new();
    for (name, origin, _) in all {
        if let Some(origin) = origin {
            owners.entry(HostPattern::Exact(origin.host.clone())).or_insert(name);
        }
    }
    for (name, _, hosts) in all {
        for host in hosts {
            let owner = *owners.entry(host.get_ref().clone()).or_insert(name);
            if owner != *name {
                let message = format!("this host belongs to the provider `{owner}` already");
                reading.problem(host.span(), message);
            }
        }
    }
}
