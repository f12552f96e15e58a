//! Certificates good and bad, and peers that do not speak TLS.

use byway_core::secret::Secret;
use byway_core::settings::{ListenerTls, PathKind};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{NameServer, addresses, beside, with_tls};
use crate::{Dialled, Stream, TlsServer, dial};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A chain and its key.
fn leaf(ca: &Ca, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, Secret) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let chain = params.signed_by(&key, ca).unwrap().pem().into_bytes();
    (chain, Secret::new(key.serialize_pem()))
}

fn server(ca: &Ca, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> ListenerTls {
    let (chain_pem, key_pem) = leaf(ca, names, change);
    ListenerTls { chain_pem, key_pem, client_roots_pem: None }
}

fn client(roots: &Ca) -> TlsClient {
    TlsClient::new(&[roots.pem().into_bytes()], &ProviderTls::default()).unwrap()
}

/// What a peer does with a connection.
enum Peer {
    Serves(ListenerTls),
    Says(&'static [u8]),
    ClosesAfterHello,
    Hangs,
}

async fn handshake(peer: Peer, client: &TlsClient, host: &str) -> Result<Dialled, DialFailure> {
    let names = NameServer::start(|_, v6, _| addresses(&[if v6 { "::1" } else { "127.0.0.1" }]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        match peer {
            Peer::Serves(tls) => {
                let acceptor = TlsServer::new(&tls).unwrap().acceptor();
                if let Ok(mut stream) = acceptor.accept(tcp).await {
                    stream.write_all(b"hello").await.unwrap();
                    stream.flush().await.unwrap();
                    std::future::pending::<()>().await;
                }
            }
            Peer::Says(text) => {
                tcp.write_all(text).await.unwrap();
                std::future::pending::<()>().await;
            }
            Peer::ClosesAfterHello => {
                tcp.read_u8().await.unwrap();
            }
            Peer::Hangs => std::future::pending::<()>().await,
        }
    };
    let path = PathKind::Direct;
    let resolver = names.resolver();
    let request = with_tls(&path, host, port, client);
    beside(serve, async {
        let mut dialled = dial(&resolver, &request).await?;
        let mut hello = [0; 5];
        if let Err(err) = dialled.stream.read_exact(&mut hello).await {
            // With TLS 1.3 a server refuses our certificate after our side of the handshake.
            return Err(DialFailure::new(Cause::Reset, err.to_string()));
        }
        Ok(dialled)
    })
    .await
}

async fn failure(peer: Peer, client: &TlsClient, host: &str) -> DialFailure {
    handshake(peer, client, host).await.unwrap_err()
}

#[tokio::test]
async fn a_good_certificate_is_accepted() {
    let ca = ca("test");
    for (names, host) in [
        (["api.example.test"], "api.example.test"),
        (["api.example.test"], "api.example.test."),
        (["*.example.test"], "API.example.test"),
        (["127.0.0.1"], "127.0.0.1"),
        (["127.0.0.1"], "127.1"),
    ] {
        let peer = Peer::Serves(server(&ca, &names, |_| {}));
        let dialled = handshake(peer, &client(&ca), host).await.unwrap();
        let Stream::Tls(tls) = &dialled.stream else { panic!("not TLS") };
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "{host}");
    }
}

#[tokio::test]
async fn bad_certificates_are_told_apart() {
    let stranger = ca("somebody else");
    let ca = ca("test");
    let cases = [
        (server(&ca, &["other.test"], |_| {}), "is for another name"),
        (
            server(&ca, &["a.test"], |params| params.not_after = date_time_ymd(2020, 1, 1)),
            "has expired",
        ),
        (
            server(&ca, &["a.test"], |params| params.not_before = date_time_ymd(4000, 1, 1)),
            "is not valid yet",
        ),
        (server(&stranger, &["a.test"], |_| {}), "issuer is not trusted"),
    ];
    for (tls, words) in cases {
        let failure = failure(Peer::Serves(tls), &client(&ca), "a.test").await;
        assert_eq!(failure.cause, Cause::TlsCert, "{failure}");
        assert!(failure.detail.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn peers_without_tls_are_told_apart() {
    let ca = ca("test");
    let client = client(&ca);
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    for (peer, cause) in [
        (Peer::Says(answer), Cause::TlsProtocol),
        (Peer::Says(alert), Cause::TlsAlert),
        (Peer::ClosesAfterHello, Cause::TlsClosed),
        (Peer::Hangs, Cause::TlsTimeout),
    ] {
        let failure = failure(peer, &client, "a.test").await;
        assert_eq!(failure.cause, cause, "{failure}");
        assert!(failure.peer.is_some());
    }
}

#[tokio::test]
async fn a_listener_may_ask_for_certificates() {
    let ca = ca("test");
    let demanding = || {
        let mut tls = server(&ca, &["a.test"], |_| {});
        tls.client_roots_pem = Some(ca.pem().into_bytes());
        Peer::Serves(tls)
    };
    assert!(handshake(demanding(), &client(&ca), "a.test").await.is_err());
    let identity = Some(leaf(&ca, &["caller"], |_| {}));
    let ours = ProviderTls { roots_pem: vec![ca.pem().into_bytes()], identity };
    let known = TlsClient::new(&[], &ours).unwrap();
    assert!(handshake(demanding(), &known, "a.test").await.is_ok());
}

#[test]
fn unusable_files_are_explained() {
    let none = ProviderTls::default();
    let why = TlsClient::new(&[b"no pem".to_vec()], &none).unwrap_err();
    assert_eq!(why.to_string(), "no certificate in the PEM file");
    let (chain, _) = leaf(&ca("test"), &["a"], |_| {});
    let broken = ProviderTls { roots_pem: vec![], identity: Some((chain, Secret::new("no key"))) };
    let why = TlsClient::new(&[], &broken).unwrap_err();
    assert_eq!(why.to_string(), "no private key in the PEM file of the key");
}
