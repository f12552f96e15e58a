//! The locks of a relay, from outside: whoever cannot sign gets `refused` and reaches nothing, and
//! whoever can is told what is wrong. Each attack has a control that must pass.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use byway_e2e::origin::Origin;
use byway_e2e::raw::{self, Message};
use byway_e2e::relay::{Kit, Relay, Signer};
use byway_wire::relay::Field;
use byway_wire::relay::answer::Failure;
use byway_wire::relay::call::{Call, Kind};
use byway_wire::relay::frames::{Frame, Frames};
use data_encoding::BASE64;

/// A relay, an origin that it may reach, and a key that it knows.
struct World {
    origin: Origin,
    relay: Relay,
    signer: Signer,
    _kit: Kit,
}

const NEAR: &str = "networks = [\"127.0.0.0/8\"]";

impl World {
    fn new(more: &str) -> Self {
        let origin = Origin::echo();
        let allow = [origin.addr.to_string(), "localhost:1".to_owned(), "127.0.0.1:1".to_owned()];
        let kit = Kit::new("relay-1", &allow, more);
        let relay = Relay::start(&kit, &["--body-bytes-max", "100000"]);
        let signer = Signer::of(&kit);
        Self { origin, relay, signer, _kit: kit }
    }

    fn call(&self) -> Call {
        self.signer.get("relay-1", self.origin.addr, now_ms())
    }

    fn post(&self, body: &[u8]) -> Message {
        post(self.relay.addr, body)
    }

    /// What the relay says to a call: the head of an answer, or its refusal.
    fn told(&self, kind: Kind, call: &Call, body: &[u8]) -> Told {
        told(&self.post(&self.signer.seal(kind, call, body)))
    }

    fn n_arrived(&self) -> usize {
        self.origin.messages().len()
    }

    /// The attack must not reach the origin, and the same call unharmed must.
    fn holds(&self, about: &str, body: &[u8], due: &Told) {
        let before = self.n_arrived();
        assert_eq!(told(&self.post(body)), *due, "{about}");
        assert_eq!(self.n_arrived(), before, "{about}: it reached the origin");
        assert_eq!(
            self.told(Kind::Call, &self.call(), b""),
            Told::Answered(200),
            "{about}: control"
        );
        assert_eq!(self.n_arrived(), before + 1, "{about}: the control arrives");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Answered(u16),
    Refused(String),
    Pong,
    /// HTTP's own status, and `refused`.
    Stranger(u16),
}

fn refused(code: &str) -> Told {
    Told::Refused(format!("before_send {code}"))
}

fn post(addr: SocketAddr, body: &[u8]) -> Message {
    let head = format!("POST / HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {}\r\n\r\n", body.len());
    raw::ask(addr, &[head.as_bytes(), body].concat())
}

fn told(answer: &Message) -> Told {
    if answer.status() != 200 {
        assert_eq!(answer.body, b"refused\n", "a stranger is told nothing else");
        return Told::Stranger(answer.status());
    }
    let mut bytes = answer.body.clone();
    if answer.field("transfer-encoding").is_some() {
        let mut content = byway_wire::content::Content::new(byway_wire::body::Framing::Chunked);
        bytes.clear();
        content.take(&answer.body, &mut bytes).expect("chunks");
    }
    let bytes =
        if bytes.starts_with(b"Q") { BASE64.decode(&bytes).expect("Base64") } else { bytes };
    match Frames::default().next(&bytes).expect("frames").expect("a frame").0 {
        Frame::Head(head) => Told::Answered(head.status),
        Frame::Failed(Failure { stage, code, .. }) => Told::Refused(format!("{stage} {code}")),
        Frame::Pong(_) => Told::Pong,
        Frame::Data(_) | Frame::End(_) => panic!("an answer begins with a head"),
    }
}

#[expect(clippy::disallowed_methods, reason = "calls are dated by the wall clock")]
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).expect("this age")
}

#[test]
fn whoever_cannot_sign_gets_nothing() {
    let world = World::new(NEAR);
    let stranger = Signer::new();
    let call = world.call();
    let sealed = world.signer.seal(Kind::Call, &call, b"");
    let with = |at: usize, byte: u8| {
        let mut bytes = sealed.clone();
        bytes[at] ^= byte;
        bytes
    };
    let unknown = Call { key: "k9".to_owned(), ..call.clone() };
    let none = [&sealed[..sealed.len() - 64], &[0; 64]].concat();
    for (about, body) in [
        ("nothing", Vec::new()),
        ("a page", b"<html>".to_vec()),
        ("no signature", none),
        ("another's key", stranger.seal(Kind::Call, &call, b"")),
        ("an unknown key", world.signer.seal(Kind::Call, &unknown, b"")),
        ("a target that was changed", with(150, 1)),
        ("a signature that was changed", with(sealed.len() - 1, 1)),
        ("another kind", with(5, 3)),
        ("another version", with(4, 3)),
        ("cut", sealed[..sealed.len() - 1].to_vec()),
        ("Base64 that is none", b"QllXUg=?".to_vec()),
    ] {
        world.holds(about, &body, &Told::Stranger(403));
    }
}

