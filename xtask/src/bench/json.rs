//! The results as JSON, written by hand: a chore has no dependencies.

use super::{
    goals,
    options::Options,
    results::{Results, Table},
    stats::Spread,
};

pub(crate) fn json(results: &Results, options: &Options) -> String {
    let facts = results.facts.iter().map(|(what, value)| (what.as_str(), quote(value)));
    let tables = results.tables.iter().map(|table| (table.workload.key, load(table)));
    let memory = results.memory.iter().map(|(peer, row)| {
        let value = row.as_ref().map(|memory| {
            object([
                ("rss_kib_0", memory.none.to_string()),
                ("rss_kib_1000", memory.thousand.to_string()),
                ("rss_kib_5000", memory.five_thousand.to_string()),
                ("kib_per_connection", number(memory.per_connection())),
            ])
        });
        (peer.name(), or_error(value))
    });
    let syscalls = results.syscalls.iter().map(|(peer, row)| {
        let value = row.as_ref().map(|calls| {
            let others = calls.others.iter().map(|(name, n)| (name.as_str(), number(*n)));
            object([
                ("socket", number(calls.socket)),
                ("socket_failed", number(calls.failed)),
                ("epoll_wait", number(calls.epoll_wait)),
                ("futex", number(calls.futex)),
                ("others", object(others)),
            ])
        });
        (peer.name(), or_error(value))
    });
    let goals = goals::check(results).into_iter().map(|goal| {
        object([
            ("goal", quote(&goal.what)),
            ("now", number(goal.now)),
            ("end", number(goal.end)),
            ("measured", goal.measured.map_or_else(|| String::from("null"), number)),
        ])
    });
    let missing = results.missing.iter().map(|(peer, _)| quote(peer.name()));
    let text = object([
        ("rounds", options.rounds.to_string()),
        ("seconds", options.seconds.to_string()),
        ("facts", object(facts)),
        ("workloads", object(tables)),
        ("memory", object(memory)),
        ("syscalls", object(syscalls)),
        ("relay", relay(results)),
        ("goals", array(goals)),
        ("not_installed", array(missing)),
        ("failures", array(results.failures().iter().map(|why| quote(why)))),
    ]);
    text + "\n"
}

fn relay(results: &Results) -> String {
    let Some(row) = &results.relay else { return String::from("null") };
    or_error(row.as_ref().map(|relayed| {
        let costs = relayed.costs.iter().map(|cost| {
            let figures = [
                ("direct_us", number(cost.direct)),
                ("gateway_us", number(cost.gateway)),
                ("relay_us", number(cost.relay)),
            ];
            (cost.what, object(figures))
        });
        object([
            ("costs", object(costs)),
            ("bytes_on_the_way", relayed.on_the_way.to_string()),
            ("bytes_of_content", relayed.content.to_string()),
            ("gateway_grew_kib", relayed.gateway_grew.to_string()),
            ("relay_grew_kib", relayed.relay_grew.to_string()),
        ])
    }))
}

fn load(table: &Table) -> String {
    object(table.rows.iter().map(|(peer, row)| {
        let value = row.as_ref().map(|samples| {
            let us = samples.iter().map(|sample| number(sample.us));
            let rates = samples.iter().map(|sample| number(sample.per_second));
            let median = table.spread(*peer).map_or(f64::NAN, |Spread { median, .. }| median);
            object([
                ("median_us", number(median)),
                ("us", array(us)),
                ("requests_per_second", array(rates)),
            ])
        });
        (peer.name(), or_error(value))
    }))
}

fn or_error(value: Result<String, &String>) -> String {
    value.unwrap_or_else(|why| object([("error", quote(why))]))
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { String::from("null") }
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// One pair a line, indented by what is around it.
fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pair = |(key, value): (&str, String)| format!("  {}: {value}", quote(key));
    let pairs: Vec<String> = pairs.into_iter().map(|p| pair(p).replace('\n', "\n  ")).collect();
    if pairs.is_empty() { String::from("{}") } else { format!("{{\n{}\n}}", pairs.join(",\n")) }
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    //! The few rules of the format.
    use super::*;

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quote("a\"b\\\n\u{1}한"), "\"a\\\"b\\\\\\n\\u0001한\"");
    }

    #[test]
    fn objects_nest() {
        let inner = object([("b", String::from("1"))]);
        assert_eq!(object([("a", inner)]), "{\n  \"a\": {\n    \"b\": 1\n  }\n}");
        assert_eq!(object([]), "{}");
        assert_eq!(number(f64::NAN), "null");
    }
}
