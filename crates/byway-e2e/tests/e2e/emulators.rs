//! Relays on other people's emulators of their platforms: what is deployed as our templates say
//! comes up, keeps strangers out, and carries every byte.

use std::path::{Path, PathBuf};
use std::process::Command;

use byway_e2e::emulator::ministack::{Door, Lock, Ministack};
use byway_e2e::emulator::{CargoLambda, NodeRelay, in_repository, node, rendered, run, script};
use byway_e2e::gateway::Gateway;
use byway_e2e::origin::Origin;
use byway_e2e::process;
use byway_e2e::raw;
use byway_e2e::relay::{Kit, Relay};

use crate::fidelity::{compare_over_node, compare_over_relay, one_chunk, plain_world_of};
use crate::relay::kit;

const REPLAY: &str = "replay_accepted = \"a test\"";

/// A program that CI installs into the environment for Python.
fn tool(name: &str) -> Option<PathBuf> {
    let venv = process::installed("BYWAY_TEST_VENV")?;
    if venv.join("bin").join(name).exists() {
        return Some(venv);
    }
    process::skip(&format!("`{name}` is not in {}", venv.display()));
    None
}

/// The folder for Node, if it has what the Node relay runs on.
fn framework() -> Option<PathBuf> {
    let folder = packages("@google-cloud/functions-framework")?;
    let version = run(Command::new("node").arg("--version")).expect("it runs");
    let major = version.trim_start_matches('v').split('.').next().map(str::parse);
    if matches!(major, Some(Ok(20_u32..))) {
        return Some(folder);
    }
    process::skip(&format!("the Node relay needs Node 20, this is {version}"));
    None
}

/// The folder for Node, if it has this package.
fn packages(name: &str) -> Option<PathBuf> {
    let folder = process::have("node").then(|| process::installed("BYWAY_TEST_NODE")).flatten()?;
    if folder.join("node_modules").join(name).exists() {
        return Some(folder);
    }
    process::skip(&format!("`{name}` is not in {}", folder.display()));
    None
}

/// A stack from our template, and the corpus over it.
fn over_ministack(door: Door, platform: &str, more: &str) {
    let Some(venv) = tool("ministack") else { return };
    let mut kept = None;
    let world = plain_world_of(|origin| {
        let kit = kit(origin, "");
        let ministack = Ministack::start(&venv);
        let url = ministack.deploy(&venv, &kit, door, Lock::Off);
        let path = kit.path(&url, platform, &format!("{REPLAY}\n{more}"));
        kept = Some((kit, ministack));
        path
    });
    compare_over_relay(&format!("ministack, {door:?}"), &world);
}

#[test]
fn bytes_arrive_over_a_function_url_from_our_template() {
    over_ministack(Door::FunctionUrl, "lambda-url", "");
}

#[test]
fn bytes_arrive_over_a_streaming_function_url_from_our_template() {
    over_ministack(Door::FunctionUrlStreaming, "lambda-url", "stream = true");
}

#[test]
fn bytes_arrive_over_an_http_api_from_our_template() {
    over_ministack(Door::HttpApi, "api-gateway-v2", "");
}

#[test]
fn bytes_arrive_over_a_rest_api_from_our_template() {
    over_ministack(Door::RestApi, "api-gateway-v1", "");
}

#[test]
fn bytes_arrive_as_text_over_a_rest_api_from_our_template() {
    over_ministack(Door::RestApi, "api-gateway-v1", "text = true");
}

#[test]
fn our_templates_let_nobody_in_without_a_signature() {
    let Some(venv) = tool("ministack") else { return };
    let ministack = Ministack::start(&venv);
    let own = ministack.addr.to_string();
    for (n, door) in [Door::FunctionUrl, Door::HttpApi, Door::RestApi].into_iter().enumerate() {
        let said = [Lock::Iam, Lock::Off].map(|lock| {
            let name = format!("relay-{n}-{lock:?}").to_ascii_lowercase();
            let url = ministack.deploy(
                &venv,
                &Kit::new(&name, std::slice::from_ref(&own), ""),
                door,
                lock,
            );
            let (_, target) = url.split_once(&own).expect("its own");
            let request = format!(
                "POST {target} HTTP/1.1\r\nHost: {own}\r\nContent-Type: text/plain\r\n\
                 Content-Length: 4\r\n\r\nnone"
            );
            let answer = raw::ask(ministack.addr, request.as_bytes());
            assert_eq!(answer.status(), 403, "{door:?}, {lock:?}: {answer:?}");
            String::from_utf8_lossy(&answer.body).into_owned()
        });
        // The control is what the relay says to strangers: without the lock it is asked.
        let [locked, open] = said;
        assert_eq!(open, "refused\n", "{door:?}: the relay is there");
        assert_ne!(locked, "refused\n", "{door:?}: the relay was asked");
    }
}

