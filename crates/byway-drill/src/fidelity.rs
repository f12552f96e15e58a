//! The fidelity corpus: requests and answers that something on the way is known to have changed, and
//! an origin that tells what arrived.
//!
//! Each case was somebody's bug: a decoded slash, a split query, a joined field, a lost byte.

use byway_wire::relay::Field;

/// What a case sends; `{host}` in its fields stands for the origin's `Host`.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about, short.
    pub name: String,
    /// The method.
    pub method: &'static str,
    /// The target.
    pub target: Vec<u8>,
    /// Field lines without `Host`, with their CR LF.
    pub fields: Vec<u8>,
    /// The body as framed by the fields.
    pub body: Vec<u8>,
    /// How the host is written.
    pub host: Host,
}

/// How a case writes the origin's host in its `Host` field; the connection leads to the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// As it is.
    Plain,
    /// With a dot at the end.
    Dot,
    /// In upper case.
    Upper,
    /// With its port, also where it goes without saying.
    Port,
}

impl Case {
    fn new(name: &str, method: &'static str, target: &[u8]) -> Self {
        let (fields, body) = (Vec::new(), Vec::new());
        let (name, target) = (name.to_owned(), target.to_vec());
        Self { name, method, target, fields, body, host: Host::Plain }
    }

    fn fields(self, fields: &[u8]) -> Self {
        Self { fields: fields.to_vec(), ..self }
    }

    fn body(self, body: Vec<u8>) -> Self {
        let fields = format!("Content-Length: {}\r\n", body.len()).into_bytes();
        Self { fields, body, ..self }
    }

