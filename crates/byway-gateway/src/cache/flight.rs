//! When a request asks the stored answers, and what they change for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use byway_core::classify::{Class, Outcome};
use byway_core::freshness::{self, RouteCache};
use byway_wire::Version;
use tokio::io::AsyncWriteExt as _;

use super::answer::Giving;
use super::{Asked, Digest, Stored, refresh};
use crate::caller::Caller;
use crate::finish::ours;
use crate::pipeline::{After, Ending, Flight};
use crate::record::Way;
use crate::witness::Caught;

/// What the stored answers know of a request.
#[derive(Debug)]
pub(crate) struct Remembered {
    rule: RouteCache,
    target: Digest,
    /// `None` for a method that changes things: then answers are only forgotten.
    asked: Option<Asked>,
    found: Option<Arc<Stored>>,
    /// How long the head was before our validators were added to it.
    plain_len: Option<usize>,
}

/// A stored answer on its way to the caller.
#[derive(Debug)]
pub(crate) struct Given {
    stored: Arc<Stored>,
    /// The status that the provider answered with, 0 without an answer; `None` if nobody asked.
    forwarded: Option<u16>,
    /// What it is given instead of.
    instead_of: Option<Outcome>,
}

impl Given {
    /// The outcome for the record.
    pub(crate) fn outcome(&self) -> Outcome {
        self.instead_of.unwrap_or_else(|| ours(Class::Ok))
    }

    /// Whether the provider had no part in it.
    pub(crate) const fn is_hit(&self) -> bool {
        self.forwarded.is_none() && self.instead_of.is_none()
    }

    /// What the record says.
    pub(crate) const fn code(&self) -> &'static str {
        if self.instead_of.is_some() { "copy_instead" } else { "copy" }
    }
}

