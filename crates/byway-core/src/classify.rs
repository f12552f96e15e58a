//! Evidence → outcome: what it is, who is to blame, whether it may be sent again.

mod library;
mod signatures;
mod words;

use crate::cause::Cause;
use crate::evidence::{Answer, Evidence, Sent};
use crate::history::{Kind, Usual};
use signatures::Text;

pub use signatures::{EdgeId, OwnSignature, SignatureId, Signatures};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An answer below 400.
    Ok,
    /// A 4xx that speaks about the request.
    ClientError,
    /// 401, 407: who we are is not accepted.
    Auth,
    /// Refused for what or where we are: the law (451), a country, sanctions, the account.
    Denied,
    /// 429.
    RateLimited,
    /// Refused for the address that asks.
    BlockedIp,
    /// Asked to prove that we are no robot.
    Challenge,
    /// 5xx.
    Outage,
    /// 503.
    Overload,
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    ReadTimeout,
    /// Cut in the middle.
    Reset,
    /// Nobody listens, or no route.
    Refused,
    /// The name could not be resolved.
    Dns,
    /// TLS failed.
    Tls,
    /// The answer is not what HTTP promises.
    Contract,
    /// The path's own relay or proxy failed.
    RelayError,
    /// Our own machine or configuration failed.
    OwnFault,
    /// We refused it ourselves.
    LocalLimit,
    /// The caller went away.
    Cancelled,
}

impl Class {
    /// Every class, for tables and metrics.
    pub const ALL: [Self; 20] = [
        Self::Ok,
        Self::ClientError,
        Self::Auth,
        Self::Denied,
        Self::RateLimited,
        Self::BlockedIp,
        Self::Challenge,
        Self::Outage,
        Self::Overload,
        Self::ConnectTimeout,
        Self::ReadTimeout,
        Self::Reset,
        Self::Refused,
        Self::Dns,
        Self::Tls,
        Self::Contract,
        Self::RelayError,
        Self::OwnFault,
        Self::LocalLimit,
        Self::Cancelled,
    ];

    /// The stable name, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::Auth => "auth",
            Self::Denied => "denied",
            Self::RateLimited => "rate_limited",
            Self::BlockedIp => "blocked_ip",
            Self::Challenge => "challenge",
            Self::Outage => "outage",
            Self::Overload => "overload",
            Self::ConnectTimeout => "connect_timeout",
            Self::ReadTimeout => "read_timeout",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Contract => "contract",
            Self::RelayError => "relay_error",
            Self::OwnFault => "own_fault",
            Self::LocalLimit => "local_limit",
            Self::Cancelled => "cancelled",
        }
    }
}

/// On whose side it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// Ours: the caller's request, this machine, its configuration.
    Us,
    /// Our way out.
    Path,
    /// Between us and the provider; one attempt cannot say more.
    Network,
    /// The CDN or firewall in front of the provider.
    Edge,
    /// The provider.
    Provider,
}

impl Blame {
    /// The stable name, for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Path => "path",
            Self::Network => "network",
            Self::Edge => "edge",
            Self::Provider => "provider",
        }
    }
}

/// Whether a request may be sent again after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// The other side cannot have seen it.
    Safe,
    /// The other side may have acted on it: only what may be repeated.
    IfIdempotent,
    /// There is an answer, or no point.
    Never,
}

/// How far one attempt alone can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It may well be something else.
    Weak,
    /// Probably so.
    Likely,
    /// The other side says so itself, or there is no other reading.
    Strong,
}

impl Confidence {
    /// The stable name, for logs and facts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Likely => "likely",
            Self::Strong => "strong",
        }
    }
}

/// The judgement of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub class: Class,
    /// On whose side.
    pub origin: Blame,
    /// How far this attempt alone can be believed.
    pub confidence: Confidence,
    /// Whether it may be sent again.
    pub resend: Resend,
    /// Whose edge answered, whether or not it refused: see [`Signatures::edge_name`].
    pub edge: Option<EdgeId>,
    /// The signature that decided: an index into [`Signatures`].
    pub signature: Option<SignatureId>,
}

impl Outcome {
    /// An outcome that no signature had a part in.
    pub const fn plain(
        class: Class,
        origin: Blame,
        confidence: Confidence,
        resend: Resend,
    ) -> Self {
        Self { class, origin, confidence, resend, edge: None, signature: None }
    }
}

