//! Where what opens a platform's lock comes from: environment, shared files, container, instance
//! metadata, Google's metadata server. Each is a double that answers as the real one is documented
//! to, and what is asserted is what reaches the relay's platform.

use std::process::Command;

use byway_e2e::origin::{self, Origin};
use byway_e2e::process;
use byway_e2e::raw::Message;
use byway_e2e::relay::Kit;

/// A platform that refuses, and keeps what it was asked.
fn platform() -> Origin {
    Origin::answering(|_| b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec())
}

/// The `Authorization` that a ping over a path with this lock carries, in this environment.
fn authorization(lock: &str, environment: &[(&str, String)]) -> Option<String> {
    let platform = platform();
    let kit = Kit::new("relay-1", &["a.example:443".to_owned()], "");
    let url = format!("http://{}/", platform.addr);
    let path = kit.path(&url, "lambda-url", "").replace("lock = \"open\"", lock);
    let config = kit.folder.path().join("byway.toml");
    std::fs::write(&config, path).expect("writable");
    let mut ping = Command::new(process::binary());
    ping.args(["relay", "ping", "out", "--config"]).arg(&config);
    ping.env_clear().env("HOME", kit.folder.path()).env("PATH", "/usr/bin:/bin");
    ping.envs(environment.iter().map(|(name, value)| (*name, value)));
    let output = ping.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "the platform refuses");
    platform.messages().first().and_then(|message| message.field("authorization"))
}

const AWS: &str = "lock = \"aws\"\nregion = \"eu-central-1\"";
const OFF: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

fn off() -> (&'static str, String) {
    (OFF.0, OFF.1.to_owned())
}

fn signed_by(key: &str) -> impl Fn(&str) -> bool {
    let start = format!("AWS4-HMAC-SHA256 Credential={key}/");
    move |value| value.starts_with(&start)
}

/// Credentials as metadata services give them.
fn credentials(key: &str) -> Vec<u8> {
    let text = format!(
        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{key}\",\"SecretAccessKey\":\"s\",\
         \"Token\":\"t\",\"LastUpdated\":\"2026-01-01T00:00:00Z\",\"Expiration\":\"2999-01-01T00:00:00Z\"}}"
    );
    origin::ok(text.as_bytes())
}

#[test]
fn the_environment_and_a_profile_open_awss_lock() {
    let env = [
        off(),
        ("AWS_ACCESS_KEY_ID", "AKENV".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
    ];
    assert!(authorization(AWS, &env).is_some_and(|value| signed_by("AKENV")(&value)));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials");
    let text = "[default]\naws_access_key_id = AKOTHER\naws_secret_access_key = s\n\
                [egress]\naws_access_key_id = AKPROFILE\naws_secret_access_key = s\n";
    std::fs::write(&file, text).expect("writable");
    let env = [off(), ("AWS_SHARED_CREDENTIALS_FILE", file.display().to_string())];
    let lock = format!("{AWS}\nprofile = \"egress\"");
    assert!(authorization(&lock, &env).is_some_and(|value| signed_by("AKPROFILE")(&value)));
    assert!(authorization(AWS, &env).is_some_and(|value| signed_by("AKOTHER")(&value)));
    assert_eq!(authorization(AWS, &[off()]), None, "without a source nothing is sent unsigned");
}

#[test]
fn a_container_and_an_instance_open_awss_lock() {
    let container = Origin::answering(|_| credentials("AKCONTAINER"));
    let url = format!("http://{}/creds", container.addr);
    let env = [off(), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)];
    assert!(authorization(AWS, &env).is_some_and(|value| signed_by("AKCONTAINER")(&value)));
    let instance = Origin::answering(|message: &Message| {
        let line = String::from_utf8_lossy(message.first_line()).into_owned();
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let role = "/latest/meta-data/iam/security-credentials/";
        match target.as_str() {
            "/latest/api/token" if line.starts_with("PUT ") => {
                let token = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 5\r\n\r\ntoken";
                token.as_bytes().to_vec()
            }
            target if target == role => origin::ok(b"the-role"),
            target if target == format!("{role}the-role") => credentials("AKINSTANCE"),
            _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    });
    let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}", instance.addr))];
    let got = authorization(AWS, &env);
    assert!(got.as_deref().is_some_and(signed_by("AKINSTANCE")), "{got:?}");
    let asked = instance.messages();
    let with_token = asked.iter().filter(|m| m.field("x-aws-ec2-metadata-token").is_some());
    assert!(with_token.count() >= 2, "IMDSv2: a token is fetched first, and shown");
}

#[test]
fn the_machines_google_identity_opens_googles_lock() {
    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let token = format!("{}.{}.sig", part("{\"alg\":\"RS256\"}"), part("{\"exp\":4102444800}"));
    let given = token.clone();
    let metadata = Origin::answering(move |_| origin::ok(given.as_bytes()));
    let lock = "lock = \"google\"\naudience = \"https://r.run.app\"";
    let env = [("GCE_METADATA_HOST", metadata.addr.to_string())];
    assert_eq!(authorization(lock, &env), Some(format!("Bearer {token}")));
    let asked = metadata.messages();
    let line = String::from_utf8_lossy(asked.first().expect("asked").first_line()).into_owned();
    assert!(line.contains("audience=https%3A%2F%2Fr.run.app"), "{line}");
}
