//! What may be stored, how much of it, and how long it may be served.

use std::time::Duration;

use crate::classify::Class;
use crate::policy::OnBlock;

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

/// What is known of a stored answer when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// How long ago it was stored or found to be still right.
    pub age: Duration,
    /// Whether its author lets it be served although it is stale, because of an error (RFC 5861
    /// §4, RFC 9111 §4.2.4).
    pub is_allowed_on_error: bool,
    /// Whether its author forbids that, whatever happens (RFC 9111 §4.2.4).
    pub is_forbidden: bool,
}

/// Whether a stored answer may be given instead of a failure of this class.
///
/// The operator's `stale_if_blocked` bridges what cannot be fetched; a refusal of the provider only
/// where `on_block` says more than "alert". Where the route is cached as the provider says, what the
/// provider forbids stays forbidden; elsewhere storing is the operator's own decision. What speaks
/// about the request is the answer, and is never hidden behind an old one.
pub fn bridges(cache: &RouteCache, on_block: &OnBlock, class: Class, copy: Copy) -> bool {
    if cache.cache && copy.is_forbidden {
        return false;
    }
    let is_within = cache.stale_if_blocked.is_some_and(|max| copy.age <= max);
    match class {
        Class::BlockedIp | Class::Challenge | Class::Contract => {
            is_within && *on_block != OnBlock::Alert
        }
        Class::RateLimited | Class::LocalLimit => is_within,
        Class::Outage
        | Class::Overload
        | Class::ConnectTimeout
        | Class::ReadTimeout
        | Class::Reset
        | Class::Refused
        | Class::Dns
        | Class::Tls
        | Class::RelayError
        | Class::OwnFault => is_within || cache.cache && copy.is_allowed_on_error,
        Class::Ok | Class::ClientError | Class::Auth | Class::Denied | Class::Cancelled => false,
    }
}

#[cfg(test)]
mod tests;
