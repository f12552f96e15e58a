//! Where a relay can run, and the files that it takes there.

use clap::ValueEnum;

/// Where a relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// AWS Lambda behind a function URL
    AwsLambda,
    /// AWS Lambda behind API Gateway
    ApiGateway,
    /// Google Cloud Run
    CloudRun,
    /// A container or any host
    Container,
    /// Another Byway
    Peer,
}

/// A file of a template, and its text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($kind:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../templates/", $kind, "/", $name)))),+]
    };
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::AwsLambda, Self::ApiGateway, Self::CloudRun, Self::Container, Self::Peer];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AwsLambda => "aws-lambda",
            Self::ApiGateway => "api-gateway",
            Self::CloudRun => "cloud-run",
            Self::Container => "container",
            Self::Peer => "peer",
        }
    }

    /// What speaks for it, in one line.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::AwsLambda => "AWS Lambda, behind a function URL: nothing runs while nobody calls",
            Self::ApiGateway => {
                "AWS Lambda, behind API Gateway: where function URLs are not allowed"
            }
            Self::CloudRun => "Google Cloud Run: large answers stream",
            Self::Container => "a container or any host of yours: no limits but your own",
            Self::Peer => {
                "another byway: TLS stays end to end, nothing is decrypted; best if you can"
            }
        }
    }

    /// The platform in the gateway's configuration; a peer has none.
    pub(super) const fn platform(self) -> &'static str {
        match self {
            Self::AwsLambda => "lambda-url",
            Self::ApiGateway => "api-gateway-v2",
            Self::CloudRun => "cloud-run",
            Self::Container | Self::Peer => "plain",
        }
    }

    pub(super) const fn is_aws(self) -> bool {
        matches!(self, Self::AwsLambda | Self::ApiGateway)
    }

    /// The files that are written, with `{{name}}` and its like in them.
    pub(super) const fn files(self) -> &'static [File] {
        match self {
            Self::AwsLambda => {
                files!("aws-lambda": "template.yaml", "main.tf", "README.md", "README.ko.md")
            }
            Self::ApiGateway => {
                files!("api-gateway": "template.yaml", "template-rest.yaml", "main.tf", "README.md", "README.ko.md")
            }
            Self::CloudRun => {
                files!("cloud-run": "service.yaml", "Dockerfile", "main.tf", "README.md", "README.ko.md")
            }
            Self::Container => {
                files!("container": "Dockerfile", "compose.yaml", "byway-relay.service", "README.md", "README.ko.md")
            }
            Self::Peer => files!("peer": "byway.toml", "README.md", "README.ko.md"),
        }
    }
}