/// Judges one attempt by itself.
pub fn classify(evidence: &Evidence<'_>, signatures: &Signatures) -> Outcome {
    match evidence {
        Evidence::Answered(answer) => answered(answer, signatures),
        // All that can be seen of a tunnel is its outside: somebody spoke and nobody answered, or
        // answered with no more than a TLS alert (a record of seven bytes).
        Evidence::Tunnelled { bytes_up: 1.., bytes_down: 0 } => {
            Outcome::plain(Class::Reset, Blame::Network, Confidence::Weak, Resend::Never)
        }
        Evidence::Tunnelled { bytes_up: 1.., bytes_down: 1..=7 } => {
            Outcome::plain(Class::Tls, Blame::Network, Confidence::Weak, Resend::Never)
        }
        Evidence::Tunnelled { .. } => {
            Outcome::plain(Class::Ok, Blame::Provider, Confidence::Weak, Resend::Never)
        }
        Evidence::Failed { cause, sent, .. } => {
            let (class, origin) = blame(*cause);
            let resend = match (class, sent) {
                (Class::LocalLimit | Class::Cancelled, _) => Resend::Never,
                // The other side said what it thinks of us, or showed who it is: asking once more
                // changes neither. Only a connection that was closed may have been chance.
                (Class::Tls, _) if *cause != Cause::TlsClosed => Resend::Never,
                (_, Sent::Nothing) => Resend::Safe,
                (_, Sent::Some) => Resend::IfIdempotent,
            };
            Outcome::plain(class, origin, Confidence::Strong, resend)
        }
    }
}

/// An answer without a signature, judged by its status alone.
pub const fn by_status(status: u16) -> (Class, Blame) {
    match status {
        0..=399 => (Class::Ok, Blame::Provider),
        401 | 407 => (Class::Auth, Blame::Us),
        429 => (Class::RateLimited, Blame::Provider),
        451 => (Class::Denied, Blame::Provider),
        400..=499 => (Class::ClientError, Blame::Us),
        503 => (Class::Overload, Blame::Provider),
        500.. => (Class::Outage, Blame::Provider),
    }
}

fn answered(answer: &Answer<'_>, signatures: &Signatures) -> Outcome {
    let status = answer.status;
    let (class, origin) = by_status(status);
    let plain = Outcome::plain(class, origin, Confidence::Strong, Resend::IfIdempotent);
    if answer.fields.is_empty() && answer.body.is_empty() {
        return plain;
    }
    let text = Text::of(answer);
    let edge = signatures.edge(status, &text);
    if let Some((signature, is_edge, class, confidence)) = signatures.verdict(status, &text) {
        // A page about blocks is not one: what quotes a block page is a good answer where answers
        // of its kind are usual, unless a field says otherwise.
        let is_page = status < 400 && usual_kind(answer) == Some(kind(answer));
        let by_field = signatures.reads_fields(signature);
        if !is_page || by_field {
            let origin = if is_edge { Blame::Edge } else { Blame::Provider };
            let signature = Some(signature);
            return Outcome {
                class,
                origin,
                confidence,
                resend: Resend::IfIdempotent,
                edge,
                signature,
            };
        }
    }
    let judged = without_signature(answer, &text, edge.is_some());
    let (class, origin, confidence) = judged.unwrap_or((class, origin, Confidence::Strong));
    Outcome { class, origin, confidence, edge, ..plain }
}

fn kind(answer: &Answer<'_>) -> Kind {
    Kind::of(answer.field("content-type").unwrap_or_default())
}

fn usual_kind(answer: &Answer<'_>) -> Option<Kind> {
    answer.usual.and_then(Usual::kind)
}

/// Signs that need no vendor: what the answer says in plain words, and how it differs from what is
/// usual on its route.
fn without_signature(
    answer: &Answer<'_>,
    text: &Text,
    has_edge: bool,
) -> Option<(Class, Blame, Confidence)> {
    let kind = kind(answer);
    let side = if has_edge { Blame::Edge } else { Blame::Provider };
    let status = answer.status;
    // 429 and 451 say by themselves what they are: words about an address in them must not make
    // a limit or a law into a block that another address goes round.
    if matches!(status, 401 | 403)
        && let Some(class) = Signatures::words(text)
    {
        return Some((class, side, Confidence::Likely));
    }
    let usual = answer.usual?;
    let is_odd_kind = usual.kind().is_some_and(|usual| usual != kind);
    let is_page = kind == Kind::Html && usual.kind() != Some(Kind::Html);
    match status {
        // A page where an API answers otherwise: nobody at the API wrote it.
        403 if is_page => Some((Class::BlockedIp, side, Confidence::Weak)),
        300..=399 => redirect(answer).map(|confidence| (Class::Contract, side, confidence)),
        200..=299 if status != 204 && status != 206 => {
            let n_missing = usual.missing(answer).count();
            let lacks_markers = usual.n_markers() > 1 && n_missing * 2 > usual.n_markers();
            let is_empty = usual.is_never_empty() && answer.body_bytes == Some(0);
            let supports = lacks_markers || usual.is_far_off(answer);
            let confidence = match (is_page, is_odd_kind || is_empty, supports) {
                (true, _, true) => Confidence::Strong,
                (true, _, false) => Confidence::Likely,
                (false, true, true) => Confidence::Weak,
                (false, _, _) => return None,
            };
            Some((Class::Contract, side, confidence))
        }
        _ => None,
    }
}

