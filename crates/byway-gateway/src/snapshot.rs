//! One version of the settings, compiled for the data plane.
//!
//! A request keeps the snapshot it started with, so a reload never changes a request under way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use byway_core::choose::{self, PathView, Plan};
use byway_core::classify::Signatures;
use byway_core::destination::Network;
use byway_core::failover::Permission;
use byway_core::freshness::RouteCache;
use byway_core::id::{PathName, ProviderName};
use byway_core::policy::{OnBlock, Policy, Probing};
use byway_core::relay::Asked;
use byway_core::route::{Origin, RouteTable};
use byway_core::secret::Secret;
use byway_core::settings::{
    Deadlines, PathKind, Provider, ProviderRoute, ProviderTls, ProxyHop, Settings,
};
use byway_net::{Authority, HopClient, PlatformLocks, TlsClient, TlsSetupError};
use byway_wire::request::Limits;
use jiff::Timestamp;

use crate::court::{Court, Courts};
use crate::metrics::{Metrics, PathMetrics};

/// How long a path whose own way out failed is left alone, unless nothing else is left.
const BROKEN_FOR: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// Settings, compiled.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts reloads.
    pub(crate) generation: u64,
    pub(crate) settings: Settings,
    pub(crate) routes: RouteTable,
    pub(crate) providers: Vec<ProviderPlan>,
    pub(crate) observed: ProviderPlan,
    pub(crate) wire_limits: Limits,
    pub(crate) signatures: Signatures,
    /// What opens the tunnels of providers that are marked so.
    pub(crate) authority: Option<Arc<Authority>>,
    /// Where we listen, so that a request to ourselves is recognised.
    pub(crate) own: Arc<[SocketAddr]>,
}

/// What the data plane knows about a provider.
#[derive(Debug)]
pub(crate) struct ProviderPlan {
    pub(crate) name: ProviderName,
    /// Where base-URL requests go.
    pub(crate) base: Option<Base>,
    pub(crate) paths: Vec<PathPlan>,
    pub(crate) tls: TlsClient,
    pub(crate) allow: Vec<Network>,
    pub(crate) deadlines: Deadlines,
    /// Who judges it; nobody if that is switched off, or if there is one judge a host.
    pub(crate) court: Option<Arc<Court>>,
    /// What happens when it refuses us; decides what a stored answer may stand in for.
    pub(crate) on_block: OnBlock,
    /// How long a request may wait for leave.
    pub(crate) wait_max: Duration,
    /// What may be done where nobody judges.
    pub(crate) permission: Permission,
    /// Parts of it, the longest prefix first.
    pub(crate) routes: Vec<RoutePlan>,
    /// What depends on the rest of it.
    pub(crate) affects: Vec<String>,
    /// What its probes ask for, if not what callers asked.
    pub(crate) probing: Probing,
    /// Whether tunnels to it are opened.
    pub(crate) intercept: bool,
    /// Whether any of its paths is a relay, which not every request fits through.
    pub(crate) has_relay: bool,
    /// Whether it asks for a certificate of ours.
    pub(crate) needs_identity: bool,
}

/// What the data plane knows about a part of a provider.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    pub(crate) prefix: Vec<u8>,
    pub(crate) affects: Vec<String>,
    pub(crate) cache: RouteCache,
}

/// A provider's origin, with the strings that every request needs.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) origin: Origin,
    pub(crate) authority: String,
    /// `/to/<provider>`
    pub(crate) path: String,
}

/// What the data plane knows about one path of one provider.
#[derive(Debug)]
pub(crate) struct PathPlan {
    pub(crate) name: PathName,
    pub(crate) kind: PathKind,
    /// TLS and keys towards its own end.
    pub(crate) hop: HopClient,
    /// The address that providers see, where the operator knows it.
    pub(crate) exit: Option<std::net::IpAddr>,
    pub(crate) metrics: Arc<PathMetrics>,
    /// Credentials for plain http through this path's proxy, ready for the header.
    pub(crate) proxy_authorization: Option<Secret>,
    /// Milliseconds since the epoch until which the way out is taken to be broken; shared by all
    /// providers that use the path.
    broken_until: Arc<AtomicI64>,
}

impl PathPlan {
    /// Notes that our own way out failed just now.
    pub(crate) fn set_broken(&self, now: Timestamp) {
        let until = now.saturating_add(BROKEN_FOR).unwrap_or(Timestamp::MAX);
        self.broken_until.store(until.as_millisecond(), Ordering::Relaxed);
    }

