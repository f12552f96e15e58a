//! From a target and a path to a stream that can carry the request, or to the reason why not.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::destination::{HostKind, Network, host_kind};
use byway_core::relay::Unfit;
use byway_core::route::{Origin, Scheme};
use byway_core::settings::{Deadlines, PathKind, PeerHop, ProxyHop, Resolve};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use crate::hop::HopClient;
use crate::race::{Race, Rule, Won, is_host_name, not_a_name, not_an_address};
use crate::relay::{Leg, RelayStream};
use crate::resolver::{DnsFailure, Resolver, is_localhost};
use crate::stream::Stream;
use crate::tls::TlsClient;
use crate::{http_proxy, socks5};

/// Where a connection is to lead.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its scheme; CONNECT for anything else counts as `https`.
    pub scheme: Scheme,
    /// A name, or an address in any notation, without brackets.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// An address to dial instead of resolving the name; checked like a resolved one.
    pub pinned: Option<IpAddr>,
}

impl<'a> Target<'a> {
    /// Whatever the name resolves to.
    pub const fn new(scheme: Scheme, host: &'a str, port: u16) -> Self {
        Self { scheme, host, port, pinned: None }
    }
}

/// Everything [`dial`] needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Dial<'a> {
    /// The way out.
    pub path: &'a PathKind,
    /// What the way out needs besides: TLS to a peer or relay, keys.
    pub hop: &'a HopClient,
    /// Where to.
    pub target: Target<'a>,
    /// Non-public networks that the destination may be on.
    pub allow: &'a [Network],
    /// TLS to the destination; `None` for plain bytes or a tunnel that others encrypt.
    pub tls: Option<&'a TlsClient>,
    /// Whether the stream must be a tunnel: a proxy is then asked to CONNECT even for plain http.
    pub tunnel: bool,
    /// How long it may take: `connect` up to and including a proxy's handshake, then `tls`.
    pub deadlines: &'a Deadlines,
    /// The value of `Byway-Hops` towards a proxy that is another Byway.
    pub hops: &'a str,
    /// Where this gateway itself listens.
    pub own: &'a [SocketAddr],
}

/// A stream that leads to the target.
#[derive(Debug)]
pub struct Dialled {
    /// The stream.
    pub stream: Stream,
    /// The other end of the TCP connection: the destination or a proxy.
    pub peer: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// Whether requests must be sent in absolute-form, with `Proxy-Authorization` if there is one.
    pub absolute_form: bool,
    /// The address that the provider sees, where a peer told it.
    pub exit: Option<IpAddr>,
    /// How long each part took.
    pub timing: Timing,
}

/// How long each part of dialling took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Until the first address was known.
    pub dns: Duration,
    /// From there to the connection, with a proxy's handshake.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
}

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialFailure {
    /// What happened.
    pub cause: Cause,
    /// What exactly, for people: which address said what. Never a secret.
    pub detail: String,
    /// The address that it is about, if one was reached for.
    pub peer: Option<SocketAddr>,
}

impl DialFailure {
    pub(crate) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), peer: None }
    }

    pub(crate) fn at(cause: Cause, detail: impl Into<String>, peer: SocketAddr) -> Self {
        Self { cause, detail: detail.into(), peer: Some(peer) }
    }
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for DialFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// What was opened before any TLS to the destination.
struct Opened {
    below: Below,
    peer: SocketAddr,
    resolved: Instant,
    absolute_form: bool,
    exit: Option<IpAddr>,
}

/// What carries the stream to the destination.
enum Below {
    Tcp(TcpStream),
    /// A tunnel inside the TLS towards a peer.
    Tls(Box<TlsStream<TcpStream>>),
    /// A relay, which does the TLS to the destination itself.
    Relay(Box<RelayStream>),
}

impl Opened {
    fn plain(won: Won, absolute_form: bool) -> Self {
        let Won { tcp, peer, resolved } = won;
        Self { below: Below::Tcp(tcp), peer, resolved, absolute_form, exit: None }
    }
}

