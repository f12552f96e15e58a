//! Callers and providers that mean harm, or only behave as if.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use byway_e2e::gateway::{self, Gateway};
use byway_e2e::origin::Origin;
use byway_e2e::process::{self, Process};
use byway_e2e::raw::{self, Message};
use rustix::process::Signal;
use serde_json::{Value, json};

/// An answer with a length.
fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let n = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {n}\r\n\r\n{body}").into_bytes()
}

/// A provider called `shop` whose answers are a function of the request and of how many came before.
fn shop(answer: impl Fn(&Message, usize) -> Vec<u8> + Send + Sync + 'static) -> Origin {
    let n = AtomicUsize::new(0);
    Origin::answering(move |message| answer(message, n.fetch_add(1, Ordering::SeqCst)))
}

fn gateway(origin: &Origin, provider: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        "[provider.shop]\nurl = \"http://{}\"\nallow_private = true\n{provider}\n\
         [provider.shop.route.all]\nprefix = \"/\"\n{route}\n",
        origin.addr
    ))
}

/// Asks, and waits until the gateway is done with it: an answer is stored after its delivery.
fn ask(gateway: &Gateway, method: &str, rest: &str, fields: &str) -> Message {
    let (addr, n_before) = (gateway.addr, gateway.lines().len());
    let request = format!("{method} /to/shop{rest} HTTP/1.1\r\nHost: {addr}\r\n{fields}\r\n");
    let answer = raw::ask(addr, request.as_bytes());
    process::until("its line", || (gateway.lines().len() > n_before).then_some(()));
    answer
}

#[test]
fn a_head_or_a_callers_condition_never_renews_a_stored_answer_with_less() {
    let origin = shop(|message, n| {
        let fields = format!(
            "Cache-Control: max-age=0, stale-while-revalidate=60\r\n\
             Last-Modified: Mon, 24 Nov 2025 10:00:0{} GMT\r\n",
            n % 10
        );
        let mut whole = answer("200 OK", &fields, &format!("body {n}"));
        if message.first_line().starts_with(b"HEAD ") {
            whole.truncate(whole.len() - "body 0".len());
        }
        whole
    });
    let gateway = gateway(&origin, "", "cache = true");
    assert_eq!(ask(&gateway, "GET", "/x", "").body, b"body 0");
    assert_eq!(ask(&gateway, "HEAD", "/x", "").status(), 200);
    process::until("the renewed answer", || {
        let answer = ask(&gateway, "GET", "/x", "");
        assert!(answer.body.starts_with(b"body "), "{answer:?}");
        (answer.body != b"body 0").then_some(())
    });
    let n_before = origin.messages().len();
    let newer = "If-Modified-Since: Mon, 24 Nov 2025 23:00:00 GMT\r\n";
    assert!(matches!(ask(&gateway, "GET", "/x", newer).status(), 200 | 304));
    process::until("another", || (origin.messages().len() > n_before).then_some(()));
    for asked in origin.messages() {
        assert!(asked.first_line().starts_with(b"GET "), "{asked:?}");
        let condition = asked.field("if-modified-since");
        assert!(!condition.is_some_and(|since| since.contains("23:")), "{asked:?}");
    }
}

/// Tells the operators' listener something.
fn post(gateway: &Gateway, path: &str, fields: &str, body: &str) -> Message {
    let (addr, n) = (gateway.admin, body.len());
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\n{fields}Content-Length: {n}\r\n\r\n");
    raw::ask(addr, format!("{head}{body}").as_bytes())
}

fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.body).unwrap_or_default()
}

const TWO_PATHS: &str = "paths = [\"batch-1\", \"spare\"]\n\
    [path.batch-1.source-ip]\naddr = \"127.0.0.41\"\n[path.spare.source-ip]\naddr = \"127.0.0.42\"\n";

#[test]
fn a_429_ends_a_try_and_closes_the_gate_on_every_path() {
    let origin = shop(|_, _| answer("429 Too Many Requests", "Retry-After: 60\r\n", ""));
    let gateway = gateway(&origin, TWO_PATHS, "");
    let url = format!("{{\"url\": \"http://{}/x\"}}", origin.addr);
    let tried = json(&post(&gateway, "/-/try", "", &url));
    assert_eq!(tried["results"].as_array().map(Vec::len), Some(1), "{tried:#}");
    let again = post(&gateway, "/-/try", "", &url);
    assert_eq!((again.status(), origin.messages().len()), (400, 1), "{again:?}");
    assert_eq!(ask(&gateway, "GET", "/x", "").status(), 429);
    assert_eq!(origin.messages().len(), 1, "nor is a caller's request sent");
}

