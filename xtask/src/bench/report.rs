//! The results as Markdown.

use super::{
    goals,
    options::Options,
    peers::Peer,
    results::{Results, Table},
    stats::Spread,
};

const METHOD: &str = "\
Every figure is **CPU time of the proxy process per request** (user and system, all threads and worker
processes), because it survives a noisy machine; requests per second are shown for orientation only.
Proxy, origin (nginx) and load generator (`wrk`, 64 connections, keep-alive) share the same core, or the
same two cores where it says two workers. Rounds are interleaved: every proxy is measured once per round, in
a rotating order. Figures are medians over the rounds, ratios are medians of the ratios of each
round with (smallest..largest) behind them. Absolute values drift with the machine: compare ratios, and
within one run only. The bytes through every proxy are checked before and after.

`floor` is a relay that parses nothing; `bare-mio` and `bare-tokio` parse and rewrite heads and pool
connections, and do nothing else; see `crates/byway-bench`. The peers' configurations are in `bench/peers`.
";

pub(crate) fn markdown(results: &Results, options: &Options) -> String {
    let mut text = String::from("# Speed, measured\n\n");
    let again = "Made by `cargo xtask bench`; not edited by hand.";
    push(&mut text, format_args!("{again} {} rounds of {} s.\n", options.rounds, options.seconds));
    text.push_str("| | |\n|---|---|\n");
    for (what, value) in &results.facts {
        push(&mut text, format_args!("| {what} | {value} |"));
    }
    push(&mut text, format_args!("\n{METHOD}"));
    for (peer, how) in &results.missing {
        push(&mut text, format_args!("- **{}: not installed** ({how})", peer.name()));
    }
    for why in &results.skipped {
        push(&mut text, format_args!("- **not run:** {why}"));
    }
    for table in &results.tables {
        load_table(&mut text, results, table);
    }
    memory_table(&mut text, results);
    syscall_table(&mut text, results);
    relay_table(&mut text, results);
    if options.wants(Peer::Byway) {
        goal_table(&mut text, results);
    }
    let failures = results.failures();
    if !failures.is_empty() {
        text.push_str("\n## Failures\n\n");
        for failure in failures {
            push(&mut text, format_args!("- {failure}"));
        }
    }
    text
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&line.to_string());
    text.push('\n');
}

fn load_table(text: &mut String, results: &Results, table: &Table) {
    push(text, format_args!("\n## {}\n", table.workload.title));
    let fixed = [Peer::Floor, Peer::BareTokio, Peer::BareMio, Peer::NginxTuned, Peer::Squid];
    let present = |peer: &Peer| table.spread(*peer).is_some();
    let mut bases: Vec<(String, Peer)> =
        fixed.into_iter().filter(present).map(|peer| (peer.name().to_owned(), peer)).collect();
    if let Some(better) = table.better() {
        bases.push((format!("better of nginx, HAProxy ({})", better.name()), better));
    }
    let heads: Vec<String> = bases.iter().map(|(name, _)| format!("÷ {name}")).collect();
    push(text, format_args!("| proxy | µs | (min..max) | req/s | {} |", heads.join(" | ")));
    push(text, format_args!("|---|---|---|---|{}", "---|".repeat(heads.len())));
    for (peer, row) in &table.rows {
        let name = shown(*peer);
        let (Ok(_), Some(us)) = (row, table.spread(*peer)) else {
            push(
                text,
                format_args!("| {name} | **failed** | see below | {}|", " |".repeat(heads.len())),
            );
            continue;
        };
        let ratio = |(_, base): &(String, Peer)| match table.ratio(*peer, *base) {
            Some(_) if base == peer => String::from("1"),
            Some(ratio) => shown_ratio(ratio),
            None => String::from("–"),
        };
        let ratios: Vec<String> = bases.iter().map(ratio).collect();
        let per_second = table.per_second(*peer).unwrap_or_default();
        let Spread { median, min, max } = us;
        let figures = format!("{median:.1} | ({min:.1}..{max:.1}) | {per_second:.0}");
        push(text, format_args!("| {name} | {figures} | {} |", ratios.join(" | ")));
    }
    for (peer, _) in results.missing.iter().filter(|(peer, _)| table.workload.peers.contains(peer))
    {
        let blank = " |".repeat(heads.len());
        push(text, format_args!("| {} | not installed | | |{blank}", peer.name()));
    }
}