/// How sure it is that a redirect leads elsewhere: to another host, or from https to http and back.
fn redirect(answer: &Answer<'_>) -> Option<Confidence> {
    let location = std::str::from_utf8(answer.field("location")?).ok()?;
    let (scheme, host) = answer.asked?;
    let (to_scheme, rest) = location.split_once("://")?;
    let to_host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let same_host = to_host.eq_ignore_ascii_case(host);
    let same_scheme = to_scheme.eq_ignore_ascii_case(scheme.as_str());
    match (same_host, same_scheme) {
        (true, true) => None,
        // http became https, or the reverse: the evening's second surprise.
        (true, false) => Some(Confidence::Likely),
        (false, _) => Some(Confidence::Weak),
    }
}

/// The class and the side of a failure.
pub const fn blame(cause: Cause) -> (Class, Blame) {
    match cause {
        Cause::ProviderUnknown
        | Cause::HostUnlisted
        | Cause::HostUnknown
        | Cause::WebPage
        | Cause::CallerUnauthorised
        | Cause::ProviderHasNoUrl
        | Cause::HostNotAnAddress
        | Cause::DestinationForbidden
        | Cause::Gated
        | Cause::BudgetSpent
        | Cause::TooManyConnections => (Class::LocalLimit, Blame::Us),
        Cause::HeadTimeout | Cause::RequestBodyTimeout => (Class::Cancelled, Blame::Us),
        Cause::DnsNx | Cause::DnsServfail | Cause::DnsTimeout => (Class::Dns, Blame::Network),
        Cause::ConnectTimeout | Cause::TlsTimeout => (Class::ConnectTimeout, Blame::Network),
        Cause::ConnectRefused | Cause::ConnectUnreachable => (Class::Refused, Blame::Network),
        Cause::ConnectReset | Cause::Reset | Cause::ClosedWithoutAnswer => {
            (Class::Reset, Blame::Network)
        }
        Cause::TlsCert | Cause::TlsAlert | Cause::TlsProtocol | Cause::TlsClosed => {
            (Class::Tls, Blame::Network)
        }
        Cause::ReadTimeout | Cause::WriteTimeout | Cause::BodyTimeout | Cause::TotalTimeout => {
            (Class::ReadTimeout, Blame::Provider)
        }
        Cause::AnswerMalformed | Cause::AnswerTruncated => (Class::Contract, Blame::Provider),
        Cause::PathDown
        | Cause::PathCredentials
        | Cause::PathRefused
        | Cause::RelayFailed
        | Cause::RelayRefused => (Class::RelayError, Blame::Path),
        Cause::RelayLimit => (Class::LocalLimit, Blame::Us),
        // Ours, and only on ways out that check a signature: another one may work.
        Cause::SourceAddressGone | Cause::ClockSkew => (Class::OwnFault, Blame::Path),
        Cause::PortsExhausted | Cause::FilesExhausted | Cause::Loop | Cause::Internal => {
            (Class::OwnFault, Blame::Us)
        }
    }
}

/// What in an answer speaks for its judgement, in a few words each.
pub fn signs(answer: &Answer<'_>, outcome: &Outcome, signatures: &Signatures) -> Vec<String> {
    let mut signs = vec![answer.status.to_string()];
    if let Some(edge) = outcome.edge {
        signs.push(format!("edge: {}", signatures.edge_name(edge)));
    }
    signs.extend(outcome.signature.map(|signature| signatures.says(signature).to_owned()));
    if let Some(usual) = answer.usual {
        let kind = kind(answer);
        if let Some(usual) = usual.kind().filter(|usual| *usual != kind) {
            signs.push(format!("{} where {} is usual", kind.as_str(), usual.as_str()));
        }
        for missing in usual.missing(answer).take(N_MISSING_MAX) {
            let missing = String::from_utf8_lossy(missing);
            signs.push(format!("{missing} missing, which every normal answer carries"));
        }
        if usual.is_far_off(answer) {
            signs.push("size or time far from usual".to_owned());
        }
    }
    if (300..400).contains(&answer.status)
        && let Some(location) = answer.field("location")
    {
        // Without its query: redirects carry tokens.
        let location = String::from_utf8_lossy(location);
        let location = location.split(['?', '#']).next().unwrap_or_default();
        signs.push(format!("redirect to {location}"));
    }
    signs
}

/// Missing fields that are named; more would not say more.
const N_MISSING_MAX: usize = 3;
