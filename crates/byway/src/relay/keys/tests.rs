//! Rotation: the old key ends, the new one begins, and what is over is dropped.

use std::path::Path;

use byway_relay::config::Config;
use jiff::{SignedDuration, Timestamp};

use super::{make, overlap, prune, rotate, section};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let public = make(&dir.path().join("r.k1.key.pem")).unwrap();
    let text = format!("id = \"r\"\nallow = [\"a.example:443\"]\n{}", section("k1", &public));
    std::fs::write(dir.path().join("relay.toml"), text).unwrap();
    let path = "[path.r.relay]\nkey_id = \"k1\"\nkey = \"file:r.k1.key.pem\"\nlock = \"open\"\n";
    std::fs::write(dir.path().join("byway-path.toml"), path).unwrap();
    dir
}

fn keys(dir: &Path) -> Vec<(String, bool)> {
    let config = Config::load(&dir.join("relay.toml"), None).unwrap();
    config.keys.iter().map(|(id, key)| (id.clone(), key.until.is_some())).collect()
}

#[test]
fn a_rotation_overlaps_and_is_pruned_when_it_is_over() {
    let dir = folder();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let week = SignedDuration::from_hours(24 * 7);
    rotate(dir.path(), week, None, now).unwrap();
    assert_eq!(keys(dir.path()), [("k1".to_owned(), true), ("k2".to_owned(), false)]);
    let path = std::fs::read_to_string(dir.path().join("byway-path.toml")).unwrap();
    assert!(path.contains("key_id = \"k2\"\nkey = \"file:r.k2.key.pem\""), "{path}");
    prune(dir.path(), None, now).unwrap();
    assert_eq!(keys(dir.path()).len(), 2, "both are trusted during the overlap");
    prune(dir.path(), None, now + week).unwrap();
    assert_eq!(keys(dir.path()), [("k2".to_owned(), false)]);
    rotate(dir.path(), week, None, now + week).unwrap();
    let names: Vec<String> = keys(dir.path()).into_iter().map(|(id, _)| id).collect();
    assert_eq!(names, ["k2", "k3"], "the file of the first is still there, and stays");
}

#[test]
fn a_rotation_that_cannot_be_finished_changes_nothing() {
    let dir = folder();
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let before = std::fs::read_to_string(dir.path().join("relay.toml")).unwrap();
    let week = SignedDuration::from_hours(24 * 7);
    // A zip needs a program, and there is none.
    std::fs::write(dir.path().join("relay.zip"), "old").unwrap();
    assert!(rotate(dir.path(), week, Some(Path::new("/nonexistent")), now).is_err());
    std::fs::remove_file(dir.path().join("relay.zip")).unwrap();
    std::fs::write(dir.path().join("byway-path.toml"), "").unwrap();
    assert!(rotate(dir.path(), week, None, now).is_err(), "nothing to put the key into");
    let after = std::fs::read_to_string(dir.path().join("relay.toml")).unwrap();
    assert_eq!(before, after);
    assert!(!dir.path().join("r.k2.key.pem").exists(), "no key is left over");
}

#[test]
fn a_private_key_is_nobody_elses_and_never_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    let file = dir.path().join("r.k1.key.pem");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(make(&file).is_err(), "an existing key is not overwritten");
}

#[test]
fn an_overlap_has_a_unit_and_an_end() {
    assert_eq!(overlap("7d"), Ok(SignedDuration::from_hours(168)));
    assert_eq!(overlap("12h"), Ok(SignedDuration::from_hours(12)));
    for wrong in ["7", "-1h", "9999d", "soon"] {
        assert!(overlap(wrong).is_err(), "{wrong}");
    }
}
