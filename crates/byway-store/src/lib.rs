//! What is kept: facts, append-only, and the orders that stand until a person lifts them.
//!
//! Functions are verbs of the domain, so that another engine can stand behind them. Times are
//! milliseconds since the epoch. Invariants: what `append_facts` returned for is not lost when the
//! process dies; a reader never waits for the writer (WAL); nothing here is on a request's way.

mod copies;
mod row;
mod store;
mod writer;

pub use copies::{CopyStore, Digest};
pub use row::{FactQuery, StoredFact};
pub use store::{Limits, Store, StoreError};
pub use writer::Writer;
