//! What an attempt showed, before anybody judges it.

use std::time::Duration;

use crate::cause::Cause;
use crate::route::Scheme;

/// How much of the request the other side may have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sent {
    /// Not a byte left this machine.
    Nothing,
    /// Something did.
    Some,
}

/// One attempt's result.
#[derive(Debug, Clone, Copy)]
pub enum Evidence<'a> {
    /// An answer came.
    Answered(Answer<'a>),
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
    Tunnelled {
        /// Bytes towards the provider.
        bytes_up: u64,
        /// Bytes from the provider.
        bytes_down: u64,
    },
}

/// An answer, as far as it has been looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its reason phrase.
    pub reason: &'a [u8],
    /// Its fields in order, names as they were sent.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// The first bytes of its body, decoded (RFC 9110 §8.4); empty if nobody looked.
    pub body: &'a [u8],
    /// What the route's normal answers look like.
    pub usual: Option<&'a crate::history::Usual>,
    /// How long it took from the end of the request to the first byte.
    pub first_byte: Option<Duration>,
    /// The length of the body, if it is known.
    pub body_bytes: Option<u64>,
    /// What was asked, for redirects that lead elsewhere.
    pub asked: Option<(Scheme, &'a str)>,
}

impl<'a> Answer<'a> {
    /// An answer of which only the status is known.
    pub fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// The value of the first field of that name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|&(_, value)| value)
    }

    /// The values of all fields of that name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let found =
            self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|&(_, value)| value)
    }
}
