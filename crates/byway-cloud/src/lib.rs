//! Platforms of others on which relays run: how their locks are opened, and how a relay gets there.
//!
//! A crate of its own because of what it depends on. Invariant: a credential is fetched and renewed
//! by one thread, never while a request waits. Invariant: no credential is ever formatted.

mod ask;
mod aws;
pub mod deploy;
mod google;
mod locks;

pub use locks::Locks;
