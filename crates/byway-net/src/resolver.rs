//! Names to addresses: one family at a time, cached by TTL, with failures kept apart.
//!
//! `localhost` never leaves this machine (RFC 6761 §6.3). The hosts file comes before the name
//! servers; a name found there is not asked for in the other family either. Search domains are
//! tried by the system's rule (`resolv.conf`), and only a name that does not exist moves on to
//! the next one, so that a failing server is never reported as a missing name.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::destination::{HostKind, host_kind};
use byway_core::settings::Dns;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use tokio::time::timeout;

use crate::dial::DialFailure;
use crate::race::is_files_exhausted;

/// How long an answer of one family waits for the other (RFC 8305 §3).
pub(crate) const OTHER_FAMILY_DELAY: Duration = Duration::from_millis(50);
/// Names that do not exist are remembered at most this long: somebody may be about to create one.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(30);
/// Answers kept per worker.
const N_ANSWERS_MAX: u64 = 4096;
/// Nobody needs more addresses of one family; an answer may carry hundreds.
const N_ADDRESSES_MAX: usize = 16;

/// Resolves names for one worker; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    dns: TokioResolver,
    hosts: Arc<Hosts>,
    /// Tried in this order after (or, for short names, before) the name itself.
    search: Arc<[Name]>,
    ndots: usize,
}

/// Why no resolver could be made.
#[derive(Debug)]
pub struct ResolverError(NetError);

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Why a name has no address of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DnsFailure {
    /// No such name.
    Nx,
    /// The name exists, without an address of this family.
    NoData,
    /// A server says that it failed, or something that is no answer; in its words.
    Servfail(String),
    /// No server answered.
    Timeout,
    /// We could not ask: no file descriptor is free.
    Files,
}

impl Resolver {
    /// Makes a resolver on the running Tokio runtime.
    ///
    /// Without configured servers it reads the system's configuration, once; like the C library,
    /// it falls back to a server on this machine if there is none.
    ///
    /// # Errors
    /// [`ResolverError`] if the configuration cannot be used.
    pub fn new(dns: &Dns) -> Result<Self, ResolverError> {
        let (config, mut options) = match dns.servers.as_slice() {
            [] => hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|_| {
                let here = server(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53));
                (ResolverConfig::from_name_servers(vec![here]), ResolverOpts::default())
            }),
            servers => {
                let servers = servers.iter().map(|&addr| server(addr)).collect();
                (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
            }
        };
        options.timeout = dns.timeout;
        options.attempts = 1;
        options.cache_size = N_ANSWERS_MAX;
        options.positive_max_ttl = Some(dns.ttl_max);
        options.negative_max_ttl = Some(dns.ttl_max.min(NEGATIVE_TTL_MAX));
        options.use_hosts_file = ResolveHosts::Never;
        let search = config.search().iter().chain(config.domain()).cloned();
        let search: Vec<Name> = search.filter(|name| !name.is_root()).collect();
        let ndots = options.ndots;
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        Ok(Self {
            dns: builder.build().map_err(ResolverError)?,
            hosts: Arc::new(Hosts::from_system().unwrap_or_default()),
            search: search.into(),
            ndots,
        })
    }

    /// The addresses of a name in one family; never an empty list.
    ///
    /// Cancel safe: dropping it gives up the answer and nothing else.
    pub(crate) async fn lookup(
        &self,
        host: &str,
        family: Family,
    ) -> Result<Vec<IpAddr>, DnsFailure> {
        if is_localhost(host) {
            return Ok(vec![match family {
                Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
                Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
            }]);
        }
        let name = Name::from_ascii(host).map_err(|_| DnsFailure::Nx)?;
        if let Some(found) = self.lookup_in_hosts(&name, family) {
            return found;
        }
        let mut failure = DnsFailure::Nx;
        for name in self.candidates(name) {
            match self.ask(name, family).await {
                Err(DnsFailure::Nx) => {}
                Err(DnsFailure::NoData) => failure = DnsFailure::NoData,
                result => return result,
            }
        }
        Err(failure)
    }

    /// Whether the name servers answer for this name at all; that there is no such name is an
    /// answer, too. Addresses and names of this machine are nothing to ask about: `None`. Cancel safe.
    pub async fn is_answered(&self, host: &str) -> Option<bool> {
        let is_asked = host_kind(host) == HostKind::Name && !is_localhost(host);
        if !is_asked {
            return None;
        }
        Some(match self.lookup_both(host).await {
            Ok(_) | Err(DnsFailure::Nx | DnsFailure::NoData) => true,
            Err(DnsFailure::Servfail(_) | DnsFailure::Timeout) => false,
            Err(DnsFailure::Files) => return None,
        })
    }

    /// The addresses of a name in both families: what came in time, IPv4 first.
    ///
    /// Cancel safe, as [`Self::lookup`] is.
    pub(crate) async fn lookup_both(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let mut v4 = pin!(self.lookup(host, Family::V4));
        let mut v6 = pin!(self.lookup(host, Family::V6));
        let (v4, v6) = tokio::select! {
            first = &mut v4 => { let second = other(&first, v6).await; (first, second) }
            first = &mut v6 => { let second = other(&first, v4).await; (second, first) }
        };
        match (v4, v6) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(v4), Err(v6)) => Err(v4.worse(v6)),
        }
    }

    /// What the hosts file says, if it knows the name at all.
    fn lookup_in_hosts(
        &self,
        name: &Name,
        family: Family,
    ) -> Option<Result<Vec<IpAddr>, DnsFailure>> {
        let mut name = name.to_lowercase();
        name.set_fqdn(true);
        let find = |kind| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), kind))?;
            Some(found.answers().iter().filter_map(|record| record.data.ip_addr()).collect())
        };
        let (v4, v6): (Option<Vec<IpAddr>>, Option<Vec<IpAddr>>) =
            (find(RecordType::A), find(RecordType::AAAA));
        if v4.is_none() && v6.is_none() {
            return None;
        }
        let found = match family {
            Family::V4 => v4,
            Family::V6 => v6,
        };
        Some(found.filter(|found| !found.is_empty()).ok_or(DnsFailure::NoData))
    }

    /// The names to ask for, in order (`resolv.conf(5)`, `search` and `ndots`).
    fn candidates(&self, name: Name) -> Vec<Name> {
        if name.is_fqdn() {
            return vec![name];
        }
        let searched = |domain| name.clone().append_domain(domain).ok();
        let mut names: Vec<Name> = self.search.iter().filter_map(searched).collect();
        let n_dots = usize::from(name.num_labels()).saturating_sub(1);
        let mut itself = name.clone();
        itself.set_fqdn(true);
        if n_dots >= self.ndots {
            names.insert(0, itself);
        } else {
            names.push(itself);
        }
        names
    }

    async fn ask(&self, name: Name, family: Family) -> Result<Vec<IpAddr>, DnsFailure> {
        let kind = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let found = self.dns.lookup(name, kind).await.map_err(|err| DnsFailure::of(&err))?;
        let addresses = found.answers().iter().filter_map(|record| record.data.ip_addr());
        let addresses: Vec<IpAddr> = addresses.take(N_ADDRESSES_MAX).collect();
        if addresses.is_empty() { Err(DnsFailure::NoData) } else { Ok(addresses) }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("search", &self.search).finish_non_exhaustive()
    }
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot set up name resolution")
    }
}

