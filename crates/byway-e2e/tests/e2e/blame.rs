//! Who is to blame, what is done about it, and how that is told: the judge on real traffic.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use byway_e2e::command::byway;
use byway_e2e::gateway::Gateway;
use byway_e2e::origin::{self, Origin};
use byway_e2e::process;
use byway_e2e::raw;
use serde_json::Value;

const PAGE: &str = "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n\
    You don't have permission to access this resource on this server.<P>\nReference #18.9c5d.1764.2b4c\n</BODY></HTML>";

/// A provider that treats addresses as it is told, and counts what each of them asked.
struct Shop {
    origin: Origin,
    answers: Arc<Mutex<BTreeMap<IpAddr, Vec<u8>>>>,
    asked: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

fn page() -> Vec<u8> {
    let n = PAGE.len();
    let head = "HTTP/1.1 403 Forbidden\r\nServer: AkamaiGHost\r\nContent-Type: text/html\r\n";
    format!("{head}Content-Length: {n}\r\n\r\n{PAGE}").into_bytes()
}

fn json(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let n = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}Content-Length: {n}\r\n\r\n{body}")
        .into_bytes()
}

impl Shop {
    fn open() -> Self {
        let answers: Arc<Mutex<BTreeMap<IpAddr, Vec<u8>>>> = Arc::default();
        let asked: Arc<Mutex<BTreeMap<IpAddr, usize>>> = Arc::default();
        let (given, counted) = (Arc::clone(&answers), Arc::clone(&asked));
        let origin = Origin::at("127.0.0.1:0", None, move |_, stream, peer| {
            let mut stream = stream;
            while raw::read_message(&mut stream, raw::Kind::Request).is_some() {
                *counted.lock().expect("no panic").entry(peer.ip()).or_default() += 1;
                let answer = given.lock().expect("no panic").get(&peer.ip()).cloned();
                let answer = answer.unwrap_or_else(|| json("200 OK", "", "{\"ok\":true}"));
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self { origin, answers, asked }
    }

    fn treats(&self, source: &str, answer: Vec<u8>) {
        let source = source.parse().expect("an address");
        self.answers.lock().expect("no panic").insert(source, answer);
    }

    fn n_asked(&self, source: &str) -> usize {
        let source: IpAddr = source.parse().expect("an address");
        self.asked.lock().expect("no panic").get(&source).copied().unwrap_or_default()
    }

    /// A gateway with two paths to it and these settings of the provider.
    fn gateway(&self, settings: &str) -> Gateway {
        Gateway::start(&self.sections(settings))
    }

    fn sections(&self, settings: &str) -> String {
        format!(
            "[path.batch-1]\ngroup = \"office\"\n[path.batch-1.source-ip]\naddr = \"127.0.0.41\"\n\
             [path.spare]\ngroup = \"cloud\"\nexit = \"203.0.113.9\"\n[path.spare.source-ip]\naddr = \"127.0.0.42\"\n\
             [provider.shop]\nurl = \"http://{}\"\nallow_private = true\npaths = [\"batch-1\", \"spare\"]\n{settings}",
            self.origin.addr
        )
    }
}

const DETOUR: &str = "on_block = \"detour\"\n[provider.shop.detour]\nowner = \"team\"\nreason = \"test\"\nexpires = \"2999-01-01\"\n";

fn ask(gateway: &Gateway) -> raw::Message {
    let request = format!("GET /to/shop/v1/things HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    raw::ask(gateway.addr, request.as_bytes())
}

fn verdict(explained: &Value) -> &str {
    explained["trouble"]["verdict"]["kind"].as_str().unwrap_or_default()
}

#[test]
fn a_block_is_told_with_its_evidence_and_the_answer_is_delivered_untouched() {
    let shop = Shop::open();
    let gateway = shop.gateway("affects = [\"thumbnails\"]\n");
    assert_eq!(ask(&gateway).status(), 200);
    shop.treats("127.0.0.41", page());
    for _ in 0..4 {
        let answer = ask(&gateway);
        assert_eq!((answer.status(), answer.body.as_slice()), (403, PAGE.as_bytes()));
    }
    let told = gateway.explains("shop", "a verdict", |told| verdict(told) == "blocks_addresses");
    let verdict = &told["trouble"]["verdict"];
    assert_eq!(verdict["failing"], serde_json::json!(["batch-1"]));
    assert_eq!(verdict["healthy"], serde_json::json!(["spare"]));
    assert_eq!(told["affects"], serde_json::json!(["thumbnails"]));
    assert_eq!(told["no_detour"], "not_granted");
    // Comparing is allowed under every policy, and few.
    assert!((1..=6).contains(&shop.n_asked("127.0.0.42")), "{}", shop.n_asked("127.0.0.42"));
    let english = gateway.operate(&["explain", "shop", "--lang", "en"]).out;
    assert!(english.contains("shop blocks batch-1 (127.0.0.41): batch-1 403 Akamai"), "{english}");
    assert!(english.contains("The same request over spare (203.0.113.9) works."), "{english}");
    assert!(english.contains("Affected: thumbnails."), "{english}");
    let korean = gateway.operate(&["explain", "shop", "--lang", "ko"]).out;
    assert!(
        korean.contains("shop 쪽에서 batch-1 (127.0.0.41) 주소를 차단하고 있습니다"),
        "{korean}"
    );
    let facts = process::until("a fact", || {
        let facts = gateway.facts("verdict");
        (!facts.is_empty()).then_some(facts)
    });
    assert_eq!(facts.len(), 1, "{facts:#?}");
    assert_eq!(facts[0]["fields"]["verdict"], "blocks_addresses");
    assert_eq!(facts[0]["instance"], "test");
}

#[test]
fn a_detour_is_taken_stopped_and_locked_by_a_person() {
    let shop = Shop::open();
    let gateway = shop.gateway(DETOUR);
    assert_eq!(ask(&gateway).status(), 200);
    shop.treats("127.0.0.41", page());
    ask(&gateway);
    gateway.explains("shop", "a detour", |told| told["detour"]["path"] == "spare");
    let before = shop.n_asked("127.0.0.41");
    for _ in 0..20 {
        assert_eq!(ask(&gateway).status(), 200);
    }
    assert!(shop.n_asked("127.0.0.41") <= before + 2, "only probes ask over the old path");
    let stopped = gateway.operate(&["detour", "stop", "shop", "--by", "kim", "--reason", "calm"]);
    assert!(stopped.out.contains("Detours are stopped by kim: calm"), "{stopped:?}");
    gateway.explains("shop", "no detour", |told| told["detour"].is_null());
    assert_eq!(ask(&gateway).status(), 403);
    let refused = gateway.operate(&["detour", "lock", "shop", "--by", "kim"]);
    assert_eq!((refused.code, refused.err.contains("needs a reason")), (1, true), "{refused:?}");
    let locked =
        gateway.operate(&["detour", "lock", "shop", "--by", "lee", "--reason", "they said no"]);
    assert!(locked.out.contains("they said no"), "{locked:?}");
    let unknown = gateway.operate(&["detour", "stop", "nobody"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    // An order outlives the process.
    let config = gateway.config.clone();
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("byway.toml");
    std::fs::copy(&config, &kept).expect("copied");
    let state = folder.path().join("state");
    std::fs::create_dir(&state).expect("made");
    gateway.signal(rustix::process::Signal::KILL);
    for file in std::fs::read_dir(gateway.state()).expect("a folder").flatten() {
        std::fs::copy(file.path(), state.join(file.file_name())).expect("copied");
    }
    let gateway = Gateway::at(kept, &[]);
    assert_eq!(ask(&gateway).status(), 403);
    let told = gateway.explained("shop");
    assert_eq!((&told["order"]["kind"], &told["order"]["by"]), (&"locked".into(), &"lee".into()));
    let n_probed = shop.n_asked("127.0.0.42");
    for _ in 0..5 {
        ask(&gateway);
    }
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(shop.n_asked("127.0.0.42"), n_probed, "a lock stops probes, too");
    let unlocked = gateway.operate(&["detour", "unlock", "shop"]);
    assert_eq!(unlocked.code, 0, "{unlocked:?}");
    ask(&gateway);
    gateway.explains("shop", "a detour again", |told| told["detour"]["path"] == "spare");
}

#[test]
fn a_pause_binds_every_path_and_moves_nothing() {
    let shop = Shop::open();
    let gateway = shop.gateway(&format!("wait_max = \"100ms\"\n{DETOUR}"));
    assert_eq!(ask(&gateway).status(), 200);
    let fields = "Retry-After: 30\r\nX-RateLimit-Remaining: 0\r\n";
    shop.treats("127.0.0.41", json("429 Too Many Requests", fields, "{\"error\":\"slow down\"}"));
    let first = ask(&gateway);
    assert_eq!((first.status(), first.body.as_slice()), (429, &b"{\"error\":\"slow down\"}"[..]));
    let n = shop.n_asked("127.0.0.41");
    for _ in 0..5 {
        let ours = ask(&gateway);
        assert_eq!(ours.status(), 429);
        let after: u64 = ours.field("retry-after").expect("a time").parse().expect("seconds");
        assert!((25..=30).contains(&after), "{after}");
        assert!(
            String::from_utf8_lossy(&ours.body).contains("provider_gated") || !ours.body.is_empty()
        );
    }
    assert_eq!(shop.n_asked("127.0.0.41"), n, "nothing is sent before the time is over");
    assert_eq!(shop.n_asked("127.0.0.42"), 0, "nor over another path");
    let told = gateway.explains("shop", "limits", |told| verdict(told) == "limits_us");
    assert_eq!(told["allowance"]["remaining"], 0, "shown, not obeyed: {told:#}");
    assert!(told["gated_until"].is_string() && told["detour"].is_null(), "{told:#}");
    let tried = gateway.operate(&["try", &format!("http://{}/x", shop.origin.addr)]);
    assert_eq!((tried.code, tried.err.contains("pause")), (1, true), "{tried:?}");
}

#[test]
fn ordinary_errors_of_an_api_are_nobodys_block() {
    let shop = Shop::open();
    let gateway = shop.gateway(DETOUR);
    for status in
        ["403 Forbidden", "404 Not Found", "401 Unauthorized", "422 Unprocessable Content"]
    {
        shop.treats("127.0.0.41", json(status, "", "{\"error\":\"not yours\"}"));
        for _ in 0..2 {
            assert!(status.starts_with(&ask(&gateway).status().to_string()));
        }
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let told = gateway.explained("shop");
    assert!(told["trouble"].is_null() && told["detour"].is_null(), "{told:#}");
}

#[test]
fn a_refusal_that_is_the_same_everywhere_is_about_the_request() {
    let shop = Shop::open();
    let gateway = shop.gateway(DETOUR);
    for source in ["127.0.0.41", "127.0.0.42"] {
        shop.treats(source, json("403 Forbidden", "", "{\"error\":\"scope missing\"}"));
    }
    for _ in 0..8 {
        assert_eq!(ask(&gateway).status(), 403);
    }
    let told = gateway.explains("shop", "a verdict", |told| verdict(told) == "our_request");
    assert!(told["detour"].is_null(), "{told:#}");
}

#[test]
fn over_the_budget_requests_wait_and_then_are_told_when_to_come_back() {
    let shop = Shop::open();
    let gateway = shop.gateway("budget = \"5/s burst 2\"\nwait_max = \"300ms\"\n");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(|| ask(&gateway))).collect();
        let answers: Vec<raw::Message> =
            asking.into_iter().map(|asked| asked.join().expect("no panic")).collect();
        for refused in answers.iter().filter(|answer| answer.status() == 429) {
            assert!(refused.field("retry-after").is_some());
        }
        answers.iter().map(raw::Message::status).collect()
    });
    let n_good = statuses.iter().filter(|status| **status == 200).count();
    // Two at once, one or two more within the time that may be waited; some slack for a busy machine.
    assert!((3..=7).contains(&n_good), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 12 - n_good);
    assert_eq!(shop.n_asked("127.0.0.41"), n_good);
}

#[test]
fn a_signature_of_the_operators_own_is_a_block() {
    let shop = Shop::open();
    let own = "[signature.wall]\nsays = \"partner wall\"\nclass = \"blocked_ip\"\nconfidence = \"strong\"\n\
               status = [418]\nfield = \"x-wall\"\nfield_contains = \"closed\"\n";
    let gateway = Gateway::start(&format!("{own}{}", shop.sections("")));
    assert_eq!(ask(&gateway).status(), 200);
    shop.treats("127.0.0.41", json("418 Closed", "X-Wall: closed for you\r\n", "{}"));
    for _ in 0..3 {
        ask(&gateway);
    }
    let told = gateway.explains("shop", "a verdict", |told| verdict(told) == "blocks_addresses");
    assert_eq!(told["paths"][0]["last"]["says"], "partner wall", "{told:#}");
}

#[test]
fn without_a_judge_everything_takes_the_first_path() {
    let shop = Shop::open();
    let gateway = shop.gateway(&format!("judge = false\n{DETOUR}"));
    shop.treats("127.0.0.41", page());
    for _ in 0..10 {
        assert_eq!(ask(&gateway).status(), 403);
    }
    assert_eq!(shop.n_asked("127.0.0.42"), 0);
    let none = gateway.operate(&["explain", "shop"]);
    assert_eq!((none.code, none.err.contains("judged")), (1, true), "{none:?}");
}

#[test]
fn try_asks_every_path_and_shows_what_differs() {
    let shop = Shop::open();
    let gateway = shop.gateway("");
    let url = format!("http://{}/v1/things?q=1", shop.origin.addr);
    let same = gateway.operate(&["try", &url]);
    assert_eq!(same.code, 0, "{same:?}");
    assert!(same.out.contains("The answers are the same on every path."), "{}", same.out);
    shop.treats("127.0.0.41", page());
    let other = gateway.operate(&["try", &url]);
    assert_eq!(other.code, 1, "{other:?}");
    for part in [
        "batch-1",
        "127.0.0.41",
        "403 Akamai",
        "203.0.113.9",
        "- HTTP/1.1 403",
        "+ HTTP/1.1 200 OK",
    ] {
        assert!(other.out.contains(part), "{part} in {}", other.out);
    }
    let json = gateway.operate(&["try", &url, "--json"]).json();
    assert_eq!(json["results"][0]["shown"]["class"], "blocked_ip");
    assert_eq!(json["results"][1]["shown"]["status"], 200);
    let unsafe_method = gateway.operate(&["try", &url, "-X", "POST"]);
    assert_eq!(unsafe_method.code, 1, "{unsafe_method:?}");
}

#[test]
fn a_gateway_without_a_configuration_already_tells() {
    let shop = Shop::open();
    let sections = byway_e2e::gateway::HEAD
        .replace("[gateway]\n", "[gateway]\nunlisted_allow = [\"127.0.0.1\"]\n");
    let gateway = Gateway::with(&sections, &[]);
    let addr = shop.origin.addr;
    shop.treats("127.0.0.1", page());
    for _ in 0..4 {
        let request = format!("GET http://{addr}/x HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        assert_eq!(raw::ask(gateway.addr, request.as_bytes()).status(), 403);
    }
    let told = gateway.explains("127.0.0.1", "a verdict", |told| !verdict(told).is_empty());
    assert_eq!(verdict(&told), "cannot_tell", "one path alone proves nothing: {told:#}");
    assert_eq!(told["trouble"]["verdict"]["open_test"], "other_path");
    let text = gateway.operate(&["explain"]).out;
    assert!(
        text.contains("What would settle it: the same request over a path with another address"),
        "{text}"
    );
}

#[test]
fn facts_that_were_kept_survive_kill_9_and_the_file_stays_whole() {
    let shop = Shop::open();
    shop.treats("127.0.0.41", page());
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("byway.toml");
    let text = format!("{}{}", byway_e2e::gateway::HEAD, shop.sections(""));
    std::fs::write(&config, text).expect("writable");
    let mut n_before = 0;
    for round in 0..5 {
        let mut gateway = Gateway::at(config.clone(), &[]);
        for _ in 0..30 {
            ask(&gateway);
        }
        let seen = process::until("facts", || {
            let n = gateway.facts("attempt").len();
            (n > n_before).then_some(n)
        });
        // In the middle of whatever it is doing.
        gateway.signal(rustix::process::Signal::KILL);
        gateway.wait();
        let after = gateway.facts("attempt").len();
        assert!(after >= seen, "round {round}: {seen} were kept, {after} are there");
        n_before = after;
    }
    let shown = byway(&["facts", "--since", "1h", "-n", "3"], Some(&folder.path().join("state")));
    assert_eq!(shown.out.lines().count(), 3, "{shown:?}");
}

#[test]
fn a_store_that_cannot_be_opened_stops_nobody() {
    let shop = Shop::open();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("byway.toml");
    let text = format!("{}{}", byway_e2e::gateway::HEAD, shop.sections(""));
    std::fs::write(&config, text).expect("writable");
    std::fs::create_dir(folder.path().join("state")).expect("made");
    let noise = "this is no database ".repeat(500);
    std::fs::write(folder.path().join("state/byway.db"), noise).expect("writable");
    let gateway = Gateway::at(config, &[]);
    assert_eq!(ask(&gateway).status(), 200);
    let warned = gateway.errors().iter().any(|line| line.contains("facts and orders are not kept"));
    assert!(warned, "{:#?}", gateway.errors());
    let refused = gateway.operate(&["detour", "stop", "shop", "--by", "kim"]);
    assert_eq!(refused.code, 1, "it will be forgotten: {refused:?}");
    assert!(refused.err.contains("the order is in force"), "{refused:?}");
    assert_eq!(gateway.explained("shop")["order"]["kind"], "stopped");
    let lifted = gateway.operate(&["detour", "allow", "shop"]);
    assert_eq!(lifted.code, 1, "what lifts an order must be kept: {lifted:?}");
}

#[test]
fn a_block_below_http_is_seen_through_a_tunnel_and_said_to_be_only_that() {
    let origin = Origin::at("127.0.0.1:0", None, |_, stream, peer| {
        // Over the office the connection dies after the first bytes, as after a ClientHello.
        let mut first = [0; 8];
        if stream.read(&mut first).is_ok() && peer.ip().to_string() != "127.0.0.41" {
            let _gone = stream.write_all(&origin::ok(b"hello"));
        }
    });
    let gateway = Gateway::start(&format!(
        "[path.batch-1.source-ip]\naddr = \"127.0.0.41\"\n[provider.shop]\nurl = \"https://{}\"\n\
         allow_private = true\npaths = [\"batch-1\"]\n",
        origin.addr
    ));
    for _ in 0..4 {
        let mut stream = gateway.connect();
        let connect = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.addr);
        std::io::Write::write_all(&mut stream, connect.as_bytes()).expect("taken");
        let opened = raw::read_message(&mut stream, raw::Kind::BodilessAnswer).expect("an answer");
        assert_eq!(opened.status(), 200);
        std::io::Write::write_all(&mut stream, b"\x16\x03\x01\x00\x05hello").expect("taken");
        raw::read_to_end(&mut stream);
    }
    let told = gateway.explains("shop", "a verdict", |told| !verdict(told).is_empty());
    assert_eq!(told["trouble"]["verdict"]["only_tunnels"], true, "{told:#}");
    let text = gateway.operate(&["explain", "shop"]).out;
    assert!(text.contains("Only the outside of tunnels was seen"), "{text}");
}
