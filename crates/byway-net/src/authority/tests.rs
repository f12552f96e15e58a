//! An authority speaks for the hosts that it was made for, and clients hold it to that.

use std::sync::Arc;

use byway_core::route::HostPattern;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::Authority;
use crate::tls::crypto;

fn now() -> Timestamp {
    // The client below checks dates against the real clock.
    #[expect(clippy::disallowed_methods, reason = "certificates are checked against it")]
    Timestamp::now()
}

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    names.iter().map(|name| HostPattern::parse(name).unwrap()).collect()
}

fn made(names: &[&str]) -> (Authority, Vec<u8>) {
    let made = Authority::make(&hosts(names), "test", now()).unwrap();
    let pem = made.certificate_pem.into_bytes();
    (Authority::load(&pem, made.key_pem.as_bytes()).unwrap(), pem)
}

/// Whether a client that trusts the authority accepts its server for this host.
async fn is_accepted(authority: &Authority, pem: &[u8], host: &str) -> Result<(), String> {
    let acceptor = authority.server(host, now()).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    crate::tls::add_roots(&mut roots, pem).unwrap();
    let config = ClientConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let (ours, theirs) = tokio::io::duplex(65_536);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let (server, client) = tokio::join!(acceptor.accept(theirs), connector.connect(name, ours));
    drop(server);
    client.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn it_speaks_for_its_hosts() {
    let (authority, pem) = made(&["api.example.com", "*.example.org", "203.0.113.7"]);
    for host in ["api.example.com", "a.example.org", "a.b.example.org", "203.0.113.7"] {
        assert_eq!(is_accepted(&authority, &pem, host).await, Ok(()), "{host}");
    }
    for host in ["example.com", "www.example.com", "example.org", "badexample.org", "203.0.113.8"] {
        assert!(!authority.covers(host), "{host}");
        assert!(is_accepted(&authority, &pem, host).await.is_err(), "{host}");
    }
}

/// The same key with another list: what somebody could do who has stolen it.
#[tokio::test]
async fn a_stolen_key_speaks_for_nobody_else() {
    let made = Authority::make(&hosts(&["api.example.com"]), "test", now()).unwrap();
    let widened = made
        .certificate_pem
        .replace("covers: api.example.com", "covers: api.example.com bank.example 203.0.113.9");
    let thief = Authority::load(widened.as_bytes(), made.key_pem.as_bytes()).unwrap();
    let pem = made.certificate_pem.into_bytes();
    for host in ["bank.example", "203.0.113.9"] {
        assert!(thief.covers(host));
        let refused = is_accepted(&thief, &pem, host).await.unwrap_err();
        assert!(refused.contains("NameConstraint") || refused.contains("invalid"), "{refused}");
    }
}

#[test]
fn what_was_not_made_here_is_not_loaded() {
    let made = Authority::make(&hosts(&["a.example"]), "test", now()).unwrap();
    let foreign: String = made
        .certificate_pem
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    let load = |pem: &str, key: &str| Authority::load(pem.as_bytes(), key.as_bytes()).err();
    assert!(load(&foreign, &made.key_pem).is_some());
    assert!(load(&made.certificate_pem, "no key").is_some());
    assert!(load("", &made.key_pem).is_some());
    assert!(load(&made.certificate_pem, &made.key_pem).is_none());
}

#[test]
fn certificates_are_renewed_before_they_end() {
    let (authority, _) = made(&["a.example"]);
    let day = std::time::Duration::from_secs(24 * 3600);
    let first = now();
    let end_of = |authority: &Authority| authority.servers.lock().unwrap()["a.example"].0;
    authority.server("a.example", first).unwrap();
    let end = end_of(&authority);
    authority.server("a.example", byway_core::time::after(first, day)).unwrap();
    assert_eq!(end_of(&authority), end);
    authority.server("a.example", byway_core::time::after(first, 6 * day)).unwrap();
    assert!(end_of(&authority) > end);
}
