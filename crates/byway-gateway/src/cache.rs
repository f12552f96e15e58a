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
use byway_core::route::Origin;
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
    inside: Arc<Mutex<Inside>>,
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
    /// Those of them that it has not answered yet, and that nothing was learnt about since.
    asking: HashSet<Digest>,
}

impl Cache {
    /// An empty memory before what is kept.
    pub(crate) fn new(limits: CacheLimits, copies: Option<Copies>) -> Self {
        let secret = copies.as_ref().map_or_else(random, |copies| copies.secret);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            shelf: copies.map(|copies| copies.shelf),
            limits,
            inside: Arc::default(),
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

    /// What answers to a target are found by.
    pub(crate) fn target(&self, provider: &str, origin: &Origin, target: &[u8]) -> Digest {
        let (scheme, authority) = (origin.scheme.as_str(), origin.authority());
        self.digest(&[provider.as_bytes(), scheme.as_bytes(), authority.as_bytes(), target])
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
        if !shelf.may_have(&target) || !self.inside().begin_asking(target) {
            return None;
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (asking, limits) = (Asking { inside: Arc::clone(&self.inside), target }, self.limits);
        shelf.find(
            target,
            Box::new(move |kept| {
                let _nobody_waits = sender.send(asking.told(&kept, &limits));
            }),
        );
        // What comes too late for this request is there for the next one.
        let kept = tokio::time::timeout(SHELF_WITHIN, receiver).await.ok()?.ok()?;
        kept.into_iter().filter(|stored| stored.is_for(asked)).max_by_key(|stored| stored.at)
    }

    /// Stores an answer, in place of those that it supersedes.
    pub(crate) fn put(&self, stored: Stored, asked: &Asked) -> Arc<Stored> {
        let stored = Arc::new(stored);
        let mut inside = self.inside();
        inside.asking.remove(&stored.target);
        for same in inside.all(&stored.target) {
            if same.is_for(asked) {
                inside.drop_one(&same);
            }
        }
        let is_in_memory = inside.put(Arc::clone(&stored), &self.limits);
        inside.note_asked(stored.target, is_in_memory);
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
        for stored in inside.all(&target) {
            inside.drop_one(&stored);
        }
        // What the shelf is about to tell is void as well.
        inside.asking.remove(&target);
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

/// A question to the shelf. Dropped unanswered, it may be asked again.
struct Asking {
    inside: Arc<Mutex<Inside>>,
    target: Digest,
}

impl Asking {
    /// Takes what the shelf has into memory, unless something was learnt meanwhile.
    fn told(&self, kept: &[KeptAnswer], limits: &CacheLimits) -> Vec<Arc<Stored>> {
        let read = |kept: &KeptAnswer| Stored::read(self.target, kept.variant, &kept.bytes);
        let mut read: Vec<_> = kept.iter().filter_map(read).map(Arc::new).collect();
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if !inside.asking.remove(&self.target) {
            return Vec::new();
        }
        // What is in memory is newer.
        let known = inside.all(&self.target);
        read.retain(|stored| known.iter().all(|known| known.variant != stored.variant));
        let mut is_in_memory = true;
        for stored in &read {
            is_in_memory &= inside.put(Arc::clone(stored), limits);
        }
        inside.note_asked(self.target, is_in_memory);
        read
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.asking.remove(&self.target) {
            inside.asked.remove(&self.target);
        }
    }
}

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
        let all = self.answers.get(target)?.iter().filter(|stored| stored.is_for(asked));
        // An author may change its mind on what an answer depends on: the last word counts.
        let found = all.max_by_key(|stored| stored.at)?;
        found.was_used.store(true, Ordering::Relaxed);
        Some(Arc::clone(found))
    }

    fn all(&self, target: &Digest) -> Vec<Arc<Stored>> {
        self.answers.get(target).cloned().unwrap_or_default()
    }

    /// Whether nobody has asked the shelf for this target.
    fn begin_asking(&mut self, target: Digest) -> bool {
        let is_first = !self.asked.contains(&target);
        if is_first {
            self.note_asked(target, true);
            self.asking.insert(target);
        }
        is_first
    }

    /// Notes whether it makes sense to ask the shelf for a target again.
    fn note_asked(&mut self, target: Digest, is_in_memory: bool) {
        if self.asked.len() >= N_ASKED_MAX {
            self.asked.clear();
        }
        if is_in_memory {
            self.asked.insert(target);
        } else {
            self.asked.remove(&target);
        }
    }

    /// False if there is no room for it.
    fn put(&mut self, stored: Arc<Stored>, limits: &CacheLimits) -> bool {
        if stored.n_bytes() > limits.memory_bytes_max || limits.n_entries_max == 0 {
            return false;
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
        true
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
