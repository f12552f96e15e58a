//! Every kind of mistake in every section.

use byway_core::classify::{Class, Confidence, OwnSignature};
use byway_core::settings::{Callers, PathKind};
use expect_test::expect;

use super::{check, settings};

#[test]
fn gateway_and_admin() {
    check(
        r#"
[gateway]
listen = "localhost:7070"
workers = 0
instance = "two words"
names = ["gw.example.com", "http://x", 5]
unlisted_allow = ["10.0.0.0/8", "10.0.0.0/33"]
drain = "25h"
trusted_roots = ["c.pem", "none.pem", "missing.pem"]
[admin]
listen = "192.168.0.1:7071"
enabled = "yes"
"#,
        expect![[r#"
            3:10 this is not an address with a port (write an address and a port: "127.0.0.1:7070", "[::1]:7070")
            4:11 must be between 1 and 1024
            5:12 an instance is named by 1 to 63 letters, digits, `-`, `_` and `.`
            6:28 this is not a host name (write it without scheme and port: "gateway.example.com")
            6:40 expected a string, found an integer
            7:33 expected an address or a network such as `10.0.0.0/8` or `fd00::/8`
            8:9 must be more than zero and at most 24 hours
            9:27 the file holds no certificate in PEM
            9:39 cannot read this file: entity not found (relative paths are meant from the configuration file)
            11:10 the admin listener must be on a loopback address: it has no login
            12:11 expected `true` or `false`, found a string
        "#]],
    );
    check(
        "[admin]\nlisten = \"127.0.0.1:7070\"",
        expect![[r#"
        2:10 callers come in at this address already
    "#]],
    );
    check(
        "admin = false\nlimit = {}",
        expect![[r#"
        1:9 expected a table, found a boolean
        2:1 unknown section `limit` (did you mean `limits`?)
    "#]],
    );
    let off = settings("[admin]\nenabled = false\n[gateway]\ninstance = \"a\"\nworkers = 3");
    assert!(off.admin.is_none());
    assert_eq!((off.instance.as_str(), off.n_workers), ("a", 3));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn listeners_for_other_machines_are_guarded() {
    check(
        "[listener.a]\naddr = \"0.0.0.0:1\"\n",
        expect![[r#"
        1:11 other machines can reach this address, so its callers must show who they are (write `callers = "token"` or `callers = "certificate"`)
        2:8 other machines can reach this address, so it needs TLS: whoever listens in would see the requests (add `[listener.NAME.tls]` with `chain` and `key`)
    "#]],
    );
    check(
        r#"
[listener.a]
addr = "[::]:7443"
callers = "token"
tls = { chain = "c.pem", key = "k.pem" }
"#,
        expect![[r#"
            4:11 there is no token to ask for (add `[[listener.NAME.token]]` with `name` and `token`)
        "#]],
    );
    check(
        r#"
[listener.a]
addr = "127.0.0.1:7070"
[[listener.a.token]]
name = "x"
token = "env:TOKEN"
[listener.b]
callers = "certificate"
tls = { chain = "c.pem", key = "k.pem" }
[listener.c]
addr = "127.0.0.1:1"
callers = "certificates"
tls = { chain = "none.pem", client_roots = "c.pem" }
[listener.d]
addr = "127.0.0.1:2"
callers = "token"
tls = { chain = "c.pem", key = "k.pem", client_roots = "c.pem" }
token = [
  { name = "a:b", token = "env:TOKEN" },
  { name = "x", token = "env:BLANK" },
  { name = "y", token = "env:TOKEN" },
  { name = "y", token = "env:EMPTY" },
  { name = "y", token = "env:TOKEN" },
  { nmae = "z" },
]
"#,
        expect![[r#"
            3:8 another listener has this address already
            4:14 these tokens would be asked of nobody (write `callers = "token"` to ask for tokens)
            7:11 `addr` is missing
            8:11 client certificates need `[listener.NAME.tls]` with `client_roots`
            12:11 expected `loopback`, `token` or `certificate`
            13:1 `key` is missing
            13:17 the file holds no certificate in PEM
            17:1 `client_roots` is set, but nobody is asked for a certificate (write `callers = "certificate"` to ask for them)
            19:12 a caller is named by 1 to 63 letters, digits, `-`, `_` and `.`
            20:25 a token is visible ASCII without spaces
            22:25 the secret is empty
            23:12 another token has this name already
            24:3 `name` is missing
            24:3 `token` is missing
            24:5 unknown key `nmae` in `listener.NAME.token` (expected `name` or `token`)
        "#]],
    );
    let good = settings(
        r#"
[listener.a]
addr = "0.0.0.0:7443"
callers = "token"
tls = { chain = "c.pem", key = "k.pem" }
token = [{ name = "x", token = "file:pw" }]
[listener.b]
addr = "0.0.0.0:7444"
callers = "certificate"
tls = { chain = "c.pem", key = "k.pem", client_roots = "c.pem" }
"#,
    );
    assert_eq!(good.listeners.len(), 3);
    let Callers::Token(tokens) = &good.listeners[1].callers else { panic!("no tokens") };
    assert_eq!(tokens[0].token.reveal(), b"s3cret");
    assert!(matches!(good.listeners[2].callers, Callers::Certificate));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn paths_are_of_one_kind() {
    check(
        r#"
[path.none]
[path.both]
direct = {}
socks5 = { addr = "127.0.0.1:1" }
[path.direct.socks5]
addr = "127.0.0.1:1"
[path.a.source-ip]
addr = "0.0.0.0"
[path.b.source-ip]
[path.c.http-proxy]
addr = "http://proxy:3128"
resolve = "anywhere"
[path.d.http-proxy]
addr = "proxy"
user = "x"
[path.e.socks5]
addr = "proxy:0"
byway = true
password = "env:TOKEN"
[path.f.http-proxy]
addr = "::1:3128"
user = "a:b"
password = "env:NOPE"
[path.g.http-proxy]
addr = "1.2.3.999:3128"
[path.h]
direct = 1
[path.I.direct]
"#,
        expect![[r#"
            2:7 this path has no kind (write `[path.none.KIND]` with `direct`, `source-ip`, `http-proxy`, `socks5`, `peer` or `relay`)
            3:7 a path is of one kind only
            6:7 `direct` is always the direct way out; give this path another name
            9:8 this must be one address of this machine
            10:9 `addr` is missing
            12:8 expected `host:port`, without a scheme and without credentials (write host and port: "proxy.example.com:3128")
            13:11 expected `here` or `there`
            15:8 the port is missing (write host and port: "proxy.example.com:3128")
            16:1 `user` needs a `password`
            18:15 a port is a number from 1 to 65535
            19:1 unknown key `byway` in `path.NAME.socks5` (expected `addr`, `user`, `password` or `resolve`)
            20:1 `password` needs a `user`
            22:9 an IPv6 address needs brackets here (write `[::1]:443`)
            23:8 a user name for an HTTP proxy has no `:` (RFC 7617)
            24:12 the environment variable `NOPE` is not set
            26:9 this looks like an IPv4 address and is none
            28:10 expected a table, found an integer
            29:7 a name is 1 to 63 of `a-z`, `0-9` and `-`, and neither starts nor ends with `-`
        "#]],
    );
    let good = settings(
        r#"
[path.p.http-proxy]
addr = "Proxy.example.com:3128"
user = "u"
password = "env:TOKEN"
byway = true
[path.s.socks5]
addr = "[::1]:1080"
[path.i.source-ip]
addr = "192.0.2.1"
[path.direct.direct]
"#,
    );
    let names: Vec<&str> = good.paths.iter().map(|path| path.name.as_str()).collect();
    assert_eq!(names, ["direct", "p", "s", "i"]);
    let PathKind::HttpProxy(hop) = &good.paths[1].kind else { panic!("no proxy") };
    assert_eq!((hop.host.as_str(), hop.port, hop.is_byway), ("proxy.example.com", 3128, true));
    let PathKind::Socks5(hop) = &good.paths[2].kind else { panic!("no proxy") };
    assert_eq!((hop.host.as_str(), hop.port), ("::1", 1080));
}

#[test]
fn providers_are_checked_together() {
    check(
        r#"
[provider.none]
[provider.empty]
hosts = []
[provider.a]
url = "http://127.0.0.1:9000"
[provider.b]
url = "http://169.254.169.254"
allow_private = true
[provider.c]
hosts = ["api.example.com", "https://x", "a:1", "*.example.com"]
paths = []
[provider.d]
url = "https://API.example.com:8443/"
hosts = ["*.EXAMPLE.com"]
paths = ["direct", "direct", "driect"]
[provider.observed]
url = "https://x.test"
allow = ["10.0.0.0/8", "ten"]
[provider.e]
url = "https://user:hunter2@x.test"
tls = { certificate = "c.pem", roots = ["k.pem", "none.pem"] }
"#,
        expect![[r#"
            2:11 a provider needs `url` or `hosts` (add `url = "https://api.example.com"`, or `hosts` for a provider that is only reached as a proxy target)
            3:11 a provider needs `url` or at least one host
            6:7 this is a loopback address, which requests may not reach (write `allow_private = true` if the provider is on a network of yours)
            8:7 this is a metadata address, which requests may not reach (write `allow = ["169.254.169.254"]` if you mean it)
            11:10 this host belongs to the provider `d` already
            11:29 this is not a host (write it without scheme, port and path: "api.example.com" or "*.example.com")
            11:42 this is not a host (write it without scheme, port and path: "api.example.com" or "*.example.com")
            12:9 a provider needs at least one path (leave `paths` out for `["direct"]`)
            15:10 this host belongs to the provider `c` already
            16:20 this path is listed already
            16:30 no such path is defined (did you mean `direct`?)
            17:11 `observed` stands for hosts that no provider lists
            19:24 expected an address or a network such as `10.0.0.0/8` or `fd00::/8`
            21:16 a URL must not carry credentials (callers send credentials to the provider themselves)
            22:9 `certificate` needs a `key`
            22:50 the file holds no certificate in PEM
        "#]],
    );
    let many: Vec<String> = (0..6).map(|n| format!("[path.p{n}.direct]")).collect();
    let text = many.join("\n")
        + "\n[provider.a]\nurl = \"https://a.test\"\npaths = [\"p0\", \"p1\", \"p2\", \"p3\", \"p4\", \"p5\", \"direct\"]";
    check(
        &text,
        expect![[r#"
        9:9 a provider has at most 6 paths
    "#]],
    );
    let good = settings(
        r#"
[deadlines]
connect = "3s"
[provider.b]
url = "https://b.test"
deadlines = { tls = "1s" }
tls = { certificate = "c.pem", key = "k.pem", roots = ["c.pem"] }
[provider.a]
url = "http://localhost:9000"
allow_private = true
"#,
    );
    let names: Vec<&str> = good.providers.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["b", "a"], "in the order of the file");
    let deadlines = good.providers[0].deadlines;
    assert_eq!((deadlines.connect.as_secs(), deadlines.tls.as_secs()), (3, 1));
    assert!(good.providers[0].tls.identity.is_some());
}

#[test]
fn the_other_tables() {
    check(
        r#"
[limits]
head_bytes_max = 2048
target_bytes_max = "4 KiB"
n_connections_max = -1
n_idle_per_lane_max = 1.5
replay_bytes_max = "99999999999999999999 GiB"
[deadlines]
connect = "0s"
total = "-1s"
frist_byte = "1s"
[log]
format = "yaml"
requests = true
[dns]
servers = ["192.0.2.53", "[2001:db8::1]:53", "ns.example.com", "0.0.0.0"]
[otlp]
endpoint = "127.0.0.1:4318"
one_in = 0
"#,
        expect![[r#"
            4:20 `target_bytes_max` must not be more than `head_bytes_max`
            5:21 must be between 1 and 10000000
            6:23 expected an integer, found a float
            7:20 this is not a size (write a number of bytes, or a number with `KiB` or `MiB`: "64 KiB")
            9:11 must be more than zero and at most 24 hours
            10:9 must be more than zero and at most 24 hours
            11:1 unknown key `frist_byte` in `deadlines` (did you mean `first_byte`?)
            13:10 expected `text` or `json`
            14:12 expected a string, found a boolean
            16:46 this is not the address of a name server (write an address: "192.0.2.53", "192.0.2.53:5353", "[2001:db8::1]:53")
            16:64 this is not the address of a name server (write an address: "192.0.2.53", "192.0.2.53:5353", "[2001:db8::1]:53")
            18:13 a URL starts with `https://` or `http://` (write the collector's base address: "http://127.0.0.1:4318")
            19:10 must be between 1 and 1000000
        "#]],
    );
    check(
        "[otlp]",
        expect![[r#"
        1:2 `endpoint` is missing
    "#]],
    );
    let good = settings(
        "[limits]\nhead_bytes_max = 0x8000\n[dns]\nservers = [\"192.0.2.53\", \"[::1]:5353\"]\n\
         [otlp]\nendpoint = \"http://127.0.0.1:4318/\"",
    );
    assert_eq!(good.limits.head_bytes_max, 32_768);
    assert_eq!(format!("{:?}", good.dns.servers), "[192.0.2.53:53, [::1]:5353]");
    assert_eq!(good.otlp.unwrap().endpoint, "http://127.0.0.1:4318");
}

#[test]
fn signatures_say_what_they_look_for() {
    check(
        r#"
[signature.Wall]
says = "two\nlines"
class = "blocked"
confidence = 3
status = [403, 99, "404"]
field = "X Wall"
field_contains = " "
body_contains = ""
bodi = "x"
[signature.akamai-18]
says = "x"
class = "challenge"
status = [403]
[signature.b]
field_contains = "deny"
[signature.c]
says = "y"
class = "denied"
"#,
        expect![[r#"
            2:12 a name is 1 to 63 of `a-z`, `0-9` and `-`, and neither starts nor ends with `-`
            3:8 must be 1 to 120 characters in one line (write what the refusal is, as a noun phrase: "block page of Example")
            4:9 expected `blocked_ip`, `challenge`, `denied`, `rate_limited`, `client_error`, `auth`, `outage`, `overload` or `contract`
            5:14 expected a string, found an integer
            6:16 must be between 200 and 599
            6:20 expected an integer, found a string
            7:9 this is not the name of a field (write its name alone: "X-Example-Block")
            8:18 must be 1 to 1024 bytes, and not only space
            9:17 must be 1 to 1024 bytes, and not only space
            10:1 unknown key `bodi` in `signature.NAME` (expected `says`, `class`, `confidence`, `status`, `field`, `field_contains` or `body_contains`)
            11:12 a shipped signature has this name already
            11:12 this matches every answer, or every one of a status (add `field` or `body_contains`: a status alone says too little)
            15:12 `says` is missing
            15:12 `class` is missing
            16:1 `field_contains` needs `field`, which names the field
            17:12 this matches every answer, or every one of a status (add `field` or `body_contains`: a status alone says too little)
        "#]],
    );
}

#[test]
fn signatures_are_read_with_all_their_parts() {
    let read = settings(
        r#"
[signature.wall]
says = " block page of Example "
class = "challenge"
confidence = "strong"
status = [403, 406]
field = "X-Wall"
field_contains = "Deny"
body_contains = "You shall not pass"
[signature.short]
says = "limit of Example"
class = "rate_limited"
body_contains = "slow down"
"#,
    );
    let wall = OwnSignature {
        name: "wall".to_owned(),
        says: "block page of Example".to_owned(),
        verdict: Some((Class::Challenge, Confidence::Strong)),
        status: vec![403, 406],
        field: Some(("X-Wall".to_owned(), "Deny".to_owned())),
        body: Some("You shall not pass".to_owned()),
    };
    let short = OwnSignature {
        name: "short".to_owned(),
        says: "limit of Example".to_owned(),
        verdict: Some((Class::RateLimited, Confidence::Likely)),
        body: Some("slow down".to_owned()),
        ..OwnSignature::default()
    };
    assert_eq!(read.signatures, [wall, short]);
}

#[test]
fn signatures_are_not_without_number() {
    let signature =
        |n| format!("[signature.s{n}]\nsays = \"x\"\nclass = \"denied\"\nfield = \"a\"\n");
    let many = |n: u32| (0..n).map(signature).collect::<String>();
    assert_eq!(settings(&many(256)).signatures.len(), 256);
    check(
        &many(257),
        expect![[r#"
        1025:12 more than 256 signatures
    "#]],
    );
}
