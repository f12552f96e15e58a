//! Relays as ways out: a call is signed, posted, and the answer is read as if it came directly.
//!
//! [`RelayStream`] takes the bytes of an HTTP/1 request and gives back the bytes of the provider's
//! answer, so that whoever speaks HTTP/1 need not know that it speaks through a relay. What goes
//! wrong comes out as a [`RelayFault`] inside an [`std::io::Error`], with the stage that the relay
//! reports: whether a request may be sent again depends on it.

mod held;
mod outer;
mod stream;

use std::fmt;
use std::io;
use std::sync::Arc;

use byway_core::cause::Cause;
use byway_core::relay::{Lock, MARGIN, RelayHop, Unfit};
use byway_core::settings::Deadlines;
use byway_wire::relay::answer::Failure;
use byway_wire::relay::call::{Call, Kind, Within, envelope, signed};
use byway_wire::relay::{CONTENT_TYPE, CONTENT_TYPE_TEXT, LIFE_MS_MAX, SIGNATURE_BYTES, Stage};
use byway_wire::request::RequestShape;
use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::tls::TlsSetupError;

pub use stream::RelayStream;

/// What a platform's lock has to be opened for.
#[derive(Debug, Clone, Copy)]
pub struct Outer<'a> {
    /// The value of `Host`.
    pub authority: &'a str,
    /// The target of the POST.
    pub target: &'a str,
    /// The value of `Content-Type`.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Opens the locks of platforms: signs, or shows tokens. Waits for nothing; what it needs is
/// fetched and renewed elsewhere.
pub trait PlatformLocks: fmt::Debug + Send + Sync {
    /// The fields that open a lock.
    ///
    /// # Errors
    /// Why it cannot be opened now, for people; never a secret.
    fn open(&self, lock: &Lock, outer: &Outer<'_>) -> Result<Vec<(String, String)>, String>;
}

/// Knows no platform's lock.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLocks;

impl PlatformLocks for NoLocks {
    fn open(&self, lock: &Lock, _: &Outer<'_>) -> Result<Vec<(String, String)>, String> {
        match lock {
            Lock::Open => Ok(Vec::new()),
            Lock::Aws { .. } | Lock::Google { .. } => {
                Err("this program cannot open a platform's lock".to_owned())
            }
        }
    }
}

/// What went wrong on the way through a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayFault {
    /// Whose fault it is follows from it.
    pub cause: Cause,
    /// How far the request had got.
    pub stage: Stage,
    /// What exactly, for people.
    pub detail: String,
    /// The address that the relay spoke to, if it got that far.
    pub peer: Option<std::net::IpAddr>,
    /// Whether the connection ended without a byte of an answer, as idle ones may.
    pub is_gone: bool,
}

impl RelayFault {
    fn new(cause: Cause, stage: Stage, detail: impl Into<String>) -> Self {
        Self { cause, stage, detail: detail.into(), peer: None, is_gone: false }
    }

    /// The fault inside an error, if it is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Only what the two sides agree on is trusted: a code that is not known is the relay's.
    fn told(failure: &Failure, relay: &str, now_ms: u64) -> Self {
        let Failure { stage, code, detail, now_ms: there, peer } = failure;
        let (cause, detail) = match code.as_str() {
            "clock_skew" => (Cause::ClockSkew, skew(now_ms, *there, relay)),
            "answer_too_large" | "deadline" => {
                (Cause::RelayLimit, format!("the relay {relay}: {detail}"))
            }
            code => match Cause::ALL.iter().find(|cause| cause.code() == code) {
                Some(cause) if cause.is_seen_there() => {
                    (*cause, format!("seen from the relay {relay}: {detail}"))
                }
                Some(_) | None => {
                    (Cause::RelayRefused, format!("the relay {relay} refuses: {code} ({detail})"))
                }
            },
        };
        Self { cause, stage: *stage, detail, peer: *peer, is_gone: false }
    }

    fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl fmt::Display for RelayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for RelayFault {}

fn skew(here_ms: u64, there_ms: u64, relay: &str) -> String {
    let apart = here_ms.abs_diff(there_ms).div_ceil(1000);
    let word = if here_ms < there_ms { "behind" } else { "ahead of" };
    format!("our clock is {apart} s {word} the one of the relay {relay}")
}

/// Our side of one relay: its settings, the key, and what opens its platform's lock.
#[derive(Debug)]
pub struct RelayClient {
    hop: Arc<RelayHop>,
    key: Ed25519KeyPair,
    locks: Arc<dyn PlatformLocks>,
    /// Bytes of requests that are not with the relay yet.
    held: held::Count,
}

/// Where a call leads, and how long each part may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leg<'a> {
    pub(crate) is_tls: bool,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) deadlines: &'a Deadlines,
}

