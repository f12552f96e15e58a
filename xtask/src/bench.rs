//! `cargo xtask bench`: byway, its peers and its yardsticks, measured side by side.

mod goals;
mod http;
mod json;
mod load;
mod options;
mod peers;
mod prepare;
mod proc;
mod procfs;
mod relay;
mod report;
mod results;
mod stats;
mod syscalls;
mod workload;

use std::{thread, time::Duration};

use crate::ui::{self, Outcome};
use load::Sample;
pub(crate) use options::HELP;
use options::Options;
use peers::{Peer, Running, Site};
use results::{Memory, Results, Table};
use workload::Workload;

/// Longer than any sensible run: a machine that hangs must not hang forever.
const LIMIT: Duration = Duration::from_secs(3 * 3600);
const WARM_UP_SECONDS: u64 = 1;
/// Time for allocators and the kernel to come to rest before memory is read.
const REST: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &[String]) -> Outcome<()> {
    let options = Options::parse(args)?;
    let mut results = Results::default();
    prepare::install(&options, &mut results)?;
    prepare::build(&options)?;
    prepare::raise_file_limit()?;
    prepare::describe(&options, &mut results);
    let end = ui::now() + LIMIT;
    let mut site = Site::new(options.keep)?;
    for workload in workload::ALL.iter().filter(|workload| options.wants_workload(workload.key)) {
        if ui::now() >= end {
            return Err(format!("stopped before {}: the run took too long", workload.key));
        }
        let cores = peers::count_cores();
        if workload.workers > cores {
            let why =
                format!("{} needs {} cores, here are {cores}", workload.key, workload.workers);
            ui::warn(&why);
            results.skipped.push(why);
            continue;
        }
        results.tables.push(measure(workload, &options, &mut site)?);
    }
    if let Some(base) = workload::ALL.first() {
        if options.wants_workload(workload::MEMORY) {
            ui::say("== memory per idle connection");
            each(base, workload::MEMORY_PEERS, &options, &mut site, memory, &mut results.memory)?;
        }
        if options.wants_workload(workload::SYSCALLS) {
            ui::say("== system calls per request");
            let count = |running: &mut Running, site: &mut Site| {
                let calls = syscalls::count(running, site, base, 2)?;
                ui::say(format_args!("   {:<12}{:>8.3}", running.peer.name(), calls.socket));
                Ok(calls)
            };
            let peers = workload::SYSCALL_PEERS;
            each(base, peers, &options, &mut site, count, &mut results.syscalls)?;
        }
    }
    if options.wants_workload(relay::RELAY) && options.wants(Peer::Byway) {
        ui::say("== over a relay");
        results.relay = Some(relay::measure(&options, &mut site));
    }
    drop(site);
    prepare::write_report(&options, &results)?;
    let failures = results.failures();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Starts, checks and warms up one proxy.
fn start(peer: Peer, workload: &Workload, site: &Site) -> Outcome<Running> {
    let mut running = peer.start(workload, site)?;
    load::verify(&mut running, site, workload)?;
    load::load(&running, site, workload, WARM_UP_SECONDS)?;
    Ok(running)
}

/// A running proxy and its samples so far.
type Timed = (Running, Vec<Sample>);

fn wanted(peers: &[Peer], options: &Options) -> Vec<Peer> {
    let there = |peer: &Peer| peer.package().is_some() || peer.binary().is_some();
    peers.iter().copied().filter(|peer| options.wants(*peer)).filter(there).collect()
}

/// All rounds of one workload. A proxy that fails is out, and its row says why.
fn measure(workload: &'static Workload, options: &Options, site: &mut Site) -> Outcome<Table> {
    ui::say(format_args!("== {}", workload.title));
    let ticks = load::ticks_per_second();
    site.start_origin(workload)?;
    let mut rows: Vec<(Peer, Outcome<Timed>)> = Vec::new();
    for peer in wanted(workload.peers, options) {
        let started = start(peer, workload, site).map(|running| (running, Vec::new()));
        if let Err(why) = &started {
            ui::warn(why);
        }
        rows.push((peer, started));
    }
    for round in 0..options.rounds {
        // Each begins once, so that none always has the same one before it.
        if !rows.is_empty() {
            let first = rows.len().min(1);
            rows.rotate_left(first);
        }
        for (_, row) in &mut rows {
            let Ok((running, samples)) = row else { continue };
            match load::measure(running, site, workload, options.seconds, ticks) {
                Ok(sample) => {
                    samples.push(sample);
                    let (name, us) = (running.peer.name(), sample.us);
                    let rate = sample.per_second;
                    ui::say(format_args!(
                        "   round {} {name:<12}{us:>8.2} µs {rate:>8.0}/s",
                        round + 1
                    ));
                }
                Err(why) => {
                    ui::warn(&why);
                    *row = Err(why);
                }
            }
        }
    }
    rows.sort_by_key(|(peer, _)| *peer);
    let mut table = Table { workload, rows: Vec::new() };
    for (peer, row) in rows {
        let row = row.and_then(|(mut running, samples)| {
            load::verify(&mut running, site, workload)
                .map_err(|why| format!("after the load: {why}"))?;
            Ok(samples)
        });
        table.rows.push((peer, row));
    }
    Ok(table)
}

/// One proxy after the other, for what is not measured in rounds.
fn each<T>(
    workload: &Workload,
    peers: &[Peer],
    options: &Options,
    site: &mut Site,
    measure: impl Fn(&mut Running, &mut Site) -> Outcome<T>,
    rows: &mut Vec<(Peer, Outcome<T>)>,
) -> Outcome<()> {
    site.start_origin(workload)?;
    for peer in wanted(peers, options) {
        let row = start(peer, workload, site).and_then(|mut running| {
            let row = measure(&mut running, site)?;
            running.server.alive()?;
            Ok(row)
        });
        if let Err(why) = &row {
            ui::warn(why);
        }
        rows.push((peer, row));
    }
    Ok(())
}

fn memory(running: &mut Running, _site: &mut Site) -> Outcome<Memory> {
    let rss = |running: &Running| {
        thread::sleep(REST);
        procfs::rss_kib(running.server.pid())
    };
    let none = rss(running);
    let mut held = load::hold(running, 1000)?;
    let thousand = rss(running);
    held.extend(load::hold(running, 4000)?);
    let memory = Memory { none, thousand, five_thousand: rss(running) };
    drop(held);
    let (name, each) = (running.peer.name(), memory.per_connection());
    ui::say(format_args!("   {name:<12}{each:>8.2} KiB"));
    Ok(memory)
}
