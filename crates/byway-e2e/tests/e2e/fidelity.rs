//! The fidelity corpus: what a caller sends arrives byte for byte through every way in × way out,
//! and so does what comes back. What cannot be kept is refused before anything is sent.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use byway_e2e::gateway::Gateway;
use byway_e2e::origin::{self, Origin};
use byway_e2e::pki::Authority;
use byway_e2e::process::{self, Process};
use byway_e2e::raw::{self, Kind, Message};
use byway_wire::body::Framing;
use byway_wire::content::Content;

/// A request without the parts that depend on the way in.
struct Case {
    method: &'static str,
    /// What follows the authority.
    target: Vec<u8>,
    /// Field lines without `Host`, with their CR LF.
    fields: Vec<u8>,
    body: Vec<u8>,
}

impl Case {
    fn get(target: &[u8]) -> Self {
        Self { method: "GET", target: target.to_vec(), fields: Vec::new(), body: Vec::new() }
    }

    fn with(method: &'static str, fields: &[u8], body: &[u8]) -> Self {
        Self { method, target: b"/x".to_vec(), fields: fields.to_vec(), body: body.to_vec() }
    }

    /// The request as it has to arrive.
    fn arriving(&self, authority: &str) -> Vec<u8> {
        self.sent(&self.target, authority)
    }

    /// The request with another target and `Host`, as the way in wants them.
    fn sent(&self, target: &[u8], host: &str) -> Vec<u8> {
        let (method, host) = (self.method.as_bytes(), host.as_bytes());
        [
            &[method, b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"].concat(),
            self.fields.as_slice(),
            b"\r\n",
            self.body.as_slice(),
        ]
        .concat()
    }
}

fn corpus() -> Vec<Case> {
    let targets: &[&[u8]] = &[
        b"/",
        b"/a%2Fb",
        b"/a%252Fb",
        b"/%7C",
        b"/|",
        b"/;x=1",
        b"/?a=1&a=2&b",
        b"/?a=b+c",
        b"/?a=b%20c",
        b"/?=",
        b"/?&&",
        b"/?",
        b"/??",
        b"/[]",
        b"/{}",
        b"/\"",
        b"/^",
        b"/`",
        b"/<>",
        b"/\xed\x95\x9c\xea\xb8\x80?q=\xea\xb0\x80",
        b"/%ED%95%9C%EA%B8%80",
        b"/?q=\xc7\xd1\xb1\xdb",
        b"/%C7%D1%B1%DB",
        b"/%E9",
        b"/\xe9",
        b"//",
        b"//a//b",
        b"/./",
        b"/../",
        b"/a/../b",
        b"/a/",
        b"/%23",
        b"/%zz",
        b"/%",
        b"/\\",
        b"/a:b@c?d@e:80",
        b"/http://other.example/x",
        b"/?u=http://other.example/",
        b"/~!$'()*,-._",
        b"/to/origin/x",
    ];
    let mut cases: Vec<Case> = targets.iter().map(|target| Case::get(target)).collect();
    cases.push(Case::get(format!("/{}", "u".repeat(8192)).as_bytes()));
    let large = format!("X-Large: {}\r\n", "h".repeat(12_000));
    for (method, fields, body) in [
        ("GET", b"Accept: a, b\r\naccept: c\r\nACCEPT:d\r\nX-Odd:   two  \t\r\nX-Empty:\r\n".as_slice(), b"".as_slice()),
        ("GET", b"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0\r\nDate: x\r\n", b""),
        ("GET", b"Range: bytes=0-1\r\nX-HTTP-Method-Override: DELETE\r\nX-Forwarded-For: 192.0.2.1\r\nVia: 1.0 a\r\n", b""),
        ("GET", b"X-Bytes: \xed\x95\x9c \xc7\xd1 \xe9\r\nCookie: a=1; b=\"2\"\r\n", b""),
        ("GET", large.as_bytes(), b""),
        ("GET", b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", b""),
        ("HEAD", b"", b""),
        ("DELETE", b"", b""),
        ("PROPFIND", b"Depth: 1\r\n", b""),
        ("POST", b"Content-Length: 5\r\n", b"\x00\xff\r\n\x80"),
        ("POST", b"content-length: 0\r\n", b""),
        ("PUT", b"Transfer-Encoding: chunked\r\n", b"5;ext=\"a b\"\r\nhello\r\n0\r\nX-Sum: \xe9\r\n\r\n"),
        ("PATCH", b"Transfer-Encoding: chunked\r\nTrailer: X-A\r\n", b"0001\r\nx\r\nA\r\n0123456789\r\n000\r\nX-A: 1\r\nX-A: 2\r\n\r\n"),
        ("GET", b"Content-Length: 3\r\n", b"abc"),
    ] {
        cases.push(Case::with(method, fields, body));
    }
    let megabyte: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    cases.push(Case::with("POST", b"Content-Length: 1000000\r\n", &megabyte));
    cases
}

/// How a caller asks.
#[derive(Debug, Clone, Copy)]
enum In {
    Path,
    Host,
    Absolute,
    Connect,
}

const WAYS_IN: [In; 4] = [In::Path, In::Host, In::Absolute, In::Connect];
const THROUGH_RELAYS: [In; 3] = [In::Path, In::Host, In::Absolute];

pub(crate) struct World {
    gateway: Gateway,
    origin: Origin,
    scheme: &'static str,
    client: Arc<rustls::ClientConfig>,
}

impl World {
    /// Sends what `request` makes of host and target by base URL: what arrived, and what is due.
    pub(crate) fn carry(
        &self,
        request: &dyn Fn(&str, &str) -> String,
        target: &str,
    ) -> (String, String) {
        let own = self.gateway.addr.to_string();
        let before = self.origin.messages().len();
        let sent = request(&own, &format!("/to/origin{target}"));
        let answer = raw::ask(self.gateway.addr, sent.as_bytes());
        let got = self.origin.messages();
        let Some(message) = got.get(before) else {
            return (String::from_utf8_lossy(&answer.head).into_owned(), "an arrival".to_owned());
        };
        let whole = [message.head.as_slice(), &message.body].concat();
        (String::from_utf8_lossy(&whole).into_owned(), request(&self.authority(), target))
    }

    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.origin.addr.port())
    }

