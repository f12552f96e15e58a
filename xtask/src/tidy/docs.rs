//! Checks of Markdown: paths that exist, READMEs that agree, decisions with a number each.

use std::collections::BTreeMap;

use super::{Finding, Tree};

/// What begins like this in backticks is meant as a path in this repository.
const FOLDERS: &[&str] =
    &["crates/", "docs/", "bench/", "xtask/", "fuzz/", "examples/", ".ci/", ".config/", ".cargo/"];
const ENGLISH: &str = "README.md";
const KOREAN: &str = "README.ko.md";

pub(super) fn paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.iter().filter(|(file, _)| file.ends_with(".md")) {
        // The changelog speaks of what was.
        if file.ends_with("CHANGELOG.md") {
            continue;
        }
        let mut fenced = false;
        for (n, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for quoted in line.split('`').skip(1).step_by(2) {
                if let Some(path) = as_path(quoted)
                    && !exists(tree, path)
                {
                    let what = format!("`{path}` does not exist; name what is there now");
                    findings.push(Finding::new(file, n + 1, what));
                }
            }
        }
    }
    findings
}

/// A path without a pattern in it, and without the line number that may follow.
fn as_path(quoted: &str) -> Option<&str> {
    let path = quoted.split(':').next().unwrap_or(quoted).trim_end_matches('/');
    let looks = FOLDERS.iter().any(|folder| quoted.starts_with(folder));
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    (looks && plain).then_some(path)
}

/// A file, or a folder of one.
fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    tree.contains_key(path) || tree.keys().any(|file| file.starts_with(&folder))
}

/// The two READMEs say the same: as many headings of each level, and the same commands.
pub(super) fn readmes(tree: &Tree) -> Vec<Finding> {
    let (english, korean) = match (tree.get(ENGLISH), tree.get(KOREAN)) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec![Finding::new(KOREAN, 1, "missing; translate README.md")],
        (None, Some(_)) => return vec![Finding::new(ENGLISH, 1, "missing; README.ko.md is there")],
        (Some(english), Some(korean)) => (Outline::of(english), Outline::of(korean)),
    };
    let mut findings = Vec::new();
    if english.levels() != korean.levels() {
        let (ours, theirs) = (korean.headings.len(), english.headings.len());
        let uneven = korean.headings.iter().zip(&english.headings).find(|(a, b)| a.1 != b.1);
        let line = uneven.or(korean.headings.last().zip(english.headings.last()));
        let line = line.map_or(1, |((line, _), _)| *line);
        let what =
            format!("{ours} headings, README.md has {theirs}; give both the same, level by level");
        findings.push(Finding::new(KOREAN, line, what));
    }
    if english.blocks.len() != korean.blocks.len() {
        let (ours, theirs) = (korean.blocks.len(), english.blocks.len());
        let what = format!("{ours} code blocks, README.md has {theirs}; give both the same");
        findings.push(Finding::new(KOREAN, 1, what));
    }
    for ((line, ours), (other, theirs)) in korean.blocks.iter().zip(&english.blocks) {
        if ours != theirs {
            let what = format!("this code block differs from README.md:{other}; copy it");
            findings.push(Finding::new(KOREAN, *line, what));
        }
    }
    findings
}

/// Headings (line, level) and code blocks (line, text).
struct Outline {
    headings: Vec<(usize, usize)>,
    blocks: Vec<(usize, String)>,
}

impl Outline {
    fn of(text: &str) -> Self {
        let mut outline = Self { headings: Vec::new(), blocks: Vec::new() };
        let mut block: Option<(usize, String)> = None;
        for (n, line) in text.lines().enumerate() {
            let is_fence = line.trim_start().starts_with("```");
            block = match (block, is_fence) {
                (None, true) => Some((n + 1, format!("{}\n", line.trim()))),
                (Some(done), true) => {
                    outline.blocks.push(done);
                    None
                }
                (Some((at, text)), false) => Some((at, text + line + "\n")),
                (None, false) => {
                    let level = line.chars().take_while(|c| *c == '#').count();
                    if level > 0 && line.chars().nth(level) == Some(' ') {
                        outline.headings.push((n + 1, level));
                    }
                    None
                }
            };
        }
        outline
    }

    fn levels(&self) -> Vec<usize> {
        self.headings.iter().map(|(_, level)| *level).collect()
    }
}

/// Decision records are `NNNN-title.md`, each with a number of its own.
pub(super) fn adr_numbers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for path in tree.keys() {
        let Some(name) = path.strip_prefix("docs/adr/") else { continue };
        let Some((number, _)) = name
            .split_once('-')
            .filter(|(number, _)| number.len() == 4 && number.chars().all(|c| c.is_ascii_digit()))
        else {
            if name != "README.md" {
                let what = "not a decision's name; call it NNNN-title.md, with the next number";
                findings.push(Finding::new(path, 1, what));
            }
            continue;
        };
        // A translation shares the number of what it translates.
        let title = name.trim_end_matches(".md").trim_end_matches(".ko");
        match seen.insert(number, title) {
            Some(other) if other != title => {
                let what = format!("number {number} is taken by {other}; take the next free one");
                findings.push(Finding::new(path, 1, what));
            }
            Some(_) | None => {}
        }
    }
    findings
}
