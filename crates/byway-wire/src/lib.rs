//! Byte-exact HTTP/1 heads and framing (RFC 9112), without I/O.
//!
//! Invariant: nothing here reads, writes, waits, or knows what a provider is.
//! What cannot be kept to the byte, or can be read in two ways, is refused with a [`Refusal`]:
//! there is no lenient mode, because the peer behind us may be lenient in another direction.

pub mod body;
pub mod chunked;
pub mod content;
pub mod field;
pub mod fuzz;
pub mod refusal;
pub mod relay;
pub mod request;
pub mod response;
pub mod scan;
pub mod target;

pub use refusal::Refusal;

/// The largest number of fields in one head.
///
/// HAProxy's default is 101; a fixed number lets a head be parsed without an allocation.
pub const N_FIELDS_MAX: usize = 128;

/// The HTTP versions that have this wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945): no chunked coding, closed by default.
    Http10,
    /// HTTP/1.1 (RFC 9112).
    Http11,
}
