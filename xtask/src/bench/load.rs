//! Load on a proxy, and the proxy's CPU time under it.

use std::{process::Command, time::Duration};

use super::{
    http::Client,
    peers::{self, Running, Site},
    proc::pinned,
    procfs,
    workload::{self, Request, Workload},
};
use crate::{
    run,
    ui::{self, Outcome},
};

const CONNECTIONS: usize = 64;
const IDLE_SETTLE: Duration = Duration::from_millis(300);

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// CPU microseconds of the proxy per request.
    pub(crate) us: f64,
    pub(crate) per_second: f64,
}

/// Checks the bytes through a proxy: it must be right before it is timed.
pub(crate) fn verify(running: &mut Running, site: &Site, workload: &Workload) -> Outcome<()> {
    running.server.alive()?;
    let name = running.peer.name();
    let (request, port) = (workload.request, running.port);
    let path = format!("{}{}", running.peer.prefix(request), request.path());
    let mut client = Client::connect(port)?;
    if request == Request::Tunnel && !running.peer.is_direct() {
        client.tunnel(site.plain_port()).map_err(|e| format!("{name}: {e}"))?;
    }
    // Twice on one connection, so that the pooled connection to the origin is checked too.
    for _ in 0..2 {
        let (response, expected) = match request {
            Request::Post => {
                let body = vec![b'y'; workload::POST_BYTES];
                (client.post(port, &path, &body), workload::POST_ANSWER.to_vec())
            }
            Request::Small | Request::Tunnel => {
                (client.get(port, &path), peers::content(workload::SMALL.1))
            }
            Request::Large => (client.get(port, &path), peers::content(workload::LARGE.1)),
        };
        let response = response.map_err(|e| format!("{name} {path}: {e}"))?;
        if response.status != 200 || response.body != expected {
            let (status, length) = (response.status, response.body.len());
            let due = expected.len();
            return Err(format!(
                "{name} {path}: wrong answer: status {status}, {length} bytes; due: 200, {due} bytes"
            ));
        }
    }
    Ok(())
}

/// One measurement of `seconds`, beside `workload.idle` idle connections.
pub(crate) fn measure(
    running: &mut Running,
    site: &mut Site,
    workload: &Workload,
    seconds: u64,
    ticks: u64,
) -> Outcome<Sample> {
    let held = hold(running, workload.idle)?;
    if !held.is_empty() {
        std::thread::sleep(IDLE_SETTLE);
    }
    let before = procfs::cpu_us(running.server.pid(), ticks);
    let requests = load(running, site, workload, seconds)?;
    let after = procfs::cpu_us(running.server.pid(), ticks);
    drop(held);
    running.server.alive()?;
    site.origin_alive()?;
    if workload.idle > 0 {
        std::thread::sleep(IDLE_SETTLE);
    }
    let count = requests as f64;
    Ok(Sample { us: (after - before) / count, per_second: count / seconds as f64 })
}

/// Opens idle connections that have made one request each.
pub(crate) fn hold(running: &Running, count: usize) -> Outcome<Vec<Client>> {
    let path = format!("{}{}", running.peer.prefix(Request::Small), workload::SMALL.0);
    let one = |n: usize| {
        let mut client = Client::connect(running.port)?;
        let response = client.get(running.port, &path)?;
        if response.status == 200 {
            Ok(client)
        } else {
            Err(format!("status {} at {n}", response.status))
        }
    };
    let held: Outcome<Vec<Client>> = (0..count).map(one).collect();
    held.map_err(|e| format!("{}: idle connections: {e}", running.peer.name()))
}

/// Loads the proxy and returns the number of answered requests.
pub(crate) fn load(
    running: &Running,
    site: &Site,
    workload: &Workload,
    seconds: u64,
) -> Outcome<u64> {
    let cores = peers::cores(workload.workers);
    let mut command = pinned(&cores);
    let path = workload.request.path();
    if workload.request == Request::Tunnel {
        command.arg(run::target().join("release/tunnel-load"));
        command.arg("--proxy").arg(format!("127.0.0.1:{}", running.port));
        command.arg("--target").arg(format!("127.0.0.1:{}", site.plain_port()));
        command.args(["--path", path, "--bytes", &workload::SMALL.1.to_string()]);
        command.args(["--connections", &CONNECTIONS.to_string()]);
        command.args(["--seconds", &seconds.to_string()]);
        if running.peer.is_direct() {
            command.arg("--direct");
        }
    } else {
        command.args(["wrk", &format!("-t{}", workload.workers)]);
        command.args([format!("-c{CONNECTIONS}"), format!("-d{seconds}")]);
        if workload.request == Request::Post {
            command.arg("-s").arg(run::root().join("bench/peers/post.lua"));
        }
        let prefix = running.peer.prefix(workload.request);
        command.arg(format!("http://127.0.0.1:{}{prefix}{path}", running.port));
    }
    let output = run::require(&mut command, Duration::from_secs(seconds + 15))?;
    parse(&output.stdout).map_err(|why| format!("{}: {why}", running.peer.name()))
}

/// The number of requests that wrk (or tunnel-load) reports, unless it reports errors as well.
fn parse(text: &str) -> Outcome<u64> {
    for line in text.lines().map(str::trim) {
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            return Err(format!("the load generator reports `{line}`"));
        }
    }
    let count =
        text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    match count {
        Some(0) => Err(String::from("not one request was answered")),
        Some(count) => Ok(count),
        None => Err(format!("the load generator's output has no count: {text}")),
    }
}

/// Clock ticks per second, the unit of `/proc/PID/stat`.
pub(crate) fn ticks_per_second() -> u64 {
    let output = run::output(Command::new("getconf").arg("CLK_TCK"), Duration::from_secs(5));
    let ticks = output.ok().and_then(|output| output.stdout.trim().parse().ok());
    ticks.unwrap_or_else(|| {
        ui::warn("getconf CLK_TCK says nothing; taking 100 ticks per second");
        100
    })
}

#[cfg(test)]
mod tests {
    //! Output of wrk 4.1.
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:9080/1k.json\n  1 threads and 64 \
        connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.5ms\n  \
        84382 requests in 2.00s, 106.63MB read\nRequests/sec:  42180.20\n";

    #[test]
    fn the_count_is_read() {
        assert_eq!(parse(GOOD), Ok(84382));
        assert_eq!(parse("  12 requests in 3.00s\n"), Ok(12));
    }

    #[test]
    fn errors_are_not_overlooked() {
        let text = format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert!(parse(&text).unwrap_err().contains("read 3"));
        let text = format!("{GOOD}  Non-2xx or 3xx responses: 84382\n");
        assert!(parse(&text).is_err());
        assert!(parse("  0 requests in 2.00s, 0.00B read").is_err());
        assert!(parse("").is_err());
    }
}
