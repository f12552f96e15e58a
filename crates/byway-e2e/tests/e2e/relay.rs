//! Relays: every byte arrives, every lock holds, and what goes wrong is the relay's and nobody
//! else's.

use std::net::SocketAddr;

use byway_drill::platform::Front;
use byway_e2e::lambda::Lambda;
use byway_e2e::pki::Authority;
use byway_e2e::relay::{Kit, Relay};

use crate::fidelity::{compare_over_relay, plain_world_of, tls_world_of};

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
