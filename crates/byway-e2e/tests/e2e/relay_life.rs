//! Life with relays and peers: what fails there is theirs, what does not fit is kept back, what is
//! blocked is noticed in time, and the tools around them work.

use std::process::Command;

use byway_drill::platform::Front;
use byway_e2e::emulator::ministack::Ministack;
use byway_e2e::gateway::Gateway;
use byway_e2e::lambda::Lambda;
use byway_e2e::origin::{self, Origin};
use byway_e2e::peer::PeerKit;
use byway_e2e::pki::Authority;
use byway_e2e::process;
use byway_e2e::raw::{self, Kind};
use byway_e2e::relay::{Kit, Relay};
use serde_json::Value;

const NEAR: &str = "networks = [\"127.0.0.0/8\"]";

fn kit(origin: &Origin, more: &str) -> Kit {
    Kit::new("relay-1", &[origin.addr.to_string()], &format!("{NEAR}\n{more}"))
}

fn provider(origin: &Origin, paths: &str, more: &str) -> String {
    format!(
        "[provider.origin]\nurl = \"http://{}\"\nallow_private = true\npaths = [{paths}]\n{more}\n",
        origin.addr
    )
}

fn get(gateway: &Gateway, target: &str) -> raw::Message {
    let request = format!("GET /to/origin{target} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    raw::ask(gateway.addr, request.as_bytes())
}

fn post(gateway: &Gateway, body: usize) -> raw::Message {
    let head = format!(
        "POST /to/origin/ HTTP/1.1\r\nHost: {}\r\nContent-Length: {body}\r\n\r\n",
        gateway.addr
    );
    raw::ask(gateway.addr, &[head.as_bytes(), &vec![b'x'; body]].concat())
}

/// A server that is no relay, and what it answers to everything.
fn no_relay(answer: &'static str) -> Origin {
    Origin::answering(move |_| answer.as_bytes().to_vec())
}

#[test]
fn whatever_a_platform_says_is_never_the_providers() {
    let origin = Origin::echo();
    for (about, answer) in [
        (
            "IAM",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 24\r\n\r\n{\"Message\":\"Forbidden\"}\n\n",
        ),
        (
            "throttled",
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 2\r\n\r\n{}",
        ),
        ("down", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        ("gave up", "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"),
        ("a page", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
    ] {
        let kit = kit(&origin, "");
        let platform = no_relay(answer);
        let url = format!("http://{}/", platform.addr);
        let path = kit.path(&url, "plain", "check_every = \"1h\"");
        let gateway = Gateway::start(&format!("{path}{}", provider(&origin, "\"out\"", "")));
        let got = get(&gateway, "/");
        assert_eq!(got.status(), 502, "{about}");
        let line = gateway.line(0);
        assert_eq!(
            (&line["class"], &line["blame"]),
            (&"relay_error".into(), &"path".into()),
            "{about}"
        );
        assert_eq!(line["code"], "relay_failed", "{about}: {line}");
        // A pause that a platform asks for is none of the provider's: the gate stays open.
        assert_eq!(get(&gateway, "/").status(), 502, "{about}");
    }
    assert_eq!(origin.messages(), [], "the provider was never asked");
}

#[test]
fn a_relay_that_fails_is_gone_round_at_once_and_nothing_is_sent_twice() {
    let origin = Origin::echo();
    let kit = kit(&origin, "replay_accepted = \"a test\"");
    let refuses = no_relay("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let path = kit.path(&format!("http://{}/", refuses.addr), "plain", "");
    let config = format!("{path}{}", provider(&origin, "\"out\", \"direct\"", ""));
    let gateway = Gateway::start(&config);
    assert_eq!(post(&gateway, 5).status(), 200, "refused before it was sent: the next path may");
    assert_eq!(origin.messages().len(), 1);
    let line = gateway.line(0);
    assert_eq!((&line["path"], &line["attempts"]), (&"direct".into(), &2.into()), "{line}");
    // A relay that breaks in the middle may have sent it: a POST is not repeated, a GET is.
    let breaks = Origin::serving(|mut stream| {
        let _head = raw::read_message(&mut stream, Kind::Request);
    });
    let path = kit.path(&format!("http://{}/", breaks.addr), "plain", "");
    let gateway =
        Gateway::start(&format!("{path}{}", provider(&origin, "\"out\", \"direct\"", "")));
    let before = origin.messages().len();
    assert_eq!(post(&gateway, 5).status(), 502);
    assert_eq!(origin.messages().len(), before, "nobody sends a POST twice");
    process::until("the path is no longer left alone", || {
        (get(&gateway, "/").status() == 200).then_some(())
    });
}

#[test]
fn what_does_not_fit_is_kept_back_with_the_reason() {
    let origin = Origin::echo();
    let kit = kit(&origin, "");
    let lambda = Lambda::start(&kit, Front::FunctionUrl, 1, &[]);
    let path = kit.path(&lambda.url(), "lambda-url", "");
    let both = format!("{path}{}", provider(&origin, "\"out\", \"direct\"", ""));
    let gateway = Gateway::start(&both);
    assert_eq!(post(&gateway, 10).status(), 200);
    let line = gateway.line(0);
    assert_eq!((&line["path"], &line["skipped"]), (&"direct".into(), &"out".into()), "{line}");
    assert_eq!(line["attempts"], 1, "it was not tried: {line}");
    assert_eq!(get(&gateway, "/").status(), 200);
    assert_eq!(gateway.line(1)["path"], "out", "a safe method goes there");
    // With nothing else to take, the caller is told why.
    let alone = Gateway::start(&format!("{path}{}", provider(&origin, "\"out\"", "")));
    let before = origin.messages().len();
    let got = post(&alone, 10);
    let body = String::from_utf8_lossy(&got.body).into_owned();
    assert!(body.contains("\"code\":\"relay_limit\""), "{body}");
    assert!(body.contains("could be replayed"), "{body}");
    let connect = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.addr);
    let got = raw::ask(alone.addr, connect.as_bytes());
    assert_eq!(got.status(), 502);
    let line = alone.line(1);
    assert_eq!((&line["code"], &line["class"]), (&"relay_limit".into(), &"local_limit".into()));
    assert_eq!(origin.messages().len(), before);
}

#[test]
fn a_body_that_a_platform_would_refuse_takes_another_way() {
    let origin = Origin::answering(|_| origin::ok(b"ok"));
    let kit = kit(&origin, "replay_accepted = \"a test\"");
    let lambda = Lambda::start(&kit, Front::FunctionUrl, 1, &[]);
    let path = kit.path(&lambda.url(), "lambda-url", "replay_accepted = \"a test\"");
    let gateway =
        Gateway::start(&format!("{path}{}", provider(&origin, "\"out\", \"direct\"", "")));
    for (n, (size, due)) in
        [(4_300_000, "out"), (4_500_000, "direct"), (6_000_000, "direct")].into_iter().enumerate()
    {
        assert_eq!(post(&gateway, size).status(), 200, "{size}");
        assert_eq!(gateway.line(n)["path"], due, "{size}");
    }
}

#[test]
fn a_relay_that_a_provider_refuses_is_noticed_in_peace_time() {
    // The provider lets the direct address in, and not the relay's.
    let origin = Origin::at("127.0.0.1:0", None, |_, mut stream, peer| {
        while raw::read_message(&mut stream, Kind::Request).is_some() {
            let is_relay =
                peer.ip() == "127.0.0.7".parse::<std::net::IpAddr>().expect("an address");
            let page = "<html>Access Denied Reference&#32;&#35;18&#46;1 edgesuite</html>";
            let answer = if is_relay {
                format!(
                    "HTTP/1.1 403 Forbidden\r\nServer: AkamaiGHost\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                )
                .into_bytes()
            } else {
                origin::ok(b"ok")
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let kit = kit(&origin, "source = \"127.0.0.7\"\nexit = \"203.0.113.7\"");
    let relay = Relay::start(&kit, &[]);
    let path = kit.path(&relay.url(), "plain", "check_every = \"1s\"\nask_every = \"1s\"");
    let config = format!("{path}{}", provider(&origin, "\"direct\", \"out\"", ""));
    let gateway = Gateway::start(&config);
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/").status(), 200);
    }
    let warned = process::until("a warning", || {
        let lines = gateway.errors();
        lines.into_iter().find(|line| line.contains("a relay would be of no use now"))
    });
    assert!(warned.contains("blocked"), "{warned}");
    let text = gateway.explained("origin").to_string();
    assert!(text.contains("\"asked_in_peace\":{"), "{text}");
    assert!(text.contains("203.0.113.7"), "the relay tells its exit: {text}");
    let shown = gateway.operate(&["explain", "--lang", "ko"]).out;
    assert!(shown.contains("릴레이 out로는") && shown.contains("릴레이가 알려 줌"), "{shown}");
    assert_eq!(get(&gateway, "/").status(), 200, "and nothing has moved");
}

#[test]
fn a_peer_carries_a_tunnel_and_tells_its_address() {
    let kit = PeerKit::new();
    let origin = Origin::answering_tls(&kit.identity, origin::echo);
    let port = origin.addr.port();
    let peer = kit.start(&format!(
        "[path.direct]\nexit = \"203.0.113.9\"\n[path.direct.direct]\n\
         [provider.origin]\nurl = \"https://127.0.0.1:{port}\"\nallow_private = true\njudge = false\n"
    ));
    let target = |host: &str, port: u16| {
        format!(
            "[provider.origin]\nurl = \"https://{host}:{port}\"\nallow_private = true\npaths = [\"out\"]\n\
             [provider.origin.tls]\nroots = [{:?}]\n",
            kit.roots
        )
    };
    let gateway = Gateway::start(&format!("{}{}", kit.path("token"), target("127.0.0.1", port)));
    let got = get(&gateway, "/a%2Fb?q=\u{ac00}");
    assert_eq!(got.status(), 200, "{}", String::from_utf8_lossy(&got.body));
    let told = gateway.explained("origin").to_string();
    assert!(told.contains("203.0.113.9") && told.contains("\"peer\""), "{told}");
    // A tunnel has its line when it ends.
    drop(gateway);
    let line = peer.line(0);
    assert_eq!((&line["method"], &line["provider"]), (&"CONNECT".into(), &"origin".into()));
    // It enforces its own destinations.
    let other = Origin::answering_tls(&kit.identity, origin::echo);
    let gateway =
        Gateway::start(&format!("{}{}", kit.path("token"), target("127.0.0.2", other.addr.port())));
    assert_eq!(get(&gateway, "/").status(), 502);
    assert_eq!(gateway.line(0)["code"], "path_refused");
    assert_eq!(other.messages(), []);
    // And who may come in.
    kit.file("wrong", "shut");
    let gateway = Gateway::start(&format!("{}{}", kit.path("wrong"), target("127.0.0.1", port)));
    assert_eq!(get(&gateway, "/").status(), 502);
    let line = gateway.line(0);
    assert_eq!((&line["code"], &line["blame"]), (&"path_credentials".into(), &"path".into()));
}

#[test]
fn two_gateways_that_are_each_others_peers_end_in_a_loop_that_is_told() {
    let kits = [PeerKit::new(), PeerKit::new()];
    let origin = Origin::echo();
    let at = process::free_port();
    let config = |own: usize, at: u16| {
        format!(
            "[gateway]\nlisten = \"127.0.0.1:{at}\"\ninstance = \"g{own}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n{}{}{}",
            kits[own].listener(),
            kits[1 - own].path("token"),
            provider(&origin, "\"out\"", "judge = false")
        )
    };
    let first = Gateway::with(&config(0, at), &[]);
    let second = Gateway::with(&config(1, 0), &[]);
    let request = format!("GET /to/origin/ HTTP/1.1\r\nHost: 127.0.0.1:{at}\r\n\r\n");
    let got = raw::ask(std::net::SocketAddr::from(([127, 0, 0, 1], at)), request.as_bytes());
    assert_eq!(got.status(), 508, "{}", String::from_utf8_lossy(&got.body));
    assert_eq!(origin.messages(), []);
    drop((first, second));
}

#[test]
fn verify_tells_what_was_changed_and_what_was_kept_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut echo = Command::new(process::binary());
    echo.args(["relay", "echo"]);
    let (_echo, line) = process::Process::speaking(&mut echo);
    let url = line.strip_prefix("echoing on ").expect("an address").to_owned();
    let addr = url.strip_prefix("http://").expect("plain").to_owned();
    let kit = Kit::new("relay-1", &[addr], &format!("{NEAR}\nreplay_accepted = \"a test\""));
    let lambda = Lambda::start(&kit, Front::HttpApi, 1, &[]);
    let path = kit.path(&lambda.url(), "api-gateway-v2", "replay_accepted = \"a test\"");
    let config = folder.path().join("byway.toml");
    std::fs::write(&config, path).expect("writable");
    let run = |path: &str| {
        let mut verify = Command::new(process::binary());
        verify.args(["relay", "verify", path, "--echo", &url, "--json", "--config"]).arg(&config);
        let output = verify.output().expect("it runs");
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), told)
    };
    let (code, told) = run("out");
    assert_eq!(
        (code, &told["changed"], &told["failed"]),
        (Some(0), &0.into(), &0.into()),
        "{told}"
    );
    // 4.5 to 32 MB do not fit, and neither does an answer of 16 MiB.
    assert_eq!(told["kept_back"], 5, "{told}");
    let (code, direct) = run("direct");
    assert_eq!((code, &direct["kept_back"], &direct["changed"]), (Some(0), &0.into(), &0.into()));
    assert_eq!(direct["same"].as_u64(), told["same"].as_u64().map(|same| same + 5));
    // The control: a way that changes something is found out.
    let (code, told) = {
        let squid = crate::paths::Squid::start();
        let Some(squid) = squid else { return };
        let text = format!("[path.out.http-proxy]\naddr = \"{}\"\n", squid.addr);
        std::fs::write(&config, text).expect("writable");
        let mut verify = Command::new(process::binary());
        verify.args(["relay", "verify", "out", "--echo", &url, "--config"]).arg(&config);
        let output = verify.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(code, Some(1), "over a plain proxy nothing can be byte for byte");
    assert!(told.contains("only an https echo"), "{told}");
}

/// A folder as `byway relay new` writes it, for a relay on AWS that may reach an origin.
fn new_relay(folder: &std::path::Path, origin: &Origin) -> std::path::PathBuf {
    let dir = folder.join("relay-lambda-1");
    let allow = origin.addr.to_string();
    let mut new = Command::new(process::binary());
    new.args(["relay", "new", "aws-lambda", "lambda-1", "--region", "eu-central-1"]);
    new.args(["--allow", &allow, "--accept-replay", "a test", "--dir"]).arg(&dir);
    new.arg("--relay").arg(process::relay_binary());
    let output = new.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

#[test]
fn a_new_relay_is_a_folder_without_the_gateways_key_in_what_is_deployed() {
    let origin = Origin::echo();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = new_relay(folder.path(), &origin);
    let mut list = Command::new("python3");
    list.args(["-m", "zipfile", "-l"]).arg(dir.join("relay.zip"));
    let listed = String::from_utf8(list.output().expect("it runs").stdout).expect("text");
    assert!(listed.contains("bootstrap") && listed.contains("relay.toml"), "{listed}");
    assert!(!listed.contains("key.pem"), "{listed}");
    let mut again = Command::new(process::binary());
    again.args(["relay", "new", "peer", "lambda-1", "--allow", "a.example:443", "--dir"]).arg(&dir);
    assert_eq!(again.output().expect("it runs").status.code(), Some(1), "nothing is overwritten");
    let mut peer = Command::new(process::binary());
    peer.args(["relay", "new", "peer", "peer-1", "--allow", "a.example:443"]);
    peer.args(["--allow", "*.b.example:443"]).current_dir(folder.path());
    assert!(peer.output().expect("it runs").status.success());
    let text = std::fs::read_to_string(folder.path().join("relay-peer-1/byway.toml"));
    let text = text.expect("a file");
    assert!(text.contains("url = \"https://a.example\""), "{text}");
    assert!(text.contains("hosts = [\"*.b.example\"]"), "{text}");
    assert!(!text.contains("provider.example"), "{text}");
    let mut unnamed = Command::new(process::binary());
    unnamed.args(["relay", "new"]).current_dir(folder.path()).stdin(std::process::Stdio::null());
    let output = unnamed.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("aws-lambda, api-gateway, cloud-run, container, peer"), "{said}");
}

#[test]
fn deploy_creates_repeats_updates_and_removes() {
    let Some(venv) = process::installed("BYWAY_TEST_VENV") else { return };
    let aws = Ministack::start(&venv);
    let origin = Origin::echo();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = new_relay(folder.path(), &origin);
    let deploy = |more: &[&str]| {
        let mut deploy = Command::new(process::binary());
        deploy.args(["relay", "deploy", "aws", "--json", "--endpoint-url"]);
        deploy.arg(format!("http://{}", aws.addr)).arg("--dir").arg(&dir).args(more);
        deploy.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        deploy.env_remove("AWS_PROFILE").env("AWS_REGION", "us-east-1");
        let output = deploy.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{more:?}: {said}");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (told, said)
    };
    let (told, said) = deploy(&[]);
    assert_eq!(told["what"], "created", "{said}");
    assert!(said.contains("CREATE_COMPLETE") && said.contains("uploading relay.zip"), "{said}");
    let path = std::fs::read_to_string(dir.join("byway-path.toml")).expect("a file");
    let url = told["outputs"]["Url"].as_str().expect("a URL");
    let exit = told["outputs"]["ExitAddress"].as_str().expect("a fixed address");
    assert!(path.contains(&format!("url = \"{url}\"")), "{path}");
    assert!(path.contains(&format!("exit = \"{exit}\"")), "{path}");
    let (told, said) = deploy(&[]);
    assert_eq!(told["what"], "unchanged", "{said}");
    let (told, said) = deploy(&["--parameter", "MemorySize=512"]);
    assert_eq!(told["what"], "updated", "{said}");
    let (told, _) = deploy(&["--destroy"]);
    assert_eq!(told["what"], "removed");
    let (told, said) = deploy(&["--destroy"]);
    assert_eq!(told["what"], "removed", "what is not there is not missed: {said}");
    let (told, said) = deploy(&["--changing-address"]);
    assert_eq!((&told["what"], &told["outputs"]["ExitAddress"]), (&"created".into(), &Value::Null));
    drop(said);
}

/// Asks botocore what it would have signed, and says whether that is what came.
const CHECK: &str = "
import sys, json, base64
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import botocore.auth, datetime
got = json.load(sys.stdin)
h = {k.lower(): v for k, v in got['fields']}
auth = h['authorization']
signed = auth.split('SignedHeaders=')[1].split(',')[0].split(';')
scope = auth.split('Credential=')[1].split(',')[0].split('/')
when = datetime.datetime.strptime(h['x-amz-date'], '%Y%m%dT%H%M%SZ')
body = base64.b64decode(got['body'])
r = AWSRequest(method='POST', url='https://' + h['host'] + got['target'], data=body, headers={k: h[k] for k in signed if k not in ('x-amz-date', 'x-amz-security-token')})
a = SigV4Auth(Credentials('AKIDEXAMPLE', 'the secret', 'the token'), scope[3], scope[2])
r.context['timestamp'] = h['x-amz-date']
r.headers['X-Amz-Date'] = h['x-amz-date']
r.headers['X-Amz-Security-Token'] = h['x-amz-security-token']
text = a.string_to_sign(r, a.canonical_request(r))
print(json.dumps({'same': auth.endswith('Signature=' + a.signature(text, r)), 'scope': scope, 'signed': signed}))
";

#[test]
fn a_call_is_signed_as_aws_own_client_signs_it() {
    let Some(venv) = process::installed("BYWAY_TEST_VENV") else { return };
    let seen =
        Origin::answering(|_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec());
    let origin = Origin::echo();
    let kit = kit(&origin, "");
    for (platform, target, service) in
        [("lambda-url", "/", "lambda"), ("api-gateway-v1", "/relay/a%20b/", "execute-api")]
    {
        let url = format!("http://{}{target}", seen.addr);
        let path = kit.path(&url, platform, "region = \"eu-central-1\"\ncheck_every = \"1h\"");
        let path = path.replace("lock = \"open\"", "lock = \"aws\"");
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("byway.toml");
        std::fs::write(&config, path).expect("writable");
        let n = seen.messages().len();
        let mut ping = Command::new(process::binary());
        ping.args(["relay", "ping", "out", "--config"]).arg(&config);
        ping.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "the secret");
        ping.env("AWS_SESSION_TOKEN", "the token").env_remove("AWS_PROFILE");
        assert_eq!(ping.output().expect("it runs").status.code(), Some(1), "403 by the platform");
        let message = seen.messages().get(n).cloned().expect("one call");
        let fields: Vec<(String, String)> = message
            .fields()
            .iter()
            .filter_map(|line| {
                let text = String::from_utf8_lossy(line).into_owned();
                let (name, value) = text.split_once(':')?;
                Some((name.to_owned(), value.trim().to_owned()))
            })
            .collect();
        let told = serde_json::json!({
            "fields": fields,
            "target": target,
            "body": data_encoding::BASE64.encode(&message.body),
        });
        let mut check = Command::new(venv.join("bin/python"));
        check.args(["-c", CHECK]).stdin(std::process::Stdio::piped());
        check.stdout(std::process::Stdio::piped());
        let mut child = check.spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, told.to_string().as_bytes()).expect("taken");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(said["same"], true, "{platform}: {said}");
        assert_eq!(said["scope"][3], service, "{said}");
        let signed = said["signed"].to_string();
        assert!(signed.contains("host") && signed.contains("x-amz-security-token"), "{signed}");
    }
}

#[test]
fn a_relay_keeps_connections_and_forgets_those_that_were_closed() {
    let origin = Origin::echo();
    let kept = kit(&origin, "replay_accepted = \"a test\"");
    let relay = Relay::start(&kept, &[]);
    let path = kept.path(&relay.url(), "plain", "check_every = \"1h\"\nask_every = \"1h\"");
    let gateway = Gateway::start(&format!("{path}{}", provider(&origin, "\"out\"", "")));
    for _ in 0..10 {
        assert_eq!(get(&gateway, "/").status(), 200);
    }
    assert_eq!(origin.n_connections(), 1, "one connection serves them all");
    assert_eq!(post(&gateway, 5).status(), 200);
    assert_eq!(origin.n_connections(), 2, "what must not be sent twice is sent on a fresh one");
    // An origin that closes after every answer without a word about it.
    let closing = Origin::serving(|mut stream| {
        if raw::read_message(&mut stream, Kind::Request).is_some() {
            let _gone = stream.write_all(&origin::ok(b"ok"));
        }
    });
    let closed = kit(&closing, "replay_accepted = \"a test\"");
    let relay = Relay::start(&closed, &[]);
    let path = closed.path(&relay.url(), "plain", "check_every = \"1h\"\nask_every = \"1h\"");
    let gateway = Gateway::start(&format!("{path}{}", provider(&closing, "\"out\"", "")));
    for n in 0..20 {
        assert_eq!(get(&gateway, "/").status(), 200, "{n}");
    }
}

#[test]
fn a_peers_own_troubles_are_not_the_providers() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let roots = folder.path().join("r.pem");
    std::fs::write(&roots, &authority.pem).expect("writable");
    let origin = Origin::echo();
    for (answer, code, blame) in [
        ("502 Bad\r\nProxy-Status: byway; error=x; details=\"path_down\"", "path_down", "path"),
        ("503 Busy\r\nProxy-Status: byway; details=\"too_many_connections\"", "path_down", "path"),
        ("502 Bad", "path_down", "path"),
        ("403 No", "path_refused", "path"),
        (
            "502 Bad\r\nProxy-Status: byway; details=\"connect_refused\"",
            "connect_refused",
            "network",
        ),
        ("504 Late\r\nProxy-Status: byway; details=\"dns_timeout\"", "dns_timeout", "network"),
    ] {
        let peer = Origin::answering_tls(&identity, move |_| {
            format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        });
        let gateway = Gateway::start(&format!(
            "[path.out.peer]\naddr = \"{}\"\n[path.out.peer.tls]\nroots = [{roots:?}]\n{}",
            peer.addr,
            provider(&origin, "\"out\"", "")
        ));
        let _told = get(&gateway, "/");
        let line = gateway.line(0);
        assert_eq!((&line["code"], &line["blame"]), (&code.into(), &blame.into()), "{answer}");
    }
    assert_eq!(origin.messages(), []);
}

#[test]
fn a_relay_that_hangs_is_not_a_slow_provider() {
    let origin = Origin::echo();
    let kit = kit(&origin, "");
    let silent = Origin::serving(|mut stream| {
        let mut all = Vec::new();
        let _gone = std::io::Read::read_to_end(&mut stream, &mut all);
    });
    let path = kit.path(&format!("http://{}/", silent.addr), "plain", "");
    let more = "[provider.origin.deadlines]\ntotal = \"2s\"";
    let gateway = Gateway::start(&format!("{path}{}", provider(&origin, "\"out\"", more)));
    let _late = get(&gateway, "/");
    let line = gateway.line(0);
    assert_eq!((&line["class"], &line["blame"]), (&"relay_error".into(), &"path".into()), "{line}");
    // And a provider that hangs is, over a relay that says so.
    let slow = Origin::serving(|mut stream| {
        let mut all = Vec::new();
        let _gone = std::io::Read::read_to_end(&mut stream, &mut all);
    });
    let kit = Kit::new("relay-1", &[slow.addr.to_string()], NEAR);
    let relay = Relay::start(&kit, &[]);
    let path = kit.path(&relay.url(), "plain", "check_every = \"1h\"");
    let more = "[provider.origin.deadlines]\nfirst_byte = \"1s\"";
    let gateway = Gateway::start(&format!("{path}{}", provider(&slow, "\"out\"", more)));
    let _late = get(&gateway, "/");
    let line = gateway.line(0);
    assert_eq!(
        (&line["code"], &line["blame"]),
        (&"read_timeout".into(), &"provider".into()),
        "{line}"
    );
}

#[test]
fn what_a_relay_refuses_of_one_request_does_not_close_it_for_others() {
    let (listed, other) = (Origin::echo(), Origin::echo());
    let kit = kit(&listed, "");
    let relay = Relay::start(&kit, &[]);
    let path = kit.path(&relay.url(), "plain", "check_every = \"1h\"\nask_every = \"1h\"");
    let gateway = Gateway::start(&format!(
        "{path}[provider.origin]\nurl = \"http://{}\"\nallow_private = true\npaths = [\"out\", \"direct\"]\n",
        listed.addr
    ));
    // The same host on a port that the relay does not list.
    let elsewhere = format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n\r\n", other.addr);
    assert_eq!(raw::ask(gateway.addr, elsewhere.as_bytes()).status(), 200);
    assert_eq!(gateway.line(0)["path"], "direct", "another way took it");
    assert_eq!(get(&gateway, "/").status(), 200);
    let line = gateway.line(1);
    assert_eq!((&line["path"], line.get("skipped")), (&"out".into(), None), "{line}");
}
