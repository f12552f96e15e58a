//! Finished requests for a tracing backend: what leaves the data plane when export is configured.
//!
//! The caller's `traceparent` is passed on untouched, so a span of ours is a sibling of the
//! provider's: both are children of the caller's.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jiff::Timestamp;

/// The identifiers in a `traceparent` (W3C Trace Context, level 1, version 00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: u128,
    /// The caller's span.
    pub span: u64,
    /// Whether the caller records this trace.
    pub sampled: bool,
}

impl Parent {
    /// Reads the value of `traceparent`; `None` if it is not one, or of a version we do not know.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let flags = parts.next()?;
        let is_hex = |part: &str, len| {
            part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_whole = version == "00" && parts.next().is_none();
        if !is_whole || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|&id| id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|&id| id != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { trace, span, sampled })
    }
}

/// A finished request. Like the log line, it has neither target nor fields.
#[derive(Debug, Clone)]
pub struct FinishedSpan {
    /// Where it belongs, if the caller said so.
    pub parent: Option<Parent>,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The method.
    pub method: String,
    /// The provider's name.
    pub provider: String,
    /// The path's name.
    pub path: String,
    /// The provider's host.
    pub host: String,
    /// The address that was dialled, if a connection was made for it.
    pub peer: Option<SocketAddr>,
    /// The provider's status.
    pub status: Option<u16>,
    /// How it ended.
    pub class: &'static str,
    /// What went wrong.
    pub code: Option<String>,
}

/// Chooses requests and passes them on without ever waiting.
#[derive(Debug)]
pub(crate) struct Spans {
    sender: SyncSender<FinishedSpan>,
    one_in: u32,
    n_seen: AtomicU32,
}

impl Spans {
    pub(crate) const fn new(sender: SyncSender<FinishedSpan>, one_in: u32) -> Self {
        Self { sender, one_in, n_seen: AtomicU32::new(0) }
    }

    /// Whether a request is exported: failures always, otherwise as the caller says, otherwise one
    /// in so many.
    pub(crate) fn wants(&self, failed: bool, parent: Option<Parent>) -> bool {
        failed
            || parent.map_or_else(
                || self.n_seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in.max(1)),
                |parent| parent.sampled,
            )
    }

    /// Passes a span on; false if the queue is full and it was dropped.
    pub(crate) fn pass_on(&self, span: FinishedSpan) -> bool {
        self.sender.try_send(span).is_ok()
    }
}
