//! The project's chores. `cargo xtask --help` lists them.

mod bench;
mod ci;
mod run;
mod tidy;
mod ui;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask CHORE [OPTIONS]

  ci      everything that has to be green before a change lands
  tidy    the checks that no compiler makes
  bench   CPU time per request of byway and its peers, measured side by side

Examples:
  cargo xtask ci                            # what a server runs; CI=true makes it strict
  cargo xtask tidy
  cargo xtask bench --quick                 # does the comparison work here?
  cargo xtask bench                         # writes bench/RESULTS.md and bench/results.json
  cargo xtask bench --workloads get1k,memory --only byway,nginx,haproxy
  cargo xtask bench --help
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) = args.split_first().map_or(("--help", [].as_slice()), |(c, r)| (c, r));
    let wants_help = rest.iter().any(|arg| arg == "--help" || arg == "-h");
    let help = |text: &str| {
        ui::say(text);
        Ok(())
    };
    let outcome = match (chore, rest) {
        ("--help" | "-h" | "help", _) => help(HELP),
        ("bench", _) if wants_help => help(bench::HELP),
        ("ci", _) if wants_help => help(ci::HELP),
        ("tidy", _) if wants_help => help(tidy::HELP),
        ("bench", rest) => bench::run(rest),
        ("tidy", []) => tidy::run(),
        // It prints itself what is wrong, because its last line is the number of tests.
        ("ci", []) if ci::run() => Ok(()),
        ("ci", []) => return ExitCode::FAILURE,
        ("ci" | "tidy", [first, ..]) => Err(format!("`{chore}` takes no `{first}`\n\n{HELP}")),
        _ => Err(format!("there is no chore `{chore}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            ui::complain(why);
            ExitCode::FAILURE
        }
    }
}
