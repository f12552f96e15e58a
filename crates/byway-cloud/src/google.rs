//! Google ID tokens: of the machine's own identity, or of a service account's key file.
//!
//! <https://cloud.google.com/docs/authentication/get-id-token>. Google's own crate for this needs
//! another TLS provider and another HTTP client; what is left of the task is two requests.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use byway_core::route::{Origin, Scheme};
use byway_core::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::ask::{Asked, ask, split};

const WITHIN: Duration = Duration::from_secs(10);
/// Google's longest.
const ASSERTION_LIFE: Duration = Duration::from_secs(3600);

/// A token, and until when it is good.
pub(crate) async fn token(
    audience: &str,
    key_file: Option<&Path>,
    metadata: &str,
    now: SystemTime,
) -> Result<(Secret, SystemTime), String> {
    let token = match key_file {
        Some(file) => of_key_file(audience, file, now).await?,
        None => of_this_machine(audience, metadata).await?,
    };
    let until = expiry(&token).ok_or("what Google gave is no ID token")?;
    Ok((Secret::new(token), until))
}

/// The metadata server of the machine; `metadata` is its host, by default `metadata.google.internal`.
async fn of_this_machine(audience: &str, metadata: &str) -> Result<String, String> {
    let (host, port) = match metadata.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| "GCE_METADATA_HOST: no port")?),
        None => (metadata, 80),
    };
    let origin = Origin { scheme: Scheme::Http, host: host.to_owned(), port };
    let target = format!(
        "/computeMetadata/v1/instance/service-accounts/default/identity?audience={}&format=full",
        encoded(audience)
    );
    let fields = vec![("Metadata-Flavor".to_owned(), "Google".to_owned())];
    let asked = Asked { method: "GET", origin: &origin, target: &target, fields, body: b"" };
    match ask(&asked, WITHIN).await? {
        (200, body) => String::from_utf8(body).map_err(|_| "the token is no text".to_owned()),
        (status, _) => Err(format!("the metadata server {origin} answered {status}")),
    }
}

/// RFC 7523: a signed assertion for a token.
async fn of_key_file(audience: &str, file: &Path, now: SystemTime) -> Result<String, String> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|why| format!("cannot read {shown}: {why}"))?;
    let key: Value =
        serde_json::from_slice(&text).map_err(|why| format!("{shown} is no JSON: {why}"))?;
    let part = |name: &str| {
        let part = key.get(name).and_then(Value::as_str);
        part.ok_or_else(|| format!("{shown} has no `{name}`; it must be a service account's key"))
    };
    let (email, uri, pem) = (part("client_email")?, part("token_uri")?, part("private_key")?);
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({
        "iss": email,
        "sub": email,
        "aud": uri,
        "iat": since,
        "exp": since + ASSERTION_LIFE.as_secs(),
        "target_audience": audience,
    });
    let head = json!({"alg": "RS256", "typ": "JWT"});
    let coded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let unsigned = format!("{}.{}", coded(&head), coded(&claims));
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| format!("`private_key` in {shown} is no PKCS #8 key"))?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|_| format!("`private_key` in {shown} is no RSA key"))?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), unsigned.as_bytes(), &mut signature)
        .map_err(|_| format!("the key in {shown} cannot sign"))?;
    let assertion = format!("{unsigned}.{}", BASE64URL_NOPAD.encode(&signature));
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
    );
    let (origin, target) = split(uri).ok_or_else(|| format!("`token_uri` in {shown} is no URL"))?;
    let form = "application/x-www-form-urlencoded".to_owned();
    let asked = Asked {
        method: "POST",
        origin: &origin,
        target: &target,
        fields: vec![("Content-Type".to_owned(), form)],
        body: body.as_bytes(),
    };
    let (status, body) = ask(&asked, WITHIN).await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = answer.get("id_token").and_then(Value::as_str);
    token.map(ToOwned::to_owned).ok_or_else(|| {
        let why = answer.get("error_description").or_else(|| answer.get("error"));
        let why = why.and_then(Value::as_str).unwrap_or("no reason given");
        format!("{origin} answered {status}: {why}")
    })
}

/// `exp` of a token, which is not checked here: whoever gets it will.
fn expiry(token: &str) -> Option<SystemTime> {
    let claims = BASE64URL_NOPAD.decode(token.trim().split('.').nth(1)?.as_bytes()).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(claims.get("exp")?.as_u64()?))
}

fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests;
