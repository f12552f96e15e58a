//! The only places where a clock is read.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The monotonic clock.
pub(crate) fn instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the ban points to")]
    Instant::now()
}

/// Wall time that never goes back: read once, advanced by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    anchor_wall: Timestamp,
    anchor_mono: Instant,
}

impl Clock {
    /// Reads the wall clock, once.
    pub(crate) fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the ban points to")]
        let anchor_wall = Timestamp::now();
        Self { anchor_wall, anchor_mono: instant() }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(instant())
    }

    /// The wall time of a monotonic instant.
    pub(crate) fn at(&self, at: Instant) -> Timestamp {
        let elapsed = at.saturating_duration_since(self.anchor_mono);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        self.anchor_wall.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