    /// The head for an origin of this authority (`host` or `host:port`) on this port.
    pub fn head(&self, authority: &str, port: u16) -> Vec<u8> {
        let (host, behind) = match authority.rsplit_once(':') {
            Some((host, _)) if !authority.ends_with(']') => (host, format!(":{port}")),
            _ => (authority, String::new()),
        };
        let host = match self.host {
            Host::Plain => authority.to_owned(),
            Host::Dot => format!("{host}.{behind}"),
            Host::Upper => authority.to_ascii_uppercase(),
            Host::Port => format!("{host}:{port}"),
        };
        let parts: [&[u8]; 7] = [
            self.method.as_bytes(),
            b" ",
            &self.target,
            b" HTTP/1.1\r\nHost: ",
            host.as_bytes(),
            b"\r\n",
            &self.fields,
        ];
        let mut head = parts.concat();
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Targets that were decoded, encoded, split, joined or normalised somewhere.
const TARGETS: [&[u8]; 41] = [
    b"/a%2Fb",
    b"/a%252Fb",
    b"/%7C",
    b"/|",
    b"/;x=1",
    b"/a;b=1;c",
    b"/?a=1&a=2&b",
    b"/?a=b+c",
    b"/?a=b%20c",
    b"/?a;b=1",
    b"/?=",
    b"/?&&",
    b"/?",
    b"/??a=?",
    b"/?z=1&a=2&z=3",
    b"/[]",
    b"/?a[]=1&a[]=2",
    b"/{}",
    b"/?q={\"a\":1}",
    b"/\"^`<>\\",
    b"/\xed\x95\x9c\xea\xb8\x80?q=\xea\xb0\x80\xec\x9d\x84",
    b"/%ED%95%9C%EA%B8%80?q=%EA%B0%80",
    b"/?q=\xc7\xd1\xb1\xdb",
    b"/?q=%C7%D1%B1%DB",
    b"/%E9",
    b"/\xe9",
    b"//",
    b"//a//b",
    b"/./a",
    b"/a/../b",
    b"/../",
    b"/a/",
    b"/a/?",
    b"/%23",
    b"/%zz%",
    b"/a:b@c?d@e:80",
    b"/http://other.example/x",
    b"/?u=https://other.example/%3Fa%3Db",
    b"/ping",
    b"/~!$'()*,-._",
    b"/%00%0a%0d",
];

/// Sizes of bodies around the limits of platforms, in bytes.
pub const SIZES: [usize; 5] = [4_300_000, 4_500_000, 6_000_000, 10_000_000, 32_000_000];

/// Every case whose answer is an echo.
pub fn corpus() -> Vec<Case> {
    let shown = |target: &[u8]| target.escape_ascii().to_string();
    let mut cases: Vec<Case> =
        TARGETS.iter().map(|target| Case::new(&shown(target), "GET", target)).collect();
    let long = format!("/{}", "u".repeat(8192)).into_bytes();
    cases.push(Case::new("8 KB target", "GET", &long));
    let large = format!("X-Large: {}\r\n", "h".repeat(12_000)).into_bytes();
    cases.push(Case::new("12 KB field", "GET", b"/").fields(&large));
    for (name, method, fields) in FIELDS {
        cases.push(Case::new(name, method, b"/").fields(fields.as_bytes()));
    }
    let bytes = b"X-Bytes: \xed\x95\x9c \xc7\xd1 \xe9\r\n";
    cases.push(Case::new("raw bytes in a field", "GET", b"/").fields(bytes));
    for (name, host) in [
        ("host with a dot", Host::Dot),
        ("host in upper case", Host::Upper),
        ("host with its port", Host::Port),
    ] {
        cases.push(Case { host, ..Case::new(name, "GET", b"/") });
    }
    for method in ["HEAD", "DELETE", "OPTIONS", "PROPFIND", "PATCH"] {
        cases.push(Case::new(&format!("method {method}"), method, b"/"));
    }
    cases.push(Case::new("binary body", "POST", b"/").body((0..=255).cycle().take(1024).collect()));
    cases.push(Case::new("empty body", "POST", b"/").body(Vec::new()));
    cases.push(Case {
        fields: b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n".to_vec(),
        body: b"5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: \xe9\r\nX-Sum:2\r\n\r\n".to_vec(),
        ..Case::new("chunks and trailers", "PUT", b"/")
    });
    for size in SIZES {
        let body = (0..size).map(|n| u8::try_from(n % 251).unwrap_or(0)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a name")]
        let name = format!("body of {:.1} MB", size as f64 / 1_000_000.0);
        cases.push(Case::new(&name, "POST", b"/").body(body));
    }
    cases
}

/// Fields that platforms join, drop, remap, obey or answer to themselves.
const FIELDS: [(&str, &str, &str); 12] = [
    ("repeats, case, whitespace", "GET", "X-A: 1\r\nx-a:2\r\nX-A:  3 \t\r\nX-Empty:\r\n"),
    ("accept with a list", "GET", "Accept: a/b, c/d;q=0.1\r\nAccept: e/f\r\n"),
    (
        "signature for the provider",
        "GET",
        "Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0\r\n",
    ),
    ("bearer for the provider", "GET", "Authorization: Bearer a.b.c\r\n"),
    ("date", "GET", "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"),
    ("range", "GET", "Range: bytes=0-1,5-\r\n"),
    ("method override", "GET", "X-HTTP-Method-Override: DELETE\r\n"),
    ("cookies", "GET", "Cookie: a=1; b=\"2\"\r\nCookie: c=3\r\n"),
    (
        "fields of proxies",
        "GET",
        "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\nVia: 1.0 a\r\n",
    ),
    ("user agent", "GET", "User-Agent: odd/1 (x; y)\r\n"),
    ("accepted codings", "GET", "Accept-Encoding: br;q=0.5, zstd\r\n"),
    (
        "trace context",
        "GET",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    ),
];

/// What an origin that echoes says it got: the head, the content, and the trailers as lines.
pub fn told(head: &[u8], content: &[u8], trailers: &[Field]) -> Vec<u8> {
    let mut out = [head, content].concat();
    for trailer in trailers {
        trailer.write(&mut out);
    }
    out
}

/// Answers that platforms decode, remap, complete or cut: what is asked for, and what comes.
pub const ANSWERS: [(&str, &str, &[u8]); 8] = [
    (
        "repeated Set-Cookie",
        "/byway-answer/cookies",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nSET-COOKIE:c=3\r\nContent-Length: 2\r\n\r\nok",
    ),
    (
        "gzip with a length",
        "/byway-answer/gzip",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\nContent-Length: 25\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00",
    ),
    ("204", "/byway-answer/204", b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
    (
        "304 with a length",
        "/byway-answer/304",
        b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n",
    ),
    (
        "chunks and trailers",
        "/byway-answer/trailers",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
    (
        "fields of platforms",
        "/byway-answer/fields",
        b"HTTP/1.1 418 I'm a teapot \xed\x95\x9c\r\nServer: odd\r\nDate: x\r\nX-Amzn-Remapped-Date: y\r\nVia: 1.0 a\r\nAge: 3\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "redirect",
        "/byway-answer/redirect",
        b"HTTP/1.1 302 Found\r\nLocation: http://other.example/a%2Fb?x=1;y\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "429 of the provider",
        "/byway-answer/429",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
    ),
];

/// An answer of this many zero bytes: `/byway-answer/stream/N`.
pub const STREAM: &str = "/byway-answer/stream/";