#[test]
fn every_single_bit_of_the_signed_part_is_covered() {
    let world = World::new(NEAR);
    let sealed = world.signer.seal(Kind::Call, &world.call(), b"");
    for at in 0..sealed.len() {
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        assert_eq!(told(&world.post(&bytes)), Told::Stranger(403), "byte {at}");
    }
    assert_eq!(world.n_arrived(), 0);
    assert_eq!(told(&world.post(&sealed)), Told::Answered(200), "the control, with the same nonce");
}

#[test]
fn what_is_signed_and_still_wrong_is_named() {
    let world = World::new(NEAR);
    let call = world.call();
    let seal = |call: &Call| world.signer.seal(Kind::Call, call, b"");
    let old = Call { created_ms: now_ms() - 60_000, expires_ms: now_ms() - 30_000, ..call.clone() };
    let young =
        Call { created_ms: now_ms() + 60_000, expires_ms: now_ms() + 90_000, ..call.clone() };
    let long = Call { expires_ms: call.created_ms + 30_001, ..call.clone() };
    let back = Call { expires_ms: call.created_ms - 1, ..call.clone() };
    let foreign = Call { relay: "relay-2".to_owned(), ..call.clone() };
    let elsewhere = Call { port: world.relay.addr.port(), ..call.clone() };
    let other = Call { host: "127.0.0.2".to_owned(), ..world.call() };
    for (about, call, code) in [
        ("expired", old, "clock_skew"),
        ("from the future", young, "clock_skew"),
        ("lives too long", long, "clock_skew"),
        ("ends before it begins", back, "clock_skew"),
        ("for another relay", foreign, "wrong_audience"),
        ("another port", elsewhere, "not_allowed"),
        ("another host", other, "not_allowed"),
    ] {
        world.holds(about, &seal(&call), &refused(code));
    }
    let mut altered = world.signer.seal(Kind::Call, &with_body(&world.call(), b"abc"), b"abc");
    *altered.last_mut().expect("a body") = b'd';
    world.holds("a body that was changed", &altered, &refused("altered"));
}

/// The call as a GET with a body, which needs nobody's acceptance.
fn with_body(call: &Call, body: &[u8]) -> Call {
    let mut call = call.clone();
    let length = format!(" {}", body.len()).into_bytes();
    call.fields.push(Field { name: b"Content-Length".to_vec(), value: length });
    call
}

#[test]
fn a_call_is_made_once() {
    let world = World::new(NEAR);
    let sealed = world.signer.seal(Kind::Call, &world.call(), b"");
    assert_eq!(told(&world.post(&sealed)), Told::Answered(200));
    world.holds("again", &sealed, &refused("replayed"));
    let text = BASE64.encode(&sealed).into_bytes();
    world.holds("again, as Base64", &text, &refused("replayed"));
    // Many at once: exactly one gets through.
    let sealed = world.signer.seal(Kind::Call, &world.call(), b"");
    let before = world.n_arrived();
    let all: Vec<_> = (0..16)
        .map(|_| {
            let (addr, sealed) = (world.relay.addr, sealed.clone());
            std::thread::spawn(move || told(&post(addr, &sealed)))
        })
        .collect();
    let all: Vec<Told> = all.into_iter().map(|one| one.join().expect("told")).collect();
    assert_eq!(all.iter().filter(|told| **told == Told::Answered(200)).count(), 1, "{all:?}");
    assert_eq!(world.n_arrived(), before + 1);
}

#[test]
fn a_method_that_changes_something_needs_somebody_who_accepts_the_risk() {
    let world = World::new(NEAR);
    for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "CONNECT"] {
        let call = Call { method: method.into(), ..world.call() };
        let sealed = world.signer.seal(Kind::Call, &call, b"");
        world.holds(method, &sealed, &refused("unsafe_method"));
    }
    let accepted = World::new(&format!("{NEAR}\nreplay_accepted = \"this test\""));
    let post = Call { method: b"DELETE".to_vec(), ..accepted.call() };
    assert_eq!(accepted.told(Kind::Call, &post, b""), Told::Answered(200));
}

