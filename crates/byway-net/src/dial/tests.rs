//! Direct connections: which addresses are dialled, in which order, from where.

use std::future::Future;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;
use crate::testing::{NameServer, Says, addresses, networks, no_names, plain};

const DIRECT: PathKind = PathKind::Direct;

async fn listen(ip: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port on which nobody listens.
async fn free_port(ip: &str) -> u16 {
    listen(ip).await.1
}

/// The cause of a direct dial that must fail.
async fn cause(server: &NameServer, host: &str, allow: &[Network]) -> Cause {
    let port = free_port("127.0.0.1").await;
    let failure = dial(&server.resolver(), &Dial { allow, ..plain(&DIRECT, host, port) }).await;
    failure.unwrap_err().cause
}

#[tokio::test]
async fn failures_of_the_name_server_become_causes() {
    let server = NameServer::start(|name, v6, _| match name {
        "nx.test" => Says::Nx,
        "nodata.test" => Says::NoData,
        "servfail.test" => Says::Servfail,
        "half.test" if v6 => Says::Servfail,
        "half.test" => addresses(&["127.0.0.1"]),
        _ => Says::Nothing,
    });
    let allow = Network::PRIVATE;
    assert_eq!(cause(&server, "nx.test", &allow).await, Cause::DnsNx);
    assert_eq!(cause(&server, "nodata.test", &allow).await, Cause::DnsNx);
    assert_eq!(cause(&server, "servfail.test", &allow).await, Cause::DnsServfail);
    assert_eq!(cause(&server, "silent.test", &allow).await, Cause::DnsTimeout);
    assert_eq!(cause(&server, "half.test", &allow).await, Cause::ConnectRefused);
    assert_eq!(cause(&server, "no name", &allow).await, Cause::DnsNx);
    assert_eq!(cause(&server, "a\r\nb.test", &allow).await, Cause::DnsNx);
    assert_eq!(cause(&server, "", &allow).await, Cause::DnsNx);
}

#[tokio::test]
async fn a_name_server_slower_than_the_deadline_is_a_timeout_of_dns() {
    let server = NameServer::start(|_, _, _| Says::Nothing);
    let deadlines = Deadlines { connect: Duration::from_millis(50), ..Deadlines::default() };
    let request = Dial { deadlines: &deadlines, ..plain(&DIRECT, "a.test", 1) };
    let failure = dial(&server.resolver(), &request).await.unwrap_err();
    assert_eq!(failure.cause, Cause::DnsTimeout);
}

#[tokio::test]
async fn forbidden_addresses_are_dropped_and_the_rest_is_dialled() {
    let server = NameServer::start(|name, v6, _| match (name, v6) {
        ("mixed.test", false) => addresses(&["127.0.0.1", "10.0.0.1", "127.0.0.2"]),
        ("mixed.test", true) => addresses(&["fd00::1", "::1"]),
        ("private.test", _) => addresses(&["10.0.0.1", "64:ff9b::7f00:1"]),
        ("metadata.test", false) => addresses(&["169.254.169.254"]),
        _ => Says::NoData,
    });
    let (listener, port) = listen("127.0.0.2").await;
    let other = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let allow = networks(&["127.0.0.2"]);
    let resolver = server.resolver();
    let request = Dial { allow: &allow, ..plain(&DIRECT, "mixed.test", port) };
    let dialled = dial(&resolver, &request).await.unwrap();
    assert_eq!(dialled.peer, listener.local_addr().unwrap());
    assert!(tokio::time::timeout(Duration::from_millis(20), other.accept()).await.is_err());

    let request = Dial { allow: &[], ..plain(&DIRECT, "private.test", port) };
    let refusal = dial(&resolver, &request).await.unwrap_err();
    assert_eq!(refusal.cause, Cause::DestinationForbidden);
    assert!(refusal.detail.starts_with("`private.test` is "), "{refusal}");
    assert_eq!(
        cause(&server, "metadata.test", &Network::PRIVATE).await,
        Cause::DestinationForbidden
    );
    let wide = networks(&["0.0.0.0/0", "::/0"]);
    assert_eq!(cause(&server, "metadata.test", &wide).await, Cause::DestinationForbidden);
}

#[tokio::test]
async fn literal_addresses_are_checked_in_every_notation() {
    let resolver = no_names();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "017700000001",
        "2130706433",
        "::1",
        "127.0.0.1.",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "10.0.0.1",
        "localhost",
    ] {
        let failure = dial(&resolver, &Dial { allow: &[], ..plain(&DIRECT, host, 80) }).await;
        assert_eq!(failure.unwrap_err().cause, Cause::DestinationForbidden, "{host}");
    }
    for host in ["1.2.3.4.5", "0x1ffffffff", "1.2.3.999"] {
        let failure = dial(&resolver, &plain(&DIRECT, host, 80)).await;
        assert_eq!(failure.unwrap_err().cause, Cause::HostNotAnAddress, "{host}");
    }
    let (_listener, port) = listen("127.0.0.1").await;
    for host in ["127.0.0.1", "127.1", "0x7f.1", "localhost", "x.localhost."] {
        assert!(dial(&resolver, &plain(&DIRECT, host, port)).await.is_ok(), "{host}");
    }
}

