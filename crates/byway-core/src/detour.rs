//! When traffic takes another path of ours, who ordered otherwise, and who mended what.

use jiff::Timestamp;

use crate::policy::{DETOUR_CEILING, OnBlock, Policy};
use crate::time::{after, since};

/// What a person ordered; it stands over every policy until a person lifts it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Order {
    /// Nothing.
    #[default]
    None,
    /// No detours for now.
    Stopped(Said),
    /// The provider said no: no detours, and no probes that nobody asked for.
    Locked(Said),
}

/// Who ordered something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Order {
    /// The stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stopped(_) => "stopped",
            Self::Locked(_) => "locked",
        }
    }

    /// Who said it.
    pub const fn said(&self) -> Option<&Said> {
        match self {
            Self::None => None,
            Self::Stopped(said) | Self::Locked(said) => Some(said),
        }
    }

    /// Whether probes that nobody asked for are forbidden.
    pub const fn forbids_probes(&self) -> bool {
        matches!(self, Self::Locked(_))
    }
}

/// Why a detour is not taken although the provider refuses us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDetour {
    /// `on_block` is not "detour".
    NotGranted,
    /// The grant has expired.
    Expired,
    /// Stopped by a person.
    Stopped,
    /// Locked by a person: the provider said no.
    Locked,
    /// It has lasted as long as it may.
    Exhausted,
    /// The provider asked us to stay away.
    Gated,
}

impl NoDetour {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotGranted => "not_granted",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Locked => "locked",
            Self::Exhausted => "exhausted",
            Self::Gated => "gated",
        }
    }
}

/// Whether the policy and the orders allow a detour now.
///
/// # Errors
/// The first thing that does not.
pub fn may_detour(policy: &Policy, order: &Order, now: Timestamp) -> Result<(), NoDetour> {
    match order {
        Order::None => {}
        Order::Stopped(_) => return Err(NoDetour::Stopped),
        Order::Locked(_) => return Err(NoDetour::Locked),
    }
    match &policy.on_block {
        OnBlock::Alert | OnBlock::Stale => Err(NoDetour::NotGranted),
        OnBlock::Detour(grant) if grant.expires <= now => Err(NoDetour::Expired),
        OnBlock::Detour(_) => Ok(()),
    }
}

/// Why a detour ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The old path carries everything again.
    Recovered,
    /// It lasted as long as it may.
    Exhausted,
    /// A person, or the end of the grant.
    Forbidden(NoDetour),
    /// No other path works any more.
    NoPath,
}

impl Ended {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Exhausted => "exhausted",
            Self::Forbidden(why) => why.as_str(),
            Self::NoPath => "no_path",
        }
    }
}

/// A detour under way: one path, until an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detour {
    /// The path that carries the traffic.
    pub path: usize,
    /// Since when.
    pub since: Timestamp,
    /// Until when at most.
    pub until: Timestamp,
    /// Requests on it at this moment.
    pub n_in_flight: u32,
    /// How many may be at once; doubled by each success until nobody needs to count.
    allowance: u32,
}

/// From here on a detour has proven itself and takes what the budget allows.
const PROVEN: u32 = 64;

impl Detour {
    /// Begins with one request at a time, within the time-box that began with the `first` detour of
    /// the same trouble.
    pub fn begin(path: usize, policy: &Policy, first: Timestamp, now: Timestamp) -> Self {
        let until = after(first, policy.detour_max.min(DETOUR_CEILING));
        Self { path, since: now, until, n_in_flight: 0, allowance: 1 }
    }

    /// Takes another path within the same time-box.
    pub fn move_to(&mut self, path: usize) {
        (self.path, self.n_in_flight, self.allowance) = (path, 0, 1);
    }

    /// Whether one more request may take it now.
    pub const fn has_room(&self) -> bool {
        self.allowance >= PROVEN || self.n_in_flight < self.allowance
    }

    /// Counts what came of a request on it.
    pub fn over(&mut self, is_good: bool) {
        self.n_in_flight = self.n_in_flight.saturating_sub(1);
        if is_good {
            self.allowance = self.allowance.saturating_mul(2).min(PROVEN);
        }
    }
}

/// Whose doing a change for the better was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// The new path passes and the old one still fails: our detour works.
    Ours,
    /// Both pass, and the old one for a while: it was mended without us.
    Theirs,
    /// The old path passes and the new one fails: our change is broken.
    Broken,
    /// Data is missing, or neither passes.
    Inconclusive,
}

impl Attribution {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Broken => "broken",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The last result of one side of the comparison between the new and the old way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    last: Option<(bool, Timestamp)>,
    good_since: Option<Timestamp>,
}

impl Side {
    /// Notes a result.
    pub fn observe(&mut self, is_good: bool, now: Timestamp) {
        self.last = Some((is_good, now));
        self.good_since = is_good.then(|| self.good_since.unwrap_or(now));
    }

    /// How long it has passed without a failure.
    fn good_for(self, now: Timestamp) -> core::time::Duration {
        self.good_since.map(|start| since(start, now)).unwrap_or_default()
    }

    fn fresh(self, now: Timestamp, max: core::time::Duration) -> Option<bool> {
        self.last.filter(|&(_, at)| since(at, now) <= max).map(|(is_good, _)| is_good)
    }
}

/// Whose doing it is, from results that are at most `max` old. The old way has to pass for `hold`
/// before that counts: a short lift is nobody's repair.
pub fn attribute(
    new: Side,
    old: Side,
    max: core::time::Duration,
    hold: core::time::Duration,
    now: Timestamp,
) -> Attribution {
    match (new.fresh(now, max), old.fresh(now, max)) {
        (Some(true), Some(false)) => Attribution::Ours,
        (Some(true), Some(true)) if old.good_for(now) >= hold => Attribution::Theirs,
        (Some(false), Some(true)) => Attribution::Broken,
        (Some(true), Some(true)) | (Some(false), Some(false)) | (None, _) | (_, None) => {
            Attribution::Inconclusive
        }
    }
}

#[cfg(test)]
mod tests;
