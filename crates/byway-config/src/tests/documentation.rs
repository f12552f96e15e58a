//! `docs/config.toml` is complete, and what it says is true.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use byway_core::settings::Settings;
use toml::de::{DeTable, DeValue};

use super::PEM;
use crate::{Environment, file, parse};

/// The documentation of the configuration.
pub(super) fn documented() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.toml");
    std::fs::read_to_string(path).unwrap()
}

/// The same with its examples made real.
pub(super) fn uncommented(text: &str) -> String {
    let is_example = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        let is_key = |b: u8| b.is_ascii_lowercase() || b == b'_';
        line.starts_with('[') || (line.contains(" = ") && key.bytes().all(is_key))
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(example) if is_example(example) => example,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every variable and every file exist.
struct Everything;

impl Environment for Everything {
    fn var(&self, _: &str) -> Option<String> {
        Some("secret".to_owned())
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(PEM.into())
    }
}

fn has(table: &DeTable<'_>, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let below = |value: &DeValue<'_>| {
        if rest.is_empty() {
            return true;
        }
        let of_array = value.as_array().into_iter().flat_map(|array| array.iter());
        let mut tables = of_array.map(AsRef::as_ref).chain([value]).filter_map(DeValue::as_table);
        tables.any(|table| has(table, rest))
    };
    table
        .iter()
        .any(|(key, value)| (*first == "NAME" || key.get_ref() == first) && below(value.get_ref()))
}

#[test]
fn the_documentation_is_complete_and_true() {
    let text = documented();
    let defaults = parse("docs/config.toml", &text, &Everything);
    let defaults = Settings { n_workers: 1, ..defaults.unwrap_or_else(|p| panic!("{p}")) };
    assert_eq!(format!("{defaults:#?}"), format!("{:#?}", Settings::default()));

    let examples = uncommented(&text);
    let mut known = BTreeSet::new();
    let all = file::parse("docs/config.toml", &examples, &Everything, &mut known);
    let all = all.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((all.listeners.len(), all.paths.len(), all.providers.len()), (3, 6, 1));
    let root = DeTable::parse(&examples).unwrap();
    for key in &known {
        // A provider's deadlines have the keys of `[deadlines]`.
        let own = key.strip_prefix("provider.NAME.").filter(|own| own.starts_with("deadlines."));
        let path: Vec<&str> = own.unwrap_or(key).split('.').collect();
        assert!(has(root.get_ref(), &path), "`{key}` is missing in docs/config.toml");
    }
    assert!(known.len() > 70, "{} keys", known.len());
}
