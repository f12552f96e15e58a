//! System calls per request, counted by strace in a run of its own.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    load,
    peers::{Running, Site},
    workload::Workload,
};
use crate::{
    run,
    ui::{self, Outcome},
};

/// What moves bytes; relays do it on sockets only.
const SOCKET: &[&str] = &[
    "recvfrom", "sendto", "read", "write", "readv", "writev", "sendmsg", "recvmsg", "recvmmsg",
    "sendmmsg", "splice",
];
const ATTACH: Duration = Duration::from_millis(800);
const STOP: Duration = Duration::from_secs(5);

/// Calls per request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syscalls {
    pub(crate) socket: f64,
    /// Those of them that failed, nearly always with EAGAIN: superfluous.
    pub(crate) failed: f64,
    pub(crate) epoll_wait: f64,
    pub(crate) futex: f64,
    /// Everything else that happens at least once in a hundred requests.
    pub(crate) others: Vec<(String, f64)>,
}

/// Attaches strace, loads the proxy, and divides.
pub(crate) fn count(
    running: &mut Running,
    site: &Site,
    workload: &Workload,
    seconds: u64,
) -> Outcome<Syscalls> {
    let strace = run::which("strace").ok_or("strace is not installed")?;
    let file = site.path().join("run/strace");
    let mut command = Command::new(strace);
    command.args(["-c", "-f", "-p", &running.server.pid().to_string(), "-o"]).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tracer = command.spawn().map_err(|e| format!("cannot start strace: {e}"))?;
    thread::sleep(ATTACH);
    let requests = load::load(running, site, workload, seconds);
    let mut interrupt = Command::new("kill");
    drop(run::output(interrupt.args(["-INT", &tracer.id().to_string()]), STOP));
    let end = ui::now() + STOP;
    while matches!(tracer.try_wait(), Ok(None)) {
        if ui::now() >= end {
            drop(tracer.kill());
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop(tracer.wait());
    let requests = requests?;
    running.server.alive()?;
    let table = fs::read_to_string(&file).unwrap_or_default();
    let calls = parse(&table);
    if calls.is_empty() {
        return Err(String::from("strace counted nothing; may this user trace processes?"));
    }
    Ok(per_request(&calls, requests as f64))
}

/// Name, calls and errors of each line of `strace -c`.
fn parse(table: &str) -> Vec<(String, u64, u64)> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // % time, seconds, usecs/call, calls, [errors,] syscall
        let calls = fields.get(3)?.parse().ok()?;
        let errors = if fields.len() == 6 { fields.get(4)?.parse().ok()? } else { 0 };
        let name = *fields.last()?;
        (name != "total").then(|| (name.to_owned(), calls, errors))
    };
    table.lines().filter_map(line).collect()
}

fn per_request(calls: &[(String, u64, u64)], requests: f64) -> Syscalls {
    let mut result =
        Syscalls { socket: 0.0, failed: 0.0, epoll_wait: 0.0, futex: 0.0, others: Vec::new() };
    for (name, calls, errors) in calls {
        let per_request = *calls as f64 / requests;
        match name.as_str() {
            name if SOCKET.contains(&name) => {
                result.socket += per_request;
                result.failed += *errors as f64 / requests;
            }
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => result.epoll_wait += per_request,
            "futex" => result.futex += per_request,
            _ if per_request >= 0.01 => result.others.push((name.clone(), per_request)),
            _ => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    //! A table as strace 6.1 prints it.
    use super::*;

    #[test]
    fn calls_are_sorted_and_divided() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.100000           5      2000           sendto
 40.00    0.080000           4      2100       100 recvfrom
  9.00    0.010000           9        90           epoll_wait
  0.50    0.010000           9        50           clock_gettime
  0.50    0.000001           1         1           accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.190001           4      4241       100 total
";
        let calls = per_request(&parse(table), 1000.0);
        assert_eq!((calls.socket, calls.failed, calls.epoll_wait), (4.1, 0.1, 0.09));
        assert_eq!(calls.others, [(String::from("clock_gettime"), 0.05)]);
        assert!(parse("").is_empty());
    }
}
