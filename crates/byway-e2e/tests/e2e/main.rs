//! End-to-end tests of the built binary.

mod clients;
mod fidelity;
mod framing;
mod guard;
mod operation;
mod paths;
mod safety;
