//! Addresses of the provider, as a caller that came by base URL gets them.

use byway_core::route::Scheme;

use super::*;

fn check(path: &str, rows: &[(&str, Option<&str>)]) {
    let origin = Origin { scheme: Scheme::Https, host: "api.example.com".to_owned(), port: 443 };
    let home = Home { origin: &origin, scheme: "http", host: "127.0.0.1:7070", path };
    for (location, due) in rows {
        let found = home.map_back(location.as_bytes());
        let found = found.map(|found| String::from_utf8_lossy(&found).into_owned());
        assert_eq!(found.as_deref(), *due, "{location}");
    }
}

#[test]
fn only_the_provider_s_own_origin_leads_back() {
    check(
        "/to/api",
        &[
            ("https://api.example.com/a?b#c", Some("http://127.0.0.1:7070/to/api/a?b#c")),
            ("https://api.example.com:443/a", Some("http://127.0.0.1:7070/to/api/a")),
            ("HTTPS://API.Example.COM/a", Some("http://127.0.0.1:7070/to/api/a")),
            ("https://api.example.com", Some("http://127.0.0.1:7070/to/api")),
            ("https://api.example.com?q", Some("http://127.0.0.1:7070/to/api?q")),
            ("//api.example.com/a", Some("http://127.0.0.1:7070/to/api/a")),
            ("/a//b/../%zz", Some("/to/api/a//b/../%zz")),
            ("http://api.example.com/a", None),
            ("https://api.example.com:8443/a", None),
            ("https://api.example.com.evil.example/a", None),
            ("https://user@api.example.com/a", None),
            ("https://other.example/a", None),
            ("a/b", None),
            ("?q", None),
            ("#f", None),
            ("", None),
        ],
    );
}

#[test]
fn a_provider_named_in_the_host_keeps_its_paths() {
    check("", &[("/a", None), ("https://api.example.com/a", Some("http://127.0.0.1:7070/a"))]);
}
