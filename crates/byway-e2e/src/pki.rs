//! Certificates for tests.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority that signs for these tests.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Identity {
    /// PEM.
    pub chain_pem: String,
    /// PEM.
    pub key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A fresh authority.
    ///
    /// # Panics
    /// If keys cannot be made.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // OpenSSL takes a certificate whose subject is its issuer's for self-signed.
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// A certificate for these names and addresses.
    ///
    /// # Panics
    /// If keys cannot be made.
    pub fn issue(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "test identity");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key: key.serialize_der(),
        }
    }

    /// A client that trusts this authority, with an identity of its own or without.
    ///
    /// # Panics
    /// If the identity does not fit.
    pub fn client(&self, identity: Option<&Identity>) -> Arc<rustls::ClientConfig> {
        let builder = trusting(self.der.clone());
        Arc::new(match identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key())
                .expect("an identity"),
            None => builder.with_no_client_auth(),
        })
    }
}

/// A client that trusts the authority in a file.
///
/// # Panics
/// If there is none.
pub fn client_trusting(file: &Path) -> Arc<rustls::ClientConfig> {
    let root = CertificateDer::from_pem_file(file).expect("a certificate");
    Arc::new(trusting(root).with_no_client_auth())
}

fn trusting(
    root: CertificateDer<'static>,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).expect("a root");
    rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
}

impl Identity {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    /// A server with this identity.
    ///
    /// # Panics
    /// If the key does not fit.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key())
            .expect("an identity");
        Arc::new(config)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
