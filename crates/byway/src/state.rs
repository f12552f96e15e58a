//! Where the gateway keeps what outlives it: facts, orders, stored answers.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use byway_core::detour::Order;
use byway_core::fact::Fact;
use byway_core::settings::Settings;
use byway_gateway::Copies;
use byway_gateway::admin::KeepOrder;
use byway_store::{Limits, Store, Writer};

use crate::shelf;

/// Facts that wait for the disk; more are counted and dropped.
const N_QUEUED_MAX: usize = 16_384;
/// How long the end of the process waits for the disk.
const FINISH_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// The store's file in the state folder.
const FILE: &str = "byway.db";

/// What is kept, while the gateway runs.
pub(crate) struct State {
    pub(crate) facts: Option<SyncSender<Fact>>,
    pub(crate) orders: Vec<(String, Order)>,
    pub(crate) keep_order: KeepOrder,
    pub(crate) copies: Option<Copies>,
    writer: Option<Writer>,
}

impl State {
    /// Opens the store; without one the gateway runs all the same, and says so.
    pub(crate) fn open(settings: &Settings) -> Self {
        if settings.state.is_off {
            return Self::none("nothing is kept: `[state] enabled = false`");
        }
        match Self::try_open(settings) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "facts and orders are not kept");
                Self::none("nothing can be kept; the log says why")
            }
        }
    }

    fn none(why: &'static str) -> Self {
        let keep_order: KeepOrder = Arc::new(move |_, _| Err(why.to_owned()));
        Self { facts: None, orders: Vec::new(), keep_order, copies: None, writer: None }
    }

    fn try_open(settings: &Settings) -> anyhow::Result<Self> {
        let dir = dir(settings)?;
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("cannot make `{}`", dir.display()))?;
        let file = dir.join(FILE);
        let open = || {
            Store::open(&file, &settings.instance)
                .with_context(|| format!("cannot open `{}`", file.display()))
        };
        let store = open()?;
        let orders = store.orders()?;
        let desk = Mutex::new(open()?);
        let keep_order: KeepOrder = Arc::new(move |provider, order| {
            let mut store = desk.lock().map_err(|_| "the store broke".to_owned())?;
            store.put_order(provider, order).map_err(|error| {
                format!("the order cannot be kept: {:#}", anyhow::Error::new(error))
            })
        });
        let limits = Limits {
            age_max: settings.state.facts.age_max,
            bytes_max: settings.state.facts.bytes_max as u64,
        };
        let (sender, receiver) = sync_channel(N_QUEUED_MAX);
        let writer = Writer::start(store, receiver, limits, wall)?;
        let copies = copies(settings, &dir);
        tracing::info!(store = %file.display(), "facts and orders are kept");
        Ok(Self { facts: Some(sender), orders, keep_order, copies, writer: Some(writer) })
    }

    /// Writes what is left, once nobody sends any more.
    pub(crate) fn finish(self) {
        drop(self.facts);
        if let Some(writer) = self.writer {
            writer.finish(FINISH_WITHIN);
        }
    }
}

/// The shelf of stored answers.
fn copies(settings: &Settings, dir: &std::path::Path) -> Option<Copies> {
    let bytes_max = settings.state.cache.disk_bytes_max as u64;
    let opened = (bytes_max > 0).then(|| shelf::open(dir, bytes_max, wall))?;
    let warn = |error: &anyhow::Error| {
        tracing::warn!(error = format!("{error:#}"), "stored answers do not outlive the process");
    };
    opened.inspect_err(warn).ok()
}

/// When a fact is recorded: the wall clock as it is, whatever it did since the start.
#[expect(clippy::disallowed_methods, reason = "recorded-at is the wall clock's word")]
pub(crate) fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The state folder: the configured one, systemd's, or the usual one of this user.
#[expect(clippy::disallowed_methods, reason = "the places that the environment names")]
pub(crate) fn dir(settings: &Settings) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &settings.state.dir {
        return Ok(dir.clone());
    }
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(dir) = var("STATE_DIRECTORY") {
        // systemd separates several by colons; the first is ours.
        return Ok(PathBuf::from(dir.split(':').next().unwrap_or_default()));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/byway"));
    }
    let home = var("XDG_STATE_HOME").map(PathBuf::from);
    let home = home.or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    Ok(home.context("neither XDG_STATE_HOME nor HOME is set; set `[state] dir`")?.join("byway"))
}

/// The store's file.
pub(crate) fn file(settings: &Settings) -> anyhow::Result<PathBuf> {
    Ok(dir(settings)?.join(FILE))
}

/// The host of Google's metadata server, where the environment names another than the usual one.
#[expect(clippy::disallowed_methods, reason = "the variable that Google's own tools read")]
pub(crate) fn metadata_host() -> Option<String> {
    std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty())
}
