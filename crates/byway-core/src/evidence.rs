//! What an attempt showed, before anybody judges it.

use crate::cause::Cause;

/// How much of the request the other side may have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sent {
    /// Not a byte left this machine.
    Nothing,
    /// Something did.
    Some,
}

/// One attempt's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The head of an answer came.
    Answered {
        /// Its status.
        status: u16,
    },
    /// No answer came.
    Failed {
        /// What happened instead.
        cause: Cause,
        /// What had been sent by then.
        sent: Sent,
        /// Whether the connection had been used before: a provider may close those at any time.
        reused: bool,
    },
    /// A tunnel was opened; nothing inside it can be seen but its end.
    Tunnelled,
}