/// Opens a stream to the target over the path.
///
/// Cancel safe: nothing is spawned, so dropping the future closes whatever it had opened and
/// leaves nothing behind but cached names.
///
/// # Errors
/// [`DialFailure`]; the cause alone decides whose fault it is.
pub async fn dial(resolver: &Resolver, dial: &Dial<'_>) -> Result<Dialled, DialFailure> {
    let started = clock();
    let deadline = started + dial.deadlines.connect;
    let opened = match dial.path {
        PathKind::Direct => direct(resolver, dial, None, deadline).await?,
        PathKind::SourceIp(ip) => direct(resolver, dial, Some(*ip), deadline).await?,
        PathKind::HttpProxy(hop) => through_http_proxy(resolver, dial, hop, deadline).await?,
        PathKind::Socks5(hop) => through_socks5(resolver, dial, hop, deadline).await?,
        PathKind::Peer(peer) => Box::pin(through_peer(resolver, dial, peer, deadline)).await?,
        PathKind::Relay(_) => Box::pin(to_relay(resolver, dial, deadline)).await?,
    };
    let connected = clock();
    let Opened { below, peer, resolved, absolute_form, exit } = opened;
    let (host, limit) = (dial.target.host, dial.deadlines.tls);
    let stream = match (below, dial.tls) {
        (Below::Tcp(tcp), None) => Stream::Tcp(tcp),
        (Below::Tcp(tcp), Some(tls)) => Stream::Tls(tls.handshake(tcp, host, peer, limit).await?),
        (Below::Tls(below), None) => Stream::Tls(below),
        (Below::Tls(below), Some(tls)) => {
            Stream::Inside(Box::pin(tls.handshake(*below, host, peer, limit)).await?)
        }
        (Below::Relay(relay), _) => Stream::Relay(relay),
    };
    let local = stream.tcp().local_addr().map_err(|err| {
        DialFailure::at(Cause::ConnectReset, format!("lost the connection to {peer}: {err}"), peer)
    })?;
    let timing = Timing {
        dns: resolved.saturating_duration_since(started),
        connect: connected.saturating_duration_since(resolved),
        tls: clock().saturating_duration_since(connected),
    };
    Ok(Dialled { stream, peer, local, absolute_form, exit, timing })
}

async fn direct(
    resolver: &Resolver,
    dial: &Dial<'_>,
    source: Option<IpAddr>,
    deadline: Instant,
) -> Result<Opened, DialFailure> {
    let pinned = dial.target.pinned.map(|ip| ip.to_string());
    let race = Race {
        resolver,
        host: pinned.as_deref().unwrap_or(dial.target.host),
        port: dial.target.port,
        rule: Rule::Destination(dial.allow),
        own: dial.own,
        source,
        deadline,
    };
    Ok(Opened::plain(race.run().await?, false))
}

async fn through_http_proxy(
    resolver: &Resolver,
    dial: &Dial<'_>,
    hop: &ProxyHop,
    deadline: Instant,
) -> Result<Opened, DialFailure> {
    let names = destinations(resolver, dial, hop, deadline).await?;
    // Absolute-form names a host that the proxy resolves again: what was checked here could not be
    // pinned, so `resolve = "here"` tunnels plain http as well.
    let is_plain = dial.target.scheme == Scheme::Http && dial.tls.is_none() && !dial.tunnel;
    if is_plain && hop.resolve == Resolve::There {
        let won = reach(resolver, dial, hop, deadline).await?;
        return Ok(Opened::plain(won, true));
    }
    let mut failure = None;
    for name in names {
        let mut won = reach(resolver, dial, hop, deadline).await?;
        let hops = hop.is_byway.then_some(dial.hops);
        let request = http_proxy::connect_head(&name.authority(), hop, hops);
        let handshake = http_proxy::connect(&mut won.tcp, &request, hop.is_byway);
        match timeout_at(deadline, handshake).await {
            Ok(Ok(_)) => return Ok(Opened::plain(won, false)),
            Ok(Err(refusal)) => failure = Some(refusal.into_dial_failure(hop, &name, won.peer)),
            Err(_) => return Err(hop_too_late(hop, &name, won.peer)),
        }
        if !failure.as_ref().is_some_and(|f| another_address_may_work(f.cause)) {
            break;
        }
    }
    Err(failure.unwrap_or_else(|| not_a_name(dial.target.host)))
}