#[test]
fn a_locked_provider_is_tried_over_its_own_path_only() {
    let origin = shop(|_, _| answer("200 OK", "", ""));
    let gateway = gateway(&origin, TWO_PATHS, "");
    let url = format!("{{\"url\": \"http://{}/x\"}}", origin.addr);
    let n_tried = || json(&post(&gateway, "/-/try", "", &url))["results"].as_array().map(Vec::len);
    assert_eq!(n_tried(), Some(2));
    let lock = json!({"provider": "shop", "order": "lock", "reason": "they said no"}).to_string();
    assert_eq!(post(&gateway, "/-/order", "", &lock).status(), 200);
    assert_eq!(n_tried(), Some(1));
}

#[test]
fn a_429_whose_pause_is_over_already_closes_the_gate_all_the_same() {
    for said in ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "-5", "999999999999999999999999"] {
        let fields = format!("Retry-After: {said}\r\n");
        let origin = shop(move |_, _| answer("429 Too Many Requests", &fields, ""));
        let gateway = gateway(&origin, "wait_max = \"10ms\"\ngate_min = \"30s\"\n", "");
        for _ in 0..3 {
            assert_eq!(ask(&gateway, "GET", "/x", "").status(), 429, "{said}");
        }
        assert_eq!(origin.messages().len(), 1, "{said}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn nobody_passes_a_closed_gate_however_many_wait() {
    let closed = Arc::new(Mutex::new(None));
    let early = Arc::new(AtomicUsize::new(0));
    let (closes, counts) = (Arc::clone(&closed), Arc::clone(&early));
    let origin = shop(move |_, n| {
        let mut closed = closes.lock().expect("no panic");
        if n == 0 {
            *closed = Some(Instant::now());
            return answer("429 Too Many Requests", "Retry-After: 1\r\n", "");
        }
        let is_early = closed.is_some_and(|at| at.elapsed() < Duration::from_secs(1));
        counts.fetch_add(usize::from(is_early), Ordering::SeqCst);
        answer("200 OK", "", "x")
    });
    let gateway = gateway(&origin, "wait_max = \"10s\"\n", "");
    let addr = gateway.addr;
    assert_eq!(ask(&gateway, "POST", "/x", "Content-Length: 0\r\n").status(), 429);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let one = || raw::ask(addr, b"GET /to/shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n").status();
        let all: Vec<_> = (0..300).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
    assert_eq!(early.load(Ordering::SeqCst), 0);
}

#[test]
fn a_suspicious_answer_that_dribbles_is_delivered_as_it_comes() {
    let (seen, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    let origin = Origin::serving(move |stream| {
        let mut stream = stream;
        if raw::read_message(&mut stream, raw::Kind::Request).is_none() {
            return;
        }
        let head =
            b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<";
        let _gone = stream.write_all(head).and_then(|()| stream.flush());
        for byte in b"html>" {
            // Not before the caller has what came before.
            let waits = goes_on.lock().expect("no panic");
            if waits.recv_timeout(raw::PATIENCE).is_err() {
                return;
            }
            let _gone = stream.write_all(&[*byte]).and_then(|()| stream.flush());
        }
    });
    let gateway = gateway(&origin, "", "");
    let mut caller = gateway.connect();
    let request = format!("GET /to/shop/x HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    caller.write_all(request.as_bytes()).expect("taken");
    let (mut got, mut byte) = (Vec::new(), [0]);
    while !got.ends_with(b"<html>") {
        caller.read_exact(&mut byte).expect("what came so far");
        got.push(byte[0]);
        if got.windows(5).any(|w| w == b"\r\n\r\n<") {
            let _last = seen.send(());
        }
    }
}

#[test]
fn a_probe_does_not_drown_in_interim_answers() {
    let n_sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_sent);
    let origin = Origin::serving(move |stream| {
        let mut stream = stream;
        if raw::read_message(&mut stream, raw::Kind::Request).is_none() {
            return;
        }
        while n_sent_on(stream, &counted) {}
    });
    let gateway = gateway(&origin, "", "");
    let url = format!("{{\"url\": \"http://{}/x\"}}", origin.addr);
    let tried = json(&post(&gateway, "/-/try", "", &url));
    assert_eq!(tried["results"][0]["shown"]["code"], "answer_malformed", "{tried:#}");
    assert!(n_sent.load(Ordering::SeqCst) < 100_000);
}

/// One more interim answer, if somebody still listens and there were not too many.
fn n_sent_on(stream: &mut dyn byway_e2e::origin::Stream, n: &AtomicUsize) -> bool {
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    n.fetch_add(1, Ordering::SeqCst) < 100_000 && stream.write_all(interim).is_ok()
}

#[test]
fn the_operators_listener_takes_nothing_from_web_pages_and_no_nonsense() {
    let origin = shop(|_, _| answer("200 OK", "", ""));
    let gateway = gateway(&origin, "", "");
    let lock = json!({"provider": "shop", "order": "lock", "reason": "x"}).to_string();
    for fields in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nContent-Type: text/plain\r\n",
    ] {
        for path in ["/-/order", "/-/try"] {
            assert_eq!(post(&gateway, path, fields, &lock).status(), 403, "{path} {fields}");
        }
    }
    let rebound = b"POST /-/order HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(raw::ask(gateway.admin, rebound).status(), 421);
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("\"lock\"", 400),
        ("{\"provider\": 7, \"order\": \"stop\"}", 404),
        ("{\"provider\": \"nobody\", \"order\": \"stop\"}", 404),
        ("{\"provider\": \"shop\", \"order\": \"lock\", \"reason\": \" \"}", 400),
    ] {
        assert_eq!(post(&gateway, "/-/order", "", body).status(), status, "{body}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(post(&gateway, "/-/order", "", &deep).status(), 400);
    for url in [
        "http://127.0.0.1:1/\\r\\nX: y",
        "http://127.0.0.1:1/a b",
        "http://user:word@127.0.0.1:1/",
        "ftp://127.0.0.1/",
        "http://",
        "127.0.0.1",
    ] {
        let body = format!("{{\"url\": \"{url}\"}}");
        assert_eq!(post(&gateway, "/-/try", "", &body).status(), 400, "{url}");
    }
    assert!(gateway.explained("shop")["order"].is_null());
    let explain = |query: &str| {
        let request = format!("GET /-/explain{query} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin);
        raw::ask(gateway.admin, request.as_bytes()).status()
    };
    assert_eq!(
        [explain("?provider=s%68op"), explain("?provider=shop%"), explain("?provider=%zz")],
        [200, 404, 404]
    );
}

#[test]
fn what_is_private_cannot_be_tried_either() {
    let origin = shop(|_, _| answer("200 OK", "", ""));
    let gateway = Gateway::start("");
    let tried = post(&gateway, "/-/try", "", &format!("{{\"url\": \"http://{}/x\"}}", origin.addr));
    assert_ne!(json(&tried)["results"][0]["shown"]["class"], "ok", "{tried:?}");
    assert_eq!(origin.n_connections(), 0);
}

#[test]
fn a_lock_outlives_the_provider_that_it_is_about() {
    let origin = shop(|_, _| answer("200 OK", "", ""));
    let sections =
        format!("[provider.shop]\nurl = \"http://{}\"\nallow_private = true\n", origin.addr);
    let gateway = Gateway::start(&sections);
    let lock = json!({"provider": "shop", "order": "lock", "reason": "they said no"}).to_string();
    assert_eq!(post(&gateway, "/-/order", "", &lock).status(), 200);
    for (n, text) in [(1, ""), (2, sections.as_str())] {
        std::fs::write(&gateway.config, format!("{}{text}", gateway::HEAD)).expect("writable");
        gateway.signal(Signal::HUP);
        process::until("a reload", || {
            (gateway.metric("byway_reloads_total", "") >= n).then_some(())
        });
    }
    assert_eq!(gateway.explained("shop")["order"]["kind"], "locked");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn a_locked_store_makes_neither_requests_nor_metrics_wait() {
    let origin = shop(|_, _| answer("200 OK", "", ""));
    let gateway = gateway(&origin, "", "cache = true");
    let spawned = Command::new("sqlite3")
        .arg(gateway.state().join("byway.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(spawned) = spawned else { return process::skip("there is no sqlite3") };
    let mut other = Process(spawned);
    let mut says = other.0.stdin.take().expect("piped");
    says.write_all(b"BEGIN IMMEDIATE;\nSELECT 'locked';\n").expect("taken");
    let mut heard = String::new();
    let mut hears = BufReader::new(other.0.stdout.take().expect("piped"));
    hears.read_line(&mut heard).expect("it answers");
    assert_eq!(heard, "locked\n");
    let stop = json!({"provider": "shop", "order": "stop"}).to_string();
    std::thread::scope(|scope| {
        let began = Instant::now();
        let ordered = scope.spawn(|| post(&gateway, "/-/order", "", &stop).status());
        for n in 0..20 {
            assert_eq!(ask(&gateway, "GET", &format!("/{n}"), "").status(), 200);
            assert_eq!(gateway.metric("byway_reloads_total", ""), 0);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(began.elapsed() < Duration::from_secs(4), "less than the store waits");
        says.write_all(b"COMMIT;\n").expect("taken");
        assert_eq!(ordered.join().expect("no panic"), 200);
    });
}

#[test]
fn a_confirmed_answer_keeps_the_connection_that_confirmed_it() {
    let origin = shop(|message, _| match message.field("if-none-match") {
        Some(_) => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_vec(),
        None => answer("200 OK", "Cache-Control: max-age=0\r\nETag: \"a\"\r\n", "x"),
    });
    let gateway = gateway(&origin, "", "cache = true");
    let mut caller = gateway.connect();
    for n in 0..5 {
        let request = format!("GET /to/shop/x HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
        caller.write_all(request.as_bytes()).expect("taken");
        let given = raw::read_message(&mut caller, raw::Kind::Answer).expect("an answer");
        assert_eq!((given.status(), given.body.as_slice()), (200, &b"x"[..]));
        process::until("its line", || (gateway.lines().len() > n).then_some(()));
    }
    assert_eq!((origin.messages().len(), origin.n_connections()), (5, 1));
}

/// A provider's answers are stored, and then its disk fails in one way or another.
#[test]
fn a_shelf_that_breaks_meanwhile_breaks_no_request() {
    let origin = shop(|_, n| answer("200 OK", "Cache-Control: max-age=60\r\n", &format!("{n}")));
    for breaks in ["delete", "garble", "replace"] {
        let gateway = gateway(&origin, "", "cache = true");
        ask(&gateway, "GET", "/before", "");
        let file = gateway.state().join("copies.db");
        for name in ["copies.db", "copies.db-wal", "copies.db-shm"] {
            let file = gateway.state().join(name);
            let done = match breaks {
                "delete" => std::fs::remove_file(file),
                _ => std::fs::write(file, "x".repeat(9999)),
            };
            done.expect("ours");
        }
        if breaks == "replace" {
            std::fs::remove_file(&file).and_then(|()| std::fs::create_dir(&file)).expect("ours");
        }
        for n in 0..4 {
            let first = ask(&gateway, "GET", &format!("/{n}"), "");
            let again = ask(&gateway, "GET", &format!("/{n}"), "");
            assert_eq!((first.status(), &first.body), (200, &again.body), "{breaks}");
            assert_eq!(
                ask(&gateway, "POST", &format!("/{n}"), "Content-Length: 0\r\n").status(),
                200
            );
        }
        assert!(!gateway.errors().iter().any(|line| line.contains("panicked")), "{breaks}");
    }
}

#[test]
fn with_no_room_at_all_nothing_is_stored_and_everything_is_answered() {
    let origin = shop(|_, _| answer("200 OK", "Cache-Control: max-age=60\r\n", "x"));
    let none = "[state]\ncache_memory_bytes_max = \"0\"\ncache_disk_bytes_max = \"0\"\n";
    let gateway = gateway(&origin, "", &format!("cache = true\n{none}"));
    for n in 1..=3 {
        assert_eq!(ask(&gateway, "GET", "/x", "").body, b"x");
        assert_eq!(origin.messages().len(), n);
    }
}

#[test]
fn what_memory_has_no_room_for_is_given_from_disk() {
    let origin = shop(|_, _| answer("200 OK", "Cache-Control: max-age=60\r\n", "x"));
    let gateway = gateway(&origin, "", "cache = true\n[state]\ncache_memory_bytes_max = \"0\"\n");
    ask(&gateway, "GET", "/x", "");
    process::until("a hit", || {
        ask(&gateway, "GET", "/x", "").field("cache-status").is_some().then_some(())
    });
}
