//! The data plane: callers come in, requests go out over paths, answers come back.
//!
//! Invariants: depends on neither store nor desk; a request waits for nothing but its own
//! connections; nothing of one provider can make another one wait; every wait has a deadline and
//! every buffer a limit.

pub mod admin;

mod around;
mod attempt;
mod attempts;
mod buf;
mod cache;
mod caller;
mod clock;
mod connection;
mod court;
mod decide;
mod exchange;
mod exits;
mod explain;
mod facts;
mod finish;
mod gateway;
mod guard;
mod head;
mod inside;
mod lines;
mod listener;
mod location;
mod look;
mod metrics;
mod outside;
mod peacetime;
mod pipeline;
mod pool;
mod probe;
mod prober;
mod record;
mod respond;
mod snapshot;
mod span;
mod tell;
mod timer;
mod tunnel;
mod way_in;
mod witness;
mod worker;

pub use byway_net::Authority;
pub use cache::{Copies, Digest, KeptAnswer, Shelf};
pub use gateway::{Gateway, Inherited, Observer, Places, StartError};
pub use span::{FinishedSpan, Parent};
