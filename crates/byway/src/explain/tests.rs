//! What people see, in both languages.

use expect_test::expect;
use serde_json::json;

use super::{overview, table, text};
use crate::words::{Language, Words};

fn known() -> serde_json::Value {
    let path = |name: &str, state: &str| json!({ "name": name, "state": state });
    json!({
        "providers": [
            { "name": "catalog", "paths": [path("batch-1", "down"), path("lambda-1", "up")] },
            { "name": "pay", "paths": [path("lambda-1", "up"), path("office", "ramping")] },
        ],
    })
}

#[test]
fn paths_and_providers_make_a_matrix() {
    let known = known();
    let providers = known["providers"].as_array().unwrap();
    expect![[r#"
        path      catalog  pay
        batch-1   DOWN     ·
        lambda-1  up       up
        office    ·        ramping
    "#]]
    .assert_eq(&overview(&Words::new(Language::En).unwrap(), providers));
    expect![[r#"
        경로      catalog    pay
        batch-1   차단·장애  ·
        lambda-1  정상       정상
        office    ·          늘리는 중
    "#]]
    .assert_eq(&overview(&Words::new(Language::Ko).unwrap(), providers));
}

#[test]
fn columns_stand_under_each_other_whatever_the_letters_and_the_rows() {
    let rows: Vec<Vec<String>> = [&["가", "b"][..], &["ccc"], &["d", "e", "f"]]
        .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect())
        .to_vec();
    assert_eq!(table(&rows, "> "), "> 가   b\n> ccc\n> d    e  f\n");
    let none: [[String; 2]; 0] = [];
    assert_eq!(table(&none, ""), "");
}

#[test]
fn without_providers_that_is_said() {
    let words = Words::new(Language::En).unwrap();
    let said = text(&words, &json!({ "providers": [] }));
    assert_eq!(said, "No provider is judged yet: nothing was called.\n");
}
