//! Stored answers: what may be given again, and what bridges a failure.
//!
//! Answers are kept in memory, within limits, and on a [`Shelf`] that outlives the process. They
//! are found by keyed digests (HMAC-SHA-256) over raw bytes: provider, origin and target, then the
//! caller's credentials and what `Vary` names. So neither memory dumps nor the shelf tell a
//! credential, and no two callers with different ones ever share an answer.
//!
//! Rules of freshness are RFC 9111's by `http-cache-semantics`; which failures a copy bridges is
//! `core::freshness`. Not here: when the gateway asks (`cache/flight.rs`). Never stored: errors,
//! block pages, parts, answers that broke off.

mod answer;
mod asked;
mod flight;
mod refresh;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use byway_core::freshness::CacheLimits;
use ring::hmac;

pub(crate) use answer::Stored;
pub(crate) use asked::Asked;
pub(crate) use flight::{Given, Remembered};

/// What an answer is found by.
pub type Digest = [u8; 32];

/// Answers to one target that differ by credentials or `Vary`; more push out the oldest.
const N_VARIANTS_MAX: usize = 16;

/// An answer as it is kept: two digests and bytes that only this module reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Of provider, origin and target.
    pub target: Digest,
    /// Of credentials and what `Vary` names.
    pub variant: Digest,
    /// The answer.
    pub bytes: Vec<u8>,
}

/// Where answers outlive the process. No call blocks: work is done elsewhere, and what finds no
/// room is dropped, since a copy is only ever a help.
pub trait Shelf: fmt::Debug + Send + Sync {
    /// Keeps an answer, instead of the one with the same digests.
    fn put(&self, kept: KeptAnswer);
    /// Forgets every answer to a target.
    fn remove(&self, target: Digest);
    /// Whether there may be answers to a target.
    fn may_have(&self, target: &Digest) -> bool;
    /// Looks for every answer to a target, and tells them.
    fn find(&self, target: Digest, tell: Box<dyn FnOnce(Vec<KeptAnswer>) + Send>);
}

/// Where answers are kept, and the secret that their digests are made with.
#[derive(Debug, Clone)]
pub struct Copies {
    /// The place.
    pub shelf: Arc<dyn Shelf>,
    /// The secret; another one finds nothing.
    pub secret: Digest,
}

/// All stored answers of a gateway.
pub(crate) struct Cache {
    key: hmac::Key,
    shelf: Option<Arc<dyn Shelf>>,
    limits: CacheLimits,
    inside: Mutex<Inside>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Inside {
    answers: HashMap<Digest, Vec<Arc<Stored>>>,
    /// In the order in which they came; those that were used since go round once more (CLOCK).
    queue: VecDeque<Arc<Stored>>,
    n: usize,
    n_bytes: usize,
    /// Targets that the shelf was asked for already.
    asked: HashSet<Digest>,
}

impl Cache {
    /// An empty memory before what is kept.
    pub(crate) fn new(limits: CacheLimits, copies: Option<Copies>) -> Self {
        let secret = copies.as_ref().map_or_else(random, |copies| copies.secret);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            shelf: copies.map(|copies| copies.shelf),
            limits,
            inside: Mutex::default(),
        }
    }

    /// The largest body that is stored.
    pub(crate) const fn entry_bytes_max(&self) -> usize {
        self.limits.entry_bytes_max
    }

