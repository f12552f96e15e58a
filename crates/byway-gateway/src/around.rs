//! What an exchange is given, and what it has shown.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use byway_core::history::Suspicion;
use byway_core::settings::Deadlines;
use byway_wire::request::RequestShape;
use byway_wire::response::ResponseShape;
use tokio::time::Instant;

use crate::location::Home;

/// What an exchange has shown.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent observations of one exchange")]
pub(crate) struct Seen {
    /// The answer's head.
    pub(crate) answer: Option<ResponseShape>,
    /// Whether any byte of an answer came.
    pub(crate) any_answer: bool,
    /// When its first byte came; `None` also if everything came at once.
    pub(crate) first_byte_at: Option<Instant>,
    /// Bytes of the answer written to the caller.
    pub(crate) bytes_down: u64,
    /// Bytes of the request written to the provider.
    pub(crate) bytes_up: u64,
    /// Whether the caller has got any byte of this answer.
    pub(crate) delivering: bool,
    /// Whether the caller's connection can be used again.
    pub(crate) caller_open: bool,
    /// Whether the provider's connection can be used again.
    pub(crate) provider_open: bool,
    /// Whether body bytes beyond `out` were taken from the caller.
    pub(crate) took_more: bool,
    /// Whether a relay says that nothing of the request went on to the provider.
    pub(crate) unsent: bool,
    /// Whether the relay's connection ended without a word, as idle ones may.
    pub(crate) relay_gone: bool,
}

/// The surroundings of an exchange that do not change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) request: &'a RequestShape,
    pub(crate) deadlines: &'a Deadlines,
    /// Where the provider's own addresses lead for this caller, if it came by base URL.
    pub(crate) home: Option<Home<'a>>,
    pub(crate) n_fields_max: usize,
    pub(crate) head_bytes_max: usize,
    /// Whether the gateway is stopping, so that connections should end.
    pub(crate) draining: &'a AtomicBool,
    /// Whether a 407 speaks of our own way out and not of the provider.
    pub(crate) through_proxy: bool,
    /// How long a relay may be silent: it keeps the provider's deadlines itself, and whoever hears
    /// nothing of it by then knows nothing of the provider.
    pub(crate) relay_wait: Option<Duration>,
    /// What of the answer is kept for a look.
    pub(crate) catch: Catch,
    /// When the whole request must be over.
    pub(crate) total: Instant,
    pub(crate) now: Instant,
}

/// What of an answer is kept for a look, and whether its delivery waits for that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Catch {
    /// Whether anybody judges this provider; a suspicious answer is then held until it is decided
    /// whether another attempt could be better. That takes no waiting: what has come is looked at.
    pub(crate) is_judged: bool,
    /// Whether the answer is learnt from even if it is an ordinary one.
    pub(crate) learns: bool,
    /// What is suspicious here.
    pub(crate) suspicion: Suspicion,
    /// How much of a body is kept so that the answer can be stored; 0 where none is.
    pub(crate) store_bytes_max: usize,
    /// Whether a 304 is for us: the request asks whether a stored answer is still right.
    pub(crate) is_confirming: bool,
}
