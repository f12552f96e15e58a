//! Notices that the configuration file changed.
//!
//! By looking once a second and comparing contents: it works the same for editors that replace the
//! file, for symbolic links that are switched (as Kubernetes does) and on network file systems.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the file looked like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Look {
    modified: Option<SystemTime>,
    len: u64,
    text: Vec<u8>,
}

/// A file that is looked at now and then.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    last: Look,
}

impl Watch {
    /// Starts with the file as it is now.
    pub(crate) fn new(path: &Path) -> Self {
        let mut watch = Self { path: path.to_owned(), last: Look::default() };
        watch.has_changed();
        watch
    }

    /// Whether the contents changed since the last look. A file that cannot be read has not
    /// changed: it may be about to be replaced.
    pub(crate) fn has_changed(&mut self) -> bool {
        let Ok(about) = std::fs::metadata(&self.path) else { return false };
        let modified = about.modified().ok();
        if modified == self.last.modified && about.len() == self.last.len {
            return false;
        }
        let Ok(text) = std::fs::read(&self.path) else { return false };
        let changed = text != self.last.text;
        self.last = Look { modified, len: about.len(), text };
        changed
    }
}
