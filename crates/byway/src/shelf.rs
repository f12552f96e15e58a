//! Stored answers between the gateway and the disk: one thread, a bounded queue.

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use byway_gateway::{Copies, Digest, KeptAnswer, Shelf};
use byway_store::CopyStore;
use jiff::Timestamp;

/// Answers that wait for the disk; more are not kept.
const N_QUEUED_MAX: usize = 1024;
/// Answers between two looks at the size.
const N_PUTS_PER_RETAIN: u32 = 256;

/// What is asked of the thread.
enum Errand {
    Put(KeptAnswer),
    Remove(Digest),
    Find(Digest, Box<dyn FnOnce(Vec<KeptAnswer>) + Send>),
}

/// The shelf.
#[derive(Debug)]
struct Disk {
    errands: SyncSender<Errand>,
    known: Arc<Known>,
}

/// What is known without asking the thread.
#[derive(Debug, Default)]
struct Known {
    targets: Mutex<HashSet<Digest>>,
    /// What found no room in the queue: forgetting must not be forgotten.
    to_forget: Mutex<Vec<Digest>>,
}

impl Known {
    fn targets(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_forget(&self) -> MutexGuard<'_, Vec<Digest>> {
        self.to_forget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Disk {
    fn put(&self, kept: KeptAnswer) {
        let target = kept.target;
        if self.errands.try_send(Errand::Put(kept)).is_ok() {
            self.known.targets().insert(target);
        }
    }

    fn remove(&self, target: Digest) {
        // What is not known is not there.
        if self.known.targets().remove(&target)
            && self.errands.try_send(Errand::Remove(target)).is_err()
        {
            self.known.to_forget().push(target);
        }
    }

    fn may_have(&self, target: &Digest) -> bool {
        self.known.targets().contains(target)
    }

    fn find(&self, target: Digest, tell: Box<dyn FnOnce(Vec<KeptAnswer>) + Send>) {
        // Without room nobody is told: whoever asked goes on without an answer.
        let _full = self.errands.try_send(Errand::Find(target, tell));
    }
}

/// Opens the shelf in the state folder.
///
/// # Errors
/// If its file or its key cannot be used.
pub(crate) fn open(dir: &Path, bytes_max: u64, now: fn() -> Timestamp) -> anyhow::Result<Copies> {
    let file = dir.join("copies.db");
    let store =
        CopyStore::open(&file).with_context(|| format!("cannot open `{}`", file.display()))?;
    let secret = secret(&dir.join("copies.key"))?;
    let targets: HashSet<Digest> = store.targets()?.into_iter().collect();
    let known = Arc::new(Known { targets: Mutex::new(targets), ..Known::default() });
    let (errands, received) = sync_channel(N_QUEUED_MAX);
    let of_thread = Arc::clone(&known);
    std::thread::Builder::new()
        .name("byway-copies".to_owned())
        .spawn(move || run(store, &received, bytes_max, &of_thread, now))?;
    Ok(Copies { shelf: Arc::new(Disk { errands, known }), secret })
}

/// The key that digests are made with: 32 random bytes that only we can read.
fn secret(file: &Path) -> anyhow::Result<Digest> {
    if let Ok(bytes) = std::fs::read(file)
        && let Ok(secret) = Digest::try_from(bytes)
    {
        return Ok(secret);
    }
    let mut secret = Digest::default();
    let mut random = std::fs::File::open("/dev/urandom").context("no random numbers")?;
    std::io::Read::read_exact(&mut random, &mut secret).context("no random numbers")?;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| file.write_all(&secret));
    written.with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(secret)
}

fn run(
    mut store: CopyStore,
    errands: &Receiver<Errand>,
    bytes_max: u64,
    known: &Known,
    now: fn() -> Timestamp,
) {
    let mut n_puts = 0;
    // A full disk fails every time; it is said once, until it works again.
    let mut is_failing = false;
    while let Ok(errand) = errands.recv() {
        forget(&mut store, known);
        let is_put = matches!(errand, Errand::Put(_));
        let done = match errand {
            Errand::Put(KeptAnswer { target, variant, bytes }) => {
                n_puts += 1;
                store.put_copy(&target, &variant, &bytes, now())
            }
            Errand::Remove(target) => {
                known.to_forget().push(target);
                forget(&mut store, known);
                Ok(())
            }
            Errand::Find(target, tell) => {
                let found = store.copies(&target).map(|found| {
                    let kept = |(variant, bytes)| KeptAnswer { target, variant, bytes };
                    found.into_iter().map(kept).collect::<Vec<_>>()
                });
                found.map(tell)
            }
        };
        let retained = if n_puts >= N_PUTS_PER_RETAIN {
            n_puts = 0;
            retain(&mut store, bytes_max, known)
        } else {
            Ok(())
        };
        let done = done.and(retained);
        // That something can be read does not say that something can be written.
        if done.is_ok() && !is_put {
            continue;
        }
        let was_failing = std::mem::replace(&mut is_failing, done.is_err());
        match done {
            Err(error) if !was_failing => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(error, "stored answers are not kept");
            }
            Ok(()) if was_failing => tracing::info!("stored answers are kept again"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// Forgets what has to be forgotten; what cannot be now is before the next errand.
fn forget(store: &mut CopyStore, known: &Known) {
    let mut targets = std::mem::take(&mut *known.to_forget());
    while let Some(target) = targets.pop() {
        if let Err(error) = store.remove_copies(&target) {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(error, "stored answers are not forgotten yet");
            targets.push(target);
            known.to_forget().append(&mut targets);
        }
    }
}

fn retain(
    store: &mut CopyStore,
    bytes_max: u64,
    known: &Known,
) -> Result<(), byway_store::StoreError> {
    let before = store.targets()?;
    if store.retain_copies(bytes_max)? {
        let left: HashSet<Digest> = store.targets()?.into_iter().collect();
        let mut known = known.targets();
        // Not what waits in the queue: it must be found, and can be forgotten.
        before.iter().filter(|target| !left.contains(*target)).for_each(|gone| {
            known.remove(gone);
        });
    }
    Ok(())
}
