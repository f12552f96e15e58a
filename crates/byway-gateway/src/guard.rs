//! Who may call: web pages may not, and elsewhere than on loopback nobody without credentials.
//!
//! Loopback is no wall against web pages. A page can make a browser send requests to
//! 127.0.0.1 (`Sec-Fetch-Site` and `Origin` give it away), and can point a name of its own there
//! (DNS rebinding: `Host` gives it away). It cannot make a browser speak to us as to a proxy, so
//! absolute-form and CONNECT are not checked: a browser that is configured to use the gateway
//! sends both fields for good reasons.

use std::net::IpAddr;

use byway_core::cause::Cause;
use byway_core::route::Origin;
use byway_core::settings::{CallerToken, Callers};
use byway_wire::field::Known;
use byway_wire::request::RequestHead;
use byway_wire::target::Authority;
use subtle::ConstantTimeEq;

/// Checks the caller's credentials, where the listener asks for any.
///
/// # Errors
/// [`Cause::CallerUnauthorised`].
pub(crate) fn credentials(callers: &Callers, head: &RequestHead<'_>) -> Result<(), Cause> {
    match callers {
        // A certificate was checked when the connection was made.
        Callers::Loopback | Callers::Certificate => Ok(()),
        Callers::Token(tokens) => {
            let field = head.field(Known::ProxyAuthorization).ok_or(Cause::CallerUnauthorised)?;
            let known = is_known(field.value(head.raw), tokens);
            known.then_some(()).ok_or(Cause::CallerUnauthorised)
        }
    }
}

fn is_known(value: &[u8], tokens: &[CallerToken]) -> bool {
    let Some(space) = memchr::memchr(b' ', value) else { return false };
    let (scheme, rest) = value.split_at(space);
    let rest = rest.trim_ascii();
    // Every token is compared, so that the time taken does not tell which one came close.
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return tokens.iter().fold(false, |known, t| known | same(rest, t.token.reveal()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return false;
    }
    let Ok(plain) = data_encoding::BASE64.decode(rest) else { return false };
    let Some(colon) = memchr::memchr(b':', &plain) else { return false };
    let (user, password) = plain.split_at(colon);
    let password = password.get(1..).unwrap_or_default();
    tokens.iter().fold(false, |known, t| {
        known | (same(user, t.name.as_bytes()) & same(password, t.token.reveal()))
    })
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// What the caller's `Host` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostNames<'h> {
    /// The gateway itself.
    Gateway,
    /// A provider: `<provider>.localhost`.
    Provider(&'h str),
}

/// Reads `Host` of a base-URL request.
///
/// # Errors
/// [`Cause::HostUnknown`] if a loopback listener is addressed by a name that is not ours.
pub(crate) fn host<'h>(
    host: Option<&Authority<'h>>,
    names: &[String],
    is_loopback: bool,
) -> Result<HostNames<'h>, Cause> {
    let Some(host) = host else {
        // HTTP/1.0 without Host: no browser sends that.
        return Ok(HostNames::Gateway);
    };
    let bare = host.host_bare();
    let is_ip = bare.parse::<IpAddr>();
    if is_ip.is_ok_and(|ip| ip.is_loopback() || !is_loopback) {
        return Ok(HostNames::Gateway);
    }
    for name in names.iter().map(String::as_str).chain(["localhost"]) {
        if bare.eq_ignore_ascii_case(name) {
            return Ok(HostNames::Gateway);
        }
        let below = bare.len().checked_sub(name.len() + 1).and_then(|at| bare.split_at_checked(at));
        if let Some((provider, suffix)) = below
            && suffix.starts_with('.')
            && suffix.get(1..).is_some_and(|s| s.eq_ignore_ascii_case(name))
        {
            return Ok(HostNames::Provider(provider));
        }
    }
    if is_loopback { Err(Cause::HostUnknown) } else { Ok(HostNames::Gateway) }
}

/// Refuses base-URL requests that a web page caused.
///
/// # Errors
/// [`Cause::WebPage`].
pub(crate) fn web_page(head: &RequestHead<'_>, provider: Option<&Origin>) -> Result<(), Cause> {
    if let Some(site) = head.field(Known::SecFetchSite)
        && !matches!(site.value(head.raw), b"none" | b"same-origin")
    {
        return Err(Cause::WebPage);
    }
    let Some(origin) = head.field(Known::Origin) else { return Ok(()) };
    let origin = origin.value(head.raw);
    let is_own = head.host.is_some_and(|host| {
        let own = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        own.is_some_and(|own| own.eq_ignore_ascii_case(host.raw.as_bytes()))
    });
    // A service may well send the provider's own origin: some APIs insist on it.
    let is_provider =
        provider.is_some_and(|p| origin.eq_ignore_ascii_case(p.to_string().as_bytes()));
    if is_own || is_provider { Ok(()) } else { Err(Cause::WebPage) }
}

#[cfg(test)]
mod tests;
