//! Stored answers: found by whom they are for, bounded, forgotten, kept as bytes.

use std::time::Duration;

use byway_core::freshness::CacheLimits;
use byway_core::route::{Origin, Scheme};
use jiff::Timestamp;

use super::answer::Giving;
use super::{Asked, Cache, Copies, Digest, KeptAnswer, Shelf, Stored};
use crate::witness::Caught;

const TARGET: Digest = [7; 32];

fn cache(limits: CacheLimits) -> Cache {
    Cache::new(limits, None)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_000_000 + second).unwrap()
}

fn asked(cache: &Cache, fields: &str) -> Asked {
    Asked::of(format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(), false, cache)
}

fn caught(fields: &str, body: &[u8]) -> Caught {
    let n = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {n}\r\n\r\n");
    Caught { head: head.into_bytes(), body: body.to_vec(), ..Caught::default() }
}

fn stored(cache: &Cache, asked: &Asked, fields: &str, is_forced: bool) -> Option<Stored> {
    Stored::of(&caught(fields, b"body"), asked, TARGET, cache, is_forced, at(0))
}

/// Whether memory has an answer for this request.
fn finds(cache: &Cache, asked: &Asked) -> bool {
    cache.inside().find(&TARGET, asked).is_some()
}

#[test]
fn answers_are_never_shared_between_credentials() {
    for field in [
        "Authorization: Bearer a\r\n",
        "Cookie: s=1\r\n",
        "X-Api-Key: k\r\n",
        "X-Naver-Client-Secret: k\r\n",
        "Private-Token: k\r\n",
        "Ocp-Apim-Subscription-Key: k\r\n",
    ] {
        let cache = cache(CacheLimits::default());
        let mine = asked(&cache, field);
        cache.put(
            stored(&cache, &mine, "Cache-Control: public, max-age=60\r\n", false).unwrap(),
            &mine,
        );
        assert!(finds(&cache, &mine), "{field}");
        assert!(!finds(&cache, &asked(&cache, "")), "{field}");
        let other = field.replace(": ", ": other-");
        assert!(!finds(&cache, &asked(&cache, &other)), "{field}");
    }
}

#[test]
fn vary_keeps_answers_apart() {
    let cache = cache(CacheLimits::default());
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language, X-Shop\r\n";
    let korean = asked(&cache, "Accept-Language: ko\r\nX-Shop: 1\r\n");
    let english = asked(&cache, "Accept-Language: en\r\nX-Shop: 1\r\n");
    cache.put(stored(&cache, &korean, fields, false).unwrap(), &korean);
    assert!(finds(&cache, &korean) && !finds(&cache, &english));
    cache.put(stored(&cache, &english, fields, false).unwrap(), &english);
    assert!(finds(&cache, &korean) && finds(&cache, &english));
    assert_eq!(cache.size().0, 2);
    cache.put(stored(&cache, &korean, fields, false).unwrap(), &korean);
    assert_eq!(cache.size().0, 2, "an answer takes the place of the one before it");
    assert!(stored(&cache, &korean, "Cache-Control: max-age=60\r\nVary: *\r\n", false).is_none());
}

#[test]
fn nothing_is_stored_that_should_not_be() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "");
    let whole = |caught: &Caught, asked: &Asked, is_forced| {
        Stored::of(caught, asked, TARGET, &cache, is_forced, at(0)).is_some()
    };
    let fresh = caught("Cache-Control: max-age=60\r\n", b"x");
    assert!(whole(&fresh, &plain, false));
    let cut = Caught { is_cut: true, ..caught("Cache-Control: max-age=60\r\n", b"x") };
    assert!(!whole(&cut, &plain, false) && !whole(&cut, &plain, true), "half an answer");
    assert!(!whole(&fresh, &asked(&cache, "Range: bytes=0-1\r\n"), true), "a part");
    assert!(!whole(&fresh, &asked(&cache, "Cache-Control: no-store\r\n"), true), "asked not to");
    let own = caught("Cache-Control: no-store\r\n", b"x");
    assert!(!whole(&own, &plain, false), "the provider says no");
    assert!(whole(&own, &plain, true), "the operator opted in");
    let private = asked(&cache, "Authorization: Bearer a\r\n");
    assert!(!whole(&fresh, &private, false), "shared caches need leave (RFC 9111 §3.5)");
    assert!(whole(&fresh, &private, true), "kept apart by credentials");
    for status in
        ["403 Forbidden", "500 Oops", "206 Partial Content", "404 Not Found", "204 No Content"]
    {
        let head = format!("HTTP/1.1 {status}\r\nCache-Control: max-age=60\r\n\r\n").into_bytes();
        let error = Caught { head, ..Caught::default() };
        assert!(!whole(&error, &plain, true), "{status}");
    }
}