    fn view(&self, is_gone_round: bool, asked: &Asked) -> PathView {
        let until = self.broken_until.load(Ordering::Relaxed);
        let broken_until = if until == 0 { None } else { Timestamp::from_millisecond(until).ok() };
        let unfit = self.kind.relay().and_then(|relay| relay.fits(asked).err());
        PathView { broken_until, is_gone_round, unfit }
    }

    /// The proxy of the path, if it has one.
    pub(crate) fn proxy(&self) -> Option<&ProxyHop> {
        match &self.kind {
            PathKind::HttpProxy(hop) | PathKind::Socks5(hop) => Some(hop),
            PathKind::Peer(peer) => Some(&peer.hop),
            PathKind::Direct | PathKind::SourceIp(_) | PathKind::Relay(_) => None,
        }
    }
}

impl ProviderPlan {
    /// Which part of it a target asks for: 0 for the rest of it.
    pub(crate) fn route_of(&self, target: &[u8]) -> usize {
        let found = self.routes.iter().position(|route| target.starts_with(&route.prefix));
        found.map_or(0, |index| index + 1)
    }

    /// A part of it by that number.
    pub(crate) fn route(&self, index: usize) -> Option<&RoutePlan> {
        self.routes.get(index.checked_sub(1)?)
    }

    /// The order in which paths are tried now: `lead` first, without those that are gone round.
    pub(crate) fn choose(
        &self,
        lead: Option<usize>,
        gone_round: u8,
        asked: &Asked,
        now: impl FnOnce() -> Timestamp,
    ) -> Plan {
        let mut views = [PathView::FINE; choose::N_PATHS_MAX];
        let mut any_broken = false;
        for (index, (view, path)) in views.iter_mut().zip(&self.paths).enumerate() {
            *view = path.view(gone_round & (1 << index) != 0, asked);
            any_broken |= view.broken_until.is_some();
        }
        let views = views.get(..self.paths.len().min(views.len())).unwrap_or_default();
        // The clock is read only where the answer depends on it.
        let now = if any_broken { now() } else { Timestamp::UNIX_EPOCH };
        choose::choose(views, lead, now)
    }
}

/// What outlives a snapshot, and is needed to compile one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compiling<'a> {
    pub(crate) metrics: &'a Metrics,
    pub(crate) courts: &'a Courts,
    pub(crate) locks: &'a Arc<dyn PlatformLocks>,
}

impl Snapshot {
    /// Compiles settings.
    ///
    /// # Errors
    /// [`TlsSetupError`] if a certificate or key cannot be used.
    pub(crate) fn compile(
        settings: Settings,
        generation: u64,
        own: Arc<[SocketAddr]>,
        around: &Compiling<'_>,
    ) -> Result<Self, TlsSetupError> {
        let Compiling { metrics, courts, locks } = *around;
        let broken: HashMap<&PathName, Arc<AtomicI64>> =
            settings.paths.iter().map(|path| (&path.name, Arc::default())).collect();
        let hops = settings
            .paths
            .iter()
            .map(|path| Ok((&path.name, HopClient::new(&path.kind, &settings.roots_pem, locks)?)));
        let hops = hops.collect::<Result<HashMap<_, _>, TlsSetupError>>()?;
        let path_plans = |provider: &ProviderName, names: &[PathName]| {
            let known = names.iter().filter_map(|name| {
                let path = settings.paths.iter().find(|path| path.name == *name)?;
                Some(PathPlan {
                    name: name.clone(),
                    kind: path.kind.clone(),
                    hop: hops.get(name).cloned().unwrap_or_default(),
                    exit: path.exit,
                    metrics: metrics.path(provider, name),
                    proxy_authorization: proxy_authorization(&path.kind),
                    broken_until: broken.get(name).map(Arc::clone).unwrap_or_default(),
                })
            });
            known.take(choose::N_PATHS_MAX).collect::<Vec<_>>()
        };
        let mut providers = Vec::new();
        for provider in &settings.providers {
            let paths = path_plans(&provider.name, &provider.paths);
            let court = court(provider, &settings, courts);
            providers.push(provider_plan(&settings, provider, paths, court)?);
        }
        let name = ProviderName::observed();
        let observed = observed(&settings, path_plans(&name, &[PathName::direct()]), name)?;
        let listed: Vec<&str> = settings.providers.iter().map(|p| p.name.as_str()).collect();
        courts.retain(&listed);
        let wire_limits = Limits {
            head_bytes_max: settings.limits.head_bytes_max,
            target_bytes_max: settings.limits.target_bytes_max,
            n_fields_max: settings.limits.n_fields_max,
        };
        let routes = RouteTable::new(&settings.providers, settings.unlisted);
        drop((broken, hops));
        let signatures = Signatures::with(settings.signatures.clone());
        let authority = settings
            .authority
            .as_ref()
            .map(|(certificate, key)| Authority::load(certificate, key.reveal()).map(Arc::new));
        Ok(Self {
            generation,
            authority: authority.transpose()?,
            settings,
            routes,
            providers,
            observed,
            wire_limits,
            signatures,
            own,
        })
    }