#[tokio::test]
async fn what_was_checked_is_what_is_dialled() {
    // The second answer would lead to the loopback that is not allowed.
    let server = NameServer::start(|_, v6, n| match (v6, n) {
        (true, _) => Says::NoData,
        (false, 0 | 1) => Says::Addresses(vec!["127.0.0.2".parse().unwrap()], 0),
        (false, _) => Says::Addresses(vec!["127.0.0.1".parse().unwrap()], 0),
    });
    let (_listener, port) = listen("127.0.0.2").await;
    let allow = networks(&["127.0.0.2"]);
    let resolver = server.resolver();
    let request = Dial { allow: &allow, ..plain(&DIRECT, "rebind.test", port) };
    let dialled = dial(&resolver, &request).await.unwrap();
    assert_eq!(dialled.peer.ip().to_string(), "127.0.0.2");
    assert_eq!(server.n_asked(), 2, "one question a family, and never a second");
    let refusal = dial(&resolver, &request).await.unwrap_err();
    assert_eq!(refusal.cause, Cause::DestinationForbidden);
}

#[tokio::test]
async fn our_own_listeners_are_a_loop() {
    let server = NameServer::start(|_, _, _| addresses(&["127.0.0.1", "::1"]));
    let resolver = server.resolver();
    for own in ["127.0.0.1:7070", "0.0.0.0:7070", "[::]:7070"] {
        let own = [own.parse().unwrap()];
        for host in ["127.0.0.1", "127.1"] {
            let request = Dial { own: &own, ..plain(&DIRECT, host, 7070) };
            assert_eq!(dial(&resolver, &request).await.unwrap_err().cause, Cause::Loop, "{host}");
        }
    }
    let own = ["[::]:7070".parse().unwrap()];
    let request = Dial { own: &own, allow: &[], ..plain(&DIRECT, "self.test", 7070) };
    assert_eq!(dial(&resolver, &request).await.unwrap_err().cause, Cause::Loop);
}

#[tokio::test]
async fn a_refused_ipv6_address_gives_way_to_ipv4() {
    let server = NameServer::start(|_, v6, _| addresses(&[if v6 { "::1" } else { "127.0.0.1" }]));
    let (listener, port) = listen("127.0.0.1").await;
    let dialled = dial(&server.resolver(), &plain(&DIRECT, "a.test", port)).await.unwrap();
    assert_eq!(dialled.peer, listener.local_addr().unwrap());
    assert_eq!(dialled.local, dialled.stream.tcp().local_addr().unwrap());
    assert!(dialled.stream.tcp().nodelay().unwrap());
    assert!(!dialled.absolute_form);
}

/// Listens on `[::1]` and never takes a connection: a full backlog lets SYN packets drop.
async fn hanging_v6(port: u16) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v6().unwrap();
    let addr = SocketAddr::new("::1".parse().unwrap(), port);
    socket.bind(addr).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut fillers = Vec::new();
    let patience = Duration::from_millis(100);
    while let Ok(filler) = tokio::time::timeout(patience, TcpStream::connect(addr)).await {
        fillers.push(filler.unwrap());
    }
    (listener, fillers)
}