impl std::error::Error for ResolverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl DnsFailure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign, open enums")]
    fn of(err: &NetError) -> Self {
        match err {
            NetError::Timeout => Self::Timeout,
            NetError::Io(err) if is_files_exhausted(err) => Self::Files,
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => Self::Nx,
                ResponseCode::NoError => Self::NoData,
                code => Self::Servfail(format!("the name server answered `{code}`")),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => {
                Self::Servfail(format!("the name server answered `{code}`"))
            }
            other => Self::Servfail(other.to_string()),
        }
    }

    /// What to report when neither family has an address: that a name does not exist is true of
    /// both; otherwise a failure hides whatever the other family would have said.
    pub(crate) fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Files, _) | (_, Self::Files) => Self::Files,
            (Self::Nx, _) | (_, Self::Nx) => Self::Nx,
            (Self::NoData, failure) | (failure, Self::NoData) => failure,
            (failure @ Self::Servfail(_), _) | (_, failure @ Self::Servfail(_)) => failure,
            (Self::Timeout, Self::Timeout) => Self::Timeout,
        }
    }

    pub(crate) fn into_dial_failure(self, host: &str) -> DialFailure {
        match self {
            Self::Nx => DialFailure::new(Cause::DnsNx, format!("`{host}` does not exist")),
            Self::NoData => {
                DialFailure::new(Cause::DnsNx, format!("`{host}` exists but has no address"))
            }
            Self::Servfail(why) => {
                DialFailure::new(Cause::DnsServfail, format!("cannot resolve `{host}`: {why}"))
            }
            Self::Timeout => DialFailure::new(
                Cause::DnsTimeout,
                format!("no name server answered about `{host}` in time"),
            ),
            Self::Files => DialFailure::new(
                Cause::FilesExhausted,
                format!("cannot resolve `{host}`: no file descriptor is free"),
            ),
        }
    }
}

/// `localhost` and everything below it.
pub(crate) fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    last.eq_ignore_ascii_case("localhost")
}

/// Waits for the second family: as long as it takes if the first has nothing, else for a moment.
async fn other<T>(
    first: &Result<T, DnsFailure>,
    second: impl Future<Output = Result<T, DnsFailure>>,
) -> Result<T, DnsFailure> {
    if first.is_err() {
        return second.await;
    }
    timeout(OTHER_FAMILY_DELAY, second).await.unwrap_or(Err(DnsFailure::Timeout))
}

fn server(addr: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(addr.ip());
    for connection in &mut config.connections {
        connection.port = addr.port();
    }
    config
}

#[cfg(test)]
mod tests;
