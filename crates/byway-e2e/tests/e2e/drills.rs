//! Every drill that is shipped, ten times faster than its timetable, against the built binary.

use byway_e2e::command::byway;

/// Runs one; everything must be as its file expects.
#[track_caller]
fn drill(name: &str) {
    let ran = byway(&["drill", "run", name, "--speed", "10", "--json"], None);
    let report = ran.json();
    let missed: Vec<String> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["is_met"] == false)
        .map(|check| format!("{} (found: {})", check["what"], check["found"]))
        .collect();
    assert!(missed.is_empty(), "{name}: missed {missed:#?}\n{}", ran.err);
    assert_eq!(report["is_right"], true);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn autumn_is_as_expected() {
    drill("autumn");
}

#[test]
fn autumn_over_a_relay_is_as_expected() {
    drill("autumn-relay");
}

#[test]
fn rate_limit_is_as_expected() {
    drill("rate-limit");
}

#[test]
fn outage_is_as_expected() {
    drill("outage");
}

#[test]
fn our_dns_is_as_expected() {
    drill("our-dns");
}

#[test]
fn our_network_is_as_expected() {
    drill("our-network");
}

#[test]
fn challenge_is_as_expected() {
    drill("challenge");
}

#[test]
fn flapping_is_as_expected() {
    drill("flapping");
}

#[test]
fn short_lift_is_as_expected() {
    drill("short-lift");
}

#[test]
fn tls_close_is_as_expected() {
    drill("tls-close");
}

#[test]
fn syn_drop_is_as_expected() {
    drill("syn-drop");
}

#[test]
fn contract_is_as_expected() {
    drill("contract");
}

#[test]
fn a_drill_that_goes_wrong_says_what_was_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.drill");
    let text = "for 10s\nrate 5\nprovider shop alert\npath p 127.0.0.31\nexpect recovered ours\n";
    std::fs::write(&file, text).expect("writable");
    let file = file.display().to_string();
    let ran = byway(&["drill", "run", &file, "--speed", "10", "--quiet"], None);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("MISSED  recovered ours"), "{}", ran.out);
    let ran = byway(&["drill", "run", "no-such-drill"], None);
    assert_eq!((ran.code, ran.err.contains("byway drill list")), (1, true), "{ran:?}");
}

#[test]
fn drills_are_listed_in_both_languages() {
    let english = byway(&["drill", "list"], None);
    assert!(english.out.contains("autumn") && english.out.contains("three of five"), "{english:?}");
    let korean = byway(&["drill", "list", "--lang", "ko"], None);
    assert!(korean.out.contains("가을 저녁"), "{korean:?}");
    let json = byway(&["drill", "list", "--json"], None).json();
    assert_eq!(json.as_array().map(Vec::len), Some(english.out.lines().count()));
}
