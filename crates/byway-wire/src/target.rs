//! The request target (RFC 9112 §3.2), over raw bytes.
//!
//! Only what stands before the path is interpreted. What follows the authority is never decoded,
//! normalised or checked beyond "no space, no control character": that is the provider's business.

use crate::Refusal;

/// The scheme of an absolute target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The port that goes without saying.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme's name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// `host[:port]`, checked but not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'b> {
    /// As it was sent.
    pub raw: &'b str,
    /// The host, with brackets around an IPv6 address.
    pub host: &'b str,
    /// The port, if one is given. `host:` with nothing behind the colon gives none.
    pub port: Option<u16>,
}

/// The four forms of RFC 9112 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`
    Origin(&'b [u8]),
    /// `http://authority/path?query`
    Absolute {
        /// `http` or `https`
        scheme: Scheme,
        /// Where to.
        authority: Authority<'b>,
        /// What follows the authority: empty, or starting with `/` or `?`.
        rest: &'b [u8],
    },
    /// `authority`, for CONNECT only; the port is required.
    Authority(Authority<'b>),
    /// `*`, for OPTIONS only.
    Asterisk,
}

impl<'b> Target<'b> {
    /// Reads a target; `is_connect` because only the method tells `a:1` from a malformed target.
    ///
    /// # Errors
    /// A refusal that names what is wrong with the part before the path.
    pub fn parse(raw: &'b [u8], is_connect: bool) -> Result<Self, Refusal> {
        if is_connect {
            let authority = Authority::parse(raw)?;
            return match authority.port {
                Some(_) => Ok(Self::Authority(authority)),
                None => Err(Refusal::TargetAuthority),
            };
        }
        match raw {
            [b'/', ..] => Ok(Self::Origin(raw)),
            b"*" => Ok(Self::Asterisk),
            _ => Self::parse_absolute(raw),
        }
    }

    fn parse_absolute(raw: &'b [u8]) -> Result<Self, Refusal> {
        let (scheme, after) = if let Some(after) = strip_prefix_no_case(raw, b"http://") {
            (Scheme::Http, after)
        } else if let Some(after) = strip_prefix_no_case(raw, b"https://") {
            (Scheme::Https, after)
        } else {
            return Err(Refusal::TargetForm);
        };
        let end = memchr::memchr3(b'/', b'?', b'#', after).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        if rest.first() == Some(&b'#') {
            // A fragment with no path cannot be put in origin-form without inventing a path.
            return Err(Refusal::TargetForm);
        }
        Ok(Self::Absolute { scheme, authority: Authority::parse(authority)?, rest })
    }
}

impl<'b> Authority<'b> {
    /// Reads `host[:port]`.
    ///
    /// # Errors
    /// [`Refusal::TargetUserinfo`] for `user@host`, [`Refusal::TargetAuthority`] for the rest.
    pub fn parse(raw: &'b [u8]) -> Result<Self, Refusal> {
        if raw.contains(&b'@') {
            return Err(Refusal::TargetUserinfo);
        }
        let raw = std::str::from_utf8(raw).map_err(|_| Refusal::TargetAuthority)?;
        let (host, port) = split_port(raw).ok_or(Refusal::TargetAuthority)?;
        let is_host = match host.strip_prefix('[') {
            Some(inner) => {
                inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
            }
            None => is_reg_name(host),
        };
        if !is_host {
            return Err(Refusal::TargetAuthority);
        }
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| Refusal::TargetAuthority)?)
            }
            Some(_) => return Err(Refusal::TargetAuthority),
        };
        Ok(Self { raw, host, port })
    }

    /// The host as the resolver wants it: no brackets, no dot at the end.
    pub fn host_bare(&self) -> &'b str {
        let host = self.host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        host.unwrap_or_else(|| self.host.strip_suffix('.').unwrap_or(self.host))
    }
}

fn split_port(raw: &str) -> Option<(&str, Option<&str>)> {
    if raw.starts_with('[') {
        let (host, after) = raw.split_at(raw.find(']')? + 1);
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if after.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match raw.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((raw, None)),
    }
}

/// A name that a resolver can be asked for: letters, digits, `-`, `_`, `.`, 1 to 255 bytes.
///
/// Narrower than RFC 3986's reg-name on purpose: `%41.example` and raw UTF-8 would have to be
/// decoded before they could be checked against the rules for destinations.
fn is_reg_name(host: &str) -> bool {
    let labels = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 255
        && labels.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

fn strip_prefix_no_case<'b>(raw: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    let (start, after) = raw.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(after)
}
