//! Whose doing it is: the four ways, with data that is old, missing, or only just there.

use core::time::Duration;

use jiff::Timestamp;

use super::{Attribution, Side, attribute};

const MAX: Duration = Duration::from_secs(180);
const HOLD: Duration = Duration::from_secs(120);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + second).unwrap()
}

/// A side with these results: `100+` passed in second 100, `100-` failed then.
fn side(results: &str) -> Side {
    let mut side = Side::default();
    for result in results.split_whitespace() {
        let (second, sign) = result.split_at(result.len() - 1);
        side.observe(sign == "+", at(second.parse().unwrap()));
    }
    side
}

#[test]
fn both_sides_decide_and_a_short_lift_is_nobodys_repair() {
    use Attribution::{Broken, Inconclusive, Ours, Theirs};
    for (new, old, expected) in [
        ("990+", "980-", Ours),
        ("990+", "800+ 860+ 920+ 980+", Theirs),
        ("990+", "980+", Inconclusive),
        ("990+", "900+ 930+ 990+", Inconclusive),
        ("990+", "800+ 860- 920+ 980+", Inconclusive),
        ("990+", "800+ 980-", Ours),
        ("990-", "980+", Broken),
        ("990-", "980-", Inconclusive),
        ("990+", "", Inconclusive),
        ("", "980-", Inconclusive),
        ("990+", "700-", Inconclusive),
        ("700+", "980-", Inconclusive),
        ("990+", "500+ 700+", Inconclusive),
    ] {
        let who = attribute(side(new), side(old), MAX, HOLD, at(1000));
        assert_eq!(who, expected, "new {new}, old {old}");
    }
}
