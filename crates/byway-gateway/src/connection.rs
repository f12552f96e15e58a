//! One caller's connection: request after request, until either side has had enough.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_wire::Refusal;
use byway_wire::scan::{self, HeadScan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::caller::Caller;
use crate::clock;
use crate::pipeline::{self, After};
use crate::respond::Problem;
use crate::tell;
use crate::way_in::TurnedAway;
use crate::worker::Worker;

/// How much a caller may still send after its answer before we stop listening politely.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// And how long.
const LINGER_FOR: Duration = Duration::from_secs(2);

/// What came instead of, or as, the next request.
enum Incoming {
    /// A head of this many bytes stands at the front of the inbox.
    Head(usize),
    /// The caller is done, or has been idle too long.
    Over,
    /// Bytes that are no head.
    Refused(Refusal),
    /// A head that did not come to its end in time.
    Late,
}

/// Serves a connection to its end. Cancel safe: dropping it closes the connection.
pub(crate) async fn serve(mut caller: Caller, worker: Arc<Worker>) {
    loop {
        let after = match next(&mut caller, &worker).await {
            Incoming::Head(head_len) => {
                worker.refresh(&mut caller.snapshot);
                pipeline::serve(&mut caller, &worker, head_len).await
            }
            Incoming::Over => return,
            Incoming::Refused(refusal) => {
                let turned = TurnedAway::refusal(refusal);
                Box::pin(tell::turn_away(&mut caller, &worker, turned)).await
            }
            Incoming::Late => {
                let cause = Cause::HeadTimeout;
                let turned =
                    TurnedAway { problem: Problem::of(cause, ""), cause: Ok(cause), shape: None };
                Box::pin(tell::turn_away(&mut caller, &worker, turned)).await
            }
        };
        match after {
            After::KeepOpen => {}
            After::Abort => return,
            After::Close => {
                let bye = caller.stream.shutdown();
                // Only TLS waits here, and only for room for its last record.
                let _gone = tokio::time::timeout(LINGER_FOR, bye).await;
                return;
            }
            After::Linger => return Box::pin(linger(caller)).await,
        }
    }
}

/// Waits for the next head. Cancel safe: what has been read is in the inbox.
async fn next(caller: &mut Caller, worker: &Worker) -> Incoming {
    let began = caller.now;
    let mut head_began = None;
    let mut scan = HeadScan::default();
    let mut skipped_blank = false;
    poll_fn(|cx| {
        loop {
            if !caller.inbox.is_empty() {
                if !skipped_blank && caller.inbox.len() >= 2 {
                    skipped_blank = true;
                    let n = scan::leading_blank(caller.inbox.rest());
                    caller.inbox.consume(n);
                }
                let max = caller.snapshot.wire_limits.head_bytes_max;
                match scan.feed(caller.inbox.rest(), max) {
                    Ok(Some(len)) => return Poll::Ready(Incoming::Head(len)),
                    Ok(None) => {}
                    // One byte may be the CR of an empty line; wait for its LF.
                    Err(refusal) => return Poll::Ready(Incoming::Refused(refusal)),
                }
            }
            match caller.inbox.poll_fill(&mut caller.stream, cx) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    head_began.get_or_insert_with(clock::instant);
                }
                Poll::Ready(_) if caller.inbox.is_empty() => return Poll::Ready(Incoming::Over),
                Poll::Ready(_) => return Poll::Ready(Incoming::Refused(Refusal::Truncated)),
                Poll::Pending => break,
            }
        }
        let deadlines = &caller.snapshot.settings.deadlines;
        let is_idle = caller.inbox.is_empty();
        if is_idle && worker.shared.closes_idle() {
            return Poll::Ready(Incoming::Over);
        }
        let due = if is_idle {
            began + deadlines.idle_caller
        } else {
            *head_began.get_or_insert_with(clock::instant) + deadlines.head
        };
        if caller.timer.poll_is_due(cx, due) {
            return Poll::Ready(if is_idle { Incoming::Over } else { Incoming::Late });
        }
        Poll::Pending
    })
    .await
}

/// Ends our side and reads on for a moment: a caller that is still sending when its socket is
/// closed would lose the answer to a reset (RFC 9112 §9.6).
async fn linger(mut caller: Caller) {
    let listen = async {
        caller.stream.shutdown().await?;
        let mut sink = [0; 4096];
        let mut n_bytes = 0;
        while n_bytes < LINGER_BYTES_MAX {
            match caller.stream.read(&mut sink).await? {
                0 => break,
                n => n_bytes += n,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _best_effort = tokio::time::timeout(LINGER_FOR, listen).await;
}
