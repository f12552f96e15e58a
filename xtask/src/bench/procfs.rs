//! What `/proc` says about a process: CPU time, memory, children.

use std::{collections::BTreeMap, fs, path::Path};

/// One line of `/proc/PID/stat`, as far as needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    /// User and system time in clock ticks, exited threads included.
    pub(crate) ticks: u64,
}

/// The command name is in parentheses and may hold anything, so fields count from the last `)`.
pub(crate) fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |n: usize| fields.get(n)?.parse::<u64>().ok();
    // Fields 4 (ppid), 14 (utime) and 15 (stime) of proc(5); the state, field 3, is our first.
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { parent, ticks: number(11)? + number(12)? })
}

/// `VmRSS` of `/proc/PID/status`, in KiB.
pub(crate) fn parse_rss(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `pid` and all its descendants.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).ok();
        if let Some(stat) = stat.as_deref().and_then(parse_stat) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

/// CPU time of a process tree in microseconds.
///
/// `stat` counts in ticks of usually 10 ms, `schedstat` in nanoseconds but without the threads that
/// have ended; both round down, so the larger is the better.
pub(crate) fn cpu_us(pid: u32, ticks_per_second: u64) -> f64 {
    let of_one = |pid: u32| {
        let folder = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        let ticks = parse_stat(&stat).map_or(0, |stat| stat.ticks);
        let tasks = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
        let nanos: u64 = tasks
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        (ticks as f64 * 1e6 / ticks_per_second as f64).max(nanos as f64 / 1e3)
    };
    tree(pid).into_iter().map(of_one).sum()
}

/// Resident memory of a process tree in KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    let status = |pid: u32| fs::read_to_string(format!("/proc/{pid}/status")).ok();
    tree(pid).into_iter().filter_map(|pid| parse_rss(&status(pid)?)).sum()
}

/// The peak of a process's resident memory in KiB.
pub(crate) fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    //! Lines as the kernel prints them.
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "71 (a) b (c)) S 7 71 71 0 -1 4194304 10 0 0 0 123 45 0 0 20 0 1 0 9 1 2\n";
        assert_eq!(parse_stat(line), Some(Stat { parent: 7, ticks: 168 }));
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn the_resident_set_is_found() {
        assert_eq!(parse_rss("Name:\tx\nVmRSS:\t    5120 kB\nThreads: 1\n"), Some(5120));
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        let pid = std::process::id();
        assert!(tree(pid).contains(&pid));
        assert!(rss_kib(pid) > 0);
    }
}
