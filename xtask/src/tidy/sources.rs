//! Checks of source files, line by line.

use super::{Finding, Tree};

const MAX_LINES: usize = 600;
/// Written in two parts, or this file would find itself.
const LATER: &str = concat!("TO", "DO");
const BROKEN: &str = concat!("FIX", "ME");
/// Endings of files in which such marks are notes to ourselves.
const CODE: &[&str] =
    &[".rs", ".toml", ".sh", ".py", ".js", ".mjs", ".lua", ".tmpl", ".sql", ".html", ".css"];
/// Folders of single machines. What a stranger's machine has not must not be named.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("../sha", "red"),
];

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests" || part == "benches")
}

/// Every Rust file says in its first line what it is for.
pub(super) fn headers(tree: &Tree) -> Vec<Finding> {
    let rust = tree.iter().filter(|(path, _)| is_rust(path));
    let without = rust.filter(|(_, text)| !text.starts_with("//!"));
    let what = "no header; begin the file with `//!` and a sentence on what it is for";
    without.map(|(path, _)| Finding::new(path, 1, what)).collect()
}

pub(super) fn lengths(tree: &Tree) -> Vec<Finding> {
    let rust = tree.iter().filter(|(path, _)| is_rust(path) && !is_test(path));
    let count = rust.map(|(path, text)| (path, text.lines().count()));
    let long = count.filter(|(_, lines)| *lines > MAX_LINES);
    let say = |lines| format!("{lines} lines; split it into files of at most {MAX_LINES}");
    long.map(|(path, lines)| Finding::new(path, lines, say(lines))).collect()
}

/// Notes to ourselves name an issue, or they are forgotten.
pub(super) fn marks(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree {
        if !CODE.iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            if line.contains(BROKEN) {
                let what = format!("{BROKEN}; mend it now, or write {LATER}(#issue)");
                findings.push(Finding::new(path, n + 1, what));
            }
            if line.split(LATER).skip(1).any(|after| !is_issue(after)) {
                let what = format!("{LATER} without an issue; write {LATER}(#123)");
                findings.push(Finding::new(path, n + 1, what));
            }
        }
    }
    findings
}

/// `(#123)` follows.
fn is_issue(after: &str) -> bool {
    let number = after.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
    number.is_some_and(|(n, _)| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree {
        for (n, line) in text.lines().enumerate() {
            if let Some(folder) = MACHINE.iter().find(|folder| names_folder(line, folder)) {
                let what = format!(
                    "`{folder}` exists on one machine only; use a path that \
                                    every reader has"
                );
                findings.push(Finding::new(path, n + 1, what));
            }
        }
    }
    findings
}

/// `folder` stands in `line` at the beginning of a path, and something follows it.
fn names_folder(line: &str, folder: &str) -> bool {
    let mut before = String::new();
    let mut parts = line.split(folder).peekable();
    while let Some(part) = parts.next() {
        before.push_str(part);
        let starts = !before.chars().next_back().is_some_and(char::is_alphanumeric);
        let follows = parts.peek().is_some_and(|next| {
            !folder.ends_with('/') || next.starts_with(|c: char| c == '.' || c.is_ascii_lowercase())
        });
        if starts && follows {
            return true;
        }
        before.push_str(folder);
    }
    false
}
