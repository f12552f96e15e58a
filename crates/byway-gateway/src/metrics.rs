//! Counters, one set a worker and label set, merged when scraped.
//!
//! Labels come from the configuration and from closed enums only: never a host, a URL or a caller.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use byway_core::cause::Cause;
use byway_core::classify::Class;
use byway_core::id::{PathName, ProviderName};
use byway_wire::Refusal;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Upper bounds of the latency buckets, in seconds: from a loopback neighbour to a hanging API.
pub(crate) const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

const N_CLASSES: usize = Class::ALL.len();

/// The counters of one provider over one path.
///
/// Each worker has its own, so that counting never moves a cache line between cores.
#[derive(Debug)]
pub(crate) struct PathMetrics {
    shards: Box<[Shard]>,
}

/// One worker's part.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    requests: [AtomicU64; N_CLASSES],
    attempts_failed: AtomicU64,
    connections: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl PathMetrics {
    fn new(n_workers: usize) -> Self {
        Self { shards: (0..n_workers.max(1)).map(|_| Shard::default()).collect() }
    }

    /// One worker's counters.
    pub(crate) fn of(&self, worker: usize) -> &Shard {
        static NONE: std::sync::OnceLock<Shard> = std::sync::OnceLock::new();
        let shard = self.shards.get(worker).or_else(|| self.shards.first());
        shard.unwrap_or_else(|| NONE.get_or_init(Shard::default))
    }

    fn sum(&self, counter: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|shard| counter(shard).load(Ordering::Relaxed)).sum()
    }

    fn requests(&self, class: Class) -> u64 {
        let of = |shard: &Shard| {
            shard.requests.get(class as usize).map_or(0, |n| n.load(Ordering::Relaxed))
        };
        self.shards.iter().map(of).sum()
    }

    fn bucket(&self, index: usize) -> u64 {
        let of = |shard: &Shard| shard.buckets.get(index).map_or(0, |n| n.load(Ordering::Relaxed));
        self.shards.iter().map(of).sum()
    }
}

