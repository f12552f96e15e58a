//! Refusals that must be seen, and innocent answers that must never be taken for one.
//!
//! The answers are in `tests/pages/`, whose README says how they are written.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use byway_core::classify::{Class, Confidence, Outcome, OwnSignature, Signatures, classify};
use byway_core::evidence::{Answer, Evidence};
use byway_core::history::{History, Usual};
use byway_core::route::Scheme;

/// Fewer of a kind prove little.
const N_PAGES_MIN: usize = 60;

/// One answer of a file.
#[derive(Default)]
struct Page {
    name: String,
    /// `class=…`, `confidence=…`, `edge=…`, `signature=…`.
    expected: Vec<String>,
    usual: Option<Usual>,
    quotes: bool,
    asked: Option<(Scheme, String)>,
    status: u16,
    reason: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Page {
    fn read(file: &str, text: &str) -> Self {
        let (name, rest) = text.split_once('\n').expect("a name");
        let mut page = Self { name: format!("{file}: {name}"), ..Self::default() };
        let (head, body) = rest.split_once("\n\n").unwrap_or((rest.trim_end(), ""));
        let mut lines = head.lines();
        let mut is_hex = false;
        let status = loop {
            let line = lines.next().expect("a status line");
            let Some((key, value)) = line.strip_prefix("# ").and_then(|l| l.split_once(": "))
            else {
                break line;
            };
            match key {
                "expect" => page.expected = value.split(' ').map(str::to_owned).collect(),
                "usual" => page.usual = Some(usual(value)),
                "asked" => {
                    let (scheme, host) = value.split_once(' ').expect("a scheme and a host");
                    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
                    page.asked = Some((scheme, host.to_owned()));
                }
                "body" => is_hex = true,
                "quotes" => page.quotes = true,
                other => panic!("{}: `# {other}`", page.name),
            }
        };
        let mut parts = status.splitn(3, ' ').skip(1);
        page.status = parts.next().and_then(|s| s.parse().ok()).expect(&page.name);
        page.reason = parts.next().unwrap_or_default().to_owned();
        page.fields = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("{}: {line}", page.name)))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let body = body.trim_end();
        page.body = if is_hex { from_hex(body) } else { body.as_bytes().to_vec() };
        page
    }

    fn judge(&self, signatures: &Signatures) -> Outcome {
        self.judge_as(self.status, &self.fields, &self.body, self.usual.as_ref(), signatures)
    }

    fn judge_as(
        &self,
        status: u16,
        fields: &[(String, String)],
        body: &[u8],
        usual: Option<&Usual>,
        signatures: &Signatures,
    ) -> Outcome {
        let fields: Vec<(&[u8], &[u8])> =
            fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let answer = Answer {
            status,
            reason: self.reason.as_bytes(),
            fields: &fields,
            body,
            usual,
            first_byte: Some(Duration::from_millis(40)),
            body_bytes: u64::try_from(body.len()).ok(),
            asked: self.asked.as_ref().map(|(scheme, host)| (*scheme, host.as_str())),
        };
        classify(&Evidence::Answered(answer), signatures)
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.chunks(2).map(pair).collect()
}

/// A route that has answered in one way for a while.
fn usual(kind: &str) -> Usual {
    let content_type: &[u8] = match kind {
        "json" => b"application/json",
        "html" => b"text/html; charset=utf-8",
        "xml" => b"text/xml",
        "text" => b"text/plain",
        other => panic!("`# usual: {other}`"),
    };
    let mut history = History::default();
    for _ in 0..9 {
        history.observe(&Answer {
            fields: &[(b"Content-Type", content_type)],
            body_bytes: Some(400),
            first_byte: Some(Duration::from_millis(50)),
            ..Answer::bare(200)
        });
    }
    history.usual().expect("enough was seen")
}

fn pages(folder: &str) -> Vec<Page> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages").join(folder);
    let files = std::fs::read_dir(&folder).expect("the folder").map(|file| file.expect("a file"));
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.sort();
    let mut pages = Vec::new();
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        #[expect(clippy::disallowed_methods, reason = "the answers are files beside the test")]
        let text = std::fs::read_to_string(&file).expect("text");
        let texts = text.strip_prefix("=== ").expect("an answer").split("\n=== ");
        pages.extend(texts.map(|text| Page::read(&name, text)));
    }
    pages
}

fn is_block(outcome: &Outcome) -> bool {
    matches!(outcome.class, Class::BlockedIp | Class::Challenge)
}

