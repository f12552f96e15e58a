//! Evidence → outcome: what it is, who is to blame, whether it may be sent again.

use crate::cause::Cause;
use crate::evidence::{Evidence, Sent};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An answer below 400.
    Ok,
    /// A 4xx that speaks about the request.
    ClientError,
    /// 401, 407.
    Auth,
    /// 429.
    RateLimited,
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
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::ClientError,
        Self::Auth,
        Self::RateLimited,
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
            Self::RateLimited => "rate_limited",
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

/// The judgement of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub class: Class,
    /// On whose side.
    pub origin: Blame,
    /// Whether it may be sent again.
    pub resend: Resend,
}

/// Judges one attempt by itself.
pub fn classify(evidence: &Evidence) -> Outcome {
    match *evidence {
        Evidence::Answered { status } => answered(status),
        Evidence::Tunnelled => {
            Outcome { class: Class::Ok, origin: Blame::Provider, resend: Resend::Never }
        }
        Evidence::Failed { cause, sent, .. } => {
            let (class, origin) = blame(cause);
            let resend = match (class, sent) {
                (Class::LocalLimit | Class::Cancelled, _) => Resend::Never,
                (_, Sent::Nothing) => Resend::Safe,
                (_, Sent::Some) => Resend::IfIdempotent,
            };
            Outcome { class, origin, resend }
        }
    }
}

fn answered(status: u16) -> Outcome {
    let (class, origin) = match status {
        0..=399 => (Class::Ok, Blame::Provider),
        401 | 407 => (Class::Auth, Blame::Us),
        429 => (Class::RateLimited, Blame::Provider),
        400..=499 => (Class::ClientError, Blame::Us),
        503 => (Class::Overload, Blame::Provider),
        500.. => (Class::Outage, Blame::Provider),
    };
    Outcome { class, origin, resend: Resend::Never }
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
        Cause::PathDown | Cause::PathCredentials | Cause::PathRefused => {
            (Class::RelayError, Blame::Path)
        }
        Cause::SourceAddressGone => (Class::OwnFault, Blame::Path),
        Cause::PortsExhausted | Cause::FilesExhausted | Cause::Loop | Cause::Internal => {
            (Class::OwnFault, Blame::Us)
        }
    }
}
