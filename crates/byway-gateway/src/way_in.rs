//! Bytes → request: what the caller asks for, who may ask, and the head as the provider gets it.

use byway_core::cause::Cause;
use byway_core::route::{Asked, Origin, Route, Scheme};
use byway_core::settings::Callers;
use byway_wire::Refusal;
use byway_wire::body::{Body, Framing};
use byway_wire::field::{self, FieldSpan, Known};
use byway_wire::request::{RequestHead, RequestShape};
use byway_wire::target::{self, Target};

use crate::buf::Buf;
use crate::caller::Caller;
use crate::guard::{self, HostNames};
use crate::head::{self, Outward};
use crate::location::Home;
use crate::record::Way;
use crate::respond::Problem;
use crate::snapshot::Snapshot;
use crate::span::Parent;

/// More instances than this in a row are a loop that the names did not show.
const N_HOPS_MAX: usize = 8;

thread_local! {
    static SPANS: std::cell::RefCell<Vec<FieldSpan>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Request {
    method_len: usize,
    /// The caller's `Host`, for answers that must lead back to it.
    host: Option<Box<str>>,
    pub(crate) shape: RequestShape,
    pub(crate) way: Way,
    is_by_path: bool,
    pub(crate) route: Route,
    /// Where to, if not to the provider's own origin.
    pub(crate) origin: Option<Box<Origin>>,
    /// Head and first body bytes for the provider. For CONNECT, the tunnel's first bytes.
    pub(crate) out: Buf,
    /// What is still to come of the body.
    pub(crate) body: Body,
    /// Instances of ours that have seen it before, from the marker between them.
    pub(crate) hops: Option<Box<str>>,
}

/// A request that goes nowhere.
#[derive(Debug)]
pub(crate) struct TurnedAway {
    pub(crate) problem: Problem,
    pub(crate) cause: Result<Cause, Refusal>,
    /// What is known of the request; without it the connection cannot be used further.
    pub(crate) shape: Option<RequestShape>,
}

impl TurnedAway {
    fn cause(cause: Cause, detail: impl Into<String>, shape: RequestShape) -> Self {
        Self { problem: Problem::of(cause, detail), cause: Ok(cause), shape: Some(shape) }
    }

    /// A message that could not be read.
    pub(crate) fn refusal(refusal: Refusal) -> Self {
        Self { problem: Problem::refusal(refusal), cause: Err(refusal), shape: None }
    }
}

impl Request {
    /// The method as text; tokens are ASCII.
    pub(crate) fn method(&self) -> &str {
        if self.shape.is_connect {
            // No head is sent on, so the method stands nowhere.
            return "CONNECT";
        }
        let method = self.out.whole().get(..self.method_len).unwrap_or_default();
        std::str::from_utf8(method).unwrap_or_default()
    }

    /// The target as the provider gets it; empty for CONNECT.
    pub(crate) fn target(&self) -> &[u8] {
        if self.shape.is_connect {
            return b"";
        }
        let rest = self.out.whole().get(self.method_len + 1..).unwrap_or_default();
        let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// Whether the method is safe (RFC 9110 §9.2.1); opening a tunnel asks nothing yet.
    pub(crate) fn is_safe(&self) -> bool {
        matches!(self.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "CONNECT")
    }

    /// Whether there is nothing behind the head.
    pub(crate) const fn has_no_body(&self) -> bool {
        matches!(self.shape.framing, Framing::Empty | Framing::Length(0))
    }

    /// Whether its `Host`, as the provider gets it, is the origin's.
    pub(crate) fn names(&self, origin: &Origin) -> bool {
        let mut lines = self.out.whole().split(|&b| b == b'\n').skip(1);
        let host = lines.find_map(|line| {
            let (name, value) = line.split_at_checked("host:".len())?;
            name.eq_ignore_ascii_case(b"host:").then(|| value.trim_ascii())
        });
        let authority = origin.authority();
        let with_port = format!("{authority}:{}", origin.port);
        host.is_some_and(|host| {
            host.eq_ignore_ascii_case(authority.as_bytes())
                || host.eq_ignore_ascii_case(with_port.as_bytes())
        })
    }

    /// The caller's place in a trace, if it gives one.
    pub(crate) fn parent(&self) -> Option<Parent> {
        let mut lines = self.out.whole().split(|&b| b == b'\n').skip(1);
        lines.find_map(|line| {
            let (name, value) = line.split_at_checked("traceparent:".len())?;
            let is_it = name.eq_ignore_ascii_case(b"traceparent:");
            is_it.then(|| Parent::parse(value.trim_ascii())).flatten()
        })
    }

    /// Where the provider's own addresses lead, for a caller that came by base URL.
    pub(crate) fn home<'a>(&'a self, snapshot: &'a Snapshot, is_tls: bool) -> Option<Home<'a>> {
        if self.way != Way::Base {
            return None;
        }
        let base = snapshot.provider(self.route.provider).base.as_ref()?;
        let path = if self.is_by_path { base.path.as_str() } else { "" };
        let scheme = if is_tls { "https" } else { "http" };
        Some(Home { origin: &base.origin, scheme, host: self.host.as_deref()?, path })
    }
}

/// Reads the request whose head is the first `head_len` bytes of the caller's inbox.
///
/// # Errors
/// [`TurnedAway`], with everything the caller has to be told.
pub(crate) fn read(caller: &mut Caller, head_len: usize) -> Result<Request, Box<TurnedAway>> {
    let raw = std::mem::take(&mut caller.inbox);
    let snapshot = &caller.snapshot;
    let entrance = &caller.entrance;
    let mut leftover = Buf::none();
    let read: Result<Request, Box<TurnedAway>> = SPANS.with_borrow_mut(|spans| {
        let (head_raw, after) = raw.rest().split_at_checked(head_len).unwrap_or_default();
        let head = RequestHead::parse(head_raw, &snapshot.wire_limits, spans)
            .map_err(|refusal| Box::new(TurnedAway::refusal(refusal)))?;
        let turned = |cause, detail: &str| Box::new(TurnedAway::cause(cause, detail, head.shape));
        if caller.inside.is_none() {
            // The tunnel was opened with them.
            guard::credentials(&entrance.callers, &head).map_err(|cause| turned(cause, ""))?;
        }
        let hops = hops(&head, &snapshot.settings.instance).map_err(|cause| turned(cause, ""))?;
        let is_loopback = matches!(entrance.callers, Callers::Loopback);
        let wanted = match caller.inside.as_deref() {
            Some(inside) => inside_tunnel(&head, inside, snapshot),
            None => wanted(&head, snapshot, is_loopback),
        };
        let wanted = wanted.map_err(|(cause, detail)| turned(cause, detail))?;
        let mut body = Body::from(head.shape.framing);
        let used = body.advance(after).map_err(|refusal| Box::new(TurnedAway::refusal(refusal)))?;
        let (with_head, rest) = after.split_at_checked(used).unwrap_or_default();
        let mut out = Buf::none();
        if head.shape.is_connect {
            // Whatever follows CONNECT belongs to the tunnel.
            if !after.is_empty() {
                out.vec().extend_from_slice(after);
            }
        } else {
            head::write_request(out.vec(), &head, &wanted.outward);
            out.vec().extend_from_slice(with_head);
            if !rest.is_empty() {
                leftover.vec().extend_from_slice(rest);
            }
        }
        let is_base = wanted.way == Way::Base;
        let host = head.host.filter(|_| is_base).map(|host| host.raw.into());
        Ok(Request {
            method_len: head.method.len(),
            host,
            shape: head.shape,
            way: wanted.way,
            is_by_path: wanted.is_by_path,
            route: wanted.route,
            origin: wanted.origin,
            out,
            body,
            hops,
        })
    });
    caller.inbox = leftover;
    read
}

/// Refuses what has been at this instance before.
fn hops(head: &RequestHead<'_>, instance: &str) -> Result<Option<Box<str>>, Cause> {
    let Some(span) = head.field(Known::BywayHops) else { return Ok(None) };
    let mut n = 0;
    for hop in field::list(span.value(head.raw)) {
        n += 1;
        if hop == instance.as_bytes() || n > N_HOPS_MAX {
            return Err(Cause::Loop);
        }
    }
    // What is not text was not written by an instance of ours, so nothing is lost by dropping it.
    Ok(std::str::from_utf8(span.value(head.raw)).ok().map(Into::into))
}

/// What a request asks for, and how it leaves.
struct Wanted<'h> {
    way: Way,
    is_by_path: bool,
    route: Route,
    origin: Option<Box<Origin>>,
    outward: Outward<'h>,
}

type Unwanted = (Cause, &'static str);

fn wanted<'h>(
    head: &RequestHead<'h>,
    snapshot: &'h Snapshot,
    is_loopback: bool,
) -> Result<Wanted<'h>, Unwanted> {
    match head.target {
        Target::Origin(path) => by_base_url(head, path, snapshot, is_loopback),
        Target::Asterisk => by_base_url(head, b"*", snapshot, is_loopback),
        Target::Absolute { scheme, authority, rest } => {
            let scheme = match scheme {
                target::Scheme::Http => Scheme::Http,
                target::Scheme::Https => Scheme::Https,
            };
            let bare = authority.host_bare();
            let port = authority.port.unwrap_or(scheme.default_port());
            let asked = Asked::Host(bare, port);
            let route = snapshot.routes.route(asked).map_err(|cause| (cause, ""))?;
            let target_start: &[u8] = match rest.first() {
                Some(b'/') => b"",
                Some(_) => b"/",
                // RFC 9112 §3.2.4
                None if head.method == b"OPTIONS" => b"*",
                None => b"/",
            };
            let is_same = head.host.is_some_and(|host| host.raw == authority.raw);
            Ok(Wanted {
                way: Way::Absolute,
                is_by_path: false,
                route,
                origin: other_origin(snapshot, route, scheme, bare, port),
                outward: Outward {
                    target_start,
                    target_rest: rest,
                    host: (!is_same).then_some(authority.raw),
                },
            })
        }
        Target::Authority(authority) => {
            let bare = authority.host_bare();
            let port = authority.port.unwrap_or(443);
            let asked = Asked::Host(bare, port);
            let route = snapshot.routes.route(asked).map_err(|cause| (cause, ""))?;
            let origin = Origin { scheme: Scheme::Http, host: bare.to_ascii_lowercase(), port };
            Ok(Wanted {
                way: Way::Connect,
                is_by_path: false,
                route,
                origin: Some(Box::new(origin)),
                outward: Outward { target_start: b"", target_rest: b"", host: None },
            })
        }
    }
}

