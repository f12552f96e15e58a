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
    let call = Call { pinned, ..world.call() };
    assert_eq!(world.told(Kind::Call, &call, b""), refused("destination_forbidden"), "pinned");
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