impl Flight<'_> {
    /// Whether anything is stored where this request goes.
    pub(crate) fn is_stored(&self) -> bool {
        let rule = self.provider.route(self.route).map(|route| route.cache);
        rule.is_some_and(|rule| rule.cache || rule.stale_if_blocked.is_some())
    }

    /// Asks the stored answers; an ending if one of them is the answer.
    pub(crate) async fn remember(&mut self) -> Option<Ending> {
        let rule = self.provider.route(self.route)?.cache;
        let shared = Arc::clone(&self.worker.shared);
        let own = self.provider.base.as_ref().map(|base| &base.origin);
        let origin = self.request.origin.as_deref().or(own)?;
        if self.request.way == Way::Inside && !self.request.names(origin) {
            // What the provider answers to another name is not an answer of this one.
            return None;
        }
        let provider = self.provider.name.as_str();
        let target = shared.cache.target(provider, origin, self.request.target());
        let is_asking = matches!(self.request.method(), "GET" | "HEAD");
        if !is_asking || !self.request.has_no_body() {
            let changes = !self.request.is_safe();
            self.memory = changes.then(|| {
                let memory = Remembered { rule, target, asked: None, found: None, plain_len: None };
                Box::new(memory)
            });
            return None;
        }
        let is_head = self.request.shape.is_head;
        let asked = Asked::of(self.request.out.whole(), is_head, &shared.cache);
        let found = shared.cache.find(target, &asked).await;
        let now = self.worker.clock.now();
        let mut ending = None;
        let mut plain_len = None;
        if let Some(stored) = found.as_ref().filter(|_| rule.cache && !asked.is_special) {
            let meanwhile = stored.is_allowed_meanwhile(&asked, now);
            if stored.is_fresh(&asked, now) || meanwhile {
                if !stored.is_fresh(&asked, now) {
                    refresh::begin(self, Arc::clone(stored), asked.clone(), target);
                }
                let stored = Arc::clone(stored);
                ending = Some(Ending::Given(Given { stored, forwarded: None, instead_of: None }));
            } else if !asked.is_conditional() {
                plain_len = self.ask_conditionally(&stored.validators());
            }
        }
        let asked = Some(asked);
        self.memory = Some(Box::new(Remembered { rule, target, asked, found, plain_len }));
        ending
    }

    /// Adds field lines to the head, which then asks whether a stored answer is still right.
    fn ask_conditionally(&mut self, validators: &[u8]) -> Option<usize> {
        let out = self.request.out.vec();
        let plain_len = out.len().checked_sub(2).filter(|_| !validators.is_empty())?;
        out.truncate(plain_len);
        out.extend_from_slice(validators);
        out.extend_from_slice(b"\r\n");
        Some(plain_len)
    }

    /// Takes our own condition back: what is stored is not what the provider speaks of.
    pub(crate) fn ask_plainly(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.found = None;
            if let Some(plain_len) = memory.plain_len.take() {
                let out = self.request.out.vec();
                out.truncate(plain_len);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// How much of an answer is kept so that it can be stored.
    pub(crate) fn store_bytes_max(&self) -> usize {
        match self.memory.as_ref().map(|memory| &memory.asked) {
            // Of an answer to a change the head is looked at.
            Some(None) => 1,
            Some(Some(asked)) if !asked.is_special && !self.request.shape.is_head => {
                self.worker.shared.cache.entry_bytes_max()
            }
            Some(Some(_)) | None => 0,
        }
    }

    /// Whether the request asks if a stored answer is still right.
    pub(crate) fn is_confirming(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.plain_len.is_some())
    }

    /// Whether a stored answer may be given instead of a failure of this class.
    pub(crate) fn has_copy(&self, class: Class) -> bool {
        let Some(memory) = &self.memory else { return false };
        let (Some(stored), Some(asked)) = (&memory.found, &memory.asked) else { return false };
        let copy = stored.copy(asked, self.worker.clock.now());
        !asked.is_special && freshness::bridges(&memory.rule, &self.provider.on_block, class, copy)
    }

    /// The stored answer, to be given instead of a failure.
    pub(crate) fn copy_instead(&self, outcome: Outcome, status: Option<u16>) -> Option<Ending> {
        let stored = Arc::clone(self.memory.as_ref()?.found.as_ref()?);
        let asked_somebody = self.progress.n_attempts > 0;
        let forwarded = asked_somebody.then(|| status.unwrap_or(0));
        Some(Ending::Given(Given { stored, forwarded, instead_of: Some(outcome) }))
    }

    /// A 304 to our own condition: the stored answer, confirmed; `None` if it is about another one.
    pub(crate) fn confirmed(&mut self, caught: &Caught) -> Option<Ending> {
        let memory = self.memory.as_mut()?;
        let (stored, asked) = (memory.found.as_ref()?, memory.asked.as_ref()?);
        let cache = &self.worker.shared.cache;
        let now = self.worker.clock.now();
        let confirmed = stored.confirmed(&caught.head, cache, now)?;
        let stored = cache.put(confirmed, asked);
        self.worker.shared.metrics.copies_confirmed.fetch_add(1, Ordering::Relaxed);
        Some(Ending::Given(Given { stored, forwarded: Some(304), instead_of: None }))
    }

    /// Stores a delivered answer, or forgets what it supersedes.
    pub(crate) fn store(&self, caught: Option<&Caught>, outcome: &Outcome, status: u16) {
        let Some(memory) = &self.memory else { return };
        let cache = &self.worker.shared.cache;
        let Some(asked) = &memory.asked else {
            if (200..400).contains(&status) {
                self.forget(memory.target, caught);
            }
            return;
        };
        if outcome.class != Class::Ok || self.request.shape.is_head {
            return;
        }
        let Some(caught) = caught else { return };
        let is_forced = memory.rule.stale_if_blocked.is_some();
        let now = self.worker.clock.now();
        let stored = Stored::of(caught, asked, memory.target, cache, is_forced, now);
        match stored {
            Some(stored) => {
                cache.put(stored, asked);
            }
            // A whole new answer that may not be stored: the old one is history.
            None if memory.found.is_some() && status == 200 => cache.remove(memory.target),
            None => {}
        }
    }

    /// RFC 9111 §4.4: what changed a thing makes what is known of it void, and of what the answer
    /// names at the same origin.
    fn forget(&self, target: Digest, caught: Option<&Caught>) {
        let cache = &self.worker.shared.cache;
        cache.remove(target);
        let own = self.provider.base.as_ref().map(|base| &base.origin);
        let (Some(caught), Some(origin)) = (caught, self.request.origin.as_deref().or(own)) else {
            return;
        };
        let base = origin.to_string();
        for named in named_targets(&caught.head) {
            let target = named.strip_prefix(base.as_bytes()).unwrap_or(&named);
            if target.first() == Some(&b'/') {
                cache.remove(cache.target(self.provider.name.as_str(), origin, target));
            }
        }
    }

    /// Writes a stored answer to the caller.
    pub(crate) async fn give(&self, caller: &mut Caller, given: &Given) -> (u16, After) {
        let shape = &self.request.shape;
        let is_old_http = shape.version == Version::Http10;
        let close = !shape.keep_alive || self.worker.shared.is_draining();
        let asked = self.memory.as_ref().and_then(|memory| memory.asked.as_ref());
        // What stands in for a failure is given whole: its caller knows another state.
        let is_known = given.instead_of.is_none()
            && asked.is_some_and(|asked| given.stored.is_known_to(asked));
        let because = given.instead_of.map(|outcome| {
            let error = match outcome.class {
                Class::ConnectTimeout => Some("connection_timeout"),
                Class::ReadTimeout => Some("http_response_timeout"),
                Class::Reset => Some("connection_terminated"),
                Class::Refused => Some("connection_refused"),
                Class::Dns => Some("dns_error"),
                Class::Tls => Some("tls_protocol_error"),
                Class::RelayError => Some("destination_unavailable"),
                Class::OwnFault => Some("proxy_internal_error"),
                // There was an answer, or nobody was asked.
                Class::Ok
                | Class::ClientError
                | Class::Auth
                | Class::Denied
                | Class::RateLimited
                | Class::BlockedIp
                | Class::Challenge
                | Class::Outage
                | Class::Overload
                | Class::LocalLimit
                | Class::Contract
                | Class::Cancelled => None,
            };
            (error, outcome.class.as_str())
        });
        let giving = Giving {
            instance: &self.snapshot.settings.instance,
            forwarded: given.forwarded,
            because,
            is_head: shape.is_head,
            is_known,
            close,
            is_old_http,
            now: self.worker.clock.now(),
        };
        let mut bytes = Vec::with_capacity(given.stored.n_bytes());
        given.stored.give(&mut bytes, &giving);
        let write = async {
            caller.stream.write_all(&bytes).await?;
            caller.stream.flush().await
        };
        let within = self.provider.deadlines.idle_body;
        let is_sent = matches!(tokio::time::timeout(within, write).await, Ok(Ok(())));
        let metrics = &self.worker.shared.metrics;
        let counter =
            if given.instead_of.is_some() { &metrics.copies_instead } else { &metrics.copies };
        counter.fetch_add(1, Ordering::Relaxed);
        let status = if is_known { 304 } else { given.stored.status() };
        (status, if is_sent && !close { After::KeepOpen } else { After::Close })
    }
}

/// What `Location` and `Content-Location` name.
fn named_targets(head: &[u8]) -> Vec<Vec<u8>> {
    let lines = head.split(|&b| b == b'\n').skip(1);
    let named = lines.filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let is_it = ["location", "content-location"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        is_it.then(|| value.get(1..).unwrap_or_default().trim_ascii().to_vec())
    });
    named.collect()
}
