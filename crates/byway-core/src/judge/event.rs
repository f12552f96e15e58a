//! What happened to a provider, as the one value that facts, logs and messages come from.

use jiff::Timestamp;

use super::Standing;
use crate::detour::{Attribution, Ended, NoDetour, Order};
use crate::diagnose::Verdict;
use crate::health::Transition;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A path changed its state.
    Moved {
        /// Which.
        path: usize,
        /// How.
        change: Transition,
    },
    /// The provider asked us to stay away.
    Gated {
        /// Until when.
        until: Timestamp,
        /// Whether it said how long; otherwise we chose.
        by_header: bool,
    },
    /// A verdict was reached.
    Judged {
        /// What it says.
        verdict: Verdict,
    },
    /// Traffic takes another path.
    DetourBegan {
        /// The path that is left.
        from: usize,
        /// The path that is taken.
        to: usize,
        /// Until when at most.
        until: Timestamp,
    },
    /// The detour takes yet another path.
    DetourMoved {
        /// The path that is left.
        from: usize,
        /// The path that is taken.
        to: usize,
    },
    /// Traffic takes its own path again.
    DetourEnded {
        /// The path that was taken.
        path: usize,
        /// Why.
        why: Ended,
    },
    /// A detour would help and is not taken.
    DetourRefused {
        /// Why.
        why: NoDetour,
    },
    /// Whose doing the present state is.
    Attributed {
        /// Whose.
        who: Attribution,
    },
    /// Everything works again; the hold window begins.
    Recovered {
        /// Whose doing that is.
        who: Attribution,
    },
    /// The hold window is over without a new failure.
    Closed {
        /// What it was.
        standing: Standing,
    },
    /// A person ordered something.
    Ordered {
        /// What.
        order: Order,
    },
}

impl Event {
    /// The stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Moved { .. } => "path_moved",
            Self::Gated { .. } => "gated",
            Self::Judged { .. } => "verdict",
            Self::DetourBegan { .. } => "detour_began",
            Self::DetourMoved { .. } => "detour_moved",
            Self::DetourEnded { .. } => "detour_ended",
            Self::DetourRefused { .. } => "detour_refused",
            Self::Attributed { .. } => "attributed",
            Self::Recovered { .. } => "recovered",
            Self::Closed { .. } => "closed",
            Self::Ordered { .. } => "ordered",
        }
    }
}
