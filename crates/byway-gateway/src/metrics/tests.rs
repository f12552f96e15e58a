//! The exposition, and the document that lists it.

use std::fmt::Write as _;

use expect_test::expect_file;

use super::*;

fn some() -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new(2));
    let provider = ProviderName::new("catalog").expect("a name");
    let path = metrics.path(&provider, &PathName::direct());
    path.of(0).request(Class::Ok, Duration::from_millis(3), 100, 1000);
    path.of(1).request(Class::Ok, Duration::from_secs(60), 100, 1000);
    path.of(1).request(Class::Refused, Duration::ZERO, 0, 0);
    path.of(7).connected();
    metrics
}

#[test]
fn workers_are_added_up() {
    let text = render(&some());
    let labels = "provider=\"catalog\",path=\"direct\"";
    for line in [
        format!("byway_requests_total{{{labels},class=\"ok\"}} 2"),
        format!("byway_requests_total{{{labels},class=\"refused\"}} 1"),
        format!("byway_received_bytes_total{{{labels}}} 2000"),
        format!("byway_provider_connections_total{{{labels}}} 1"),
        format!("byway_request_duration_seconds_count{{{labels}}} 3"),
        format!("byway_request_duration_seconds_bucket{{le=\"0.005\",{labels}}} 2"),
        format!("byway_request_duration_seconds_bucket{{le=\"+Inf\",{labels}}} 3"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_label_set_survives_a_reload() {
    let metrics = some();
    let provider = ProviderName::new("catalog").expect("a name");
    metrics.path(&provider, &PathName::direct()).of(0).connected();
    assert_eq!(metrics.path(&provider, &PathName::direct()).sum(|s| &s.connections), 2);
}

#[test]
fn the_document_lists_every_metric() {
    let text = render(&some());
    let mut document = String::from(
        "# Metrics\n\n\
         `GET /metrics` on the admin listener, in OpenMetrics text.\n\
         Labels come from the configuration and from closed sets only: `provider` (a configured name, or `observed` for every host that no provider lists), `path` (a configured name), `class` (how a request ended), `code` (see [errors.md](errors.md)).\n\
         The table is made from the exposition by a test.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let Some(rest) = line.strip_prefix("# HELP ") else { continue };
        let (name, help) = rest.split_once(' ').expect("a name and a text");
        let kind = lines
            .iter()
            .find_map(|line| line.strip_prefix(&format!("# TYPE {name} ")))
            .expect("a type");
        let suffix = if kind == "counter" { "_total" } else { "" };
        let sample = lines.iter().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphabetic()))
        });
        let labels = sample.and_then(|line| line.split_once('{')?.1.split_once('}'));
        let labels: Vec<&str> = labels
            .map(|(labels, _)| labels.split(',').filter_map(|l| l.split('=').next()).collect())
            .unwrap_or_default();
        let labels: Vec<String> =
            labels.iter().filter(|l| !matches!(**l, "le" | "")).map(|l| format!("`{l}`")).collect();
        let _infallible = writeln!(
            document,
            "| `{name}{suffix}` | {kind} | {} | {} |",
            labels.join(", "),
            help.trim_end_matches('.')
        );
    }
    expect_file!["../../../../docs/metrics.md"].assert_eq(&document);
}