    /// Sends a case one way and returns the answer.
    fn send(&self, case: &Case, way: In) -> Message {
        let own = self.gateway.addr;
        let kind = if case.method == "HEAD" { Kind::BodilessAnswer } else { Kind::Answer };
        let mut stream = self.gateway.connect();
        let request = match way {
            In::Path => {
                case.sent(&[b"/to/origin", case.target.as_slice()].concat(), &own.to_string())
            }
            In::Host => case.sent(&case.target, &format!("origin.localhost:{}", own.port())),
            In::Absolute => {
                let start = format!("{}://{}", self.scheme, self.authority());
                case.sent(&[start.as_bytes(), &case.target].concat(), &self.authority())
            }
            In::Connect => {
                let authority = self.authority();
                write!(stream, "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
                    .expect("taken");
                let opened =
                    raw::read_message(&mut stream, Kind::BodilessAnswer).expect("an answer");
                assert_eq!(opened.status(), 200, "{opened:?}");
                case.arriving(&authority)
            }
        };
        if self.scheme == "https" && matches!(way, In::Connect) {
            let name = rustls_pki_types::ServerName::try_from("127.0.0.1").expect("a name");
            let tls = rustls::ClientConnection::new(Arc::clone(&self.client), name).expect("tls");
            let mut stream = rustls::StreamOwned::new(tls, stream);
            stream.write_all(&request).expect("taken");
            return raw::read_message(&mut stream, kind).expect("an answer");
        }
        stream.write_all(&request).expect("taken");
        raw::read_message(&mut stream, kind).expect("an answer")
    }
}

/// The answer as it has to come back: the provider's, without what belongs to its hop.
fn coming_back(case: &Case, arriving: &Message, through_tunnel: bool) -> Message {
    let answer = origin::echo(arriving);
    let kind = if case.method == "HEAD" { Kind::BodilessAnswer } else { Kind::Answer };
    let mut answer = raw::read_message(&mut answer.as_slice(), kind).expect("an answer");
    if !through_tunnel {
        let head = String::from_utf8(answer.head).expect("this one is UTF-8");
        answer.head = head.replace("Connection: keep-alive\r\n", "").into_bytes();
    }
    answer
}

fn as_it_is(message: Message) -> Message {
    message
}

pub(crate) fn compare(path: &str, world: &World) {
    compare_over(path, world, &WAYS_IN, (as_it_is, as_it_is));
}

/// The message with its chunks made one: a relay passes content and trailers on, and chunks belong
/// to one hop (RFC 9112 §7.1).
pub(crate) fn one_chunk(mut message: Message) -> Message {
    if message.field("transfer-encoding").is_none() {
        return message;
    }
    let (mut content, mut out) = (Content::new(Framing::Chunked), Vec::new());
    content.take(&message.body, &mut out).expect("chunks");
    assert!(content.is_done(), "chunks end");
    let mut body = format!("{:x}\r\n", out.len()).into_bytes();
    body.extend_from_slice(&out);
    body.extend_from_slice(b"\r\n0\r\n");
    for trailer in content.trailers() {
        trailer.write(&mut body);
    }
    body.extend_from_slice(b"\r\n");
    message.body = body;
    message
}

/// The message with one space before each value and none behind: Node's parser keeps no others.
fn one_space(mut message: Message) -> Message {
    let mut head = [message.first_line(), b"\r\n"].concat();
    for line in message.fields() {
        let colon = line.iter().position(|&b| b == b':').expect("a colon");
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        head.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    message.head = head;
    message
}

/// Everything but a tunnel passes a relay.
pub(crate) fn compare_over_relay(path: &str, world: &World) {
    compare_over(path, world, &THROUGH_RELAYS, (one_chunk, as_it_is));
}

/// The same over a relay whose answers went through Node's parser.
pub(crate) fn compare_over_node(path: &str, world: &World) {
    compare_over(path, world, &THROUGH_RELAYS, (one_chunk, one_space));
}

/// What may become of a request on its way, and of its answer.
type Changes = (fn(Message) -> Message, fn(Message) -> Message);

fn compare_over(path: &str, world: &World, ways: &[In], (there, back): Changes) {
    let authority = world.authority();
    for case in corpus() {
        let arriving = case.arriving(&authority);
        let arriving = raw::read_message(&mut arriving.as_slice(), Kind::Request).expect("whole");
        // The control: what the origin says it got, when it is asked directly.
        for &way in ways {
            let before = world.origin.messages().len();
            let answer = world.send(&case, way);
            let got = world.origin.messages();
            let what = format!(
                "{way:?} over {path}: {} {}",
                case.method,
                String::from_utf8_lossy(&case.target).chars().take(60).collect::<String>()
            );
            assert_eq!(
                got.len(),
                before + 1,
                "{what}: arrives once; answer {}",
                String::from_utf8_lossy(&answer.head)
            );
            let got = got.last().expect("just now");
            assert_eq!(
                String::from_utf8_lossy(&got.head),
                String::from_utf8_lossy(&arriving.head),
                "{what}: the head"
            );
            assert!(got.head == arriving.head, "{what}: the head's bytes");
            let arriving = there(arriving.clone());
            assert!(got.body == arriving.body, "{what}: the body's bytes");
            let due = back(coming_back(&case, &arriving, matches!(way, In::Connect)));
            assert_eq!(
                String::from_utf8_lossy(&answer.head),
                String::from_utf8_lossy(&due.head),
                "{what}: the answer's head"
            );
            assert!(answer.body == due.body, "{what}: the answer's body");
        }
    }
}

fn plain_world(path: &str) -> World {
    plain_world_of(|_| path.to_owned())
}

/// A world whose path `out` depends on where the origin listens.
pub(crate) fn plain_world_of(path: impl FnOnce(SocketAddr) -> String) -> World {
    let origin = Origin::echo();
    let port = origin.addr.port();
    let path = path(origin.addr);
    let gateway = Gateway::start(&format!(
        "{path}\n[provider.origin]\nurl = \"http://127.0.0.1:{port}\"\nallow_private = true\npaths = [\"out\"]\n"
    ));
    World { gateway, origin, scheme: "http", client: Authority::new().client(None) }
}

fn tls_world(path: &str) -> World {
    tls_world_of(|_, _| path.to_owned())
}

/// The same with an origin behind TLS; `path` also gets the authority that it is trusted by.
pub(crate) fn tls_world_of(path: impl FnOnce(SocketAddr, &Authority) -> String) -> World {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let origin = Origin::answering_tls(&identity, origin::echo);
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, &authority.pem).expect("writable");
    let path = path(origin.addr, &authority);
    let gateway = Gateway::start(&format!(
        "{path}\n[provider.origin]\nurl = \"https://127.0.0.1:{}\"\nallow_private = true\npaths = [\"out\"]\n[provider.origin.tls]\nroots = [{roots:?}]\n",
        origin.addr.port()
    ));
    World { gateway, origin, scheme: "https", client: authority.client(None) }
}

fn socks() -> Option<(Process, SocketAddr)> {
    if !process::have("microsocks") {
        return None;
    }
    let port = process::free_port();
    let mut command = Command::new("microsocks");
    let socks = Process::start(command.args(["-i", "127.0.0.1", "-p", &port.to_string()]));
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    process::until("microsocks", || std::net::TcpStream::connect(addr).ok());
    Some((socks, addr))
}

#[test]
fn bytes_arrive_over_direct() {
    compare("direct", &plain_world("[path.out.direct]"));
}

#[test]
fn bytes_arrive_over_direct_tls() {
    compare("direct, TLS", &tls_world("[path.out.direct]"));
}

#[test]
fn bytes_arrive_over_source_ip() {
    let path = "[path.out.source-ip]\naddr = \"127.0.0.9\"";
    compare("source-ip", &plain_world(path));
    compare("source-ip, TLS", &tls_world(path));
}

#[test]
fn bytes_arrive_over_socks5() {
    let Some((_socks, addr)) = socks() else { return };
    for resolve in ["here", "there"] {
        let path = format!("[path.out.socks5]\naddr = \"{addr}\"\nresolve = \"{resolve}\"");
        compare("socks5", &plain_world(&path));
        compare("socks5, TLS", &tls_world(&path));
    }
}

#[test]
fn bytes_arrive_over_an_http_proxy() {
    // Over CONNECT nothing of the proxy's can touch the bytes, so a real one must do.
    let Some(squid) = crate::paths::Squid::start() else { return };
    let path = format!("[path.out.http-proxy]\naddr = \"{}\"", squid.addr);
    compare("http-proxy, TLS", &tls_world(&path));
}

#[test]
fn what_cannot_be_kept_is_refused_before_anything_is_sent() {
    let world = plain_world("[path.out.direct]");
    let authority = world.authority();
    let own = world.gateway.addr;
    let absolute = |rest: &str| format!("GET http://{authority}{rest} HTTP/1.1\r\nHost: a\r\n\r\n");
    for (request, code) in [
        (absolute("#fragment"), "target_form"),
        (format!("GET http://user:pw@{authority}/ HTTP/1.1\r\nHost: a\r\n\r\n"), "target_userinfo"),
        (absolute("/a b"), "target_byte"),
        (format!("GET /to/origin/\t HTTP/1.1\r\nHost: {own}\r\n\r\n"), "target_byte"),
        (format!("GET /to/origin/ HTTP/2.0\r\nHost: {own}\r\n\r\n"), "version"),
        (format!("GET /to/origin/ HTTP/1.1\r\nHost: {own}\r\nX: a\r\n b\r\n\r\n"), "obs_fold"),
        (format!("GET /{} HTTP/1.1\r\nHost: {own}\r\n\r\n", "u".repeat(40_000)), "target_too_long"),
    ] {
        let answer = raw::ask(world.gateway.addr, request.as_bytes());
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{request:?}: {body}");
    }
    assert_eq!(world.origin.messages(), [], "nothing was sent");
    // The control: the same world does forward.
    let control = world.send(&Case::get(b"/control"), In::Path);
    assert_eq!(control.status(), 200);
}
