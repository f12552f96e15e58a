//! Both languages say the same things.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Language, Words, verdict};

fn messages(language: Language) -> BTreeSet<(String, BTreeSet<String>)> {
    let lines = language.source().lines().filter(|line| !line.starts_with('#'));
    let messages = lines.filter_map(|line| line.split_once(" = "));
    messages
        .map(|(id, text)| {
            let names = text.split("{ $").skip(1).filter_map(|rest| rest.split(' ').next());
            (id.to_owned(), names.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn both_languages_have_the_same_sentences_with_the_same_names() {
    let ids = |set: &BTreeSet<(String, BTreeSet<String>)>| -> BTreeSet<String> {
        set.iter().map(|(id, _)| id.clone()).collect()
    };
    let (ko, en) = (messages(Language::Ko), messages(Language::En));
    assert_eq!(ids(&ko), ids(&en));
    // A language may leave a name out where its sentence does not need it, never invent one.
    for ((id, ko), (_, en)) in ko.iter().zip(&en) {
        assert!(ko.is_subset(en) && en.is_subset(ko), "{id}: {ko:?} {en:?}");
    }
}

#[test]
fn every_verdict_has_a_sentence() {
    for language in [Language::Ko, Language::En] {
        let words = Words::new(language).unwrap();
        for kind in byway_core::diagnose::Kind::ALL {
            let json = json!({
                "kind": kind.as_str(), "confidence": "strong",
                "failing": ["a"], "healthy": ["b"], "only_tunnels": false,
                "seen": [{"path": "a", "failed": 2, "good": 0, "failure": {"status": 403}}],
            });
            let said = verdict(&words, "catalog", &json, &|_| None);
            assert!(!said[0].starts_with("verdict-"), "{kind:?} {language:?}");
            assert!(said[0].contains("catalog"), "{kind:?} {language:?}: {}", said[0]);
        }
    }
}

#[test]
fn a_block_is_said_in_one_breath() {
    let json = json!({
        "kind": "blocks_addresses", "confidence": "strong",
        "failing": ["batch-1"], "healthy": ["lambda-1"], "only_tunnels": false,
        "seen": [
            {"path": "batch-1", "failed": 4, "good": 0,
             "failure": {"status": 403, "says": "Akamai: access denied", "class": "blocked_ip"}},
            {"path": "lambda-1", "failed": 0, "good": 3, "good_status": 200},
        ],
    });
    let exits = |path: &str| (path == "batch-1").then(|| "203.0.113.7".to_owned());
    let en = verdict(&Words::new(Language::En).unwrap(), "catalog", &json, &exits);
    assert_eq!(
        en.join(" "),
        "catalog blocks batch-1 (203.0.113.7): batch-1 403 Akamai: access denied 4/4; \
         lambda-1 200 3/3. The same request over lambda-1 works."
    );
    let ko = verdict(&Words::new(Language::Ko).unwrap(), "catalog", &json, &exits);
    assert_eq!(
        ko.join(" "),
        "catalog 쪽에서 batch-1 (203.0.113.7) 주소를 차단하고 있습니다: batch-1 403 Akamai: \
         access denied 4/4; lambda-1 200 3/3. 같은 요청이 lambda-1 경로로는 성공합니다."
    );
}
