//! The few places where a chore touches the outside world: the terminal, the clock, the environment.

use std::{fmt, time::Instant};

/// What every chore returns: an error is a sentence for the person at the terminal.
pub(crate) type Outcome<T> = Result<T, String>;

#[expect(clippy::print_stdout, reason = "chores talk to the person who started them")]
pub(crate) fn say(text: impl fmt::Display) {
    println!("{text}");
}

/// Something is missing or doubtful; the chore goes on.
pub(crate) fn warn(text: impl fmt::Display) {
    say(format_args!("!! {text}"));
}

#[expect(clippy::print_stderr, reason = "chores talk to the person who started them")]
pub(crate) fn complain(text: impl fmt::Display) {
    eprintln!("error: {text}");
}

#[expect(clippy::disallowed_methods, reason = "chores measure real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "chores are configured by the environment")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
