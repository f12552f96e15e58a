//! Happy eyeballs (RFC 8305): both families are resolved at once, every address is checked, and
//! the first connection that stands wins.
//!
//! One poll function drives lookups, attempts and timers together; nothing is spawned, so dropping
//! the race closes every socket of it.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::destination::{HostKind, Network, host_kind, may_reach};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::dial::{DialFailure, clock};
use crate::own::is_own;
use crate::resolver::{DnsFailure, Family, OTHER_FAMILY_DELAY, Resolver};

/// The next address is tried this long after the last one (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(250);

/// What is dialled, and by which rule.
pub(crate) struct Race<'a> {
    pub(crate) resolver: &'a Resolver,
    /// A name or an address in any notation, without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) rule: Rule<'a>,
    /// Our own listeners.
    pub(crate) own: &'a [SocketAddr],
    /// Our own address to dial from.
    pub(crate) source: Option<IpAddr>,
    pub(crate) deadline: Instant,
}

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule<'a> {
    /// A destination: public, or in one of these networks.
    Destination(&'a [Network]),
    /// A proxy of ours: wherever the operator put it.
    Endpoint,
}

impl Rule<'_> {
    /// Checks one address against the rule and against our own listeners.
    pub(crate) fn check(
        self,
        host: &str,
        addr: SocketAddr,
        own: &[SocketAddr],
    ) -> Result<(), DialFailure> {
        if is_own(addr, own) {
            let detail = format!("`{host}` is {addr}, where this gateway itself listens");
            return Err(DialFailure::at(Cause::Loop, detail, addr));
        }
        match self {
            Self::Endpoint => Ok(()),
            Self::Destination(allow) => may_reach(addr.ip(), allow).map_err(|class| {
                let ip = addr.ip();
                let detail = format!("`{host}` is {ip}, a {class} address that is not allowed");
                DialFailure::at(Cause::DestinationForbidden, detail, addr)
            }),
        }
    }
}

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Won {
    pub(crate) tcp: TcpStream,
    pub(crate) peer: SocketAddr,
    /// When the first address was known.
    pub(crate) resolved: Instant,
}

impl Race<'_> {
    /// Runs it.
    ///
    /// Cancel safe: dropping it closes every socket it opened.
    pub(crate) async fn run(&self) -> Result<Won, DialFailure> {
        let bare = self.host.strip_suffix('.').unwrap_or(self.host);
        let mut course = match host_kind(bare) {
            HostKind::NotAnAddress => return Err(not_an_address(self.host)),
            HostKind::Address(ip) => self.course([None, None], vec![ip])?,
            HostKind::Name if !is_host_name(bare) => return Err(not_a_name(self.host)),
            HostKind::Name => {
                let want = |family, is_wanted: bool| {
                    let lookup = || self.resolver.lookup(self.host, family);
                    is_wanted.then(|| Box::pin(lookup()) as Lookup<'_>)
                };
                let v4 = want(Family::V4, self.source.is_none_or(|ip| ip.is_ipv4()));
                let v6 = want(Family::V6, self.source.is_none_or(|ip| ip.is_ipv6()));
                self.course([v4, v6], Vec::new())?
            }
        };
        poll_fn(|cx| course.poll(cx)).await
    }

    fn course<'b>(
        &'b self,
        lookups: [Option<Lookup<'b>>; 2],
        found: Vec<IpAddr>,
    ) -> Result<Course<'b>, DialFailure> {
        let [v4, v6] = lookups;
        let mut course = Course {
            race: self,
            v4: Side { lookup: v4, waiting: VecDeque::new() },
            v6: Side { lookup: v6, waiting: VecDeque::new() },
            last_was_v6: false,
            attempts: Vec::new(),
            resolved: None,
            next: None,
            deadline: Box::pin(sleep_until(self.deadline)),
            dns_failure: None,
            refusal: None,
            failure: None,
        };
        for ip in found {
            if self.source.is_some_and(|source| source.is_ipv4() != ip.is_ipv4()) {
                return Err(self.wrong_family());
            }
            course.add(ip);
        }
        Ok(course)
    }

    fn wrong_family(&self) -> DialFailure {
        let family = if self.source.is_some_and(|ip| ip.is_ipv4()) { "IPv4" } else { "IPv6" };
        let host = self.host;
        let detail = format!("`{host}` has no {family} address, and this path has only such a one");
        DialFailure::new(Cause::ConnectUnreachable, detail)
    }
}

type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, DnsFailure>> + Send + 'a>>;
type Attempt = Pin<Box<dyn Future<Output = Result<(TcpStream, SocketAddr), DialFailure>> + Send>>;