impl RelayClient {
    /// Reads the key.
    ///
    /// # Errors
    /// [`TlsSetupError`] if it is no Ed25519 key.
    pub fn new(hop: Arc<RelayHop>, locks: Arc<dyn PlatformLocks>) -> Result<Self, TlsSetupError> {
        let wrong = |why: &str| {
            TlsSetupError::new(format!("the key `{}` of the relay `{}` {why}", hop.key_id, hop.id))
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(hop.key_pem.reveal())
            .map_err(|_| wrong("is no PKCS #8 private key in PEM"))?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|_| wrong("is no Ed25519 key"))?;
        Ok(Self { hop, key, locks, held: held::Count::default() })
    }

    /// Its settings.
    pub fn hop(&self) -> &RelayHop {
        &self.hop
    }

    /// A call that asks for nothing yet: addressed, dated, numbered.
    fn call(&self, leg: &Leg<'_>) -> Result<Call, RelayFault> {
        let mut nonce = [0; 16];
        SystemRandom::new().fill(&mut nonce).map_err(|_| {
            let detail = "this machine gives no random numbers";
            RelayFault::new(Cause::Internal, Stage::BeforeSend, detail)
        })?;
        let created_ms = wall_ms();
        let ms = |limit: std::time::Duration| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let Deadlines { connect, tls, first_byte, idle_body, total, .. } = *leg.deadlines;
        // The relay has to have said that it is late before we stop listening.
        let total = total.saturating_sub(MARGIN).max(total / 2);
        Ok(Call {
            relay: self.hop.id.clone(),
            key: self.hop.key_id.clone(),
            created_ms,
            expires_ms: created_ms + LIFE_MS_MAX,
            nonce,
            within: Within {
                connect_ms: ms(connect),
                tls_ms: ms(tls),
                first_byte_ms: ms(first_byte),
                idle_ms: ms(idle_body),
                total_ms: ms(total.min(self.hop.limits.within())),
            },
            answer_bytes_max: self.hop.limits.answer_bytes_max,
            may_stream: self.hop.limits.streams,
            is_tls: leg.is_tls,
            host: leg.host.to_owned(),
            port: leg.port,
            pinned: None,
            version: byway_wire::Version::Http11,
            method: Vec::new(),
            target: Vec::new(),
            fields: Vec::new(),
            trailers: Vec::new(),
            body_bytes: 0,
            body_digest: [0; 32],
        })
    }

    /// The whole outer request.
    fn seal(&self, kind: Kind, call: &mut Call, content: &[u8]) -> Result<Vec<u8>, RelayFault> {
        call.body_bytes = content.len() as u64;
        call.body_digest.copy_from_slice(digest(&SHA256, content).as_ref());
        let meta = call.encode();
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(self.key.sign(&signed(kind, &meta)).as_ref());
        let mut body = envelope(kind, &meta, &signature);
        body.extend_from_slice(content);
        let mut content_type = CONTENT_TYPE;
        if self.hop.is_text {
            body = BASE64.encode(&body).into_bytes();
            content_type = CONTENT_TYPE_TEXT;
        }
        if body.len() > self.hop.limits.request_bytes_max {
            return Err(self.unfit(Unfit::TooLarge));
        }
        self.outer(content_type, &body)
    }

    fn outer(&self, content_type: &str, body: &[u8]) -> Result<Vec<u8>, RelayFault> {
        let RelayHop { origin, target, lock, .. } = &*self.hop;
        let authority = origin.authority();
        let outer = Outer { authority: &authority, target, content_type, body };
        let keys = self.locks.open(lock, &outer).map_err(|why| {
            let detail = format!("the lock of the relay {} cannot be opened: {why}", self.hop.id);
            RelayFault::new(Cause::PathCredentials, Stage::BeforeSend, detail)
        })?;
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n",
            body.len()
        )
        .into_bytes();
        request.reserve(body.len() + 512);
        for (name, value) in keys {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        Ok(request)
    }

    /// Why a request is not sent at all.
    fn unfit(&self, unfit: Unfit) -> RelayFault {
        let RelayHop { id, limits, .. } = &*self.hop;
        let detail = match unfit {
            Unfit::TooLarge => {
                format!("the relay {id}: {unfit}, {} bytes", limits.request_bytes_max)
            }
            Unfit::Tunnel | Unfit::Upgrade | Unfit::Identity | Unfit::UnsafeMethod => {
                format!("the relay {id}: {unfit}")
            }
        };
        RelayFault::new(Cause::RelayLimit, Stage::BeforeSend, detail)
    }
}

/// What a POST of ours means for the answer to it.
const POST: RequestShape = RequestShape {
    version: byway_wire::Version::Http11,
    framing: byway_wire::body::Framing::Length(1),
    keep_alive: true,
    upgrade: false,
    expects_continue: false,
    te_trailers: false,
    names_fields: false,
    is_head: false,
    is_connect: false,
    is_idempotent: false,
    is_safe: false,
};

/// Signatures are dated by the wall clock, whatever it has done since the start.
#[expect(clippy::disallowed_methods, reason = "the two clocks are compared by the relay")]
pub(crate) fn wall_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
