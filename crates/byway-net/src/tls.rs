//! TLS towards providers: roots, our identity, and handshake failures in words.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::destination::{HostKind, host_kind};
use byway_core::settings::ProviderTls;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dial::DialFailure;

/// TLS towards one provider; clones share sessions, so that every worker can resume them.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    has_roots: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSetupError(String);

impl TlsSetupError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for TlsSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsSetupError {}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("has_roots", &self.has_roots).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Makes a client that trusts the platform's roots, `shared_roots_pem` and the provider's own.
    ///
    /// The platform's roots are read once per process; the first call may take milliseconds.
    ///
    /// # Errors
    /// [`TlsSetupError`] if a bundle holds no certificate, or the identity cannot be used.
    pub fn new(shared_roots_pem: &[Vec<u8>], tls: &ProviderTls) -> Result<Self, TlsSetupError> {
        let mut roots = Arc::clone(platform_roots());
        for pem in shared_roots_pem.iter().chain(&tls.roots_pem) {
            add_roots(Arc::make_mut(&mut roots), pem)?;
        }
        let has_roots = !roots.is_empty();
        let builder = ClientConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(|err| TlsSetupError::new(format!("cannot set up TLS: {err}")))?
            .with_root_certificates(roots);
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((chain_pem, key_pem)) => {
                let (chain, key) = identity(chain_pem, key_pem.reveal())?;
                builder.with_client_auth_cert(chain, key).map_err(|err| {
                    TlsSetupError::new(format!("the client certificate cannot be used: {err}"))
                })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), has_roots })
    }

    /// Handshakes over a connection that stands.
    ///
    /// Cancel safe: dropping it closes the connection.
    pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        below: S,
        host: &str,
        peer: SocketAddr,
        limit: Duration,
    ) -> Result<Box<TlsStream<S>>, DialFailure> {
        let fail = |cause, why: String| {
            DialFailure::at(cause, format!("TLS with `{host}` ({peer}): {why}"), peer)
        };
        let bare = host.strip_suffix('.').unwrap_or(host);
        let name = match host_kind(bare) {
            HostKind::Address(ip) => ServerName::from(ip),
            HostKind::Name | HostKind::NotAnAddress => ServerName::try_from(bare.to_owned())
                .map_err(|_| fail(Cause::TlsCert, "no certificate can have this name".into()))?,
        };
        match timeout(limit, self.connector.connect(name, below)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(err)) => {
                let (cause, why) = self.judge(&err);
                Err(fail(cause, why))
            }
            Err(_) => Err(fail(Cause::TlsTimeout, "the handshake took too long".into())),
        }
    }

    fn judge(&self, err: &io::Error) -> (Cause, String) {
        let Some(tls) = tls_error(err) else {
            #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, open enum")]
            return match err.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => {
                    (Cause::TlsClosed, "the connection was closed during the handshake".into())
                }
                _ => (Cause::TlsProtocol, err.to_string()),
            };
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, open enum")]
        match tls {
            rustls::Error::InvalidCertificate(why) => (Cause::TlsCert, self.describe(why)),
            rustls::Error::NoCertificatesPresented => {
                (Cause::TlsCert, "the server showed no certificate".into())
            }
            rustls::Error::AlertReceived(alert) => {
                (Cause::TlsAlert, format!("the server sent the alert `{alert:?}`"))
            }
            rustls::Error::InvalidMessage(_) => {
                (Cause::TlsProtocol, "the server does not speak TLS on this port".into())
            }
            other => (Cause::TlsProtocol, other.to_string()),
        }
    }

    fn describe(&self, why: &CertificateError) -> String {
        use CertificateError as E;
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, open enum")]
        match why {
            E::Expired | E::ExpiredContext { .. } => "the certificate has expired".into(),
            E::NotValidYet | E::NotValidYetContext { .. } => {
                "the certificate is not valid yet".into()
            }
            E::NotValidForNameContext { presented, .. } => {
                let names: Vec<&str> = presented.iter().map(String::as_str).take(5).collect();
                format!("the certificate is for another name ({})", names.join(", "))
            }
            E::NotValidForName => "the certificate is for another name".into(),
            E::UnknownIssuer if !self.has_roots => {
                "no trusted roots are installed on this machine, and none are configured".into()
            }
            E::UnknownIssuer => "the certificate's issuer is not trusted".into(),
            E::Revoked => "the certificate was revoked".into(),
            E::BadSignature => "the certificate's signature is wrong".into(),
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
                "the certificate is not meant for a server".into()
            }
            other => format!("the certificate is not valid: {other}"),
        }
    }
}

/// The algorithms, chosen explicitly: a process-wide default would be a global that others can set.
pub(crate) fn crypto() -> Arc<CryptoProvider> {
    static CRYPTO: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(CRYPTO.get_or_init(|| Arc::new(ring::default_provider())))
}

fn platform_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // A root that cannot be read or parsed is as good as one that is not installed.
        let _counts =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    })
}

/// Adds every certificate of a bundle.
pub(crate) fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsSetupError> {
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|err| TlsSetupError::new(format!("a trusted root cannot be used: {err}")))?;
    }
    Ok(())
}

/// A chain and its key.
pub(crate) fn identity(
    chain_pem: &[u8],
    key_pem: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsSetupError> {
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|_| TlsSetupError::new("no private key in the PEM file of the key"))?;
    Ok((certificates(chain_pem)?, key))
}

/// Every certificate of a bundle.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsSetupError::new("no certificate in the PEM file")),
        Err(err) => Err(TlsSetupError::new(format!("the PEM file is damaged: {err}"))),
    }
}

fn tls_error(err: &io::Error) -> Option<&rustls::Error> {
    let inner = err.get_ref()?;
    inner.downcast_ref().or_else(|| inner.source()?.downcast_ref())
}

#[cfg(test)]
mod tests;
