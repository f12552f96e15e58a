//! Opens the locks of platforms: one thread fetches credentials and tokens before they are needed.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use byway_core::relay::Lock;
use byway_core::secret::Secret;
use byway_net::{Outer, PlatformLocks};

use crate::aws::{self, Signable};
use crate::google;

/// Renewed this long before they end: a request that is signed now arrives a moment later.
const BEFORE: Duration = Duration::from_secs(300);
/// What has no end is read again as often: files and variables change.
const AGAIN: Duration = Duration::from_secs(300);
/// After a failure.
const RETRY: Duration = Duration::from_secs(10);
/// How long a start waits for the first round.
const FIRST: Duration = Duration::from_secs(3);
/// Where Google's metadata server is, unless the environment says otherwise.
const METADATA: &str = "metadata.google.internal";

/// What opens one lock.
#[derive(Clone)]
enum Key {
    Aws(Credentials),
    Google(Secret),
}

/// What is known about one lock.
struct Known {
    lock: Lock,
    key: Result<Key, String>,
    due: SystemTime,
}

/// Opens the locks of platforms.
pub struct Locks {
    known: Arc<Mutex<Vec<Known>>>,
    wanted: SyncSender<Lock>,
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").finish_non_exhaustive()
    }
}

impl Locks {
    /// Begins to fetch what opens these, and waits a few seconds for the first round.
    ///
    /// `metadata` is the host of Google's metadata server, where the environment names one.
    ///
    /// # Errors
    /// The system's, if there is no thread.
    pub fn start(locks: &[Lock], metadata: Option<String>) -> std::io::Result<Self> {
        // A lock that finds the queue full asks again with the next request.
        let (wanted, asked) = sync_channel(16);
        let known: Arc<Mutex<Vec<Known>>> = Arc::default();
        let (done, first) = sync_channel(1);
        let (kept, begin) = (Arc::clone(&known), locks.to_vec());
        let metadata = metadata.unwrap_or_else(|| METADATA.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("byway-locks".to_owned()).spawn(move || {
            for lock in begin {
                runtime.block_on(renew(&kept, lock, &metadata));
            }
            let _waited_no_longer = done.send(());
            keep(&runtime, &kept, &asked, &metadata);
        })?;
        if locks.iter().any(|lock| *lock != Lock::Open) {
            let _late = first.recv_timeout(FIRST);
        }
        Ok(Self { known, wanted })
    }

    fn key(&self, lock: &Lock) -> Result<Key, String> {
        let known = locked(&self.known);
        if let Some(known) = known.iter().find(|known| known.lock == *lock) {
            return known.key.clone();
        }
        drop(known);
        let _full = self.wanted.try_send(lock.clone());
        Err("its credentials are being fetched".to_owned())
    }
}

fn locked(known: &Mutex<Vec<Known>>) -> MutexGuard<'_, Vec<Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until nobody can ask any more.
fn keep(
    runtime: &tokio::runtime::Runtime,
    known: &Mutex<Vec<Known>>,
    asked: &Receiver<Lock>,
    metadata: &str,
) {
    loop {
        let now = wall();
        let next = locked(known).iter().map(|known| known.due).min();
        let rest = next.map_or(AGAIN, |due| due.duration_since(now).unwrap_or_default());
        match asked.recv_timeout(rest.max(Duration::from_millis(100))) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(lock) => {
                let is_new = !locked(known).iter().any(|known| known.lock == lock);
                if is_new {
                    runtime.block_on(renew(known, lock, metadata));
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = wall();
                let due = |known: &Known| (known.due <= now).then(|| known.lock.clone());
                let all: Vec<Lock> = locked(known).iter().filter_map(due).collect();
                for lock in all {
                    runtime.block_on(renew(known, lock, metadata));
                }
            }
        }
    }
}

/// Fetches once. What still works is kept when its successor cannot be had.
async fn renew(known: &Mutex<Vec<Known>>, lock: Lock, metadata: &str) {
    let now = wall();
    let fetched = match &lock {
        Lock::Open => return,
        Lock::Aws { profile, .. } => aws::credentials(profile.as_deref())
            .await
            .map(|(credentials, until)| (Key::Aws(credentials), until)),
        Lock::Google { audience, key_file } => {
            google::token(audience, key_file.as_deref().map(Path::new), metadata, now)
                .await
                .map(|(token, until)| (Key::Google(token), Some(until)))
        }
    };
    let (key, due) = match fetched {
        Ok((key, until)) => {
            let due = until.and_then(|until| until.checked_sub(BEFORE)).unwrap_or(now + AGAIN);
            (Ok(key), due.max(now + RETRY))
        }
        Err(why) => (Err(why), now + RETRY),
    };
    let mut known = locked(known);
    match known.iter_mut().find(|known| known.lock == lock) {
        Some(old) => {
            if key.is_ok() || old.key.is_err() {
                old.key = key;
            }
            old.due = due;
        }
        None => known.push(Known { lock, key, due }),
    }
}

impl PlatformLocks for Locks {
    fn open(&self, lock: &Lock, outer: &Outer<'_>) -> Result<Vec<(String, String)>, String> {
        let (region, service) = match lock {
            Lock::Open => return Ok(Vec::new()),
            Lock::Aws { region, service, .. } => (region.as_str(), *service),
            Lock::Google { .. } => ("", ""),
        };
        match self.key(lock)? {
            Key::Google(token) => {
                let token = String::from_utf8_lossy(token.reveal()).into_owned();
                Ok(vec![("Authorization".to_owned(), format!("Bearer {}", token.trim()))])
            }
            Key::Aws(credentials) => {
                let uri = format!("https://{}{}", outer.authority, outer.target);
                let fields = [("host", outer.authority), ("content-type", outer.content_type)];
                let body = outer.body;
                let signable =
                    Signable { method: "POST", uri: &uri, fields: &fields, body, region, service };
                aws::fields(&signable, &credentials, wall())
            }
        }
    }
}

/// Credentials end, and signatures are dated, by the wall clock.
#[expect(clippy::disallowed_methods, reason = "compared with what platforms say")]
fn wall() -> SystemTime {
    SystemTime::now()
}
