//! Answers come back as they were put, are bounded, and survive what a file may go through.

use jiff::Timestamp;

use super::CopyStore;

const A: [u8; 32] = [1; 32];
const B: [u8; 32] = [2; 32];

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + second).unwrap()
}

#[test]
fn answers_come_back_after_the_file_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copies.db");
    let mut store = CopyStore::open(&file).unwrap();
    store.put_copy(&A, &A, b"one", at(0)).unwrap();
    store.put_copy(&A, &B, b"two", at(1)).unwrap();
    store.put_copy(&A, &A, b"newer", at(2)).unwrap();
    drop(store);
    let store = CopyStore::open(&file).unwrap();
    let found = store.copies(&A).unwrap();
    assert_eq!(found, [(B, b"two".to_vec()), (A, b"newer".to_vec())]);
    assert_eq!(store.targets().unwrap(), [A]);
    assert!(store.copies(&B).unwrap().is_empty());
}

#[test]
fn a_target_is_forgotten_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = CopyStore::open(&dir.path().join("copies.db")).unwrap();
    store.put_copy(&A, &A, b"one", at(0)).unwrap();
    store.put_copy(&A, &B, b"two", at(0)).unwrap();
    store.put_copy(&B, &A, b"three", at(0)).unwrap();
    store.remove_copies(&A).unwrap();
    assert_eq!(store.targets().unwrap(), [B]);
}

#[test]
fn the_oldest_go_first_when_there_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = CopyStore::open(&dir.path().join("copies.db")).unwrap();
    for n in 0..=255 {
        store.put_copy(&[n; 32], &A, &[0; 8192], at(i64::from(n))).unwrap();
    }
    assert!(store.retain_copies(600_000).unwrap());
    let targets = store.targets().unwrap();
    assert!(!targets.is_empty() && targets.len() < 256);
    assert!(targets.contains(&[255; 32]), "the newest stays");
    assert!(!targets.contains(&[0; 32]), "the oldest went");
    assert!(!store.retain_copies(600_000).unwrap(), "and that was enough");
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("copies.db");
    std::fs::write(&file, "not a database, but long enough to be taken for one?".repeat(100))
        .unwrap();
    assert!(CopyStore::open(&file).is_err());
}
