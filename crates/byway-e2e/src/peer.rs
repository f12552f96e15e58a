//! What two gateways need to be peers: certificates and a token in files, and the sections that name
//! them.

use std::path::PathBuf;

use crate::gateway::Gateway;
use crate::pki::{Authority, Identity};
use crate::process;

/// A folder with the files of a peer, and the port that it listens on.
#[derive(Debug)]
pub struct PeerKit {
    /// For 127.0.0.1, by the authority that `roots` names.
    pub identity: Identity,
    /// The authority's certificate.
    pub roots: PathBuf,
    port: u16,
    folder: tempfile::TempDir,
}

impl Default for PeerKit {
    fn default() -> Self {
        Self::new()
    }
}

impl PeerKit {
    /// Writes the files.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub fn new() -> Self {
        let authority = Authority::new();
        let identity = authority.issue(&["127.0.0.1"]);
        let folder = tempfile::tempdir().expect("a folder");
        let roots = folder.path().join("r.pem");
        let kit = Self { identity, roots, port: process::free_port(), folder };
        kit.file("c.pem", &kit.identity.chain_pem);
        kit.file("k.pem", &kit.identity.key_pem);
        kit.file("r.pem", &authority.pem);
        kit.file("token", "open-sesame");
        kit
    }

    /// Writes one more file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    }

    /// The listener that lets the holder of the token in.
    pub fn listener(&self) -> String {
        let at = |name| self.folder.path().join(name);
        format!(
            "[listener.in]\naddr = \"127.0.0.1:{}\"\ncallers = \"token\"\n\
             [listener.in.tls]\nchain = {:?}\nkey = {:?}\n\
             [[listener.in.token]]\nname = \"gw\"\ntoken = \"file:{}\"\n",
            self.port,
            at("c.pem"),
            at("k.pem"),
            at("token").display()
        )
    }

    /// The path `out` over the peer, with the token in the file of this name.
    pub fn path(&self, token: &str) -> String {
        format!(
            "[path.out.peer]\naddr = \"127.0.0.1:{}\"\nname = \"gw\"\ntoken = \"file:{}\"\n\
             [path.out.peer.tls]\nroots = [{:?}]\n",
            self.port,
            self.folder.path().join(token).display(),
            self.roots
        )
    }

    /// Starts the peer, which lets nothing pass but what these sections list.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(&self, sections: &str) -> Gateway {
        let head = "[gateway]\nlisten = \"127.0.0.1:0\"\ninstance = \"peer\"\nunlisted = \"refuse\"\n\
                    [admin]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n";
        Gateway::with(&format!("{head}{}{sections}", self.listener()), &[])
    }
}
