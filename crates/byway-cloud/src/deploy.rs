//! A folder that `byway relay new` wrote → a relay on AWS: two CloudFormation stacks and one upload.
//!
//! The first stack is the bucket that holds the code, the second is everything else. Each step asks
//! what there is and does what is missing, so that running it again is harmless.

mod bucket;
mod stack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_credential_types::Credentials;
use aws_sdk_cloudformation::config::{BehaviorVersion, Region};
use aws_sdk_cloudformation::{Client, Config};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use crate::aws;
use bucket::Bucket;
use stack::Stack;

/// What to deploy, and where.
#[derive(Debug, Clone)]
pub struct Deploy {
    /// The folder.
    pub dir: PathBuf,
    /// The relay's name.
    pub name: String,
    /// The region.
    pub region: String,
    /// A profile of the shared configuration files.
    pub profile: Option<String>,
    /// Another end than AWS, for emulators.
    pub endpoint: Option<String>,
    /// The template of the folder.
    pub template: String,
    /// Parameters that are not the template's defaults.
    pub parameters: BTreeMap<String, String>,
    /// How often is asked whether it is done.
    pub ask_every: Duration,
}

/// What a deployment gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// What happened: `created`, `updated`, `unchanged`.
    pub what: &'static str,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
}

impl Deploy {
    /// Creates or updates. What happens is told to `says`, line by line.
    ///
    /// # Errors
    /// What AWS refused, with the first resource that failed.
    pub async fn up(&self, says: &mut dyn FnMut(&str)) -> anyhow::Result<Deployed> {
        let template = self.read("template", &self.template)?;
        let zip = std::fs::read(self.dir.join("relay.zip"))
            .with_context(|| format!("cannot read relay.zip in {}", self.dir.display()))?;
        let (client, credentials) = self.client().await?;
        let code = Stack { client: &client, name: self.code_stack(), ask_every: self.ask_every };
        code.settle(says).await?;
        code.put(BUCKET_TEMPLATE, &BTreeMap::new(), says).await?;
        let outputs = code.outputs().await?;
        let bucket = outputs.get("Bucket").context("the code stack names no bucket")?;
        // Another zip is another key: CloudFormation compares nothing else.
        let hash = HEXLOWER.encode(digest(&SHA256, &zip).as_ref());
        let key = format!("{}-{}.zip", self.name, hash.get(..16).unwrap_or(&hash));
        let bucket = self.bucket(bucket, &credentials);
        says(&format!("uploading relay.zip ({} KiB) as {key}", zip.len() / 1024));
        bucket.put(&key, &zip).await?;
        let mut parameters = self.parameters.clone();
        parameters.insert("CodeBucket".to_owned(), bucket.name.clone());
        parameters.insert("CodeKey".to_owned(), key.clone());
        let known = parameters_of(&template);
        if let Some(unknown) = parameters.keys().find(|name| !known.contains(name)) {
            bail!("the template has no parameter `{unknown}`; it has {}", known.join(", "));
        }
        let main = Stack { client: &client, name: self.stack(), ask_every: self.ask_every };
        main.settle(says).await?;
        let what = main.put(&template, &parameters, says).await?;
        // Old code is of no use to anybody once the new one runs.
        for old in bucket.keys().await?.into_iter().filter(|old| *old != key) {
            bucket.delete(&old).await?;
        }
        Ok(Deployed { what, outputs: main.outputs().await? })
    }

    /// Removes everything; what is not there is not missed.
    ///
    /// # Errors
    /// What AWS refused.
    pub async fn down(&self, says: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let (client, credentials) = self.client().await?;
        let main = Stack { client: &client, name: self.stack(), ask_every: self.ask_every };
        main.settle(says).await?;
        main.remove(says).await?;
        let code = Stack { client: &client, name: self.code_stack(), ask_every: self.ask_every };
        if code.status().await?.is_some() {
            if let Some(bucket) = code.outputs().await?.get("Bucket") {
                let bucket = self.bucket(bucket, &credentials);
                for key in bucket.keys().await? {
                    says(&format!("deleting {key}"));
                    bucket.delete(&key).await?;
                }
            }
            code.remove(says).await?;
        }
        Ok(())
    }

