//! A relay: sends requests for a gateway from the address where it runs, byte for byte.
//!
//! `docs/relay-protocol.md` says what it does with a call, step by step; `relay.rs` follows it.
//! Invariant: a stranger learns nothing, and reaches nothing. Invariant: no field is added to what
//! is sent, no redirect is followed, nothing is decoded.

mod answer;
mod call;
pub mod config;
pub mod event;
mod guard;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod plain;
mod pool;
mod relay;

pub use relay::{Admitted, Relay, Stranger};
