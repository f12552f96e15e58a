//! Where a provider's own addresses lead for a caller that came by base URL.

use byway_core::route::Origin;

/// The gateway's address for one provider, as this caller writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home<'a> {
    /// The provider's origin.
    pub(crate) origin: &'a Origin,
    /// How the caller reaches the gateway: `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The caller's `Host`.
    pub(crate) host: &'a str,
    /// `/to/<provider>`, or empty if the provider's name stands in the host.
    pub(crate) path: &'a str,
}

impl Home<'_> {
    /// The value of `Location` for the caller, if it points at the provider's own origin.
    ///
    /// Everything after the authority is kept to the byte; other origins are left alone.
    pub(crate) fn map_back(&self, location: &[u8]) -> Option<Vec<u8>> {
        if location.starts_with(b"/") && !location.starts_with(b"//") {
            let moved = !self.path.is_empty();
            return moved.then(|| [self.path.as_bytes(), location].concat());
        }
        let after = match location.strip_prefix(b"//") {
            Some(after) => after,
            None => {
                let scheme = self.origin.scheme.as_str();
                let (start, after) = location.split_at_checked(scheme.len() + 3)?;
                let (name, slashes) = start.split_at(scheme.len());
                let is_ours = name.eq_ignore_ascii_case(scheme.as_bytes()) && slashes == b"://";
                is_ours.then_some(after)?
            }
        };
        let end = memchr::memchr3(b'/', b'?', b'#', after).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let authority = byway_wire::target::Authority::parse(authority).ok()?;
        let port = authority.port.unwrap_or(self.origin.scheme.default_port());
        let is_same = authority.host_bare().eq_ignore_ascii_case(&self.origin.host)
            && port == self.origin.port;
        let base = || format!("{}://{}{}", self.scheme, self.host, self.path);
        is_same.then(|| [base().as_bytes(), rest].concat())
    }
}

#[cfg(test)]
mod tests;
