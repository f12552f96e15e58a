//! Each check on a tree of a few lines, and all of them on this repository.

use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn found(check: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    check(&tree(files)).iter().map(ToString::to_string).collect()
}

#[test]
fn this_repository_is_tidy() {
    let findings = check(&read_tree().unwrap());
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn a_file_begins_with_its_header() {
    let files =
        [("crates/a/src/lib.rs", "use x;\n"), ("crates/a/src/b.rs", "//! B.\n"), ("x.md", "")];
    let found = found(sources::headers, &files);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("crates/a/src/lib.rs:1: no header;"), "{found:?}");
}

#[test]
fn long_files_are_found_but_not_tests() {
    let long = "x\n".repeat(601);
    let files = [
        ("crates/a/src/lib.rs", long.as_str()),
        ("crates/a/src/b/tests.rs", &long),
        ("crates/a/tests/it.rs", &long),
    ];
    let found = found(sources::lengths, &files);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("lib.rs:601: 601 lines"), "{found:?}");
}

#[test]
fn a_mark_names_its_issue() {
    let (later, broken) = (concat!("TO", "DO"), concat!("FIX", "ME"));
    let text =
        format!("// {later}(#12): good\n// {later}: bad\n// {broken}\n// {later}(#) {later}(#1)\n");
    let found = found(sources::marks, &[("a.rs", &text), ("a.md", &text)]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("a.rs:2: ") && found[1].starts_with("a.rs:3: "), "{found:?}");
}

#[test]
fn folders_of_one_machine_are_found() {
    let (work, home) = (concat!("/wo", "rk/"), concat!("/ho", "me/"));
    let text = format!(
        "see {work}main\nhttp://host{work}x\n`{home}me`\nnet{work}a {work}b\n{home}$USER\n"
    );
    let found = found(sources::machine_paths, &[("a.md", &text)]);
    let lines: Vec<&str> = found.iter().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["1", "3", "4"]);
}

#[test]
fn an_edge_that_is_not_listed_is_found() {
    let gateway = "[package]\nname = \"byway-gateway\"\n[dependencies]\nbyway-store.workspace = true\n\
                   [dev-dependencies]\nbyway-testkit.workspace = true\n";
    let found = found(crates::edges, &[("crates/byway-gateway/Cargo.toml", gateway)]);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("Cargo.toml:4: byway-gateway must not depend on byway-store"));
}

#[test]
fn a_crate_must_be_in_the_table() {
    let manifest = "[package]\nname = \"byway-new\"\n";
    let found = found(crates::edges, &[("crates/byway-new/Cargo.toml", manifest)]);
    assert!(found[0].contains("not in the table"), "{found:?}");
}

#[test]
fn a_crate_does_not_loosen_the_bans() {
    let root =
        "allow-x = true\ndisallowed-methods = [\n  { path = \"a::b\", reason = \"r\" },\n]\n";
    let good = format!("{root}more = 1\n");
    let bad = "disallowed-methods = [\n  { path = \"c::d\" },\n]\n";
    let files =
        [("clippy.toml", root), ("crates/a/clippy.toml", &good), ("crates/b/clippy.toml", bad)];
    let found = found(crates::bans, &files);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|line| line.starts_with("crates/b/")), "{found:?}");
}

#[test]
fn paths_in_docs_exist() {
    let text = "`docs/a.md` `docs/b.md:3` `crates/x/` `crates/*/y` `GET /docs/z` `bench/gone`\n\
                ```\n`docs/fenced.md`\n```\n";
    let files = [("docs/a.md", text), ("crates/x/src/lib.rs", ""), ("CHANGELOG.md", "`docs/old`")];
    let found = found(docs::paths, &files);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`docs/b.md`") && found[1].contains("`bench/gone`"), "{found:?}");
}

#[test]
fn the_readmes_agree() {
    let english = "# A\n## B\n```sh\n# not a heading\nrun\n```\n";
    let korean = "# 가\n## 나\n```sh\n# not a heading\nrun\n```\n";
    assert_eq!(found(docs::readmes, &[("README.md", english), ("README.ko.md", korean)]), [""; 0]);
    let other = "# 가\n### 나\n```sh\nwalk\n```\n";
    let found = found(docs::readmes, &[("README.md", english), ("README.ko.md", other)]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("README.ko.md:2: 2 headings"), "{found:?}");
    assert!(found[1].contains("README.md:3"), "{found:?}");
}

#[test]
fn decisions_have_a_number_each() {
    let files = [
        ("docs/adr/0001-a.md", ""),
        ("docs/adr/0001-a.ko.md", ""),
        ("docs/adr/0001-b.md", ""),
        ("docs/adr/notes.md", ""),
    ];
    let found = found(docs::adr_numbers, &files);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("0001-b.md:1: number 0001 is taken by 0001-a"), "{found:?}");
}
