//! TLS towards callers.

use std::fmt;
use std::sync::Arc;

use byway_core::settings::ListenerTls;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::tls::{TlsSetupError, add_roots, crypto, identity};

/// TLS towards the callers of one listener.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// Makes a server that shows the listener's certificate, and asks for the caller's if the
    /// listener names authorities for those.
    ///
    /// # Errors
    /// [`TlsSetupError`] if a certificate or the key cannot be used.
    pub fn new(tls: &ListenerTls) -> Result<Self, TlsSetupError> {
        let builder = ServerConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(|err| TlsSetupError::new(format!("cannot set up TLS: {err}")))?;
        let builder = match &tls.client_roots_pem {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, pem)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto());
                builder.with_client_cert_verifier(verifier.build().map_err(|err| {
                    TlsSetupError::new(format!("the client authorities cannot be used: {err}"))
                })?)
            }
        };
        let (chain, key) = identity(&tls.chain_pem, tls.key_pem.reveal())?;
        let mut config = builder.with_single_cert(chain, key).map_err(|err| {
            TlsSetupError::new(format!("the listener's certificate cannot be used: {err}"))
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// The acceptor for connections of this listener.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}
