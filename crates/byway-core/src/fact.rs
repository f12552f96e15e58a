//! What happened, as rows: append-only, made by machines, with what is needed to check it later.
//!
//! Not here: what people think of it. A fact has a kind, the provider and path that it is about,
//! and named values; the store adds which instance recorded it and when.

use jiff::Timestamp;

use crate::classify::Signatures;
use crate::detect::Shown;
use crate::detour::Order;
use crate::diagnose::Verdict;
use crate::judge::Event;

/// A value of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
    /// An instant.
    Time(Timestamp),
    /// Several texts.
    List(Vec<String>),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// When it happened.
    pub at: Timestamp,
    /// What kind of thing: the vocabulary of `docs/facts.md`.
    pub kind: &'static str,
    /// The provider that it is about.
    pub provider: Option<String>,
    /// The path that it is about.
    pub path: Option<String>,
    /// What is to be known about it.
    pub fields: Vec<(&'static str, Value)>,
}

impl Fact {
    /// A fact about nothing in particular.
    pub const fn new(at: Timestamp, kind: &'static str) -> Self {
        Self { at, kind, provider: None, path: None, fields: Vec::new() }
    }

    /// About this provider.
    #[must_use]
    pub fn of_provider(mut self, provider: &str) -> Self {
        self.provider = Some(provider.to_owned());
        self
    }

    /// About this path.
    #[must_use]
    pub fn of_path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// With a text; an empty one is left out.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.fields.push((name, Value::Text(value)));
        }
        self
    }

    /// With a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: impl TryInto<i64>) -> Self {
        self.fields.push((name, Value::Number(value.try_into().unwrap_or(i64::MAX))));
        self
    }

    /// With an instant.
    #[must_use]
    pub fn time(mut self, name: &'static str, value: Timestamp) -> Self {
        self.fields.push((name, Value::Time(value)));
        self
    }

    /// With several texts.
    #[must_use]
    pub fn list(mut self, name: &'static str, value: Vec<String>) -> Self {
        self.fields.push((name, Value::List(value)));
        self
    }

    /// With what an attempt or probe showed.
    #[must_use]
    pub fn shown(self, shown: &Shown, signatures: &Signatures) -> Self {
        let outcome = &shown.outcome;
        let fact = self
            .text("class", outcome.class.as_str())
            .text("blame", outcome.origin.as_str())
            .text("confidence", outcome.confidence.as_str());
        let fact = match shown.status {
            Some(status) => fact.number("status", status),
            None => fact,
        };
        let fact = fact.text("code", shown.cause.map_or("", crate::cause::Cause::code));
        let edge = outcome.edge.map_or("", |edge| signatures.edge_name(edge));
        let says = outcome.signature.map_or("", |signature| signatures.says(signature));
        fact.text("edge", edge).text("says", says)
    }

    fn verdict(self, verdict: &Verdict, paths: &[String]) -> Self {
        let names = |indices: &[usize]| -> Vec<String> {
            indices.iter().filter_map(|&index| paths.get(index).cloned()).collect()
        };
        let fact = self
            .text("verdict", verdict.kind.as_str())
            .text("confidence", verdict.confidence.as_str())
            .text("class", verdict.class.map_or("", crate::classify::Class::as_str))
            .list("failing", names(&verdict.failing))
            .list("healthy", names(&verdict.healthy));
        let fact = match verdict.since {
            Some(since) => fact.time("since", since),
            None => fact,
        };
        let seen =
            paths.iter().zip(&verdict.seen).filter(|(_, seen)| seen.n_failed + seen.n_good > 0);
        let evidence = seen.map(|(path, seen)| {
            let all = seen.n_failed + seen.n_good;
            let what = seen.failure.map_or("", |failure| failure.outcome.class.as_str());
            match (seen.n_failed, seen.good_status) {
                (0, Some(status)) => format!("{path}: {status} on {}/{all}", seen.n_good),
                (0, None) => format!("{path}: ok on {}/{all}", seen.n_good),
                (n, _) => format!("{path}: {what} on {n}/{all}"),
            }
        });
        let fact = fact.list("evidence", evidence.collect());
        let open = verdict.open_test.map_or("", crate::diagnose::OpenTest::as_str);
        fact.text("open_test", open).text("sees", if verdict.only_tunnels { "tunnels" } else { "" })
    }

    /// What the judge of a provider noticed.
    pub fn of(event: &Event, provider: &str, paths: &[String], now: Timestamp) -> Self {
        let name = |index: usize| paths.get(index).map_or("", String::as_str);
        let fact = Self::new(now, event.name()).of_provider(provider);
        match event {
            Event::Moved { path, change } => fact
                .of_path(name(*path))
                .text("from", change.from.as_str())
                .text("to", change.to.as_str())
                .text("why", change.why.as_str()),
            Event::Gated { until, by_header } => {
                fact.time("until", *until).text("by", if *by_header { "provider" } else { "us" })
            }
            Event::Judged { verdict } => fact.verdict(verdict, paths),
            Event::DetourBegan { from, to, until } => fact
                .of_path(name(*to))
                .text("from", name(*from))
                .text("to", name(*to))
                .time("until", *until),
            Event::DetourMoved { from, to } => {
                fact.of_path(name(*to)).text("from", name(*from)).text("to", name(*to))
            }
            Event::DetourEnded { path, why } => fact.of_path(name(*path)).text("why", why.as_str()),
            Event::DetourRefused { why } => fact.text("why", why.as_str()),
            Event::Attributed { who } | Event::Recovered { who } => fact.text("who", who.as_str()),
            Event::Closed { standing } => fact
                .verdict(&standing.verdict, paths)
                .text("who", standing.attribution.as_str())
                .text("detoured", if standing.detoured { "yes" } else { "no" })
                .time("began", standing.since)
                .number("failed", standing.n_failed),
            Event::Ordered { order } => {
                let fact = fact.text("order", order.as_str());
                match order {
                    Order::None => fact,
                    Order::Stopped(said) | Order::Locked(said) => {
                        fact.text("by", &said.by).text("reason", &said.reason)
                    }
                }
            }
        }
    }
}