#[test]
fn what_is_kept_comes_back_the_same_and_damage_is_no_answer() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "Accept: */*\r\nAuthorization: Bearer secret-value\r\n");
    let fields =
        "Cache-Control: public, max-age=60\r\nETag: \"a\"\r\nX-Name: \u{e9}\r\nVary: Accept\r\n";
    let before = stored(&cache, &plain, fields, false).unwrap();
    let bytes = before.write();
    assert!(!bytes.windows(12).any(|w| w == b"secret-value"), "no credential is kept");
    let after = Stored::read(TARGET, before.variant, &bytes).unwrap();
    assert_eq!(text(&before, 5), text(&after, 5));
    assert!(
        after.is_for(&plain) && after.is_fresh(&plain, at(30)) && !after.is_fresh(&plain, at(61))
    );
    for n in 0..bytes.len() {
        let cut = bytes.get(..n).unwrap();
        // A cut head is nothing; a cut body cannot be told here, the store keeps answers whole.
        let head_len =
            4 + usize::try_from(u32::from_be_bytes(bytes[..4].try_into().unwrap())).unwrap();
        assert_eq!(Stored::read(TARGET, before.variant, cut).is_some(), n >= head_len, "{n}");
    }
}

fn text(stored: &Stored, second: i64) -> String {
    let mut out = Vec::new();
    let giving = Giving {
        instance: "byway",
        forwarded: None,
        because: None,
        is_head: false,
        is_known: false,
        close: false,
        is_old_http: false,
        now: at(second),
    };
    stored.give(&mut out, &giving);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_given_answer_tells_its_age_and_leaves_the_old_connection_out() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "");
    let fields = "Cache-Control: public, max-age=60\r\nAge: 3\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Id: 7\r\n\
                  Set-Cookie: a=1\r\nKeep-Alive: timeout=5\r\n";
    let stored = stored(&cache, &plain, fields, true).unwrap();
    let given = text(&stored, 10);
    assert!(given.starts_with("HTTP/1.1 200 OK\r\n") && given.ends_with("\r\n\r\nbody"), "{given}");
    assert!(given.contains("\r\nAge: 13\r\n") && given.contains("\r\nX-Id: 7\r\n"), "{given}");
    assert!(!given.contains("X-Hop") && !given.contains("Keep-Alive"), "{given}");
    let mut out = Vec::new();
    let because = Some((None, "blocked_ip"));
    let giving = Giving {
        instance: "byway",
        forwarded: Some(403),
        because,
        is_head: true,
        is_known: false,
        close: true,
        is_old_http: false,
        now: at(90),
    };
    stored.give(&mut out, &giving);
    let given = String::from_utf8(out).unwrap();
    assert!(!given.contains("Set-Cookie"), "an old session is not begun again: {given}");
    let status = "Cache-Status: byway; fwd=stale; fwd-status=403; ttl=-33; detail=blocked_ip\r\n";
    assert!(given.contains(status), "{given}");
    assert!(
        given.contains("Proxy-Status: byway; received-status=403; details=\"blocked_ip\"\r\n"),
        "{given}"
    );
    assert!(given.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\n"), "{given}");
}

