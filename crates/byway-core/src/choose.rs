//! Provider and path views → the order in which paths are tried, and why not the others.

use jiff::Timestamp;

use crate::relay::Unfit;

/// What is known about one path of a provider, in the provider's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathView {
    /// Until when our own way out is taken to be broken.
    pub broken_until: Option<Timestamp>,
    /// Whether a detour goes round it: the provider refuses it.
    pub is_gone_round: bool,
    /// Why this request does not fit through it.
    pub unfit: Option<Unfit>,
}

impl PathView {
    /// A path of which nothing bad is known.
    pub const FINE: Self = Self { broken_until: None, is_gone_round: false, unfit: None };
}

/// Why a path is not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its own way out failed a moment ago.
    Broken {
        /// When it is tried again.
        until: Timestamp,
    },
    /// The provider refuses it, and a detour goes round it.
    GoneRound,
    /// This request does not fit through it.
    Unfit(Unfit),
}

/// Which paths are tried, in which order; indices into the provider's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    order: [u8; N_PATHS_MAX],
    n: u8,
    skipped: [Option<Skip>; N_PATHS_MAX],
}

/// Paths are few, named and owned by the team: a detour, not a way to spread over addresses.
pub const N_PATHS_MAX: usize = 6;

impl Plan {
    fn push(&mut self, index: usize) {
        if let (Some(slot), Ok(index)) =
            (self.order.get_mut(usize::from(self.n)), u8::try_from(index))
        {
            *slot = index;
            self.n += 1;
        }
    }

    /// The paths to try, first one first.
    pub fn order(&self) -> impl Iterator<Item = usize> {
        self.order.iter().take(usize::from(self.n)).map(|&index| usize::from(index))
    }

    /// The path of the n-th attempt.
    pub fn nth(&self, n: usize) -> Option<usize> {
        self.order().nth(n)
    }

    /// The paths that are not tried, with the reason.
    pub fn skipped(&self) -> impl Iterator<Item = (usize, Skip)> {
        self.skipped.iter().enumerate().filter_map(|(index, skip)| skip.map(|skip| (index, skip)))
    }
}

/// Plans the attempts: `lead` first, then the provider's order, without paths that are broken or
/// gone round.
///
/// Never zero paths: with all of them out, all are tried in order; those that the request does not
/// fit through only if it fits through none, and then the attempt itself says why.
pub fn choose(views: &[PathView], lead: Option<usize>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let skip = |index: usize, view: &PathView| match (view.unfit, view.broken_until) {
        (Some(unfit), _) => Some(Skip::Unfit(unfit)),
        (None, Some(until)) if until > now => Some(Skip::Broken { until }),
        (None, Some(_) | None) => {
            (view.is_gone_round && lead != Some(index)).then_some(Skip::GoneRound)
        }
    };
    let all_out = views.iter().enumerate().all(|(index, view)| skip(index, view).is_some());
    let none_fits = views.iter().all(|view| view.unfit.is_some());
    let leads = lead.and_then(|lead| Some((lead, views.get(lead)?)));
    let mut led = None;
    if let Some((lead, view)) = leads
        && skip(lead, view).is_none()
    {
        plan.push(lead);
        led = Some(lead);
    }
    for (index, view) in views.iter().enumerate() {
        match skip(index, view) {
            Some(reason) if !all_out || (view.unfit.is_some() && !none_fits) => {
                if let Some(slot) = plan.skipped.get_mut(index) {
                    *slot = Some(reason);
                }
            }
            Some(_) | None if led == Some(index) => {}
            Some(_) | None => plan.push(index),
        }
    }
    plan
}