/// One family.
struct Side<'a> {
    lookup: Option<Lookup<'a>>,
    waiting: VecDeque<SocketAddr>,
}

impl Side<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Result<Vec<IpAddr>, DnsFailure>> {
        let Poll::Ready(found) = self.lookup.as_mut()?.as_mut().poll(cx) else { return None };
        self.lookup = None;
        Some(found)
    }
}

/// A race under way.
struct Course<'a> {
    race: &'a Race<'a>,
    v4: Side<'a>,
    v6: Side<'a>,
    last_was_v6: bool,
    attempts: Vec<Attempt>,
    resolved: Option<Instant>,
    /// Until when no further attempt starts.
    next: Option<Pin<Box<Sleep>>>,
    deadline: Pin<Box<Sleep>>,
    dns_failure: Option<DnsFailure>,
    refusal: Option<DialFailure>,
    failure: Option<DialFailure>,
}

impl Course<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Won, DialFailure>> {
        self.poll_lookups(cx);
        loop {
            if let Some((tcp, peer)) = self.poll_attempts(cx) {
                let resolved = self.resolved.unwrap_or_else(clock);
                return Poll::Ready(Ok(Won { tcp, peer, resolved }));
            }
            if let Some(wait) = &mut self.next {
                if wait.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.next = None;
            }
            if !self.start() {
                break;
            }
        }
        let is_resolving = self.v4.lookup.is_some() || self.v6.lookup.is_some();
        let is_dry = self.v4.waiting.is_empty() && self.v6.waiting.is_empty();
        if !is_resolving && is_dry && self.attempts.is_empty() {
            return Poll::Ready(Err(self.lost()));
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.too_late()));
        }
        Poll::Pending
    }

    fn poll_lookups(&mut self, cx: &mut Context<'_>) {
        for side in [Family::V6, Family::V4] {
            let found = match side {
                Family::V4 => self.v4.poll(cx),
                Family::V6 => self.v6.poll(cx),
            };
            match found {
                None => {}
                Some(Err(failure)) => {
                    self.dns_failure = Some(match self.dns_failure.take() {
                        Some(other) => other.worse(failure),
                        None => failure,
                    });
                }
                Some(Ok(found)) => {
                    for ip in found {
                        self.add(ip);
                    }
                }
            }
        }
        // The wait for the other family is over once it has spoken.
        let is_first = self.attempts.is_empty() && self.failure.is_none();
        if is_first && self.v6.lookup.is_none() {
            self.next = None;
        }
    }

    /// Checks an address and puts it in line.
    fn add(&mut self, ip: IpAddr) {
        let addr = SocketAddr::new(ip, self.race.port);
        if let Err(refusal) = self.race.rule.check(self.race.host, addr, self.race.own) {
            self.refusal.get_or_insert(refusal);
            return;
        }
        if self.resolved.is_none() {
            let now = clock();
            self.resolved = Some(now);
            if ip.is_ipv4() && self.v6.lookup.is_some() {
                self.next = Some(Box::pin(sleep_until(now + OTHER_FAMILY_DELAY)));
            }
        }
        let side = if ip.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        side.waiting.push_back(addr);
    }

    /// Starts the next attempt, families in turn and IPv6 first; says whether there was one.
    fn start(&mut self) -> bool {
        let (first, second) = if self.last_was_v6 {
            (&mut self.v4, &mut self.v6)
        } else {
            (&mut self.v6, &mut self.v4)
        };
        let next = first.waiting.pop_front().or_else(|| second.waiting.pop_front());
        let Some(addr) = next else { return false };
        self.last_was_v6 = addr.is_ipv6();
        match open(addr, self.race.source) {
            Ok(attempt) => {
                self.attempts.push(attempt);
                self.next = Some(Box::pin(sleep_until(clock() + STAGGER)));
            }
            Err(failure) => self.note(failure),
        }
        true
    }

    /// Polls what is under way; a failure lets the next attempt start at once.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<(TcpStream, SocketAddr)> {
        let mut at = 0;
        while let Some(attempt) = self.attempts.get_mut(at) {
            match attempt.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(won)) => return Some(won),
                Poll::Ready(Err(failure)) => {
                    drop(self.attempts.swap_remove(at));
                    self.next = None;
                    self.note(failure);
                }
            }
        }
        None
    }

    fn note(&mut self, failure: DialFailure) {
        let is_worse =
            self.failure.as_ref().is_none_or(|old| rank(failure.cause) < rank(old.cause));
        if is_worse {
            self.failure = Some(failure);
        }
    }

    /// Nothing is left to try.
    fn lost(&mut self) -> DialFailure {
        if let Some(failure) = self.failure.take().or_else(|| self.refusal.take()) {
            return failure;
        }
        match (self.dns_failure.take(), self.race.source) {
            (Some(DnsFailure::NoData), Some(_)) => self.race.wrong_family(),
            (failure, _) => failure.unwrap_or(DnsFailure::NoData).into_dial_failure(self.race.host),
        }
    }

    fn too_late(&mut self) -> DialFailure {
        if self.resolved.is_none() {
            return DnsFailure::Timeout.into_dial_failure(self.race.host);
        }
        self.failure.take().unwrap_or_else(|| {
            let (host, port) = (self.race.host, self.race.port);
            let detail = format!("`{host}` did not accept a connection to port {port} in time");
            DialFailure::new(Cause::ConnectTimeout, detail)
        })
    }
}

