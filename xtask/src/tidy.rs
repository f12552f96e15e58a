//! `cargo xtask tidy`: what reviewers would otherwise have to look for. The checks are pure functions
//! of the tree's text; this file reads the tree and runs them.

mod crates;
mod docs;
mod sources;

use std::{collections::BTreeMap, fmt, fs, process::Command, time::Duration};

use crate::{
    run,
    ui::{self, Outcome},
};

/// Text files by their path from the root, with forward slashes.
pub(crate) type Tree = BTreeMap<String, String>;

/// One thing to mend: where, what, and what to do instead.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

pub(crate) const HELP: &str = "\
cargo xtask tidy: checks that no compiler makes (headers, sizes, crate edges, docs, stray words)

Prints `file:line: what is wrong, what to do instead`, and fails if it printed anything.
";

pub(crate) fn run() -> Outcome<()> {
    let findings = check(&read_tree()?);
    for finding in &findings {
        ui::say(finding);
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(String::from("tidy found one thing to mend")),
        n => Err(format!("tidy found {n} things to mend")),
    }
}

fn check(tree: &Tree) -> Vec<Finding> {
    let checks: [fn(&Tree) -> Vec<Finding>; 9] = [
        sources::headers,
        sources::lengths,
        sources::marks,
        sources::machine_paths,
        crates::edges,
        crates::bans,
        docs::paths,
        docs::readmes,
        docs::adr_numbers,
    ];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(tree)).collect();
    findings.sort();
    findings
}

/// Files that are in git or would be added: what is not committed yet is checked as well.
fn read_tree() -> Outcome<Tree> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = run::require(git.current_dir(run::root()), Duration::from_secs(30))?;
    let mut tree = Tree::new();
    for path in listed.stdout.split('\0').filter(|path| !path.is_empty()) {
        // Deleted but not committed, or not text: nothing to check.
        if let Ok(text) = fs::read_to_string(run::root().join(path)) {
            tree.insert(path.to_owned(), text);
        }
    }
    if tree.is_empty() { Err(String::from("git lists no files here")) } else { Ok(tree) }
}

#[cfg(test)]
mod tests;
