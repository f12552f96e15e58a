//! Which failures a stored answer bridges, for every class, policy and opt-in.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::expect;
use jiff::Timestamp;

use super::{Copy, RouteCache, bridges};
use crate::classify::Class;
use crate::policy::{Grant, OnBlock};

const HOUR: Duration = Duration::from_secs(3600);

fn policies() -> [OnBlock; 3] {
    let expires = Timestamp::MAX;
    let grant = Grant { owner: "o".to_owned(), reason: "r".to_owned(), expires };
    [OnBlock::Alert, OnBlock::Stale, OnBlock::Detour(grant)]
}

#[test]
fn every_class_has_its_rule() {
    let opted_in = RouteCache { cache: false, stale_if_blocked: Some(6 * HOUR) };
    let cached = RouteCache { cache: true, stale_if_blocked: None };
    let copy = Copy { age: HOUR, is_allowed_on_error: true, is_forbidden: false };
    let mut table = String::from("class: alert stale detour, and by RFC 5861\n");
    for class in Class::ALL {
        let word = |is: bool| if is { "yes" } else { "no" };
        let each = policies().map(|policy| word(bridges(&opted_in, &policy, class, copy)));
        let by_rfc = word(bridges(&cached, &OnBlock::Alert, class, copy));
        writeln!(table, "{}: {}, {by_rfc}", class.as_str(), each.join(" ")).unwrap();
    }
    expect![[r#"
        class: alert stale detour, and by RFC 5861
        ok: no no no, no
        client_error: no no no, no
        auth: no no no, no
        denied: no no no, no
        rate_limited: yes yes yes, no
        blocked_ip: no yes yes, no
        challenge: no yes yes, no
        outage: yes yes yes, yes
        overload: yes yes yes, yes
        connect_timeout: yes yes yes, yes
        read_timeout: yes yes yes, yes
        reset: yes yes yes, yes
        refused: yes yes yes, yes
        dns: yes yes yes, yes
        tls: yes yes yes, yes
        contract: no yes yes, no
        relay_error: yes yes yes, yes
        own_fault: yes yes yes, yes
        local_limit: yes yes yes, no
        cancelled: no no no, no
    "#]]
    .assert_eq(&table);
}

#[test]
fn an_old_copy_bridges_nothing() {
    let opted_in = RouteCache { cache: false, stale_if_blocked: Some(6 * HOUR) };
    for policy in policies() {
        for class in Class::ALL {
            let copy = Copy { age: 7 * HOUR, is_allowed_on_error: true, is_forbidden: false };
            assert!(!bridges(&opted_in, &policy, class, copy), "{class:?}");
        }
    }
}

#[test]
fn without_an_opt_in_only_the_author_allows_it() {
    for class in Class::ALL {
        let copy = Copy { age: Duration::ZERO, is_allowed_on_error: true, is_forbidden: false };
        let none = RouteCache::default();
        assert!(!bridges(&none, &OnBlock::Stale, class, copy), "{class:?}");
        let copy = Copy { is_allowed_on_error: false, ..copy };
        let cached = RouteCache { cache: true, stale_if_blocked: None };
        assert!(!bridges(&cached, &OnBlock::Stale, class, copy), "{class:?}");
    }
}

#[test]
fn what_the_author_forbids_is_not_given_where_the_route_is_cached() {
    let copy = Copy { age: Duration::ZERO, is_allowed_on_error: true, is_forbidden: true };
    for class in Class::ALL {
        let cached = RouteCache { cache: true, stale_if_blocked: Some(HOUR) };
        assert!(!bridges(&cached, &OnBlock::Stale, class, copy), "{class:?}");
    }
    let own = RouteCache { cache: false, stale_if_blocked: Some(HOUR) };
    assert!(bridges(&own, &OnBlock::Stale, Class::BlockedIp, copy), "our own decision");
}
