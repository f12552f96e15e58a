//! What the yardstick relays share: arguments, sockets, a slab, heads and body framing.
//!
//! Nothing here is shipped. The relays exist so that the gateway can be compared, in the same run
//! and on the same machine, with the least that any relay could do.

pub mod body;
pub mod cli;
pub mod head;
pub mod net;
pub mod slab;
pub mod tls;

/// Every relay reads into one buffer of this size per thread, as the gateway does.
pub const BUFFER: usize = 64 * 1024;

/// Up to here a body is copied behind its head, so that both leave in a plain write. On a POST of
/// 4 KiB that looked 2 to 5 % cheaper than a vectored one, which is less than the rounds spread.
pub const SMALL_BODY: usize = 16 * 1024;
