//! Outcome → what happens next, and the law on when traffic may move.

use crate::classify::{Class, Outcome, Resend};
use crate::policy::OnPathFailure;

/// Whether the same path may be asked once more; only safe requests, only within the retry budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// No.
    No,
    /// Once.
    Once,
    /// Once, when the provider's gate opens.
    AfterGate,
    /// At another name server; the resolver does that by itself.
    OtherResolver,
}

/// Whether another path may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// Never.
    Never,
    /// After the verdict, ramped.
    AfterVerdict,
    /// At once where nothing was sent; otherwise after the verdict.
    AtOnceIfUnsent,
    /// Only if the paired test shows another path healthy.
    IfShownHealthy,
    /// The next path: our own way out is broken.
    Next,
}

/// One row of the law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Law {
    /// The same path again.
    pub same: Same,
    /// Another path with `on_block = "alert"` or `"stale"`.
    pub plain: Other,
    /// Another path with `on_block = "detour"`.
    pub detour: Other,
}

/// The law on when traffic may move: one row a class.
pub const fn law(class: Class) -> Law {
    let (same, plain, detour) = match class {
        Class::Ok | Class::ClientError | Class::Contract => (Same::No, Other::Never, Other::Never),
        Class::Auth | Class::Denied | Class::Challenge => (Same::No, Other::Never, Other::Never),
        Class::RateLimited => (Same::AfterGate, Other::Never, Other::Never),
        Class::BlockedIp => (Same::No, Other::Never, Other::AfterVerdict),
        Class::ConnectTimeout | Class::Refused | Class::Reset | Class::Tls => {
            (Same::Once, Other::Never, Other::AtOnceIfUnsent)
        }
        Class::Outage | Class::Overload | Class::ReadTimeout => {
            (Same::Once, Other::Never, Other::IfShownHealthy)
        }
        Class::Dns => (Same::OtherResolver, Other::Never, Other::IfShownHealthy),
        Class::RelayError | Class::OwnFault => (Same::No, Other::Next, Other::Next),
        Class::LocalLimit | Class::Cancelled => (Same::No, Other::Never, Other::Never),
    };
    Law { same, plain, detour }
}

/// What the provider's policy and its verdict allow at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// Whether a detour is granted, and neither expired, stopped, locked nor gated.
    pub is_granted: bool,
    /// Whether a verdict stands that shows another path healthy.
    pub is_shown: bool,
    /// What to do when our own way out is broken.
    pub on_path_failure: OnPathFailure,
}

impl Permission {
    /// Without a judge: nothing is gone round but a broken way out.
    pub const NONE: Self =
        Self { is_granted: false, is_shown: false, on_path_failure: OnPathFailure::Next };
}

/// What is left to try, and whether the request can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one request")]
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
    /// The method may be repeated (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// The method is safe (RFC 9110 §9.2.1).
    pub safe: bool,
    /// Our own way out is what failed.
    pub way_out_broke: bool,
    /// A stored answer may be given instead.
    pub has_copy: bool,
    /// What may be done about it.
    pub permission: Permission,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send it again over the same path on a fresh connection: no retry, the pool was wrong.
    SamePath,
    /// Send it again over the same path, paid from the retry budget.
    Retry,
    /// The same, once the provider's gate is open.
    RetryAfterGate,
    /// Send it over the next path of the plan: our own way out is broken.
    NextPath,
    /// Send it over the next path of the plan, paid from the retry budget.
    Detour,
    /// There is nothing more to try, and a stored answer is given instead.
    Copy,
    /// There is nothing more to try: deliver what there is, or tell the caller.
    GiveUp,
}

impl Chance {
    /// What there is when nothing more can be tried.
    pub const fn last(&self) -> Next {
        if self.has_copy { Next::Copy } else { Next::GiveUp }
    }
}

/// Decides.
pub fn next(outcome: &Outcome, chance: Chance) -> Next {
    let next = another(outcome, chance);
    if next == Next::GiveUp { chance.last() } else { next }
}

fn another(outcome: &Outcome, chance: Chance) -> Next {
    let may_resend = match outcome.resend {
        Resend::Safe => chance.replayable,
        Resend::IfIdempotent => chance.replayable && chance.idempotent,
        Resend::Never => false,
    };
    if !may_resend {
        return Next::GiveUp;
    }
    let law = law(outcome.class);
    // A relay closes idle connections as a provider does.
    let may_be_stale = law.same == Same::Once || outcome.class == Class::RelayError;
    if may_be_stale && chance.stale_connection && !chance.repeated {
        return Next::SamePath;
    }
    let permission = chance.permission;
    if law.plain == Other::Next {
        let goes_on = chance.way_out_broke
            && chance.has_next_path
            && permission.on_path_failure == OnPathFailure::Next;
        return if goes_on { Next::NextPath } else { Next::GiveUp };
    }
    let may_detour = chance.has_next_path && permission.is_granted;
    let detours = match law.detour {
        Other::Never | Other::Next => false,
        Other::AfterVerdict | Other::IfShownHealthy => permission.is_shown,
        Other::AtOnceIfUnsent => outcome.resend == Resend::Safe || permission.is_shown,
    };
    if may_detour && detours {
        return Next::Detour;
    }
    match law.same {
        Same::Once if chance.safe && !chance.repeated => Next::Retry,
        Same::AfterGate if chance.safe && !chance.repeated => Next::RetryAfterGate,
        Same::No | Same::Once | Same::AfterGate | Same::OtherResolver => Next::GiveUp,
    }
}