/// Makes a socket and begins to connect it.
fn open(addr: SocketAddr, source: Option<IpAddr>) -> Result<Attempt, DialFailure> {
    let fail = |err: &io::Error, doing| failed(err, doing, addr, source);
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|err| fail(&err, Doing::Open))?;
    socket.set_nodelay(true).map_err(|err| fail(&err, Doing::Open))?;
    if let Some(ip) = source {
        socket.bind(SocketAddr::new(ip, 0)).map_err(|err| fail(&err, Doing::Bind))?;
    }
    Ok(Box::pin(async move {
        match socket.connect(addr).await {
            Ok(tcp) => Ok((tcp, addr)),
            Err(err) => Err(failed(&err, Doing::Connect, addr, source)),
        }
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Open,
    Bind,
    Connect,
}

/// EMFILE and ENFILE, which the standard library has no kinds for.
pub(crate) fn is_files_exhausted(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(23 | 24))
}

fn failed(err: &io::Error, doing: Doing, addr: SocketAddr, source: Option<IpAddr>) -> DialFailure {
    use io::ErrorKind as K;
    let cause = match (doing, err.kind()) {
        _ if is_files_exhausted(err) => Cause::FilesExhausted,
        (Doing::Bind, K::AddrInUse) => Cause::PortsExhausted,
        (Doing::Bind, _) => Cause::SourceAddressGone,
        (Doing::Connect, K::AddrNotAvailable) if has_route(addr) => Cause::PortsExhausted,
        (_, K::ConnectionRefused) => Cause::ConnectRefused,
        (_, K::ConnectionReset | K::ConnectionAborted) => Cause::ConnectReset,
        (_, K::TimedOut) => Cause::ConnectTimeout,
        // No route, no such family here, or a packet filter's refusal.
        _ => Cause::ConnectUnreachable,
    };
    let detail = match (doing, source) {
        (Doing::Bind, Some(ip)) => format!("cannot dial from {ip}: {err}"),
        (Doing::Connect, Some(ip)) => format!("cannot connect to {addr} from {ip}: {err}"),
        _ => format!("cannot connect to {addr}: {err}"),
    };
    DialFailure::at(cause, detail, addr)
}

/// Tells "no port is left" from "no address of ours leads there"; both are EADDRNOTAVAIL.
///
/// Connecting a datagram socket sends nothing and needs a route but hardly a port.
fn has_route(addr: SocketAddr) -> bool {
    let unspecified = if addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    std::net::UdpSocket::bind(unspecified).and_then(|socket| socket.connect(addr)).is_ok()
}

/// The most telling failure first: our own faults, then what an address said, then silence.
fn rank(cause: Cause) -> u8 {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what `failed` returns can come here")]
    match cause {
        Cause::FilesExhausted => 0,
        Cause::SourceAddressGone => 1,
        Cause::PortsExhausted => 2,
        Cause::ConnectRefused => 3,
        Cause::ConnectReset => 4,
        Cause::ConnectUnreachable => 5,
        _ => 6,
    }
}

pub(crate) fn not_an_address(host: &str) -> DialFailure {
    let detail = format!("`{host}` looks like an IPv4 address and is none");
    DialFailure::new(Cause::HostNotAnAddress, detail)
}

pub(crate) fn not_a_name(host: &str) -> DialFailure {
    let host = host.escape_debug();
    DialFailure::new(Cause::DnsNx, format!("`{host}` is not a host name"))
}

/// Whether a name may be asked for, here or at a proxy: nothing that anybody could take for an
/// address, a second header or a second argument.
pub(crate) fn is_host_name(bare: &str) -> bool {
    let is_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&bare.len()) && bare.bytes().all(is_ok)
}
