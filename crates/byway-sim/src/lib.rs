//! The seeded world: a provider that blocks, lifts, limits and lies, callers, a prober and people,
//! around the judge of one provider; pure, without sockets, threads or a clock.
//!
//! The world plays the shell: it asks, waits, sends, tells and probes in the order in which the
//! gateway does. [`World::act`] does one weighted thing, and [`World::check_invariants`] says what
//! must hold after each. The same seed gives the same text.

mod act;
mod book;
mod callers;
mod prober;
mod provider;
mod random;
mod words;
mod world;

pub use provider::Mood;
pub use random::Random;
pub use world::{Setting, World};
