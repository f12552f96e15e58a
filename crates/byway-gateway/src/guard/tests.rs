//! Who may call, as tables.

use byway_core::route::Scheme;
use byway_core::secret::Secret;
use byway_wire::request::Limits;

use super::*;

fn with_head<T>(fields: &str, check: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let raw = format!("GET /to/a/ HTTP/1.1\r\nHost: 127.0.0.1:7070\r\n{fields}\r\n");
    let mut spans = Vec::new();
    let head = RequestHead::parse(raw.as_bytes(), &Limits::default(), &mut spans);
    check(&head.expect("a request"))
}

#[test]
fn credentials_are_bearer_or_basic() {
    let token =
        |name: &str, token: &str| CallerToken { name: name.to_owned(), token: Secret::new(token) };
    let callers = Callers::Token(vec![token("billing", "t0ken"), token("shop", "a:b")]);
    for (value, is_known) in [
        ("Bearer t0ken", true),
        ("BEARER  t0ken ", true),
        ("Bearer a:b", true),
        ("Basic YmlsbGluZzp0MGtlbg==", true), // billing:t0ken
        ("Basic c2hvcDphOmI=", true),         // shop:a:b
        ("Basic c2hvcDp0MGtlbg==", false),    // shop:t0ken
        ("Basic OnQwa2Vu", false),            // :t0ken
        ("Basic YmlsbGluZw==", false),        // billing
        ("Basic !", false),
        ("Bearer t0ke", false),
        ("Bearer t0kenx", false),
        ("Bearer", false),
        ("t0ken", false),
        ("Digest t0ken", false),
        ("", false),
    ] {
        let fields = format!("Proxy-Authorization: {value}\r\n");
        let found = with_head(&fields, |head| credentials(&callers, head));
        let due = if is_known { Ok(()) } else { Err(Cause::CallerUnauthorised) };
        assert_eq!(found, due, "{value}");
    }
    let none = with_head("", |head| credentials(&callers, head));
    assert_eq!(none, Err(Cause::CallerUnauthorised));
    let other = with_head("Authorization: Bearer t0ken\r\n", |head| credentials(&callers, head));
    assert_eq!(other, Err(Cause::CallerUnauthorised));
    assert_eq!(with_head("", |head| credentials(&Callers::Loopback, head)), Ok(()));
}

#[test]
fn a_host_names_the_gateway_or_a_provider_or_nothing_of_ours() {
    let names = ["gateway.example".to_owned()];
    for (text, is_loopback, due) in [
        ("127.0.0.1", true, Ok(HostNames::Gateway)),
        ("127.9.9.9:7070", true, Ok(HostNames::Gateway)),
        ("[::1]:7070", true, Ok(HostNames::Gateway)),
        ("localhost", true, Ok(HostNames::Gateway)),
        ("LOCALHOST:1", true, Ok(HostNames::Gateway)),
        ("Gateway.Example", true, Ok(HostNames::Gateway)),
        ("api.localhost", true, Ok(HostNames::Provider("api"))),
        ("api.gateway.example:80", true, Ok(HostNames::Provider("api"))),
        ("evil.example", true, Err(Cause::HostUnknown)),
        ("xlocalhost", true, Err(Cause::HostUnknown)),
        ("localhost.evil.example", true, Err(Cause::HostUnknown)),
        ("192.0.2.1", true, Err(Cause::HostUnknown)),
        ("192.0.2.1", false, Ok(HostNames::Gateway)),
        ("evil.example", false, Ok(HostNames::Gateway)),
    ] {
        let authority = Authority::parse(text.as_bytes()).expect("a host");
        assert_eq!(host(Some(&authority), &names, is_loopback), due, "{text} {is_loopback}");
    }
    assert_eq!(host(None, &names, true), Ok(HostNames::Gateway));
}

#[test]
fn web_pages_give_themselves_away() {
    let provider = Origin { scheme: Scheme::Https, host: "api.example.com".to_owned(), port: 443 };
    for (fields, may) in [
        ("", true),
        ("Sec-Fetch-Site: none\r\n", true),
        ("Sec-Fetch-Site: same-origin\r\n", true),
        ("Sec-Fetch-Site: same-site\r\n", false),
        ("Sec-Fetch-Site: cross-site\r\n", false),
        ("Sec-Fetch-Site:\r\n", false),
        ("Origin: http://127.0.0.1:7070\r\n", true),
        ("Origin: https://api.example.com\r\n", true),
        ("Origin: https://evil.example\r\n", false),
        ("Origin: http://127.0.0.1:7071\r\n", false),
        ("Origin: null\r\n", false),
        ("Origin: https://api.example.com\r\nSec-Fetch-Site: cross-site\r\n", false),
    ] {
        let found = with_head(fields, |head| web_page(head, Some(&provider)));
        assert_eq!(found.is_ok(), may, "{fields}");
    }
}
