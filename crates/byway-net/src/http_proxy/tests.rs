//! A proxy that answers in every way that proxies do.

use byway_core::secret::Secret;
use byway_core::settings::{Credentials, PathKind, Resolve};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{
    NameServer, Says, Through, addresses, beside, dial_and_read, hop, no_names, plain, read_until,
};
use crate::{Dial, DialFailure, dial};

/// What a proxy does after it has read a request.
struct Script<'a> {
    pieces: Vec<&'a [u8]>,
    closes: bool,
}

fn says(answer: &str) -> Script<'_> {
    Script { pieces: vec![answer.as_bytes()], closes: false }
}

/// Dials through a proxy that follows the scripts, a connection each; returns what it was asked.
async fn through(
    scripts: Vec<Script<'_>>,
    change: impl FnOnce(&mut ProxyHop),
    host: &str,
    tunnel: bool,
) -> (Result<Through, DialFailure>, Vec<String>) {
    let server = NameServer::start(|name, v6, _| match (name, v6) {
        ("a.test", false) => addresses(&["127.0.0.7"]),
        ("a.test", true) => addresses(&["::1"]),
        _ => Says::Nx,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hop = hop(listener.local_addr().unwrap(), Resolve::There);
    change(&mut hop);
    let path = PathKind::HttpProxy(hop);
    let mut asked = Vec::new();
    let closes = scripts.iter().any(|script| script.closes);
    let proxy = async {
        let mut open = Vec::new();
        for script in scripts {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let head = read_until(&mut tcp, b"\r\n\r\n").await;
            asked.push(String::from_utf8(head).unwrap());
            for piece in script.pieces {
                // A proxy that is refused early may find its connection gone.
                tcp.write_all(piece).await.ok();
                tokio::task::yield_now().await;
            }
            if !script.closes {
                open.push(tcp);
            }
        }
        std::future::pending::<()>().await;
    };
    let resolver = server.resolver();
    let request = Dial { tunnel, ..plain(&path, host, 443) };
    let result = beside(proxy, dial_and_read(&resolver, &request, closes)).await;
    (result, asked)
}

async fn failure(script: Script<'_>) -> DialFailure {
    through(vec![script], |_| {}, "a.test", true).await.0.unwrap_err()
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_nothing_but_what_is_needed() {
    let (dialled, asked) =
        through(vec![says("HTTP/1.1 200 OK\r\n\r\n")], |_| {}, "a.test", true).await;
    assert!(!dialled.unwrap().absolute_form);
    assert_eq!(asked, ["CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"]);

    let full = |hop: &mut ProxyHop| {
        let password = Secret::new("open sesame");
        hop.credentials = Some(Credentials { user: "Aladdin".to_owned(), password });
        hop.is_byway = true;
    };
    let (dialled, asked) = through(vec![says("HTTP/1.0 200\r\n\r\n")], full, "::1", true).await;
    dialled.unwrap();
    assert_eq!(
        asked,
        ["CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\
          Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\
          Byway-Hops: one, two\r\n\r\n"]
    );
}

#[tokio::test]
async fn bytes_behind_the_answer_belong_to_the_tunnel() {
    let answer = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nVia: 1.1 x\r\n\r\nSSH-2.0-x\r\n";
    for n_piece in [1, 2, 3, 7, 19, 40, answer.len()] {
        let pieces = answer.chunks(n_piece).collect();
        let script = Script { pieces, closes: true };
        let (dialled, _) = through(vec![script], |_| {}, "a.test", true).await;
        assert_eq!(dialled.unwrap().bytes, b"SSH-2.0-x\r\n", "pieces of {n_piece}");
    }
}

#[tokio::test]
async fn a_long_answer_is_read_exactly_too() {
    let head = format!("HTTP/1.1 200 OK\r\nX-Pad: {}\r\n\r\n", "x".repeat(9000));
    let script = Script { pieces: vec![head.as_bytes(), b"hello"], closes: true };
    let (dialled, _) = through(vec![script], |_| {}, "a.test", true).await;
    assert_eq!(dialled.unwrap().bytes, b"hello");
}

#[tokio::test]
async fn refusals_say_whose_fault_it_is() {
    let cases = [
        ("407 Proxy Authentication Required", Cause::PathCredentials),
        ("403 Forbidden", Cause::PathRefused),
        ("405 Method Not Allowed", Cause::PathRefused),
        ("404 Not Found", Cause::PathRefused),
        ("302 Found", Cause::PathRefused),
        ("101 Switching Protocols", Cause::PathRefused),
        ("502 Bad Gateway", Cause::ConnectRefused),
        ("503 Service Unavailable", Cause::ConnectRefused),
        ("504 Gateway Timeout", Cause::ConnectTimeout),
    ];
    for (status, cause) in cases {
        let failure = failure(says(&format!("HTTP/1.1 {status}\r\n\r\nbody"))).await;
        assert_eq!(failure.cause, cause, "{status}");
        assert!(failure.detail.contains(status), "{failure}");
        assert!(failure.detail.contains("a.test:443"), "{failure}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_a_path_that_is_down() {
    let endless = vec![b"X-More: and more and more\r\n".as_slice(); 2000];
    let endless: Vec<&[u8]> = [vec![b"HTTP/1.1 200 OK\r\n".as_slice()], endless].concat();
    let interim = vec![b"HTTP/1.1 103 Early\r\n\r\n".as_slice(); 2000];
    let garbage: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"\r\n\r\n",
    ];
    for pieces in garbage.map(|g| vec![g]).into_iter().chain([endless, interim]) {
        let failure = failure(Script { pieces, closes: false }).await;
        assert_eq!(failure.cause, Cause::PathDown, "{failure}");
    }
    for text in ["", "HTTP/1.1 200 OK\r\n"] {
        let failure = failure(Script { pieces: vec![text.as_bytes()], closes: true }).await;
        assert_eq!(failure.cause, Cause::PathDown, "{failure}");
    }
}

#[tokio::test]
async fn a_proxy_that_says_nothing_waits_for_the_destination() {
    assert_eq!(failure(says("")).await.cause, Cause::ConnectTimeout);
    assert_eq!(failure(says("HTTP/1.1 2")).await.cause, Cause::ConnectTimeout);
}

#[tokio::test]
async fn the_proxy_is_found_by_its_own_rule() {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let path = PathKind::HttpProxy(hop(free, Resolve::There));
    let request = Dial { allow: &[], ..plain(&path, "a.test", 443) };
    let failure = dial(&no_names(), &request).await.unwrap_err();
    assert_eq!(failure.cause, Cause::PathDown, "refused, though not forbidden");
    assert!(failure.detail.contains(&free.to_string()), "{failure}");
    let mut nowhere = hop(free, Resolve::There);
    nowhere.host = "proxy.test".to_owned();
    let path = PathKind::HttpProxy(nowhere);
    let failure = dial(&no_names(), &plain(&path, "a.test", 443)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::PathDown, "{failure}");
    let path = PathKind::HttpProxy(hop(free, Resolve::There));
    let own = [free];
    let request = Dial { own: &own, ..plain(&path, "a.test", 443) };
    assert_eq!(dial(&no_names(), &request).await.unwrap_err().cause, Cause::Loop);
}

#[tokio::test]
async fn plain_http_goes_in_absolute_form_unless_the_address_must_be_pinned() {
    let (dialled, asked) = through(vec![], |_| {}, "a.test", false).await;
    assert!(dialled.unwrap().absolute_form);
    assert!(asked.is_empty());
    let here = |hop: &mut ProxyHop| hop.resolve = Resolve::Here;
    let ok = || says("HTTP/1.1 200 OK\r\n\r\n");
    let (dialled, asked) = through(vec![ok()], here, "a.test", false).await;
    assert!(!dialled.unwrap().absolute_form);
    assert_eq!(asked, ["CONNECT 127.0.0.7:443 HTTP/1.1\r\nHost: 127.0.0.7:443\r\n\r\n"]);
    let (failed, asked) = through(vec![ok()], here, "nx.test", true).await;
    assert_eq!(failed.unwrap_err().cause, Cause::DnsNx);
    assert!(asked.is_empty());
}

#[tokio::test]
async fn the_next_address_is_asked_for_when_one_cannot_be_reached() {
    let here = |hop: &mut ProxyHop| hop.resolve = Resolve::Here;
    let scripts = vec![says("HTTP/1.1 502 No\r\n\r\n"), says("HTTP/1.1 200 OK\r\n\r\n")];
    let (dialled, asked) = through(scripts, here, "a.test", true).await;
    dialled.unwrap();
    let lines: Vec<&str> = asked.iter().filter_map(|head| head.lines().next()).collect();
    assert_eq!(lines, ["CONNECT 127.0.0.7:443 HTTP/1.1", "CONNECT [::1]:443 HTTP/1.1"]);
}

#[tokio::test]
async fn destinations_are_checked_before_the_proxy_is_asked() {
    let path = PathKind::HttpProxy(hop("127.0.0.1:1".parse().unwrap(), Resolve::There));
    for host in ["127.0.0.1", "0x7f.1", "localhost", "169.254.169.254", "::1", "127.0.0.1."] {
        let request = Dial { allow: &[], tunnel: true, ..plain(&path, host, 443) };
        let failure = dial(&no_names(), &request).await.unwrap_err();
        assert_eq!(failure.cause, Cause::DestinationForbidden, "{host}");
    }
    for (host, cause) in [("1.2.3.999", Cause::HostNotAnAddress), ("a b", Cause::DnsNx)] {
        let failure = dial(&no_names(), &plain(&path, host, 443)).await.unwrap_err();
        assert_eq!(failure.cause, cause, "{host}");
    }
}

#[tokio::test]
async fn a_reason_is_printable_and_short() {
    let script = format!("HTTP/1.1 403 \x07{}\r\n\r\n", "n".repeat(500));
    let failure = failure(says(&script)).await;
    assert!(failure.detail.len() < 250 && !failure.detail.contains('\x07'), "{failure}");
}
