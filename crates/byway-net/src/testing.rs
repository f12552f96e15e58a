//! Peers for tests: a name server, certificates, and everything on loopback with port 0.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use byway_core::destination::Network;
use byway_core::route::Scheme;
use byway_core::settings::{Deadlines, Dns, PathKind, ProxyHop, Resolve};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::{Dial, DialFailure, HopClient, Resolver, Target, TlsClient, dial};

/// What the name server says to one question.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Nx,
    NoData,
    Servfail,
    Nothing,
    Addresses(Vec<IpAddr>, u32),
}

pub(crate) fn addresses(list: &[&str]) -> Says {
    Says::Addresses(list.iter().map(|ip| ip.parse().unwrap()).collect(), 60)
}

/// A name server in a thread of its own; it ends with the process.
pub(crate) struct NameServer {
    pub(crate) addr: SocketAddr,
    n_asked: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// The rule gets the name without a dot at the end, whether IPv6 is asked for, and how many
    /// questions came before.
    pub(crate) fn start(rule: impl Fn(&str, bool, usize) -> Says + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let n_asked = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (count, names) = (Arc::clone(&n_asked), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut buf = [0; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut buf) {
                let (name, kind, end) = question(&buf[..n]);
                let says = rule(&name, kind == 28, count.fetch_add(1, Ordering::SeqCst));
                names.lock().unwrap().push(name);
                if let Some(answer) = answer(&buf[..end], kind, &says) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self { addr, n_asked, asked }
    }

    pub(crate) fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn resolver(&self) -> Resolver {
        self.resolver_with(Duration::from_secs(300))
    }

    pub(crate) fn resolver_with(&self, ttl_max: Duration) -> Resolver {
        let timeout = Duration::from_millis(400);
        Resolver::new(&Dns { servers: vec![self.addr], timeout, ttl_max }).unwrap()
    }

    /// A resolver that waits longer than any test.
    pub(crate) fn patient_resolver(&self) -> Resolver {
        let (timeout, ttl_max) = (Duration::from_secs(60), Duration::from_secs(300));
        Resolver::new(&Dns { servers: vec![self.addr], timeout, ttl_max }).unwrap()
    }
}

/// The name, the type, and where the question ends.
fn question(bytes: &[u8]) -> (String, u16, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while bytes[at] != 0 {
        let n = usize::from(bytes[at]);
        labels.push(String::from_utf8(bytes[at + 1..=at + n].to_vec()).unwrap());
        at += n + 1;
    }
    let kind = u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]);
    (labels.join("."), kind, at + 5)
}

/// The question sent back with flags, counts and records filled in.
fn answer(question: &[u8], kind: u16, says: &Says) -> Option<Vec<u8>> {
    let (code, records, ttl) = match says {
        Says::Nothing => return None,
        Says::Nx => (3, vec![], 0),
        Says::Servfail => (2, vec![], 0),
        Says::NoData => (0, vec![], 0),
        Says::Addresses(list, ttl) => {
            let fits = |ip: &&IpAddr| ip.is_ipv6() == (kind == 28);
            (0, list.iter().filter(fits).copied().collect(), *ttl)
        }
    };
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    bytes[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    for ip in records {
        bytes.extend_from_slice(&[0xc0, 12]);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(&ttl.to_be_bytes());
        match ip {
            IpAddr::V4(ip) => bytes.extend([&[0, 4][..], &ip.octets()].concat()),
            IpAddr::V6(ip) => bytes.extend([&[0, 16][..], &ip.octets()].concat()),
        }
    }
    Some(bytes)
}

/// A resolver whose name server knows nothing.
pub(crate) fn no_names() -> Resolver {
    NameServer::start(|_, _, _| Says::Nx).resolver()
}

pub(crate) fn networks(list: &[&str]) -> Vec<Network> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) const QUICK: Deadlines = Deadlines {
    connect: Duration::from_millis(1500),
    tls: Duration::from_millis(1500),
    first_byte: Duration::from_secs(1),
    idle_body: Duration::from_secs(1),
    total: Duration::from_secs(1),
    idle_tunnel: Duration::from_secs(1),
    idle_provider: Duration::from_secs(1),
    idle_caller: Duration::from_secs(1),
    head: Duration::from_secs(1),
};

/// Nothing but the path itself.
static NO_HOP: HopClient = HopClient::none();

/// A dial with everything on loopback allowed.
pub(crate) fn plain<'a>(path: &'a PathKind, host: &'a str, port: u16) -> Dial<'a> {
    Dial {
        path,
        hop: &NO_HOP,
        target: Target::new(Scheme::Http, host, port),
        allow: &Network::PRIVATE,
        tls: None,
        tunnel: false,
        deadlines: &QUICK,
        hops: "one, two",
        own: &[],
    }
}

pub(crate) fn with_tls<'a>(
    path: &'a PathKind,
    host: &'a str,
    port: u16,
    tls: &'a TlsClient,
) -> Dial<'a> {
    let target = Target::new(Scheme::Https, host, port);
    Dial { target, tls: Some(tls), ..plain(path, host, port) }
}

pub(crate) fn hop(addr: SocketAddr, resolve: Resolve) -> ProxyHop {
    ProxyHop {
        host: addr.ip().to_string(),
        port: addr.port(),
        credentials: None,
        resolve,
        is_byway: false,
    }
}

/// Runs a peer for as long as the client runs.
pub(crate) async fn beside<T>(
    peer: impl Future<Output = ()>,
    client: impl Future<Output = T>,
) -> T {
    let mut client = pin!(client);
    tokio::select! {
        done = &mut client => done,
        () = peer => client.await,
    }
}

/// A connection through a proxy, and what came through it until its end.
#[derive(Debug)]
pub(crate) struct Through {
    pub(crate) absolute_form: bool,
    pub(crate) bytes: Vec<u8>,
}

/// Dials, and reads to the end if the peer is going to close.
pub(crate) async fn dial_and_read(
    resolver: &Resolver,
    request: &Dial<'_>,
    closes: bool,
) -> Result<Through, DialFailure> {
    let mut dialled = dial(resolver, request).await?;
    let mut bytes = Vec::new();
    if closes {
        dialled.stream.read_to_end(&mut bytes).await.unwrap();
    }
    Ok(Through { absolute_form: dialled.absolute_form, bytes })
}

/// Reads until what came ends as given.
pub(crate) async fn read_until(tcp: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.push(tcp.read_u8().await.unwrap());
    }
    bytes
}
