//! Answers of our own, on their way to the caller.

use std::sync::Arc;
use std::time::Duration;

use byway_core::classify::{self, Class, Confidence, Outcome, Resend};
use byway_wire::body::Framing;
use tokio::io::AsyncWriteExt as _;

use crate::caller::Caller;
use crate::clock;
use crate::finish::ours;
use crate::pipeline::After;
use crate::record::{Record, Way};
use crate::respond::{About, Problem};
use crate::way_in::TurnedAway;
use crate::worker::Worker;

/// Answers a request that goes nowhere.
pub(crate) async fn turn_away(
    caller: &mut Caller,
    worker: &Arc<Worker>,
    turned: TurnedAway,
) -> After {
    let snapshot = Arc::clone(&caller.snapshot);
    let outcome = match turned.cause {
        Ok(cause) => {
            worker.shared.metrics.answered_with(cause);
            let (class, origin) = classify::blame(cause);
            Outcome::plain(class, origin, Confidence::Strong, Resend::Never)
        }
        Err(refusal) => {
            worker.shared.metrics.refused(refusal);
            ours(Class::LocalLimit)
        }
    };
    let is_bodiless = turned
        .shape
        .is_some_and(|shape| matches!(shape.framing, Framing::Empty | Framing::Length(0)));
    let close = !is_bodiless
        || !turned.shape.is_some_and(|shape| shape.keep_alive)
        || worker.shared.is_draining();
    let about = About {
        instance: &snapshot.settings.instance,
        provider: "",
        path: "",
        is_head: turned.shape.is_some_and(|shape| shape.is_head),
        close,
    };
    let is_sent = send(caller, &turned.problem, &about).await;
    let now = clock::instant();
    if worker.wants_line(&snapshot.settings.log, false, None) {
        let record = Record {
            at: worker.clock.at(now),
            instance: &snapshot.settings.instance,
            caller: caller.peer.ip(),
            way: Way::None,
            method: "",
            provider: "",
            rule: None,
            host: "",
            path: "",
            skipped: "",
            n_attempts: 0,
            reused: false,
            peer: None,
            status: None,
            outcome,
            code: Some(turned.problem.code),
            detail: &turned.problem.detail,
            bytes_up: 0,
            bytes_down: 0,
            connect: None,
            first_byte: None,
            took: Duration::ZERO,
        };
        worker.write_line(&record, snapshot.settings.log.format);
    }
    match (is_sent && !close, is_bodiless) {
        (true, _) => After::KeepOpen,
        (false, true) => After::Close,
        (false, false) => After::Linger,
    }
}

/// An answer of ours is small; a caller that does not take it within this time is gone.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Sends an answer of ours; false if the caller did not take it.
pub(crate) async fn send(caller: &mut Caller, problem: &Problem, about: &About<'_>) -> bool {
    let mut bytes = Vec::with_capacity(1024);
    problem.write(&mut bytes, about);
    let write = async {
        caller.stream.write_all(&bytes).await?;
        caller.stream.flush().await
    };
    matches!(tokio::time::timeout(SEND_WITHIN, write).await, Ok(Ok(())))
}
