//! What is measured, and which proxies can do it.

use super::peers::Peer;

/// The origin's resources.
pub(crate) const SMALL: (&str, usize) = ("/1k.json", 1024);
pub(crate) const LARGE: (&str, usize) = ("/64k.json", 64 * 1024);
pub(crate) const POST: &str = "/post";
pub(crate) const POST_BYTES: usize = 4096;
/// What the origin answers to a POST, see the template of the origin.
pub(crate) const POST_ANSWER: &[u8] = b"{\"ok\":true}\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Small,
    Large,
    Post,
    /// A GET of the small resource through a CONNECT tunnel that is opened once.
    Tunnel,
}

impl Request {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Small | Self::Tunnel => SMALL.0,
            Self::Large => LARGE.0,
            Self::Post => POST,
        }
    }
}

/// One table of the results.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) request: Request,
    pub(crate) tls: bool,
    pub(crate) workers: usize,
    /// Connections that stay open and idle meanwhile.
    pub(crate) idle: usize,
    pub(crate) peers: &'static [Peer],
}

const PLAIN: &[Peer] = &[
    Peer::Floor,
    Peer::BareMio,
    Peer::BareTokio,
    Peer::Nginx,
    Peer::Haproxy,
    Peer::Envoy,
    Peer::Byway,
];
const TLS: &[Peer] =
    &[Peer::BareMio, Peer::BareTokio, Peer::Nginx, Peer::Haproxy, Peer::Envoy, Peer::Byway];
const LARGE_BODY: &[Peer] = &[
    Peer::Floor,
    Peer::BareMio,
    Peer::BareTokio,
    Peer::Nginx,
    Peer::NginxTuned,
    Peer::Haproxy,
    Peer::Envoy,
    Peer::Byway,
];
const TUNNEL: &[Peer] = &[Peer::Floor, Peer::Squid, Peer::Envoy, Peer::Byway];
/// Without Envoy: its price per idle connection is known and it takes long.
const WITH_IDLE: &[Peer] =
    &[Peer::Floor, Peer::BareMio, Peer::BareTokio, Peer::Nginx, Peer::Haproxy, Peer::Byway];

/// The key of the workload that measures memory instead of time.
pub(crate) const MEMORY: &str = "memory";
/// The key of the run that counts system calls.
pub(crate) const SYSCALLS: &str = "syscalls";
pub(crate) const MEMORY_PEERS: &[Peer] = PLAIN;
pub(crate) const SYSCALL_PEERS: &[Peer] =
    &[Peer::Floor, Peer::BareMio, Peer::BareTokio, Peer::Byway];

const BASE: Workload = Workload {
    key: "get1k",
    title: "GET 1 KiB",
    request: Request::Small,
    tls: false,
    workers: 1,
    idle: 0,
    peers: PLAIN,
};

/// In the order of the report.
pub(crate) const ALL: &[Workload] = &[
    BASE,
    Workload { key: "tls1k", title: "TLS to origin, 1 KiB", tls: true, peers: TLS, ..BASE },
    Workload {
        key: "get64k",
        title: "GET 64 KiB",
        request: Request::Large,
        peers: LARGE_BODY,
        ..BASE
    },
    Workload { key: "post4k", title: "POST 4 KiB", request: Request::Post, ..BASE },
    Workload {
        key: "connect1k",
        title: "CONNECT tunnel, GET 1 KiB",
        request: Request::Tunnel,
        peers: TUNNEL,
        ..BASE
    },
    Workload {
        key: "idle1000",
        title: "GET 1 KiB beside 1,000 idle connections",
        idle: 1000,
        peers: WITH_IDLE,
        ..BASE
    },
    Workload {
        key: "idle5000",
        title: "GET 1 KiB beside 5,000 idle connections",
        idle: 5000,
        peers: WITH_IDLE,
        ..BASE
    },
    Workload { key: "workers2", title: "GET 1 KiB, two workers", workers: 2, ..BASE },
];

/// All the names that `--workloads` takes.
pub(crate) fn keys() -> Vec<&'static str> {
    ALL.iter().map(|workload| workload.key).chain([MEMORY, SYSCALLS, super::relay::RELAY]).collect()
}
