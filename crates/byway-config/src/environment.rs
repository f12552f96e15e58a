//! Where secrets and files come from.

use std::io;
use std::path::{Path, PathBuf};

use byway_core::settings::Settings;

use crate::problem::{Found, Problems};

/// What a configuration may look at besides itself.
pub trait Environment {
    /// An environment variable; `None` if it is unset or not UTF-8.
    fn var(&self, name: &str) -> Option<String>;

    /// A file; relative paths are meant from the configuration file.
    ///
    /// # Errors
    /// Whatever reading it said.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// A path as the process can use it; relative ones are meant from the configuration file.
    fn resolve(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// No file that a configuration names needs to be larger.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The process's environment and the files beside the configuration.
struct Process {
    directory: PathBuf,
}

impl Environment for Process {
    #[expect(clippy::disallowed_methods, reason = "the one place where configuration asks")]
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_at_most(&self.directory.join(path))
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// Neither variables nor files.
pub(crate) struct Empty;

impl Environment for Empty {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Reads and checks a configuration file.
pub(crate) fn load(path: &Path) -> Result<Settings, Problems> {
    let file_name = path.display().to_string();
    let alone = |message, hint: Option<String>| {
        Err(Problems::new(&file_name, "", vec![Found { span: None, message, hint }]))
    };
    let bytes = match read_at_most(path) {
        Ok(bytes) => bytes,
        Err(err) => {
            let hint = (err.kind() == io::ErrorKind::NotFound)
                .then(|| "`byway init` writes a first configuration".to_owned());
            return alone(format!("cannot read the configuration: {err}"), hint);
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(err) => {
            let at = err.utf8_error().valid_up_to();
            let before = err.as_bytes().iter().take(at);
            let line = before.filter(|&&b| b == b'\n').count() + 1;
            return alone(format!("line {line} is not UTF-8 (byte {at} of the file)"), None);
        }
    };
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    crate::parse(&file_name, &text, &Process { directory })
}

fn read_at_most(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX + 1), &mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("the file is larger than 1 MiB"));
    }
    Ok(bytes)
}