#[test]
fn a_non_public_address_is_refused_whatever_its_name() {
    // On the allow-list, but nobody listed the network.
    let world = World::new("");
    for host in ["127.0.0.1", "localhost", "LOCALHOST."] {
        let call = Call { host: host.to_owned(), port: 1, ..world.call() };
        let told = world.told(Kind::Call, &call, b"");
        assert_eq!(told, refused("destination_forbidden"), "{host}");
    }
    let pinned = Some("127.0.0.1".parse().expect("an address"));
    let call = Call { pinned, is_tls: true, ..world.call() };
    assert_eq!(world.told(Kind::Call, &call, b""), refused("destination_forbidden"), "pinned");
    // Without TLS nothing would prove that the pinned address is the listed host's.
    let call = Call { pinned, ..world.call() };
    assert_eq!(world.told(Kind::Call, &call, b""), refused("not_allowed"), "pinned, plain");
    assert_eq!(world.n_arrived(), 0);
    let control = World::new(NEAR);
    assert_eq!(control.told(Kind::Call, &control.call(), b""), Told::Answered(200));
}

#[test]
fn a_head_that_could_be_read_in_two_ways_is_not_sent() {
    let world = World::new(&format!("{NEAR}\nreplay_accepted = \"this test\""));
    let field = |name: &str, value: &str| Field {
        name: name.as_bytes().to_vec(),
        value: value.as_bytes().to_vec(),
    };
    for (about, fields) in [
        ("two hosts", vec![field("Host", " a"), field("Host", " b")]),
        ("no host", vec![]),
        (
            "both framings",
            vec![
                field("Host", " a"),
                field("Content-Length", " 0"),
                field("Transfer-Encoding", " chunked"),
            ],
        ),
        (
            "two lengths",
            vec![field("Host", " a"), field("Content-Length", " 0"), field("Content-Length", " 0")],
        ),
        ("a length that is wrong", vec![field("Host", " a"), field("Content-Length", " 5")]),
        ("another coding", vec![field("Host", " a"), field("Transfer-Encoding", " gzip")]),
    ] {
        let call = Call { fields, ..world.call() };
        let sealed = world.signer.seal(Kind::Call, &call, b"");
        world.holds(about, &sealed, &refused("malformed"));
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let world = World::new(NEAR);
    let huge = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n";
    let answer = raw::ask(world.relay.addr, huge);
    assert_eq!((answer.status(), answer.body.as_slice()), (413, b"refused\n".as_slice()));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 403),
    ] {
        let answer = raw::ask(world.relay.addr, request.as_bytes());
        assert_eq!(answer.status(), status, "{request:?}");
        assert_eq!(answer.body, b"refused\n", "{request:?}");
    }
    assert_eq!(world.told(Kind::Call, &world.call(), b""), Told::Answered(200), "control");
}

#[test]
fn a_ping_says_who_it_is_and_counts_what_was_refused() {
    let world = World::new(NEAR);
    let ping = Call {
        host: String::new(),
        port: 0,
        method: Vec::new(),
        target: Vec::new(),
        fields: Vec::new(),
        ..world.call()
    };
    let refused = |world: &World| {
        let ping = Call { nonce: world.call().nonce, ..ping.clone() };
        let sealed = world.signer.seal(Kind::Ping, &ping, b"");
        let answer = world.post(&sealed);
        let frame = Frames::default().next(&answer.body).expect("frames").expect("a frame").0;
        let Frame::Pong(pong) = frame else { panic!("no pong: {frame:?}") };
        assert_eq!((pong.relay.as_str(), pong.keys.as_str()), ("relay-1", "k1"));
        pong.n_refused
    };
    assert_eq!(refused(&world), 0);
    assert_eq!(told(&world.post(b"x")), Told::Stranger(403));
    let foreign = Call { relay: "other".to_owned(), ..world.call() };
    let _named = world.told(Kind::Call, &foreign, b"");
    assert_eq!(refused(&world), 2);
    assert_eq!(world.n_arrived(), 0, "no provider is touched");
    // A ping's signature is none of a call: the kind is signed.
    let sealed = world.signer.seal(Kind::Ping, &world.call(), b"");
    let mut as_call = sealed;
    as_call[5] = 1;
    assert_eq!(told(&world.post(&as_call)), Told::Stranger(403));
}

#[test]
fn a_key_that_is_over_opens_nothing() {
    let world = World::new(NEAR);
    let file = world._kit.config();
    let text = std::fs::read_to_string(&file).expect("a file");
    let over = format!("{text}until = \"2020-01-01T00:00:00Z\"\n");
    std::fs::write(&file, over).expect("writable");
    let later = Relay::start(&world._kit, &[]);
    let sealed = world.signer.seal(Kind::Call, &world.call(), b"");
    assert_eq!(told(&post(later.addr, &sealed)), Told::Stranger(403));
    assert_eq!(
        told(&world.post(&sealed)),
        Told::Answered(200),
        "the control, where it is not over"
    );
}

