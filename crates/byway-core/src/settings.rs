//! What a gateway is told to do: checked values, with every default in one place.
//!
//! `byway-config` makes these from TOML; nothing here knows about files. Durations are
//! [`core::time::Duration`], sizes are bytes. Zero never means "no limit".

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::classify::OwnSignature;
use crate::destination::Network;
use crate::freshness::{CacheLimits, RouteCache};
use crate::id::{PathName, ProviderName};
use crate::policy::Policy;
use crate::relay::RelayHop;
use crate::route::{HostPattern, Origin};
use crate::secret::Secret;

/// Everything one gateway needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this instance; in every fact and log line.
    pub instance: String,
    /// Worker threads, each with its own listener and pools.
    pub n_workers: usize,
    /// Where callers come in.
    pub listeners: Vec<Listener>,
    /// Where operators look; `None` switches the admin listener off.
    pub admin: Option<SocketAddr>,
    /// Host names, besides loopback's own, by which callers may address the gateway.
    pub names: Vec<String>,
    /// What happens with hosts that no provider lists.
    pub unlisted: Unlisted,
    /// Non-public networks that requests to unlisted hosts may reach.
    pub unlisted_allow: Vec<Network>,
    /// Sizes and counts.
    pub limits: Limits,
    /// Deadlines for providers that set none of their own.
    pub deadlines: Deadlines,
    /// How long a stopping gateway waits for requests in flight.
    pub drain: Duration,
    /// What is written down.
    pub log: Log,
    /// How names are resolved.
    pub dns: Dns,
    /// PEM bundles trusted in addition to the platform's roots, for every provider.
    pub roots_pem: Vec<Vec<u8>>,
    /// Ways out; `direct` is always among them.
    pub paths: Vec<Path>,
    /// Providers, in the order of the configuration.
    pub providers: Vec<Provider>,
    /// Where spans are exported to, if anywhere.
    pub otlp: Option<Otlp>,
    /// Where facts, orders and stored answers are kept.
    pub state: State,
    /// What answers with the address that it was called from (origin and target), asked over each
    /// path.
    pub exit_echo: Option<(Origin, String)>,
    /// The certificate and key that open tunnels, PEM.
    pub authority: Option<(Vec<u8>, Secret)>,
    /// The operator's own signatures of refusals, tried before the shipped ones.
    pub signatures: Vec<OwnSignature>,
}

/// What is kept between two starts.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The folder; `None` for the usual one of this user.
    pub dir: Option<std::path::PathBuf>,
    /// Whether nothing is kept at all.
    pub is_off: bool,
    /// What facts may take.
    pub facts: FactLimits,
    /// What stored answers may take.
    pub cache: CacheLimits,
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactLimits {
    /// Older facts are deleted.
    pub age_max: Duration,
    /// Beyond this size, the oldest facts are deleted.
    pub bytes_max: usize,
}

impl Default for FactLimits {
    fn default() -> Self {
        Self { age_max: Duration::from_secs(90 * 24 * 3600), bytes_max: 512 * 1024 * 1024 }
    }
}

/// The default port for callers.
pub const PORT: u16 = 7070;
/// The default port for operators.
pub const ADMIN_PORT: u16 = 7071;

impl Default for Settings {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            instance: "byway".to_owned(),
            n_workers: 1,
            listeners: vec![Listener::loopback(loopback(PORT))],
            admin: Some(loopback(ADMIN_PORT)),
            names: Vec::new(),
            unlisted: Unlisted::Observe,
            unlisted_allow: Vec::new(),
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            drain: Duration::from_secs(30),
            log: Log::default(),
            dns: Dns::default(),
            roots_pem: Vec::new(),
            paths: vec![Path::alone(PathName::direct(), PathKind::Direct)],
            providers: Vec::new(),
            otlp: None,
            state: State::default(),
            exit_echo: None,
            authority: None,
            signatures: Vec::new(),
        }
    }
}

/// One address where callers come in.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The address; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// TLS towards callers; required unless the address is loopback.
    pub tls: Option<ListenerTls>,
    /// Who may call.
    pub callers: Callers,
}

