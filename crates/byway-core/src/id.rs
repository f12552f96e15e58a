//! Names of things, as types.

use std::fmt;

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a name is 1 to 63 of `a-z`, `0-9` and `-`, and neither starts nor ends with `-`",
        )
    }
}

impl std::error::Error for BadName {}

/// The rule of a DNS label in lower case, because `<provider>.localhost` must be a host name.
fn check(name: &str) -> Result<(), BadName> {
    let ok = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if ok { Ok(()) } else { Err(BadName) }
}

/// The name of a provider: the third party that is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderName(String);

/// The name of a path: a way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathName(String);

impl ProviderName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`BadName`] unless it is a DNS label in lower case.
    pub fn new(name: &str) -> Result<Self, BadName> {
        check(name).map(|()| Self(name.to_owned()))
    }

    /// The label of providers that no configuration lists.
    pub fn observed() -> Self {
        Self("observed".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PathName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// [`BadName`] unless it is a DNS label in lower case.
    pub fn new(name: &str) -> Result<Self, BadName> {
        check(name).map(|()| Self(name.to_owned()))
    }

    /// The path that is always there.
    pub fn direct() -> Self {
        Self("direct".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
