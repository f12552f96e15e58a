//! Checks of manifests: which crate may depend on which, and that no crate loosens the bans.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// The edges between our crates. A new edge is a decision: it changes this table, and shows in review.
/// `core` knows nobody; the gateway knows neither store nor desk nor config; only the binary knows
/// config, and wires everything; the relay is small because it knows the wire and the net only.
const EDGES: &[(&str, &[&str])] = &[
    ("byway-core", &[]),
    ("byway-wire", &["byway-core"]),
    ("byway-net", &["byway-core", "byway-wire"]),
    ("byway-config", &["byway-core", "byway-net"]),
    ("byway-cloud", &["byway-core", "byway-net"]),
    ("byway-gateway", &["byway-core", "byway-net", "byway-wire"]),
    ("byway-store", &["byway-core"]),
    ("byway-desk", &["byway-core", "byway-store"]),
    ("byway-console", &["byway-core", "byway-desk", "byway-store"]),
    ("byway-drill", &["byway-core", "byway-net", "byway-wire"]),
    ("byway-relay", &["byway-core", "byway-net", "byway-wire"]),
    ("byway-sim", &["byway-core"]),
    ("byway-testkit", &["byway-core", "byway-wire"]),
    ("byway-bench", &["byway-core", "byway-wire"]),
    ("byway-e2e", &["byway-core", "byway-drill", "byway-testkit", "byway-wire"]),
    (
        "byway",
        &[
            "byway-cloud",
            "byway-config",
            "byway-console",
            "byway-core",
            "byway-desk",
            "byway-drill",
            "byway-gateway",
            "byway-net",
            "byway-relay",
            "byway-store",
            "byway-wire",
        ],
    ),
    ("xtask", &[]),
];
/// What tests of any crate but those that these stand on may use as well.
const FOR_TESTS: &[&str] = &["byway-sim", "byway-testkit"];

/// A dependency on one of our crates.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    line: usize,
    to: String,
    for_tests: bool,
}

pub(super) fn edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let Some(name) = package(text) else { continue };
        if path.starts_with("fuzz/") {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == name) else {
            let what = format!(
                "`{name}` is not in the table of edges (xtask/src/tidy/crates.rs); \
                                add it with what it may depend on"
            );
            findings.push(Finding::new(path, 1, what));
            continue;
        };
        for Edge { line, to, for_tests } in dependencies(text) {
            let to = to.as_str();
            let listed = allowed.contains(&to) || (for_tests && FOR_TESTS.contains(&to));
            if !listed {
                let what = format!(
                    "{name} must not depend on {to}; move the code to where both \
                                    may see it, or decide on a new edge in xtask/src/tidy/crates.rs"
                );
                findings.push(Finding::new(path, line, what));
            }
        }
    }
    findings
}

fn package(manifest: &str) -> Option<String> {
    let (_, after) = manifest.split_once("[package]")?;
    let line = after.lines().find(|line| line.trim_start().starts_with("name"))?;
    line.split('"').nth(1).map(str::to_owned)
}

/// The dependencies on our own crates, in whatever form they are written.
fn dependencies(manifest: &str) -> Vec<Edge> {
    let (mut found, mut section) = (Vec::new(), String::new());
    for (n, line) in manifest.lines().enumerate() {
        let line = line.trim();
        let mut key = None;
        if let Some(head) = line.strip_prefix('[') {
            section = head.trim_end_matches(']').to_owned();
            // `[dependencies.byway-core]`
            key = section.rsplit_once("dependencies.").map(|(_, name)| name.to_owned());
        } else if section.ends_with("dependencies") {
            key = line.split(['.', '=', ' ']).next().map(str::to_owned);
        }
        let Some(to) = key.filter(|key| key.starts_with("byway")) else { continue };
        found.push(Edge { line: n + 1, to, for_tests: section.contains("dev-dependencies") });
    }
    found
}

/// A crate's own clippy.toml replaces the root's, so it has to repeat all of it.
pub(super) fn bans(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.get("clippy.toml") else { return Vec::new() };
    let wanted = settings(root);
    let mut findings = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with("/clippy.toml")) {
        let found = settings(text);
        for missing in wanted.difference(&found) {
            let what = format!(
                "`{missing}` of the root's clippy.toml is missing; a crate's file \
                                replaces the root's, so repeat it"
            );
            findings.push(Finding::new(path, 1, what));
        }
    }
    findings
}

/// Banned paths, and settings of one line as written.
fn settings(text: &str) -> BTreeSet<String> {
    let mut settings = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some((_, after)) = line.split_once("path = \"") {
            settings.extend(after.split('"').next().map(str::to_owned));
        } else if line.contains(" = ") && !line.ends_with('[') && !line.starts_with('#') {
            settings.insert(line.to_owned());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    //! Manifests in all the forms that cargo takes.
    use super::*;

    #[test]
    fn dependencies_are_found_in_every_form() {
        let manifest = "[package]\nname = \"byway-x\"\n[dependencies]\nbyway-core.workspace = true\n\
            serde = \"1\"\nbyway-net = { path = \"../x\" }\n[dev-dependencies.byway-sim]\npath = \"y\"\n\
            [target.'cfg(unix)'.dependencies]\nbyway-wire.workspace = true\n";
        let found = dependencies(manifest);
        let to: Vec<&str> = found.iter().map(|edge| edge.to.as_str()).collect();
        assert_eq!(to, ["byway-core", "byway-net", "byway-sim", "byway-wire"]);
        let tests: Vec<usize> =
            found.iter().filter(|edge| edge.for_tests).map(|edge| edge.line).collect();
        assert_eq!(tests, [7]);
        assert_eq!(package(manifest).as_deref(), Some("byway-x"));
    }

    #[test]
    fn the_table_has_no_cycle() {
        for (n, (name, allowed)) in
            EDGES.iter().enumerate().filter(|(_, (name, _))| *name != "byway")
        {
            for to in *allowed {
                let place = EDGES.iter().position(|(other, _)| other == to);
                let known = place.is_some_and(|place| place < n || *name == "byway-e2e");
                assert!(known, "{name} -> {to}: what a crate depends on stands above it");
            }
        }
    }
}
