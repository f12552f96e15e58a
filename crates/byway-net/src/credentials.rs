//! Basic credentials towards a proxy of ours (RFC 7617).

use byway_core::secret::Secret;
use byway_core::settings::Credentials;

/// The value of `Proxy-Authorization` for these credentials.
pub fn proxy_authorization(credentials: &Credentials) -> Secret {
    let mut plain = credentials.user.as_bytes().to_vec();
    plain.push(b':');
    plain.extend_from_slice(credentials.password.reveal());
    Secret::new(format!("Basic {}", data_encoding::BASE64.encode(&plain)))
}

#[cfg(test)]
mod tests;