    fn read(&self, what: &str, name: &str) -> anyhow::Result<String> {
        let file = self.dir.join(name);
        std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read the {what} {}", file.display()))
    }

    fn stack(&self) -> String {
        format!("byway-relay-{}", self.name)
    }

    fn code_stack(&self) -> String {
        format!("byway-relay-{}-code", self.name)
    }

    fn bucket<'a>(&'a self, name: &str, credentials: &'a Credentials) -> Bucket<'a> {
        Bucket {
            name: name.to_owned(),
            region: &self.region,
            endpoint: self.endpoint.as_deref(),
            credentials,
        }
    }

    async fn client(&self) -> anyhow::Result<(Client, Credentials)> {
        let found = aws::credentials(self.profile.as_deref()).await;
        let (credentials, _) = found.map_err(|why| {
            anyhow::anyhow!(
                "no AWS credentials: {why}\n  set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                 or name a profile with --profile"
            )
        })?;
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(credentials.clone())
            .http_client(aws::http_client());
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok((Client::from_conf(config.build()), credentials))
    }
}

/// The bucket for the code: private, encrypted, and gone with its stack.
const BUCKET_TEMPLATE: &str = "\
AWSTemplateFormatVersion: \"2010-09-09\"
Description: Code of a Byway relay
Resources:
  Code:
    Type: AWS::S3::Bucket
    DeletionPolicy: Delete
    UpdateReplacePolicy: Delete
    Properties:
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - ServerSideEncryptionByDefault:
              SSEAlgorithm: AES256
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        BlockPublicPolicy: true
        IgnorePublicAcls: true
        RestrictPublicBuckets: true
Outputs:
  Bucket:
    Value: !Ref Code
";

/// The names below `Parameters:` in a template of ours.
fn parameters_of(template: &str) -> Vec<String> {
    let lines = template.lines().skip_while(|line| *line != "Parameters:").skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let name = |line: &str| {
        let name = line.strip_prefix("  ")?.strip_suffix(':')?;
        (!name.starts_with(' ')).then(|| name.to_owned())
    };
    lines.filter_map(name).collect()
}

/// Puts the relay and its file into `relay.zip`, as Lambda wants them: the program is `bootstrap`,
/// and it may be run.
///
/// # Errors
/// If a file cannot be read or written.
pub fn zip(dir: &Path, relay: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;
    let (file, new) = (dir.join("relay.zip"), dir.join("relay.zip.new"));
    let to =
        std::fs::File::create(&new).with_context(|| format!("cannot create {}", new.display()))?;
    let mut zip = zip::ZipWriter::new(to);
    // The same files make the same zip: it is told from others by its digest.
    let options = SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for (name, from, mode) in
        [("bootstrap", relay.to_owned(), 0o755), ("relay.toml", dir.join("relay.toml"), 0o644)]
    {
        let bytes =
            std::fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        zip.start_file(name, options.unix_permissions(mode))?;
        zip.write_all(&bytes)?;
    }
    zip.finish()?.sync_all()?;
    std::fs::rename(&new, &file).with_context(|| format!("cannot replace {}", file.display()))
}

#[cfg(test)]
mod tests {
    //! Parameters are found, and a folder becomes the same zip every time.

    use super::{parameters_of, zip};

    #[test]
    fn the_parameters_of_a_template_are_found() {
        let template = "Description: x\n\nParameters:\n  A:\n    Type: String\n\n  B:\n    \
                        Type: Number\nConditions:\n  C: !Equals [1, 2]\n";
        assert_eq!(parameters_of(template), ["A", "B"]);
        assert!(parameters_of("Resources:\n  A:\n").is_empty());
    }

    #[test]
    fn the_same_files_make_the_same_zip() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("relay.toml"), "id = \"r\"").unwrap();
        std::fs::write(dir.path().join("byway-relay"), [7; 5000]).unwrap();
        let mut made = Vec::new();
        for _ in 0..2 {
            zip(dir.path(), &dir.path().join("byway-relay")).unwrap();
            made.push(std::fs::read(dir.path().join("relay.zip")).unwrap());
        }
        assert_eq!(made[0], made[1]);
        assert!(made[0].len() < 1000, "it is compressed");
        assert!(zip(dir.path(), &dir.path().join("none")).is_err());
    }
}