impl Listener {
    /// A listener for callers on this machine.
    pub fn loopback(addr: SocketAddr) -> Self {
        Self { addr, tls: None, callers: Callers::Loopback }
    }
}

/// A certificate towards callers.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// The certificate chain, PEM.
    pub chain_pem: Vec<u8>,
    /// Its private key, PEM.
    pub key_pem: Secret,
    /// Authorities of client certificates, PEM; set exactly if callers are [`Callers::Certificate`].
    pub client_roots_pem: Option<Vec<u8>>,
}

/// Who may call through a listener.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Anybody on this machine, except web pages.
    Loopback,
    /// Whoever presents one of these in `Proxy-Authorization`.
    Token(Vec<CallerToken>),
    /// Whoever presents a certificate that the listener's TLS accepts.
    Certificate,
}

/// A caller's credentials.
#[derive(Debug, Clone)]
pub struct CallerToken {
    /// The name of the caller; the user name of Basic credentials.
    pub name: String,
    /// The token; the password of Basic credentials, or a Bearer token.
    pub token: Secret,
}

/// What happens with hosts that no provider lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlisted {
    /// They are forwarded and counted as the provider `observed`.
    Observe,
    /// They are refused.
    Refuse,
}

/// Sizes and counts; all of them are hard.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A head, in bytes.
    pub head_bytes_max: usize,
    /// A request target, in bytes.
    pub target_bytes_max: usize,
    /// Fields in one head; at most 128.
    pub n_fields_max: usize,
    /// Connections from one address, over all listeners.
    pub n_connections_per_caller_max: usize,
    /// Connections in all.
    pub n_connections_max: usize,
    /// Bytes of a request kept so that it can be sent again.
    pub replay_bytes_max: usize,
    /// Idle connections kept per provider, path and worker.
    pub n_idle_per_lane_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 65_536,
            target_bytes_max: 32_768,
            n_fields_max: 128,
            n_connections_per_caller_max: 10_000,
            n_connections_max: 50_000,
            replay_bytes_max: 65_536,
            n_idle_per_lane_max: 256,
        }
    }
}

/// How long each part of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Name resolution and TCP connection, and a proxy's CONNECT or SOCKS5 handshake.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two pieces of a body, in either direction.
    pub idle_body: Duration,
    /// The whole request; tunnels are exempt.
    pub total: Duration,
    /// Without a byte in either direction on a tunnel.
    pub idle_tunnel: Duration,
    /// An idle connection to a provider; below the 60 s that many servers use.
    pub idle_provider: Duration,
    /// An idle connection of a caller.
    pub idle_caller: Duration,
    /// For the head of a request, once its first byte came.
    pub head: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            idle_body: Duration::from_secs(60),
            total: Duration::from_secs(3600),
            idle_tunnel: Duration::from_secs(600),
            idle_provider: Duration::from_secs(50),
            idle_caller: Duration::from_secs(600),
            head: Duration::from_secs(10),
        }
    }
}