    /// The provider of a route.
    pub(crate) fn provider(&self, index: Option<usize>) -> &ProviderPlan {
        index.and_then(|index| self.providers.get(index)).unwrap_or(&self.observed)
    }
}

fn provider_plan(
    settings: &Settings,
    provider: &Provider,
    paths: Vec<PathPlan>,
    court: Option<Arc<Court>>,
) -> Result<ProviderPlan, TlsSetupError> {
    Ok(ProviderPlan {
        name: provider.name.clone(),
        has_relay: paths.iter().any(|path| path.kind.relay().is_some()),
        needs_identity: provider.tls.identity.is_some(),
        base: provider.origin.as_ref().map(|origin| Base {
            origin: origin.clone(),
            authority: origin.authority(),
            path: format!("/to/{}", provider.name),
        }),
        paths,
        tls: TlsClient::new(&settings.roots_pem, &provider.tls)?,
        allow: provider.allow.clone(),
        deadlines: provider.deadlines,
        court,
        on_block: provider.policy.on_block.clone(),
        wait_max: provider.policy.wait_max,
        permission: Permission {
            on_path_failure: provider.policy.on_path_failure,
            ..Permission::NONE
        },
        routes: route_plans(provider),
        affects: provider.affects.clone(),
        probing: provider.policy.probing.clone(),
        intercept: provider.intercept,
    })
}

/// What stands for every host that nobody lists.
fn observed(
    settings: &Settings,
    paths: Vec<PathPlan>,
    name: ProviderName,
) -> Result<ProviderPlan, TlsSetupError> {
    Ok(ProviderPlan {
        paths,
        name,
        base: None,
        tls: TlsClient::new(&settings.roots_pem, &ProviderTls::default())?,
        allow: settings.unlisted_allow.clone(),
        deadlines: settings.deadlines,
        court: None,
        on_block: OnBlock::Alert,
        wait_max: Policy::default().wait_max,
        permission: Permission::NONE,
        routes: Vec::new(),
        affects: Vec::new(),
        probing: Probing::Auto,
        intercept: false,
        has_relay: false,
        needs_identity: false,
    })
}

/// The judge of a provider, unless it is switched off.
fn court(provider: &Provider, settings: &Settings, courts: &Courts) -> Option<Arc<Court>> {
    if !provider.policy.judge {
        return None;
    }
    let known = |name: &PathName| {
        let path = settings.paths.iter().find(|path| path.name == *name)?;
        Some((path.name.to_string(), path.group.clone()))
    };
    let paths: Vec<(String, String)> =
        provider.paths.iter().filter_map(known).take(choose::N_PATHS_MAX).collect();
    let n_routes = provider.routes.len() + 1;
    Some(courts.of(provider.name.as_str(), &provider.policy, &paths, n_routes))
}

fn route_plans(provider: &Provider) -> Vec<RoutePlan> {
    let plan = |route: &ProviderRoute| RoutePlan {
        prefix: route.prefix.clone().into_bytes(),
        affects: route.affects.clone(),
        cache: route.cache,
    };
    let mut plans: Vec<RoutePlan> = provider.routes.iter().map(plan).collect();
    plans.sort_by_key(|plan| std::cmp::Reverse(plan.prefix.len()));
    plans
}

fn proxy_authorization(kind: &PathKind) -> Option<Secret> {
    match kind {
        PathKind::HttpProxy(hop) => hop.credentials.as_ref().map(byway_net::proxy_authorization),
        PathKind::Direct
        | PathKind::SourceIp(_)
        | PathKind::Socks5(_)
        | PathKind::Peer(_)
        | PathKind::Relay(_) => None,
    }
}