/// A request inside a tunnel goes where the tunnel leads, whatever it says itself.
fn inside_tunnel<'h>(
    head: &RequestHead<'h>,
    inside: &Origin,
    snapshot: &'h Snapshot,
) -> Result<Wanted<'h>, Unwanted> {
    let rest: &[u8] = match head.target {
        Target::Origin(path) => path,
        Target::Asterisk => b"*",
        Target::Absolute { rest, .. } => rest,
        Target::Authority(_) => return Err((Cause::ProviderUnknown, "a tunnel inside a tunnel")),
    };
    let route = snapshot
        .routes
        .route(Asked::Host(&inside.host, inside.port))
        .map_err(|cause| (cause, ""))?;
    let target_start: &[u8] = if matches!(rest.first(), Some(b'/' | b'*')) { b"" } else { b"/" };
    Ok(Wanted {
        way: Way::Inside,
        is_by_path: false,
        route,
        origin: other_origin(snapshot, route, inside.scheme, &inside.host, inside.port),
        outward: Outward { target_start, target_rest: rest, host: None },
    })
}

/// `None` where the request goes to the provider's own origin, which needs no strings.
fn other_origin(
    snapshot: &Snapshot,
    route: Route,
    scheme: Scheme,
    host: &str,
    port: u16,
) -> Option<Box<Origin>> {
    let base = snapshot.provider(route.provider).base.as_ref();
    let is_base = base.is_some_and(|base| {
        base.origin.scheme == scheme
            && base.origin.port == port
            && base.origin.host.eq_ignore_ascii_case(host)
    });
    (!is_base).then(|| Box::new(Origin { scheme, host: host.to_ascii_lowercase(), port }))
}

