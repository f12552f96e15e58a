//! Other people's emulators of the platforms that relays run on, with the built relay on them.
//!
//! Unlike [`crate::lambda`], which does every documented harm, these have ideas of their own; what
//! they lack or get wrong against the platform is mended here, and said where it is mended.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub mod cargo_lambda;
pub mod ministack;
pub mod node;

pub use cargo_lambda::CargoLambda;
pub use ministack::Ministack;
pub use node::NodeRelay;

/// What the placeholders of our templates become.
const SAMPLES: &[(&str, &str)] = &[
    ("name", "relay-1"),
    ("allow", "api.example.com:443,files.example.com:443"),
    ("exit", "203.0.113.7"),
    ("key_id", "k1"),
    ("public_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ("region", "us-east-1"),
];

/// A script of this folder.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("emulators").join(name)
}

/// A file or folder by its path from the repository's root.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A template with sample values in it.
///
/// # Panics
/// If it cannot be read, or a placeholder is left.
pub fn rendered(template: &Path) -> String {
    let text = std::fs::read_to_string(template);
    let mut text = text.unwrap_or_else(|error| panic!("{}: {error}", template.display()));
    for (name, value) in SAMPLES {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    assert!(!text.contains("{{"), "{}: a placeholder without a sample", template.display());
    text
}

/// Runs a command to its end; its output, if it succeeds, or all that it said.
///
/// # Errors
/// Both outputs, if it fails.
///
/// # Panics
/// If it cannot be started.
pub fn run(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(out.into_owned()) } else { Err(format!("{status}\n{out}{err}")) }
}
