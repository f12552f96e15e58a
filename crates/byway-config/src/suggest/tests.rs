//! Typing mistakes.

use super::*;

#[test]
fn the_closest_word_is_suggested() {
    let known = ["listen", "workers", "drain"];
    assert_eq!(hint("listne", &known).unwrap(), "did you mean `listen`?");
    assert_eq!(hint("worker", &known).unwrap(), "did you mean `workers`?");
    assert_eq!(hint("colour", &known).unwrap(), "expected `listen`, `workers` or `drain`");
    assert_eq!(hint("x", &[]), None);
    assert_eq!(hint(&"x".repeat(10_000), &["y"]).unwrap(), "expected `y`");
}
