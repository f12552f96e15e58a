//! Outcome → what happens next, and the law on when traffic may move.

use crate::classify::{Blame, Class, Outcome, Resend};

/// When a request may be sent again on the same path, and when traffic may take another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Law {
    /// The same path once more.
    pub same_path: bool,
    /// The provider's next path.
    pub other_path: bool,
}

/// The law: a provider that refuses or hangs is never gone round here; a broken way out is.
pub const fn law(class: Class) -> Law {
    let (same_path, other_path) = match class {
        Class::Ok | Class::ClientError | Class::Contract => (false, false),
        Class::Auth | Class::Denied | Class::RateLimited | Class::Challenge => (false, false),
        Class::BlockedIp => (false, false),
        Class::ConnectTimeout | Class::Refused | Class::Reset | Class::Tls => (true, false),
        Class::Outage | Class::Overload | Class::ReadTimeout => (true, false),
        Class::Dns => (false, false),
        Class::RelayError | Class::OwnFault => (false, true),
        Class::LocalLimit | Class::Cancelled => (false, false),
    };
    Law { same_path, other_path }
}

/// What is left to try, and whether the request can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five independent facts about one request")]
pub struct Chance {
    /// The failed attempt used a connection from the pool, and the failure can be explained by the
    /// provider having closed it meanwhile.
    pub stale_connection: bool,
    /// This request was already sent once more over the same path.
    pub repeated: bool,
    /// The plan has another path.
    pub has_next_path: bool,
    /// Everything of the request that was taken from the caller is still at hand.
    pub replayable: bool,
    /// The method may be repeated.
    pub idempotent: bool,
}

/// What to do after an attempt without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send it again over the same path, on a fresh connection.
    SamePath,
    /// Send it over the next path of the plan.
    NextPath,
    /// Tell the caller.
    GiveUp,
}

/// Decides.
///
/// In this version a request is repeated on the same path only for a stale pooled connection:
/// that is not a retry of the provider's refusal, so it is not paid from a retry budget.
pub fn next(outcome: &Outcome, chance: Chance) -> Next {
    let may_resend = match outcome.resend {
        Resend::Safe => chance.replayable,
        Resend::IfIdempotent => chance.replayable && chance.idempotent,
        Resend::Never => false,
    };
    let law = law(outcome.class);
    if may_resend && law.same_path && chance.stale_connection && !chance.repeated {
        return Next::SamePath;
    }
    // Our own machine being out of files or ports would fail on every path alike.
    let way_out_broke = law.other_path && outcome.origin == Blame::Path;
    if may_resend && way_out_broke && chance.has_next_path {
        return Next::NextPath;
    }
    Next::GiveUp
}
