//! Which addresses lead back to us.

use super::*;

fn check(to: &str, own: &[&str]) -> bool {
    let own: Vec<SocketAddr> = own.iter().map(|text| text.parse().unwrap()).collect();
    is_own(to.parse().unwrap(), &own)
}

#[test]
fn a_listener_on_one_address_is_reached_through_that_address() {
    assert!(check("127.0.0.1:7070", &["127.0.0.1:7070"]));
    assert!(check("[::ffff:127.0.0.1]:7070", &["127.0.0.1:7070"]));
    assert!(check("0.0.0.0:7070", &["127.0.0.1:7070"]), "0.0.0.0 is loopback to connect()");
    assert!(!check("127.0.0.1:7071", &["127.0.0.1:7070"]));
    assert!(!check("127.0.0.2:7070", &["127.0.0.1:7070"]));
    assert!(!check("127.0.0.1:7070", &[]));
}

#[test]
fn a_listener_on_every_address_is_reached_through_any_of_this_machine() {
    assert!(check("127.0.0.9:7070", &["0.0.0.0:7070"]));
    assert!(check("127.0.0.9:7070", &["[::]:7070"]));
    assert!(check("[::1]:7070", &["[::]:7070"]));
    assert!(!check("[::1]:7070", &["0.0.0.0:7070"]));
    assert!(!check("192.0.2.1:7070", &["0.0.0.0:7070"]));
    assert!(!check("127.0.0.9:80", &["0.0.0.0:7070"]));
}
