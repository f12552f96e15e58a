//! Courts: shared, bounded, kept over reloads, and no harm to traffic when their judge breaks.

use std::sync::Arc;

use byway_core::classify::{Blame, Class, Confidence, Outcome, Resend};
use byway_core::detect::Shown;
use byway_core::detour::{Order, Said};
use byway_core::diagnose::Elsewhere;
use byway_core::judge::Leave;
use byway_core::policy::Policy;
use jiff::Timestamp;

use super::{Control, Court, Courts, N_OBSERVED_MAX};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + second).unwrap()
}

fn paths(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
}

fn of(courts: &Courts, name: &str, names: &[&str]) -> Arc<Court> {
    courts.of(name, &Policy::default(), &paths(names), 0)
}

fn shown(class: Class) -> Shown {
    let outcome = Outcome::plain(class, Blame::Network, Confidence::Strong, Resend::IfIdempotent);
    Shown { outcome, status: None, cause: None }
}

fn stopped() -> Order {
    Order::Stopped(Said { by: "kim".to_owned(), reason: String::new(), at: at(0) })
}

#[test]
fn a_broken_judge_stops_nobody() {
    let courts = Courts::default();
    let court = of(&courts, "shop", &["a", "b"]);
    assert!(matches!(court.ask(at(0)), Some(Leave::Go(_))));
    let broken = Arc::clone(&court);
    let broke = std::thread::spawn(move || {
        let _judge = broken.judge.lock();
        panic!("the judge breaks");
    });
    assert!(broke.join().is_err());
    assert!(court.ask(at(1)).is_none(), "everything goes on without it");
    assert!(!court.may_retry(at(1)) && court.gate_opens_in(at(1)).is_none());
    assert!(!court.permission(0, at(1)).is_granted);
    // Neither a reload nor the surroundings of others fall over it.
    let other = of(&courts, "pay", &["a"]);
    courts.surroundings(&other, Control::default(), at(1));
    assert!(matches!(of(&courts, "shop", &["a", "b"]).ask(at(2)), Some(Leave::Go(_))));
}

#[test]
fn what_is_known_survives_a_reload_and_an_order_survives_other_paths() {
    let courts = Courts::default();
    let court = of(&courts, "shop", &["a", "b"]);
    assert!(courts.order("shop", stopped()));
    assert!(Arc::ptr_eq(&court, &of(&courts, "shop", &["a", "b"])));
    let other = of(&courts, "shop", &["a", "c"]);
    assert!(!Arc::ptr_eq(&court, &other), "other paths, other judge");
    assert_eq!(other.judge().unwrap().ordered(), &stopped());
    courts.retain(&["pay"]);
    assert!(courts.find("shop").is_none());
}

#[test]
fn hosts_that_nobody_lists_are_bounded_and_those_in_trouble_stay() {
    let courts = Courts::default();
    let bad = courts.observed("bad.example").unwrap();
    let Some(Leave::Go(passage)) = bad.ask(at(0)) else { panic!("no leave") };
    for _ in 0..2 {
        bad.finish(0, &passage, &shown(Class::Refused), at(0));
    }
    for n in 0..3 * N_OBSERVED_MAX {
        courts.observed(&format!("{n}.example"));
        assert!(courts.all().len() <= N_OBSERVED_MAX);
    }
    assert!(Arc::ptr_eq(&bad, &courts.observed("bad.example").unwrap()));
}

#[test]
fn only_what_others_showed_since_the_trouble_began_speaks_for_a_path() {
    let courts = Courts::default();
    let (shop, pay) = (of(&courts, "shop", &["a", "b"]), of(&courts, "pay", &["b"]));
    let ok = Outcome::plain(Class::Ok, Blame::Provider, Confidence::Strong, Resend::Never);
    pay.carry(0, &ok, at(0));
    let Some(Leave::Go(passage)) = shop.ask(at(10)) else { panic!("no leave") };
    shop.finish(1, &passage, &shown(Class::Refused), at(10));
    let seen = |second| courts.surroundings(&shop, Control::default(), at(second)).paths;
    assert_eq!(seen(11), [Elsewhere::Unknown, Elsewhere::Unknown]);
    pay.carry(0, &shown(Class::Refused).outcome, at(12));
    assert_eq!(seen(13), [Elsewhere::Unknown, Elsewhere::Failing]);
    pay.carry(0, &ok, at(14));
    assert_eq!(seen(15), [Elsewhere::Unknown, Elsewhere::Good]);
}
