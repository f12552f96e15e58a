//! What an attempt showed → what the judge is told, and what is tried next.

use byway_core::cause::Cause;
use byway_core::classify::{self, Blame, Class, Outcome};
use byway_core::detect::Shown;
use byway_core::evidence::{Evidence, Sent};
use byway_core::fact::Fact;
use byway_core::failover::{self, Chance, Next};
use byway_core::history::Suspicion;
use byway_core::route::{Origin, Scheme};

use crate::around::Seen;
use crate::clock;
use crate::court::Sample;
use crate::pipeline::Flight;
use crate::witness::{self, About, Caught, Witnessed};

/// What a request has left to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// It was sent over this path already.
    pub(crate) repeated: bool,
    /// The plan has another path.
    pub(crate) has_next_path: bool,
}

impl Flight<'_> {
    /// Whether this answer is learnt from whatever it is.
    pub(crate) fn learns(&self) -> bool {
        let learnt = self.court.and_then(|court| court.learnt.get(self.route));
        learnt.is_some_and(crate::court::Learnt::wants)
    }

    /// What is suspicious on this route.
    pub(crate) fn suspicion(&self) -> Suspicion {
        let learnt = self.court.and_then(|court| court.learnt.get(self.route));
        learnt.map_or(Suspicion::default(), crate::court::Learnt::suspicion)
    }

    /// Judges a failed attempt, tells the judge of the provider, and decides what is next.
    pub(crate) fn after_failure(&mut self, cause: Cause, detail: &str, left: Left) -> Next {
        let seen = self.progress.seen;
        // A proxy that wants other credentials has not passed the request on.
        let untouched = seen.bytes_up == 0 || seen.unsent || cause == Cause::PathCredentials;
        let sent = if untouched { Sent::Nothing } else { Sent::Some };
        let reused = self.progress.reused;
        let evidence = Evidence::Failed { cause, sent, reused };
        let outcome = classify::classify(&evidence, &self.snapshot.signatures);
        let is_closed =
            matches!(cause, Cause::ClosedWithoutAnswer | Cause::Reset) || seen.relay_gone;
        let stale = is_closed && reused && !seen.any_answer;
        // What a relay refuses is this request, and the next one may be another.
        let breaks = outcome.origin == Blame::Path
            && cause != Cause::RelayRefused
            && (!stale || left.repeated);
        if let Some(path) = self.path(self.progress.path).filter(|_| breaks) {
            path.set_broken(self.worker.clock.now());
        }
        let limit = self.snapshot.settings.limits.replay_bytes_max;
        let replayable = !seen.took_more && (untouched || self.request.out.whole().len() <= limit);
        let chance = self.chance(left, stale, replayable, &outcome);
        let shown = Shown { outcome, status: None, cause: Some(cause) };
        let next = failover::next(&outcome, chance);
        // A pooled connection that was closed meanwhile says nothing about the provider.
        if next != Next::SamePath {
            self.tell_judge(&shown, detail, &[]);
        }
        self.afford(next, chance)
    }

    /// Judges an answer before any of it is delivered: is anything better than to deliver it?
    pub(crate) fn after_answer(
        &self,
        caught: &Caught,
        seen: Seen,
        n_sent: usize,
        left: Left,
    ) -> Next {
        let Witnessed { mut shown, pause, signs, .. } = self.witness(caught, seen);
        let now = self.worker.clock.now();
        if let Some(court) = self.court {
            court.heed(&shown.outcome, pause, now);
        }
        // An answer was given: the provider may have acted on the request.
        shown.outcome.resend = classify::Resend::IfIdempotent;
        let limit = self.snapshot.settings.limits.replay_bytes_max;
        let replayable = !seen.took_more && n_sent <= limit;
        let chance = self.chance(left, false, replayable, &shown.outcome);
        let next = failover::next(&shown.outcome, chance);
        if next == Next::RetryAfterGate {
            let opens = self.court.and_then(|court| court.gate_opens_in(now));
            let is_soon = opens.is_some_and(|opens| opens <= self.provider.wait_max);
            let paid = if is_soon { self.afford(next, chance) } else { chance.last() };
            if paid == Next::Copy {
                self.tell_judge(&shown, "", &signs);
            }
            return paid;
        }
        if next == Next::GiveUp {
            return next;
        }
        let next = self.afford(next, chance);
        if next != Next::GiveUp {
            self.tell_judge(&shown, "", &signs);
        }
        next
    }

    fn chance(&self, left: Left, stale_connection: bool, replayable: bool, of: &Outcome) -> Chance {
        let now = self.worker.clock.now();
        let permission = match self.court {
            Some(court) => court.permission(self.progress.path, now),
            None => self.provider.permission,
        };
        Chance {
            stale_connection,
            repeated: left.repeated,
            has_next_path: left.has_next_path,
            replayable,
            idempotent: self.request.shape.is_idempotent,
            safe: self.request.is_safe(),
            // Our own machine being out of files or ports would fail on every path alike.
            way_out_broke: of.origin == Blame::Path,
            has_copy: self.has_copy(of.class),
            permission,
        }
    }

    /// Retries and detours of single requests are paid for, or not made.
    fn afford(&self, next: Next, chance: Chance) -> Next {
        let is_paid = match next {
            Next::GiveUp | Next::Copy | Next::SamePath | Next::NextPath => true,
            // Where nobody keeps a budget, nothing is repeated.
            Next::Retry | Next::RetryAfterGate | Next::Detour => {
                let now = self.worker.clock.now();
                next == Next::RetryAfterGate && self.court.is_some()
                    || self.court.is_some_and(|court| court.may_retry(now))
            }
        };
        if is_paid { next } else { chance.last() }
    }

    /// What an answer showed.
    pub(crate) fn witness(&self, caught: &Caught, seen: Seen) -> Witnessed {
        let learnt = self.court.and_then(|court| court.learnt.get(self.route));
        let usual = learnt.and_then(crate::court::Learnt::usual);
        let now = clock::instant();
        let first_byte = seen.first_byte_at.unwrap_or(now);
        let own = self.provider.base.as_ref().map(|base| &base.origin);
        let origin = self.request.origin.as_deref().or(own);
        let about = About {
            signatures: &self.snapshot.signatures,
            usual: usual.as_deref(),
            asked: origin.map(|origin| (origin.scheme, origin.host.as_str())),
            first_byte: Some(first_byte.saturating_duration_since(self.progress.started)),
            body_bytes: (seen.bytes_down > 0).then(|| {
                seen.bytes_down.saturating_sub(u64::try_from(caught.head.len()).unwrap_or(0))
            }),
            now: self.worker.clock.at(now),
        };
        let witnessed = if caught.is_suspicious {
            witness::judge(caught, &about)
        } else {
            witness::ordinary(caught, &about, |answer| {
                if let Some(learnt) = learnt.filter(|_| caught.is_learnt) {
                    learnt.learn(answer);
                }
            })
        };
        if let (Some(court), Some(allowance)) = (self.court, witnessed.allowance) {
            court.allow(allowance, about.now);
        }
        witnessed
    }

    /// Tells the judge what the attempt showed, and keeps what is out of the ordinary as a fact.
    pub(crate) fn tell_judge(&self, shown: &Shown, detail: &str, signs: &[String]) {
        let Some(court) = self.court else { return };
        let now = self.worker.clock.now();
        let path = self.progress.path;
        let is_failure = shown.is_failure();
        if let Some(going) = &self.going {
            court.finish(path, &going.passage, shown, now);
        }
        if self.request.is_safe() && shown.outcome.class != Class::Cancelled {
            court.keep(|| self.sample(is_failure), is_failure);
        }
        if is_failure || shown.outcome.class == Class::RateLimited {
            let name = self.path(path).map_or("", |path| path.name.as_str());
            let fact = Fact::new(now, "attempt")
                .of_provider(&court.name)
                .of_path(name)
                .shown(shown, &self.snapshot.signatures)
                .text("detail", detail)
                .text("method", self.request.method())
                .text("peer", self.progress.peer.map_or(String::new(), |peer| peer.to_string()))
                .list("signs", signs.to_vec());
            self.worker.shared.facts.add(fact);
        }
    }

    /// The request as a probe may repeat it.
    fn sample(&self, failed: bool) -> Option<Sample> {
        let is_whole = self.request.shape.is_connect || self.request.has_no_body();
        is_whole.then(|| Sample {
            head: if self.request.shape.is_connect {
                Vec::new()
            } else {
                self.request.out.whole().to_vec()
            },
            shape: self.request.shape,
            origin: self.request.origin.as_deref().cloned().map(|origin| match origin.port {
                // Behind a tunnel to this port a handshake can be tried without asking anything.
                443 if self.request.shape.is_connect => Origin { scheme: Scheme::Https, ..origin },
                _ => origin,
            }),
            route: self.route,
            failed,
        })
    }
}
