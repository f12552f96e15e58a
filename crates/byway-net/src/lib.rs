//! Names, destinations, connections, TLS and proxies: everything between a decision to call and a
//! stream that can carry the call.
//!
//! Not here: HTTP beyond the answer to CONNECT, pools, choosing a path, judging a provider.
//! Invariants: only addresses that were checked are dialled, and exactly those (resolve, check,
//! pin); every wait has a deadline; nothing is spawned, so dropping a future ends its work.

mod authority;
mod credentials;
mod dial;
mod hop;
mod http_proxy;
mod once;
mod own;
mod race;
mod relay;
mod resolver;
mod socks5;
mod stream;
mod tls;
mod tls_server;

pub use authority::{Authority, MadeAuthority};
pub use credentials::proxy_authorization;
pub use dial::{Dial, DialFailure, Dialled, Target, Timing, dial};
pub use hop::HopClient;
pub use http_proxy::EXIT_FIELD;
pub use once::{Once, OnceAnswer, OnceError};
pub use relay::{NoLocks, Outer, PlatformLocks, RelayClient, RelayFault, RelayStream};
pub use resolver::{Resolver, ResolverError};
pub use stream::Stream;
pub use tls::{TlsClient, TlsSetupError};
pub use tls_server::TlsServer;

#[cfg(test)]
mod testing;
