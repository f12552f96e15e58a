//! Who may call: web pages may not, strangers may not, loops end.

use std::io::Write as _;
use std::sync::Arc;

use byway_e2e::gateway::{self, Gateway};
use byway_e2e::origin::Origin;
use byway_e2e::pki::Authority;
use byway_e2e::raw::{self, Kind};

fn with_origin(extra: &str) -> (Gateway, Origin) {
    let origin = Origin::echo();
    let gateway = Gateway::start(&format!(
        "{extra}\n[provider.origin]\nurl = \"http://127.0.0.1:{}\"\nallow_private = true\n",
        origin.addr.port()
    ));
    (gateway, origin)
}

#[test]
fn web_pages_are_kept_out() {
    let (gateway, origin) = with_origin("");
    let own = gateway.addr;
    let provider = format!("http://{}", origin.addr);
    for (host, fields, status) in [
        (own.to_string(), String::new(), 200),
        (format!("localhost:{}", own.port()), String::new(), 200),
        ("[::1]".to_owned(), String::new(), 200),
        ("127.5.5.5".to_owned(), String::new(), 200),
        ("rebound.example".to_owned(), String::new(), 421),
        ("localhost.evil.example".to_owned(), String::new(), 421),
        ("192.0.2.1".to_owned(), String::new(), 421),
        (own.to_string(), "Sec-Fetch-Site: cross-site\r\n".to_owned(), 403),
        (own.to_string(), "Sec-Fetch-Site: same-site\r\n".to_owned(), 403),
        (own.to_string(), "sec-fetch-site: none\r\n".to_owned(), 200),
        (own.to_string(), "Origin: https://evil.example\r\n".to_owned(), 403),
        (own.to_string(), "Origin: null\r\n".to_owned(), 403),
        (own.to_string(), format!("Origin: http://{own}\r\n"), 200),
        (own.to_string(), format!("Origin: {provider}\r\n"), 200),
    ] {
        let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        let answer = raw::ask(own, request.as_bytes());
        assert_eq!(answer.status(), status, "{request}{answer:?}");
    }
    let n_forwarded = origin.messages().len();
    assert_eq!(n_forwarded, 7, "only the welcome ones were forwarded");
    // As a proxy the gateway passes both fields on: a web page cannot speak to us like that.
    let request = format!(
        "GET {provider}/ HTTP/1.1\r\nHost: {}\r\nOrigin: https://a.example\r\nSec-Fetch-Site: cross-site\r\n\r\n",
        origin.addr
    );
    assert_eq!(raw::ask(own, request.as_bytes()).status(), 200);
    assert_eq!(
        origin.messages()[n_forwarded].field("origin").as_deref(),
        Some("https://a.example")
    );
}

#[test]
fn the_admin_listener_has_the_same_wall() {
    let (gateway, _origin) = with_origin("");
    let ask = |path: &str, fields: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n");
        raw::ask(gateway.admin, request.as_bytes()).status()
    };
    let own = format!("Host: {}", gateway.admin);
    assert_eq!(ask("/-/healthy", &own), 200);
    assert_eq!(ask("/-/ready", &own), 200);
    assert_eq!(ask("/metrics", &own), 200);
    assert_eq!(ask("/metrics", "Host: rebound.example"), 421);
    assert_eq!(ask("/metrics", &format!("{own}\r\nSec-Fetch-Site: cross-site")), 403);
    assert_eq!(ask("/metrics", &format!("{own}\r\nOrigin: https://evil.example")), 403);
}

