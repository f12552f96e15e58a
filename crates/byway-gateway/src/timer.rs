//! One timer per connection for deadlines that move with every request.
//!
//! Moving a timer of the runtime costs a lock and a place in its wheel. A deadline that only moves
//! later is therefore just remembered; when the timer rings early, it is set to the deadline of
//! that moment. A busy connection so moves its timer about once per shortest deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline that may be asked about as often as one likes.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// When the timer will ring.
    armed: Instant,
}

impl Timer {
    /// A timer that is not due.
    pub(crate) fn new(now: Instant) -> Self {
        let armed = now + Duration::from_secs(3600);
        Self { sleep: Box::pin(tokio::time::sleep_until(armed)), armed }
    }

    /// Whether `due` has passed; otherwise the task is woken then, at the latest.
    pub(crate) fn poll_is_due(&mut self, cx: &mut Context<'_>, due: Instant) -> bool {
        if due < self.armed {
            self.arm(due);
        }
        loop {
            match self.sleep.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(()) if due <= self.armed => return true,
                Poll::Ready(()) => self.arm(due),
            }
        }
    }

    fn arm(&mut self, due: Instant) {
        self.sleep.as_mut().reset(due);
        self.armed = due;
    }
}
