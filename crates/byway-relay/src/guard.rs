//! The inner lock: signature, audience, clock, nonce, digest, method, destination.
//!
//! In the order of the protocol; before the signature is checked nothing is told, after it the
//! reason is, since only who holds the key can have asked.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use byway_wire::relay::call::{Call, Kind, Parts, signed};
use byway_wire::relay::{LIFE_MS_MAX, Stage};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use tokio::time::Instant;

use crate::config::Config;

/// Whoever cannot sign: is told that, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger;

/// Why a call is not made, for who holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl Refusal {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) const STAGE: Stage = Stage::BeforeSend;
}

/// Used nonces; a call that is accepted lives 60 s at most by this clock, and this is longer.
const REMEMBERED: Duration = Duration::from_secs(90);
/// 11,000 calls a second, in about 60 MB when they come.
const N_NONCES_MAX: usize = 1_000_000;

/// What an instance remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    nonces: Nonces,
    /// Since when, if it is the only instance, so that nothing else remembers either.
    pub(crate) since_ms: Option<u64>,
}

/// Nonces that were used, by the time that passes here and not by a clock that can be set.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    order: VecDeque<(Instant, [u8; 16])>,
    all: HashSet<[u8; 16]>,
}

impl Nonces {
    fn spend(&self, nonce: [u8; 16], now: Instant) -> Result<(), Refusal> {
        let Ok(mut used) = self.0.lock() else {
            return Err(Refusal::new("busy", "the memory of nonces is broken"));
        };
        while let Some((at, old)) = used.order.front().copied() {
            if now.saturating_duration_since(at) < REMEMBERED {
                break;
            }
            used.order.pop_front();
            used.all.remove(&old);
        }
        if used.order.len() >= N_NONCES_MAX {
            return Err(Refusal::new("busy", "too many calls within 90 s"));
        }
        if !used.all.insert(nonce) {
            return Err(Refusal::new("replayed", "this call was made before"));
        }
        used.order.push_back((now, nonce));
        Ok(())
    }
}

/// A signed call, its kind, and the content of its body.
pub(crate) struct Signed<'b> {
    pub(crate) kind: Kind,
    pub(crate) call: Call,
    pub(crate) content: &'b [u8],
}

/// Checks the signature, and before it nothing but what it takes to find the key.
pub(crate) fn open<'b>(
    config: &Config,
    request: &'b [u8],
    now_ms: u64,
) -> Result<Signed<'b>, Stranger> {
    let Parts { kind, meta, signature, body } = Parts::split(request).map_err(|_| Stranger)?;
    let call = Call::decode(meta).map_err(|_| Stranger)?;
    let key = config.keys.get(&call.key).ok_or(Stranger)?;
    let is_over = key.until.is_some_and(|until| {
        // Before 1970 is over as well.
        u64::try_from(until.as_millisecond()).map_or(true, |until| now_ms >= until)
    });
    let public = UnparsedPublicKey::new(&ED25519, &key.public);
    let is_signed = public.verify(&signed(kind, meta), signature).is_ok();
    if is_over || !is_signed {
        return Err(Stranger);
    }
    Ok(Signed { kind, call, content: body })
}

/// Everything that is checked once it is known who asks.
pub(crate) fn admit(
    config: &Config,
    memory: &Memory,
    asked: &Signed<'_>,
    now_ms: u64,
    now: Instant,
) -> Result<(), Refusal> {
    let Signed { kind, call, content } = asked;
    if call.relay != config.id {
        let detail = format!("this is `{}`, not `{}`", config.id, call.relay);
        return Err(Refusal::new("wrong_audience", detail));
    }
    let lives = call.expires_ms.checked_sub(call.created_ms);
    let is_young = lives.is_some_and(|lives| lives <= LIFE_MS_MAX);
    let has_begun = now_ms >= call.created_ms.saturating_sub(LIFE_MS_MAX);
    if !is_young || !has_begun || now_ms >= call.expires_ms {
        let detail = format!("made at {}, here it is {now_ms}", call.created_ms);
        return Err(Refusal::new("clock_skew", detail));
    }
    memory.nonces.spend(call.nonce, now)?;
    let is_whole = call.body_bytes == content.len() as u64
        && digest(&SHA256, content).as_ref() == call.body_digest;
    if !is_whole {
        return Err(Refusal::new("altered", "the body is not the one that was signed"));
    }
    if *kind == Kind::Ping {
        return Ok(());
    }
    let is_safe = matches!(call.method.as_slice(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    // What was spent before the start is not remembered: such a call may have been made.
    if !is_safe && memory.since_ms.is_some_and(|since| call.created_ms < since) {
        return Err(Refusal::new("replayed", "this call is older than this process"));
    }
    if !is_safe && config.replay_accepted.is_none() {
        let detail = "`replay_accepted` is not set here, and this method changes something";
        return Err(Refusal::new("unsafe_method", detail));
    }
    if !config.allow.iter().any(|entry| entry.matches(&call.host, call.port)) {
        let detail = format!("{}:{} is not on the allow-list", call.host, call.port);
        return Err(Refusal::new("not_allowed", detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Nonces are remembered, forgotten in time, and bounded.

    use std::time::Duration;

    use tokio::time::Instant;

    use super::{N_NONCES_MAX, Nonces, REMEMBERED};

    #[expect(clippy::disallowed_methods, reason = "a point to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_nonce_is_spent_once_until_no_call_with_it_could_still_be_valid() {
        let (nonces, now) = (Nonces::default(), start());
        assert!(nonces.spend([1; 16], now).is_ok());
        let later = now + REMEMBERED - Duration::from_millis(1);
        assert_eq!(nonces.spend([1; 16], later).map_err(|r| r.code), Err("replayed"));
        assert!(nonces.spend([2; 16], later).is_ok());
        assert!(nonces.spend([1; 16], now + REMEMBERED).is_ok(), "forgotten when it is harmless");
    }

    #[test]
    fn memory_is_bounded_and_says_so() {
        let (nonces, now) = (Nonces::default(), start());
        for n in 0..N_NONCES_MAX as u128 {
            assert!(nonces.spend(n.to_be_bytes(), now).is_ok());
        }
        assert_eq!(nonces.spend([0xff; 16], now).map_err(|r| r.code), Err("busy"));
        assert!(nonces.spend([0xff; 16], now + REMEMBERED).is_ok());
    }
}
