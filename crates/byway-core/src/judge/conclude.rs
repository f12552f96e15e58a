//! The part of the judge that reaches verdicts: what comparisons show, judged and adopted.

use jiff::Timestamp;

use super::{Event, Judge, Standing, Surroundings};
use crate::classify::{Class, Confidence};
use crate::detect::{Comparison, Finding};
use crate::detour::Attribution;
use crate::diagnose::{Case, Kind, Verdict, Witness, diagnose};
use crate::time::{after, since};

impl Judge {
    /// Adopts a verdict, unless the one that stands already says so or says more.
    pub(super) fn adopt(&mut self, verdict: Verdict, now: Timestamp) {
        let says_little = verdict.kind == Kind::Healthy
            || verdict.kind == Kind::CannotTell && verdict.failing.is_empty();
        if says_little {
            return;
        }
        let n_failed = std::mem::take(&mut self.n_lost);
        let before = self.standing.take();
        if let Some(standing) = before {
            let is_same = standing.verdict.says_the_same(&verdict);
            let blames_paths = !standing.verdict.failing.is_empty();
            // A pause on top of a block does not unsay the block; the gate speaks for itself.
            let says_less =
                verdict.kind == Kind::CannotTell || verdict.kind == Kind::LimitsUs && blames_paths;
            let is_less = says_less && standing.recovered_at.is_none();
            let reopened = standing.recovered_at.is_some();
            if is_same && !reopened || is_less {
                self.standing = Some(Standing { last_seen: now, ..standing });
                return;
            }
            self.standing = Some(Standing {
                verdict: verdict.clone(),
                at: now,
                last_seen: now,
                recovered_at: None,
                n_failed: standing.n_failed + n_failed,
                ..standing
            });
        } else {
            self.standing = Some(Standing {
                since: verdict.since.unwrap_or(now),
                verdict: verdict.clone(),
                at: now,
                last_seen: now,
                recovered_at: None,
                attribution: Attribution::Inconclusive,
                detoured: false,
                n_failed,
            });
        }
        self.take_out(&verdict, now);
        self.events.push(Event::Judged { verdict });
    }

    /// A path that a verdict blames has to prove that it works again.
    fn take_out(&mut self, verdict: &Verdict, now: Timestamp) {
        let counts = match verdict.kind {
            Kind::BlocksAddresses
            | Kind::ChallengesUs
            | Kind::FailsHere
            | Kind::ProviderDown
            | Kind::ProviderSlow
            | Kind::OurNetwork
            | Kind::OurDns
            | Kind::OurTls
            | Kind::ThisPath => true,
            Kind::Healthy
            | Kind::LimitsUs
            | Kind::ContractBroken
            | Kind::OurRequest
            | Kind::CannotTell => false,
        };
        for &path in verdict.failing.iter().filter(|_| counts) {
            if let Some(state) = self.paths.get_mut(path)
                && let Some(change) = state.health.take_out(now)
            {
                self.events.push(Event::Moved { path, change });
            }
        }
    }

    /// What is known now, judged.
    pub(super) fn judge_now(
        &self,
        comparison: &Comparison,
        around: &Surroundings,
        now: Timestamp,
    ) -> Verdict {
        let witnesses: Vec<Witness<'_>> = comparison
            .arms()
            .iter()
            .enumerate()
            .zip(&self.paths)
            .map(|((path, arm), state)| Witness {
                path,
                group: &state.group,
                arm,
                elsewhere: around.paths.get(path).copied().unwrap_or_default(),
            })
            .collect();
        let case = Case {
            witnesses: &witnesses,
            is_gated: self.gate.closed_for(now).is_some(),
            dns_elsewhere: around.dns,
            only_tunnels: !self.saw_inside,
        };
        diagnose(&case)
    }

    pub(super) fn conclude(&mut self, around: &Surroundings, now: Timestamp) {
        let Some(comparison) = self.comparison.take() else { return };
        if since(comparison.began, now) > self.policy.compare.window.saturating_mul(2) {
            // Nobody looked for a while; what it saw is too old to say anything about now.
            return;
        }
        let is_over = comparison.is_over(now);
        let waits = around.is_pending && !comparison.is_late(now);
        if waits || !is_over && !comparison.is_telling() {
            self.comparison = Some(comparison);
            return;
        }
        let verdict = self.judge_now(&comparison, around, now);
        let began_by = comparison.arms().get(comparison.trigger).map(|arm| arm.finding());
        if is_over {
            self.quiet_until = after(now, self.policy.compare.pause);
        } else {
            self.comparison = Some(comparison);
        }
        if began_by != Some(Finding::Healthy) {
            self.adopt(verdict, now);
        } else {
            self.n_lost = 0;
        }
    }
}

/// What a 429 says by itself.
pub(super) fn limits_us(now: Timestamp) -> Verdict {
    Verdict {
        kind: Kind::LimitsUs,
        confidence: Confidence::Strong,
        class: Some(Class::RateLimited),
        failing: Vec::new(),
        healthy: Vec::new(),
        since: Some(now),
        open_test: None,
        only_tunnels: false,
        seen: Vec::new(),
    }
}
