//! Cases and their verdicts, one line a case.

use std::fmt::Write as _;

use expect_test::expect;
use jiff::Timestamp;

use super::{Case, Elsewhere, Witness, diagnose};
use crate::cause::Cause;
use crate::classify::{Blame, Class, Confidence, Outcome, Resend};
use crate::detect::{Comparison, Shown};
use crate::policy::Compare;

const T: Timestamp = Timestamp::UNIX_EPOCH;

/// `group/class` with `*` for a failing one that says so itself, `ok` for a healthy one, `?` for an
/// open one; behind it `+` or `-` for how the path does elsewhere.
fn verdict(paths: &str, dns: Elsewhere, is_gated: bool) -> String {
    let words: Vec<&str> = paths.split(' ').collect();
    let mut comparison = Comparison::new(Compare::default(), words.len(), 0, T);
    let mut about = Vec::new();
    for (path, word) in words.iter().enumerate() {
        let (group, what) = word.split_once('/').unwrap();
        let elsewhere = match what.chars().last() {
            Some('+') => Elsewhere::Good,
            Some('-') => Elsewhere::Failing,
            _ => Elsewhere::Unknown,
        };
        let what = what.trim_end_matches(['+', '-']);
        let (what, confidence) = match what.strip_suffix('*') {
            Some(what) => (what, Confidence::Strong),
            None => (what, Confidence::Weak),
        };
        about.push((path, group, elsewhere));
        let n = match what {
            "?" => 0,
            "ok" => 3,
            _ => 2,
        };
        let class = Class::ALL.into_iter().find(|class| class.as_str() == what);
        let (class, cause) = match what {
            "cert" => (Class::Tls, Some(Cause::TlsCert)),
            _ => (class.unwrap_or(Class::Ok), None),
        };
        let status = (class == Class::ClientError).then_some(403);
        let outcome = Outcome::plain(class, Blame::Edge, confidence, Resend::Never);
        for _ in 0..n {
            comparison.observe(path, &Shown { outcome, status, cause }, true, T);
        }
    }
    let witnesses: Vec<Witness<'_>> = about
        .iter()
        .map(|&(path, group, elsewhere)| Witness {
            path,
            group,
            arm: &comparison.arms()[path],
            elsewhere,
        })
        .collect();
    let case = Case { witnesses: &witnesses, is_gated, dns_elsewhere: dns, only_tunnels: false };
    let verdict = diagnose(&case);
    let open = verdict.open_test.map_or("", super::OpenTest::as_str);
    let (kind, confidence) = (verdict.kind.as_str(), verdict.confidence.as_str());
    format!("{kind} {confidence} {:?} {:?} {open}", verdict.failing, verdict.healthy)
}

#[test]
fn cases() {
    let mut out = String::new();
    for (paths, dns, is_gated) in [
        ("a/ok b/ok", Elsewhere::Unknown, false),
        ("a/blocked_ip b/blocked_ip c/ok d/ok", Elsewhere::Unknown, false),
        ("a/blocked_ip* b/?", Elsewhere::Unknown, false),
        ("a/blocked_ip*", Elsewhere::Unknown, false),
        ("a/blocked_ip", Elsewhere::Unknown, false),
        ("a/connect_timeout+ b/ok", Elsewhere::Unknown, false),
        ("a/connect_timeout- b/ok", Elsewhere::Unknown, false),
        ("a/connect_timeout+ b/connect_timeout", Elsewhere::Unknown, false),
        ("a/connect_timeout- b/connect_timeout-", Elsewhere::Unknown, false),
        ("a/connect_timeout", Elsewhere::Unknown, false),
        ("a/refused a/refused", Elsewhere::Unknown, false),
        ("a/refused b/refused", Elsewhere::Unknown, false),
        ("a/outage b/outage", Elsewhere::Unknown, false),
        ("a/outage b/ok", Elsewhere::Unknown, false),
        ("a/read_timeout b/read_timeout", Elsewhere::Unknown, false),
        ("a/challenge* b/ok", Elsewhere::Unknown, false),
        ("a/challenge* b/challenge*", Elsewhere::Unknown, false),
        ("a/client_error b/client_error", Elsewhere::Unknown, false),
        ("a/client_error b/ok", Elsewhere::Unknown, false),
        ("a/contract b/contract", Elsewhere::Unknown, false),
        ("a/cert- b/cert-", Elsewhere::Unknown, false),
        ("a/cert+ b/cert+", Elsewhere::Unknown, false),
        ("a/dns b/dns", Elsewhere::Unknown, false),
        ("a/dns b/dns", Elsewhere::Failing, false),
        ("a/dns b/dns", Elsewhere::Good, false),
        ("a/relay_error b/ok", Elsewhere::Unknown, false),
        ("a/blocked_ip b/ok", Elsewhere::Unknown, true),
        ("a/? b/?", Elsewhere::Unknown, false),
    ] {
        let gate = if is_gated { " gated" } else { "" };
        let dns_said =
            if dns == Elsewhere::Unknown { String::new() } else { format!(" dns {dns:?}") };
        writeln!(out, "{paths}{gate}{dns_said}: {}", verdict(paths, dns, is_gated)).unwrap();
    }
    expect![[r#"
        a/ok b/ok: healthy strong [] [0, 1] 
        a/blocked_ip b/blocked_ip c/ok d/ok: blocks_addresses strong [0, 1] [2, 3] 
        a/blocked_ip* b/?: blocks_addresses likely [0] [] 
        a/blocked_ip*: blocks_addresses likely [0] [] other_path
        a/blocked_ip: cannot_tell weak [0] [] other_path
        a/connect_timeout+ b/ok: blocks_addresses strong [0] [1] 
        a/connect_timeout- b/ok: this_path strong [0] [1] 
        a/connect_timeout+ b/connect_timeout: provider_down strong [0, 1] [] 
        a/connect_timeout- b/connect_timeout-: our_network strong [0, 1] [] 
        a/connect_timeout: cannot_tell weak [0] [] other_provider
        a/refused a/refused: cannot_tell weak [0, 1] [] other_provider
        a/refused b/refused: provider_down strong [0, 1] [] 
        a/outage b/outage: provider_down strong [0, 1] [] 
        a/outage b/ok: fails_here strong [0] [1] 
        a/read_timeout b/read_timeout: provider_slow strong [0, 1] [] 
        a/challenge* b/ok: challenges_us strong [0] [1] 
        a/challenge* b/challenge*: challenges_us strong [0, 1] [] 
        a/client_error b/client_error: our_request strong [0, 1] [] 
        a/client_error b/ok: blocks_addresses strong [0] [1] 
        a/contract b/contract: contract_broken strong [0, 1] [] 
        a/cert- b/cert-: our_tls strong [0, 1] [] 
        a/cert+ b/cert+: provider_down strong [0, 1] [] 
        a/dns b/dns: cannot_tell weak [0, 1] [] other_name
        a/dns b/dns dns Failing: our_dns strong [0, 1] [] 
        a/dns b/dns dns Good: provider_down strong [0, 1] [] 
        a/relay_error b/ok: this_path strong [0] [1] 
        a/blocked_ip b/ok gated: limits_us strong [0] [1] 
        a/? b/?: cannot_tell weak [] [] more_traffic
    "#]]
    .assert_eq(&out);
}