/// A stranger's connections wait in a room of their own, and a slow head has an end.
#[test]
fn silent_strangers_do_not_keep_a_gateway_out() {
    let world = World::new(NEAR);
    // A connection that has shown a key keeps its place whoever else comes.
    let mut known = std::net::TcpStream::connect(world.relay.addr).expect("a place");
    let mut ask = |world: &World| {
        let sealed = world.signer.seal(Kind::Call, &world.call(), b"");
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sealed.len());
        std::io::Write::write_all(&mut known, &[head.as_bytes(), &sealed].concat()).expect("taken");
        told(&raw::read_message(&mut known, raw::Kind::Answer).expect("an answer"))
    };
    assert_eq!(ask(&world), Told::Answered(200));
    let strangers: Vec<_> =
        (0..600).filter_map(|_| std::net::TcpStream::connect(world.relay.addr).ok()).collect();
    assert!(strangers.len() > 512, "they fill the strangers' room");
    assert_eq!(ask(&world), Told::Answered(200), "and not that of the others");
    drop(strangers);
}

#[test]
fn no_more_of_a_strangers_body_is_taken_than_shows_that_it_is_ones() {
    let world = World::new(NEAR);
    let mut stream = std::net::TcpStream::connect(world.relay.addr).expect("a place");
    let sealed = Signer::new().seal(Kind::Call, &world.call(), &[0; 10]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n";
    let sent = std::io::Write::write_all(&mut stream, &[head.as_bytes(), &sealed].concat());
    sent.expect("taken");
    // The rest of the body never comes, and is not waited for.
    let answer = raw::read_message(&mut stream, raw::Kind::Answer).expect("an answer");
    assert_eq!(told(&answer), Told::Stranger(403));
}

/// The provider learns that nobody waits any more.
#[test]
fn a_gateway_that_leaves_takes_its_call_along() {
    let (to, from) = std::sync::mpsc::channel();
    let origin = Origin::serving(move |mut stream| {
        let _request = raw::read_message(&mut stream, raw::Kind::Request);
        to.send("asked").expect("somebody listens");
        // Nothing is answered; the end of the connection is awaited.
        let mut byte = [0];
        let _gone = std::io::Read::read(&mut stream, &mut byte);
        let _test_is_over = to.send("left");
    });
    let kit = Kit::new("relay-1", &[origin.addr.to_string()], NEAR);
    let relay = Relay::start(&kit, &[]);
    let signer = Signer::of(&kit);
    let mut call = signer.get("relay-1", origin.addr, now_ms());
    call.within.first_byte_ms = 60_000;
    call.within.total_ms = 60_000;
    let sealed = signer.seal(Kind::Call, &call, b"");
    let mut stream = std::net::TcpStream::connect(relay.addr).expect("a place");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sealed.len());
    std::io::Write::write_all(&mut stream, &[head.as_bytes(), &sealed].concat()).expect("taken");
    let within = std::time::Duration::from_secs(20);
    assert_eq!(from.recv_timeout(within), Ok("asked"));
    drop(stream);
    assert_eq!(from.recv_timeout(within), Ok("left"));
}

#[test]
fn an_answer_that_is_cut_by_a_bare_end_of_tls_is_not_whole() {
    let authority = byway_e2e::pki::Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    // No length, no chunks: only the end of TLS says that the answer is over, and it does not come.
    let config = identity.server();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let addr = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tls = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).expect("tls");
            let mut stream = rustls::StreamOwned::new(tls, stream);
            let request = raw::read_message(&mut stream, raw::Kind::Request).expect("a request");
            let answer = b"HTTP/1.1 200 OK\r\n\r\nhalf of it";
            std::io::Write::write_all(&mut stream, answer).expect("taken");
            std::io::Write::flush(&mut stream).expect("taken");
            if request.head.starts_with(b"GET /whole ") {
                stream.conn.send_close_notify();
                std::io::Write::flush(&mut stream).expect("taken");
            }
        }
    });
    let kit = Kit::new("relay-1", &[addr.to_string()], &format!("{NEAR}\nroots = [\"r.pem\"]"));
    std::fs::write(kit.folder.path().join("r.pem"), &authority.pem).expect("writable");
    let relay = Relay::start(&kit, &[]);
    let signer = Signer::of(&kit);
    let ask = |target: &str| {
        let call = signer.get("relay-1", addr, now_ms());
        let call = Call { is_tls: true, target: target.into(), ..call };
        told(&post(relay.addr, &signer.seal(Kind::Call, &call, b"")))
    };
    assert_eq!(ask("/whole"), Told::Answered(200), "the control");
    assert_eq!(ask("/cut"), Told::Refused("sent answer_truncated".to_owned()));
}
