//! End-to-end tests of the built binary.

mod fidelity;
mod framing;
mod guard;
mod operation;
mod paths;
mod safety;
