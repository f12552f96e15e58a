//! One request of our own: over one path, on a fresh connection, with nothing hidden behind it.

use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::classify;
use byway_core::detect::Shown;
use byway_core::evidence::{Evidence, Sent};
use byway_core::history::Usual;
use byway_core::route::{Origin, Scheme};
use byway_net::{Dial, RelayStream, Resolver, Stream, Target};
use byway_wire::body::{Body, Framing};
use byway_wire::relay::Stage;
use byway_wire::request::RequestShape;
use byway_wire::response::ResponseHead;
use byway_wire::scan::HeadScan;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{timeout, timeout_at};

use crate::attempt::relay_wait;
use crate::clock::{self, Clock};
use crate::exchange::N_INTERIM_MAX;
use crate::head;
use crate::snapshot::{PathPlan, ProviderPlan, Snapshot};
use crate::witness::{self, About, Caught};

/// What to ask, over which path.
pub(crate) struct Ask<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) provider: &'a ProviderPlan,
    pub(crate) path: &'a PathPlan,
    pub(crate) origin: &'a Origin,
    /// The request's head; empty to stop after the handshakes.
    pub(crate) head: &'a [u8],
    pub(crate) shape: Option<&'a RequestShape>,
    pub(crate) usual: Option<&'a Usual>,
    /// How much of the body is read, and how long it is waited for.
    pub(crate) body_bytes_max: usize,
    pub(crate) body_within: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) shown: Shown,
    pub(crate) signs: Vec<String>,
    pub(crate) detail: String,
    pub(crate) pause: Option<jiff::SignedDuration>,
    /// Our end of the connection, as this machine sees it.
    pub(crate) local: Option<std::net::SocketAddr>,
    pub(crate) peer: Option<std::net::SocketAddr>,
    /// The address that the provider sees, where a peer or relay told it, and who did.
    pub(crate) exit: Option<std::net::IpAddr>,
    /// Whose HTTP and TLS a relay speaks.
    pub(crate) stack: Option<&'static str>,
    pub(crate) timing: byway_net::Timing,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) took: Duration,
    /// The answer's head and the first bytes of its body.
    pub(crate) caught: Caught,
}

/// A probe waits this long for a body that it does not need: what came by then is looked at.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(2);
/// From the latest first byte to the end of the head: nobody's answer comes byte by byte.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Asks. Cancel safe: dropping it closes its connection.
pub(crate) async fn ask(resolver: &Resolver, ask: &Ask<'_>, clock: &Clock) -> Told {
    let began = clock::instant();
    let dial = Dial {
        path: &ask.path.kind,
        hop: &ask.path.hop,
        target: Target::new(ask.origin.scheme, &ask.origin.host, ask.origin.port),
        allow: &ask.provider.allow,
        tls: (ask.origin.scheme == Scheme::Https).then_some(&ask.provider.tls),
        tunnel: ask.head.is_empty(),
        deadlines: &ask.provider.deadlines,
        hops: &ask.snapshot.settings.instance,
        own: &ask.snapshot.own,
    };
    let mut told = Told {
        shown: failed(ask, Cause::Internal, Sent::Nothing),
        signs: Vec::new(),
        detail: String::new(),
        pause: None,
        local: None,
        peer: None,
        exit: None,
        stack: None,
        timing: byway_net::Timing::default(),
        first_byte: None,
        took: Duration::ZERO,
        caught: Caught {
            is_suspicious: true,
            body_bytes_max: ask.body_bytes_max,
            ..Caught::default()
        },
    };
    match byway_net::dial(resolver, &dial).await {
        Err(failure) => {
            told.shown = failed(ask, failure.cause, Sent::Nothing);
            (told.detail, told.peer) = (failure.detail, failure.peer);
        }
        Ok(mut dialled) => {
            (told.local, told.peer) = (Some(dialled.local), Some(dialled.peer));
            told.timing = dialled.timing;
            told.exit = dialled.exit;
            if ask.head.is_empty() {
                let evidence = Evidence::Tunnelled { bytes_up: 0, bytes_down: 1 };
                let outcome = classify::classify(&evidence, &ask.snapshot.signatures);
                told.shown = Shown { outcome, status: None, cause: None };
            } else {
                let absolute = dialled.absolute_form.then(|| absolute_form(ask));
                let bytes = absolute.as_deref().unwrap_or(ask.head);
                let sent_at = clock::instant();
                let got = exchange(ask, &mut dialled.stream, bytes, &mut told.caught).await;
                told.first_byte = got.ok().map(|at| at.saturating_duration_since(sent_at));
                let relay = dialled.stream.relay();
                told.stack = relay.and_then(|relay| Some(relay.seen()?.stack.as_str()));
                told.exit = told.exit.or(relay.and_then(|relay| relay.seen()?.exit));
                match got {
                    Ok(_) => judge(ask, &mut told, clock),
                    Err(cause) => told.blame(ask, cause, relay),
                }
            }
        }
    }
    told.took = clock::instant().saturating_duration_since(began);
    told
}

impl Told {
    /// Whose fault it is that there is no answer: a relay keeps the provider's deadlines itself, so
    /// its silence is its own.
    fn blame(&mut self, ask: &Ask<'_>, cause: Cause, relay: Option<&RelayStream>) {
        self.shown = match (relay.and_then(RelayStream::fault), cause) {
            (Some(fault), _) => {
                self.detail.clone_from(&fault.detail);
                let unsent = fault.stage == Stage::BeforeSend;
                failed(ask, fault.cause, if unsent { Sent::Nothing } else { Sent::Some })
            }
            (None, Cause::ReadTimeout | Cause::WriteTimeout) if relay.is_some() => {
                failed(ask, Cause::RelayFailed, Sent::Some)
            }
            (None, cause) => failed(ask, cause, Sent::Some),
        };
    }
}

