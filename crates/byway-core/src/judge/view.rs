//! What the judge knows, for people.

use jiff::Timestamp;

use super::{Judge, Standing};
use crate::detect::{Finding, Shown};
use crate::detour::{Detour, NoDetour, Order};
use crate::health::State;

/// One provider at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Its paths, in its order.
    pub paths: Vec<PathView>,
    /// The trouble that is not over.
    pub standing: Option<Standing>,
    /// Whether paths are being compared.
    pub is_comparing: bool,
    /// The detour under way.
    pub detour: Option<Detour>,
    /// Why none could be taken.
    pub no_detour: Option<NoDetour>,
    /// What a person ordered.
    pub order: Order,
    /// Until when the provider asked us to stay away.
    pub gated_until: Option<Timestamp>,
    /// Requests that the budget would let go at once; `None` without a budget.
    pub n_free: Option<u32>,
}

/// One path of a provider at one moment.
#[derive(Debug, Clone, Copy)]
pub struct PathView {
    /// Where it stands.
    pub state: State,
    /// Whether it is kept out for flapping.
    pub is_suppressed: bool,
    /// Good outcomes in the window.
    pub n_good: u64,
    /// Hard failures in the window.
    pub n_hard: u64,
    /// The last failure or probe, and when.
    pub last: Option<(Shown, Timestamp)>,
    /// What the comparison under way says about it.
    pub finding: Option<Finding>,
}

impl Judge {
    /// The last failure or probe of a path.
    pub fn last_shown(&self, path: usize) -> Option<Shown> {
        self.paths.get(path)?.last.map(|(shown, _)| shown)
    }

    /// What is known now.
    pub fn view(&self, now: Timestamp) -> View {
        let arms = self.comparison.as_ref().map(|comparison| comparison.arms());
        let path = |(index, path): (usize, &super::PathState)| {
            let (n_good, n_hard) = path.health.recent(now);
            PathView {
                state: path.health.state(),
                is_suppressed: path.health.is_suppressed(now),
                n_good,
                n_hard,
                last: path.last,
                finding: arms.and_then(|arms| arms.get(index)).map(|arm| arm.finding()),
            }
        };
        View {
            paths: self.paths.iter().enumerate().map(path).collect(),
            standing: self.standing.clone(),
            is_comparing: self.comparison.is_some(),
            detour: self.detour,
            no_detour: self
                .may_detour(now)
                .err()
                .or_else(|| self.gate.closed_for(now).map(|_| NoDetour::Gated)),
            order: self.order.clone(),
            gated_until: self.gate.until(now),
            n_free: self.pace.map(|pace| pace.n_free(now)),
        }
    }
}
