//! Relays under test: keys, a file, the built program.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use byway_wire::relay::Field;
use byway_wire::relay::call::{Call, Kind, Within, envelope, signed};
use data_encoding::BASE64;
use rcgen::{KeyPair, PKCS_ED25519};
use ring::rand::SecureRandom as _;
use serde_json::{Value, json};

use crate::process::{self, Process};

/// A folder with the files of one relay.
#[derive(Debug)]
pub struct Kit {
    /// Removed with the kit.
    pub folder: tempfile::TempDir,
    /// Its name.
    pub id: String,
    allow: Vec<String>,
    public: String,
}

impl Kit {
    /// Writes `relay.toml` and `key.pem`; `more` stands before the key in the file.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn new(id: &str, allow: &[String], more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let public = BASE64.encode(key.public_key_raw());
        let mut text = format!("id = {id:?}\nallow = {allow:?}\n{more}\n");
        write!(text, "[[key]]\nid = \"k1\"\npublic = \"{public}\"\n").expect("text");
        std::fs::write(folder.path().join("relay.toml"), text).expect("writable");
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("writable");
        Self { folder, id: id.to_owned(), allow: allow.to_vec(), public }
    }

    /// The relay's file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("relay.toml")
    }

    /// The same for the Node relay, with loopback among its networks.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "allow": self.allow,
            "networks": ["127.0.0.0/8"],
            "keys": [{"id": "k1", "public": self.public}],
            "accept_replay": "a test",
        })
    }

    /// The private key that the gateway signs with.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// The section of a path `out` over a relay at this URL.
    pub fn path(&self, url: &str, platform: &str, more: &str) -> String {
        let (id, key) = (&self.id, self.key());
        format!(
            "[path.out.relay]\nurl = \"{url}\"\nplatform = \"{platform}\"\nlock = \"open\"\n\
             id = {id:?}\nkey = {key:?}\n{more}\n"
        )
    }
}

/// A relay that listens.
#[derive(Debug)]
pub struct Relay {
    /// Where.
    pub addr: SocketAddr,
    /// The process.
    pub process: Process,
}

impl Relay {
    /// Starts one with the files of a kit.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(kit: &Kit, arguments: &[&str]) -> Self {
        let mut command = Command::new(process::relay_binary());
        command.arg("--config").arg(kit.config()).args(["--listen", "127.0.0.1:0"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the relay starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = lines.next().expect("it speaks").expect("text");
        let addr = line.strip_prefix("listening on ").map(str::parse);
        let addr = addr.unwrap_or_else(|| panic!("the relay says: {line}")).expect("an address");
        Self { addr, process: Process(child) }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

/// Signs calls as a gateway does.
#[derive(Debug)]
pub struct Signer {
    key: ring::signature::Ed25519KeyPair,
}

impl Signer {
    /// With a key that nobody knows.
    ///
    /// # Panics
    /// If keys cannot be made.
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let key = ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der());
        Self { key: key.expect("a key") }
    }

    /// With the key of a kit.
    ///
    /// # Panics
    /// If its file is damaged.
    pub fn of(kit: &Kit) -> Self {
        let pem = std::fs::read_to_string(kit.key()).expect("a key");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64.decode(body.as_bytes()).expect("PEM");
        let key = ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        Self { key: key.expect("a key") }
    }

    /// A GET of `/` at an address, with a nonce of its own.
    ///
    /// # Panics
    /// If this machine gives no random numbers.
    pub fn get(&self, relay: &str, to: SocketAddr, now_ms: u64) -> Call {
        let mut nonce = [0; 16];
        ring::rand::SystemRandom::new().fill(&mut nonce).expect("random numbers");
        let host = Field { name: b"Host".to_vec(), value: format!(" {to}").into_bytes() };
        let within = Within {
            connect_ms: 2000,
            tls_ms: 2000,
            first_byte_ms: 5000,
            idle_ms: 5000,
            total_ms: 10_000,
        };
        Call {
            relay: relay.to_owned(),
            key: "k1".to_owned(),
            created_ms: now_ms,
            expires_ms: now_ms + 30_000,
            nonce,
            within,
            answer_bytes_max: 1 << 30,
            may_stream: false,
            is_tls: false,
            host: to.ip().to_string(),
            port: to.port(),
            pinned: None,
            version: byway_wire::Version::Http11,
            method: b"GET".to_vec(),
            target: b"/".to_vec(),
            fields: vec![host],
            trailers: Vec::new(),
            body_bytes: 0,
            body_digest: [0; 32],
        }
    }

    /// The body of the POST.
    ///
    /// # Panics
    /// Never for an Ed25519 key.
    pub fn seal(&self, kind: Kind, call: &Call, body: &[u8]) -> Vec<u8> {
        let digest = ring::digest::digest(&ring::digest::SHA256, body);
        let mut call = call.clone();
        call.body_bytes = body.len() as u64;
        call.body_digest.copy_from_slice(digest.as_ref());
        let meta = call.encode();
        let signature = self.key.sign(&signed(kind, &meta));
        let signature = signature.as_ref().try_into().expect("64 bytes");
        [&envelope(kind, &meta, signature), body].concat()
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}
