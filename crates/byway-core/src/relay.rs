//! Relays as ways out: where one is, what its platform can bear, and which requests do not fit.
//!
//! Every figure is the platform's own, with its source; a request that would break one of them is
//! not sent there at all, since the platform's refusal could be taken for the provider's.

use std::fmt;
use std::time::Duration;

use crate::route::Origin;
use crate::secret::Secret;
use crate::settings::ProviderTls;

/// A relay of ours.
#[derive(Debug, Clone)]
pub struct RelayHop {
    /// Where it is reached.
    pub origin: Origin,
    /// The target of the POST: `/`, or a stage.
    pub target: String,
    /// Where it runs.
    pub platform: Platform,
    /// Its own name, which calls are addressed to.
    pub id: String,
    /// Which of our keys signs, as the relay calls it.
    pub key_id: String,
    /// The Ed25519 private key: PKCS #8, PEM.
    pub key_pem: Secret,
    /// The platform's own lock.
    pub lock: Lock,
    /// TLS towards it.
    pub tls: ProviderTls,
    /// What its platform can bear, as configured.
    pub limits: RelayLimits,
    /// Whether the body is sent as Base64 text, for platforms that know no binary.
    pub is_text: bool,
    /// Who accepted, and why, that a call can be replayed within its 30 s; `None` keeps unsafe
    /// methods away from relays that run in several instances.
    pub replay_accepted: Option<String>,
    /// How often it is asked who it is, while nobody needs it.
    pub check_every: Duration,
    /// How often a provider is asked over it in peace time.
    pub ask_every: Duration,
}

/// Twelve times an hour costs a Lambda nothing worth a word.
pub const CHECK_EVERY: Duration = Duration::from_secs(300);
/// A relay that is blocked is known of within the hour.
pub const ASK_EVERY: Duration = Duration::from_secs(3600);

/// Where a relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// AWS Lambda behind a function URL.
    LambdaUrl,
    /// AWS Lambda behind an HTTP API.
    ApiGatewayV2,
    /// AWS Lambda behind a REST API.
    ApiGatewayV1,
    /// Google Cloud Run, and Cloud Functions of the second generation.
    CloudRun,
    /// Google Cloud Functions.
    CloudFunctions,
    /// A process on any host or in any container, reached without anybody between.
    Plain,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 6] = [
        Self::LambdaUrl,
        Self::ApiGatewayV2,
        Self::ApiGatewayV1,
        Self::CloudRun,
        Self::CloudFunctions,
        Self::Plain,
    ];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LambdaUrl => "lambda-url",
            Self::ApiGatewayV2 => "api-gateway-v2",
            Self::ApiGatewayV1 => "api-gateway-v1",
            Self::CloudRun => "cloud-run",
            Self::CloudFunctions => "cloud-functions",
            Self::Plain => "plain",
        }
    }

    /// Whether it may run as several instances that share no memory of used nonces.
    pub const fn has_instances(self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// What it can bear.
    pub const fn limits(self) -> RelayLimits {
        const SECOND: Duration = Duration::from_secs(1);
        match self {
            // AWS, "Lambda quotas": 6 MB a synchronous event, which holds the body in Base64;
            // 20 MB an answer that is streamed once, 200 MB since 2025. A function's own timeout is
            // what our template sets: longer than a provider is waited for by default, so that it is
            // known which of the two was slow.
            Self::LambdaUrl => RelayLimits {
                request_bytes_max: LAMBDA_BYTES_MAX,
                answer_bytes_max: LAMBDA_BYTES_MAX as u64,
                timeout: SECOND.saturating_mul(120),
                streams: false,
            },
            // AWS, "Quotas for HTTP APIs": 30 s, not to be raised; the event is Lambda's.
            Self::ApiGatewayV2 => RelayLimits {
                request_bytes_max: LAMBDA_BYTES_MAX,
                answer_bytes_max: LAMBDA_BYTES_MAX as u64,
                timeout: SECOND.saturating_mul(30),
                streams: false,
            },
            // AWS, "Quotas for REST APIs": 29 s by default.
            Self::ApiGatewayV1 => RelayLimits {
                request_bytes_max: LAMBDA_BYTES_MAX,
                answer_bytes_max: LAMBDA_BYTES_MAX as u64,
                timeout: SECOND.saturating_mul(29),
                streams: false,
            },
            // Google, "Cloud Run quotas": 32 MiB a request over HTTP/1; answers that are streamed
            // have no limit; 300 s by default.
            Self::CloudRun => RelayLimits {
                request_bytes_max: 32 * 1024 * 1024,
                answer_bytes_max: ANY_BYTES,
                timeout: SECOND.saturating_mul(300),
                streams: true,
            },
            // Google, "Cloud Functions quotas": 10 MB each way; 60 s by default.
            Self::CloudFunctions => RelayLimits {
                request_bytes_max: 10_000_000,
                answer_bytes_max: 10_000_000,
                timeout: SECOND.saturating_mul(60),
                streams: false,
            },
            // Ours: a request is held whole so that it can be signed.
            Self::Plain => RelayLimits {
                request_bytes_max: 64 * 1024 * 1024,
                answer_bytes_max: ANY_BYTES,
                timeout: SECOND.saturating_mul(3600),
                streams: true,
            },
        }
    }
}

