//! Tunnels that are open to us: for whom, for whom not, and what is seen in them.

use std::path::Path;
use std::process::Command;

use byway_e2e::command::{Ran, byway};
use byway_e2e::gateway::Gateway;
use byway_e2e::origin::Origin;
use byway_e2e::pki::Authority;
use byway_e2e::process;
use byway_e2e::raw::Message;

struct World {
    gateway: Gateway,
    /// Listed for interception as `localhost`.
    opened: Origin,
    /// Listed without it.
    closed: Origin,
    folder: tempfile::TempDir,
}

fn page(message: &Message) -> Vec<u8> {
    if message.first_line().starts_with(b"GET /blocked") {
        let body = "<HTML><H1>Access Denied</H1>You don't have permission to access this.<P>Reference #18.1.2.3</HTML>";
        let n = body.len();
        let head = "HTTP/1.1 403 Forbidden\r\nServer: AkamaiGHost\r\nContent-Type: text/html";
        return format!("{head}\r\nContent-Length: {n}\r\n\r\n{body}").into_bytes();
    }
    byway_e2e::origin::echo(message)
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost", "127.0.0.1"]);
        let (opened, closed) =
            (Origin::answering_tls(&identity, page), Origin::answering_tls(&identity, page));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("origin.pem"), &authority.pem).expect("writable");
        let config = folder.path().join("byway.toml");
        let text = format!(
            "{}[provider.opened]\nurl = \"https://localhost:{}\"\nallow_private = true\nintercept = true\n\
             [provider.opened.tls]\nroots = [\"origin.pem\"]\n\
             [provider.closed]\nurl = \"https://127.0.0.1:{}\"\nallow_private = true\n\
             [provider.closed.tls]\nroots = [\"origin.pem\"]\n",
            byway_e2e::gateway::HEAD,
            opened.addr.port(),
            closed.addr.port()
        );
        std::fs::write(&config, text).expect("writable");
        let made = ca(folder.path(), &["make"]);
        assert_eq!(made.code, 0, "{made:?}");
        assert!(made.out.contains("It speaks for localhost and for nobody else"), "{made:?}");
        Self { gateway: Gateway::at(config, &[]), opened, closed, folder }
    }

    /// curl through the gateway, trusting one file.
    fn curl(&self, trusts: &str, url: &str) -> (bool, String) {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--path-as-is", "--proxy"])
            .arg(format!("http://{}", self.gateway.addr))
            .arg("--cacert")
            .arg(self.folder.path().join(trusts))
            .arg(url)
            .output()
            .expect("curl runs");
        let out = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&out).into_owned())
    }
}

fn ca(folder: &Path, arguments: &[&str]) -> Ran {
    let config = folder.join("byway.toml").display().to_string();
    let all = [&["ca"], arguments, &["--config", &config]].concat();
    byway(&all, Some(&folder.join("state")))
}

#[test]
fn what_is_in_an_opened_tunnel_is_seen_and_passed_on_byte_for_byte() {
    if !process::have("curl") {
        return;
    }
    let world = World::new();
    let base = format!("https://localhost:{}", world.opened.addr.port());
    let (fine, seen) =
        world.curl("state/ca.pem", &format!("{base}/a%2Fb/../c;d=1?q=a+b&q=%20|{{x}}"));
    assert!(fine && seen.contains("GET /a%2Fb/../c;d=1?q=a+b&q=%20|"), "{seen}");
    let target = world.opened.messages()[0].first_line().to_vec();
    assert!(target.starts_with(b"GET /a%2Fb/../c;d=1?q=a+b&q=%20|"), "{target:?}");
    assert!(world.opened.messages()[0].field("proxy-connection").is_none());
    let line = world.gateway.line(0);
    assert_eq!(
        (&line["way"], &line["method"], &line["status"]),
        (&"inside".into(), &"GET".into(), &200.into())
    );
    // A page in it is judged like any other.
    for _ in 0..4 {
        let (fine, seen) = world.curl("state/ca.pem", &format!("{base}/blocked"));
        assert!(fine && seen.contains("Access Denied"), "{seen}");
    }
    let told = world.gateway.explains("opened", "trouble", |told| !told["trouble"].is_null());
    assert_eq!(told["trouble"]["verdict"]["only_tunnels"], false, "{told:#}");
    assert_eq!(told["paths"][0]["last"]["says"], "Akamai Reference #18: access denied", "{told:#}");
}

#[test]
fn nobody_elses_tunnel_is_opened() {
    if !process::have("curl") {
        return;
    }
    let world = World::new();
    let url = format!("https://127.0.0.1:{}/x", world.closed.addr.port());
    let (fine, seen) = world.curl("origin.pem", &url);
    assert!(fine && seen.contains("GET /x"), "its own certificate, end to end: {seen}");
    assert_eq!(world.gateway.line(0)["way"], "connect");
    let (fine, seen) = world.curl("state/ca.pem", &url);
    assert!(!fine, "our authority has no part in it: {seen}");
}

#[test]
fn a_caller_that_does_not_trust_us_is_told_apart() {
    if !process::have("curl") {
        return;
    }
    let world = World::new();
    let (fine, _) =
        world.curl("origin.pem", &format!("https://localhost:{}/x", world.opened.addr.port()));
    assert!(!fine);
    assert!(world.opened.messages().is_empty(), "nothing was sent in its name");
    process::until("a word in the log", || {
        world.gateway.errors().iter().any(|line| line.contains("byway ca trust")).then_some(())
    });
}

#[test]
fn an_authority_is_made_once_and_its_key_is_nobody_elses() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = "[provider.a]\nurl = \"https://a.example\"\n";
    std::fs::write(folder.path().join("byway.toml"), none).expect("writable");
    let made = ca(folder.path(), &["make"]);
    assert_eq!((made.code, made.err.contains("`intercept = true`")), (1, true), "{made:?}");
    let one =
        "[provider.a]\nurl = \"https://a.example\"\nhosts = [\"*.b.example\"]\nintercept = true\n";
    std::fs::write(folder.path().join("byway.toml"), one).expect("writable");
    let missing = ca(folder.path(), &["show"]);
    assert_eq!((missing.code, missing.err.contains("byway ca make")), (1, true), "{missing:?}");
    assert_eq!(ca(folder.path(), &["make"]).code, 0);
    let again = ca(folder.path(), &["make"]);
    assert_eq!((again.code, again.err.contains("--force")), (1, true), "{again:?}");
    let shown = ca(folder.path(), &["show", "--json"]).json();
    assert_eq!(shown["hosts"], serde_json::json!(["a.example", "*.b.example"]));
    let key = std::fs::metadata(folder.path().join("state/ca-key.pem")).expect("a key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.permissions());
    assert_eq!(mode & 0o777, 0o600);
}