#[test]
fn memory_is_bounded_and_what_is_used_stays_longest() {
    let limits = CacheLimits { memory_bytes_max: 20_000, ..CacheLimits::default() };
    let cache = cache(limits);
    let used = asked(&cache, "Cookie: used\r\n");
    cache.put(stored(&cache, &used, "Cache-Control: max-age=60\r\n", true).unwrap(), &used);
    for n in 0..200 {
        let mut target = TARGET;
        target[0] = u8::try_from(n).unwrap();
        target[1] = 1;
        let plain = asked(&cache, "");
        let body = vec![b'x'; 500];
        let answer = caught("Cache-Control: max-age=60\r\n", &body);
        let stored = Stored::of(&answer, &plain, target, &cache, false, at(0)).unwrap();
        cache.put(stored, &plain);
        assert!(cache.size().1 <= 20_000, "{:?}", cache.size());
        assert!(finds(&cache, &used), "after {n}");
    }
    assert!(cache.size().0 > 3);
}

#[test]
fn a_304_confirms_only_what_it_is_about() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "");
    let stored =
        stored(&cache, &plain, "Cache-Control: max-age=1\r\nETag: \"a\"\r\n", false).unwrap();
    assert_eq!(stored.validators(), b"If-None-Match: \"a\"\r\n");
    let head =
        |tag: &str| format!("HTTP/1.1 304 x\r\nETag: {tag}\r\nCache-Control: max-age=9\r\n\r\n");
    assert!(stored.confirmed(head("\"b\"").as_bytes(), &cache, at(5)).is_none());
    let confirmed = stored.confirmed(head("W/\"a\"").as_bytes(), &cache, at(5)).unwrap();
    assert!(confirmed.is_fresh(&plain, at(13)) && !confirmed.is_fresh(&plain, at(15)));
    assert!(confirmed.is_for(&plain));
}

#[test]
fn a_caller_that_has_the_answer_is_told_so() {
    let cache = cache(CacheLimits::default());
    let fields = "ETag: \"a\"\r\nLast-Modified: Mon, 24 Nov 2025 10:00:00 GMT\r\n";
    let stored = stored(&cache, &asked(&cache, ""), fields, true).unwrap();
    for (condition, is_known) in [
        ("If-None-Match: \"a\"\r\n", true),
        ("If-None-Match: W/\"a\"\r\n", true),
        ("If-None-Match: \"x\", \"a\"\r\n", true),
        ("If-None-Match: *\r\n", true),
        ("If-None-Match: \"b\"\r\n", false),
        ("If-Modified-Since: Mon, 24 Nov 2025 10:00:00 GMT\r\n", true),
        ("If-Modified-Since: Mon, 24 Nov 2025 09:59:59 GMT\r\n", false),
        ("If-Modified-Since: yesterday\r\n", false),
        ("If-None-Match: \"b\"\r\nIf-Modified-Since: Mon, 24 Nov 2025 10:00:00 GMT\r\n", false),
        ("", false),
    ] {
        assert_eq!(stored.is_known_to(&asked(&cache, condition)), is_known, "{condition}");
    }
}

#[test]
fn ages_that_are_none_are_very_old() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "");
    for (age, is_fresh) in [
        ("Age: 0\r\n", true),
        ("Age: 61\r\n", false),
        ("Age: x\r\n", false),
        ("Age: -1\r\n", false),
        ("Age: 1.5\r\n", false),
        ("Age: 0, 0\r\n", false),
        ("Age: 0\r\nAge: 0\r\n", false),
        ("Age: 99999999999999999999\r\n", false),
    ] {
        let fields = format!("Cache-Control: Max-Age=60\r\n{age}");
        let stored = stored(&cache, &plain, &fields, false).unwrap();
        assert_eq!(stored.is_fresh(&plain, at(1)), is_fresh, "{age}");
    }
}

