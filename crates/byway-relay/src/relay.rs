//! A request's way through the relay: opened, admitted, called, answered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use byway_core::settings::{Dns, ProviderTls};
use byway_net::{Resolver, TlsClient};
use byway_wire::relay::answer::{Failure, Pong};
use byway_wire::relay::call::{Call, Kind, META_BYTES_MAX, PREAMBLE_BYTES};
use byway_wire::relay::{CALL_MAGIC, SIGNATURE_BYTES, Stack};
use data_encoding::{BASE64, HEXLOWER};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use crate::answer::Out;
use crate::call::Courier;
use crate::config::Config;
pub use crate::guard::Stranger;
use crate::guard::{self, Memory, Refusal};
use crate::pool::Pool;

/// A relay, shared by everything that it does at the same time.
#[derive(Debug)]
pub struct Relay {
    pub(crate) config: Config,
    pub(crate) resolver: Resolver,
    pub(crate) tls: TlsClient,
    memory: Memory,
    pub(crate) pool: Pool,
    pub(crate) instance: String,
    is_cold: AtomicBool,
    n_refused: AtomicU64,
}

/// A request of somebody who holds a key.
#[derive(Debug)]
pub struct Admitted {
    what: What,
    is_text: bool,
    arrived: Instant,
}

#[derive(Debug)]
enum What {
    Ping,
    Call(Box<Call>, Vec<u8>),
    Refused(Refusal),
}

impl Relay {
    /// Gets ready.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        let dns = Dns { servers: config.dns.clone(), ..Dns::default() };
        let mut id = [0; 8];
        SystemRandom::new().fill(&mut id).ok().context("this machine gives no random numbers")?;
        Ok(Self {
            resolver: Resolver::new(&dns)?,
            tls: TlsClient::new(&config.roots_pem, &ProviderTls::default())?,
            config,
            memory: Memory::default(),
            pool: Pool::default(),
            instance: HEXLOWER.encode(&id),
            is_cold: AtomicBool::new(true),
            n_refused: AtomicU64::new(0),
        })
    }

    /// The only instance: a call that changes something and is older than the process is refused,
    /// since nobody remembers whether it was made.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.memory.since_ms = Some(wall_ms());
        self
    }

    /// Whether whoever sends these first bytes of a request holds a key; `None` while that cannot be
    /// told. A stranger is counted.
    pub(crate) fn knows(&self, first: &[u8]) -> Option<bool> {
        let decoded = if first.starts_with(&CALL_MAGIC) {
            None
        } else {
            // Whole groups of Base64, which code for whole bytes.
            let groups = first.get(..first.len() / 4 * 4)?;
            Some(BASE64.decode(groups.trim_ascii()).unwrap_or_default())
        };
        let bytes = decoded.as_deref().unwrap_or(first);
        let n = bytes.get(6..PREAMBLE_BYTES)?.try_into().map(u32::from_be_bytes).ok()?;
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let is_odd = !bytes.starts_with(&CALL_MAGIC) || n > META_BYTES_MAX;
        let end = PREAMBLE_BYTES + n.min(META_BYTES_MAX) + SIGNATURE_BYTES;
        let envelope = bytes.get(..end);
        let known = match envelope {
            _ if is_odd => false,
            None => return None,
            Some(envelope) => guard::open(&self.config, envelope, wall_ms()).is_ok(),
        };
        Some(known || self.refused(false))
    }

    /// Checks a request.
    ///
    /// # Errors
    /// [`Stranger`], who is told nothing; it is counted.
    pub fn admit(&self, body: &[u8]) -> Result<Admitted, Stranger> {
        let arrived = instant();
        let decoded = if body.starts_with(&CALL_MAGIC) {
            None
        } else {
            Some(BASE64.decode(body.trim_ascii()).map_err(|_| self.refused(Stranger))?)
        };
        let request = decoded.as_deref().unwrap_or(body);
        let now_ms = wall_ms();
        let signed = guard::open(&self.config, request, now_ms).map_err(|no| self.refused(no))?;
        let admitted = guard::admit(&self.config, &self.memory, &signed, now_ms, arrived);
        let what = match (admitted, signed.kind) {
            (Err(refusal), _) => What::Refused(self.refused(refusal)),
            (Ok(()), Kind::Ping) => What::Ping,
            (Ok(()), Kind::Call) => What::Call(Box::new(signed.call), signed.content.to_vec()),
        };
        Ok(Admitted { what, is_text: decoded.is_some(), arrived })
    }

    /// Counts a refusal, also of what was not even read.
    pub(crate) fn refused<R>(&self, refusal: R) -> R {
        self.n_refused.fetch_add(1, Ordering::Relaxed);
        refusal
    }

    /// The whole answer; `within` is how long the platform leaves for it.
    pub async fn answer(&self, admitted: Admitted, within: Option<Duration>) -> Vec<u8> {
        let is_text = admitted.is_text;
        let mut out = Out::whole();
        self.answer_to(admitted, within, &mut out).await;
        let bytes = out.into_whole();
        if is_text { BASE64.encode(&bytes).into_bytes() } else { bytes }
    }

    /// The answer as it comes; the receiver's slowness slows the provider.
    pub async fn stream(&self, admitted: Admitted, within: Option<Duration>, to: Sender<Vec<u8>>) {
        let mut out = Out::streamed(to);
        self.answer_to(admitted, within, &mut out).await;
    }

    async fn answer_to(&self, admitted: Admitted, within: Option<Duration>, out: &mut Out) {
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        let Admitted { what, arrived, .. } = admitted;
        match what {
            What::Ping => out.pong(self.pong(is_cold)).await,
            What::Refused(Refusal { code, detail }) => {
                let (stage, now_ms) = (Refusal::STAGE, wall_ms());
                out.fail(Failure { stage, code: code.to_owned(), detail, now_ms, peer: None })
                    .await;
            }
            What::Call(call, content) => {
                let has_sent = AtomicBool::new(false);
                let courier = Courier { relay: self, call: &call, arrived, is_cold, has_sent };
                courier.run(&content, within, out).await;
            }
        }
    }

    fn pong(&self, is_cold: bool) -> Pong {
        let keys: Vec<&str> = self.config.keys.keys().map(String::as_str).collect();
        Pong {
            version_min: byway_wire::relay::VERSION,
            version_max: byway_wire::relay::VERSION,
            relay: self.config.id.clone(),
            instance: self.instance.clone(),
            software: concat!("byway-relay ", env!("CARGO_PKG_VERSION")).to_owned(),
            stack: Stack::Byway,
            is_cold,
            exit: self.config.exit,
            allow_digest: self.config.allow_digest(),
            keys: keys.join(" "),
            now_ms: wall_ms(),
            n_refused: self.n_refused.load(Ordering::Relaxed),
        }
    }
}

impl Admitted {
    /// Whether the sender's path passes pieces on.
    pub fn may_stream(&self) -> bool {
        match &self.what {
            What::Call(call, _) => call.may_stream && !self.is_text,
            What::Ping | What::Refused(_) => false,
        }
    }

    /// Whether the request came as Base64, and the answer has to.
    pub const fn is_text(&self) -> bool {
        self.is_text
    }
}

/// The relay's wall clock: signatures are dated by it.
#[expect(clippy::disallowed_methods, reason = "compared with the sender's")]
pub(crate) fn wall_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// The clock that deadlines are measured by.
#[expect(clippy::disallowed_methods, reason = "measures; decides nothing but deadlines")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
