//! The built binary, started for a test, and the world around it: origins that record raw bytes,
//! certificates, proxies, clients.
//!
//! Everything is on loopback, on ports that the system chooses, and ends with the value that holds it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod command;
pub mod emulator;
pub mod gateway;
pub mod lambda;
pub mod origin;
pub mod peer;
pub mod pki;
pub mod process;
pub mod raw;
pub mod relay;