/// What is expected and not so.
fn mismatches(page: &Page, outcome: &Outcome, signatures: &Signatures) -> Vec<String> {
    let differs = |expected: &String| {
        let (key, expected) = expected.split_once('=').expect("key=value");
        let got = match key {
            "class" => outcome.class.as_str(),
            "confidence" => outcome.confidence.as_str(),
            "edge" => outcome.edge.map_or("-", |edge| signatures.edge_name(edge)),
            "signature" => outcome.signature.map_or("-", |id| signatures.name(id)),
            other => panic!("{}: `{other}`", page.name),
        };
        (got != expected).then(|| format!("{}: {key} is {got}, not {expected}", page.name))
    };
    page.expected.iter().filter_map(differs).collect()
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_refusal_is_recognised_for_what_it_is() {
    let (signatures, pages) = (Signatures::default(), pages("refusals"));
    let wrong = pages.iter().flat_map(|page| {
        assert!(!page.expected.is_empty(), "{}: nothing is expected", page.name);
        mismatches(page, &page.judge(&signatures), &signatures)
    });
    report(&wrong.collect::<Vec<_>>());
    assert!(pages.len() >= N_PAGES_MIN, "{}", pages.len());
}

#[test]
fn no_innocent_answer_is_taken_for_a_block() {
    let (signatures, pages) = (Signatures::default(), pages("innocent"));
    let mut wrong = Vec::new();
    for page in &pages {
        let known = page.judge(&signatures);
        let unknown = page.judge_as(page.status, &page.fields, &page.body, None, &signatures);
        for (how, outcome) in [("", &known), (" (nothing usual known)", &unknown)] {
            // A page about a block cannot be told from a block that is a 200 at first sight.
            let is_excused = page.quotes && !how.is_empty();
            if is_block(outcome) && !is_excused {
                wrong.push(format!("{}: taken for {}{how}", page.name, outcome.class.as_str()));
            }
        }
        wrong.extend(mismatches(page, &known, &signatures));
    }
    report(&wrong);
    assert!(pages.len() >= N_PAGES_MIN, "{}", pages.len());
}

#[test]
fn every_rule_that_decides_is_hit_by_an_answer() {
    let signatures = Signatures::default();
    let hit: BTreeSet<String> = pages("refusals")
        .iter()
        .chain(&pages("innocent"))
        .filter_map(|page| page.judge(&signatures).signature)
        .map(|id| signatures.name(id).to_owned())
        .collect();
    let missing = Signatures::shipped().filter(|name| !hit.contains(*name));
    report(&missing.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn no_two_rules_have_one_name() {
    let mut seen = BTreeSet::new();
    let twice = Signatures::shipped().filter(|name| !seen.insert(*name));
    report(&twice.map(str::to_owned).collect::<Vec<_>>());
}

/// Fields that edges put on every answer, good ones too.
const PRESENCE: &[(&str, &str)] = &[
    ("Server", "cloudflare"),
    ("CF-RAY", "90aa01bb02cc03ff-ICN"),
    ("Server", "AkamaiGHost"),
    ("X-Amz-Cf-Id", "aaBBccDD=="),
    ("X-Cache", "Error from cloudfront"),
    ("Server", "awselb/2.0"),
    ("x-amz-apigw-id", "aaBB="),
    ("X-Iinfo", "7-1-0 0NNN"),
    ("Set-Cookie", "visid_incap_7=a"),
    ("X-DataDome", "protected"),
    ("Set-Cookie", "datadome=a"),
    ("Set-Cookie", "_pxhd=a"),
    ("Server", "BigIP"),
    ("Via", "1.1 google"),
    ("X-Sucuri-ID", "15001"),
    ("X-Served-By", "cache-icn1450001-ICN"),
    ("X-SL-CompState", "Uncompressed"),
    ("Set-Cookie", "rbzid=a"),
    ("Set-Cookie", "FORTIWAFSID=a"),
    ("x-azure-ref", "0abc"),
    ("X-Vercel-Id", "icn1::a"),
    ("Server", "nginx-wallarm"),
    ("x-sp-waf", "1"),
];

#[test]
fn the_presence_of_an_edge_never_makes_an_innocent_answer_a_block() {
    let signatures = Signatures::default();
    let mut wrong = Vec::new();
    for page in &pages("innocent") {
        for &(name, value) in PRESENCE {
            let mut fields = page.fields.clone();
            fields.push((name.to_owned(), value.to_owned()));
            let usual = page.usual.as_ref();
            let outcome = page.judge_as(page.status, &fields, &page.body, usual, &signatures);
            if is_block(&outcome) {
                wrong.push(format!("{} with `{name}: {value}`", page.name));
            }
        }
    }
    report(&wrong);
}

/// An aggregator that is refused by somebody else tells so in its own words.
#[test]
fn an_api_that_quotes_a_refusal_does_not_refuse() {
    let signatures = Signatures::default();
    let usual = usual("json");
    let mut wrong = Vec::new();
    for page in &pages("refusals") {
        let quoted = String::from_utf8_lossy(&page.body).replace('\\', "\\\\").replace('"', "\\\"");
        let body =
            format!("{{\"error\":\"the carrier answered: {}\"}}", quoted.replace('\n', "\\n"));
        let fields = [("Content-Type".to_owned(), "application/json".to_owned())];
        for status in [200, 400, 404, 422, 429, 500, 502, 503, 504] {
            for usual in [None, Some(&usual)] {
                let outcome = page.judge_as(status, &fields, body.as_bytes(), usual, &signatures);
                if is_block(&outcome) {
                    wrong.push(format!("{} quoted with {status}", page.name));
                }
            }
        }
    }
    report(&wrong);
}

#[test]
fn a_page_that_quotes_a_refusal_is_no_refusal_where_pages_are_usual() {
    let signatures = Signatures::default();
    let usual = usual("html");
    let mut wrong = Vec::new();
    for page in &pages("refusals") {
        let fields = [("Content-Type".to_owned(), "text/html".to_owned())];
        let outcome = page.judge_as(200, &fields, &page.body, Some(&usual), &signatures);
        if is_block(&outcome) {
            wrong.push(page.name.clone());
        }
    }
    report(&wrong);
}

#[test]
fn the_class_of_a_refusal_does_not_hang_on_the_order_or_the_case_of_its_fields() {
    let signatures = Signatures::default();
    let mut wrong = Vec::new();
    for page in &pages("refusals") {
        let fields: Vec<(String, String)> = page
            .fields
            .iter()
            .rev()
            .map(|(name, value)| (name.to_ascii_uppercase(), value.clone()))
            .collect();
        let usual = page.usual.as_ref();
        let outcome = page.judge_as(page.status, &fields, &page.body, usual, &signatures);
        if outcome.class != page.judge(&signatures).class {
            wrong.push(page.name.clone());
        }
    }
    report(&wrong);
}

#[test]
fn the_operators_signatures_come_first_and_need_all_their_parts() {
    let own = |name: &str, class, field: Option<(&str, &str)>, body: Option<&str>| OwnSignature {
        name: name.to_owned(),
        says: "wall of Example".to_owned(),
        verdict: Some((class, Confidence::Strong)),
        status: vec![403, 418],
        field: field.map(|(name, part)| (name.to_owned(), part.to_owned())),
        body: body.map(str::to_owned),
    };
    let signatures = Signatures::with(vec![
        own("wall", Class::Challenge, Some(("X-Wall", "DENY")), Some("Shall Not Pass")),
        own("json", Class::BlockedIp, None, Some("\"code\": \"WALL\"")),
        own("mine", Class::ClientError, Some(("Server", "cloudflare")), None),
    ]);
    for (text, class, signature) in [
        ("HTTP/1.1 403 F\nx-wall: deny-7\n\nyou shall not pass", Class::Challenge, "wall"),
        ("HTTP/1.1 404 F\nx-wall: deny-7\n\nyou shall not pass", Class::ClientError, "-"),
        ("HTTP/1.1 403 F\nx-wall: deny-7\n\nyou shall pass", Class::ClientError, "-"),
        ("HTTP/1.1 403 F\nx-wall: warn\n\nyou shall not pass", Class::ClientError, "-"),
        ("HTTP/1.1 418 F\nA: b\n\n{\"code\":\"wall\"}", Class::BlockedIp, "json"),
        ("HTTP/1.1 418 F\nA: b\n\n{\"code\": \"wall\"}", Class::BlockedIp, "json"),
        ("HTTP/1.1 403 F\nServer: cloudflare\n\nerror code: 1006", Class::ClientError, "mine"),
    ] {
        let page = Page::read("own", &format!("x\n{text}"));
        let outcome = page.judge(&signatures);
        let got = outcome.signature.map_or("-", |id| signatures.name(id));
        assert_eq!((outcome.class, got), (class, signature), "{text}");
    }
}
