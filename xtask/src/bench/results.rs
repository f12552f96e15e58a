//! What a run found, and the ratios in it.

use super::{
    load::Sample,
    peers::Peer,
    relay::Relayed,
    stats::{self, Spread},
    syscalls::Syscalls,
    workload::Workload,
};
use crate::ui::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Date, machine, versions: what and its value.
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) tables: Vec<Table>,
    pub(crate) memory: Vec<(Peer, Outcome<Memory>)>,
    pub(crate) syscalls: Vec<(Peer, Outcome<Syscalls>)>,
    pub(crate) relay: Option<Outcome<Relayed>>,
    /// Peers that are not there, and how to get them.
    pub(crate) missing: Vec<(Peer, String)>,
    /// Workloads that this machine cannot run, and why.
    pub(crate) skipped: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) workload: &'static Workload,
    /// The samples of all rounds, or why there are none.
    pub(crate) rows: Vec<(Peer, Outcome<Vec<Sample>>)>,
}

/// Resident KiB of a proxy with so many idle connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    pub(crate) none: u64,
    pub(crate) thousand: u64,
    pub(crate) five_thousand: u64,
}

impl Memory {
    pub(crate) fn per_connection(self) -> f64 {
        (self.five_thousand as f64 - self.none as f64) / 5000.0
    }

    pub(crate) fn per_connection_at_thousand(self) -> f64 {
        (self.thousand as f64 - self.none as f64) / 1000.0
    }
}

impl Table {
    fn us(&self, peer: Peer) -> Option<Vec<f64>> {
        let (_, samples) = self.rows.iter().find(|(other, _)| *other == peer)?;
        let samples = samples.as_ref().ok()?;
        Some(samples.iter().map(|sample| sample.us).collect())
    }

    pub(crate) fn spread(&self, peer: Peer) -> Option<Spread> {
        stats::spread(&self.us(peer)?)
    }

    pub(crate) fn per_second(&self, peer: Peer) -> Option<f64> {
        let (_, samples) = self.rows.iter().find(|(other, _)| *other == peer)?;
        let rates: Vec<f64> = samples.as_ref().ok()?.iter().map(|s| s.per_second).collect();
        stats::median(&rates)
    }

    pub(crate) fn ratio(&self, ours: Peer, theirs: Peer) -> Option<Spread> {
        stats::ratio(&self.us(ours)?, &self.us(theirs)?)
    }

    /// Of nginx and HAProxy, the one that took less.
    pub(crate) fn better(&self) -> Option<Peer> {
        let median = |peer| self.spread(peer).map(|spread| (peer, spread.median));
        let both = [median(Peer::Nginx), median(Peer::Haproxy)];
        both.into_iter().flatten().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(peer, _)| peer)
    }
}

impl Results {
    pub(crate) fn table(&self, key: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.workload.key == key)
    }

    /// Everything that went wrong; a run with any of this is a failed run.
    pub(crate) fn failures(&self) -> Vec<String> {
        let rows = self.tables.iter().flat_map(|table| {
            let key = table.workload.key;
            let failed = |(_, row): &(Peer, Outcome<Vec<Sample>>)| row.as_ref().err().cloned();
            table.rows.iter().filter_map(failed).map(move |why| format!("{key}: {why}"))
        });
        let memory = self.memory.iter().filter_map(|(_, row)| row.as_ref().err());
        let memory = memory.map(|why| format!("memory: {why}"));
        let syscalls = self.syscalls.iter().filter_map(|(_, row)| row.as_ref().err());
        let syscalls = syscalls.map(|why| format!("syscalls: {why}"));
        let relay = self.relay.iter().filter_map(|row| row.as_ref().err());
        let relay = relay.map(|why| format!("relay: {why}"));
        rows.chain(memory).chain(syscalls).chain(relay).collect()
    }
}
