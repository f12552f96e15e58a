//! The provider of the world: what it does to each of our paths, and what one attempt shows of it.

use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::classify::{Blame, Class, Confidence, Outcome, Resend, blame};
use byway_core::detect::Shown;
use byway_core::evidence::Sent;
use jiff::SignedDuration;

use crate::random::Random;

/// How the provider, or what lies before it, treats one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Fine,
    /// It answers late.
    Slow,
    /// It refuses the address, with a page that says so or one that hardly does.
    Blocks {
        /// Whether the page says so itself.
        is_strong: bool,
    },
    /// A bare 403.
    Refuses,
    /// It wants proof that we are no robot.
    Challenges,
    /// 429.
    Limits {
        /// With this many seconds of `Retry-After`.
        retry_after: Option<u32>,
    },
    /// 503.
    Overloaded {
        /// With this many seconds of `Retry-After`.
        retry_after: Option<u32>,
    },
    /// 500.
    Down,
    /// No answer.
    Hangs,
    /// The connection is reset after the request.
    Resets,
    /// Nobody listens.
    Closed,
    /// The name is not resolved.
    Nameless,
    /// Our own way out is broken.
    NoWayOut,
    /// Our own machine fails.
    OwnFault,
}

impl Mood {
    /// Whether the provider limits us.
    pub const fn limits(self) -> bool {
        matches!(self, Self::Limits { .. })
    }
}

/// What one attempt shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) shown: Shown,
    /// `Retry-After`.
    pub(crate) pause: Option<SignedDuration>,
    /// How long it takes.
    pub(crate) after: Duration,
}

impl Told {
    fn answer(status: u16, class: Class, by: Blame, confidence: Confidence) -> Self {
        let outcome = Outcome::plain(class, by, confidence, Resend::IfIdempotent);
        Self {
            shown: Shown { outcome, status: Some(status), cause: None },
            pause: None,
            after: Duration::from_millis(40),
        }
    }

    /// No answer: judged as the classifier does.
    pub(crate) fn failure(cause: Cause, sent: Sent, after: Duration) -> Self {
        let (class, by) = blame(cause);
        let resend = match (class, sent) {
            (Class::LocalLimit | Class::Cancelled, _) => Resend::Never,
            (_, Sent::Nothing) => Resend::Safe,
            (_, Sent::Some) => Resend::IfIdempotent,
        };
        let outcome = Outcome::plain(class, by, Confidence::Strong, resend);
        Self { shown: Shown { outcome, status: None, cause: Some(cause) }, pause: None, after }
    }

    fn pause(self, seconds: Option<u32>) -> Self {
        Self { pause: seconds.map(|s| SignedDuration::from_secs(i64::from(s))), ..self }
    }
}

/// What an attempt in this mood shows.
pub(crate) fn tell(mood: Mood, random: &mut Random) -> Told {
    use Confidence::{Strong, Weak};
    let ms = |n: u64| Duration::from_millis(n);
    let by_edge = |class, confidence| Told::answer(403, class, Blame::Edge, confidence);
    let by_provider = |status, class| Told::answer(status, class, Blame::Provider, Strong);
    let told = match mood {
        Mood::Fine | Mood::Slow => by_provider(200, Class::Ok),
        Mood::Blocks { is_strong } => {
            by_edge(Class::BlockedIp, if is_strong { Strong } else { Weak })
        }
        Mood::Refuses => Told::answer(403, Class::ClientError, Blame::Us, Strong),
        Mood::Challenges => by_edge(Class::Challenge, Strong),
        Mood::Limits { retry_after } => by_provider(429, Class::RateLimited).pause(retry_after),
        Mood::Overloaded { retry_after } => by_provider(503, Class::Overload).pause(retry_after),
        Mood::Down => by_provider(500, Class::Outage),
        Mood::Hangs => Told::failure(Cause::ReadTimeout, Sent::Some, ms(5000)),
        Mood::Resets => Told::failure(Cause::Reset, Sent::Some, ms(30)),
        Mood::Closed => Told::failure(Cause::ConnectRefused, Sent::Nothing, ms(5)),
        Mood::Nameless => Told::failure(Cause::DnsServfail, Sent::Nothing, ms(50)),
        Mood::NoWayOut => Told::failure(Cause::PathDown, Sent::Nothing, ms(5)),
        Mood::OwnFault => Told::failure(Cause::PortsExhausted, Sent::Nothing, ms(1)),
    };
    let late = if mood == Mood::Slow { 2000 } else { 0 };
    Told { after: told.after + ms(late + random.below(80)), ..told }
}
