//! Whole configurations: right, wrong, hostile, and the documented one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use byway_core::settings::Settings;
use expect_test::{Expect, expect};

use super::*;

mod documentation;
mod hostile;
mod sections;

/// Variables and files of a test.
#[derive(Default)]
struct Fake {
    vars: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, &'static str>,
}

const PEM: &str = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";

fn fake() -> Fake {
    Fake {
        vars: [("TOKEN", "t0ken"), ("EMPTY", ""), ("BLANK", "two words")].into(),
        files: [("c.pem", PEM), ("k.pem", PEM), ("none.pem", "hello"), ("pw", "s3cret\r\n")].into(),
    }
}

impl Environment for Fake {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).map(|&value| value.to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = path.to_str().and_then(|path| self.files.get(path));
        found.map(|&text| text.into()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn problems(text: &str) -> Problems {
    match parse("byway.toml", text, &fake()) {
        Ok(_) => panic!("no problem found in\n{text}"),
        Err(problems) => problems,
    }
}

/// One line a problem: `line:column message (hint)`.
fn check(text: &str, expect: Expect) {
    let lines: Vec<String> = match parse("byway.toml", text, &fake()) {
        Ok(_) => vec!["fine".to_owned()],
        Err(problems) => problems
            .0
            .into_iter()
            .map(|p| {
                let hint = p.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{}:{} {}{hint}", p.line, p.column, p.message)
            })
            .collect(),
    };
    expect.assert_eq(&(lines.join("\n") + "\n"));
}

fn settings(text: &str) -> Settings {
    parse("byway.toml", text, &fake()).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "one text and what is said about it")]
fn every_problem_is_reported_at_once_under_the_very_word() {
    let text = r#"
[gateway]
listen = "0.0.0.0:7070"
unlisted = "refused"
drain = "soon"
wrokers = 2

[limits]
n_fields_max = 500
head_bytes_max = "64 kb"

[path.eu.socks5]
addr = "10.0.0.1"
user = "byway"
password = "hunter2"

[path.us.http-porxy]
addr = "proxy:3128"

[provider.acme]
url = "https://api.acme.test/v1"
paths = ["direct", "eu", "asia"]
deadlines.connect = 5

[provider.Loud]
hosts = ["api.acme.test"]
"#;
    let expected = expect![[r#"
        error: `listen` must be a loopback address: nobody is asked for credentials here
         --> byway.toml:3:10
          |
        3 | listen = "0.0.0.0:7070"
          |          ^^^^^^^^^^^^^^
          |
          = help: for callers on other machines add `[listener.NAME]` with TLS, and with tokens or client certificates

        error: expected `observe` or `refuse`
         --> byway.toml:4:12
          |
        4 | unlisted = "refused"
          |            ^^^^^^^^^

        error: this is not a duration
         --> byway.toml:5:9
          |
        5 | drain = "soon"
          |         ^^^^^^
          |
          = help: write a number with its unit: "500ms", "30s", "1m 30s"

        error: unknown key `wrokers` in `gateway`
         --> byway.toml:6:1
          |
        6 | wrokers = 2
          | ^^^^^^^
          |
          = help: did you mean `workers`?

        error: must be between 1 and 128
         --> byway.toml:9:16
          |
        9 | n_fields_max = 500
          |                ^^^

        error: this is not a size
          --> byway.toml:10:18
           |
        10 | head_bytes_max = "64 kb"
           |                  ^^^^^^^
           |
           = help: write a number of bytes, or a number with `KiB` or `MiB`: "64 KiB"

        error: the port is missing
          --> byway.toml:13:8
           |
        13 | addr = "10.0.0.1"
           |        ^^^^^^^^^^
           |
           = help: write host and port: "proxy.example.com:3128"

        error: a secret must not stand in the configuration
          --> byway.toml:15:12
           |
        15 | password = *********
           |            ^^^^^^^^^
           |
           = help: name the place that holds it: "env:NAME" or "file:PATH"

        error: unknown key `http-porxy` in `path.NAME`
          --> byway.toml:17:10
           |
        17 | [path.us.http-porxy]
           |          ^^^^^^^^^^
           |
           = help: did you mean `http-proxy`?

        error: this must be an origin: no path, query or fragment
          --> byway.toml:21:29
           |
        21 | url = "https://api.acme.test/v1"
           |                             ^^^
           |
           = help: callers add the path: `/to/<provider>/<path>`

        error: no such path is defined
          --> byway.toml:22:26
           |
        22 | paths = ["direct", "eu", "asia"]
           |                          ^^^^^^
           |
           = help: expected `direct`

        error: expected a string, found an integer
          --> byway.toml:23:21
           |
        23 | deadlines.connect = 5
           |                     ^
           |
           = help: write a duration with its unit: "30s", "1m 30s"

        error: a name is 1 to 63 of `a-z`, `0-9` and `-`, and neither starts nor ends with `-`
          --> byway.toml:25:11
           |
        25 | [provider.Loud]
           |           ^^^^
    "#]];
    expected.assert_eq(&(problems(text).render(false) + "\n"));
}

#[test]
fn a_syntax_error_is_one_problem() {
    check(
        "[gateway]\nlisten = \"127.0.0.1:7070\n",
        expect![[r#"
        2:25 invalid basic string, expected `"`
    "#]],
    );
    check(
        "[gateway]\ndrain = \"1s\"\ndrain = \"2s\"\n",
        expect![[r#"
        3:1 duplicate key
    "#]],
    );
    check(
        "[gateway\n",
        expect![[r#"
        1:9 unclosed table, expected `]`
    "#]],
    );
    check(
        "a = \u{0}",
        expect![[r#"
        1:5 string values must be quoted, expected literal string
    "#]],
    );
}

#[test]
fn an_empty_file_is_the_default() {
    let same = Settings { n_workers: 1, ..settings("") };
    assert_eq!(format!("{same:?}"), format!("{:?}", Settings::default()));
}

#[test]
fn no_secret_is_ever_printed() {
    for text in [
        "[path.a.socks5]\naddr = \"x:1\"\nuser = \"u\"\npassword = \"hunter2\"",
        "[path.a.socks5]\naddr = \"x:1\"\nuser = \"u\"\npasswrod = \"hunter2\"",
        "[path.a]\nsocks5 = { addr = 1, user = \"u\", password = \"hunter2\" }",
        "[path.a.socks5]\npassword = '''\nhunter2\nhunter2'''\naddr = 5",
        "[path.a.socks5]\npassword = \"hunter2\naddr = 5",
        "[path.a.socks5]\npassword = hunter2",
        "[path.a.socks5]\n\"password\"=\"hunter2\"",
        "[path.a.http-proxy]\naddr = \"user:hunter2@proxy:3128\"",
        "[provider.a]\nurl = \"https://user:hunter2@x.test\"",
        "[provider.a]\nurl = \"https://hunter2@x.test\"",
        "[otlp]\nendpoint = \"http://u:hunter2@x.test\"",
        "[[listener.a.token]]\nname = 5\ntoken = \"hunter2\"",
        "[provider.a.tls]\ncertificate = 1\nkey = '''-----BEGIN PRIVATE KEY-----hunter2'''",
    ] {
        let problems = problems(text);
        for shown in [problems.render(true), problems.to_json(), format!("{problems:?}")] {
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
}

#[test]
fn machines_get_json() {
    let json = problems("[gatway]\n[log]\nformat = \"x\"").to_json();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    expect![[r#"
        [
          {
            "column": 2,
            "end": 7,
            "file": "byway.toml",
            "hint": "did you mean `gateway`?",
            "line": 1,
            "message": "unknown section `gatway`",
            "start": 1
          },
          {
            "column": 10,
            "end": 27,
            "file": "byway.toml",
            "hint": null,
            "line": 3,
            "message": "expected `text` or `json`",
            "start": 24
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&value).unwrap());
}