async fn through_socks5(
    resolver: &Resolver,
    dial: &Dial<'_>,
    hop: &ProxyHop,
    deadline: Instant,
) -> Result<Opened, DialFailure> {
    let names = destinations(resolver, dial, hop, deadline).await?;
    let mut failure = None;
    for name in names {
        let mut won = reach(resolver, dial, hop, deadline).await?;
        let credentials = hop.credentials.as_ref();
        let refused = match timeout_at(deadline, socks5::greet(&mut won.tcp, credentials)).await {
            Ok(Ok(())) => match timeout_at(deadline, socks5::connect(&mut won.tcp, &name)).await {
                Ok(Ok(())) => return Ok(Opened::plain(won, false)),
                Ok(Err(refusal)) => refusal,
                Err(_) => return Err(hop_too_late(hop, &name, won.peer)),
            },
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                let detail = format!("the SOCKS5 server {} did not greet us in time", at(hop));
                return Err(DialFailure::at(Cause::PathDown, detail, won.peer));
            }
        };
        let is_last = !another_address_may_work(refused.cause);
        failure = Some(refused.into_dial_failure(hop, &name, won.peer));
        if is_last {
            break;
        }
    }
    Err(failure.unwrap_or_else(|| not_a_name(dial.target.host)))
}

/// CONNECT inside TLS: the peer enforces its own destinations, and sees which instances the request
/// has passed, itself perhaps among them.
async fn through_peer(
    resolver: &Resolver,
    dial: &Dial<'_>,
    peer: &PeerHop,
    deadline: Instant,
) -> Result<Opened, DialFailure> {
    let hop = &peer.hop;
    let mut failure = None;
    for name in destinations(resolver, dial, hop, deadline).await? {
        let Won { tcp, peer, resolved } = reach(resolver, dial, hop, deadline).await?;
        let mut tls = to_hop(dial, tcp, &hop.host, peer, &at(hop)).await?;
        let request = http_proxy::connect_head(&name.authority(), hop, Some(dial.hops));
        match timeout_at(deadline, http_proxy::connect_inside(&mut tls, &request)).await {
            Ok(Ok(exit)) => {
                let below = Below::Tls(tls);
                return Ok(Opened { below, peer, resolved, absolute_form: false, exit });
            }
            Ok(Err(refusal)) => failure = Some(refusal.into_dial_failure(hop, &name, peer)),
            Err(_) => return Err(hop_too_late(hop, &name, peer)),
        }
        if !failure.as_ref().is_some_and(|f| another_address_may_work(f.cause)) {
            break;
        }
    }
    Err(failure.unwrap_or_else(|| not_a_name(dial.target.host)))
}

/// A connection to a relay, which is asked nothing before there is a request.
async fn to_relay(
    resolver: &Resolver,
    dial: &Dial<'_>,
    deadline: Instant,
) -> Result<Opened, DialFailure> {
    let Some(client) = dial.hop.relay() else {
        return Err(DialFailure::new(Cause::Internal, "the path has no key for its relay"));
    };
    if dial.tunnel {
        let detail = format!("the relay {}: {}", client.hop().id, Unfit::Tunnel);
        return Err(DialFailure::new(Cause::RelayLimit, detail));
    }
    let Origin { scheme, host, port } = &client.hop().origin;
    let race = Race {
        resolver,
        host,
        port: *port,
        rule: Rule::Endpoint,
        own: dial.own,
        source: None,
        deadline,
    };
    let name = format!("the relay {}", client.hop().id);
    let Won { tcp, peer, resolved } =
        race.run().await.map_err(|failure| of_the_way_out(failure, &name))?;
    let inner = match scheme {
        Scheme::Http => Stream::Tcp(tcp),
        Scheme::Https => Stream::Tls(to_hop(dial, tcp, host, peer, &name).await?),
    };
    let Target { host, port, scheme, .. } = dial.target;
    let is_tls = scheme == Scheme::Https;
    let leg = Leg { is_tls, host, port, deadlines: dial.deadlines };
    let relay = Box::new(RelayStream::new(inner, Arc::clone(client), &leg));
    Ok(Opened { below: Below::Relay(relay), peer, resolved, absolute_form: false, exit: None })
}

/// TLS to our own way out; what goes wrong there is no provider's fault.
async fn to_hop(
    dial: &Dial<'_>,
    tcp: TcpStream,
    host: &str,
    peer: SocketAddr,
    name: &str,
) -> Result<Box<TlsStream<TcpStream>>, DialFailure> {
    let Some(tls) = dial.hop.tls() else {
        return Err(DialFailure::new(Cause::Internal, "the path has no TLS of its own"));
    };
    let shook = tls.handshake(tcp, host, peer, dial.deadlines.tls).await;
    shook.map_err(|failure| of_the_way_out(failure, name))
}