impl Shard {
    /// Counts a finished request.
    pub(crate) fn request(&self, class: Class, took: Duration, bytes_up: u64, bytes_down: u64) {
        if let Some(counter) = self.requests.get(class as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes_up.fetch_add(bytes_up, Ordering::Relaxed);
        self.bytes_down.fetch_add(bytes_down, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|&le| seconds <= le).unwrap_or(BUCKETS.len());
        if let Some(counter) = self.buckets.get(bucket) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts an attempt that was followed by another.
    pub(crate) fn attempt_failed(&self) {
        self.attempts_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection made.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    n_workers: usize,
    paths: Mutex<BTreeMap<(ProviderName, PathName), Arc<PathMetrics>>>,
    refusals: [AtomicU64; Refusal::ALL.len()],
    causes: [AtomicU64; Cause::ALL.len()],
    pub(crate) connections_open: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) reloads: AtomicU64,
    pub(crate) reloads_failed: AtomicU64,
    pub(crate) log_lines_dropped: AtomicU64,
    pub(crate) spans_dropped: AtomicU64,
    pub(crate) facts: AtomicU64,
    pub(crate) facts_dropped: AtomicU64,
    pub(crate) probes: AtomicU64,
    pub(crate) copies: AtomicU64,
    pub(crate) copies_confirmed: AtomicU64,
    pub(crate) copies_instead: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) panics: AtomicU64,
}

impl Metrics {
    /// Counters for this many workers.
    pub(crate) fn new(n_workers: usize) -> Self {
        Self {
            n_workers,
            paths: Mutex::default(),
            refusals: [const { AtomicU64::new(0) }; Refusal::ALL.len()],
            causes: [const { AtomicU64::new(0) }; Cause::ALL.len()],
            connections_open: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            reloads_failed: AtomicU64::new(0),
            log_lines_dropped: AtomicU64::new(0),
            spans_dropped: AtomicU64::new(0),
            facts: AtomicU64::new(0),
            facts_dropped: AtomicU64::new(0),
            copies: AtomicU64::new(0),
            copies_confirmed: AtomicU64::new(0),
            copies_instead: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// The counters of one label set; the same ones after a reload.
    pub(crate) fn path(&self, provider: &ProviderName, path: &PathName) -> Arc<PathMetrics> {
        let mut paths = self.paths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = || Arc::new(PathMetrics::new(self.n_workers));
        Arc::clone(paths.entry((provider.clone(), path.clone())).or_insert_with(new))
    }

    /// Counts a message refused for its bytes.
    pub(crate) fn refused(&self, refusal: Refusal) {
        if let Some(counter) = self.refusals.get(refusal as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer that the gateway made itself.
    pub(crate) fn answered_with(&self, cause: Cause) {
        if let Some(counter) = self.causes.get(cause as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests so far, by provider, path and class.
    pub(crate) fn requests_by_class(&self) -> Vec<((ProviderName, PathName), Class, u64)> {
        let paths = self.snapshot();
        let each = paths.iter().flat_map(|(key, path)| {
            Class::ALL.into_iter().map(move |class| (key.clone(), class, path.requests(class)))
        });
        each.filter(|(.., n)| *n > 0).collect()
    }

    fn snapshot(&self) -> Vec<((ProviderName, PathName), Arc<PathMetrics>)> {
        let paths = self.paths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paths.iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect()
    }
}

/// Makes OpenMetrics out of [`Metrics`].
#[derive(Debug)]
pub(crate) struct Exposition(pub(crate) Arc<Metrics>);

type Labels<'a> = Vec<(&'a str, &'a str)>;

impl Exposition {
    fn counters<'a>(
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        rows: impl Iterator<Item = (Labels<'a>, u64)>,
    ) -> std::fmt::Result {
        let rows: Vec<_> = rows.collect();
        let kind = prometheus_client::metrics::MetricType::Counter;
        let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in rows {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: u64,
    ) -> std::fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }

    fn paths(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let paths = self.0.snapshot();
        let labels = |key: &'_ (ProviderName, PathName)| {
            vec![("provider", key.0.as_str().to_owned()), ("path", key.1.as_str().to_owned())]
        };
        let requests = paths.iter().flat_map(|(key, path)| {
            Class::ALL.iter().filter_map(move |&class| {
                let n = path.requests(class);
                let labels = vec![
                    ("provider", key.0.as_str()),
                    ("path", key.1.as_str()),
                    ("class", class.as_str()),
                ];
                (n > 0).then_some((labels, n))
            })
        });
        Self::counters(encoder, "requests", "Requests, by how they ended", None, requests)?;
        type Field = fn(&Shard) -> &AtomicU64;
        let fields: [(&str, &str, Option<Unit>, Field); 4] = [
            ("attempts_failed", "Attempts that were followed by another", None, |s| {
                &s.attempts_failed
            }),
            ("provider_connections", "Connections made to providers", None, |s| &s.connections),
            ("sent", "Bytes sent to providers", Some(Unit::Bytes), |s| &s.bytes_up),
            ("received", "Bytes delivered to callers", Some(Unit::Bytes), |s| &s.bytes_down),
        ];
        for (name, help, unit, field) in fields {
            let rows = paths.iter().map(|(key, path)| {
                let labels = vec![("provider", key.0.as_str()), ("path", key.1.as_str())];
                (labels, path.sum(field))
            });
            Self::counters(encoder, name, help, unit.as_ref(), rows)?;
        }
        let kind = prometheus_client::metrics::MetricType::Histogram;
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(
            "request_duration",
            "Time until a request was over",
            unit,
            kind,
        )?;
        for (key, path) in &paths {
            let buckets: Vec<(f64, u64)> = BUCKETS
                .iter()
                .copied()
                .chain([f64::INFINITY])
                .zip((0..=BUCKETS.len()).map(|index| path.bucket(index)))
                .collect();
            let count = buckets.iter().map(|&(_, n)| n).sum();
            #[expect(clippy::cast_precision_loss, reason = "a sum of seconds needs no 64 bits")]
            let sum = path.sum(|s| &s.micros) as f64 / 1e6;
            family
                .encode_family(&labels(key))?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let metrics = &self.0;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.paths(&mut encoder)?;
        let refusals = Refusal::ALL.iter().zip(&metrics.refusals);
        let rows = refusals.map(|(refusal, n)| (vec![("code", refusal.code())], load(n)));
        let help = "Requests refused for their bytes";
        Self::counters(&mut encoder, "refusals", help, None, rows)?;
        let causes = Cause::ALL.iter().zip(&metrics.causes);
        let rows = causes.map(|(cause, n)| (vec![("code", cause.code())], load(n)));
        let help = "Answers that the gateway made itself";
        Self::counters(&mut encoder, "own_answers", help, None, rows)?;
        for (name, help, counter) in [
            ("caller_connections", "Connections of callers", &metrics.connections),
            ("reloads", "Configurations taken into use", &metrics.reloads),
            ("reloads_failed", "Configurations that were not taken", &metrics.reloads_failed),
            ("log_lines_dropped", "Log lines that found no room", &metrics.log_lines_dropped),
            ("spans_dropped", "Spans that found no room", &metrics.spans_dropped),
            ("facts", "Facts passed on to be kept", &metrics.facts),
            ("facts_dropped", "Facts that found no room", &metrics.facts_dropped),
            ("probes", "Requests that the gateway made by itself", &metrics.probes),
            ("copies", "Stored answers given", &metrics.copies),
            (
                "copies_confirmed",
                "Stored answers that the provider confirmed",
                &metrics.copies_confirmed,
            ),
            (
                "copies_instead",
                "Stored answers given instead of a failure",
                &metrics.copies_instead,
            ),
            ("accept_errors", "Connections that could not be accepted", &metrics.accept_errors),
            ("panics", "Faults caught at a connection's edge", &metrics.panics),
        ] {
            let row = std::iter::once((Vec::new(), load(counter)));
            Self::counters(&mut encoder, name, help, None, row)?;
        }
        let open = load(&metrics.connections_open);
        Self::gauge(&mut encoder, "caller_connections_open", "Open connections of callers", open)
    }
}

/// The whole exposition in OpenMetrics text.
pub(crate) fn render(metrics: &Arc<Metrics>) -> String {
    let mut registry = prometheus_client::registry::Registry::with_prefix("byway");
    registry.register_collector(Box::new(Exposition(Arc::clone(metrics))));
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
        // Writing to a string cannot fail; a half exposition must not look whole.
        text.clear();
        let _ok = writeln!(text, "# EOF");
    }
    text
}

#[cfg(test)]
mod tests;
