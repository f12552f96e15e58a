//! Basic credentials towards a proxy of ours (RFC 7617).

use byway_core::secret::Secret;
use byway_core::settings::Credentials;

/// The value of `Proxy-Authorization` for these credentials.
pub fn proxy_authorization(credentials: &Credentials) -> Secret {
    let mut plain = credentials.user.as_bytes().to_vec();
    plain.push(b':');
    plain.extend_from_slice(credentials.password.reveal());
    Secret::new(format!("Basic {}", base64(&plain)))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let letter = |bits: u32| ALPHABET.get((bits & 63) as usize).map_or('=', |&b| char::from(b));
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        text.push(letter(bits >> 18));
        text.push(letter(bits >> 12));
        text.push(if group.len() > 1 { letter(bits >> 6) } else { '=' });
        text.push(if group.len() > 2 { letter(bits) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests;
