//! Real clients: nobody's idea of HTTP but their own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use byway_e2e::gateway::Gateway;
use byway_e2e::origin::{self, Origin};
use byway_e2e::pki::Authority;
use byway_e2e::process::{self, Process};
use byway_e2e::raw::Message;

struct World {
    gateway: Gateway,
    plain: Origin,
    tls: Origin,
    folder: tempfile::TempDir,
}

fn answer(message: &Message) -> Vec<u8> {
    if message.first_line().starts_with(b"GET /redirect ") {
        let location = "Location: /x?q=%ED%95%9C";
        return format!("HTTP/1.1 302 Found\r\n{location}\r\nContent-Length: 0\r\n\r\n")
            .into_bytes();
    }
    origin::echo(message)
}

impl World {
    fn new(websocket: u16) -> Self {
        let authority = Authority::new();
        let (plain, tls) = (
            Origin::answering(answer),
            Origin::answering_tls(&authority.issue(&["127.0.0.1", "localhost"]), answer),
        );
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &authority.pem).expect("writable");
        let gateway = Gateway::with(
            &format!(
                "{}[provider.plain]\nurl = \"http://{}\"\nallow_private = true\n\
                 [provider.tls]\nurl = \"https://{}\"\nallow_private = true\n\
                 [provider.tls.tls]\nroots = [{ca:?}]\n\
                 [provider.socket]\nurl = \"http://127.0.0.1:{websocket}\"\nallow_private = true\n",
                byway_e2e::gateway::HEAD
                    .replace("[gateway]\n", "[gateway]\nunlisted_allow = [\"127.0.0.1\"]\n"),
                plain.addr,
                tls.addr
            ),
            &[],
        );
        Self { gateway, plain, tls, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Runs a client with the proxy variables set and returns what it printed.
    #[track_caller]
    fn run(&self, command: &mut Command) -> String {
        let proxy = format!("http://{}", self.gateway.addr);
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY"] {
            command.env(name, &proxy);
        }
        command.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("SSL_CERT_FILE");
        succeed(command)
    }
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    out
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

#[test]
fn curl() {
    if !process::have("curl") {
        return;
    }
    let world = World::new(1);
    let (own, plain, tls) = (world.gateway.addr, world.plain.addr, world.tls.addr);
    let ca = world.ca();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(&ca).args(arguments);
        world.run(&mut command)
    };
    for url in [format!("http://{plain}/x?a=b+c&d=%2F|"), format!("https://{tls}/x?a=b+c&d=%2F|")] {
        let got = run(&["--globoff", "--path-as-is", &url]);
        assert!(got.starts_with("GET /x?a=b+c&d=%2F| HTTP/1.1\r\n"), "{got}");
    }
    let base = format!("http://{own}/to/tls/../%zz[]{{}}");
    let got = run(&["--noproxy", "*", "--globoff", "--path-as-is", &base]);
    assert!(got.starts_with("GET /../%zz[]{} HTTP/1.1\r\n"), "{got}");
    let got = run(&["--proxytunnel", "--http1.0", &format!("http://{plain}/x")]);
    assert!(got.starts_with("GET /x HTTP/1.0\r\n"), "{got}");
    let upload = world.folder.path().join("upload");
    std::fs::write(&upload, vec![b'u'; 3_000_000]).expect("writable");
    // Large enough for curl to send `Expect: 100-continue`; the origin never says 100.
    let got = run(&["-T", upload.to_str().expect("UTF-8"), &format!("http://{plain}/up")]);
    assert!(got.starts_with("PUT /up HTTP/1.1\r\n") && got.len() > 3_000_000);
    let got = run(&["--head", &format!("http://{plain}/x")]);
    assert!(got.starts_with("HTTP/1.1 200 Fine"), "{got}");
    let fails = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--proxy",
            &own.to_string(),
            "http://10.0.0.1/",
        ])
        .output()
        .expect("it runs");
    assert_eq!(fails.status.code(), Some(22), "curl sees the 403");
}

#[test]
fn wget() {
    if !process::have("wget") {
        return;
    }
    let world = World::new(1);
    for url in [format!("http://{}/x", world.plain.addr), format!("https://{}/x", world.tls.addr)] {
        let mut command = Command::new("wget");
        command.args(["--quiet", "--output-document=-", "--tries=1", "--ca-certificate"]);
        let got = world.run(command.arg(world.ca()).arg(&url));
        assert!(got.starts_with("GET /x HTTP/1.1\r\n"), "{got}");
    }
}

#[test]
fn git() {
    if !process::have("git") || !process::have("python3") {
        return;
    }
    let world = World::new(1);
    let folder = world.folder.path();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        for (name, value) in [("user.name", "t"), ("user.email", "t@t.example")] {
            command.args(["-c", &format!("{name}={value}")]);
        }
        world.run(command.current_dir(folder).args(arguments))
    };
    git(&["init", "--quiet", "made"]);
    std::fs::write(folder.join("made/file"), "contents").expect("writable");
    git(&["-C", "made", "add", "file"]);
    git(&["-C", "made", "commit", "--quiet", "-m", "first"]);
    git(&["clone", "--quiet", "--bare", "made", "bare.git"]);
    git(&["-C", "bare.git", "update-server-info"]);
    let port = process::free_port();
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"]);
    let _server = Process::start(server.current_dir(folder));
    process::until("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    git(&["clone", "--quiet", &format!("http://127.0.0.1:{port}/bare.git"), "cloned"]);
    assert_eq!(std::fs::read_to_string(folder.join("cloned/file")).expect("cloned"), "contents");
    let seen = world.gateway.metric("byway_requests_total", "provider=\"plain\"")
        + world.gateway.metric("byway_requests_total", "provider=\"observed\"");
    assert!(seen >= 3, "git went through the gateway: {seen}");
}

fn websocket_server(python: &Path) -> (Process, u16) {
    let mut command = Command::new(python);
    let child = command
        .arg(script("websocket_server.py"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut server = Process(child);
    let mut line = String::new();
    let out = server.0.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a port");
    (server, line.trim().parse().expect("a port"))
}

#[test]
fn python_clients() {
    let Some(venv) = process::installed("BYWAY_TEST_VENV") else { return };
    let python = venv.join("bin/python");
    let (_server, websocket) = websocket_server(&python);
    let world = World::new(websocket);
    let mut command = Command::new(&python);
    command.arg(script("python.py"));
    command.args([world.gateway.addr, world.plain.addr, world.tls.addr].map(|a| a.to_string()));
    command.arg(world.ca()).arg(format!("127.0.0.1:{websocket}"));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "REQUESTS_CA_BUNDLE"] {
        command.env_remove(name);
    }
    assert_eq!(succeed(&mut command), "fine\n");
}

#[test]
fn node_clients() {
    let (Some(venv), Some(node)) =
        (process::installed("BYWAY_TEST_VENV"), process::installed("BYWAY_TEST_NODE"))
    else {
        return;
    };
    let (_server, websocket) = websocket_server(&venv.join("bin/python"));
    let world = World::new(websocket);
    let mut command = Command::new("node");
    command.arg(script("node.js")).env("BYWAY_TEST_NODE", node);
    command.env("NODE_EXTRA_CA_CERTS", world.ca());
    command.args([world.gateway.addr, world.plain.addr, world.tls.addr].map(|a| a.to_string()));
    command.arg(world.ca()).arg(format!("127.0.0.1:{websocket}"));
    assert_eq!(succeed(&mut command), "fine\n");
}
