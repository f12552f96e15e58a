//! A SOCKS5 server that answers in every way that such servers do.

use byway_core::secret::Secret;
use byway_core::settings::{PathKind, ProxyHop, Resolve};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{NameServer, Through, addresses, beside, dial_and_read, hop, plain};
use crate::{Dial, DialFailure, dial};

/// Steps of a server: how many bytes it reads, then what it says.
type Steps<'a> = &'a [(usize, &'a [u8])];

async fn through(
    steps: Steps<'_>,
    change: impl FnOnce(&mut ProxyHop),
    host: &str,
    closes: bool,
) -> (Result<Through, DialFailure>, Vec<Vec<u8>>) {
    let server =
        NameServer::start(|_, v6, _| addresses(&[if v6 { "fd00::2" } else { "127.0.0.7" }]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hop = hop(listener.local_addr().unwrap(), Resolve::There);
    change(&mut hop);
    let path = PathKind::Socks5(hop);
    let mut read = Vec::new();
    let socks = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        for (n_bytes, says) in steps {
            let mut bytes = vec![0; *n_bytes];
            tcp.read_exact(&mut bytes).await.unwrap();
            read.push(bytes);
            for byte in *says {
                tcp.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
        if !closes {
            std::future::pending::<()>().await;
        }
    };
    let resolver = server.resolver();
    let request = plain(&path, host, 443);
    let result = beside(socks, dial_and_read(&resolver, &request, closes)).await;
    (result, read)
}

const BOUND: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

fn aladdin(hop: &mut ProxyHop) {
    let password = Secret::new("sesame");
    hop.credentials = Some(Credentials { user: "al".to_owned(), password });
}

async fn cause(steps: Steps<'_>, change: impl FnOnce(&mut ProxyHop), closes: bool) -> Cause {
    through(steps, change, "a.test", closes).await.0.unwrap_err().cause
}

#[tokio::test]
async fn a_name_is_passed_on_and_the_stream_is_exact() {
    let reply = [BOUND, b"220 hello"].concat();
    let (dialled, read) = through(&[(3, &[5, 0]), (13, &reply)], |_| {}, "a.test", true).await;
    assert_eq!(read, [&b"\x05\x01\x00"[..], b"\x05\x01\x00\x03\x06a.test\x01\xbb"]);
    assert_eq!(dialled.unwrap().bytes, b"220 hello");
}

#[tokio::test]
async fn a_bound_address_of_any_kind_is_skipped() {
    let v6 = [&[5, 0, 0, 4][..], &[0; 18], b"hi"].concat();
    let name = [&[5, 0, 0, 3, 4][..], b"host\x00\x01", b"hi"].concat();
    for reply in [v6, name] {
        let (dialled, _) = through(&[(3, &[5, 0]), (13, &reply)], |_| {}, "a.test", true).await;
        assert_eq!(dialled.unwrap().bytes, b"hi");
    }
}

#[tokio::test]
async fn a_name_resolved_here_is_passed_as_the_checked_address() {
    let here = |hop: &mut ProxyHop| hop.resolve = Resolve::Here;
    let (dialled, read) = through(&[(3, &[5, 0]), (10, BOUND)], here, "a.test", false).await;
    dialled.unwrap();
    assert_eq!(read[1], b"\x05\x01\x00\x01\x7f\x00\x00\x07\x01\xbb");
    let (dialled, read) = through(&[(3, &[5, 0]), (22, BOUND)], |_| {}, "::1", false).await;
    dialled.unwrap();
    assert_eq!(read[1][..4], [5, 1, 0, 4]);
}

#[tokio::test]
async fn credentials_are_shown_when_asked_for() {
    let steps: Steps<'_> = &[(4, &[5, 2]), (11, &[1, 0]), (13, BOUND)];
    let (dialled, read) = through(steps, aladdin, "a.test", false).await;
    dialled.unwrap();
    assert_eq!(read[1], b"\x01\x02al\x06sesame");
    let (dialled, _) = through(&[(4, &[5, 0]), (13, BOUND)], aladdin, "a.test", false).await;
    dialled.unwrap();

    assert_eq!(cause(&[(4, &[5, 2]), (11, &[1, 1])], aladdin, false).await, Cause::PathCredentials);
    assert_eq!(cause(&[(4, &[5, 0xff])], aladdin, false).await, Cause::PathCredentials);
    assert_eq!(cause(&[(3, &[5, 0xff])], |_| {}, false).await, Cause::PathCredentials);
    assert_eq!(cause(&[(3, &[5, 2])], |_| {}, false).await, Cause::PathCredentials);
    let too_long = |hop: &mut ProxyHop| {
        let password = Secret::new(vec![b'x'; 256]);
        hop.credentials = Some(Credentials { user: "al".to_owned(), password });
    };
    assert_eq!(cause(&[(4, &[5, 2])], too_long, false).await, Cause::PathCredentials);
}

#[tokio::test]
async fn refusals_say_whose_fault_it_is() {
    for code in 1..=9 {
        let expected = match code {
            3 | 4 | 6 => Cause::ConnectUnreachable,
            5 => Cause::ConnectRefused,
            _ => Cause::PathRefused,
        };
        let reply = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(cause(&[(3, &[5, 0]), (13, &reply)], |_| {}, false).await, expected, "{code}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_greet_is_down_and_one_that_waits_is_not() {
    assert_eq!(cause(&[(3, &[])], |_| {}, false).await, Cause::PathDown);
    assert_eq!(cause(&[(3, &[])], |_| {}, true).await, Cause::PathDown);
    assert_eq!(cause(&[(3, b"HTTP/1.1 400")], |_| {}, false).await, Cause::PathDown);
    assert_eq!(cause(&[(3, &[5, 0]), (13, &[4, 0, 0, 1])], |_| {}, false).await, Cause::PathDown);
    assert_eq!(cause(&[(3, &[5, 0]), (13, &[5, 0, 0, 9])], |_| {}, false).await, Cause::PathDown);
    assert_eq!(cause(&[(3, &[5, 0]), (13, &[5, 0])], |_| {}, true).await, Cause::PathDown);
    assert_eq!(cause(&[(3, &[5, 0]), (13, &[])], |_| {}, false).await, Cause::ConnectTimeout);
}

#[tokio::test]
async fn a_forbidden_destination_is_not_asked_for() {
    let path = PathKind::Socks5(hop("127.0.0.1:1".parse().unwrap(), Resolve::Here));
    let server = NameServer::start(|_, v6, _| addresses(&[if v6 { "::1" } else { "10.0.0.1" }]));
    let request = Dial { allow: &[], ..plain(&path, "a.test", 443) };
    let failure = dial(&server.resolver(), &request).await.unwrap_err();
    assert_eq!(failure.cause, Cause::DestinationForbidden);
}
