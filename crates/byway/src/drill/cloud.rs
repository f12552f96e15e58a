//! The relays of a drill: the real relay's code behind a simulated API Gateway that does everything
//! to a request that the real one is documented to do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use byway_core::destination::Network;
use byway_drill::platform::{Asked, Front, Function, Platform, Told};
use byway_drill::scenario::{Scenario, Way, WayKind};
use byway_relay::config::{Config, Destination, Key};
use byway_relay::{Relay, event};
use tokio::runtime::Handle;

use crate::relay;

/// Everything that runs in the cloud of a drill; ends when it is dropped.
pub(crate) struct Cloud {
    /// The key that the gateway signs with.
    pub(crate) key_pem: String,
    fronts: Vec<(String, Platform)>,
}

impl Cloud {
    /// Starts a relay for each way out that is one; it may reach the providers.
    ///
    /// # Errors
    /// If there is no socket, or no key.
    pub(crate) fn start(scenario: &Scenario, providers: &[SocketAddr]) -> anyhow::Result<Self> {
        let (key_pem, public) = relay::pair()?;
        let lambdas = scenario.paths.iter().filter(|way| way.kind == WayKind::Lambda);
        let fronts = lambdas.map(|way| front(way, providers, &public));
        Ok(Self { key_pem, fronts: fronts.collect::<anyhow::Result<_>>()? })
    }

    /// Where each is reached.
    pub(crate) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.fronts.iter().map(|(name, front)| (name.clone(), front.addr)).collect()
    }
}

fn front(way: &Way, providers: &[SocketAddr], public: &[u8]) -> anyhow::Result<(String, Platform)> {
    let allow = providers.iter().map(|addr| Destination::parse(&addr.to_string()));
    let networks = "127.0.0.0/8".parse::<Network>().map_err(anyhow::Error::msg)?;
    let key = Key { public: public.to_vec(), until: None };
    let config = Config {
        id: way.name.clone(),
        allow: allow.collect::<anyhow::Result<_>>()?,
        networks: vec![networks],
        keys: BTreeMap::from([("k1".to_owned(), key)]),
        exit: Some(way.source.into()),
        source: Some(way.source.into()),
        replay_accepted: None,
        roots_pem: Vec::new(),
        dns: Vec::new(),
    };
    let relay = Arc::new(Relay::new(config)?);
    // The front has threads of its own; what the relay waits for is driven by the drill's runtime.
    let runtime = Handle::current();
    let front = Front::HttpApi;
    let function: Function = Arc::new(move |event| {
        Told::Whole(runtime.block_on(event::handle(&relay, &event, Some(front.timeout()))))
    });
    Ok((way.name.clone(), Platform::start(front, function, anybody)?))
}

fn anybody(_: &Asked) -> bool {
    true
}
