//! Commands of the binary, and what they print.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::gateway::Gateway;
use crate::process;

/// What a command printed, and whether it was content.
#[derive(Debug)]
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code.
    pub code: i32,
}

impl Ran {
    /// Standard output as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Runs `byway` with these arguments, in English, and waits.
///
/// # Panics
/// If it cannot be started.
pub fn byway(arguments: &[&str], state: Option<&Path>) -> Ran {
    let mut command = Command::new(process::binary());
    command.args(arguments).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").stdin(Stdio::null());
    if let Some(state) = state {
        command.env("BYWAY_STATE", state);
    }
    let Output { status, stdout, stderr } = command.output().expect("byway runs");
    Ran {
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
        code: status.code().unwrap_or(-1),
    }
}

impl Gateway {
    /// Runs a command that talks to this gateway.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn operate(&self, arguments: &[&str]) -> Ran {
        let at = self.admin.to_string();
        let with_at = [arguments, &["--at", &at]].concat();
        byway(&with_at, Some(&self.state()))
    }

    /// What `byway explain PROVIDER --json` says about it.
    ///
    /// # Panics
    /// If it says nothing.
    pub fn explained(&self, provider: &str) -> Value {
        let ran = self.operate(&["explain", provider, "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json().pointer("/providers/0").cloned().unwrap_or_default()
    }

    /// Waits until `explain` says so.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn explains(&self, provider: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..500 {
            last = self.explained(provider);
            if is_so(&last) {
                return last;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("not so: {what}; the last explanation: {last:#}")
    }

    /// The facts of this kind that are kept, as JSON.
    ///
    /// # Panics
    /// If there is no store.
    pub fn facts(&self, kind: &str) -> Vec<Value> {
        let ran = byway(&["facts", "--since", "1h", "--kind", kind, "--json"], Some(&self.state()));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}
