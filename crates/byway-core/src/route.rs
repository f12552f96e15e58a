//! Request → provider, and which rule said so.

use std::collections::BTreeMap;
use std::fmt;

use crate::cause::Cause;
use crate::settings::{Provider, Unlisted};

/// The schemes that can be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The port that goes without saying.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Scheme, host and port (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host in lower case, without brackets or a dot at the end.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// The value of `Host`: the port is left out where it goes without saying.
    pub fn authority(&self) -> String {
        let host = &self.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// Hosts that belong to a provider: `api.example.com` or `*.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host, in lower case.
    Exact(String),
    /// Every host below this one (not the host itself), in lower case, without `*.`.
    Below(String),
}

impl HostPattern {
    /// Reads `host` or `*.host`.
    ///
    /// # Errors
    /// Returns `None` for anything that is not a host name or an address.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let is_host = |host: &str| {
            !host.is_empty()
                && host.len() <= 253
                && !host.starts_with('.')
                && !host.ends_with('.')
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
        };
        match lower.strip_prefix("*.") {
            Some(below) => is_host(below).then(|| Self::Below(below.to_owned())),
            None => is_host(&lower).then_some(Self::Exact(lower)),
        }
    }
}

/// What a request asks for, as far as routing may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A host and a port: absolute-form or CONNECT.
    Host(&'a str, u16),
    /// `/to/<provider>/…`
    ProviderByPath(&'a str),
    /// `http://<provider>.localhost/…`
    ProviderByHost(&'a str),
}

/// Which rule chose the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Its name stood in the path.
    Path,
    /// Its name stood in the host.
    Host,
    /// A host that it lists.
    Listed,
    /// Nobody lists the host.
    Unlisted,
}

impl Rule {
    /// The rule in a word, for the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Host => "host",
            Self::Listed => "listed",
            Self::Unlisted => "unlisted",
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Index into the providers of the settings; `None` for an observed one.
    pub provider: Option<usize>,
    /// Why.
    pub rule: Rule,
}

/// The providers, compiled for look-up.
#[derive(Debug)]
pub struct RouteTable {
    by_name: BTreeMap<String, usize>,
    /// Hosts of providers' own origins, by port: two providers may be ports of one machine.
    origins: BTreeMap<String, Vec<(u16, usize)>>,
    exact: BTreeMap<String, usize>,
    below: BTreeMap<String, usize>,
    unlisted: Unlisted,
}

/// No host name is longer (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

impl RouteTable {
    /// Compiles the providers. A host listed twice belongs to the provider whose own port it is,
    /// otherwise to the first that lists it.
    pub fn new(providers: &[Provider], unlisted: Unlisted) -> Self {
        let (mut by_name, mut exact, mut below) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut origins: BTreeMap<String, Vec<(u16, usize)>> = BTreeMap::new();
        for (index, provider) in providers.iter().enumerate() {
            by_name.insert(provider.name.as_str().to_owned(), index);
            if let Some(origin) = &provider.origin {
                exact.entry(origin.host.clone()).or_insert(index);
                origins.entry(origin.host.clone()).or_default().push((origin.port, index));
            }
            for pattern in &provider.hosts {
                match pattern {
                    HostPattern::Exact(host) => exact.entry(host.clone()).or_insert(index),
                    HostPattern::Below(host) => below.entry(host.clone()).or_insert(index),
                };
            }
        }
        Self { by_name, origins, exact, below, unlisted }
    }

    /// Finds the provider.
    ///
    /// # Errors
    /// [`Cause::ProviderUnknown`] and [`Cause::HostUnlisted`].
    pub fn route(&self, asked: Asked<'_>) -> Result<Route, Cause> {
        let named = |name: &str, rule| {
            let provider = self.by_name.get(name).copied();
            provider
                .map(|index| Route { provider: Some(index), rule })
                .ok_or(Cause::ProviderUnknown)
        };
        match asked {
            Asked::ProviderByPath(name) => named(name, Rule::Path),
            Asked::ProviderByHost(name) => named(name, Rule::Host),
            Asked::Host(host, port) => match (self.listed(host, port), self.unlisted) {
                (Some(index), _) => Ok(Route { provider: Some(index), rule: Rule::Listed }),
                (None, Unlisted::Observe) => Ok(Route { provider: None, rule: Rule::Unlisted }),
                (None, Unlisted::Refuse) => Err(Cause::HostUnlisted),
            },
        }
    }

    /// The most specific wins: host and port, the host itself, then the longest suffix.
    fn listed(&self, host: &str, port: u16) -> Option<usize> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        let mut lower = [0; HOST_BYTES_MAX];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        let host = std::str::from_utf8(lower).ok()?;
        let ports = self.origins.get(host).map(Vec::as_slice).unwrap_or_default();
        if let Some(&(_, index)) = ports.iter().find(|(at, _)| *at == port) {
            return Some(index);
        }
        if let Some(&index) = self.exact.get(host) {
            return Some(index);
        }
        let mut rest = host;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(&index) = self.below.get(suffix) {
                return Some(index);
            }
            rest = suffix;
        }
        None
    }
}