/// 6,000,000 bytes, less 64 KiB for everything else in the event, in Base64.
const LAMBDA_BYTES_MAX: usize = (6_000_000 - 65_536) / 4 * 3;
/// More than anybody sends, and a number that signed arithmetic bears.
const ANY_BYTES: u64 = 1 << 62;
/// What a streamed answer of a Lambda may measure: "Lambda quotas", 200 MB.
pub const LAMBDA_STREAM_BYTES_MAX: u64 = 200_000_000;

/// What a platform can bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayLimits {
    /// The body of the POST: envelope, signature and content.
    pub request_bytes_max: usize,
    /// The content of an answer.
    pub answer_bytes_max: u64,
    /// When the platform gives up by itself.
    pub timeout: Duration,
    /// Whether answers are passed on while they come.
    pub streams: bool,
}

/// A relay has to have answered this long before its platform gives up: what the platform says then
/// could be taken for the provider's.
pub const MARGIN: Duration = Duration::from_secs(2);

impl RelayLimits {
    /// How long a call may take there.
    pub fn within(&self) -> Duration {
        self.timeout.saturating_sub(MARGIN).max(Duration::from_millis(500))
    }
}

/// The platform's own lock: who may reach the relay at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// None but the key inside; for hosts that only we can reach.
    Open,
    /// AWS Signature Version 4.
    Aws {
        /// The region that signatures are for.
        region: String,
        /// `lambda` or `execute-api`.
        service: &'static str,
        /// A profile of the shared configuration files; `None` for the usual order of sources.
        profile: Option<String>,
    },
    /// A Google ID token.
    Google {
        /// What the token is for: the service's URL.
        audience: String,
        /// A service account's key file; `None` for the machine's own identity.
        key_file: Option<std::path::PathBuf>,
    },
}

/// What of a request decides whether it fits through a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one request")]
pub struct Asked {
    /// It opens a tunnel.
    pub is_connect: bool,
    /// It asks for another protocol.
    pub upgrades: bool,
    /// It only reads (RFC 9110 §9.2.1).
    pub is_safe: bool,
    /// The provider wants a certificate of ours.
    pub needs_identity: bool,
    /// Its head.
    pub head_bytes: usize,
    /// Its body, if the length is known.
    pub body_bytes: Option<u64>,
}

/// Why a request does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// A tunnel cannot be put into one request.
    Tunnel,
    /// Neither can another protocol.
    Upgrade,
    /// The relay has no certificate of ours to present.
    Identity,
    /// Could be replayed within 30 s, and nobody accepted that.
    UnsafeMethod,
    /// Larger than the platform takes.
    TooLarge,
}

impl Unfit {
    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Upgrade => "upgrade",
            Self::Identity => "client_certificate",
            Self::UnsafeMethod => "unsafe_method",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tunnel => "a tunnel cannot pass a relay",
            Self::Upgrade => "a change of protocol cannot pass a relay",
            Self::Identity => "the provider wants our certificate, which a relay does not have",
            Self::UnsafeMethod => {
                "this method could be replayed there within 30 s, and nobody accepted that"
            }
            Self::TooLarge => "larger than the relay's platform takes",
        })
    }
}

/// What the envelope adds to head and body at most: names, digest, signature, and the lengths
/// before every field.
const ENVELOPE_BYTES: usize = 2048;
/// The signed part has 160 KiB (`docs/relay-protocol.md`).
const HEAD_BYTES_MAX: usize = 150 * 1024;
/// An answer that is not streamed is kept whole, there and here.
pub const WHOLE_BYTES_MAX: u64 = 32 * 1024 * 1024;

impl RelayHop {
    /// Whether a request fits, as far as can be told before it is sent.
    ///
    /// # Errors
    /// Why it does not.
    pub fn fits(&self, asked: &Asked) -> Result<(), Unfit> {
        if asked.is_connect {
            return Err(Unfit::Tunnel);
        }
        if asked.upgrades {
            return Err(Unfit::Upgrade);
        }
        if asked.needs_identity {
            return Err(Unfit::Identity);
        }
        let is_one = !self.platform.has_instances();
        if !asked.is_safe && !is_one && self.replay_accepted.is_none() {
            return Err(Unfit::UnsafeMethod);
        }
        let body = usize::try_from(asked.body_bytes.unwrap_or(0)).unwrap_or(usize::MAX);
        let all = body.saturating_add(asked.head_bytes).saturating_add(ENVELOPE_BYTES);
        let sent = if self.is_text { all.div_ceil(3).saturating_mul(4) } else { all };
        let is_too_large =
            sent > self.limits.request_bytes_max || asked.head_bytes > HEAD_BYTES_MAX;
        if is_too_large { Err(Unfit::TooLarge) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
