//! What callers do in tunnels that are open to us, and before they are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use byway_e2e::command::byway;
use byway_e2e::gateway::{self, Gateway};
use byway_e2e::origin::Origin;
use byway_e2e::pki::{self, Authority};
use byway_e2e::process;
use byway_e2e::raw::{self, Kind, Message};
use rustix::process::Signal;

type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

struct World {
    gateway: Gateway,
    origin: Origin,
    folder: tempfile::TempDir,
}

/// What was asked, as an answer that may be stored; or another protocol.
fn echo(message: &Message) -> Vec<u8> {
    if message.field("upgrade").is_some() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
        return [head.as_bytes(), b"hello"].concat();
    }
    let n = message.head.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {n}\r\n\r\n");
    [head.as_bytes(), &message.head].concat()
}

fn sections(origin: &Origin, intercept: bool) -> String {
    format!(
        "{}[provider.opened]\nurl = \"https://localhost:{}\"\nallow_private = true\nintercept = {intercept}\n\
         [provider.opened.tls]\nroots = [\"origin.pem\"]\n\
         [provider.opened.route.all]\nprefix = \"/\"\ncache = true\n",
        gateway::HEAD,
        origin.addr.port()
    )
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        let origin = Origin::answering_tls(&authority.issue(&["localhost"]), echo);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("origin.pem"), &authority.pem).expect("writable");
        let config = folder.path().join("byway.toml");
        std::fs::write(&config, sections(&origin, true)).expect("writable");
        let file = config.display().to_string();
        let made = byway(&["ca", "make", "--config", &file], Some(&folder.path().join("state")));
        assert_eq!(made.code, 0, "{made:?}");
        Self { gateway: Gateway::at(config, &[]), origin, folder }
    }

    /// A CONNECT that was answered; what follows comes in the same segment.
    fn connect(&self, follows: &[u8]) -> TcpStream {
        let port = self.origin.addr.port();
        let connect =
            format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
        let mut stream = self.gateway.connect();
        stream.write_all(&[connect.as_bytes(), follows].concat()).expect("taken");
        let answer = raw::read_message(&mut stream, Kind::BodilessAnswer).expect("an answer");
        assert_eq!(answer.status(), 200);
        stream
    }

    /// The inside of a tunnel.
    fn tunnel(&self, name: &'static str) -> Tls {
        let client = pki::client_trusting(&self.folder.path().join("state/ca.pem"));
        let name = name.try_into().expect("a name");
        let tls = rustls::ClientConnection::new(client, name).expect("tls");
        rustls::StreamOwned::new(tls, self.connect(b""))
    }

    fn still_works(&self) {
        let mut tls = self.tunnel("localhost");
        let answer = ask(&mut tls, &format!("GET /last HTTP/1.1\r\n{}", self.host()));
        assert_eq!(answer.status(), 200);
    }

    fn host(&self) -> String {
        format!("Host: localhost:{}\r\n\r\n", self.origin.addr.port())
    }
}

fn ask(tls: &mut Tls, request: &str) -> Message {
    tls.write_all(request.as_bytes()).expect("taken");
    raw::read_message(tls, Kind::Answer).expect("an answer")
}

#[test]
fn an_answer_to_another_host_is_not_stored_for_the_tunnels() {
    let world = World::new();
    let mut tls = world.tunnel("localhost");
    let other = "GET /x HTTP/1.1\r\nHost: other.example\r\n\r\n";
    assert!(String::from_utf8_lossy(&ask(&mut tls, other).body).contains("Host: other.example"));
    process::until("its line", || (world.gateway.lines().len() == 1).then_some(()));
    let own = format!("GET /x HTTP/1.1\r\n{}", world.host());
    assert!(String::from_utf8_lossy(&ask(&mut tls, &own).body).contains("Host: localhost"));
    process::until("its line", || (world.gateway.lines().len() == 2).then_some(()));
    assert!(ask(&mut tls, &own).field("cache-status").is_some(), "that one is stored");
    assert!(String::from_utf8_lossy(&ask(&mut tls, other).body).contains("Host: other.example"));
    assert_eq!(world.origin.messages().len(), 3);
}

#[test]
fn what_is_no_request_in_a_tunnel_goes_nowhere() {
    let world = World::new();
    for (request, status) in [
        ("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 404),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
    ] {
        let answer = ask(&mut world.tunnel("localhost"), request);
        assert_eq!(answer.status(), status, "{request}");
    }
    assert_eq!(world.origin.messages().len(), 0);
    let absolute = format!("GET http://other.example/x HTTP/1.1\r\n{}", world.host());
    let answer = ask(&mut world.tunnel("localhost"), &absolute);
    assert!(answer.body.starts_with(b"GET /x HTTP/1.1\r\n"), "where the tunnel leads: {answer:?}");
    world.still_works();
}

#[test]
fn who_speaks_no_tls_or_too_early_gets_no_opened_tunnel() {
    let world = World::new();
    let mut plain = world.connect(b"");
    plain.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("taken");
    assert!(!raw::read_to_end(&mut plain).starts_with(b"HTTP/"));
    drop(world.connect(b""));
    drop(world.connect(b"GET /x HTTP/1.1\r\n\r\n"));
    assert_eq!(world.origin.messages().len(), 0);
    process::until("a line of a plain tunnel", || {
        world.gateway.lines().iter().any(|line| line["way"] == "connect").then_some(())
    });
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ask(&mut world.tunnel("other.example"), "GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    }));
    assert!(wrong.is_err(), "nobody is told that this is other.example");
    world.still_works();
}

#[test]
fn another_protocol_and_many_tunnels_at_once_work_inside() {
    let world = World::new();
    let mut tls = world.tunnel("localhost");
    let upgrade =
        format!("GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n{}", world.host());
    assert_eq!(ask(&mut tls, &upgrade).status(), 101);
    let mut hello = [0; 5];
    tls.read_exact(&mut hello).expect("what came behind");
    assert_eq!(&hello, b"hello");
    std::thread::scope(|scope| {
        for n in 0..50 {
            let world = &world;
            scope.spawn(move || {
                let mut tls = world.tunnel("localhost");
                for _ in 0..3 {
                    let request = format!("GET /{n} HTTP/1.1\r\n{}", world.host());
                    assert_eq!(ask(&mut tls, &request).status(), 200);
                }
            });
        }
    });
}

#[test]
fn a_reload_without_interception_breaks_no_open_tunnel() {
    let world = World::new();
    let mut tls = world.tunnel("localhost");
    let request = |n: usize| format!("GET /{n} HTTP/1.1\r\n{}", world.host());
    assert_eq!(ask(&mut tls, &request(1)).status(), 200);
    std::fs::write(&world.gateway.config, sections(&world.origin, false)).expect("writable");
    world.gateway.signal(Signal::HUP);
    process::until("a reload", || {
        (world.gateway.metric("byway_reloads_total", "") == 1).then_some(())
    });
    assert_eq!(ask(&mut tls, &request(2)).status(), 200);
    // The next one is the origin's own.
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ask(&mut world.tunnel("localhost"), &request(3))
    }));
    assert!(wrong.is_err());
}