#[test]
fn stale_answers_are_given_meanwhile_and_on_error_as_their_author_says() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "");
    let fields = "Cache-Control: max-age=10, stale-while-revalidate=20, stale-if-error=60\r\n";
    let answer = stored(&cache, &plain, fields, false).unwrap();
    assert!(
        answer.is_allowed_meanwhile(&plain, at(25)) && !answer.is_allowed_meanwhile(&plain, at(31))
    );
    assert!(!answer.is_allowed_meanwhile(&asked(&cache, "Cache-Control: no-cache\r\n"), at(25)));
    let copy = answer.copy(&plain, at(65));
    assert!(copy.is_allowed_on_error && !copy.is_forbidden);
    assert_eq!(copy.age, Duration::from_secs(65));
    assert!(!answer.copy(&plain, at(71)).is_allowed_on_error);
    let fields = "Cache-Control: max-age=10, must-revalidate, stale-if-error=60\r\n";
    let answer = stored(&cache, &plain, fields, false).unwrap();
    assert!(answer.copy(&plain, at(11)).is_forbidden);
    for forbids in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let fields = format!("Cache-Control: max-age=10, stale-while-revalidate=20, {forbids}\r\n");
        let answer = stored(&cache, &plain, &fields, false).unwrap();
        assert!(!answer.is_allowed_meanwhile(&plain, at(25)), "{forbids}");
    }
}

#[test]
fn the_same_target_of_another_scheme_is_another_thing() {
    let cache = cache(CacheLimits::default());
    let origin = |scheme: Scheme| Origin {
        scheme,
        host: "a.example".to_owned(),
        port: scheme.default_port(),
    };
    let (http, https) = (origin(Scheme::Http), origin(Scheme::Https));
    assert_eq!(http.authority(), https.authority());
    assert_ne!(cache.target("a", &http, b"/x"), cache.target("a", &https, b"/x"));
}

#[test]
fn a_vary_that_the_rules_cannot_read_is_not_stored() {
    let cache = cache(CacheLimits::default());
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language, \u{e9}\r\n";
    assert!(stored(&cache, &asked(&cache, ""), fields, true).is_none());
}

#[test]
fn numbers_that_are_too_large_do_no_harm() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "Cache-Control: stale-if-error=18446744073709551615\r\n");
    for n in ["18446744073709551615", "9223372036854775807", "99999999999999999999", "-1", "1e9"] {
        let fields = format!(
            "Cache-Control: max-age={n}, stale-while-revalidate={n}, stale-if-error={n}\r\nAge: 9999999999\r\n\
             Date: Mon, 24 Nov 2025 10:00:00 GMT\r\nExpires: Fri, 31 Dec 9999 23:59:59 GMT\r\n"
        );
        let stored = stored(&cache, &plain, &fields, true).unwrap();
        for second in [-1_000_000_000, 0, 1_000_000_000] {
            let now = at(second);
            let _any = (stored.is_fresh(&plain, now), stored.is_allowed_meanwhile(&plain, now));
            let _any = (stored.copy(&plain, now), text(&stored, second));
        }
    }
}

/// A shelf that answers when it is told to.
#[derive(Debug, Default)]
struct Slow {
    kept: std::sync::Mutex<Vec<KeptAnswer>>,
    errands: Errands,
}

#[derive(Default)]
struct Errands(std::sync::Mutex<Vec<Errand>>);

type Errand = (Digest, Box<dyn FnOnce(Vec<KeptAnswer>) + Send>);

impl std::fmt::Debug for Errands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Errands")
    }
}

impl Slow {
    fn answers(&self) {
        for (target, tell) in std::mem::take(&mut *self.errands.0.lock().unwrap()) {
            let kept = self.kept.lock().unwrap().clone();
            tell(kept.into_iter().filter(|kept| kept.target == target).collect());
        }
    }
}

impl Shelf for Slow {
    fn put(&self, kept: KeptAnswer) {
        self.kept.lock().unwrap().push(kept);
    }

    fn remove(&self, target: Digest) {
        self.kept.lock().unwrap().retain(|kept| kept.target != target);
    }

