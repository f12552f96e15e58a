//! Relays: every byte arrives, every lock holds, and what goes wrong is the relay's and nobody
//! else's.

use std::net::SocketAddr;

use byway_drill::platform::Front;
use byway_e2e::gateway::Gateway;
use byway_e2e::lambda::Lambda;
use byway_e2e::peer::PeerKit;
use byway_e2e::pki::Authority;
use byway_e2e::relay::{Kit, Relay};

use crate::fidelity::{compare, compare_over_relay, plain_world_of, tls_world_of};

/// Loopback is a network like any other that nobody may reach unless it is listed.
const NEAR: &str = "networks = [\"127.0.0.0/8\"]\nreplay_accepted = \"a test\"";

pub(crate) fn kit(origin: SocketAddr, more: &str) -> Kit {
    Kit::new("relay-1", &[origin.to_string()], &format!("{NEAR}\n{more}"))
}

/// A kit for an origin whose certificate the relay has to trust.
fn kit_trusting(origin: SocketAddr, authority: &Authority) -> Kit {
    let kit = kit(origin, "roots = [\"roots.pem\"]");
    std::fs::write(kit.folder.path().join("roots.pem"), &authority.pem).expect("writable");
    kit
}

#[test]
fn bytes_arrive_over_a_plain_relay() {
    let mut kept = None;
    let world = plain_world_of(|origin| {
        let kit = kit(origin, "");
        let relay = Relay::start(&kit, &[]);
        let path = kit.path(&relay.url(), "plain", "");
        kept = Some((kit, relay));
        path
    });
    compare_over_relay("plain relay", &world);
}

#[test]
fn bytes_arrive_over_a_plain_relay_to_tls() {
    let mut kept = None;
    let world = tls_world_of(|origin, authority| {
        let kit = kit_trusting(origin, authority);
        let relay = Relay::start(&kit, &[]);
        let path = kit.path(&relay.url(), "plain", "");
        kept = Some((kit, relay));
        path
    });
    compare_over_relay("plain relay, TLS", &world);
}

#[test]
fn bytes_arrive_as_text_where_a_platform_knows_no_binary() {
    let mut kept = None;
    let world = plain_world_of(|origin| {
        let kit = kit(origin, "");
        let relay = Relay::start(&kit, &[]);
        let path = kit.path(&relay.url(), "plain", "text = true\nstream = false");
        kept = Some((kit, relay));
        path
    });
    compare_over_relay("plain relay, Base64", &world);
}

/// The relay as it runs on Lambda, behind a front that does all the documented harm.
fn over_lambda(front: Front, platform: &str, more: &str, environment: &[(&str, &str)]) {
    let mut kept = None;
    let world = plain_world_of(|origin| {
        let kit = kit(origin, "");
        let lambda = Lambda::start(&kit, front, 2, environment);
        let more = format!("replay_accepted = \"a test\"\n{more}");
        let path = kit.path(&lambda.url(), platform, &more);
        kept = Some((kit, lambda));
        path
    });
    compare_over_relay(platform, &world);
}

#[test]
fn bytes_arrive_over_a_function_url() {
    over_lambda(Front::FunctionUrl, "lambda-url", "", &[]);
}

#[test]
fn bytes_arrive_over_a_function_url_that_streams() {
    let streams = [("BYWAY_RELAY_STREAMING", "true")];
    over_lambda(Front::FunctionUrl, "lambda-url", "stream = true", &streams);
}

#[test]
fn bytes_arrive_over_an_http_api() {
    over_lambda(Front::HttpApi, "api-gateway-v2", "", &[]);
}

#[test]
fn bytes_arrive_over_a_rest_api() {
    over_lambda(Front::RestApi, "api-gateway-v1", "", &[]);
}

#[test]
fn bytes_arrive_over_a_rest_api_that_knows_no_binary() {
    over_lambda(Front::RestApiText, "api-gateway-v1", "text = true", &[]);
}

/// The signed requests of `aws-sigv4`'s vectors, as callers send them to a provider: their signature
/// holds at the other end only if not a byte of what it covers was touched.
#[test]
fn signed_requests_of_callers_arrive_as_they_were_signed() {
    let vectors = include_str!("../../../byway-cloud/src/aws/vectors.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).expect("JSON");
    let mut kept = None;
    let world = plain_world_of(|origin| {
        let kit = kit(origin, "");
        let lambda = Lambda::start(&kit, Front::HttpApi, 1, &[]);
        let path = kit.path(&lambda.url(), "api-gateway-v2", "replay_accepted = \"a test\"");
        kept = Some((kit, lambda));
        path
    });
    let mut n = 0;
    for vector in &vectors {
        let signed = vector["signed"].as_str().expect("text");
        let (head, body) = signed.split_once("\n\n").unwrap_or((signed, ""));
        let target = head.split(' ').nth(1).expect("a target");
        // A value over several lines and a space in a target are refused everywhere (RFC 9112).
        let is_refused = head.lines().any(|line| line.starts_with(' ')) || {
            let first = head.lines().next().expect("a line");
            first.matches(' ').count() > 2
        };
        if is_refused {
            continue;
        }
        let mut lines: Vec<&str> = head.lines().skip(1).collect();
        lines.retain(|line| !line.to_ascii_lowercase().starts_with("host:"));
        let has_length =
            lines.iter().any(|line| line.to_ascii_lowercase().starts_with("content-length:"));
        let length = format!("Content-Length:{}", body.len());
        if !has_length && !body.is_empty() {
            lines.push(&length);
        }
        let method = head.split(' ').next().expect("a method");
        let request = |host: &str, target: &str| {
            let fields: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n{body}")
        };
        let (arrived, due) = world.carry(&request, target);
        assert_eq!(arrived, due, "{}", vector["name"]);
        n += 1;
    }
    assert!(n >= 30, "{n} requests were carried");
}

/// A peer that lets tunnels to one origin pass, and its kit, which holds the files.
fn peer_to(origin: SocketAddr) -> (PeerKit, Gateway) {
    let kit = PeerKit::new();
    let provider = format!(
        "[provider.origin]\nurl = \"http://{origin}\"\nallow_private = true\njudge = false\n"
    );
    let peer = kit.start(&provider);
    (kit, peer)
}

#[test]
fn bytes_arrive_over_a_peer() {
    let mut kept = None;
    let world = plain_world_of(|origin| kept.insert(peer_to(origin)).0.path("token"));
    compare("peer", &world);
    let mut kept = None;
    let world = tls_world_of(|origin, _| kept.insert(peer_to(origin)).0.path("token"));
    compare("peer, TLS", &world);
}