fn shown(peer: Peer) -> String {
    let name = peer.name();
    if peer == Peer::Byway { format!("**{name}**") } else { name.to_owned() }
}

fn shown_ratio(ratio: Spread) -> String {
    format!("{:.2} ({:.2}..{:.2})", ratio.median, ratio.min, ratio.max)
}

fn memory_table(text: &mut String, results: &Results) {
    if results.memory.is_empty() {
        return;
    }
    text.push_str("\n## Memory per idle client connection\n\n");
    text.push_str(
        "Each connection has made one request. Resident KiB of the process and its workers.\n\n",
    );
    text.push_str("| proxy | none | 1,000 | 5,000 | KiB each (1,000) | **KiB each (5,000)** |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for (peer, row) in &results.memory {
        let name = shown(*peer);
        match row {
            Err(_) => push(text, format_args!("| {name} | **failed** | see below | | | |")),
            Ok(memory) => {
                let (a, b) = (memory.per_connection_at_thousand(), memory.per_connection());
                let (none, thousand) = (memory.none, memory.thousand);
                let all = format!("{none} | {thousand} | {}", memory.five_thousand);
                push(text, format_args!("| {name} | {all} | {a:.2} | {b:.2} |"));
            }
        }
    }
}

fn syscall_table(text: &mut String, results: &Results) {
    if results.syscalls.is_empty() {
        return;
    }
    text.push_str("\n## System calls per request, GET 1 KiB\n\n");
    text.push_str("Counted by `strace -c -f` in a run of its own, connection set-up included.\n\n");
    text.push_str("| proxy | on sockets | of them failed | epoll_wait | futex | others |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for (peer, row) in &results.syscalls {
        let name = shown(*peer);
        match row {
            Err(_) => push(text, format_args!("| {name} | **failed** | see below | | | |")),
            Ok(calls) => {
                let other = |(name, n): &(String, f64)| format!("{name} {n:.2}");
                let others: Vec<String> = calls.others.iter().map(other).collect();
                let (socket, failed) = (calls.socket, calls.failed);
                let (epoll, futex) = (calls.epoll_wait, calls.futex);
                let figures = format!("{socket:.3} | {failed:.3} | {epoll:.3} | {futex:.3}");
                push(text, format_args!("| {name} | {figures} | {} |", others.join(", ")));
            }
        }
    }
}

fn relay_table(text: &mut String, results: &Results) {
    let Some(row) = &results.relay else { return };
    text.push_str("\n## Over a relay\n\n");
    text.push_str(
        "A plain relay on the same core, binary frames, plain HTTP on all sides. CPU µs per request of \
         each process,\nbeside the same gateway without a relay, interleaved.\n\n",
    );
    let Ok(relayed) = row else { return text.push_str("**failed**, see below\n") };
    text.push_str("| answer | direct | gateway over the relay | relay | both ÷ direct |\n");
    text.push_str("|---|---|---|---|---|\n");
    for cost in &relayed.costs {
        let times = (cost.gateway + cost.relay) / cost.direct;
        let figures = format!("{:.1} | {:.1} | {:.1}", cost.direct, cost.gateway, cost.relay);
        push(text, format_args!("| {} | {figures} | {times:.2} |", cost.what));
    }
    push(
        text,
        format_args!(
            "\nBytes from relay to gateway for 64 KiB: {} for {} of head and body, {:.2} % more.",
            relayed.on_the_way,
            relayed.content,
            relayed.overhead()
        ),
    );
    push(
        text,
        format_args!(
            "Peak memory over an answer of 1 GiB: the gateway grew by {} KiB, the relay by {} KiB.",
            relayed.gateway_grew, relayed.relay_grew
        ),
    );
}

fn goal_table(text: &mut String, results: &Results) {
    text.push_str("\n## Goals\n\n| goal | asked now | where it should end | measured | |\n");
    text.push_str("|---|---|---|---|---|\n");
    for goal in goals::check(results) {
        let unit = goal.unit;
        let measured =
            goal.measured.map_or(String::from("–"), |value| format!("{value:.2}{unit}"));
        let asked = format!("≤ {:.2}{unit} | ≤ {:.2}{unit}", goal.now, goal.end);
        push(text, format_args!("| {} | {asked} | {measured} | {} |", goal.what, goal.verdict()));
    }
}