fn of_the_way_out(mut failure: DialFailure, name: &str) -> DialFailure {
    if !matches!(failure.cause, Cause::FilesExhausted | Cause::PortsExhausted | Cause::Loop) {
        failure.cause = Cause::PathDown;
    }
    failure.detail = format!("{name}: {}", failure.detail);
    failure
}

/// What a proxy is told: a checked address, or a name that it resolves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Address(SocketAddr),
    Name(String, u16),
}

impl Told {
    /// Host and port as in a request target.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Address(addr) => addr.to_string(),
            Self::Name(host, port) => format!("{host}:{port}"),
        }
    }
}

/// A proxy is asked for at most this many addresses of one destination.
const N_TOLD_MAX: usize = 3;

/// Checks the destination as far as it can be checked from here.
///
/// IPv4 comes first: a proxy without IPv6 is more common than one without IPv4.
async fn destinations(
    resolver: &Resolver,
    dial: &Dial<'_>,
    hop: &ProxyHop,
    deadline: Instant,
) -> Result<Vec<Told>, DialFailure> {
    let Target { host, port, .. } = dial.target;
    let bare = host.strip_suffix('.').unwrap_or(host);
    let found = match host_kind(bare) {
        HostKind::NotAnAddress => return Err(not_an_address(host)),
        HostKind::Name if !is_host_name(bare) => return Err(not_a_name(host)),
        HostKind::Address(ip) => vec![ip],
        // The proxy's own loopback is as forbidden as ours.
        HostKind::Name if hop.resolve == Resolve::There && !is_localhost(bare) => {
            return Ok(vec![Told::Name(host.to_owned(), port)]);
        }
        HostKind::Name => timeout_at(deadline, resolver.lookup_both(host))
            .await
            .unwrap_or(Err(DnsFailure::Timeout))
            .map_err(|failure| failure.into_dial_failure(host))?,
    };
    let rule = Rule::Destination(dial.allow);
    let mut refusal = None;
    let mut told = Vec::new();
    for addr in found.into_iter().map(|ip| SocketAddr::new(ip, port)) {
        match rule.check(host, addr, dial.own) {
            Ok(()) => told.push(Told::Address(addr)),
            Err(no) => refusal = refusal.or(Some(no)),
        }
    }
    told.truncate(N_TOLD_MAX);
    if told.is_empty() { Err(refusal.unwrap_or_else(|| not_a_name(host))) } else { Ok(told) }
}

/// Connects to the proxy itself; whatever goes wrong here is our way out's fault.
async fn reach(
    resolver: &Resolver,
    dial: &Dial<'_>,
    hop: &ProxyHop,
    deadline: Instant,
) -> Result<Won, DialFailure> {
    let race = Race {
        resolver,
        host: &hop.host,
        port: hop.port,
        rule: Rule::Endpoint,
        own: dial.own,
        source: None,
        deadline,
    };
    race.run().await.map_err(|failure| of_the_way_out(failure, &format!("the proxy {}", at(hop))))
}

fn another_address_may_work(cause: Cause) -> bool {
    matches!(cause, Cause::ConnectRefused | Cause::ConnectUnreachable)
}

/// What a proxy answered, if not yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) cause: Cause,
    /// Completes "the proxy …".
    pub(crate) says: String,
}

impl Refused {
    pub(crate) fn new(cause: Cause, says: impl Into<String>) -> Self {
        Self { cause, says: says.into() }
    }

    fn into_dial_failure(self, hop: &ProxyHop, name: &Told, peer: SocketAddr) -> DialFailure {
        let Self { cause, says } = self;
        let detail = format!("the proxy {}, asked for {}, {says}", at(hop), name.authority());
        DialFailure::at(cause, detail, peer)
    }
}

fn hop_too_late(hop: &ProxyHop, name: &Told, peer: SocketAddr) -> DialFailure {
    let says = "did not connect us in time";
    Refused::new(Cause::ConnectTimeout, says).into_dial_failure(hop, name, peer)
}

fn at(hop: &ProxyHop) -> String {
    let ProxyHop { host, port, .. } = hop;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The one place where dialling reads a clock: to give every step the same deadline, and to say
/// afterwards how long it took. It stands still in tests with paused time.
#[expect(clippy::disallowed_methods, reason = "measures; decides nothing but deadlines")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Closes over what a handshake with a proxy may say of a broken connection.
pub(crate) fn broken(err: &std::io::Error) -> Refused {
    Refused::new(Cause::PathDown, format!("broke the connection: {err}"))
}

#[cfg(test)]
mod tests;
