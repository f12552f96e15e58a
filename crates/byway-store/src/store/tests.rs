//! The verbs on real files.

use std::time::Duration;

use byway_core::detour::{Order, Said};
use byway_core::fact::Fact;
use jiff::{SignedDuration, Timestamp};

use super::{Limits, Store, StoreError};
use crate::{FactQuery, Writer};

fn at(s: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + s)
}

fn fact(n: i64, provider: &str) -> Fact {
    Fact::new(at(n), "verdict")
        .of_provider(provider)
        .of_path("direct")
        .number("n", n)
        .list("failing", vec!["a".to_owned(), "b".to_owned()])
        .time("since", at(0))
}

#[test]
fn facts_come_back_in_the_order_in_which_they_happened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("byway.db");
    let mut store = Store::open(&file, "one").unwrap();
    store.append_facts(&[fact(3, "b"), fact(1, "a")], at(9)).unwrap();
    store.append_facts(&[fact(2, "a")], at(10)).unwrap();
    let all = store.facts(&FactQuery::default()).unwrap();
    let numbers: Vec<String> = all.iter().map(|fact| fact.text("n")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(all[0].text("failing"), "a,b");
    assert_eq!((all[0].occurred_at, all[0].recorded_at), (at(1), at(9)));
    let reader = Store::look(&file).unwrap();
    let query =
        FactQuery { provider: Some("a".to_owned()), since: Some(at(2)), ..FactQuery::default() };
    assert_eq!(reader.facts(&query).unwrap().len(), 1);
    let last = FactQuery { n_max: Some(1), ..FactQuery::default() };
    assert_eq!(reader.facts(&last).unwrap()[0].text("n"), "3");
}

#[test]
fn an_order_outlives_the_process_and_a_lift_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("byway.db");
    let said = Said { by: "kim".to_owned(), reason: "they said no".to_owned(), at: at(5) };
    let order = Order::Locked(said);
    let mut store = Store::open(&file, "one").unwrap();
    store.put_order("catalog", &order).unwrap();
    drop(store);
    let mut store = Store::open(&file, "one").unwrap();
    assert_eq!(store.orders().unwrap(), [("catalog".to_owned(), order)]);
    store.put_order("catalog", &Order::None).unwrap();
    assert_eq!(store.orders().unwrap(), []);
}

#[test]
fn the_old_and_the_too_much_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("byway.db"), "one").unwrap();
    let facts: Vec<Fact> = (0..30_000).map(|n| fact(n, "a")).collect();
    store.append_facts(&facts, at(0)).unwrap();
    let age = Limits { age_max: Duration::from_secs(20_000), bytes_max: u64::MAX };
    assert_eq!(store.retain(age, at(30_000)).unwrap(), 10_000);
    let size = Limits { age_max: Duration::from_secs(1 << 30), bytes_max: 2_000_000 };
    store.retain(size, at(30_000)).unwrap();
    assert!(store.bytes().unwrap() <= 2_000_000);
    let left = store.facts(&FactQuery::default()).unwrap();
    assert_eq!(left.last().unwrap().text("n"), "29999", "the latest stay");
}

#[test]
fn what_is_no_store_or_a_later_one_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("byway.db");
    std::fs::write(&file, "this is a letter, not a database; it is long enough to be read")
        .unwrap();
    assert!(matches!(Store::open(&file, "one"), Err(StoreError::Engine(_))));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("this is a letter"));
    let later = dir.path().join("later.db");
    drop(Store::open(&later, "one").unwrap());
    let connection = rusqlite::Connection::open(&later).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Store::open(&later, "one"), Err(StoreError::TooNew { found: 99, known: 1 })));
    assert!(Store::look(&dir.path().join("none.db")).is_err());
}

#[test]
fn the_writer_writes_everything_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("byway.db");
    let (sender, receiver) = std::sync::mpsc::sync_channel(10_000);
    let limits = Limits { age_max: Duration::from_secs(1 << 30), bytes_max: u64::MAX };
    let store = Store::open(&file, "one").unwrap();
    let writer = Writer::start(store, receiver, limits, || at(0)).unwrap();
    for n in 0..5000 {
        sender.send(fact(n, "a")).unwrap();
    }
    drop(sender);
    writer.finish(Duration::from_secs(60));
    assert_eq!(Store::look(&file).unwrap().facts(&FactQuery::default()).unwrap().len(), 5000);
}
