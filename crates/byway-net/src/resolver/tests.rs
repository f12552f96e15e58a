//! What the name server says, and what the resolver makes of it.

use super::*;
use crate::testing::{NameServer, Says, addresses};

async fn both(says_v4: Says, says_v6: Says) -> Result<Vec<IpAddr>, DnsFailure> {
    let server =
        NameServer::start(move |_, v6, _| if v6 { says_v6.clone() } else { says_v4.clone() });
    server.resolver().lookup_both("api.example.test").await
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[tokio::test]
async fn failures_are_kept_apart() {
    use Says::{NoData, Nothing, Nx, Servfail};
    assert_eq!(both(Nx, Nx).await, Err(DnsFailure::Nx));
    assert_eq!(both(NoData, NoData).await, Err(DnsFailure::NoData));
    assert_eq!(both(Nothing, Nothing).await, Err(DnsFailure::Timeout));
    assert!(matches!(both(Servfail, Servfail).await, Err(DnsFailure::Servfail(_))));
    assert!(matches!(both(NoData, Servfail).await, Err(DnsFailure::Servfail(_))));
    assert!(matches!(both(Nothing, Servfail).await, Err(DnsFailure::Servfail(_))));
    assert_eq!(both(Nothing, NoData).await, Err(DnsFailure::Timeout));
}

#[tokio::test]
async fn one_family_is_enough() {
    let found = both(addresses(&["192.0.2.1"]), addresses(&["2001:db8::1"])).await;
    assert_eq!(found, Ok(ips(&["192.0.2.1", "2001:db8::1"])));
    let found = both(addresses(&["192.0.2.1", "192.0.2.2"]), Says::Servfail).await;
    assert_eq!(found, Ok(ips(&["192.0.2.1", "192.0.2.2"])));
    let found = both(addresses(&["192.0.2.1"]), Says::Nothing).await;
    assert_eq!(found, Ok(ips(&["192.0.2.1"])));
    let found = both(Says::NoData, addresses(&["2001:db8::1"])).await;
    assert_eq!(found, Ok(ips(&["2001:db8::1"])));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let many: Vec<IpAddr> = (0..40).map(|n| IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))).collect();
    let found = both(Says::Addresses(many, 60), Says::NoData).await.unwrap();
    assert_eq!(found.len(), N_ADDRESSES_MAX);
}

#[tokio::test]
async fn answers_are_kept_for_their_ttl_but_no_longer_than_the_cap() {
    let says = |_: &str, _, _| Says::Addresses(ips(&["192.0.2.1"]), 3600);
    for (ttl_max, n_asked) in [(Duration::from_secs(300), 1), (Duration::ZERO, 3)] {
        let server = NameServer::start(says);
        let resolver = server.resolver_with(ttl_max);
        for _ in 0..3 {
            resolver.lookup("api.example.test", Family::V4).await.unwrap();
        }
        assert_eq!(server.n_asked(), n_asked, "ttl_max {ttl_max:?}");
    }
    let server = NameServer::start(|_, _, _| Says::Addresses(ips(&["192.0.2.1"]), 0));
    let resolver = server.resolver();
    for _ in 0..3 {
        resolver.lookup("api.example.test", Family::V4).await.unwrap();
    }
    assert_eq!(server.n_asked(), 3, "a TTL of zero is honoured");
}

#[tokio::test]
async fn localhost_is_never_asked_for() {
    let server = NameServer::start(|_, _, _| addresses(&["192.0.2.1"]));
    let resolver = server.resolver();
    for host in ["localhost", "LOCALHOST", "localhost.", "api.localhost"] {
        assert_eq!(resolver.lookup_both(host).await, Ok(ips(&["127.0.0.1", "::1"])), "{host}");
    }
    assert_eq!(server.n_asked(), 0);
    assert!(!is_localhost("localhost.example.com"));
    assert!(!is_localhost("notlocalhost"));
}

#[tokio::test]
async fn the_search_list_is_left_when_a_server_fails() {
    let server = NameServer::start(|name, _, _| match name {
        "db" => Says::Nx,
        "db.one.test" => Says::Nx,
        "db.two.test" => addresses(&["192.0.2.2"]),
        "bad" => Says::Servfail,
        _ => addresses(&["192.0.2.9"]),
    });
    let mut resolver = server.resolver();
    let name = |text| Name::from_ascii(text).unwrap();
    resolver.search = [name("one.test."), name("two.test.")].into();
    resolver.ndots = 0;
    assert_eq!(resolver.lookup("db", Family::V4).await, Ok(ips(&["192.0.2.2"])));
    assert_eq!(server.asked(), ["db", "db.one.test", "db.two.test"]);
    let failed = resolver.lookup("bad", Family::V4).await;
    assert!(matches!(failed, Err(DnsFailure::Servfail(_))), "not hidden by a search domain");
    resolver.ndots = 1;
    let order: Vec<String> =
        resolver.candidates(name("db")).iter().map(ToString::to_string).collect();
    assert_eq!(order, ["db.one.test.", "db.two.test.", "db."]);
    assert_eq!(resolver.candidates(name("db.")).len(), 1);
}

#[tokio::test]
async fn the_hosts_file_speaks_for_both_families() {
    let server = NameServer::start(|_, _, _| addresses(&["192.0.2.1", "2001:db8::1"]));
    let mut resolver = server.resolver();
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf("10.0.0.9 api.example.test # a comment".as_bytes()).unwrap();
    resolver.hosts = Arc::new(hosts);
    assert_eq!(resolver.lookup_both("API.example.test").await, Ok(ips(&["10.0.0.9"])));
    assert_eq!(server.n_asked(), 0);
}
