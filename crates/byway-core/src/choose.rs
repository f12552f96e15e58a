//! Provider and path views → the order in which paths are tried, and why not the others.

use jiff::Timestamp;

/// What is known about one path of a provider, in the provider's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathView {
    /// Until when our own way out is taken to be broken.
    pub broken_until: Option<Timestamp>,
}

/// Why a path is not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its own way out failed a moment ago.
    Broken {
        /// When it is tried again.
        until: Timestamp,
    },
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

/// Plans the attempts: the provider's order without paths that are broken.
///
/// Never zero paths: with all of them broken, all are tried in order.
pub fn choose(views: &[PathView], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let all_broken = views.iter().all(|view| view.broken_until.is_some_and(|until| until > now));
    for ((index, view), slot) in (0u8..).zip(views).zip(&mut plan.skipped) {
        match view.broken_until {
            Some(until) if until > now && !all_broken => *slot = Some(Skip::Broken { until }),
            Some(_) | None => {
                if let Some(next) = plan.order.get_mut(usize::from(plan.n)) {
                    *next = index;
                    plan.n += 1;
                }
            }
        }
    }
    plan
}
