//! The bucket with the code: three requests of S3's, which need no SDK of their own.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use aws_credential_types::Credentials;

use crate::ask::{Asked, ask, split};
use crate::aws::{self, Signable};

/// A few MiB over a slow line.
const WITHIN: Duration = Duration::from_secs(300);

/// A bucket by name.
pub(super) struct Bucket<'a> {
    pub(super) name: String,
    pub(super) region: &'a str,
    pub(super) endpoint: Option<&'a str>,
    pub(super) credentials: &'a Credentials,
}

impl Bucket<'_> {
    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.request("PUT", key, "", bytes).await.context("cannot upload the code").map(drop)
    }

    pub(super) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        self.request("DELETE", key, "", b"").await.map(drop)
    }

    /// Its keys; few, since old code is deleted.
    pub(super) async fn keys(&self) -> anyhow::Result<Vec<String>> {
        let body = self.request("GET", "", "list-type=2", b"").await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let key = |part: &str| part.split("</Key>").next().map(ToOwned::to_owned);
        Ok(text.split("<Key>").skip(1).filter_map(key).collect())
    }

    async fn request(
        &self,
        method: &str,
        key: &str,
        query: &str,
        body: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        // Emulators know buckets by path only.
        let base = match self.endpoint {
            Some(endpoint) => format!("{}/{}", endpoint.trim_end_matches('/'), self.name),
            None => format!("https://{}.s3.{}.amazonaws.com", self.name, self.region),
        };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let uri = format!("{base}/{key}{query}");
        let (origin, target) = split(&uri).context("the endpoint is no URL")?;
        let authority = origin.authority();
        let fields = [("host", authority.as_str())];
        let (region, service) = (self.region, "s3");
        let signable = Signable { method, uri: &uri, fields: &fields, body, region, service };
        let fields =
            aws::fields(&signable, self.credentials, wall()).map_err(anyhow::Error::msg)?;
        let asked = Asked { method, origin: &origin, target: &target, fields, body };
        match ask(&asked, WITHIN).await.map_err(anyhow::Error::msg)? {
            (200..=299, body) => Ok(body),
            (status, body) => {
                let text = String::from_utf8_lossy(&body).into_owned();
                let part = |name: &str| {
                    let rest = text.split_once(&format!("<{name}>"))?.1;
                    rest.split_once(&format!("</{name}>")).map(|(part, _)| part.to_owned())
                };
                let why = part("Message").or_else(|| part("Code")).unwrap_or_default();
                bail!("the bucket {} answered {status}: {why}", self.name)
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "signatures are dated by the wall clock")]
fn wall() -> SystemTime {
    SystemTime::now()
}
