//! The shipped drills are well-formed, and mistakes are told with their line.

use super::{SHIPPED, Scenario};

#[test]
fn every_shipped_drill_can_be_read() {
    for (name, text) in SHIPPED {
        let scenario = Scenario::parse(text).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert!(!scenario.expects.is_empty() || !scenario.forbids.is_empty(), "{name}");
        assert!(scenario.title.iter().all(|title| !title.is_empty()), "{name}");
        let n_acts = scenario.acts.windows(2).filter(|pair| pair[0].at > pair[1].at).count();
        assert_eq!(n_acts, 0, "{name}: the timetable is in order");
        assert!(scenario.acts.iter().all(|act| act.at < scenario.lasts), "{name}");
    }
}

#[test]
fn mistakes_are_told_with_their_line() {
    let wrong = |text: &str| Scenario::parse(text).unwrap_err().to_string();
    assert_eq!(wrong("fro 10m"), "line 1: `fro` is not known");
    let good = "for 1m\nprovider a alert\npath p 127.0.0.2\n";
    assert_eq!(wrong(&format!("{good}at 0:10 a q ok")), "line 4: no path is called `q`");
    assert_eq!(wrong(&format!("{good}at 0:10 b all ok")), "line 4: no provider is called `b`");
    assert_eq!(wrong(&format!("{good}at x a all ok")), "line 4: `x` is not a time");
    assert_eq!(wrong(&format!("{good}at 1s a all page x")), "line 4: no page is called `x`");
    assert_eq!(wrong("for 1m"), "line 0: a drill needs a provider");
}
