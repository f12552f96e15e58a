//! A table of the file while it is read: which keys it has, and which of them anybody knows.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::environment::Environment;
use crate::problem::Found;
use crate::suggest;

/// A value and where it stands.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// What is carried through the whole reading.
pub(crate) struct Reading<'e> {
    pub(crate) text: &'e str,
    pub(crate) environment: &'e dyn Environment,
    pub(crate) found: Vec<Found>,
    /// Every key that was asked for, as `section.key`.
    pub(crate) known: &'e mut BTreeSet<String>,
}

impl Reading<'_> {
    /// Notes a problem.
    pub(crate) fn problem(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.found.push(Found { span: Some(span), message: message.into(), hint: None });
    }

    /// Notes a problem and what to do about it.
    pub(crate) fn problem_with_hint(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.found.push(Found { span: Some(span), message: message.into(), hint: hint.into() });
    }

    /// The span of a part of a string value, or of the whole value if escapes hide where it is.
    pub(crate) fn part(&self, value: &Spanned<&str>, part: Range<usize>) -> Range<usize> {
        let span = value.span();
        let start = span.start + 1;
        let inner = self.text.get(start..span.end.saturating_sub(1));
        if inner == Some(value.get_ref()) { start + part.start..start + part.end } else { span }
    }
}

/// One table.
pub(crate) struct Section<'t> {
    /// Its name with `NAME` for what the operator chose: `provider.NAME.tls`.
    name: &'static str,
    /// Where its own name stands.
    pub(crate) span: Range<usize>,
    table: &'t DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub(crate) fn new(name: &'static str, span: Range<usize>, table: &'t DeTable<'t>) -> Self {
        Self { name, span, table, known: Vec::new() }
    }

    /// The value of a key, if the file has it.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The same with the place of the key.
    pub(crate) fn entry(&mut self, key: &'static str) -> Option<(Range<usize>, &'t Value<'t>)> {
        self.known.push(key);
        let (name, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((name.span(), value))
    }

    /// A table below this one.
    pub(crate) fn table(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        name: &'static str,
    ) -> Option<Self> {
        let (span, value) = self.entry(key)?;
        as_table(reading, value).map(|table| Self::new(name, span, table))
    }

    /// The tables below a table below this one, in the order of the file, under names that the
    /// operator chose.
    pub(crate) fn named_tables(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        name: &'static str,
    ) -> Vec<(Spanned<&'t str>, Self)> {
        let Some((_, value)) = self.entry(key) else { return Vec::new() };
        let Some(table) = as_table(reading, value) else { return Vec::new() };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut tables = Vec::new();
        for (key, value) in entries {
            if let Some(table) = as_table(reading, value) {
                let chosen = Spanned::new(key.span(), key.get_ref().as_ref());
                tables.push((chosen, Self::new(name, key.span(), table)));
            }
        }
        tables
    }

    /// Whether the file has a key, without making it known.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// Whether every key of the table is among these.
    pub(crate) fn has_only(&self, some: &[&str], others: &[&str]) -> bool {
        let is_known = |name: &str| some.contains(&name) || others.contains(&name);
        self.table.keys().all(|name| is_known(name.get_ref()))
    }

    /// The names of the tables below a key, right or wrong.
    pub(crate) fn names_below(&self, key: &str) -> Vec<String> {
        let found = self.table.iter().find(|(name, _)| name.get_ref() == key);
        let Some((_, value)) = found else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else { return Vec::new() };
        table.keys().map(|name| name.get_ref().to_string()).collect()
    }

    /// Whether a key has an empty array.
    pub(crate) fn has_empty_array(&self, key: &str) -> bool {
        self.table.iter().any(|(name, value)| {
            name.get_ref() == key
                && matches!(value.get_ref(), DeValue::Array(array) if array.is_empty())
        })
    }

    /// Reports every key that was never asked for.
    pub(crate) fn finish(self, reading: &mut Reading<'_>) {
        for key in &self.known {
            let section = self.name;
            let dot = if section.is_empty() { "" } else { "." };
            reading.known.insert(format!("{section}{dot}{key}"));
        }
        for name in self.table.keys() {
            let word: &str = name.get_ref();
            if !self.known.contains(&word) {
                let shown: String = word.chars().take(60).collect();
                let shown = shown.escape_debug();
                let message = match self.name {
                    "" => format!("unknown section `{shown}`"),
                    section => format!("unknown key `{shown}` in `{section}`"),
                };
                reading.problem_with_hint(name.span(), message, suggest::hint(word, &self.known));
            }
        }
    }
}

/// A value that must be a table.
pub(crate) fn as_table<'t>(
    reading: &mut Reading<'_>,
    value: &'t Value<'t>,
) -> Option<&'t DeTable<'t>> {
    if let DeValue::Table(table) = value.get_ref() {
        return Some(table);
    }
    wrong_type(reading, value, "a table");
    None
}

/// Reports a value of the wrong type.
pub(crate) fn wrong_type(reading: &mut Reading<'_>, value: &Value<'_>, expected: &str) {
    let got = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    reading.problem(value.span(), format!("expected {expected}, found {got}"));
}