    /// A digest of parts, none of which can be taken for another's beginning.
    pub(crate) fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref().get(..32).unwrap_or(&[0; 32]));
        digest
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored answer to a request, from memory or from the shelf.
    pub(crate) async fn find(&self, target: Digest, asked: &Asked) -> Option<Arc<Stored>> {
        if let Some(found) = self.inside().find(&target, asked) {
            return Some(found);
        }
        let shelf = self.shelf.as_ref()?;
        if !shelf.may_have(&target) || !self.inside().asked.insert(target) {
            return None;
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        shelf.find(
            target,
            Box::new(move |kept| {
                let _nobody_waits = sender.send(kept);
            }),
        );
        let kept = tokio::time::timeout(SHELF_WITHIN, receiver).await.ok()?.ok()?;
        let mut inside = self.inside();
        for kept in kept {
            if let Some(stored) = Stored::read(target, kept.variant, &kept.bytes) {
                inside.put(Arc::new(stored), &self.limits);
            }
        }
        inside.find(&target, asked)
    }

    /// Stores an answer, in place of those that it supersedes.
    pub(crate) fn put(&self, stored: Stored, asked: &Asked) -> Arc<Stored> {
        let stored = Arc::new(stored);
        let mut inside = self.inside();
        let same = inside.find(&stored.target, asked);
        if let Some(same) = same {
            inside.drop_one(&same);
        }
        inside.asked.insert(stored.target);
        inside.put(Arc::clone(&stored), &self.limits);
        drop(inside);
        if let Some(shelf) = &self.shelf {
            let (target, variant) = (stored.target, stored.variant);
            shelf.put(KeptAnswer { target, variant, bytes: stored.write() });
        }
        stored
    }

    /// Forgets every answer to a target: something was changed there.
    pub(crate) fn remove(&self, target: Digest) {
        let mut inside = self.inside();
        for stored in inside.answers.get(&target).cloned().unwrap_or_default() {
            inside.drop_one(&stored);
        }
        inside.asked.insert(target);
        drop(inside);
        if let Some(shelf) = &self.shelf {
            shelf.remove(target);
        }
    }

    /// Answers in memory, and their bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        let inside = self.inside();
        (inside.n, inside.n_bytes)
    }
}

/// A shelf that takes longer is slower than the provider.
const SHELF_WITHIN: std::time::Duration = std::time::Duration::from_millis(250);
/// Targets that are remembered as asked for; beyond, the shelf is asked again.
const N_ASKED_MAX: usize = 100_000;

/// A secret for what does not outlive the process.
fn random() -> Digest {
    use ring::rand::SecureRandom as _;
    let mut secret = Digest::default();
    if ring::rand::SystemRandom::new().fill(&mut secret).is_err() {
        // Without it digests are still digests: nothing leaves this process.
        tracing::warn!("the system has no random numbers");
    }
    secret
}

impl Inside {
    fn find(&self, target: &Digest, asked: &Asked) -> Option<Arc<Stored>> {
        let found = self.answers.get(target)?.iter().find(|stored| stored.is_for(asked))?;
        found.was_used.store(true, Ordering::Relaxed);
        Some(Arc::clone(found))
    }

    fn put(&mut self, stored: Arc<Stored>, limits: &CacheLimits) {
        if stored.n_bytes() > limits.memory_bytes_max || limits.n_entries_max == 0 {
            return;
        }
        self.n += 1;
        self.n_bytes += stored.n_bytes();
        let variants = self.answers.entry(stored.target).or_default();
        variants.push(Arc::clone(&stored));
        let oldest = (variants.len() > N_VARIANTS_MAX).then(|| variants.first().cloned()).flatten();
        self.queue.push_back(stored);
        if let Some(oldest) = oldest {
            self.drop_one(&oldest);
        }
        self.make_room(limits);
        if self.asked.len() > N_ASKED_MAX {
            self.asked.clear();
        }
    }

    fn make_room(&mut self, limits: &CacheLimits) {
        // Each answer goes round at most once more, so this ends.
        let mut n_left = self.queue.len() * 2;
        while (self.n_bytes > limits.memory_bytes_max || self.n > limits.n_entries_max)
            && n_left > 0
        {
            n_left -= 1;
            let Some(oldest) = self.queue.pop_front() else { break };
            if oldest.is_dropped.load(Ordering::Relaxed) {
                continue;
            }
            if oldest.was_used.swap(false, Ordering::Relaxed) {
                self.queue.push_back(oldest);
            } else {
                // The shelf still has it.
                self.asked.remove(&oldest.target);
                self.drop_one(&oldest);
            }
        }
        if self.queue.len() > self.n * 2 + 64 {
            self.queue.retain(|stored| !stored.is_dropped.load(Ordering::Relaxed));
        }
    }

    fn drop_one(&mut self, stored: &Arc<Stored>) {
        if stored.is_dropped.swap(true, Ordering::Relaxed) {
            return;
        }
        self.n -= 1;
        self.n_bytes = self.n_bytes.saturating_sub(stored.n_bytes());
        if let Some(variants) = self.answers.get_mut(&stored.target) {
            variants.retain(|other| !Arc::ptr_eq(other, stored));
            if variants.is_empty() {
                self.answers.remove(&stored.target);
            }
        }
    }
}

#[cfg(test)]
mod tests;
