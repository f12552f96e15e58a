//! Origins as people write them.

use super::*;

fn says(text: &str) -> String {
    match origin(text) {
        Ok(origin) => format!("{origin} ({}:{})", origin.host, origin.port),
        Err(wrong) => format!("[{}] {}", text.get(wrong.part).unwrap(), wrong.message),
    }
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    for (text, expected) in [
        ("https://api.example.com", "https://api.example.com (api.example.com:443)"),
        ("HTTP://API.Example.com.:8080/", "http://api.example.com:8080 (api.example.com:8080)"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443 (2001:db8::1:8443)"),
        ("http://127.1", "http://127.0.0.1 (127.0.0.1:80)"),
        ("api.example.com", "[api.example.com] a URL starts with `https://` or `http://`"),
        ("ftp://x", "[ftp] the scheme must be `http` or `https`"),
        ("https://x/v1?a", "[/v1?a] this must be an origin: no path, query or fragment"),
        ("https://u:p@x", "[u:p@] a URL must not carry credentials"),
        ("https://x:99999", "[99999] a port is a number from 1 to 65535"),
        ("https://x:", "[x:] a port is a number from 1 to 65535"),
        ("https://x:+1", "[+1] a port is a number from 1 to 65535"),
        ("https://::1", "[::1] an IPv6 address needs brackets here"),
        ("https://[::1", "[[::1] the closing `]` is missing"),
        ("https://[::1]x", "[x] expected `:` and a port here"),
        ("https://[x]", "[x] this is not a host name"),
        ("https://[127.0.0.1]", "[127.0.0.1] this is not a host name"),
        ("https://", "[] the host is missing"),
        ("https://a b", "[a b] this is not a host name"),
        ("https://*.example.com", "[*.example.com] this is not a host name"),
        ("https://1.2.3.999", "[1.2.3.999] this looks like an IPv4 address and is none"),
        ("https://bücher.example", "[bücher.example] this is not a host name in ASCII"),
    ] {
        assert_eq!(says(text), expected, "{text}");
    }
}