fn judge(ask: &Ask<'_>, told: &mut Told, clock: &Clock) {
    let about = About {
        signatures: &ask.snapshot.signatures,
        usual: ask.usual,
        asked: Some((ask.origin.scheme, ask.origin.host.as_str())),
        first_byte: told.first_byte,
        body_bytes: None,
        now: clock.now(),
    };
    let witnessed = witness::judge(&told.caught, &about);
    told.shown = witnessed.shown;
    told.signs = witnessed.signs;
    told.pause = witnessed.pause;
}

fn failed(ask: &Ask<'_>, cause: Cause, sent: Sent) -> Shown {
    let evidence = Evidence::Failed { cause, sent, reused: false };
    let outcome = classify::classify(&evidence, &ask.snapshot.signatures);
    Shown { outcome, status: None, cause: Some(cause) }
}

fn absolute_form(ask: &Ask<'_>) -> Vec<u8> {
    let credentials = ask.path.proxy_authorization.as_ref().map(|secret| secret.reveal());
    head::absolute_form(ask.head, &ask.origin.authority(), credentials, None)
}

/// Sends the head and reads the answer's, and what of the body comes soon; when the first byte came.
async fn exchange(
    ask: &Ask<'_>,
    stream: &mut Stream,
    request: &[u8],
    caught: &mut Caught,
) -> Result<tokio::time::Instant, Cause> {
    let deadlines = &ask.provider.deadlines;
    let write = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    match timeout(deadlines.idle_body, write).await {
        Err(_) => return Err(Cause::WriteTimeout),
        Ok(Err(_)) => return Err(Cause::Reset),
        Ok(Ok(())) => {}
    }
    let first = deadlines.first_byte.saturating_add(HEAD_WITHIN);
    let wait = ask.path.kind.relay().map_or(first, |relay| relay_wait(relay, deadlines));
    let late = clock::instant() + wait;
    let mut bytes = Vec::with_capacity(4096);
    let mut scan = HeadScan::default();
    let mut first = None;
    let mut n_interim = 0;
    loop {
        let max = ask.snapshot.wire_limits.head_bytes_max;
        let found = scan.feed(&bytes, max).map_err(|_| Cause::AnswerMalformed)?;
        if let Some(len) = found {
            let body = bytes.split_off(len);
            let head = std::mem::replace(&mut bytes, body);
            if !is_interim(&head) {
                let framing = framing(ask, &head)?;
                caught.head = head;
                caught.is_chunked = framing == Framing::Chunked;
                read_body(ask, stream, framing, bytes, caught).await;
                return first.ok_or(Cause::Internal);
            }
            n_interim += 1;
            if n_interim > N_INTERIM_MAX {
                return Err(Cause::AnswerMalformed);
            }
            scan = HeadScan::default();
            continue;
        }
        match timeout_at(late, stream.read_buf(&mut bytes)).await {
            Err(_) => return Err(Cause::ReadTimeout),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Cause::ClosedWithoutAnswer);
            }
            Ok(Err(_)) => return Err(Cause::Reset),
            Ok(Ok(0)) if bytes.is_empty() => return Err(Cause::ClosedWithoutAnswer),
            Ok(Ok(0)) => return Err(Cause::AnswerTruncated),
            Ok(Ok(_)) => {
                first.get_or_insert_with(clock::instant);
            }
        }
    }
}

/// 100 Continue and its like; 101 is no answer to anything that a probe asks.
fn is_interim(head: &[u8]) -> bool {
    head.get(9) == Some(&b'1') && head.get(9..12) != Some(b"101")
}

fn framing(ask: &Ask<'_>, head: &[u8]) -> Result<Framing, Cause> {
    let Some(shape) = ask.shape else { return Ok(Framing::UntilClose) };
    let mut spans = Vec::new();
    let n_max = ask.snapshot.wire_limits.n_fields_max;
    let head = ResponseHead::parse(head, shape, n_max, &mut spans);
    head.map(|head| head.shape.framing).map_err(|_| Cause::AnswerMalformed)
}

/// Best effort: a probe judges by what came, and a body that stops is for real traffic to notice.
async fn read_body(
    ask: &Ask<'_>,
    stream: &mut Stream,
    framing: Framing,
    mut bytes: Vec<u8>,
    caught: &mut Caught,
) {
    let max = ask.body_bytes_max;
    let mut is_whole = false;
    let read = async {
        let mut body = Body::from(framing);
        let mut used = 0;
        loop {
            match body.advance(bytes.get(used..).unwrap_or_default()) {
                Ok(n) => used += n,
                Err(_) => return,
            }
            is_whole = body.is_done();
            if is_whole || bytes.len() > max {
                return;
            }
            match stream.read_buf(&mut bytes).await {
                Ok(n) if n > 0 => {}
                Ok(_) => {
                    is_whole = body.end().is_ok();
                    return;
                }
                Err(_) => return,
            }
        }
    };
    let _late = timeout(ask.body_within.min(ask.provider.deadlines.first_byte), read).await;
    caught.take(&bytes);
    caught.is_cut |= !is_whole;
}
