//! What Byway said in a drill, line by line, and whether it is what it must say.

use std::time::Duration;

use byway_core::fact::{Fact, Value};

use crate::scenario::Scenario;

/// A line of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, since the drill began, in the drill's own time.
    pub at: Duration,
    /// What.
    pub text: String,
}

/// Whether something that was expected came true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was expected.
    pub what: String,
    /// Whether it holds.
    pub is_met: bool,
    /// When it happened, or what happened instead.
    pub found: String,
}

/// What a fact says in a transcript; `None` for what is too small to be told there.
pub fn told(fact: &Fact) -> Option<String> {
    let text = |name: &str| {
        let value = fact.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value);
        match value {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::List(list)) => list.join(","),
            Some(Value::Number(_) | Value::Time(_)) | None => String::new(),
        }
    };
    let parts = match fact.kind {
        "verdict" => vec![text("verdict"), text("failing")],
        "detour_began" | "detour_moved" => vec![text("from"), ">".to_owned(), text("to")],
        "detour_ended" | "detour_refused" => vec![text("why")],
        "attributed" | "recovered" | "closed" => vec![text("who")],
        "path_moved" => {
            let path = fact.path.clone().unwrap_or_default();
            vec![path, text("from"), ">".to_owned(), text("to"), text("why")]
        }
        "gated" => vec![text("by")],
        "ordered" => vec![text("order")],
        _ => return None,
    };
    let mut line = fact.kind.to_owned();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        line.push(' ');
        line.push_str(part);
    }
    Some(line)
}

/// Checks a transcript: everything expected, in its order, and nothing that must never be.
pub fn check(scenario: &Scenario, lines: &[Line]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut from = 0;
    for expect in &scenario.expects {
        let rest = lines.get(from..).unwrap_or_default();
        let found = rest.iter().position(|line| says(&line.text, &expect.says));
        let line = found.and_then(|index| rest.get(index));
        let limit = expect.within.map(|(within, of)| of + within);
        let is_met = line.is_some_and(|line| limit.is_none_or(|limit| line.at <= limit));
        let within = match expect.within {
            Some((within, of)) => format!(" within {} of {}", clock(within), clock(of)),
            None => String::new(),
        };
        checks.push(Check {
            what: format!("{}{within}", expect.says),
            is_met,
            found: line.map_or("never said".to_owned(), |line| clock(line.at)),
        });
        if let Some(index) = found {
            from += index + 1;
        }
    }
    for never in &scenario.forbids {
        let is_said = |line: &&Line| {
            says(&line.text, &never.says) && never.before.is_none_or(|before| line.at < before)
        };
        let said = lines.iter().find(is_said);
        let before =
            never.before.map(|before| format!(" before {}", clock(before))).unwrap_or_default();
        checks.push(Check {
            what: format!("never {}{before}", never.says),
            is_met: said.is_none(),
            found: said
                .map_or(String::new(), |line| format!("{} at {}", line.text, clock(line.at))),
        });
    }
    checks
}

/// Whether a line begins with these words, whole.
fn says(line: &str, words: &str) -> bool {
    line.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// `1:07.4`
pub fn clock(at: Duration) -> String {
    let tenths = at.as_millis() / 100;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests;