/// The corpus over a relay under `cargo lambda watch`.
fn over_cargo_lambda(streams: bool) {
    let Some(venv) = tool("cargo-lambda") else { return };
    let mut kept = None;
    let world = plain_world_of(|origin| {
        let kit = kit(origin, "");
        let lambda = CargoLambda::start(&venv, &kit, streams);
        let path = kit.path(&lambda.url(), "lambda-url", &format!("{REPLAY}\nstream = {streams}"));
        kept = Some((kit, lambda));
        path
    });
    compare_over_relay("cargo lambda", &world);
}

#[test]
fn bytes_arrive_over_cargo_lambda() {
    over_cargo_lambda(false);
}

#[test]
fn bytes_arrive_over_cargo_lambda_that_streams() {
    over_cargo_lambda(true);
}

#[test]
fn bytes_arrive_over_the_node_relay() {
    let Some(packages) = framework() else { return };
    for form in ["", "text = true"] {
        let mut kept = None;
        let world = plain_world_of(|origin| {
            let kit = kit(origin, "");
            let relay = NodeRelay::start(&packages, &kit);
            let path = kit.path(&relay.url(), "cloud-functions", &format!("{REPLAY}\n{form}"));
            kept = Some((kit, relay));
            path
        });
        compare_over_node("node relay", &world);
    }
}

#[test]
fn a_chunked_answer_comes_whole_over_both_relays() {
    let Some(packages) = framework() else { return };
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum:1\r\nX-Sum:  2 \r\n\r\n"
            .to_vec()
    });
    let kit = kit(origin.addr, "");
    let (node, rust) = (NodeRelay::start(&packages, &kit), Relay::start(&kit, &[]));
    for (path, trailers) in [
        (kit.path(&rust.url(), "plain", ""), "X-Sum:1\r\nX-Sum:  2 \r\n"),
        (kit.path(&node.url(), "cloud-functions", REPLAY), "X-Sum: 1\r\nX-Sum: 2\r\n"),
    ] {
        let before = origin.messages().len();
        let gateway = Gateway::start(&format!(
            "{path}\n[provider.origin]\nurl = \"http://{}\"\nallow_private = true\n\
             paths = [\"out\"]\n",
            origin.addr
        ));
        let request = format!("GET /to/origin/x HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
        let answer = one_chunk(raw::ask(gateway.addr, request.as_bytes()));
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(body, format!("5\r\nabcde\r\n0\r\n{trailers}\r\n"), "{path}: {answer:?}");
        assert_eq!(origin.messages().len(), before + 1, "it arrived once");
    }
}

#[test]
fn a_look_over_a_relay_says_whose_stack_it_was() {
    let Some(packages) = framework() else { return };
    let origin = Origin::echo();
    let kit = kit(origin.addr, "");
    let (node, rust) = (NodeRelay::start(&packages, &kit), Relay::start(&kit, &[]));
    let over_node = kit.path(&node.url(), "cloud-functions", REPLAY);
    let over_rust = kit.path(&rust.url(), "plain", "");
    let gateway = Gateway::start(&format!(
        "{}\n{}\n[path.direct.direct]\n[provider.origin]\nurl = \"http://{}\"\n\
         allow_private = true\npaths = [\"node\", \"rust\", \"direct\"]\n",
        over_node.replace("path.out.", "path.node."),
        over_rust.replace("path.out.", "path.rust."),
        origin.addr
    ));
    let url = format!("http://{}/control", origin.addr);
    let looked = gateway.operate(&["try", &url, "--json"]);
    assert_eq!(looked.code, 0, "{looked:?}");
    let looked = looked.json();
    let results = looked["results"].as_array().expect("results");
    let stacks: Vec<(&str, Option<&str>)> = results
        .iter()
        .map(|result| (result["path"].as_str().unwrap_or_default(), result["stack"].as_str()))
        .collect();
    assert_eq!(
        stacks,
        [("node", Some("node")), ("rust", Some("byway")), ("direct", None)],
        "{looked:#}"
    );
    // The control: each of them arrived.
    assert_eq!(origin.messages().len(), results.len());
}

