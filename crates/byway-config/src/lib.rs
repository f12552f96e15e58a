//! `byway.toml` → [`Settings`]: everything is checked here, and every problem is reported at once.
//!
//! Not here: defaults (they live with the settings), and anything that a running gateway needs.
//! Invariants: no value is printed that may be a secret; nothing panics, whatever the file holds;
//! the same text and environment give the same settings or the same problems.

mod environment;
mod file;
mod gateway;
mod listener;
mod path;
mod policy;
mod problem;
mod provider;
mod redact;
mod relay;
mod section;
mod signature;
mod suggest;
mod tables;
mod url;
mod value;

use std::collections::BTreeSet;
use std::path::Path;

use byway_core::settings::Settings;

pub use environment::Environment;
pub use problem::{Problem, Problems};

/// Checks a configuration.
///
/// # Errors
/// Every problem found, in the order of the file.
pub fn parse(
    file_name: &str,
    text: &str,
    environment: &dyn Environment,
) -> Result<Settings, Problems> {
    file::parse(file_name, text, environment, &mut BTreeSet::new())
}

/// Reads and checks a configuration file, with the secrets and files that it names.
///
/// # Errors
/// Every problem found, in the order of the file; a file that cannot be read is one problem.
pub fn load(path: &Path) -> Result<Settings, Problems> {
    environment::load(path)
}

/// Reads an origin, `https://host[:port]`, that somebody wrote outside of a file.
///
/// # Errors
/// What is wrong with it.
pub fn origin(text: &str) -> Result<byway_core::route::Origin, String> {
    url::origin(text).map_err(|wrong| wrong.message)
}

/// Reads a budget: `20/s`, `20/s burst 40`, `1000/h`.
pub fn pace(text: &str) -> Option<byway_core::policy::Pace> {
    policy::parse_pace(text)
}

/// Whatever the bytes are: no panic, and what can be reported can be rendered.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(problems) = parse("fuzz.toml", text, &environment::Empty) {
        let (plain, json) = (problems.render(false), problems.to_json());
        debug_assert!(!plain.is_empty() && json.starts_with('['));
    }
}

#[cfg(test)]
mod tests;
