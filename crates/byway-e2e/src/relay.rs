//! Relays under test: keys, a file, the built program.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use rcgen::{KeyPair, PKCS_ED25519};
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