fn by_base_url<'h>(
    head: &RequestHead<'h>,
    path: &'h [u8],
    snapshot: &'h Snapshot,
    is_loopback: bool,
) -> Result<Wanted<'h>, Unwanted> {
    let names = guard::host(head.host.as_ref(), &snapshot.settings.names, is_loopback)
        .map_err(|cause| (cause, "address the gateway as localhost, 127.0.0.1 or [::1], or list the name in `gateway.names`"))?;
    let (asked, is_by_path, rest) = match names {
        HostNames::Provider(name) => (Asked::ProviderByHost(name), false, path),
        HostNames::Gateway => {
            let (name, rest) = provider_in_path(path).ok_or((
                Cause::ProviderUnknown,
                "ask for /to/<provider>/…, or use the gateway as a proxy",
            ))?;
            (Asked::ProviderByPath(name), true, rest)
        }
    };
    let route = snapshot.routes.route(asked).map_err(|cause| (cause, ""))?;
    let base = snapshot.provider(route.provider).base.as_ref();
    if is_loopback {
        guard::web_page(head, base.map(|base| &base.origin)).map_err(|cause| (cause, ""))?;
    }
    let base = base.ok_or((Cause::ProviderHasNoUrl, ""))?;
    let target_start: &[u8] = if matches!(rest.first(), Some(b'/' | b'*')) { b"" } else { b"/" };
    Ok(Wanted {
        way: Way::Base,
        is_by_path,
        route,
        origin: None,
        outward: Outward { target_start, target_rest: rest, host: Some(&base.authority) },
    })
}

/// `/to/catalog/x?y` → `catalog`, `/x?y`
fn provider_in_path(path: &[u8]) -> Option<(&str, &[u8])> {
    let after = path.strip_prefix(b"/to/")?;
    let end = memchr::memchr3(b'/', b'?', b'#', after).unwrap_or(after.len());
    let (name, rest) = after.split_at(end);
    std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).map(|name| (name, rest))
}