    fn may_have(&self, target: &Digest) -> bool {
        self.kept.lock().unwrap().iter().any(|kept| kept.target == *target)
    }

    fn find(&self, target: Digest, tell: Box<dyn FnOnce(Vec<KeptAnswer>) + Send>) {
        self.errands.0.lock().unwrap().push((target, tell));
    }
}

/// A memory before a shelf that already has an answer to a plain request.
fn before_a_shelf(limits: CacheLimits) -> (Cache, std::sync::Arc<Slow>, Asked) {
    let shelf = std::sync::Arc::new(Slow::default());
    let copies = || Copies { shelf: std::sync::Arc::<Slow>::clone(&shelf), secret: [1; 32] };
    let first = Cache::new(CacheLimits::default(), Some(copies()));
    let plain = asked(&first, "");
    let answer = stored(&first, &plain, "Cache-Control: max-age=60\r\n", false).unwrap();
    first.put(answer, &plain);
    (Cache::new(limits, Some(copies())), shelf, plain)
}

/// Asks, and lets the shelf answer before or after the request has gone on.
async fn find(cache: &Cache, shelf: &Slow, asked: &Asked, is_late: bool) -> bool {
    let answers = async {
        if !is_late {
            tokio::task::yield_now().await;
            shelf.answers();
        }
    };
    tokio::join!(cache.find(TARGET, asked), answers).0.is_some()
}

#[tokio::test]
async fn a_shelf_that_is_late_or_has_no_time_is_not_given_up() {
    let (cache, shelf, plain) = before_a_shelf(CacheLimits::default());
    assert!(!find(&cache, &shelf, &plain, true).await, "later than a request waits");
    shelf.answers();
    assert!(finds(&cache, &plain), "for the next one");
    let (cache, shelf, plain) = before_a_shelf(CacheLimits::default());
    assert!(!find(&cache, &shelf, &plain, true).await);
    shelf.errands.0.lock().unwrap().clear();
    assert!(find(&cache, &shelf, &plain, false).await, "asked again");
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_found_on_the_shelf_again_and_again() {
    let limits = CacheLimits { memory_bytes_max: 0, ..CacheLimits::default() };
    let (cache, shelf, plain) = before_a_shelf(limits);
    for _ in 0..2 {
        assert!(find(&cache, &shelf, &plain, false).await);
    }
    let answer = stored(&cache, &plain, "Cache-Control: max-age=60\r\n", false).unwrap();
    cache.put(answer, &plain);
    assert!(find(&cache, &shelf, &plain, false).await);
    assert_eq!(cache.size(), (0, 0));
}

#[tokio::test]
async fn a_shelf_does_not_bring_back_what_was_changed_meanwhile() {
    let (cache, shelf, plain) = before_a_shelf(CacheLimits::default());
    assert!(!find(&cache, &shelf, &plain, true).await);
    let kept = shelf.kept.lock().unwrap().clone();
    cache.remove(TARGET);
    *shelf.kept.lock().unwrap() = kept;
    shelf.answers();
    assert!(!finds(&cache, &plain));
}

#[test]
fn an_answer_takes_the_place_of_all_that_it_supersedes() {
    let cache = cache(CacheLimits::default());
    let plain = asked(&cache, "");
    let put = |fields: &str, body: &[u8], second| {
        let answer = caught(fields, body);
        let stored = Stored::of(&answer, &plain, TARGET, &cache, false, at(second)).unwrap();
        cache.put(stored, &plain);
    };
    put("Cache-Control: max-age=60\r\nVary: Accept\r\n", b"1", 0);
    put("Cache-Control: max-age=60\r\nVary: Cookie\r\n", b"2", 1);
    put("Cache-Control: max-age=60\r\n", b"3", 2);
    assert_eq!(cache.size().0, 1);
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let cache = cache(CacheLimits::default());
    for n in 0..1000_u32 {
        cache.remove(cache.digest(&[&n.to_be_bytes()]));
    }
    assert!(cache.inside().asked.is_empty() && cache.inside().asking.is_empty());
}
