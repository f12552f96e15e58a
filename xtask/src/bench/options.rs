//! The arguments of `cargo xtask bench`.

use std::path::PathBuf;

use super::{peers::Peer, workload};
use crate::ui::Outcome;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) workloads: Vec<String>,
    /// Empty: every peer.
    pub(crate) only: Vec<Peer>,
    pub(crate) keep: bool,
    pub(crate) out: PathBuf,
}

pub(crate) const HELP: &str = "\
cargo xtask bench: CPU time per request of byway and its peers, measured side by side

  --rounds N         interleaved rounds (default 5)
  --seconds S        length of one measurement (default 3)
  --workloads A,B    only these (default: all)
  --only A,B         only these peers (default: all); without `byway`, byway is not built
  --out FILE         the report (default bench/RESULTS.md; the JSON goes beside it)
  --keep             keep configurations and logs in target/bench/last
  --quick            two rounds of one second, to see that everything works

Examples:
  cargo xtask bench
  cargo xtask bench --quick --workloads get1k,post4k
  cargo xtask bench --only floor,bare-tokio,nginx,haproxy --out bench/SPIKE.md
";

impl Options {
    pub(crate) fn parse(args: &[String]) -> Outcome<Self> {
        let mut options = Self {
            rounds: 5,
            seconds: 3,
            workloads: workload::keys().into_iter().map(str::to_owned).collect(),
            only: Vec::new(),
            keep: false,
            out: PathBuf::from("bench/RESULTS.md"),
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            match name.as_str() {
                "--keep" => options.keep = true,
                "--quick" => (options.rounds, options.seconds) = (2, 1),
                "--rounds" | "--seconds" | "--workloads" | "--only" | "--out" => {
                    let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
                    options.set(name, value).map_err(|why| format!("{name} {value}: {why}"))?;
                }
                _ => return Err(format!("`{name}` is not an option of bench\n\n{HELP}")),
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Outcome<()> {
        let number = || match value.parse::<u64>() {
            Ok(n @ 1..=1000) => Ok(n),
            Ok(_) | Err(_) => Err(String::from("not a number from 1 to 1000")),
        };
        match name {
            "--rounds" => self.rounds = usize::try_from(number()?).unwrap_or(1),
            "--seconds" => self.seconds = number()?,
            "--workloads" => {
                self.workloads = value.split(',').map(workload_key).collect::<Outcome<_>>()?
            }
            "--only" => self.only = value.split(',').map(peer).collect::<Outcome<_>>()?,
            _ => self.out = PathBuf::from(value),
        }
        Ok(())
    }

    pub(crate) fn wants(&self, peer: Peer) -> bool {
        self.only.is_empty() || self.only.contains(&peer)
    }

    pub(crate) fn wants_workload(&self, key: &str) -> bool {
        self.workloads.iter().any(|wanted| wanted == key)
    }
}

fn workload_key(key: &str) -> Outcome<String> {
    let known = workload::keys();
    if known.contains(&key) {
        return Ok(key.to_owned());
    }
    Err(format!("there is no workload `{key}`; there are {}", known.join(", ")))
}

fn peer(name: &str) -> Outcome<Peer> {
    let all = super::peers::ALL;
    let names: Vec<&str> = all.iter().map(|peer| peer.name()).collect();
    let found = all.iter().copied().find(|peer| peer.name() == name);
    found.ok_or_else(|| format!("there is no peer `{name}`; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    //! Arguments as typed.
    use super::*;

    fn parse(line: &str) -> Outcome<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_word_counts() {
        let options = parse("--quick --rounds 7 --only nginx,byway --workloads tls1k").unwrap();
        assert_eq!((options.rounds, options.seconds), (7, 1));
        assert!(options.wants(Peer::Byway) && !options.wants(Peer::Floor));
        assert!(options.wants_workload("tls1k") && !options.wants_workload("get1k"));
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert!(parse("--only apache").unwrap_err().contains("no peer `apache`"));
        assert!(parse("--workloads x").unwrap_err().contains("get1k"));
        assert!(parse("--rounds 0").unwrap_err().contains("1 to 1000"));
        assert!(parse("--rounds").unwrap_err().contains("needs a value"));
    }
}
