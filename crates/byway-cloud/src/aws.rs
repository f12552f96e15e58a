//! AWS Signature Version 4 with the credentials that AWS's own tools would find.

use std::time::{Duration, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// What is signed, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    /// `https://host/path?query`
    pub(crate) uri: &'a str,
    pub(crate) fields: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

/// The fields that a signature adds.
pub(crate) fn fields(
    request: &Signable<'_>,
    credentials: &Credentials,
    at: SystemTime,
) -> Result<Vec<(String, String)>, String> {
    let mut settings = SigningSettings::default();
    // S3 signs its paths as they are, and wants the digest said.
    if request.service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(at)
        .settings(settings)
        .build()
        .map_err(|why| why.to_string())?
        .into();
    let Signable { method, uri, fields, body, .. } = *request;
    let signable =
        SignableRequest::new(method, uri, fields.iter().copied(), SignableBody::Bytes(body));
    let signable = signable.map_err(|why| why.to_string())?;
    let (instructions, _) = sign(signable, &params).map_err(|why| why.to_string())?.into_parts();
    let added = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(added.collect())
}

/// Environment, shared files with this profile, web identity, container, instance: in that order,
/// and until when they are good.
pub(crate) async fn credentials(
    profile: Option<&str>,
) -> Result<(Credentials, Option<SystemTime>), String> {
    let around = ProviderConfig::default().with_http_client(http_client());
    let mut chain = DefaultCredentialsChain::builder().configure(around);
    chain.set_region(None::<aws_config::Region>);
    if let Some(profile) = profile {
        chain = chain.profile_name(profile);
    }
    let chain = chain.build().await;
    let asked = tokio::time::timeout(WITHIN, chain.provide_credentials()).await;
    let found = asked.map_err(|_| "no source of AWS credentials answered in time".to_owned())?;
    let credentials = found.map_err(|why| chain_of(&why))?;
    let until = credentials.expiry();
    Ok((credentials, until))
}

/// Instance metadata is asked over the network, and may not be there at all.
const WITHIN: Duration = Duration::from_secs(10);

/// One TLS stack: rustls with ring, as everywhere.
pub(crate) fn http_client() -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// An error with its causes, which AWS's crates hide otherwise.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