#[tokio::test]
async fn a_hanging_ipv6_address_does_not_delay_for_long() {
    let server = NameServer::start(|_, v6, _| addresses(&[if v6 { "::1" } else { "127.0.0.1" }]));
    let (listener, port) = listen("127.0.0.1").await;
    let _hanging = hanging_v6(port).await;
    let resolver = server.resolver();
    let dialled = dial(&resolver, &plain(&DIRECT, "a.test", port)).await.unwrap();
    assert_eq!(dialled.peer, listener.local_addr().unwrap());

    let failure = dial(&resolver, &plain(&DIRECT, "::1", port)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::ConnectTimeout);
    drop(listener);
    let failure = dial(&resolver, &plain(&DIRECT, "a.test", port)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::ConnectRefused, "the most telling failure is reported");
}

#[tokio::test]
async fn ipv4_does_not_wait_for_a_silent_ipv6_lookup() {
    let server = NameServer::start(|_, v6, _| match v6 {
        true => Says::Nothing,
        false => addresses(&["127.0.0.1"]),
    });
    let (_listener, port) = listen("127.0.0.1").await;
    let request = plain(&DIRECT, "a.test", port);
    assert!(dial(&server.patient_resolver(), &request).await.is_ok());
}

#[tokio::test]
async fn a_late_ipv4_answer_still_joins_the_race() {
    let server = NameServer::start(|_, v6, _| match v6 {
        true => addresses(&["::1"]),
        false => {
            std::thread::sleep(Duration::from_millis(60));
            addresses(&["127.0.0.1"])
        }
    });
    let (listener, port) = listen("127.0.0.1").await;
    let dialled = dial(&server.resolver(), &plain(&DIRECT, "a.test", port)).await.unwrap();
    assert_eq!(dialled.peer, listener.local_addr().unwrap());
}

#[tokio::test]
async fn a_source_address_is_what_the_server_sees() {
    let (listener, port) = listen("127.0.0.1").await;
    let path = PathKind::SourceIp("127.0.0.5".parse().unwrap());
    let server = NameServer::start(|_, v6, _| addresses(&[if v6 { "::1" } else { "127.0.0.1" }]));
    let resolver = server.resolver();
    let dialled = dial(&resolver, &plain(&path, "a.test", port)).await.unwrap();
    let (_tcp, seen) = listener.accept().await.unwrap();
    assert_eq!(seen.ip().to_string(), "127.0.0.5");
    assert_eq!(dialled.local, seen);
    assert_eq!(server.n_asked(), 1, "the other family is not even asked for");

    let failure = dial(&resolver, &plain(&path, "::1", port)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::ConnectUnreachable);
    let gone = PathKind::SourceIp("192.0.2.1".parse().unwrap());
    let failure = dial(&resolver, &plain(&gone, "127.0.0.1", port)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::SourceAddressGone);
    assert!(failure.detail.contains("192.0.2.1"), "{failure}");
}

#[tokio::test]
async fn a_dropped_dial_leaves_nothing_behind() {
    let (listener, port) = listen("127.0.0.1").await;
    let resolver = no_names();
    let request = plain(&DIRECT, "127.0.0.1", port);
    {
        let mut dialling = std::pin::pin!(dial(&resolver, &request));
        let once = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(dialling.as_mut().poll(cx).is_ready())
        });
        once.await;
    }
    let accepted = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    if let Ok(Ok((tcp, _))) = accepted {
        tcp.readable().await.unwrap();
        assert!(matches!(tcp.try_read(&mut [0; 1]), Ok(0) | Err(_)), "the connection is closed");
    }
}

#[test]
fn a_dial_may_move_between_threads() {
    fn is_send<T: Send>(make: impl FnOnce(Resolver) -> T) {
        drop(make);
    }
    is_send(|resolver: Resolver| async move {
        dial(&resolver, &plain(&DIRECT, "127.0.0.1", 1)).await.ok();
    });
}
