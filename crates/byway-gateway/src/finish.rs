//! The end of a request: the caller is told, the judge is told, the record is written.

use std::sync::atomic::Ordering;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::choose::Plan;
use byway_core::classify::{self, Blame, Class, Confidence, Outcome, Resend};
use byway_core::detect::Shown;
use byway_core::evidence::{Evidence, Sent};
use byway_core::health::Mark;

use crate::caller::Caller;
use crate::clock;
use crate::pipeline::{After, Ending, Flight, Progress};
use crate::record::Record;
use crate::respond::{About, Problem};
use crate::span::{FinishedSpan, Spans};
use crate::tell;
use crate::tunnel::TunnelEnd;
use crate::witness;

impl Flight<'_> {
    /// Tells the caller what has to be told, and writes the record.
    pub(crate) async fn finish(
        mut self,
        caller: &mut Caller,
        plan: &Plan,
        ending: Ending,
    ) -> After {
        let (outcome, code, detail, after) = match ending {
            Ending::Answered(after) => (self.answered_outcome(), None, String::new(), after),
            Ending::Given(given) => {
                let (status, after) = Box::pin(self.give(caller, &given)).await;
                self.progress.given = Some((status, given.is_hit()));
                (given.outcome(), Some(given.code()), String::new(), after)
            }
            Ending::Tunnelled(end) => {
                let seen = &self.progress.seen;
                let evidence =
                    Evidence::Tunnelled { bytes_up: seen.bytes_up, bytes_down: seen.bytes_down };
                let outcome = classify::classify(&evidence, &self.snapshot.signatures);
                self.told(outcome, None, None, "");
                let (code, detail) = match end {
                    TunnelEnd::Closed => (None, String::new()),
                    TunnelEnd::Idle => (Some("tunnel_idle"), String::new()),
                    TunnelEnd::Broken(error) => (None, error.to_string()),
                };
                (outcome, code, detail, After::Close)
            }
            Ending::Problem(cause, detail) => {
                self.worker.shared.metrics.answered_with(cause);
                let problem = Problem::of(cause, detail.clone());
                let after = Box::pin(self.tell(caller, &problem)).await;
                (self.outcome(cause), Some(cause.code()), detail, after)
            }
            Ending::NotNow(cause, later) => {
                self.worker.shared.metrics.answered_with(cause);
                let problem = Problem::not_now(cause, later);
                let after = Box::pin(self.tell(caller, &problem)).await;
                (self.outcome(cause), Some(cause.code()), problem.detail, after)
            }
            Ending::BadRequest(refusal) => {
                self.worker.shared.metrics.refused(refusal);
                let problem = Problem::refusal(refusal);
                let after = Box::pin(self.tell(caller, &problem)).await;
                (ours(Class::LocalLimit), Some(refusal.code()), String::new(), after)
            }
            Ending::BrokenOff(broke) => {
                // Where only the connection's end marks the end of the answer, a plain close would
                // make half an answer look whole.
                caller.stream.reset_on_close();
                let (outcome, code) = match broke {
                    Ok(cause) => {
                        let outcome = self.outcome(cause);
                        self.told(outcome, None, Some(cause), "the answer broke off");
                        (outcome, cause.code())
                    }
                    Err(refusal) => (ours(Class::LocalLimit), refusal.code()),
                };
                (outcome, Some(code), String::new(), After::Abort)
            }
            Ending::CallerGone => {
                (ours(Class::Cancelled), Some("caller_gone"), String::new(), After::Close)
            }
        };
        self.record(caller, plan, outcome, code, &detail);
        after
    }

    /// Judges the delivered answer with what was kept of it, and tells the judge.
    fn answered_outcome(&mut self) -> Outcome {
        let Some(answer) = self.progress.seen.answer else {
            return witness::judge_status(0, &self.snapshot.signatures);
        };
        let Some(caught) = self.progress.caught.take() else {
            let outcome = witness::judge_status(answer.status, &self.snapshot.signatures);
            self.told(outcome, Some(answer.status), None, "");
            self.store(None, &outcome, answer.status);
            return outcome;
        };
        let witnessed = self.witness(&caught, self.progress.seen);
        if let Some(going) = &mut self.going {
            going.is_good = matches!(Mark::of(&witnessed.shown.outcome), Mark::Good);
        }
        self.tell_judge(&witnessed.shown, "", &witnessed.signs);
        self.store(Some(&caught), &witnessed.shown.outcome, answer.status);
        witnessed.shown.outcome
    }

    pub(crate) fn told(
        &mut self,
        outcome: Outcome,
        status: Option<u16>,
        cause: Option<Cause>,
        detail: &str,
    ) {
        if let Some(going) = &mut self.going {
            going.is_good = matches!(Mark::of(&outcome), Mark::Good);
        }
        self.tell_judge(&Shown { outcome, status, cause }, detail, &[]);
    }

    pub(crate) fn outcome(&self, cause: Cause) -> Outcome {
        let sent = if self.progress.seen.bytes_up == 0 { Sent::Nothing } else { Sent::Some };
        let reused = self.progress.reused;
        classify::classify(&Evidence::Failed { cause, sent, reused }, &self.snapshot.signatures)
    }

    async fn tell(&self, caller: &mut Caller, problem: &Problem) -> After {
        let shape = &self.request.shape;
        let is_done = self.request.body.is_done();
        let close = !shape.keep_alive || !is_done || self.worker.shared.is_draining();
        let about = About {
            instance: &self.snapshot.settings.instance,
            provider: self.provider.name.as_str(),
            path: self.path(self.progress.path).map_or("", |path| path.name.as_str()),
            is_head: shape.is_head,
            close,
        };
        let is_sent = tell::send(caller, problem, &about).await;
        match (is_sent && !close, is_done) {
            (true, _) => After::KeepOpen,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        }
    }

    fn record(
        &self,
        caller: &mut Caller,
        plan: &Plan,
        outcome: Outcome,
        code: Option<&str>,
        detail: &str,
    ) {
        let now = clock::instant();
        caller.now = now;
        let Progress { started, seen, .. } = &self.progress;
        let path = self.path(self.progress.path);
        let took = now.saturating_duration_since(*started);
        let is_hit = self.progress.given.is_some_and(|(_, is_hit)| is_hit);
        if let Some(path) = path.filter(|_| !is_hit) {
            let shard = path.metrics.of(self.worker.index);
            shard.request(outcome.class, took, seen.bytes_up, seen.bytes_down);
        }
        let given = self.progress.given.map(|(status, _)| status);
        let status = given.or(seen.answer.map(|answer| answer.status));
        let own = self.provider.base.as_ref().map(|base| &base.origin);
        let origin = self.request.origin.as_deref().or(own);
        let host = origin.map_or("", |origin| origin.host.as_str());
        if let Some(spans) = &self.worker.shared.spans {
            self.export(spans, host, outcome, code, took);
        }
        if !self.worker.wants_line(&self.snapshot.settings.log, code.is_none() || is_hit, status) {
            return;
        }
        let skipped: Vec<&str> =
            plan.skipped().filter_map(|(i, _)| Some(self.path(i)?.name.as_str())).collect();
        let record = Record {
            at: self.worker.clock.at(*started),
            instance: &self.snapshot.settings.instance,
            caller: caller.peer.ip(),
            way: self.request.way,
            method: self.request.method(),
            provider: self.provider.name.as_str(),
            rule: Some(self.request.route.rule),
            host,
            path: path.map_or("", |path| path.name.as_str()),
            skipped: &skipped.join(","),
            n_attempts: self.progress.n_attempts,
            reused: self.progress.reused,
            peer: self.progress.peer,
            status,
            outcome,
            code,
            detail,
            bytes_up: seen.bytes_up,
            bytes_down: seen.bytes_down,
            connect: self.progress.connect,
            first_byte: seen
                .any_answer
                .then(|| seen.first_byte_at.unwrap_or(now).saturating_duration_since(*started)),
            took,
        };
        self.worker.write_line(&record, self.snapshot.settings.log.format);
    }

    fn export(
        &self,
        spans: &Spans,
        host: &str,
        outcome: Outcome,
        code: Option<&str>,
        took: Duration,
    ) {
        let parent = self.request.parent();
        let status = self.progress.seen.answer.map(|answer| answer.status);
        let failed = code.is_some() || status.is_some_and(|status| status >= 500);
        if !spans.wants(failed, parent) {
            return;
        }
        let path = self.path(self.progress.path);
        let is_taken = spans.pass_on(FinishedSpan {
            parent,
            at: self.worker.clock.at(self.progress.started),
            took,
            method: self.request.method().to_owned(),
            provider: self.provider.name.as_str().to_owned(),
            path: path.map_or("", |path| path.name.as_str()).to_owned(),
            host: host.to_owned(),
            peer: self.progress.peer,
            status,
            class: outcome.class.as_str(),
            code: code.map(str::to_owned),
        });
        if !is_taken {
            self.worker.shared.metrics.spans_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An outcome that is nobody else's doing.
pub(crate) const fn ours(class: Class) -> Outcome {
    Outcome::plain(class, Blame::Us, Confidence::Strong, Resend::Never)
}
