//! The Node relay under `functions-framework`, as Google runs it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::in_repository;
use crate::process::{self, Process};
use crate::relay::Kit;

/// A relay that listens.
#[derive(Debug)]
pub struct NodeRelay {
    /// Where.
    pub addr: SocketAddr,
    // In this order: it ends before its folder does.
    _process: Process,
    _folder: tempfile::TempDir,
}

impl NodeRelay {
    /// Starts one with the key and the destinations of a kit, and with the packages in this folder.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(packages: &Path, kit: &Kit) -> Self {
        let folder = deployed(packages);
        fs::write(folder.path().join("relay.json"), kit.json().to_string()).expect("writable");
        let addr = SocketAddr::from(([127, 0, 0, 1], process::free_port()));
        let mut command = Command::new("node");
        command.arg("node_modules/.bin/functions-framework").args(["--target", "relay"]);
        command.args(["--signature-type", "http", "--port", &addr.port().to_string()]);
        let mut process = Process::start(command.current_dir(folder.path()));
        process::until("functions-framework", || {
            let ended = process.0.try_wait().expect("ours");
            assert!(ended.is_none(), "functions-framework ended with {ended:?}");
            TcpStream::connect(addr).ok()
        });
        Self { addr, _process: process, _folder: folder }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

/// A copy of the relay's sources beside these packages: its own folder stays as it is.
///
/// # Panics
/// If it cannot be copied.
pub fn deployed(packages: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = in_repository("relays/node");
    copy(&source, folder.path());
    fs::create_dir(folder.path().join("test")).expect("writable");
    copy(&source.join("test"), &folder.path().join("test"));
    symlink(packages.join("node_modules"), folder.path().join("node_modules")).expect("a link");
    folder
}

/// Copies the files in a folder that are code or say how it is run.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let is_wanted = [".js", ".json"].iter().any(|end| {
            entry.file_name().to_string_lossy().ends_with(end) && entry.file_name() != "relay.json"
        });
        if is_wanted {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}
