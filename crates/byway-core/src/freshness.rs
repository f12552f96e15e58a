//! What may be stored, how much of it, and how long it may be served.

use std::time::Duration;

/// What a route lets be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteCache {
    /// Ordinary caching and revalidation (RFC 9111).
    pub cache: bool,
    /// How long after it was stored an answer may be served because the provider refuses us or
    /// cannot be reached.
    pub stale_if_blocked: Option<Duration>,
}

/// What stored answers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// In memory.
    pub memory_bytes_max: usize,
    /// On disk.
    pub disk_bytes_max: usize,
    /// One answer.
    pub entry_bytes_max: usize,
    /// Answers in all.
    pub n_entries_max: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            memory_bytes_max: 64 * MIB,
            disk_bytes_max: 512 * MIB,
            entry_bytes_max: MIB,
            n_entries_max: 100_000,
        }
    }
}