#[test]
fn the_node_relay_passes_its_own_tests() {
    let Some(packages) = framework() else { return };
    if !process::have("openssl") || !process::have("npm") {
        return;
    }
    let folder = node::deployed(&packages);
    let mut command = Command::new("npm");
    let told = run(command.arg("test").current_dir(folder.path()));
    let told = told.unwrap_or_else(|told| panic!("{}", failures(&told)));
    // The control: there were tests.
    let n_passed =
        told.lines().find_map(|line| line.trim_start_matches("# ").strip_prefix("pass "));
    let n_passed: usize = n_passed.and_then(|n| n.trim().parse().ok()).expect("a number");
    assert!(n_passed > 50, "{told}");
}

/// The failed ones among the results in the Test Anything Protocol.
fn failures(told: &str) -> String {
    let begin = |rest: &str| rest.lines().take(20).collect::<Vec<_>>().join("\n");
    told.split("\nnot ok ").skip(1).map(begin).collect::<Vec<_>>().join("\n\n")
}

/// Our templates with sample values, in a folder; those whose names end so.
fn templates(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for platform in std::fs::read_dir(in_repository("crates/byway/templates")).expect("a folder") {
        let platform = platform.expect("an entry").path();
        for file in std::fs::read_dir(&platform).expect("a folder") {
            let file = file.expect("an entry").path();
            let name = |path: &Path| path.file_name().map(|name| name.display().to_string());
            let names = [name(&platform), name(&file)].map(Option::unwrap_or_default);
            let to = folder.join(names.join("-"));
            std::fs::write(&to, rendered(&file)).expect("writable");
            if to.to_string_lossy().ends_with(end) {
                found.push(to);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn cloudformation_has_nothing_to_say_against_our_templates() {
    let Some(venv) = tool("cfn-lint") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> = templates(folder.path(), ".yaml")
        .into_iter()
        .filter(|file| {
            std::fs::read_to_string(file).is_ok_and(|text| text.contains("\nResources:\n"))
        })
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let lint = |files: &[PathBuf]| {
        let mut command = Command::new(venv.join("bin/cfn-lint"));
        run(command.args(["--include-checks", "I", "--template"]).args(files))
    };
    assert_eq!(lint(&files), Ok(String::new()));
    // The control: a fault is found.
    let first = files.first().expect("three");
    let text = std::fs::read_to_string(first).expect("readable");
    std::fs::write(first, text.replace("provided.al2023", "provided.al1999")).expect("writable");
    let found = lint(std::slice::from_ref(first)).expect_err("a fault");
    assert!(found.contains("provided.al1999"), "{found}");
}

#[test]
fn terraform_reads_our_templates_and_would_not_format_them() {
    let Some(packages) = packages("@cdktf/hcl-tools") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let files = templates(folder.path(), ".tf");
    assert_eq!(files.len(), 3, "{files:?}");
    let check = |files: &[PathBuf]| {
        let mut command = Command::new("node");
        command.arg(script("terraform.js")).args(files).env("BYWAY_TEST_NODE", &packages);
        run(&mut command)
    };
    assert_eq!(check(&files), Ok(String::from("3 files\n")));
    // The controls: both faults are found.
    let first = files.first().expect("three");
    let text = std::fs::read_to_string(first).expect("readable");
    for (fault, what) in [("variable \"a\" {\n", "Error"), ("variable   \"a\" {}\n", "formatted")] {
        std::fs::write(first, format!("{text}\n{fault}")).expect("writable");
        let found = check(std::slice::from_ref(first)).expect_err("a fault");
        assert!(found.contains(what), "{found}");
    }
}
