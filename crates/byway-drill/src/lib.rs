//! A provider that blocks, limits and breaks on a timetable, for drills and for tests.
//!
//! Everything is on loopback: 127.0.0.0/8 gives as many source addresses as anybody needs.
//! Invariants: nothing leaves this machine; what the provider receives is counted, so that a drill
//! can say whether the budget was kept and whether any byte was changed.

pub mod config;
pub mod echo;
pub mod fidelity;
pub mod names;
pub mod pages;
pub mod platform;
pub mod provider;
pub mod scenario;
pub mod transcript;
