//! What a way out needs besides its settings: TLS to its own end, and keys.

use std::sync::Arc;

use byway_core::settings::PathKind;

use crate::relay::{PlatformLocks, RelayClient};
use crate::tls::{TlsClient, TlsSetupError};

/// What a way out needs besides its settings.
#[derive(Debug, Clone, Default)]
pub struct HopClient {
    tls: Option<TlsClient>,
    relay: Option<Arc<RelayClient>>,
}

impl HopClient {
    /// What the kinds without an end of their own need.
    pub const fn none() -> Self {
        Self { tls: None, relay: None }
    }

    /// Reads certificates and keys of a path; most kinds have none.
    ///
    /// # Errors
    /// [`TlsSetupError`] if one of them cannot be used.
    pub fn new(
        kind: &PathKind,
        shared_roots_pem: &[Vec<u8>],
        locks: &Arc<dyn PlatformLocks>,
    ) -> Result<Self, TlsSetupError> {
        match kind {
            PathKind::Direct
            | PathKind::SourceIp(_)
            | PathKind::HttpProxy(_)
            | PathKind::Socks5(_) => Ok(Self::none()),
            PathKind::Peer(peer) => {
                let tls = Some(TlsClient::new(shared_roots_pem, &peer.tls)?);
                Ok(Self { tls, relay: None })
            }
            PathKind::Relay(hop) => {
                let relay = RelayClient::new(Arc::clone(hop), Arc::clone(locks))?;
                let tls = Some(TlsClient::new(shared_roots_pem, &hop.tls)?);
                Ok(Self { tls, relay: Some(Arc::new(relay)) })
            }
        }
    }

    pub(crate) const fn tls(&self) -> Option<&TlsClient> {
        self.tls.as_ref()
    }

    /// Our side of the relay, if the path is one.
    pub const fn relay(&self) -> Option<&Arc<RelayClient>> {
        self.relay.as_ref()
    }
}
