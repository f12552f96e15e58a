//! Nouns and rules: what a request is, where it goes, over which path, what an attempt showed,
//! who is to blame, and what happens next.
//!
//! Invariant: no I/O, no clock, no randomness, no unordered iteration. The same input gives the
//! same output, text included.

pub mod budget;
pub mod cause;
pub mod choose;
pub mod classify;
pub mod destination;
pub mod detect;
pub mod detour;
pub mod diagnose;
pub mod evidence;
pub mod fact;
pub mod failover;
pub mod freshness;
pub mod fuzz;
pub mod health;
pub mod hint;
pub mod history;
pub mod id;
pub mod judge;
pub mod policy;
pub mod relay;
pub mod route;
pub mod secret;
pub mod settings;
pub mod time;
