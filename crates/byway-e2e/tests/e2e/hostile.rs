//! Callers and providers that mean harm, or only behave as if.

use std::sync::atomic::{AtomicUsize, Ordering};

use byway_e2e::gateway::Gateway;
use byway_e2e::origin::Origin;
use byway_e2e::process;
use byway_e2e::raw::{self, Message};

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