/// What is written down.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// Which requests get a line.
    pub requests: LogRequests,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, requests: LogRequests::All }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value`
    Text,
    /// One JSON object a line.
    Json,
}

/// Which requests get a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRequests {
    /// Every request.
    All,
    /// Those that did not end with an answer below 500 from the provider.
    Errors,
    /// None.
    Off,
}

/// How names are resolved.
#[derive(Debug, Clone)]
pub struct Dns {
    /// Name servers; empty for the system's own.
    pub servers: Vec<SocketAddr>,
    /// How long one try at one server may take.
    pub timeout: Duration,
    /// Answers are kept at most this long, whatever their TTL says.
    pub ttl_max: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            ttl_max: Duration::from_secs(300),
        }
    }
}

/// A way out.
#[derive(Debug, Clone)]
pub struct Path {
    /// Its name.
    pub name: PathName,
    /// What it is.
    pub kind: PathKind,
    /// Paths of one group fail together (a cloud, a site) and count as one witness.
    pub group: String,
    /// The address that providers see, where the operator knows it.
    pub exit: Option<IpAddr>,
}

impl Path {
    /// A path that shares its fate with no other.
    pub fn alone(name: PathName, kind: PathKind) -> Self {
        let group = name.as_str().to_owned();
        Self { name, kind, group, exit: None }
    }
}

/// The kinds of ways out.
#[derive(Debug, Clone)]
pub enum PathKind {
    /// From whatever address the system picks.
    Direct,
    /// From this address of ours.
    SourceIp(IpAddr),
    /// Through an HTTP proxy: CONNECT, or absolute-form for plain http.
    HttpProxy(ProxyHop),
    /// Through a SOCKS5 server (RFC 1928).
    Socks5(ProxyHop),
    /// Through another Byway: CONNECT over TLS.
    Peer(PeerHop),
    /// Through a relay: one POST carries one request (`docs/relay-protocol.md`).
    Relay(Arc<RelayHop>),
}

impl PathKind {
    /// The kind as the configuration names it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::SourceIp(_) => "source-ip",
            Self::HttpProxy(_) => "http-proxy",
            Self::Socks5(_) => "socks5",
            Self::Peer(_) => "peer",
            Self::Relay(_) => "relay",
        }
    }

    /// The relay of the path, if it is one.
    pub fn relay(&self) -> Option<&RelayHop> {
        match self {
            Self::Relay(hop) => Some(hop),
            Self::Direct
            | Self::SourceIp(_)
            | Self::HttpProxy(_)
            | Self::Socks5(_)
            | Self::Peer(_) => None,
        }
    }
}

/// Another Byway of ours.
#[derive(Debug, Clone)]
pub struct PeerHop {
    /// Where it listens, and the name and token that it knows us by.
    pub hop: ProxyHop,
    /// TLS towards it: its authority, and our certificate if that is what it asks for.
    pub tls: ProviderTls,
}

/// A proxy of ours.
#[derive(Debug, Clone)]
pub struct ProxyHop {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name and password.
    pub credentials: Option<Credentials>,
    /// Who resolves the provider's name.
    pub resolve: Resolve,
    /// Whether it is another Byway: then, and only then, it is told which instances were passed.
    pub is_byway: bool,
}

/// A user name and a password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Who resolves a provider's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// The gateway, which can then check the address.
    Here,
    /// The proxy; only literal addresses can be checked.
    There,
}

/// A third party.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Where base-URL requests go; `None` for a provider that is only reached as a proxy target.
    pub origin: Option<Origin>,
    /// Hosts that belong to it when the gateway is used as a forward proxy.
    pub hosts: Vec<HostPattern>,
    /// Its paths, first choice first.
    pub paths: Vec<PathName>,
    /// Its deadlines.
    pub deadlines: Deadlines,
    /// Non-public networks that it may be on.
    pub allow: Vec<Network>,
    /// Its TLS.
    pub tls: ProviderTls,
    /// How it is judged, and what may be done about it.
    pub policy: Policy,
    /// Parts of it that differ in what depends on them or in what may be stored.
    pub routes: Vec<ProviderRoute>,
    /// What depends on it, besides what its routes name; shown with verdicts.
    pub affects: Vec<String>,
    /// Whether tunnels to it are opened with the local authority, so that everything can be seen.
    pub intercept: bool,
}

/// A part of a provider: the requests whose target begins with a prefix.
#[derive(Debug, Clone)]
pub struct ProviderRoute {
    /// Its name.
    pub name: String,
    /// How its targets begin, byte for byte; the longest prefix wins.
    pub prefix: String,
    /// What depends on it; shown with verdicts.
    pub affects: Vec<String>,
    /// What may be stored.
    pub cache: RouteCache,
}

/// TLS towards a provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderTls {
    /// PEM bundles trusted in addition.
    pub roots_pem: Vec<Vec<u8>>,
    /// Our certificate chain and its key, PEM.
    pub identity: Option<(Vec<u8>, Secret)>,
}

/// Where spans are exported to.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// The base address of an OTLP/HTTP collector, for example `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// One request in this many is exported; those that failed always are.
    pub one_in: u32,
}