#[test]
fn unknown_providers_and_unlisted_hosts() {
    let (gateway, origin) = with_origin("");
    let answer = raw::ask(gateway.addr, b"GET /to/nobody/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status(), 404);
    assert!(answer.first_line().ends_with(b"(provider_unknown)"));
    let answer = raw::ask(gateway.addr, b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.first_line().ends_with(b"(provider_unknown)"));

    let config = gateway::HEAD.replace("[gateway]\n", "[gateway]\nunlisted = \"refuse\"\n");
    let strict = Gateway::with(&config, &[]);
    for request in [
        format!("GET http://{}/ HTTP/1.1\r\nHost: a\r\n\r\n", origin.addr),
        format!("CONNECT {} HTTP/1.1\r\nHost: a\r\n\r\n", origin.addr),
    ] {
        let answer = raw::ask(strict.addr, request.as_bytes());
        assert_eq!(answer.status(), 403);
        assert!(answer.first_line().ends_with(b"(host_unlisted)"), "{answer:?}");
    }
    assert_eq!(origin.n_connections(), 0);
}

#[test]
fn a_request_to_ourselves_is_a_loop() {
    let config =
        gateway::HEAD.replace("[gateway]\n", "[gateway]\nunlisted_allow = [\"127.0.0.0/8\"]\n");
    let gateway = Gateway::with(&config, &[]);
    let own = gateway.addr;
    for request in [
        format!("GET http://{own}/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("CONNECT {own} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!(
            "GET http://127.0.0.1:{}/ HTTP/1.1\r\nHost: a\r\nByway-Hops: other, test\r\n\r\n",
            own.port()
        ),
    ] {
        let answer = raw::ask(own, request.as_bytes());
        assert_eq!(answer.status(), 508, "{request}: {answer:?}");
        assert_eq!(
            answer.field("proxy-status").map(|s| s.contains("error=proxy_loop_detected")),
            Some(true)
        );
    }
}

#[test]
fn instances_that_point_at_each_other_notice() {
    let (first_port, second_port) =
        (byway_e2e::process::free_port(), byway_e2e::process::free_port());
    let instance = |name: &str, own: u16, other: u16| {
        let head = gateway::HEAD.replace(
            "listen = \"127.0.0.1:0\"\ninstance = \"test\"",
            &format!("listen = \"127.0.0.1:{own}\"\ninstance = \"{name}\""),
        );
        let sections = format!(
            "[path.out.http-proxy]\naddr = \"127.0.0.1:{other}\"\nbyway = true\n[provider.far]\nurl = \"http://192.0.2.9\"\nallow = [\"192.0.2.0/24\"]\npaths = [\"out\"]\n"
        );
        Gateway::with(&format!("{head}{sections}"), &[])
    };
    let first = instance("first", first_port, second_port);
    let _second = instance("second", second_port, first_port);
    for request in [
        "GET http://192.0.2.9/ HTTP/1.1\r\nHost: 192.0.2.9\r\n\r\n",
        "CONNECT 192.0.2.9:443 HTTP/1.1\r\nHost: 192.0.2.9:443\r\n\r\n",
    ] {
        let answer = raw::ask(first.addr, request.as_bytes());
        assert!(answer.first_line().ends_with(b"(loop)"), "{answer:?}");
    }
}

fn remote(callers: &str, chain: &str) -> (Gateway, Origin, Authority, tempfile::TempDir) {
    let authority = Authority::new();
    let server = authority.issue(&["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("chain.pem"), &server.chain_pem).expect("writable");
    std::fs::write(folder.path().join("key.pem"), &server.key_pem).expect("writable");
    std::fs::write(folder.path().join("clients.pem"), &authority.pem).expect("writable");
    std::fs::write(folder.path().join("token"), "t0ken").expect("writable");
    let origin = Origin::echo();
    let config = folder.path().join("byway.toml");
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n\
         [listener.remote]\naddr = \"127.0.0.1:0\"\ncallers = \"{callers}\"\n\
         [listener.remote.tls]\nchain = \"chain.pem\"\nkey = \"file:key.pem\"\n{chain}\n\
         [provider.origin]\nurl = \"http://{}\"\nallow_private = true\n",
        origin.addr
    );
    std::fs::write(&config, text).expect("writable");
    (Gateway::at(config, &[]), origin, authority, folder)
}

fn ask_tls(gateway: &Gateway, client: Arc<rustls::ClientConfig>, fields: &str) -> Option<u16> {
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").expect("a name");
    let tls = rustls::ClientConnection::new(client, name).expect("tls");
    let mut stream = rustls::StreamOwned::new(tls, gateway.connect());
    let request = format!("GET /to/origin/x HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    stream.flush().ok()?;
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        raw::read_message(&mut stream, Kind::Answer)
    }))
    .ok()
    .flatten()
    .map(|answer| answer.status())
}

#[test]
fn remote_callers_need_a_token() {
    let token = "[[listener.remote.token]]\nname = \"shop\"\ntoken = \"file:token\"";
    let (gateway, origin, authority, _folder) = remote("token", token);
    let ask = |fields: &str| ask_tls(&gateway, authority.client(None), fields);
    assert_eq!(ask(""), Some(407));
    assert_eq!(ask("Proxy-Authorization: Bearer wrong\r\n"), Some(407));
    assert_eq!(ask("Proxy-Authorization: Basic c2hvcDp3cm9uZw==\r\n"), Some(407));
    assert_eq!(ask("Authorization: Bearer t0ken\r\n"), Some(407), "that one is the provider's");
    assert_eq!(origin.messages().len(), 0);
    assert_eq!(ask("Proxy-Authorization: Bearer t0ken\r\n"), Some(200));
    // shop:t0ken
    assert_eq!(ask("Proxy-Authorization: Basic c2hvcDp0MGtlbg==\r\n"), Some(200));
    for message in origin.messages() {
        assert_eq!(message.field("proxy-authorization"), None, "it never leaves");
    }
}

#[test]
fn remote_callers_may_be_known_by_certificate() {
    let (gateway, origin, authority, _folder) =
        remote("certificate", "client_roots = \"clients.pem\"");
    assert_eq!(ask_tls(&gateway, authority.client(None), ""), None, "no certificate, no answer");
    let stranger = Authority::new().issue(&["stranger"]);
    assert_eq!(ask_tls(&gateway, authority.client(Some(&stranger)), ""), None);
    assert_eq!(origin.messages().len(), 0);
    let known = authority.issue(&["shop"]);
    assert_eq!(ask_tls(&gateway, authority.client(Some(&known)), ""), Some(200));
}

#[test]
fn another_listener_than_loopback_does_not_start_without_tls_and_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("byway.toml");
    for text in [
        "[gateway]\nlisten = \"0.0.0.0:0\"\n",
        "[listener.x]\naddr = \"[::]:0\"\ncallers = \"loopback\"\n",
        "[listener.x]\naddr = \"192.0.2.1:7070\"\ncallers = \"token\"\n",
    ] {
        std::fs::write(&config, text).expect("writable");
        let output = std::process::Command::new(byway_e2e::process::binary())
            .args(["serve", "--config"])
            .arg(&config)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains("TLS"), "{said}");
    }
}
